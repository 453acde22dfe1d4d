/**
 * Which chunks are there already, asked and answered by all threads at once.
 *
 *   known    sorted runs of 20-byte keys on disk: the catalog's, and what this table spilled
 *   fresh    one SharedArrayBuffer, open addressing, a slot of 6 words: key (5), state (1)
 *   state    0 empty → 1 claimed (compare-and-swap) → 2 ready; a slot never goes back
 *
 * A key is the first 160 bits of the chunk's id: 128 could be collided on purpose by who may plant
 * files. Slots lie in key order (the key's top bits choose the place), so a sorted run is one pass.
 * At 3/4 full the table grows in place; at its bound it is written out as a run and emptied: memory
 * is bounded by the table, not by the source. To do either, one thread holds all others for a moment.
 */
import { ScratchFile, sameScratch } from '../store/scratch-file.ts';
import { heldBytes, KEY_BYTES, mergeRuns, SortedRun, slices } from './sorted-run.ts';

const SLOT_WORDS = 6;
const HEADER_WORDS = 16;
const [BITS, COUNT, ACTIVE, HELD, RUNS] = [0, 1, 2, 3, 4];
const BITS_FIRST = 14;
/** 2^21 slots are 48 MiB: 1.5 million chunks between two spills. */
const BITS_MAX = 21;
/** Probing runs over the end instead of wrapping, which keeps the order. */
const OVERHANG_SLOTS = 4096;
const [EMPTY, CLAIMED, READY] = [0, 1, 2];

export interface ChunkTableParts {
  readonly memory: SharedArrayBuffer;
  /** Sorted key runs that were there before. */
  readonly known: readonly string[];
  /** Where runs are spilled: `run-0`, `run-1`, … */
  readonly directory: string;
  /** Bytes of known runs that this thread may hold in memory, so that a lookup is no read; none when absent. */
  readonly heldMax?: number;
}

/** Memory for a table of at most 2^`bits` slots; pages are touched as it grows. */
export function newTableMemory(bits = BITS_MAX): SharedArrayBuffer {
  const words = HEADER_WORDS + slotsOf(bits) * SLOT_WORDS;
  const memory = new SharedArrayBuffer(words * 4);
  new Int32Array(memory)[BITS] = Math.min(BITS_FIRST, bits);
  return memory;
}

/** One thread's view of the table. */
export class ChunkTable {
  readonly #words: Int32Array;
  readonly #bitsMax: number;
  readonly #known: SortedRun[];
  readonly #spilled: SortedRun[] = [];
  readonly #directory: string;

