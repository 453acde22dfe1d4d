/**
 * The tree of files at one point: a Merkle tree of records. A record is a chunk, in a tree pack, and
 * its id is the SHA-256 of its bytes; so equal directories are stored once.
 *
 *   record   u8 1  leaf   count (u32) ‖ entries, sorted by name as bytes, no name twice
 *            u8 2  node   count (u32) ‖ ids (32 each) of the leaves of one big directory, in order
 *            u8 3  list   a part of a long field
 *
 *   entry    type (u8) ‖ name (bytes8) ‖ mode (u16: 12 bits) ‖ uid (u32) ‖ gid (u32) ‖
 *            mtime (i64, ns) ‖ ctime (i64, ns) ‖ device (u64) ‖ inode (u64) ‖ links (u32) ‖
 *            count of attributes (u16), and for each, sorted: name (bytes8) ‖ value (bytes32)
 *            then by type
 *            1 file        size (u64) ‖ chunks (field) ‖ holes (field)
 *            2 directory   id of its record (32)
 *            3 symlink     target (bytes16)
 *            4 block, 5 char   rdev (u64, as stat(2) gives it)
 *            6 fifo, 7 socket  nothing
 *
 *   field    u8 0, then its bytes (bytes32), up to 64 KiB; or
 *            u8 1, then count (u32) and ids (32 each) of list records that follow one another
 *   chunks   ids (32 each): the file's data from left to right, holes left out
 *   holes    offset (u64) ‖ length (u64) each, in order
 *
 * Attributes are extended attributes as the kernel gives them, POSIX ACLs among them
 * (system.posix_acl_access, system.posix_acl_default). Entries of one device and inode with more
 * than one link are one file under several names. ctime, device and inode are not restored: they
 * tell the next backup what is unchanged. A record is at most 2 MiB, a frame.
 */
import { CorruptError, Reader } from './cursor.ts';
import { DIGEST_BYTES } from './digest.ts';

export const RECORD_BYTES_MAX = 2 * 1024 * 1024;
/** What an entry's attributes may take, names and values, so that a record holds it: few file systems allow more. */
export const ATTRIBUTES_BYTES_MAX = 1024 * 1024;
/** Of a hole in its field: offset and length. */
export const HOLE_BYTES = 16;
export const MODE_MAX = 0o7777;
/** Kinds of records. */
export const [LEAF, NODE, LIST] = [1, 2, 3];
/** By their numbers, which begin at 1. */
export const ENTRY_TYPES = ['file', 'directory', 'symlink', 'block', 'char', 'fifo', 'socket'] as const;

export type EntryType = (typeof ENTRY_TYPES)[number];

