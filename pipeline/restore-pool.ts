/** The threads of a restore: hands runs of packs out, brings answers back. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { MIB } from '../domain/units.ts';
import type { Packing } from '../format/frame.ts';
import { type FailureMessage, failureFrom } from './child-failure.ts';
import type { PlanSpot } from './restore-piece.ts';

const THREADS_MAX = 8;
/** Of sealed bytes in one run, unless a single frame is longer; two a pack are in flight at most. */
export const RUN_BYTES = 2 * MIB;

export interface ThreadSetting {
  readonly root: string;
  /** Path of the plan's files. */
  readonly files: string;
}

export interface FrameOrder {
  readonly number: number;
  /** In the pack. */
  readonly offset: number;
  readonly sealedBytes: number;
  readonly plainBytes: number;
  readonly packing: Packing;
  /** Encoded, one behind the other. */
  readonly pieces: Uint8Array;
}

/** Of a batch, for all its runs. */
export interface BatchShare {
  /** i32 a file of several pieces: how many are still to come. */
  readonly remaining: SharedArrayBuffer;
  /** Whether files may be there that an earlier attempt began. */
  readonly again: boolean;
}

export interface RunOrder extends BatchShare {
  readonly order: number;
  readonly key: Uint8Array;
  readonly headerBytes: Uint8Array;
  /** Sealed bytes of the pack, from `start` on. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly start: number;
  readonly frames: readonly FrameOrder[];
}

/** A file that is not, or not wholly, as it was. */
export interface FileLoss {
  readonly file: PlanSpot;
  readonly reason: string;
  /** It is there, but for its owner or an attribute. */
  readonly kept?: boolean;
}

export interface RunAnswer {
  bytes: number;
  files: number;
  /** Frames that did not verify. */
  readonly broken: number[];
  readonly losses: FileLoss[];
}

export type WriterMessage =
  | { readonly type: 'answer'; readonly order: number; readonly answer: RunAnswer; readonly room: ArrayBuffer }
  | { readonly type: 'failed'; readonly failure: FailureMessage };

interface Waiting {
  readonly resolve: (answer: RunAnswer) => void;
  readonly reject: (error: unknown) => void;
}

export class RestorePool {
  readonly #threads: Worker[] = [];
  readonly #waiting = new Map<number, Waiting>();
  /** Memory of runs that are through: new memory would have to be cleared, page by page. */
  readonly #rooms: ArrayBuffer[] = [];
  #orders = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(setting: ThreadSetting, threads = availableParallelism()) {
    for (let left = Math.max(1, Math.min(threads, THREADS_MAX)); left > 0; left--) this.#start(setting);
  }

  get size(): number {
    return this.#threads.length;
  }

  /** Memory for a run's bytes, all of it the caller's until it is sent. */
  room(length: number): Buffer<ArrayBuffer> {
    const free = length <= RUN_BYTES ? this.#rooms.pop() : undefined;
    return free ? Buffer.from(free) : Buffer.allocUnsafeSlow(Math.max(length, RUN_BYTES));
  }

  /** The run's bytes, which lie in a room, move to the thread. @throws what a thread threw, whichever */
  async send(thread: number, run: Omit<RunOrder, 'order'>): Promise<RunAnswer> {
    if (this.#failure) throw this.#failure.error;
    const order = this.#orders++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(order, { resolve, reject });
      this.#threads[thread]?.postMessage({ ...run, order }, [run.bytes.buffer]);
    });
  }

  /** Threads end by themselves: one that is ended while it still loads a native module takes the process with it. */
  async close(): Promise<void> {
    const ends = this.#threads.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
    for (const worker of this.#threads) worker.postMessage('end');
    await Promise.all(ends);
  }

  #start(setting: ThreadSetting): void {
    const worker = new Worker(threadUrl(), {
      workerData: setting,
      trackUnmanagedFds: false, // they are opened by system calls that Node does not know of
      resourceLimits: { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 96 },
    });
    worker.on('message', (message: WriterMessage) => this.#hear(message));
    worker.on('error', (error) => this.#fail(error));
    this.#threads.push(worker);
  }

  #hear(message: WriterMessage): void {
    if (message.type === 'failed') {
      this.#fail(failureFrom(message.failure));
      return;
    }
    if (message.room.byteLength === RUN_BYTES) this.#rooms.push(message.room);
    this.#waiting.get(message.order)?.resolve(message.answer);
    this.#waiting.delete(message.order);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function threadUrl(): URL {
  const here = import.meta.url;
  return new URL(here.endsWith('.ts') ? '../dist/pipeline/restore-thread.js' : './restore-thread.js', here);
}
