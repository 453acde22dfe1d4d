/** What a restore could not put back, or not wholly: the first by name, all of them counted. */
import type { Mismatch } from './child-tasks.ts';
import type { PlanSpot } from './restore-piece.ts';

/** The rest is counted: results travel through histories of the owner's own. */
const NAMED_MAX = 100;

export class RestoreLosses {
  readonly #named: Mismatch[] = [];
  readonly #files = new Map<number, PlanSpot>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get named(): readonly Mismatch[] {
    return this.#named;
  }

  /** @param path below the target, as raw bytes */
  add(path: Uint8Array, reason: string): void {
    this.#count += 1;
    if (this.#named.length < NAMED_MAX) this.#named.push({ path: Buffer.from(path).toString('base64'), reason });
  }

  /** A planned file that will not be whole, so that no more is written to it. @returns false when it was lost before */
  addFile(file: PlanSpot): boolean {
    if (this.#files.has(file.position)) return false;
    this.#files.set(file.position, file);
    return true;
  }

  isLost(position: number): boolean {
    return this.#files.has(position);
  }

  /** Planned files that are not whole: what was begun of them is to be removed. */
  files(): Iterable<PlanSpot> {
    return this.#files.values();
  }
}
