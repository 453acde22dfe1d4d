/**
 * The plan of a restore. A point's directories are walked from the root down; what has no bytes
 * (directories, links, devices, empty files) is made at once, what has some is planned:
 *
 *   files         what is to be set on each file, in the order of the walk
 *   pieces        which bytes of which chunk go where, sorted by pack and frame: each is read once
 *                 a batch; a batch is written while the next, of twice as many, is planned
 *   links         further names of files that have several
 *   directories   what is to be set on them, once nothing is made in them any more
 *
 * All four lie on disk; memory holds the directories still to be walked, a number for each file of
 * several pieces, and a path for each of several names.
 */

import type { TreeEntry } from '../format/tree.ts';
import { freshScratchDirectory, ScratchFile } from '../store/scratch-file.ts';
import type { Attributes } from '../store/target-attributes.ts';
import { RecordSort } from './record-sort.ts';
import {
  appendValue,
  asBuffer,
  decodePlannedFile,
  encodePiece,
  encodePlannedFile,
  PIECE_BYTES,
  type Piece,
  type PlannedFile,
  type PlanSpot,
  readValue,
} from './restore-piece.ts';

const SPOT_BYTES = 12;
const COUNTERS_FIRST = 1024;
/** Pieces of the first batch; the next has twice as many, up to the largest. Packs are read at most once a batch. */
const [BATCH_FIRST, BATCH_MOST] = [16 * 1024, 1024 * 1024];
const SLASH = Buffer.from('/');

export interface PlanCounts {
  files: number;
  directories: number;
  kept: number;
  conflicts: number;
  /** To be read from packs. */
  bytes: number;
}

/** A file under its first name, and its place among the files, where it is planned. */
export interface FirstName {
  readonly path: Buffer;
  readonly file: PlanSpot | undefined;
}

export interface PlannedLink {
  readonly path: Buffer;
  readonly first: FirstName;
}

export interface PlannedDirectory {
  readonly path: Buffer;
  readonly attributes: Attributes;
}

/** What can be written while the walk goes on. */
export interface Batch {
  readonly pieces: RecordSort;
  /** i32 a file of several pieces: how many are still to come. For threads to share. */
  readonly remaining: SharedArrayBuffer;
  /** Whether any of its files is there already, begun by an earlier attempt. */
  readonly again: boolean;
}

export class RestorePlan {
  readonly filesPath: string;
  readonly #directory: string;
  #pieces: RecordSort;
  readonly #piece = Buffer.alloc(PIECE_BYTES);
  readonly #batchPieces: number;
  #batches = 0;
  /** Whether all is planned: totals are known. */
  isWhole = false;
  #again = false;
  readonly counts: PlanCounts = { files: 0, directories: 0, kept: 0, conflicts: 0, bytes: 0 };
  readonly #files: ScratchFile;
  readonly #links: SpotList;
  readonly #directories: SpotList;
  readonly #firstNames = new Map<string, FirstName>();
  #remaining = new Int32Array(COUNTERS_FIRST);
  #counters = 0;

  /**
   * @param directory empty, for this plan alone
   * @param batchPieces of the first batch; fewer only to test
   */
  constructor(directory: string, batchPieces = BATCH_FIRST) {
    this.#batchPieces = batchPieces;
    this.#directory = directory;
    this.filesPath = `${directory}/files`;
    this.#files = ScratchFile.create(this.filesPath);
    this.#links = new SpotList(`${directory}/links`);
    this.#directories = new SpotList(`${directory}/directories`);
    this.#pieces = this.#newPieces();
  }

  addPiece(piece: Piece): void {
    this.#pieces.add(encodePiece(piece, this.#piece));
    this.counts.bytes += piece.pieceLength;
  }

  /** Something of the file that is planned was there already. */
  noteBegun(): void {
    this.#again = true;
  }

  /** Whether enough is planned to be worth writing. */
  get isBatch(): boolean {
    return this.#pieces.length >= Math.min(BATCH_MOST, this.#batchPieces * 2 ** this.#batches);
  }

