/**
 * What the cipher returns lies outside the heap, in slices that are garbage at once. The collector counts them, and
 * marks the whole heap for each 64 MiB; collecting the young alone, more often, lets them go for a tenth of that.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MIB } from '../domain/units.ts';

const COLLECT_EVERY_BYTES = 4 * MIB;

let collect: (() => void) | undefined;

/** Counts what is to be collected of one thread. */
export class YoungGarbage {
  #bytes = 0;

  /** So many bytes were made and dropped since the last call. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= COLLECT_EVERY_BYTES) return;
    this.#bytes = 0;
    collect ??= collector();
    collect();
  }
}

/** The collector's own switch: there is no other way to ask for a collection of the young only. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  const gc: (options: { type: 'minor' }) => void = runInNewContext('gc');
  return () => gc({ type: 'minor' });
}
