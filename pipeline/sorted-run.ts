/**
 * Sorted files of fixed records, for what is too many for memory: known chunks, where they lie,
 * where a directory's record lies.
 *
 *   record   key (20: the first bytes of a SHA-256) ‖ payload (the same length in every record)
 *   order    by key, no key twice
 *
 * Keys are uniform between the first and the last, so the place of one is nearly its share of what lies between:
 * two small reads find it or its absence, whatever the size of the file, and none where it lies outside.
 */
import { removeScratch, ScratchFile } from '../store/scratch-file.ts';

/** 160 bits: nobody can make two chunks that share them. */
export const KEY_BYTES = 20;
/** Bytes of one reading step; one read mostly decides. */
const WINDOW_BYTES = 4096;
/** Guesses before keys are taken for uneven, and what is left is halved. */
const GUESSES_MAX = 4;
const BLOCK_BYTES = 64 * 1024;
/** Records sorted in memory at once: 5 to 10 MiB. */
const PIECE_RECORDS = 256 * 1024;

/** A run opened for looking up and for merging. Not shared between threads. */
export class SortedRun {
  readonly #file: ScratchFile;
  readonly #size: number;
  readonly #perWindow: number;
  readonly #window: Buffer;
  /** The whole file, where it is small enough to be held: a lookup is then no read. */
  readonly #held: Buffer | undefined;
  /** Shares of the first key and the last: a run may be one part of several, cut by key. */
  readonly #bounds: readonly [number, number];
  readonly count: number;

