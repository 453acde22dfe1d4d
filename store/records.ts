/**
 * Records: `records/<kind>/<id>/<revision>`, create-only revisions counted from 1, each a signed
 * envelope around JSON:
 *
 *   { "revision": 3, "predecessor": "<digest of revision 2's bytes, or null>", "body": { … } }
 *
 * Current state, audit trail and custody log are the same thing. A revision is signed for its place,
 * so it is worthless anywhere else; a changed or missing one breaks the chain of those after it.
 *
 * The newest revision is found by asking for names, 1 2 4 8 … and then between, since not everybody
 * may list. Two who append at once: one wins, the other looks again and builds on it.
 */
import { errnoOf, Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import type { DatacenterRecord, RecordKind } from '../domain/record.ts';
import { CorruptError } from '../format/cursor.ts';
import { digestOf } from '../format/digest.ts';
import { type Identity, openSigned, type Signer, signBody, type Trust } from '../format/signature.ts';
import type { ObjectStore } from './object-store.ts';
import { parseRecordName, RECORDS, recordName } from './places.ts';

/** Of one record at once; each loser waits for one winner. */
const RACES_MAX = 50;
const REVISION_MAX = 10_000_000;

export interface RecordRef {
  readonly kind: RecordKind;
  readonly id: string;
}

export interface StoredRecord<Body> {
  readonly revision: number;
  /** Of the signed bytes. */
  readonly digest: Digest;
  readonly body: Body;
  readonly signer: Identity;
}

export interface Appended {
  readonly revision: number;
  readonly digest: Digest;
}

/** Who signs, for which vault. */
export interface Hand {
  readonly signer: Signer;
  readonly trust: Trust;
}

/**
 * Adds a revision that follows the newest one.
 * @param change the body, or what makes it from the newest one; called again after a lost race, and
 *   returning `undefined` when nothing is to be added, which answers with what is there
 * @throws Failure `Busy` when it loses race after race
 */
export async function appendRecord<Body extends object>(
  store: ObjectStore,
  ref: RecordRef,
  change: Body | ((before: Body | undefined) => Body | undefined),
  { signer, trust }: Hand,
): Promise<Appended> {
  for (let race = 0; race < RACES_MAX; race += 1) {
    const before = await readRecord<Body>(store, ref, trust);
    const body = typeof change === 'function' ? change(before?.body) : change;
    if (body === undefined) {
      if (before) return { revision: before.revision, digest: before.digest };
      throw new RangeError('records: neither a revision nor a body');
    }
    const revision = (before?.revision ?? 0) + 1;
    const place = recordName(ref.kind, ref.id, revision);
    const text = JSON.stringify({ revision, predecessor: before?.digest ?? null, body });
    const bytes = signBody('record', Buffer.from(text), { signer, trust, place });
    const digest = digestOf(bytes);
    // `exists` may be our own, whose answer was lost: the same words signed twice are the same bytes
    if ((await store.put(place, bytes, { digest })) === 'created' || (await isOurs(store, place, bytes)))
      return { revision, digest };
  }
  throw new Failure('Busy', 'others change this record all the time');
}

async function isOurs(store: ObjectStore, place: string, bytes: Buffer): Promise<boolean> {
  return (await store.get(place)).equals(bytes);
}

/**
 * The newest revision of a record; `undefined` when there is none.
 * @throws CorruptError or TamperedError when it is not what a party of this vault signed for this place
 */
export async function readRecord<Body>(
  store: ObjectStore,
  ref: RecordRef,
  trust: Trust,
): Promise<StoredRecord<Body> | undefined> {
  const newest = await newestRevision(store, ref);
  return newest === 0
    ? undefined
    : readRevision<Body>(store, { ...ref, revision: newest }, trust).then(({ record }) => record);
}

/** A revision with the bytes that were signed. */
export interface SignedRecord<Body> extends StoredRecord<Body> {
  readonly signed: Buffer;
}

/**
 * Every revision, oldest first, each checked against the digest its successor names.
 * @throws CorruptError when one is missing or is not the one that was built on
 */
export async function* recordChain<Body>(
  store: ObjectStore,
  ref: RecordRef,
  trust: Trust,
): AsyncGenerator<SignedRecord<Body>> {
  const newest = await newestRevision(store, ref);
  let before: Digest | null = null;
  for (let revision = 1; revision <= newest; revision += 1) {
    const { record, predecessor, signed } = await readRevision<Body>(store, { ...ref, revision }, trust);
    if (predecessor !== before) throw new CorruptError('record: not built on the revision before it');
    before = record.digest;
    yield { ...record, signed };
  }
}

/**
 * A datacenter's entry. Whom drives are wrapped to and where they are sent is the owner's word: others may
 * add records, and none of theirs is believed here.
 * @throws Failure `Tampered` when the newest revision is not the owner's, `NotFound` when there is none
 */
export async function readDatacenter(store: ObjectStore, region: string, trust: Trust): Promise<DatacenterRecord> {
  const record = await readRecord<DatacenterRecord>(store, { kind: 'datacenter', id: region }, trust);
  if (record?.signer.role === 'owner') return record.body;
  if (record)
    throw new Failure('Tampered', `the entry of datacenter ${region} is not the owner's`, {
      why: `the ${record.signer.role} ${record.signer.id} signed it`,
    });
  throw new Failure('NotFound', `the vault knows no datacenter ${region}`, { next: 'seedship datacenter list' });
}

/** Ids of all records of a kind, in order of name; for those who may list. */
export async function* listRecords(store: ObjectStore, kind: RecordKind): AsyncGenerator<string> {
  let last: string | undefined;
  for await (const { name } of store.list(`${RECORDS}${kind}/`)) {
    const id = parseRecordName(name)?.id;
    if (id === undefined || id === last) continue;
    last = id;
    yield id;
  }
}

export interface OpenedRevision<Body> {
  readonly record: StoredRecord<Body>;
  /** Digest of the revision it is built on; null of the first. */
  readonly predecessor: Digest | null;
}

/**
 * Opens a revision that was brought along, from a report or a copied vault.
 * @throws CorruptError or TamperedError when it is not what a party of this vault signed for this place
 */
export function openRevision<Body>(
  signed: Uint8Array,
  { kind, id, revision }: RecordRef & { readonly revision: number },
  trust: Trust,
): OpenedRevision<Body> {
  const { body: text, signer } = openSigned(signed, { kind: 'record', trust, place: recordName(kind, id, revision) });
  const parsed: { revision: number; predecessor: Digest | null; body: Body } = parse(text);
  if (parsed.revision !== revision) throw new CorruptError('record: another revision than its name says');
  return { record: { revision, digest: digestOf(signed), body: parsed.body, signer }, predecessor: parsed.predecessor };
}

async function readRevision<Body>(
  store: ObjectStore,
  at: RecordRef & { readonly revision: number },
  trust: Trust,
): Promise<OpenedRevision<Body> & { readonly signed: Buffer }> {
  const place = recordName(at.kind, at.id, at.revision);
  const open = (bytes: Uint8Array) => openSigned(bytes, { kind: 'record', trust, place });
  const signed = await store.getFitting(place, (candidate) => isSound(() => open(candidate)));
  return { ...openRevision<Body>(signed, at, trust), signed };
}

function isSound(open: () => unknown): boolean {
  try {
    open();
    return true;
  } catch (error) {
    if (error instanceof CorruptError) return false;
    throw error;
  }
}

function parse(text: Buffer) {
  try {
    return JSON.parse(text.toString('utf8'));
  } catch {
    throw new CorruptError('record: no JSON inside');
  }
}

/** 0 when there is none. */
async function newestRevision(store: ObjectStore, { kind, id }: RecordRef): Promise<number> {
  const present = async (revision: number): Promise<boolean> => {
    try {
      return (await store.head(recordName(kind, id, revision))) !== undefined;
    } catch (error) {
      // To one who may read but not list, Amazon's S3 says of what is not there that it is forbidden.
      if (revision > 1 && errnoOf(error) === 'StorageRefused') return false;
      throw error;
    }
  };
  if (!(await present(1))) return 0;
  let low = 1;
  while (low < REVISION_MAX && (await present(low * 2))) low *= 2;
  for (let high = low * 2; high - low > 1; ) {
    const middle = (low + high) >> 1;
    if (await present(middle)) low = middle;
    else high = middle;
  }
  return low;
}
