/** Chunks cover a file's data with its holes left out: this says where in the file their bytes lie. */
import { CorruptError } from '../format/cursor.ts';
import type { Hole } from '../format/tree.ts';

/** Offset in the file, and length. */
export type Extent = readonly [offset: number, length: number];

export class DataLayout {
  readonly #size: number;
  readonly #holes: readonly Hole[];
  #hole = 0;
  #at = 0;

  /** @param holes in order, none overlapping, all within `size` */
  constructor(size: number, holes: readonly Hole[]) {
    this.#size = size;
    this.#holes = holes;
    this.#skipHoles();
  }

  /** Where the next `length` bytes of data lie. @throws CorruptError when the file has no such room */
  take(length: number): Extent[] {
    const extents: Extent[] = [];
    for (let left = length; left > 0; ) {
      const end = this.#holes[this.#hole]?.[0] ?? this.#size;
      const bytes = Math.min(left, end - this.#at);
      if (bytes <= 0) throw new CorruptError('tree: more data than its file has room for');
      extents.push([this.#at, bytes]);
      this.#at += bytes;
      left -= bytes;
      this.#skipHoles();
    }
    return extents;
  }

  /** Whether all data was taken. */
  get isComplete(): boolean {
    return this.#at === this.#size;
  }

  #skipHoles(): void {
    for (let hole = this.#holes[this.#hole]; hole && hole[0] === this.#at; hole = this.#holes[this.#hole]) {
      this.#at += hole[1];
      this.#hole += 1;
    }
  }
}
