/**
 * One thread of a backup, doing all of it: read, cut, hash, look up, gather into frames, and hand
 * those to its own pack. Everything is synchronous but the pack's writes, which are waited for only
 * when both of its buffers are full.
 *
 *   small    a file up to 256 KiB is read straight behind the last one into the frame that is being
 *            filled; when its chunk is known, the next file simply overwrites it
 *   large    is cut in a window of 6 MiB; neighbouring new chunks become a frame where they lie
 *   segment  the same over 4 MiB of a big file: waits for its turn to learn where its first chunk
 *            starts, finds all its cuts, passes the turn on, and only then hashes and packs
 */
import { parentPort, workerData } from 'node:worker_threads';
import { MIB } from '../domain/units.ts';
import { CHUNK_BYTES_MAX, Chunker, gearTable, WHOLE_FILE_BYTES_MAX } from '../format/chunker.ts';
import { sha256 } from '../format/digest.ts';
import { type ChunkEntry, FRAME_CHUNKS_MAX } from '../format/pack.ts';
import { failureMessage } from './child-failure.ts';
import { ChunkTable } from './chunk-table.ts';
import {
  type CutTask,
  type FileAnswer,
  type FileOrder,
  SEGMENT_BYTES,
  type SegmentTask,
  type Stamp,
  type ThreadMessage,
  type ThreadParts,
} from './cut-pool.ts';
import { OpenSource, SourceError } from './open-source.ts';
import { PackWriter } from './pack-writer.ts';
import { passGate } from './spool-gate.ts';
import { YoungGarbage } from './young-garbage.ts';

/** A file that changes while it is read is read again so many times, then kept as it was read last, and flagged. */
const READS_MAX = 3;
/** New chunks gather into a frame of at most this; a larger chunk is a frame of its own. */
const FRAME_TARGET = 1 * MIB;
const WINDOW_BYTES = SEGMENT_BYTES + CHUNK_BYTES_MAX;
const NONE = new Uint8Array(0);
const [TURN, FAILED, TAKEN] = [0, 1, 4];

class Cutter {
  readonly #table: ChunkTable;
  readonly #chunker: Chunker;
  readonly #pack: PackWriter;
  readonly #frame = Buffer.allocUnsafeSlow(FRAME_TARGET);
  #fill = 0;
  #chunks: ChunkEntry[] = [];
  /** Hashed since the thread began. */
  bytes = 0;

  constructor(parts: ThreadParts, pack: PackWriter) {
    this.#table = new ChunkTable(parts.table);
    this.#chunker = new Chunker(gearTable(parts.chunkerKey), WINDOW_BYTES);
    this.#pack = pack;
  }

  async file(order: FileOrder): Promise<FileAnswer> {
    let source: OpenSource | undefined;
    try {
      source = new OpenSource(order.path, order.dataBytes < order.stamp.size);
      return await this.#settled(source, order.stamp);
    } catch (error) {
      if (error instanceof SourceError) return { chunks: NONE, failed: error.errno };
      throw error;
    } finally {
      source?.close();
    }
  }

  /**
   * Takes the next segment and waits for its turn, which is soon: whoever has the one before is cutting it, not
   * packing another. A segment whose forerunner failed is not read.
   */
  async segment({ file, turn }: SegmentTask): Promise<FileAnswer> {
    const state = new Int32Array(turn);
    const next = new Float64Array(turn, 8, 1);
    const segment = Atomics.add(state, TAKEN, 1);
    for (let at = Atomics.load(state, TURN); at !== segment; at = Atomics.load(state, TURN))
      Atomics.wait(state, TURN, at);
    let source: OpenSource | undefined;
    let cuts: number[] = [];
    let changed = false;
    try {
      if (Atomics.load(state, FAILED) === 1) return { chunks: NONE, segment, changed: true };
      source = new OpenSource(file.path, false);
      [cuts, next[0]] = this.#segmentCuts(source, file.stamp.size, segment, next[0] ?? 0);
      changed = !isSame(source.stamp(), file.stamp);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      Atomics.store(state, FAILED, 1);
      return { chunks: NONE, segment, failed: error.errno };
    } finally {
      Atomics.store(state, TURN, segment + 1);
      Atomics.notify(state, TURN);
      source?.close();
    }
    const ids: Buffer[] = [];
    await this.#packRuns(cuts, ids);
    return { chunks: Buffer.concat(ids), segment, ...(changed ? { changed } : {}) };
  }

