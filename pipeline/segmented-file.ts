import { type CutPool, type FileAnswer, type FileOrder, newTurn, SEGMENT_BYTES } from './cut-pool.ts';

/**
 * A big file on its way through the threads, 4 MiB at a time. A file that changed meanwhile, or
 * failed in one segment, is given back to be read again in one piece.
 */
export class SegmentedFile {
  readonly #order: FileOrder;
  readonly #turn = newTurn();
  readonly #count: number;
  readonly #answers: FileAnswer[] = [];
  readonly #done: (answer: FileAnswer | undefined) => void;
  #sent = 0;
  #heard = 0;

  /** @param done is told the whole file's answer, or `undefined` when it must be read in one piece */
  constructor(order: FileOrder, done: (answer: FileAnswer | undefined) => void) {
    this.#order = order;
    this.#count = Math.ceil(order.stamp.size / SEGMENT_BYTES);
    this.#done = done;
  }

  /** Hands out the next segment; true when that was the last. Call it when the pool takes more. */
  feed(pool: CutPool, counts: { sentBytes: number; readBytes: number }): boolean {
    counts.sentBytes += Math.min(SEGMENT_BYTES, this.#order.stamp.size - this.#sent * SEGMENT_BYTES);
    this.#sent += 1;
    pool.segment({ file: this.#order, turn: this.#turn }, ([answer], bytes) => {
      counts.readBytes += bytes;
      this.#hear(answer);
    });
    return this.#sent === this.#count;
  }

  #hear(answer: FileAnswer | undefined): void {
    if (answer?.segment !== undefined) this.#answers[answer.segment] = answer;
    this.#heard += 1;
    if (this.#heard < this.#count) return;
    const whole = this.#answers.every(({ changed, failed }) => !changed && failed === undefined);
    this.#done(whole ? { chunks: Buffer.concat(this.#answers.map(({ chunks }) => chunks)) } : undefined);
  }
}
