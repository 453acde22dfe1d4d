/**
 * How files get from the walk to the threads and their answers back: small ones in batches, big ones
 * in segments, a file of several names once.
 */
import { MIB } from '../domain/units.ts';
import type { EntryStatus } from '../store/source-tree.ts';
import { type CutPool, type FileAnswer, type FileOrder, SEGMENT_BYTES } from './cut-pool.ts';
import { SegmentedFile } from './segmented-file.ts';

const BATCH_FILES = 256;
const BATCH_BYTES = 4 * MIB;
/** What opening a file costs, in bytes read: keeps batches of tiny files from growing long. */
const FILE_COST_BYTES = 4096;
/** Files from here on are worked on by all threads. */
const SEGMENTED_BYTES = 2 * SEGMENT_BYTES;
/** Big files that may wait while the walk goes on. */
const SEGMENTED_MAX = 64;
/** Files of several names that wait for more of them: 100 MB. */
const GROUPS_MAX = 200_000;
const BLOCK_BYTES = 512;

export type OnAnswer = (answer: FileAnswer) => void;

export interface FeedCounts {
  /** Of files that are read again: their sizes, the data handed to the threads, and read by them so far. */
  rereadBytes: number;
  sentBytes: number;
  readBytes: number;
  changedWhileRead: number;
}

/** Names of one file: the first is read, the others wait for its answer. */
export interface LinkGroup {
  readonly waiting: OnAnswer[];
  answer?: FileAnswer;
  /** Names met so far. */
  met: number;
}

export class FileFeed {
  readonly #pool: CutPool;
  readonly #counts: FeedCounts;
  readonly #groups = new Map<string, LinkGroup>();
  readonly #segmented: SegmentedFile[] = [];
  #batch: { order: FileOrder; onAnswer: OnAnswer }[] = [];
  #batchBytes = 0;
  #sent = false;

  constructor(pool: CutPool, counts: FeedCounts) {
    this.#pool = pool;
    this.#counts = counts;
  }

  /** Whether segments wait, and should go out before the walk goes on: a big file is read beside the walk. */
  get segmentsDue(): boolean {
    return this.#segmented.length > 0 && (this.#pool.hungry || this.#segmented.length > SEGMENTED_MAX);
  }

  /** Whether the walk should stop for the threads: a batch has gone out since it last did, or they want segments. */
  get due(): boolean {
    return this.#sent || this.segmentsDue;
  }

  /**
   * The other names of a file of several. Forgotten with the last of them; past a bound names are read
   * one by one, and their chunks found to be known.
   */
  group({ device, inode, links }: EntryStatus): LinkGroup | undefined {
    if (links < 2) return undefined;
    const key = `${device}:${inode}`;
    const group = this.#groups.get(key) ?? { waiting: [], met: 0 };
    group.met += 1;
    if (group.met >= links) this.#groups.delete(key);
    else if (group.met === 1 && this.#groups.size >= GROUPS_MAX) return undefined;
    else this.#groups.set(key, group);
    return group;
  }

  /** Has a file read, or waits for another name of it that is being read. */
  read(path: Buffer, status: EntryStatus, group: LinkGroup | undefined, onAnswer: OnAnswer): void {
    group?.waiting.push(onAnswer);
    if (group && group.waiting.length > 1) return;
    const { size, mtimeNs, ctimeNs, blocks } = status;
    const dataBytes = Math.min(size, blocks * BLOCK_BYTES);
    this.#counts.rereadBytes += size;
    this.#order({ path, stamp: { size, mtimeNs, ctimeNs }, dataBytes }, (answer) => {
      if (answer.changed) this.#counts.changedWhileRead += 1;
      if (group) tellAll(group, answer);
      else onAnswer(answer);
    });
  }

  /** Hands out the batch that is being filled. */
  sendBatch(): void {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#sent = true;
    const orders = batch.map(({ order }) => order);
    this.#counts.sentBytes += orders.reduce((sum, { dataBytes }) => sum + dataBytes, 0);
    this.#pool.batch(orders, (answers, bytes) => {
      this.#counts.readBytes += bytes;
      for (const [at, answer] of answers.entries()) batch[at]?.onAnswer(answer);
    });
  }

  /** Hands out one more segment, if one is due. */
  step(): void {
    this.#sent = false;
    if (!this.segmentsDue) return;
    const [file] = this.#segmented;
    if (file?.feed(this.#pool, this.#counts)) this.#segmented.shift();
  }

  #order(order: FileOrder, onAnswer: OnAnswer): void {
    if (order.dataBytes < order.stamp.size || order.stamp.size < SEGMENTED_BYTES) this.#addToBatch(order, onAnswer);
    else
      this.#segmented.push(
        new SegmentedFile(order, (answer) => (answer ? onAnswer(answer) : this.#addToBatch(order, onAnswer))),
      );
  }

  #addToBatch(order: FileOrder, onAnswer: OnAnswer): void {
    this.#batch.push({ order, onAnswer });
    this.#batchBytes += order.stamp.size + FILE_COST_BYTES;
    if (this.#batch.length >= BATCH_FILES || this.#batchBytes >= BATCH_BYTES) this.sendBatch();
  }
}

function tellAll(group: LinkGroup, answer: FileAnswer): void {
  group.answer = answer;
  for (const tell of group.waiting.splice(0)) tell(answer);
}
