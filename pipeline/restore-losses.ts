/** What a restore could not put back, or not wholly: the first by name, all of them counted. */
import type { Mismatch } from './child-tasks.ts';
import type { PlanSpot } from './restore-piece.ts';

/** The rest is counted: results travel through histories of the owner's own. */
const NAMED_MAX = 100;
export const CHUNKS_LOST = 'its chunks are lost';

export class RestoreLosses {
  readonly #named: Mismatch[] = [];
  readonly #files = new Map<number, { readonly spot: PlanSpot; readonly reason: string }>();
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
  addFile(spot: PlanSpot, reason: string): boolean {
    if (this.#files.has(spot.position)) return false;
    this.#files.set(spot.position, { spot, reason });
    return true;
  }

  /** Why a planned file will not be whole. */
  reasonOf({ position }: PlanSpot): string | undefined {
    return this.#files.get(position)?.reason;
  }

  isLost(position: number): boolean {
    return this.#files.has(position);
  }

  /** Planned files that are not whole: what was begun of them is to be removed. */
  files(): readonly PlanSpot[] {
    return [...this.#files.values()].map(({ spot }) => spot);
  }
}
