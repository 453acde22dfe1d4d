/**
 * A part of the chunk index: where in the packs each chunk lies. A merge of pack tables, and
 * rebuildable from them; it spares reading all of them. Signed (kind 'index', see signature.ts) by
 * the machine, named by its digest, at most 64 MiB. The signed body:
 *
 *   prelude    6     'SSIX'
 *   salt       32
 *   sealed     the rest; key: HKDF(index key, salt, 'index-part'); bound: prelude and salt
 *
 *   plain      packs: objects (u32, then 37 each, see stored-object.ts), sorted by name ‖
 *              count (u32), then 34 each, sorted by key:
 *                key (20): the first bytes of the chunk's id ‖ pack (u32): place in packs ‖
 *                frame (u16) ‖ offset in the frame's plain bytes (u32) ‖ bytes (u32)
 *              replaces: count (u32), then digests (32 each) of the parts this one takes the place of ‖
 *              padding: zeros, up to a Padmé length
 *
 * 160 bits of an id are enough to find a chunk; whoever reads it hashes it and compares all 256.
 */
import type { Digest } from '../domain/names.ts';
import { CorruptError, Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, digestBytes, toDigest } from './digest.ts';
import { FRAME_BYTES_MAX } from './frame.ts';
import { indexPartKey, newSalt } from './key-tree.ts';
import { padded } from './pack.ts';
import { openBytes, SALT_BYTES, sealBytes } from './seal.ts';
import { type Identity, openSigned, type Signer, signBody, type Trust } from './signature.ts';
import { readObject, readObjects, STORED_OBJECT_BYTES, type StoredObject, writeObjects } from './stored-object.ts';

export const INDEX_KEY_BYTES = 20;
export const INDEX_ENTRY_BYTES = 34;
/** So that a part with its packs stays below 64 MiB. */
export const INDEX_ENTRIES_MAX = 1_700_000;
const PRELUDE = 'SSIX';

export interface ChunkPlace {
  /** Place in the part's list of packs. */
  readonly pack: number;
  readonly frame: number;
  /** In the frame's plain bytes. */
  readonly offset: number;
  readonly length: number;
}

export interface IndexPart {
  /** Sorted by name. */
  readonly packs: readonly StoredObject[];
  /** `INDEX_ENTRY_BYTES` each, sorted by key, no key twice. */
  readonly entries: Uint8Array;
  readonly replaces: readonly Digest[];
}

/** Encodes one entry into `into` at `at`. */
export function writeIndexEntry(
  into: Buffer,
  at: number,
  { id, pack, frame, offset, length }: ChunkPlace & { id: Uint8Array },
): void {
  into.set(id.subarray(0, INDEX_KEY_BYTES), at);
  into.writeUInt32LE(pack, at + 20);
  into.writeUInt16LE(frame, at + 24);
  into.writeUInt32LE(offset, at + 26);
  into.writeUInt32LE(length, at + 30);
}

/** Seals and signs a part. @throws RangeError for more entries than a part holds */
export function signIndexPart(
  { packs, entries, replaces }: IndexPart,
  by: { readonly signer: Signer; readonly trust: Trust; readonly indexKey: Uint8Array },
): Buffer {
  const count = entries.length / INDEX_ENTRY_BYTES;
  if (!Number.isInteger(count) || count > INDEX_ENTRIES_MAX) throw new RangeError(`chunk-index: ${count} entries`);
  const plain = new Writer(entries.length + packs.length * STORED_OBJECT_BYTES + 4096);
  writeObjects(plain, packs);
  plain.u32(count).bytes(entries).u32(replaces.length);
  for (const name of replaces) plain.bytes(digestBytes(name));
  plain.bytes(new Uint8Array(padded(plain.length) - plain.length));
  const salt = newSalt();
  const writer = new Writer(plain.length + 128).prelude(PRELUDE).bytes(salt);
  const bound = Buffer.from(writer.finish());
  writer.bytes(sealBytes(indexPartKey(by.indexKey, salt), plain.finish(), bound));
  return signBody('index', writer.finish(), by);
}

/**
 * Opens a part.
 * @throws CorruptError when it is not the bytes of its name, damaged, or of another domain;
 *   TamperedError when its signature does not hold
 */
export function openIndexPart(
  bytes: Uint8Array,
  expected: { readonly trust: Trust; readonly name?: Digest; readonly indexKey: Uint8Array },
): IndexPart & { readonly signer: Identity } {
  const { body, signer } = openSigned(bytes, { ...expected, kind: 'index' });
  const head = new Reader(body, 'chunk-index');
  head.prelude(PRELUDE);
  const key = indexPartKey(expected.indexKey, head.bytes(SALT_BYTES));
  const bound = body.subarray(0, head.position);
  const plain = openBytes(key, head.rest(), bound, 'chunk-index');
  if (padded(plain.length) !== plain.length) throw new CorruptError('chunk-index: not padded as it should be');
  const reader = new Reader(plain, 'chunk-index');
  const packs = readObjects(reader, readObject);
  const count = reader.u32();
  if (count > INDEX_ENTRIES_MAX) throw reader.corrupt(`${count} entries`);
  const entries = reader.bytes(count * INDEX_ENTRY_BYTES);
  checkEntries(entries, packs.length);
  const replaces = Array.from({ length: countOfDigests(reader) }, () => toDigest(reader.bytes(DIGEST_BYTES)));
  if (reader.rest().some((byte) => byte !== 0)) throw new CorruptError('chunk-index: padding that is not zero');
  return { packs, entries, replaces, signer };
}

/** Where the chunk `id` lies, by binary search; `undefined` when this part does not hold it. */
export function findChunk({ entries }: Pick<IndexPart, 'entries'>, id: Uint8Array): ChunkPlace | undefined {
  const bytes = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
  const key = id.subarray(0, INDEX_KEY_BYTES);
  let [low, high] = [0, bytes.length / INDEX_ENTRY_BYTES - 1];
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const at = middle * INDEX_ENTRY_BYTES;
    const order = bytes.compare(key, 0, INDEX_KEY_BYTES, at, at + INDEX_KEY_BYTES);
    if (order === 0) return readPlace(bytes, at);
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}

function readPlace(bytes: Buffer, at: number): ChunkPlace {
  return {
    pack: bytes.readUInt32LE(at + 20),
    frame: bytes.readUInt16LE(at + 24),
    offset: bytes.readUInt32LE(at + 26),
    length: bytes.readUInt32LE(at + 30),
  };
}

function checkEntries(entries: Buffer, packs: number): void {
  for (let at = 0; at < entries.length; at += INDEX_ENTRY_BYTES) {
    const { pack, offset, length } = readPlace(entries, at);
    if (pack >= packs) throw new CorruptError('chunk-index: names a pack that is not listed');
    if (length === 0 || offset + length > FRAME_BYTES_MAX) throw new CorruptError('chunk-index: a chunk in no frame');
    const before = at - INDEX_ENTRY_BYTES;
    if (before >= 0 && entries.compare(entries, before, before + INDEX_KEY_BYTES, at, at + INDEX_KEY_BYTES) <= 0)
      throw new CorruptError('chunk-index: entries are not sorted');
  }
}

function countOfDigests(reader: Reader): number {
  const count = reader.u32();
  if (count * DIGEST_BYTES > reader.remaining) throw reader.corrupt('ends too early');
  return count;
}
