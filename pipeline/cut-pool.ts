/**
 * The threads of a backup, seen from the walk: tasks go out in batches, two to a thread at most, so
 * that none starves and none hoards; answers come back in any order. Threads start with the first
 * task: a backup of nothing new needs none.
 *
 * A batch is files small enough to be worth one message together; a segment is 4 MiB of a big file,
 * which all threads work on at once. Whoever is free takes the next one of its file, and segments pass
 * the place of the next cut from one to the next, both through shared memory (`turn`).
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { MIB } from '../domain/units.ts';
import { type FailureMessage, failureFrom } from './child-failure.ts';
import type { ChunkTableParts } from './chunk-table.ts';
import type { PackedObject, PackParts } from './pack-writer.ts';

/** What a thread needs to know from its start. */
export interface ThreadParts {
  readonly number: number;
  readonly table: ChunkTableParts;
  readonly pack: PackParts;
  readonly chunkerKey: Uint8Array;
}

/** Size and times (ns) by which a change shows. */
export interface Stamp {
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export interface BatchTask {
  readonly type: 'batch';
  readonly task: number;
  readonly files: readonly FileOrder[];
}

export interface FileOrder {
  readonly path: Uint8Array;
  readonly stamp: Stamp;
  /** What its blocks can hold; fewer than its size: look for holes. */
  readonly dataBytes: number;
}

export interface SegmentTask {
  readonly type: 'segment';
  readonly task: number;
  readonly file: FileOrder;
  /** Int32 whose turn, Int32 failed, Float64 where the next chunk starts, Int32 how many were taken. */
  readonly turn: SharedArrayBuffer;
}

export type CutTask = BatchTask | SegmentTask;

/** What became of a file, or of a segment of one. */
export interface FileAnswer {
  /** Ids, 32 bytes each, in order. */
  readonly chunks: Uint8Array;
  /** Which segment of a file it is. */
  readonly segment?: number;
  /** As it was when read, where that is not as it was when walked. */
  readonly stamp?: Stamp;
  readonly holes?: readonly (readonly [number, number])[];
  /** Went on changing while it was read. */
  readonly changed?: boolean;
  /** Why there is nothing: an errno. */
  readonly failed?: string;
}

export type ThreadMessage =
  | { readonly type: 'answer'; readonly task: number; readonly answers: readonly FileAnswer[]; readonly bytes: number }
  | { readonly type: 'packed'; readonly object: PackedObject }
  | { readonly type: 'failed'; readonly failure: FailureMessage }
  | { readonly type: 'ended' };

/** Prototype: with more, memory and the directory's lock cost more than the cores give. */
const THREADS_MAX = 8;
const TASKS_A_THREAD = 2;
/** Tasks that may wait before the walk does: a few hundred files ahead of the threads. */
const QUEUE_MAX = 24;
/** Tasks that keep the threads busy while the walk looks at its next entries: a quarter of a second of segments. */
const QUEUE_LEAST = 12;

export class CutPool {
  readonly #parts: Promise<Omit<ThreadParts, 'number'>>;
  readonly #count: number;
  readonly #onPacked: (object: PackedObject) => void;
  readonly #threads: { worker: Worker; busy: number }[] = [];
  readonly #queue: CutTask[] = [];
  readonly #waiting = new Map<number, (answers: readonly FileAnswer[], bytes: number) => void>();
  #starting = false;
  #tasks = 0;
  #ended = 0;
  #failure: unknown;
  #wake: (() => void) | undefined;

  /** @param parts once the session is made; tasks wait for it */
  constructor(
    parts: Promise<Omit<ThreadParts, 'number'>>,
    threads: number | undefined,
    onPacked: (object: PackedObject) => void,
  ) {
    this.#parts = parts;
    this.#count = Math.max(1, Math.min(threads ?? availableParallelism(), THREADS_MAX));
    this.#onPacked = onPacked;
  }

  get full(): boolean {
    return this.#queue.length >= QUEUE_MAX;
  }

  /** Whether the threads may soon have nothing to do. */
  get hungry(): boolean {
    return this.#queue.length < QUEUE_LEAST;
  }

  get idle(): boolean {
    return this.#waiting.size === 0;
  }

  batch(files: readonly FileOrder[], onAnswer: (answers: readonly FileAnswer[], bytes: number) => void): void {
    this.#send({ type: 'batch', task: this.#tasks++, files }, onAnswer);
  }

  segment(
    order: Omit<SegmentTask, 'type' | 'task'>,
    onAnswer: (answers: readonly FileAnswer[], bytes: number) => void,
  ): void {
    this.#send({ type: 'segment', task: this.#tasks++, ...order }, onAnswer);
  }

  /** Lets answers in; returns at once unless `until` holds the caller. @throws what a thread threw */
  async turn(until: () => boolean): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#failure === undefined && !until())
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Has every thread close its pack, and waits for them. */
  async end(): Promise<void> {
    await this.turn(() => this.idle);
    for (const { worker } of this.#threads) worker.postMessage({ type: 'end' });
    await this.turn(() => this.#ended === this.#threads.length);
  }

  #send(task: CutTask, onAnswer: (answers: readonly FileAnswer[], bytes: number) => void): void {
    if (!this.#starting) this.#parts.then((parts) => this.#begin(parts)).catch((error: unknown) => this.#fail(error));
    this.#starting = true;
    this.#waiting.set(task.task, onAnswer);
    this.#queue.push(task);
    this.#pump();
  }

  #pump(): void {
    for (const thread of this.#threads) {
      while (thread.busy < TASKS_A_THREAD) {
        const task = this.#queue.shift();
        if (!task) return;
        thread.busy += 1;
        thread.worker.postMessage(task);
      }
    }
  }

  #begin(parts: Omit<ThreadParts, 'number'>): void {
    for (let number = 0; number < this.#count; number++) this.#start({ number, ...parts });
    this.#pump();
  }

  #start(parts: ThreadParts): void {
    const worker = new Worker(threadUrl(), {
      workerData: parts,
      resourceLimits: { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 96 },
      trackUnmanagedFds: false, // libc opens what lies deeper than PATH_MAX, Node closes it
    });
    const thread = { worker, busy: 0 };
    worker.on('message', (message: ThreadMessage) => this.#hear(thread, message));
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', (code) => {
      if (code !== 0) this.#fail(new Error('a thread of the backup ended'));
    });
    this.#threads.push(thread);
  }

  #hear(thread: { busy: number }, message: ThreadMessage): void {
    if (message.type === 'packed') {
      this.#onPacked(message.object);
    } else if (message.type === 'failed') {
      this.#fail(failureFrom(message.failure));
    } else if (message.type === 'ended') {
      this.#ended += 1;
    } else {
      thread.busy -= 1;
      const onAnswer = this.#waiting.get(message.task);
      this.#waiting.delete(message.task);
      onAnswer?.(message.answers, message.bytes);
      this.#pump();
    }
    this.#notify();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

/** A big file in how many segments; the last may be short. */
export const SEGMENT_BYTES = 4 * MIB;

/** Shared memory in which the segments of one file take turns. */
export function newTurn(): SharedArrayBuffer {
  return new SharedArrayBuffer(24);
}

function threadUrl(): URL {
  const here = import.meta.url;
  return new URL(here.endsWith('.ts') ? '../dist/pipeline/cut-thread.js' : './cut-thread.js', here);
}
