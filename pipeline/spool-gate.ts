/**
 * Keeps a spool, or a limited staging, within its bounds: a pack may begin only where there is room for a
 * whole one. The child's main thread looks at what lies there twice a second, and lets so many packs begin
 * as fit beside it and beside those under way; what was packed and not counted yet counts twice until then.
 * A bound too small for that still lets one begin whenever nothing is there, so that a backup is slow rather
 * than stuck.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SECOND } from '../domain/units.ts';
import { waited } from './waiting.ts';

const LOOK_MS = SECOND / 2;
/** Words of the shared memory: packs that have begun, and how many may have. Unbounded when the second is 0. */
const [BEGUN, ALLOWED] = [0, 1];

/** Shared with the threads; all zero is open. */
export function newGate(): SharedArrayBuffer {
  return new SharedArrayBuffer(8);
}

/** Counts a pack that begins, if it may. */
function tryPass(state: Int32Array): boolean {
  for (;;) {
    const allowed = Atomics.load(state, ALLOWED);
    const begun = Atomics.load(state, BEGUN);
    if (allowed !== 0 && begun >= allowed) return false;
    if (Atomics.compareExchange(state, BEGUN, begun, begun + 1) === begun) return true;
  }
}

/** A thread's side: returns once a pack may begin. */
export function passGate(gate: SharedArrayBuffer): void {
  const state = new Int32Array(gate);
  for (let allowed = Atomics.load(state, ALLOWED); !tryPass(state); allowed = Atomics.load(state, ALLOWED))
    Atomics.wait(state, ALLOWED, allowed, LOOK_MS);
}

/** The same where the thread must not stop: on the main thread, which opens the gate. */
export async function waitAtGate(gate: SharedArrayBuffer): Promise<void> {
  const state = new Int32Array(gate);
  while (!tryPass(state)) await sleep(LOOK_MS / 10);
}

/** The main thread's side: until `stop` is called. */
export class SpoolGate {
  readonly #state: Int32Array;
  readonly #usedBytes: () => Promise<number>;
  readonly #bytesMax: number;
  readonly #packBytes: number;
  readonly #timer: NodeJS.Timeout;
  #packed = 0;

  /**
   * Shut until it has looked.
   * @param usedBytes what lies there now
   * @param bounds its own, and how large a pack may become
   */
  constructor(
    gate: SharedArrayBuffer,
    usedBytes: () => Promise<number>,
    bounds: { readonly bytesMax: number; readonly packBytes: number },
  ) {
    this.#state = new Int32Array(gate);
    this.#usedBytes = usedBytes;
    this.#bytesMax = bounds.bytesMax;
    this.#packBytes = bounds.packBytes;
    Atomics.store(this.#state, ALLOWED, -1);
    void this.look();
    this.#timer = setInterval(() => void this.look(), LOOK_MS);
  }

  /** A pack that had begun lies there now. */
  packed(): void {
    this.#packed += 1;
  }

  /** Lets more begin, or none. A place that cannot be looked at stays as it is: writing to it will say why. */
  async look(): Promise<void> {
    const packed = this.#packed; // what is packed from now on may not be seen below
    const used = await this.#usedBytes().catch(() => undefined);
    if (used === undefined) return;
    const begun = Atomics.load(this.#state, BEGUN);
    const room = Math.floor((this.#bytesMax - used) / this.#packBytes) - (begun - packed);
    const more = Math.max(used === 0 ? 1 : 0, room);
    if (more === 0) waited(); // the mover's own step sees whether it is stuck
    this.#allow(begun + more || -1);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#allow(0);
  }

  #allow(packs: number): void {
    Atomics.store(this.#state, ALLOWED, packs);
    Atomics.notify(this.#state, ALLOWED);
  }
}
