/**
 * Bytes on their way into the files of a restore. A large piece goes past the page cache: its whole pages straight
 * from aligned memory, the rest of its two ends through the cache. 1.4 GiB in pieces of 1 MiB took 0.75 s and 0.1 s of
 * processor so, and 1.4 to 2.7 s with 0.9 to 2.2 s of processor through the cache (ext4 on virtio, 2 cores).
 *
 * The two ways never touch one page, so neither undoes the other (open(2), O_DIRECT): pages that hold two pieces'
 * ends are written through the cache alone. That holds while nothing of the file was read through the cache before,
 * which makes pages in larger groups: a file that an earlier attempt began is written the usual way.
 */
import { closeSync, constants, ftruncateSync, openSync, writeSync } from 'node:fs';
import { errnoOf } from '../domain/failure.ts';
import { KIB, MIB } from '../domain/units.ts';
import { alignedBuffer } from './direct-memory.ts';
import { pageBytes } from './system-calls.ts';

/** Of whole pages: for less, opening the file a second time costs more than it gains. */
const DIRECT_LEAST = 256 * KIB;
const ROOM_BYTES = 1 * MIB;
const { O_WRONLY, O_DIRECT } = constants;

/** One a thread: memory that direct writes accept. */
export class TargetRoom {
  readonly page = pageBytes();
  readonly bytes = alignedBuffer(ROOM_BYTES, this.page);
}

/** A file of the target while its bytes come. Whoever opened it closes it; `endDirect` comes before that. */
export class TargetFile {
  readonly fd: number;
  readonly #size: number;
  readonly #room: TargetRoom | undefined;
  #direct: number | undefined;
  #refused: boolean;

  /**
   * @param size what the file will have
   * @param room absent for a file that an earlier attempt may have begun
   */
  constructor(fd: number, size: number, room: TargetRoom | undefined) {
    [this.fd, this.#size, this.#room, this.#refused] = [fd, size, room, room === undefined];
  }

  /** Writes all of `bytes` at `position`. @throws an errno error */
  write(bytes: Uint8Array, position: number): void {
    const page = this.#room?.page ?? 1;
    const from = Math.ceil(position / page) * page - position;
    const to = Math.floor((position + bytes.length) / page) * page - position;
    const direct = to - from < DIRECT_LEAST ? undefined : this.#opened();
    if (direct === undefined) {
      writeAt(this.fd, bytes, position);
      return;
    }
    writeAt(this.fd, bytes.subarray(0, from), position);
    this.#past(direct, bytes.subarray(from, to), position + from);
    writeAt(this.fd, bytes.subarray(to), position + to);
  }

  /** Closes what is open past the cache. */
  endDirect(): void {
    if (this.#direct !== undefined) closeSync(this.#direct);
    this.#direct = undefined;
  }

  /** The same file past the cache; `undefined` where its file system cannot. */
  #opened(): number | undefined {
    if (this.#direct !== undefined || this.#refused) return this.#direct;
    try {
      ftruncateSync(this.fd, this.#size); // within a file's length several write at once
      this.#direct = openSync(`/proc/self/fd/${this.fd}`, O_WRONLY | O_DIRECT);
    } catch {
      this.#refused = true; // whatever is wrong, the usual way says it
    }
    return this.#direct;
  }

  #past(direct: number, bytes: Uint8Array, position: number): void {
    const room = this.#room?.bytes ?? Buffer.alloc(0);
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + room.length);
      room.set(part);
      try {
        done += writeSync(direct, room, 0, part.length, position + done);
      } catch (error) {
        if (errnoOf(error) !== 'EINVAL') throw error;
        this.endDirect(); // opened, but not written so
        this.#refused = true;
        writeAt(this.fd, bytes.subarray(done), position + done);
        return;
      }
    }
  }
}

/** Writes all of `bytes` into a file at `position`. */
export function writeAt(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}
