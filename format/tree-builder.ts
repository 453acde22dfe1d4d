/**
 * Writing a tree's records: fields, leaves as they fill, the node above them. Layout: tree.ts.
 */
import { Writer } from './cursor.ts';
import { DIGEST_BYTES } from './digest.ts';
import {
  EMPTY_FIELD,
  ENTRY_TYPES,
  HOLE_BYTES,
  type Hole,
  LEAF,
  LIST,
  type LongField,
  MODE_MAX,
  NODE,
  type TreeEntry,
} from './tree.ts';

/** A leaf is closed when it has grown past this; an entry takes at most 64 KiB of each field and its attributes. */
const LEAF_BYTES_MAX = 512 * 1024;
/**
 * From here on a leaf ends at the first name whose hash says so, one in 256: what comes or goes changes
 * one leaf or two of a big directory, not all behind it. Readers do not care where leaves end.
 */
const LEAF_BYTES_MIN = 64 * 1024;
const LEAF_END_MASK = 255;
const INLINE_BYTES_MAX = 64 * 1024;
const LIST_BYTES = 256 * 1024;

/** Stores a record; returns its id. */
export type StoreRecord = (record: Buffer) => Uint8Array;

/** A field of these bytes; what is long goes to list records. */
export function longField(bytes: Uint8Array, store: StoreRecord): LongField {
  if (bytes.length <= INLINE_BYTES_MAX) return { bytes };
  const lists: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += LIST_BYTES) {
    const part = bytes.subarray(at, at + LIST_BYTES);
    lists.push(store(new Writer(part.length + 1).u8(LIST).bytes(part).finish()));
  }
  return { lists };
}

/** The field of a file's holes. */
export function holesField(holes: readonly Hole[], store: StoreRecord): LongField {
  if (holes.length === 0) return EMPTY_FIELD;
  const writer = new Writer(holes.length * HOLE_BYTES);
  for (const [offset, length] of holes) writer.u64(offset).u64(length);
  return longField(writer.finish(), store);
}

/**
 * Stores a directory, entry by entry in order of name: as one leaf, or as a node of several. Leaves
 * are stored as they fill, so a directory of millions costs the memory of one.
 */
export class TreeBuilder {
  readonly #store: StoreRecord;
  readonly #leaves: Uint8Array[] = [];
  #writer = new Writer(4096);
  #count = 0;
  #last: Uint8Array | undefined;

  constructor(store: StoreRecord) {
    this.#store = store;
  }

  /** @throws RangeError when its name does not come after the last one's */
  add(entry: TreeEntry): void {
    this.#follows(entry.name);
    writeEntry(this.#writer, entry);
    this.#added(entry.name);
  }

  /** The same for one that another record holds: its bytes, as a LeafScan tells them. */
  addEncoded(name: Uint8Array, encoded: Uint8Array): void {
    this.#follows(name);
    this.#writer.bytes(encoded);
    this.#added(name);
  }

  #follows(name: Uint8Array): void {
    if (this.#last && Buffer.compare(this.#last, name) >= 0) throw new RangeError('tree: a name occurs twice');
  }

  #added(name: Uint8Array): void {
    this.#last = name;
    this.#count += 1;
    const bytes = this.#writer.length;
    if (bytes > LEAF_BYTES_MAX || (bytes > LEAF_BYTES_MIN && endsLeaf(name))) this.#close();
  }

  /** Stores what is left; returns the id of the whole. */
  finish(): Uint8Array {
    if (this.#count > 0 || this.#leaves.length === 0) this.#close();
    const [only] = this.#leaves;
    if (only && this.#leaves.length === 1) return only;
    const node = new Writer(this.#leaves.length * DIGEST_BYTES + 5).u8(NODE).u32(this.#leaves.length);
    for (const leaf of this.#leaves) node.bytes(leaf);
    return this.#store(node.finish());
  }

  #close(): void {
    const leaf = new Writer(this.#writer.length + 5).u8(LEAF).u32(this.#count);
    this.#leaves.push(this.#store(leaf.bytes(this.#writer.finish()).finish()));
    this.#writer = new Writer(4096);
    this.#count = 0;
  }
}

/**
 * Stores a directory; returns the id of the whole.
 * @param entries in any order
 * @throws RangeError when two have one name
 */
export function encodeTree(entries: readonly TreeEntry[], store: StoreRecord): Uint8Array {
  const builder = new TreeBuilder(store);
  for (const entry of [...entries].sort((a, b) => Buffer.compare(a.name, b.name))) builder.add(entry);
  return builder.finish();
}

/** FNV-1a (Fowler, Noll, Vo), 32 bits, folded: no secret hangs on it. */
function endsLeaf(name: Uint8Array): boolean {
  let hash = 0x811c9dc5;
  for (const byte of name) hash = Math.imul(hash ^ byte, 0x01000193);
  return ((hash ^ (hash >>> 16)) & LEAF_END_MASK) === 0;
}

function writeEntry(writer: Writer, entry: TreeEntry): void {
  writer
    .u8(ENTRY_TYPES.indexOf(entry.type) + 1)
    .bytes8(entry.name)
    .u16(entry.mode & MODE_MAX)
    .u32(entry.uid)
    .u32(entry.gid)
    .i64big(entry.mtimeNs)
    .i64big(entry.ctimeNs)
    .i64big(BigInt.asIntN(64, entry.device))
    .i64big(BigInt.asIntN(64, entry.inode))
    .u32(entry.links)
    .u16(entry.attributes.length);
  const attributes = [...entry.attributes].sort((a, b) => Buffer.compare(a.name, b.name));
  for (const { name, value } of attributes) writer.bytes8(name).bytes32(value);
  if (entry.type === 'file') {
    writer.u64(entry.size);
    writeField(writer, entry.chunks);
    writeField(writer, entry.holes);
  } else if (entry.type === 'directory') writer.bytes(entry.tree);
  else if (entry.type === 'symlink') writer.bytes16(entry.target);
  else if ('rdev' in entry) writer.i64big(BigInt.asIntN(64, entry.rdev));
}

function writeField(writer: Writer, field: LongField): void {
  if ('bytes' in field) {
    writer.u8(0).bytes32(field.bytes);
    return;
  }
  writer.u8(1).u32(field.lists.length);
  for (const id of field.lists) writer.bytes(id);
}