  constructor({ memory, known, directory, heldMax = 0 }: ChunkTableParts) {
    this.#words = new Int32Array(memory);
    const slots = (this.#words.length - HEADER_WORDS) / SLOT_WORDS - OVERHANG_SLOTS;
    this.#bitsMax = Math.log2(slots);
    this.#known = [];
    for (const path of known) this.#known.push(new SortedRun(path, 0, heldMax - heldBytes(this.#known)));
    this.#directory = directory;
  }

  /** True for the one caller, of all threads, that must store the chunk. */
  insert(id: Uint8Array): boolean {
    this.#enter();
    let claimed = false;
    try {
      claimed = !this.#inRuns(id) && this.#claim(id);
    } finally {
      this.#leave();
    }
    if (claimed && this.#at(COUNT) > this.#limit()) this.#relieve();
    return claimed;
  }

  /** Whether it is known from before, without claiming it. */
  has(id: Uint8Array): boolean {
    this.#enter();
    try {
      return this.#inRuns(id) || this.#find(id);
    } finally {
      this.#leave();
    }
  }

  /** Writes all keys, known and fresh, sorted, to a new run. Call when all threads are done. */
  mergeInto(path: string): number {
    const fresh = this.#collect();
    const runs = [...this.#known, ...this.#spilledRuns()].filter(({ count }) => count > 0);
    const [only] = runs;
    if (only && runs.length === 1 && fresh.length === 0) {
      sameScratch(only.path, path);
      return only.count;
    }
    return mergeRuns([...runs.map((run) => run.records()), slices(fresh, KEY_BYTES)], path);
  }

  close(): void {
    for (const run of [...this.#known, ...this.#spilled]) run.close();
  }

  #at(word: number): number {
    return Atomics.load(this.#words, word);
  }

  #limit(): number {
    return 0.75 * 2 ** this.#at(BITS);
  }

  #slot(id: Uint8Array): number {
    return HEADER_WORDS + (word(id, 0) >>> (32 - this.#at(BITS))) * SLOT_WORDS;
  }

  /** Behind the last slot in use. */
  #end(): number {
    return HEADER_WORDS + slotsOf(this.#at(BITS)) * SLOT_WORDS;
  }

  #claim(id: Uint8Array): boolean {
    const words = this.#words;
    const end = this.#end();
    for (let slot = this.#slot(id); slot < end; slot += SLOT_WORDS) {
      const state = Atomics.compareExchange(words, slot + 5, EMPTY, CLAIMED);
      if (state === EMPTY) {
        for (let part = 0; part < 5; part++) words[slot + part] = word(id, part);
        Atomics.store(words, slot + 5, READY);
        Atomics.add(words, COUNT, 1);
        return true;
      }
      if (this.#holds(slot, id)) return false;
    }
    return true; // no room past the end: stored once more than needed, never once too few
  }

  #find(id: Uint8Array): boolean {
    const end = this.#end();
    for (let slot = this.#slot(id); slot < end; slot += SLOT_WORDS) {
      if (this.#at(slot + 5) === EMPTY) return false;
      if (this.#holds(slot, id)) return true;
    }
    return false;
  }

  #holds(slot: number, id: Uint8Array): boolean {
    while (this.#at(slot + 5) !== READY); // its writer is five stores away
    for (let part = 0; part < 5; part++) if (this.#words[slot + part] !== word(id, part)) return false;
    return true;
  }

  #inRuns(id: Uint8Array): boolean {
    return this.#known.some((run) => run.has(id)) || this.#spilledRuns().some((run) => run.has(id));
  }

  #spilledRuns(): SortedRun[] {
    while (this.#spilled.length < this.#at(RUNS))
      this.#spilled.push(new SortedRun(this.#runPath(this.#spilled.length)));
    return this.#spilled;
  }

  #runPath(number: number): string {
    return `${this.#directory}/run-${number}`;
  }

  #enter(): void {
    for (;;) {
      while (this.#at(HELD) === 1) Atomics.wait(this.#words, HELD, 1);
      Atomics.add(this.#words, ACTIVE, 1);
      if (this.#at(HELD) === 0) return;
      this.#leave();
    }
  }

  #leave(): void {
    Atomics.sub(this.#words, ACTIVE, 1);
    Atomics.notify(this.#words, ACTIVE);
  }

  /** Grows the table, or spills it, while nobody else is inside. */
  #relieve(): void {
    if (Atomics.compareExchange(this.#words, HELD, 0, 1) !== 0) return; // another thread is at it
    for (let inside = this.#at(ACTIVE); inside > 0; inside = this.#at(ACTIVE))
      Atomics.wait(this.#words, ACTIVE, inside, 10);
    try {
      if (this.#at(COUNT) > this.#limit()) this.#makeRoom();
    } finally {
      Atomics.store(this.#words, HELD, 0);
      Atomics.notify(this.#words, HELD);
    }
  }

  #makeRoom(): void {
    const keys = this.#collect();
    const bits = this.#at(BITS);
    this.#words.fill(0, HEADER_WORDS, this.#end()); // what was never touched takes no memory
    Atomics.store(this.#words, COUNT, 0);
    if (bits < this.#bitsMax) {
      Atomics.store(this.#words, BITS, bits + 1);
      for (const key of slices(keys, KEY_BYTES)) this.#claim(key);
      return;
    }
    const run = ScratchFile.create(this.#runPath(this.#at(RUNS)));
    run.append(keys);
    run.close();
    Atomics.add(this.#words, RUNS, 1);
  }

  /** All fresh keys, sorted: slots are nearly in order, so insertion moves each a few places at most. */
  #collect(): Buffer {
    const keys = Buffer.allocUnsafe(this.#at(COUNT) * KEY_BYTES);
    let end = 0;
    const key = Buffer.allocUnsafe(KEY_BYTES);
    const behind = this.#end();
    for (let slot = HEADER_WORDS; slot < behind && end < keys.length; slot += SLOT_WORDS) {
      if (this.#words[slot + 5] !== READY) continue;
      for (let part = 0; part < 5; part++) key.writeInt32BE(this.#words[slot + part] ?? 0, part * 4);
      let place = end;
      while (place > 0 && key.compare(keys, place - KEY_BYTES, place) < 0) place -= KEY_BYTES;
      keys.copyWithin(place + KEY_BYTES, place, end);
      key.copy(keys, place);
      end += KEY_BYTES;
    }
    return keys.subarray(0, end);
  }
}

function slotsOf(bits: number): number {
  return (1 << bits) + OVERHANG_SLOTS;
}

function word(id: Uint8Array, part: number): number {
  const at = part * 4;
  return ((id[at] ?? 0) << 24) | ((id[at + 1] ?? 0) << 16) | ((id[at + 2] ?? 0) << 8) | (id[at + 3] ?? 0);
}