export interface TreeAttribute {
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

/** A field that may be longer than a record: its bytes, or the ids of the lists that hold them. */
export type LongField = { readonly bytes: Uint8Array } | { readonly lists: readonly Uint8Array[] };

interface AnyEntry {
  readonly name: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly device: bigint;
  readonly inode: bigint;
  readonly links: number;
  readonly attributes: readonly TreeAttribute[];
}

export type TreeEntry =
  | (AnyEntry & {
      readonly type: 'file';
      readonly size: number;
      readonly chunks: LongField;
      readonly holes: LongField;
    })
  | (AnyEntry & { readonly type: 'directory'; readonly tree: Uint8Array })
  | (AnyEntry & { readonly type: 'symlink'; readonly target: Uint8Array })
  | (AnyEntry & { readonly type: 'block' | 'char'; readonly rdev: bigint })
  | (AnyEntry & { readonly type: 'fifo' | 'socket' });

/** A hole of a file: where it begins, and how long it is. */
export type Hole = readonly [offset: number, length: number];

export type TreeRecord =
  | { readonly kind: 'leaf'; readonly entries: readonly TreeEntry[] }
  | { readonly kind: 'node'; readonly leaves: readonly Uint8Array[] }
  | { readonly kind: 'list'; readonly bytes: Uint8Array };

/** Finds a record by its id; throws when there is none. */
export type LoadRecord = (id: Uint8Array) => Uint8Array;

const NONE: readonly TreeAttribute[] = [];
const [DOT, SLASH] = [0x2e, 0x2f];
export const EMPTY_FIELD: LongField = { bytes: new Uint8Array(0) };

/** The bytes of a field, part by part: a file of terabytes has megabytes of chunk ids. @throws CorruptError */
export function* fieldParts(field: LongField, load: LoadRecord): Generator<Uint8Array> {
  if ('bytes' in field) {
    if (field.bytes.length > 0) yield field.bytes;
    return;
  }
  for (const id of field.lists) {
    const record = decodeTree(load(id));
    if (record.kind !== 'list') throw new CorruptError('tree: a field that is no list');
    if (record.bytes.length === 0) throw new CorruptError('tree: an empty list');
    yield record.bytes;
  }
}

/** A file's holes, in order. @throws CorruptError when they overlap or do not fit `size` */
export function* holesOf(field: LongField, size: number, load: LoadRecord): Generator<Hole> {
  let end = 0;
  for (const part of fieldParts(field, load)) {
    const reader = new Reader(part, 'tree');
    while (reader.remaining > 0) {
      const [offset, length] = [reader.u64(), reader.u64()];
      if (offset < end || length === 0 || offset + length > size) throw reader.corrupt('holes that are out of place');
      end = offset + length;
      yield [offset, length];
    }
  }
}

/** Whether a record is a leaf, not a node or a list. */
export function isLeaf(record: Uint8Array): boolean {
  return record[0] === LEAF;
}

/** One entry of a leaf. @throws CorruptError */
export function decodeEntry(encoded: Uint8Array): TreeEntry {
  return readEntry(new Reader(encoded, 'tree'));
}

/** Decodes one record. The caller has checked that its SHA-256 is the id it was asked for. @throws CorruptError */
export function decodeTree(bytes: Uint8Array): TreeRecord {
  if (bytes.length > RECORD_BYTES_MAX) throw new CorruptError(`tree: a record of ${bytes.length} bytes`);
  const reader = new Reader(bytes, 'tree');
  const kind = reader.u8();
  if (kind === LIST) return { kind: 'list', bytes: reader.rest() };
  if (kind === NODE) {
    const leaves = readIds(reader);
    reader.done();
    if (leaves.length < 2) throw reader.corrupt('a node of less than two leaves');
    return { kind: 'node', leaves };
  }
  if (kind !== LEAF) throw reader.corrupt('unknown kind of record');
  const entries: TreeEntry[] = [];
  for (let left = reader.u32(); left > 0; left--) {
    const entry = readEntry(reader);
    const before = entries.at(-1);
    if (before && Buffer.compare(before.name, entry.name) >= 0) throw reader.corrupt('entries are not sorted');
    entries.push(entry);
  }
  reader.done();
  return { kind: 'leaf', entries };
}

/** The entries of a directory, leaf by leaf, in order of name. @throws CorruptError */
export function* treeEntries(id: Uint8Array, load: LoadRecord): Generator<TreeEntry> {
  const record = decodeTree(load(id));
  if (record.kind === 'list') throw new CorruptError('tree: a list where a directory should be');
  if (record.kind === 'leaf') {
    yield* record.entries;
    return;
  }
  let before: Uint8Array | undefined;
  for (const leaf of record.leaves) {
    const part = decodeTree(load(leaf));
    if (part.kind !== 'leaf') throw new CorruptError('tree: a node of something else than leaves');
    const [first] = part.entries;
    if (!first) throw new CorruptError('tree: an empty leaf in a node');
    if (before && Buffer.compare(before, first.name) >= 0) throw new CorruptError('tree: leaves overlap');
    before = part.entries.at(-1)?.name;
    yield* part.entries;
  }
}

function readEntry(reader: Reader): TreeEntry {
  const type = ENTRY_TYPES[reader.u8() - 1];
  if (type === undefined) throw reader.corrupt('unknown type of entry');
  const common: AnyEntry = {
    name: readName(reader),
    mode: readMode(reader),
    uid: reader.u32(),
    gid: reader.u32(),
    mtimeNs: reader.i64big(),
    ctimeNs: reader.i64big(),
    device: reader.u64big(),
    inode: reader.u64big(),
    links: reader.u32(),
    attributes: readAttributes(reader),
  };
  switch (type) {
    case 'file':
      return readFile(common, reader);
    case 'directory':
      return { ...common, type, tree: reader.bytes(DIGEST_BYTES) };
    case 'symlink':
      return { ...common, type, target: readText(reader, reader.bytes16()) };
    case 'block':
    case 'char':
      return { ...common, type, rdev: reader.u64big() };
    default:
      return { ...common, type };
  }
}

/** Field by field: most entries are files, and spreading is slow. */
function readFile(common: AnyEntry, reader: Reader): TreeEntry {
  return {
    type: 'file',
    name: common.name,
    mode: common.mode,
    uid: common.uid,
    gid: common.gid,
    mtimeNs: common.mtimeNs,
    ctimeNs: common.ctimeNs,
    device: common.device,
    inode: common.inode,
    links: common.links,
    attributes: common.attributes,
    size: reader.u64(),
    chunks: readChunks(reader),
    holes: readField(reader),
  };
}

/** A restore joins names to paths: none may lead elsewhere. */
function readName(reader: Reader): Buffer {
  const name = reader.bytes8();
  const dots = name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT));
  if (name.length === 0 || dots || name.includes(SLASH) || name.includes(0))
    throw reader.corrupt('a name no file can have');
  return name;
}

function readMode(reader: Reader): number {
  const mode = reader.u16();
  if (mode > MODE_MAX) throw reader.corrupt('a mode of more than 12 bits');
  return mode;
}

/** System calls end at the first zero byte. */
function readText(reader: Reader, bytes: Buffer): Buffer {
  if (bytes.length === 0 || bytes.includes(0)) throw reader.corrupt('a text no system call takes');
  return bytes;
}

function readAttributes(reader: Reader): readonly TreeAttribute[] {
  const count = reader.u16();
  if (count === 0) return NONE;
  const attributes: TreeAttribute[] = [];
  for (let left = count; left > 0; left--) {
    const name = readText(reader, reader.bytes8());
    const before = attributes.at(-1);
    if (before && Buffer.compare(before.name, name) >= 0) throw reader.corrupt('attributes are not sorted');
    attributes.push({ name, value: reader.bytes32() });
  }
  return attributes;
}

function readField(reader: Reader): LongField {
  const form = reader.u8();
  if (form === 0) return { bytes: reader.bytes32() };
  if (form !== 1) throw reader.corrupt('unknown form of field');
  return { lists: readIds(reader) };
}

function readChunks(reader: Reader): LongField {
  const field = readField(reader);
  if ('bytes' in field && field.bytes.length % DIGEST_BYTES !== 0) throw reader.corrupt('half a chunk id');
  return field;
}

function readIds(reader: Reader): Buffer[] {
  const count = reader.u32();
  if (count * DIGEST_BYTES > reader.remaining) throw reader.corrupt('ends too early');
  return Array.from({ length: count }, () => reader.bytes(DIGEST_BYTES));
}
