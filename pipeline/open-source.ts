import { errnoOf } from '../domain/failure.ts';
import { closeSource, type DataRange, dataRanges, openSource, readAt, statusOf } from '../store/source-tree.ts';
import type { Stamp } from './cut-pool.ts';

/** The source would not let itself be read; everything else that goes wrong ends the run. */
export class SourceError extends Error {
  readonly errno: string;

  constructor(cause: unknown) {
    super('a file could not be read', { cause });
    this.errno = errnoOf(cause);
  }
}

/**
 * A file open for backup. Chunks cover its data, holes left out and the ranges of data joined: a
 * disk image of a terabyte with a gigabyte in it costs a gigabyte.
 */
export class OpenSource {
  readonly #fd: number;
  readonly #sparse: boolean;
  #ranges: readonly DataRange[] = [];
  /** Bytes of data as laid out. */
  dataBytes = 0;
  /** Where the data read so far ended, as an offset in the file. */
  #end = 0;
  #size = 0;
  #short = false;

  constructor(path: Uint8Array, sparse: boolean) {
    this.#fd = guarded(() => openSource(Buffer.from(path.buffer, path.byteOffset, path.length)));
    this.#sparse = sparse;
  }

  /** Finds out where the data lies, for a file of `size` bytes. */
  layOut(size: number): void {
    this.#size = size;
    this.#end = 0;
    this.#short = false;
    this.#ranges =
      size === 0 ? [] : this.#sparse ? guarded(() => dataRanges(this.#fd, { size, blocks: 0 })) : [[0, size]];
    this.dataBytes = this.#ranges.reduce((sum, [start, end]) => sum + end - start, 0);
  }

  /** Fills `into` with data from `offset` of the joined ranges; returns how much there was. */
  read(into: Uint8Array, offset: number): number {
    let [done, before] = [0, 0];
    for (const [start, end] of this.#ranges) {
      const skip = Math.max(0, offset + done - before);
      const want = Math.min(end - start - skip, into.length - done);
      before += end - start;
      if (want <= 0) continue;
      const got = guarded(() => readAt(this.#fd, into.subarray(done, done + want), start + skip));
      done += got;
      this.#end = start + skip + got;
      if (got < want) {
        this.#short = true;
        break;
      }
    }
    return done;
  }

  /** The size that what was read belongs to: less than laid out when the file was cut meanwhile. */
  get sizeRead(): number {
    return this.#short ? this.#end : this.#size;
  }

  /** As it is now. */
  stamp(): Stamp {
    const { size, mtimeNs, ctimeNs } = guarded(() => statusOf(this.#fd));
    return { size, mtimeNs, ctimeNs };
  }

  /** Offset and length of each hole, in order. */
  get holes(): [number, number][] {
    if (!this.#sparse) return [];
    const holes: [number, number][] = [];
    let at = 0;
    for (const [start, end] of this.#ranges) {
      if (start >= this.sizeRead) break;
      if (start > at) holes.push([at, start - at]);
      at = end;
    }
    if (at < this.sizeRead) holes.push([at, this.sizeRead - at]);
    return holes;
  }

  close(): void {
    closeSource(this.#fd);
  }
}

function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (errnoOf(error) === '') throw error;
    throw new SourceError(error);
  }
}
