/**
 * The entries of a leaf, one after the other, as they lie: a backup compares each with what stands there now, and of
 * most nothing is wanted but to be carried over, byte for byte. Layout: tree.ts.
 */
import { CorruptError } from './cursor.ts';
import { DIGEST_BYTES } from './digest.ts';
import {
  decodeEntry,
  decodeTree,
  ENTRY_TYPES,
  type EntryType,
  isLeaf,
  type LoadRecord,
  type TreeEntry,
} from './tree.ts';

/** Of the record: its kind and the count of its entries. */
const HEAD_BYTES = 5;
/** From the end of the name. */
const AT = { mtimeNs: 10, ctimeNs: 18, device: 26, inode: 34, attributes: 46 } as const;
const [INLINE, LISTS] = [0, 1];

/** Stands before the first entry until `next`; every error is a CorruptError. */
export class LeafScan {
  readonly #record: Buffer;
  readonly #view: DataView;
  #left: number;
  #start = HEAD_BYTES;
  #nameEnd = 0;
  /** Where what its type has begins. */
  #own = 0;
  #end = HEAD_BYTES;

  /** @param record a leaf whose SHA-256 was compared with its id */
  constructor(record: Uint8Array) {
    this.#record = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
    this.#view = new DataView(record.buffer, record.byteOffset, record.byteLength);
    if (record.length < HEAD_BYTES || !isLeaf(record)) throw new CorruptError('tree: no leaf');
    this.#left = this.#view.getUint32(1, true);
  }

  /** Goes to the next entry; false when there is none. */
  next(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    this.#start = this.#end;
    this.#nameEnd = this.#start + 2 + this.#u8(this.#start + 1);
    this.#own = this.#afterAttributes(this.#nameEnd + AT.attributes);
    this.#end = this.#afterOwn();
    if (this.#end > this.#record.length) throw tooShort();
    return true;
  }

  /** Below 0 when the entry's name comes before this one, 0 when it is this one. @param name latin1 text */
  compare(name: string): number {
    const start = this.#start + 2;
    const length = Math.min(this.#nameEnd - start, name.length);
    for (let at = 0; at < length; at++) {
      const order = (this.#record[start + at] ?? 0) - name.charCodeAt(at);
      if (order !== 0) return order;
    }
    return this.#nameEnd - start - name.length;
  }

  get type(): EntryType {
    const type = ENTRY_TYPES[this.#u8(this.#start) - 1];
    if (type === undefined) throw new CorruptError('tree: unknown type of entry');
    return type;
  }

  get mtimeNs(): bigint {
    return this.#view.getBigInt64(this.#nameEnd + AT.mtimeNs, true);
  }

  get ctimeNs(): bigint {
    return this.#view.getBigInt64(this.#nameEnd + AT.ctimeNs, true);
  }

  get device(): bigint {
    return this.#view.getBigUint64(this.#nameEnd + AT.device, true);
  }

  get inode(): bigint {
    return this.#view.getBigUint64(this.#nameEnd + AT.inode, true);
  }

  /** Bytes of a file; 0 of all else. */
  get size(): number {
    return this.type === 'file' ? this.#u32(this.#own) + this.#u32(this.#own + 4) * 2 ** 32 : 0;
  }

  /** Ids of a file's chunks, 32 bytes each; `undefined` where lists hold them or its holes. */
  get chunks(): Buffer | undefined {
    const start = this.#own + 8;
    if (this.type !== 'file' || this.#u8(start) !== INLINE) return undefined;
    const bytes = this.#u32(start + 1);
    const end = start + 5 + bytes;
    const isWhole = bytes % DIGEST_BYTES === 0 && this.#u8(end) === INLINE;
    return isWhole ? this.#record.subarray(start + 5, end) : undefined;
  }

  /** Id of a directory's record. */
  get tree(): Uint8Array | undefined {
    return this.type === 'directory' ? this.#record.subarray(this.#own, this.#end) : undefined;
  }

  get name(): Buffer {
    return this.#record.subarray(this.#start + 2, this.#nameEnd);
  }

  /** As it lies. */
  get encoded(): Buffer {
    return this.#record.subarray(this.#start, this.#end);
  }

  decoded(): TreeEntry {
    return decodeEntry(this.encoded);
  }

  #afterAttributes(at: number): number {
    let end = at + 2;
    for (let left = this.#view.getUint16(this.#inside(at, 2), true); left > 0; left--) {
      end += 1 + this.#u8(end);
      end += 4 + this.#u32(end);
    }
    return end;
  }

  #afterOwn(): number {
    switch (this.type) {
      case 'file':
        return this.#afterField(this.#afterField(this.#own + 8));
      case 'directory':
        return this.#own + DIGEST_BYTES;
      case 'symlink':
        return this.#own + 2 + this.#view.getUint16(this.#inside(this.#own, 2), true);
      case 'block':
      case 'char':
        return this.#own + 8;
      default:
        return this.#own;
    }
  }

  #afterField(at: number): number {
    const [form, count] = [this.#u8(at), this.#u32(at + 1)];
    if (form > LISTS) throw new CorruptError('tree: unknown form of field');
    return at + 5 + (form === LISTS ? count * DIGEST_BYTES : count);
  }

  #u8(at: number): number {
    return this.#view.getUint8(this.#inside(at, 1));
  }

  #u32(at: number): number {
    return this.#view.getUint32(this.#inside(at, 4), true);
  }

  #inside(at: number, length: number): number {
    if (at + length > this.#record.length) throw tooShort();
    return at;
  }
}

function tooShort(): CorruptError {
  return new CorruptError('tree: ends too early');
}

/** The leaves of a directory, in order. @throws CorruptError, and what `load` throws */
export function* leavesOf(id: Uint8Array, load: LoadRecord): Generator<Uint8Array> {
  const record = load(id);
  if (isLeaf(record)) {
    yield record;
    return;
  }
  const node = decodeTree(record);
  if (node.kind !== 'node') throw new CorruptError('tree: a list where a directory should be');
  for (const leaf of node.leaves) yield load(leaf);
}
