/**
 * Sorts more records than memory holds: runs of at most 2^18 records are sorted in memory and
 * spilled, then merged. Records are of one length and begin with two u32, little-endian: the key.
 * Equal keys keep the order they came in.
 */
import { ScratchFile } from '../store/scratch-file.ts';

const RUN_RECORDS_MAX = 1 << 18;
/** The high word must leave room for the low one and the place in the run: 53 bits in all. */
export const KEY_HIGH_MAX = 2 ** 19;
export const KEY_LOW_MAX = 2 ** 16;
const BLOCK_RECORDS = 512;

export class RecordSort {
  readonly #recordBytes: number;
  readonly #directory: string;
  readonly #runRecords: number;
  readonly #runs: ScratchFile[] = [];
  #records: Buffer;
  #keys: Float64Array;
  #count = 0;
  #total = 0;

  /**
   * @param directory where runs are spilled
   * @param runRecords at most 2^18; fewer only to test the merge
   */
  constructor(recordBytes: number, directory: string, runRecords = RUN_RECORDS_MAX) {
    this.#recordBytes = recordBytes;
    this.#directory = directory;
    this.#runRecords = runRecords;
    this.#records = Buffer.allocUnsafe(Math.min(runRecords, 1024) * recordBytes);
    this.#keys = new Float64Array(Math.min(runRecords, 1024));
  }

  get length(): number {
    return this.#total;
  }

  add(record: Uint8Array): void {
    if (this.#count === this.#runRecords) this.#spill();
    if (this.#count === this.#keys.length) this.#grow();
    const at = this.#count * this.#recordBytes;
    this.#records.set(record, at);
    const high = this.#records.readUInt32LE(at);
    const low = this.#records.readUInt32LE(at + 4);
    if (high >= KEY_HIGH_MAX || low >= KEY_LOW_MAX) throw new RangeError(`record: key ${high}, ${low} is too large`);
    this.#keys[this.#count] = (high * KEY_LOW_MAX + low) * RUN_RECORDS_MAX + this.#count;
    this.#count += 1;
    this.#total += 1;
  }

  /** All records in order. Each view holds only until the next one is taken. */
  *sorted(): Generator<Buffer> {
    if (this.#runs.length === 0) {
      yield* this.#inOrder();
      return;
    }
    this.#spill();
    this.#records = Buffer.alloc(0);
    yield* merge(this.#runs.map((run) => new RunHead(run, this.#recordBytes)));
  }

  close(): void {
    for (const run of this.#runs) run.close();
  }

  *#inOrder(): Generator<Buffer> {
    const keys = this.#keys.subarray(0, this.#count).sort();
    for (const key of keys) {
      const at = (key % RUN_RECORDS_MAX) * this.#recordBytes;
      yield this.#records.subarray(at, at + this.#recordBytes);
    }
  }

  #spill(): void {
    const run = ScratchFile.create(`${this.#directory}/sorted-${this.#runs.length}`);
    for (const record of this.#inOrder()) run.append(record);
    run.flush();
    this.#runs.push(run);
    this.#count = 0;
  }

  #grow(): void {
    const records = Math.min(this.#keys.length * 2, this.#runRecords);
    const keys = new Float64Array(records);
    keys.set(this.#keys);
    const bytes = Buffer.allocUnsafe(records * this.#recordBytes);
    bytes.set(this.#records);
    this.#keys = keys;
    this.#records = bytes;
  }
}

class RunHead {
  key = 0;
  readonly #run: ScratchFile;
  readonly #recordBytes: number;
  readonly #block: Buffer;
  #position = 0;
  #at = 0;
  #end = 0;

  constructor(run: ScratchFile, recordBytes: number) {
    this.#run = run;
    this.#recordBytes = recordBytes;
    this.#block = Buffer.allocUnsafe(BLOCK_RECORDS * recordBytes);
  }

  record(): Buffer {
    return this.#block.subarray(this.#at, this.#at + this.#recordBytes);
  }

  /** False at the end of the run. */
  next(): boolean {
    this.#at += this.#recordBytes;
    if (this.#at >= this.#end) {
      this.#end = this.#run.readInto(this.#block, this.#position);
      this.#position += this.#end;
      this.#at = 0;
      if (this.#end === 0) return false;
    }
    this.key = this.#block.readUInt32LE(this.#at) * KEY_LOW_MAX + this.#block.readUInt32LE(this.#at + 4);
    return true;
  }
}

/** Of equal keys the earlier run's comes first, so order is kept over the spills. */
function* merge(heads: readonly RunHead[]): Generator<Buffer> {
  let open = heads.filter((head) => head.next());
  while (open.length > 0) {
    let least = open[0];
    for (const head of open) if (least && head.key < least.key) least = head;
    if (!least) return;
    yield least.record();
    if (!least.next()) open = open.filter((head) => head !== least);
  }
}
