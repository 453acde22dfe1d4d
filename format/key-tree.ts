/**
 * Every key that is derived. HKDF-SHA-256 (RFC 5869), 32 bytes out; no key has two uses.
 *
 *   from              salt    info                              gives
 *   master key        empty   seedship/v0/owner-signing         seed of the owner's Ed25519 key (RFC 8032)
 *   master key        empty   seedship/v0/restore-identity      restore identity, as bech32 AGE-SECRET-KEY-PQ-
 *   master key        empty   seedship/v0/chunker/<domain id>   chunker key: where files are cut
 *   master key        empty   seedship/v0/index/<domain id>     index key: opens tables and indexes
 *   session key       32 B    seedship/v0/pack                  pack key: opens a pack's frames
 *   session key       32 B    seedship/v0/point                 opens a recovery point's body
 *   index key         32 B    seedship/v0/table                 opens a pack's table
 *   index key         32 B    seedship/v0/index-part            opens a part of the chunk index
 *   index key         32 B    seedship/v0/items                 opens a protection's items
 *   index key         32 B    seedship/v0/gone                  opens a repair's list of lost chunks
 *   drive key         32 B    seedship/v0/object                opens an object on a drive
 *   drive key         32 B    seedship/v0/manifest              opens a drive's manifest
 *   drive key         32 B    seedship/v0/journal               opens a journal mirrored on a drive
 *
 * Who holds what: the owner the master key, for as long as a command runs; a machine the chunker
 * and index keys of its domain (its put key); a session key lives in one process and is wrapped
 * for the owner. A salt is random and lies beside what the derived key seals.
 */
import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import { bech32 } from './bech32.ts';
import { KEY_BYTES, SALT_BYTES } from './seal.ts';

const LABEL = 'seedship/v0/';
/** DER before a raw Ed25519 seed or public key (RFC 8410): Node takes keys in no other form. */
const SEED_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const DOMAIN_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

export interface OwnerKeys {
  readonly signing: KeyObject;
  readonly publicKey: Uint8Array; // 32 bytes
  /** `AGE-SECRET-KEY-PQ-1…`: opens every session of the vault. */
  readonly restoreIdentity: string;
  /** `age1pq1…`: what sessions are wrapped for. */
  restoreRecipient(): Promise<string>;
}

/** What machines that deduplicate against each other share. */
export interface DomainKeys {
  readonly domain: string;
  readonly chunkerKey: Uint8Array; // 32 bytes
  readonly indexKey: Uint8Array; // 32 bytes
}

/** A fresh master key, 32 bytes: whoever holds it reads everything, for ever. */
export function newMaster(): Buffer {
  return randomBytes(KEY_BYTES);
}

/** A fresh salt, 32 bytes. */
export function newSalt(): Buffer {
  return randomBytes(SALT_BYTES);
}

/** The owner's own keys. */
export function deriveOwner(master: Uint8Array): OwnerKeys {
  const signing = signingKey(derive(master, EMPTY, 'owner-signing'));
  const restoreIdentity = bech32('age-secret-key-pq-', derive(master, EMPTY, 'restore-identity')).toUpperCase();
  return {
    signing,
    publicKey: publicBytes(signing),
    restoreIdentity,
    restoreRecipient: () => recipientOf(restoreIdentity),
  };
}

/**
 * The keys of a deduplication domain.
 * @param domain a machine's id or a group's name
 * @throws RangeError for an id that could be mistaken for another label
 */
export function deriveDomain(master: Uint8Array, domain: string): DomainKeys {
  if (!DOMAIN_ID.test(domain)) throw new RangeError('key-tree: a domain id is 1 to 63 of a-z, 0-9 and hyphen');
  return {
    domain,
    chunkerKey: derive(master, EMPTY, `chunker/${domain}`),
    indexKey: derive(master, EMPTY, `index/${domain}`),
  };
}

/** Opens a pack's frames. */
export function packKey(sessionKey: Uint8Array, salt: Uint8Array): Buffer {
  return derive(sessionKey, salt, 'pack');
}

/** Opens a recovery point's body. */
export function pointKey(sessionKey: Uint8Array, salt: Uint8Array): Buffer {
  return derive(sessionKey, salt, 'point');
}

/** Opens a pack's table. */
export function tableKey(indexKey: Uint8Array, salt: Uint8Array): Buffer {
  return derive(indexKey, salt, 'table');
}

/** Opens a part of the chunk index. */
export function indexPartKey(indexKey: Uint8Array, salt: Uint8Array): Buffer {
  return derive(indexKey, salt, 'index-part');
}

/** Opens a protection's items. */
export function itemsKey(indexKey: Uint8Array, salt: Uint8Array): Buffer {
  return derive(indexKey, salt, 'items');
}

/** Opens a repair's list of chunks that are gone for good. */
export function goneKey(indexKey: Uint8Array, salt: Uint8Array): Buffer {
  return derive(indexKey, salt, 'gone');
}

/** Opens one file of a drive. */
export function objectKey(
  driveKey: Uint8Array,
  salt: Uint8Array,
  use: 'object' | 'manifest' | 'journal' = 'object',
): Buffer {
  return derive(driveKey, salt, use);
}

/** The `age1pq1…` recipient of an `AGE-SECRET-KEY-PQ-1…` identity. */
export async function recipientOf(identity: string): Promise<string> {
  const { identityToRecipient } = await import('age-encryption'); // 90 ms to load, and threads never need it
  return await identityToRecipient(identity);
}

/** The private key of a 32-byte Ed25519 seed. */
export function signingKey(seed: Uint8Array): KeyObject {
  if (seed.length !== KEY_BYTES) throw new RangeError(`key-tree: a seed of ${seed.length} bytes`);
  return createPrivateKey({ key: Buffer.concat([SEED_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}

/** The 32 public bytes of an Ed25519 key. */
export function publicBytes(key: KeyObject): Buffer {
  const der = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'der', type: 'spki' });
  return der.subarray(PUBLIC_PREFIX.length);
}

/** The key object of 32 public bytes. */
export function verifyingKey(publicKey: Uint8Array): KeyObject {
  if (publicKey.length !== KEY_BYTES) throw new RangeError(`key-tree: a public key of ${publicKey.length} bytes`);
  return createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, publicKey]), format: 'der', type: 'spki' });
}

const EMPTY = new Uint8Array(0);

function derive(from: Uint8Array, salt: Uint8Array, label: string): Buffer {
  if (from.length !== KEY_BYTES) throw new RangeError(`key-tree: a key of ${from.length} bytes`);
  return Buffer.from(hkdfSync('sha256', from, salt, LABEL + label, KEY_BYTES));
}
