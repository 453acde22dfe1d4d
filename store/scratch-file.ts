/**
 * Files that only save memory: spilled tables, sorted runs, plans. Nothing here survives its run,
 * nothing is synced, and a reader trusts no more than the length it wrote itself.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';

/** Appends below this size are gathered: a record is often a few dozen bytes. */
const GATHER_BYTES = 64 * 1024;

/** One open scratch file: appended at its end, read anywhere. Not shared between threads; each opens its own. */
export class ScratchFile {
  readonly path: string;
  readonly #fd: number;
  readonly #gathered = Buffer.allocUnsafe(GATHER_BYTES);
  #fill = 0;
  #written: number;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
    this.#written = fstatSync(fd).size;
  }

  /** Makes it empty, 0600. */
  static create(path: string): ScratchFile {
    const { O_RDWR, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    return new ScratchFile(path, openSync(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600));
  }

  static open(path: string): ScratchFile {
    return new ScratchFile(path, openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW));
  }

  get length(): number {
    return this.#written + this.#fill;
  }

  /** Returns the offset the bytes start at. */
  append(bytes: Uint8Array): number {
    const offset = this.length;
    if (this.#fill + bytes.length > GATHER_BYTES) this.flush();
    if (bytes.length > GATHER_BYTES) {
      this.#writeAll(bytes);
    } else {
      this.#gathered.set(bytes, this.#fill);
      this.#fill += bytes.length;
    }
    return offset;
  }

  /** Hands gathered bytes to the kernel, so that another thread that opens the file sees them. */
  flush(): void {
    const bytes = this.#gathered.subarray(0, this.#fill);
    this.#fill = 0;
    this.#writeAll(bytes);
  }

  /** Fills `into` from `position`; returns how many bytes there were. */
  readInto(into: Uint8Array, position: number): number {
    if (this.#fill > 0) this.flush();
    let done = 0;
    while (done < into.length) {
      const count = readSync(this.#fd, into, done, into.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  /** Exactly `length` bytes. @throws Error when the file ends before */
  read(position: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    if (this.readInto(bytes, position) !== length) throw new Error('a scratch file ends too early');
    return bytes;
  }

  close(): void {
    this.flush();
    closeSync(this.#fd);
  }

  #writeAll(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const count = writeSync(this.#fd, bytes, done, bytes.length - done, this.#written);
      done += count;
      this.#written += count;
    }
  }
}

/** Makes an empty directory for scratch files, 0700; what an earlier run left there is gone. */
export function freshScratchDirectory(path: string): string {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}

/** Removes a file or directory of scratch; no error when there is none. */
export function removeScratch(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** Names in a scratch directory, sorted; none when it is not there. */
export function listScratch(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

/** Gives a finished scratch file, which nobody changes any more, a second name, or a copy where it cannot have one. */
export function sameScratch(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

/** Gives a finished scratch file its name. */
export function renameScratch(from: string, to: string): void {
  renameSync(from, to);
}
