/**
 * How hard one thread compresses. Where it waits for its packs to be taken, by a slow medium or a spool that
 * the line empties, that time is spent on a higher level, and fewer bytes are to be taken; where it does not
 * wait, the level is the lowest: above it zstd costs more time than the bytes it saves.
 */
import { MIB } from '../domain/units.ts';

/** zstd level, and its time as a multiple of the lowest's, measured on 150 programs in frames of 1 MiB. */
const LEVELS = [
  { level: 2, cost: 1 },
  { level: 3, cost: 1.35 },
  { level: 5, cost: 3.4 },
  { level: 6, cost: 6 },
  { level: 9, cost: 12 },
] as const;
/** Of plain bytes between two looks. */
const LOOK_BYTES = 16 * MIB;
/** So much of the time waited is spent: the rest is a reserve, so that no medium ever waits. */
const SPENT = 0.8;
/** A thread that waits for less of its time does not wait. */
const IDLE_LEAST = 0.05;

export class LevelChoice {
  #at = 0;
  #bytes = 0;
  #busyMs = 0;
  #waitedMs = 0;

  /** Of zstd, for the next frame. */
  get level(): number {
    return LEVELS[this.#at]?.level ?? LEVELS[0].level;
  }

  /**
   * Hears of a frame.
   * @param busyMs compressing, sealing and verifying it
   * @param waitedMs until it was taken
   */
  note(plainBytes: number, busyMs: number, waitedMs: number): void {
    this.#bytes += plainBytes;
    this.#busyMs += busyMs;
    this.#waitedMs += waitedMs;
    if (this.#bytes < LOOK_BYTES) return;
    this.#at = this.#chosen();
    this.#bytes = 0;
    this.#busyMs = 0;
    this.#waitedMs = 0;
  }

  /** All of a frame's work is taken to grow with the level, though only compressing does: it errs on the safe side. */
  #chosen(): number {
    if (this.#waitedMs < IDLE_LEAST * (this.#busyMs + this.#waitedMs)) return Math.max(0, this.#at - 1);
    const room = this.#busyMs + SPENT * this.#waitedMs;
    const lowest = this.#busyMs / (LEVELS[this.#at]?.cost ?? 1);
    return Math.max(
      this.#at,
      LEVELS.findLastIndex(({ cost }) => lowest * cost <= room),
    );
  }
}
