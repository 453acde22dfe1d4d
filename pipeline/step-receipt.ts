/**
 * How a step commits: its result, signed, create-only, at its destination, under a name that the
 * workflow chose. An attempt that finds one returns it; one that loses the race to write it does too.
 */
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import { type Credentials, decodeCredentials, signerOf, trustOf } from '../format/credentials.ts';
import { CorruptError } from '../format/cursor.ts';
import { digestOf } from '../format/digest.ts';
import { openSigned, type Signer, signBody, type Trust } from '../format/signature.ts';
import { type ObjectStore, openStore } from '../store/object-store.ts';
import { receiptName } from '../store/places.ts';
import { attended } from './attended-store.ts';
import type { ChildSecrets, PlaceAt } from './child-tasks.ts';

/** Who does a step. */
export interface Actor {
  readonly credentials: Credentials;
  readonly signer: Signer;
  readonly trust: Trust;
}

export interface StepName {
  readonly run: string;
  readonly step: string;
}

/** What was found: the result as written, and the digest of the signed bytes. */
export interface FoundReceipt<T> {
  readonly body: T;
  readonly receipt: Digest;
}

/** @throws Failure `Configuration` when the secrets hold no credentials, or those of another vault */
export function actorOf(secrets: ChildSecrets, vaultId: string): Actor {
  if (secrets.credentials === undefined) throw new Failure('Configuration', 'this step needs credentials');
  const credentials = decodeCredentials(Buffer.from(secrets.credentials, 'base64'));
  const trust = trustOf(credentials);
  if (trust.vaultId !== vaultId) throw new Failure('Configuration', 'these are credentials of another vault');
  return { credentials, signer: signerOf(credentials), trust };
}

/** Opens a place with the access that the secrets hold for it. */
export function openPlace({ url, access }: PlaceAt, secrets: ChildSecrets): ObjectStore {
  const store = openStore(url, access === undefined ? undefined : secrets.access?.[access]);
  return url.startsWith('s3:') ? attended(store) : store;
}

/**
 * The receipt of a step, if there is one.
 * @throws CorruptError when no version of it was signed by someone of this vault who may
 */
export async function findReceipt<T>(
  store: ObjectStore,
  { run, step }: StepName,
  trust: Trust,
): Promise<FoundReceipt<T> | undefined> {
  const place = receiptName(run, step);
  let body: T | undefined;
  const bytes = await ifThere(
    store.getFitting(place, (found) => {
      try {
        body = JSON.parse(openSigned(found, { kind: 'receipt', trust, place }).body.toString());
        return true;
      } catch (error) {
        if (error instanceof CorruptError) return false;
        throw error;
      }
    }),
  );
  return bytes && body && { body, receipt: digestOf(bytes) };
}

/** Commits a step. Returns what stands there afterwards: an earlier attempt's receipt wins. */
export async function writeReceipt<T extends object>(
  store: ObjectStore,
  { run, step }: StepName,
  { signer, trust }: Actor,
  body: T,
): Promise<FoundReceipt<T>> {
  const place = receiptName(run, step);
  const bytes = signBody('receipt', Buffer.from(JSON.stringify(body)), { signer, trust, place });
  if ((await store.put(place, bytes)) === 'created') return { body, receipt: digestOf(bytes) };
  const found = await findReceipt<T>(store, { run, step }, trust);
  if (!found) throw new Failure('Unexpected', 'a receipt was there, and then was not');
  return found;
}

/** An object's bytes, or `undefined` when there is none. */
export function getIfThere(store: ObjectStore, name: string): Promise<Buffer | undefined> {
  return ifThere(store.get(name));
}

/** What is got, or `undefined` when there is no such object. */
export async function ifThere(got: Promise<Buffer>): Promise<Buffer | undefined> {
  try {
    return await got;
  } catch (error) {
    if (error instanceof Failure && error.code === 'NotFound') return undefined;
    throw error;
  }
}
