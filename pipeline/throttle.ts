/** Holds a mover back to a rate, so that a shared line stays usable and a test can hit the middle. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Hours, isWithin } from '../domain/hours.ts';
import { SECOND } from '../domain/units.ts';
import { waited } from './waiting.ts';

/** How long one sleep may last: a hold of minutes must not look like standing still. */
const LOOK_MS = SECOND / 2;

export class Throttle {
  readonly #bytesPerSecondMax: number | undefined;
  readonly #hours: Hours | undefined;
  readonly #now: () => Date;
  #free = 0;

  /**
   * @param bytesPerSecondMax no bound when absent
   * @param hours when the bound holds; always when absent
   */
  constructor(bytesPerSecondMax: number | undefined, hours?: Hours, now = () => new Date()) {
    this.#bytesPerSecondMax = bytesPerSecondMax;
    this.#hours = hours;
    this.#now = now;
  }

  /** Returns when `bytes` more may move. Callers queue: the rate holds for all of them together. */
  async take(bytes: number): Promise<void> {
    if (this.#bytesPerSecondMax === undefined || !this.#holds()) return;
    const now = performance.now();
    const start = Math.max(now, this.#free);
    this.#free = start + (bytes / this.#bytesPerSecondMax) * SECOND;
    const end = this.#free;
    for (let left = end - now; left > 0; left = end - performance.now()) {
      await sleep(Math.min(left, LOOK_MS));
      waited();
      if (this.#holds()) continue;
      this.#free = 0; // its hours are over
      return;
    }
  }

  #holds(): boolean {
    return this.#hours === undefined || isWithin(this.#hours, this.#now());
  }
}