  /** What was planned since the last one, for threads to write; `undefined` when that is nothing. Close its pieces. */
  takeBatch(): Batch | undefined {
    if (this.#pieces.length === 0) return undefined;
    this.#files.flush();
    const remaining = new SharedArrayBuffer(Math.max(1, this.#counters) * 4);
    new Int32Array(remaining).set(this.#remaining.subarray(0, this.#counters));
    const batch = { pieces: this.#pieces, remaining, again: this.#again };
    this.#batches += 1;
    [this.#pieces, this.#counters, this.#again] = [this.#newPieces(), 0, false];
    return batch;
  }

  addFile(file: PlannedFile): PlanSpot {
    const bytes = encodePlannedFile(file);
    return { position: this.#files.append(bytes), length: bytes.length };
  }

  readFile({ position, length }: PlanSpot): PlannedFile {
    return decodePlannedFile(this.#files.read(position, length));
  }

  addLink(link: PlannedLink): void {
    this.#links.add(link);
  }

  addDirectory(directory: PlannedDirectory): void {
    this.#directories.add(directory);
  }

  /** The name under which a file was met before. */
  firstName(entry: TreeEntry): FirstName | undefined {
    return entry.links > 1 ? this.#firstNames.get(`${entry.device}:${entry.inode}`) : undefined;
  }

  rememberName(entry: TreeEntry, first: FirstName): void {
    if (entry.links > 1) this.#firstNames.set(`${entry.device}:${entry.inode}`, first);
  }

  /** A number for a file of several pieces. */
  newCounter(): number {
    if (this.#counters === this.#remaining.length) {
      const larger = new Int32Array(this.#counters * 2);
      larger.set(this.#remaining);
      this.#remaining = larger;
    }
    return this.#counters++;
  }

  setCounter(counter: number, pieces: number): void {
    this.#remaining[counter] = pieces;
  }

  /** In the order they were planned. */
  *links(): Generator<PlannedLink> {
    yield* this.#links.forwards<PlannedLink>();
  }

  /** The last planned first: what lies in a directory comes before it. */
  *directories(): Generator<PlannedDirectory> {
    yield* this.#directories.backwards<PlannedDirectory>();
  }

  close(): void {
    this.#pieces.close();
    this.#files.close();
    this.#links.close();
    this.#directories.close();
  }

  #newPieces(): RecordSort {
    return new RecordSort(PIECE_BYTES, freshScratchDirectory(`${this.#directory}/pieces-${this.#batches}`));
  }
}

/** Values on disk that are read in order, or the other way round. */
class SpotList {
  readonly #values: ScratchFile;
  readonly #spots: ScratchFile;

  constructor(path: string) {
    this.#values = ScratchFile.create(path);
    this.#spots = ScratchFile.create(`${path}.spots`);
  }

  add(value: object): void {
    const { position, length } = appendValue(this.#values, value);
    const spot = Buffer.allocUnsafe(SPOT_BYTES);
    spot.writeDoubleLE(position, 0);
    spot.writeUInt32LE(length, 8);
    this.#spots.append(spot);
  }

  *forwards<T>(): Generator<T> {
    for (let at = 0; at < this.#spots.length; at += SPOT_BYTES) yield this.#read<T>(at);
  }

  *backwards<T>(): Generator<T> {
    for (let at = this.#spots.length - SPOT_BYTES; at >= 0; at -= SPOT_BYTES) yield this.#read<T>(at);
  }

  close(): void {
    this.#values.close();
    this.#spots.close();
  }

  #read<T>(at: number): T {
    const spot = this.#spots.read(at, SPOT_BYTES);
    return readValue<T>(this.#values, { position: spot.readDoubleLE(0), length: spot.readUInt32LE(8) });
  }
}

/** A directory of the target, made when something is first put in it. */
export class TargetDirectory {
  readonly parent: TargetDirectory | undefined;
  /** Its name in the point. */
  readonly name: Buffer;
  readonly attributes: Attributes | undefined;
  path: Buffer;
  /** Made by this attempt: nothing can be in the way in it. */
  fresh = false;
  state: 'wanted' | 'there' | 'blocked' = 'wanted';

  constructor(parent: TargetDirectory | undefined, name: Buffer, attributes: Attributes | undefined) {
    this.parent = parent;
    this.name = name;
    this.attributes = attributes;
    this.path = name;
    if (!parent) this.state = 'there';
  }

  below(name: Uint8Array): Buffer {
    return this.path.length === 0 ? Buffer.from(name) : Buffer.concat([this.path, SLASH, name]);
  }
}

/** What is put back of an entry, whatever its type. */
export function attributesOf({ mode, uid, gid, mtimeNs, attributes }: TreeEntry): Attributes {
  return {
    mode,
    uid,
    gid,
    mtimeNs,
    attributes: attributes.map(({ name, value }) => ({ name: asBuffer(name), value: asBuffer(value) })),
  };
}
