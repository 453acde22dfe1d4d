/**
 * What a machine remembers of its own last backup of one protection: enough to read again only what
 * changed. All of it can be lost; the next backup then reads everything again and sends nothing twice.
 *
 *   catalog/<vault id>/<machine>/<protection>/<sequence>-<run>/
 *     trees         the directories' records, one behind the other
 *     trees.table   sorted run: key (20) ‖ offset (6) ‖ length (4)
 *     known         sorted run: keys of all chunks in the packs of the set
 *     packs         the pack set's list, encoded
 *     state         what is above, in JSON, with the digest of `packs`
 *     complete      empty; written last
 *
 * Never trusted further than it can be checked: a record is hashed when it is read, a key that rots
 * is a chunk stored once more, and a generation without `complete` does not count.
 */
import type { Digest } from '../domain/names.ts';
import { MIB } from '../domain/units.ts';
import { digestOf, sha256 } from '../format/digest.ts';
import { freshScratchDirectory, listScratch, removeScratch, ScratchFile } from '../store/scratch-file.ts';
import { KEY_BYTES, RunWriter, SortedRun } from './sorted-run.ts';

const PLACE_BYTES = 10;
/** Of places in memory: those of 140,000 records. */
const HELD_BYTES = 4 * MIB;
const RECORD_BYTES = KEY_BYTES + PLACE_BYTES;

export interface CatalogState {
  readonly sequence: number;
  readonly run: string;
  readonly step: string;
  /** `points/<machine>/<sequence>-<digest>` */
  readonly point: string;
  readonly packSet: Digest;
  /** The full set that `packSet` builds on; itself when it is full. */
  readonly base: Digest;
  readonly packsDigest: Digest;
  /** Names of what stated the point: index parts, pack sets, the point. A spool keeps these until the next one. */
  readonly statedBy: readonly string[];
  /** Root tree's id, hex. */
  readonly root: string;
  /** By this machine's clock, when the walk began: what changed later than this, less two seconds, is read again. */
  readonly startedMs: number;
}

/** The last complete generation, opened for reading. */
export class Catalog {
  readonly state: CatalogState;
  readonly knownPath: string;
  readonly packs: Buffer;
  readonly #trees: ScratchFile;
  readonly #table: SortedRun;

  private constructor(path: string, state: CatalogState, packs: Buffer) {
    this.state = state;
    this.packs = packs;
    this.knownPath = `${path}/known`;
    this.#trees = ScratchFile.open(`${path}/trees`);
    this.#table = new SortedRun(`${path}/trees.table`, PLACE_BYTES, HELD_BYTES);
  }

  /** `undefined` when there is none that is whole: then everything is read again. */
  static open(directory: string): Catalog | undefined {
    for (const name of listScratch(directory).reverse()) {
      const path = `${directory}/${name}`;
      if (!listScratch(path).includes('complete')) continue;
      try {
        const state = readState(path);
        const packs = readWhole(`${path}/packs`);
        if (digestOf(packs) === state.packsDigest) return new Catalog(path, state, packs);
      } catch {
        // torn by a power cut: as good as lost
      }
    }
    return undefined;
  }

  /** The record of a directory; `undefined` when it is not there or not what its id says. */
  record(id: Uint8Array): Buffer | undefined {
    const place = this.#table.find(id);
    if (!place) return undefined;
    try {
      const bytes = this.#trees.read(place.readUIntLE(0, 6), place.readUInt32LE(6));
      return sha256(bytes).equals(id) ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  close(): void {
    this.#trees.close();
    this.#table.close();
  }
}

/** The next generation, filled while the backup runs. */
export class CatalogWriter {
  readonly path: string;
  readonly #directory: string;
  readonly #trees: ScratchFile;
  readonly #table: RunWriter;
  readonly #record = Buffer.alloc(RECORD_BYTES);

  constructor(directory: string, name: string) {
    this.#directory = directory;
    this.path = freshScratchDirectory(`${directory}/${name}`);
    this.#trees = ScratchFile.create(`${this.path}/trees`);
    this.#table = new RunWriter(`${this.path}/trees.table`, PLACE_BYTES);
  }

  addRecord(id: Uint8Array, bytes: Uint8Array): void {
    this.#record.set(id.subarray(0, KEY_BYTES));
    this.#record.writeUIntLE(this.#trees.append(bytes), KEY_BYTES, 6);
    this.#record.writeUInt32LE(bytes.length, KEY_BYTES + 6);
    this.#table.add(this.#record);
  }

  /** Writes all but the mark that makes it count. */
  seal(state: Omit<CatalogState, 'packsDigest'>, packs: Uint8Array): void {
    this.#table.finish();
    this.#trees.close();
    writeWhole(`${this.path}/packs`, packs);
    writeWhole(`${this.path}/state`, Buffer.from(JSON.stringify({ ...state, packsDigest: digestOf(packs) })));
  }

  /** From now on this is the last backup; what was before it is removed. */
  commit(): void {
    markComplete(this.#directory, this.path);
  }
}

/** Completes the generation a dead attempt of this run had sealed, once its receipt is known to stand. */
export function completeGeneration(directory: string, run: string, step: string): void {
  for (const name of listScratch(directory)) {
    const path = `${directory}/${name}`;
    const files = listScratch(path);
    if (!files.includes('state') || files.includes('complete')) continue;
    const state = readState(path);
    if (state.run === run && state.step === step) markComplete(directory, path);
  }
}

/** `0000000042-<run>`: names sort by sequence. */
export function generationName(sequence: number, run: string): string {
  return `${String(sequence).padStart(10, '0')}-${run.replaceAll(/[^\w.-]/g, '_')}`;
}

function markComplete(directory: string, path: string): void {
  writeWhole(`${path}/complete`, Buffer.alloc(0));
  for (const other of listScratch(directory))
    if (`${directory}/${other}` !== path) removeScratch(`${directory}/${other}`);
}

function readState(path: string): CatalogState {
  return JSON.parse(readWhole(`${path}/state`).toString());
}

function readWhole(path: string): Buffer {
  const file = ScratchFile.open(path);
  const bytes = file.read(0, file.length);
  file.close();
  return bytes;
}

function writeWhole(path: string, bytes: Uint8Array): void {
  const file = ScratchFile.create(path);
  file.append(bytes);
  file.close();
}
