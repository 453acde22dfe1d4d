/** Holds a mover back to a rate, so that a shared line stays usable and a test can hit the middle. */
import { setTimeout as sleep } from 'node:timers/promises';
import { rateAt, type Timetable } from '../domain/timetable.ts';
import { SECOND } from '../domain/units.ts';
import { waited } from './waiting.ts';

/** How long one sleep may last: a hold of minutes must not look like standing still. */
const LOOK_MS = SECOND / 2;

export class Throttle {
  readonly #bytesPerSecondMax: number;
  readonly #line: Timetable;
  readonly #now: () => Date;
  #free = 0;

  /**
   * @param bytesPerSecondMax no bound when absent
   * @param line a bound besides, by the clock
   */
  constructor(bytesPerSecondMax: number | undefined, line: Timetable = [], now = () => new Date()) {
    this.#bytesPerSecondMax = bytesPerSecondMax ?? Number.POSITIVE_INFINITY;
    this.#line = line;
    this.#now = now;
  }

  /** Returns when `bytes` more may move. Callers queue: the rate holds for all of them together. */
  async take(bytes: number): Promise<void> {
    const rate = this.#rate();
    if (rate === Number.POSITIVE_INFINITY) return;
    const now = performance.now();
    const start = Math.max(now, this.#free);
    this.#free = start + (bytes / rate) * SECOND;
    const end = this.#free;
    for (let left = end - now; left > 0; left = end - performance.now()) {
      await sleep(Math.min(left, LOOK_MS));
      waited();
      if (this.#rate() === rate) continue;
      this.#free = 0; // what waits was measured by a rate that holds no more
      return;
    }
  }

  #rate(): number {
    return Math.min(this.#bytesPerSecondMax, rateAt(this.#line, this.#now()) ?? Number.POSITIVE_INFINITY);
  }
}
