/**
 * One file of a drive while it is written, past the page cache where the drive's file system can: the disk has
 * work as soon as there are bytes for it, and copies nothing. A file is filled, then finished; the next may be
 * filled meanwhile.
 */
import { closeSync, constants, fsync, ftruncate, write } from 'node:fs';
import { promisify } from 'node:util';
import { driveFailure, isFull, tried } from './drive-failure.ts';
import { openDirect } from './drive-file.ts';
import { PieceFile, type PieceRing } from './piece-file.ts';
import { openAt, unlinkAt } from './system-calls.ts';

const { O_WRONLY, O_CREAT, O_EXCL } = constants;
const [writeTo, truncate, sync] = [promisify(write), promisify(ftruncate), promisify(fsync)];

export class DriveWriting {
  readonly #directory: number;
  readonly #name: Buffer;
  readonly #fd: number;
  readonly #pieces: PieceFile;
  #ended = false;

  /**
   * Makes the file, which must not be there yet.
   * @param directory is this object's to close
   * @throws an errno error
   */
  constructor(directory: number, name: Buffer, ring: PieceRing) {
    this.#directory = directory;
    this.#name = name;
    const opened: number[] = [directory];
    try {
      const buffered = openAt(directory, name, O_WRONLY | O_CREAT | O_EXCL);
      opened.push(buffered);
      const direct = openDirect(directory, name, O_WRONLY);
      if (direct !== undefined) closeSync(buffered);
      const fd = direct ?? buffered;
      this.#fd = fd;
      const put = async (bytes: Buffer, position: number) =>
        (await writeTo(fd, bytes, 0, bytes.length, position)).bytesWritten;
      this.#pieces = new PieceFile(ring, { write: put, direct: direct !== undefined });
    } catch (error) {
      for (const fd of opened) closeSync(fd);
      throw error;
    }
  }

  /** Bytes so far. */
  get length(): number {
    return this.#pieces.length;
  }

  /** Memory for what comes next; it counts once `add` says how much it is. */
  async room(): Promise<Buffer> {
    return this.#pieces.room();
  }

  /** The first `bytes` of `room` are the file's. False when the drive is full: nothing is left of the file then. */
  async add(bytes: number): Promise<boolean> {
    return this.#orNothing(() => this.#pieces.add(bytes));
  }

  /** Copies `bytes` to the file's end. False when the drive is full: nothing is left of the file then. */
  async append(bytes: Uint8Array): Promise<boolean> {
    return this.#orNothing(() => this.#pieces.append(bytes));
  }

  /**
   * On return all of the file is on the medium. False when the drive is full: nothing is left of it then.
   * @throws Failure `DriveFailed` when the drive reports an error: the file is removed, never tried again
   */
  async finish(): Promise<boolean> {
    const [fd, directory] = [this.#fd, this.#directory];
    const done = await this.#orNothing(async () => {
      await truncate(fd, await this.#pieces.drain()); // a direct write ends at a multiple of the alignment
      await sync(fd);
      await sync(directory);
    });
    if (!done) return false;
    this.#ended = true;
    this.#close();
    return true;
  }

  /** Leaves nothing of it, if it was not finished. @throws Failure `DriveFailed` */
  async abandon(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#pieces.idle();
    try {
      tried(() => unlinkAt(this.#directory, this.#name)); // a drive that was pulled cannot
    } finally {
      this.#close();
    }
  }

  async #orNothing(act: () => Promise<void>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      await this.abandon();
      if (isFull(error)) return false;
      throw driveFailure(error);
    }
  }

  #close(): void {
    closeSync(this.#fd);
    closeSync(this.#directory);
  }
}