  /** Closes the frame that is being filled. */
  async flush(): Promise<void> {
    if (this.#fill === 0) return;
    await this.#pack.add(this.#frame.subarray(0, this.#fill), this.#chunks);
    this.#fill = 0;
    this.#chunks = [];
  }

  /** Reads until the file was the same before and after, or the tries are used up. */
  async #settled(source: OpenSource, walked: Stamp): Promise<FileAnswer> {
    for (let [tries, before] = [1, walked]; ; tries++) {
      source.layOut(before.size);
      const small = source.dataBytes <= WHOLE_FILE_BYTES_MAX;
      if (small && (this.#fill + source.dataBytes > FRAME_TARGET || this.#chunks.length === FRAME_CHUNKS_MAX))
        await this.flush();
      const ids = small ? this.#small(source) : await this.#large(source);
      const after = source.stamp();
      const same = isSame(before, after);
      if (same || tries === READS_MAX) return answer(source, ids, { before, walked, same });
      before = after;
    }
  }

  #small(source: OpenSource): Buffer[] {
    const room = this.#frame.subarray(this.#fill, this.#fill + source.dataBytes);
    const length = source.read(room, 0);
    if (length === 0) return [];
    const id = sha256(room.subarray(0, length));
    this.bytes += length;
    if (this.#table.insert(id)) {
      this.#chunks.push({ id, length });
      this.#fill += length;
    }
    return [id];
  }

  async #large(source: OpenSource): Promise<Buffer[]> {
    const ids: Buffer[] = [];
    for (let offset = 0; ; ) {
      const length = source.read(this.#chunker.window, offset);
      const last = length < this.#chunker.window.length || offset + length >= source.dataBytes;
      const cuts = this.#cuts(length, last ? length : length - CHUNK_BYTES_MAX + 1, last);
      await this.#packRuns(cuts, ids);
      if (last) return ids;
      offset += cuts.at(-1) ?? 0;
    }
  }

  #segmentCuts(source: OpenSource, size: number, segment: number, start: number): [number[], number] {
    const end = Math.min(size, (segment + 1) * SEGMENT_BYTES);
    if (start >= end) return [[], start];
    source.layOut(size);
    const length = source.read(this.#chunker.window.subarray(0, end - start + CHUNK_BYTES_MAX), start);
    const cuts = this.#cuts(length, Math.min(length, end - start), start + length >= size);
    return [cuts, start + (cuts.at(-1) ?? 0)];
  }

  /** Where chunks end in the window, for all that start before `until`. */
  #cuts(length: number, until: number, last: boolean): number[] {
    const cuts: number[] = [];
    for (let start = 0; start < until; start = cuts.at(-1) ?? length) cuts.push(this.#chunker.cut(start, length, last));
    return cuts;
  }

  /** Hashes the window's chunks and makes frames of runs of new ones, where they lie. */
  async #packRuns(cuts: readonly number[], ids: Buffer[]): Promise<void> {
    let run: ChunkEntry[] = [];
    let [runStart, runEnd, start] = [0, 0, 0];
    const close = async (): Promise<void> => {
      if (run.length > 0) await this.#pack.add(this.#chunker.window.subarray(runStart, runEnd), run);
      run = [];
    };
    for (const end of cuts) {
      const length = end - start;
      const id = sha256(this.#chunker.window.subarray(start, end));
      ids.push(id);
      this.bytes += length;
      if (this.#table.insert(id)) {
        if (runEnd !== start || end - runStart > FRAME_TARGET) await close();
        if (run.length === 0) runStart = start;
        run.push({ id, length });
        runEnd = end;
      }
      start = end;
    }
    await close();
  }
}

interface Reading {
  readonly before: Stamp;
  readonly walked: Stamp;
  readonly same: boolean;
}

function answer(source: OpenSource, ids: Buffer[], { before, walked, same }: Reading): FileAnswer {
  const asWalked = same && before === walked;
  return {
    chunks: Buffer.concat(ids),
    ...(asWalked ? {} : { stamp: { ...before, size: source.sizeRead } }),
    ...(source.holes.length > 0 ? { holes: source.holes } : {}),
    ...(same ? {} : { changed: true }),
  };
}

function isSame(a: Stamp, b: Stamp): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}

function tell(message: ThreadMessage): void {
  parentPort?.postMessage(message);
}

async function perform(task: CutTask | { readonly type: 'end' }): Promise<void> {
  if (task.type === 'end') {
    await cutter.flush();
    await pack.end();
    tell({ type: 'ended' });
    parentPort?.close();
    return;
  }
  const [before, sealedBefore] = [cutter.bytes, pack.sealedBytes];
  const answers: FileAnswer[] = [];
  if (task.type === 'segment') answers.push(await cutter.segment(task));
  else for (const file of task.files) answers.push(await cutter.file(file));
  garbage.add(pack.sealedBytes - sealedBefore);
  tell({ type: 'answer', task: task.task, answers, bytes: cutter.bytes - before });
}

const parts: ThreadParts = workerData;
const garbage = new YoungGarbage();
const pack = new PackWriter(
  parts.pack,
  (object) => tell({ type: 'packed', object }),
  () => passGate(parts.pack.gate),
);
const cutter = new Cutter(parts, pack);
let chain = Promise.resolve();
parentPort?.on('message', (task: CutTask | { readonly type: 'end' }) => {
  chain = chain
    .then(() => perform(task))
    .catch((error: unknown) => tell({ type: 'failed', failure: failureMessage(error) }));
});