  /** @param heldMax bytes that may be held in memory */
  constructor(path: string, payloadBytes = 0, heldMax = 0) {
    this.#file = ScratchFile.open(path);
    this.#size = KEY_BYTES + payloadBytes;
    this.count = Math.floor(this.#file.length / this.#size);
    this.#perWindow = Math.max(2, Math.floor(WINDOW_BYTES / this.#size));
    this.#window = Buffer.allocUnsafe(this.#perWindow * this.#size);
    this.#held = this.#file.length <= heldMax ? this.#file.read(0, this.#file.length) : undefined;
    this.#bounds = this.count > 0 ? [this.#shareAt(0), this.#shareAt(this.count - 1)] : [1, 0];
  }

  get path(): string {
    return this.#file.path;
  }

  /** Bytes held in memory. */
  get held(): number {
    return this.#held?.length ?? 0;
  }

  has(id: Uint8Array): boolean {
    return this.find(id) !== undefined;
  }

  /** The payload beside the key; valid until the next call. */
  find(id: Uint8Array): Buffer | undefined {
    const key = Buffer.from(id.buffer, id.byteOffset, KEY_BYTES);
    const wanted = share(key, 0);
    let [low, high] = [0, this.count];
    let [least, most] = this.#bounds;
    if (wanted < least || wanted > most) return undefined;
    for (let guesses = 0; low < high; guesses += 1) {
      const part = guesses < GUESSES_MAX && most > least ? (wanted - least) / (most - least) : 1 / 2;
      const guess = low + Math.floor(part * (high - low));
      const start = Math.max(low, Math.min(guess - (this.#perWindow >> 1), high - this.#perWindow));
      const end = Math.min(start + this.#perWindow, high);
      const window = this.#records(start, end);
      const last = window.length - this.#size;
      if (orderOf(key, window, 0) < 0) {
        [high, most] = [start, share(window, 0)];
      } else if (orderOf(key, window, last) > 0) {
        [low, least] = [end, share(window, last)];
      } else {
        return search(window, key, this.#size);
      }
    }
    return undefined;
  }

  /** All records in order; each valid until the next is taken. */
  *records(): Generator<Buffer> {
    const block = Buffer.allocUnsafe(Math.floor(BLOCK_BYTES / this.#size) * this.#size);
    for (let at = 0; at < this.count * this.#size; at += block.length) {
      const read = this.#file.readInto(block, at);
      yield* slices(block.subarray(0, read), this.#size);
    }
  }

  close(): void {
    this.#file.close();
  }

  /** Records from one number to another; valid until the next call. */
  #records(start: number, end: number): Buffer {
    if (this.#held) return this.#held.subarray(start * this.#size, end * this.#size);
    const window = this.#window.subarray(0, (end - start) * this.#size);
    this.#file.readInto(window, start * this.#size);
    return window;
  }

  #shareAt(number: number): number {
    return share(this.#records(number, number + 1), 0);
  }
}

function share(bytes: Buffer, at: number): number {
  return bytes.readUIntBE(at, 6) / 2 ** 48;
}

/** Bytes that runs hold in memory together. */
export function heldBytes(runs: readonly SortedRun[]): number {
  return runs.reduce((sum, { held }) => sum + held, 0);
}

/** As `compare` tells it; the first bytes mostly decide, and comparing two numbers is no call out of JavaScript. */
function orderOf(key: Buffer, window: Buffer, at: number): number {
  return key.readUInt32BE(0) - window.readUInt32BE(at) || key.compare(window, at, at + KEY_BYTES);
}

function search(window: Buffer, key: Buffer, size: number): Buffer | undefined {
  let [low, high] = [0, window.length / size];
  while (low < high) {
    const middle = (low + high) >> 1;
    const at = middle * size;
    const order = orderOf(key, window, at);
    if (order === 0) return window.subarray(at + KEY_BYTES, at + size);
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return undefined;
}

/** `bytes` in records of `size`. */
export function* slices(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at + size <= bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Makes a run of records that come in any order, however many: sorted in pieces, which are merged. */
export class RunWriter {
  readonly #path: string;
  readonly #size: number;
  readonly #pieceRecords: number;
  readonly #pieces: SortedRun[] = [];
  #records: Buffer;
  #fill = 0;

  /** @param pieceRecords how many are sorted in memory at once; fewer only to test the merge */
  constructor(path: string, payloadBytes = 0, pieceRecords = PIECE_RECORDS) {
    this.#path = path;
    this.#size = KEY_BYTES + payloadBytes;
    this.#pieceRecords = pieceRecords;
    this.#records = Buffer.allocUnsafe(Math.min(pieceRecords, 1024) * this.#size);
  }

  /** Key and payload, as one record. */
  add(record: Uint8Array): void {
    if (this.#fill + this.#size > this.#records.length) this.#grow();
    this.#records.set(record, this.#fill);
    this.#fill += this.#size;
  }

  /** Writes the run; of equal keys the earlier record stays. Returns how many there are. */
  finish(): number {
    const last = sortRecords(this.#records.subarray(0, this.#fill), this.#size);
    const pieces = [...this.#pieces.map((piece) => piece.records()), slices(last, this.#size)];
    const count = mergeRuns(pieces, this.#path);
    this.#pieces.forEach((piece, number) => {
      piece.close();
      removeScratch(this.#piecePath(number));
    });
    return count;
  }

  #grow(): void {
    if (this.#records.length < this.#pieceRecords * this.#size) {
      const larger = Buffer.allocUnsafe(Math.min(this.#records.length * 2, this.#pieceRecords * this.#size));
      this.#records.copy(larger);
      this.#records = larger;
      return;
    }
    const path = this.#piecePath(this.#pieces.length);
    const file = ScratchFile.create(path);
    file.append(sortRecords(this.#records, this.#size));
    file.close();
    this.#pieces.push(new SortedRun(path, this.#size - KEY_BYTES));
    this.#fill = 0;
  }

  #piecePath(number: number): string {
    return `${this.#path}.piece-${number}`;
  }
}

/** Sorts records of `size` bytes by key; of equal keys the first stays first. A new buffer. */
export function sortRecords(records: Buffer, size: number): Buffer {
  const order = Uint32Array.from({ length: Math.floor(records.length / size) }, (_, at) => at * size);
  order.sort((a, b) => records.compare(records, b, b + KEY_BYTES, a, a + KEY_BYTES));
  const sorted = Buffer.allocUnsafe(order.length * size);
  order.forEach((from, at) => {
    records.copy(sorted, at * size, from, from + size);
  });
  return sorted;
}

/** Merges sorted streams of records into one run; of equal keys the first stream's stays. Returns how many. */
export function mergeRuns(streams: readonly Iterable<Buffer>[], path: string): number {
  const out = ScratchFile.create(path);
  const heads = streams.map((stream) => {
    const iterator = stream[Symbol.iterator]();
    return { iterator, record: iterator.next().value };
  });
  const last = Buffer.alloc(KEY_BYTES);
  let count = 0;
  for (;;) {
    let least: (typeof heads)[number] | undefined;
    for (const head of heads) {
      if (!head.record) continue;
      if (!least?.record || head.record.compare(least.record, 0, KEY_BYTES, 0, KEY_BYTES) < 0) least = head;
    }
    if (!least?.record) break;
    if (count === 0 || last.compare(least.record, 0, KEY_BYTES) !== 0) {
      last.set(least.record.subarray(0, KEY_BYTES));
      out.append(least.record);
      count += 1;
    }
    least.record = least.iterator.next().value;
  }
  out.close();
  return count;
}
