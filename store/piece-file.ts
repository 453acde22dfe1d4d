/**
 * Writes large files past the page cache, from a few pieces of aligned memory in turn: while some are being
 * written, the next one fills. A file may be begun while what is left of the one before is still written.
 */
import { alignedBuffer, SECTOR, wholeSectors } from './direct-memory.ts';

interface Piece {
  readonly bytes: Buffer;
  /** Never rejects. */
  writing: Promise<void>;
}

export interface PieceSizes {
  readonly count: number;
  /** Bytes of one write. */
  readonly bytes: number;
  /** Bytes that one `room` may ask for; what is beyond a piece is carried over into the next. */
  readonly roomBytes?: number;
}

/** The memory, for one file after the other. */
export class PieceRing {
  readonly bytes: number;
  readonly #pieces: readonly Piece[];
  #next = 0;

  constructor({ count, bytes, roomBytes = 0 }: PieceSizes) {
    this.bytes = bytes;
    this.#pieces = Array.from({ length: count }, () => ({
      bytes: alignedBuffer(bytes + roomBytes, SECTOR),
      writing: Promise.resolve(),
    }));
  }

  /** The piece that was given longest ago, once it is written. */
  async take(): Promise<Piece> {
    const piece = this.#pieces[this.#next % this.#pieces.length];
    if (!piece) throw new RangeError('piece-file: a ring of no pieces');
    this.#next += 1;
    await piece.writing;
    return piece;
  }
}

export interface PieceTarget {
  /** Writes some of `bytes` at `position`; returns how many. */
  write(bytes: Buffer, position: number): Promise<number>;
  /** Its writes go past the page cache, and end at a multiple of 4096: whoever closes it cuts it to its length. */
  readonly direct: boolean;
}

/** One file. It is filled, then drained; no other is filled meanwhile. */
export class PieceFile {
  readonly #ring: PieceRing;
  readonly #target: PieceTarget;
  #piece: Piece | undefined;
  #fill = 0;
  #handedOver = 0;
  #writing: Promise<void> = Promise.resolve();
  #failure: unknown;

  constructor(ring: PieceRing, target: PieceTarget) {
    this.#ring = ring;
    this.#target = target;
  }

  /** Bytes added so far. */
  get length(): number {
    return this.#handedOver + this.#fill;
  }

  /** Copies `bytes`; waits only while all pieces are full. @throws an errno error, of an earlier piece too */
  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const room = this.#piece ? this.#room(this.#piece) : await this.room();
      const part = bytes.subarray(done, done + this.#ring.bytes - this.#fill);
      room.set(part);
      done += part.length;
      await this.add(part.length);
    }
  }

  /** Memory for what comes next, of at least the ring's `roomBytes`; it counts once `add` says how much it is. */
  async room(): Promise<Buffer> {
    this.#piece ??= await this.#ring.take();
    return this.#room(this.#piece);
  }

  /** The first `bytes` of `room` are the file's. @throws an errno error, of an earlier piece too */
  async add(bytes: number): Promise<void> {
    this.#fill += bytes;
    if (this.#fill < this.#ring.bytes || !this.#piece) return;
    const full = this.#piece.bytes;
    const over = full.subarray(this.#ring.bytes, this.#fill);
    this.#handOver(this.#piece, this.#ring.bytes);
    this.#piece = await this.#ring.take();
    over.copy(this.#piece.bytes);
    this.#fill = over.length;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Until all that was added is written. @returns the file's length @throws an errno error */
  async drain(): Promise<number> {
    if (this.#piece && this.#fill > 0) this.#handOver(this.#piece, this.#fill);
    this.#piece = undefined;
    this.#fill = 0;
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
    return this.#handedOver;
  }

  /** Until nothing of it is being written any more, whatever became of it. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  #room(piece: Piece): Buffer {
    return piece.bytes.subarray(this.#fill);
  }

  #handOver(piece: Piece, length: number): void {
    const { direct } = this.#target;
    const written = piece.bytes.subarray(0, direct ? wholeSectors(length) : length);
    written.fill(0, length);
    piece.writing = this.#write(written, this.#handedOver).catch((error: unknown) => {
      this.#failure ??= error;
    });
    this.#writing = Promise.all([this.#writing, piece.writing]).then(() => {});
    this.#handedOver += length;
  }

  async #write(bytes: Buffer, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) done += await this.#target.write(bytes.subarray(done), position + done);
  }
}
