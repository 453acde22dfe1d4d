/**
 * The only writer of what must last. A file is seen under its name whole and on the medium, or not:
 *
 *   1  made under a name of its own, O_EXCL, with the writer's epoch in it: two writers never share one
 *   2  written, and fsynced; after a failed fsync the file is dead and is removed, never tried again
 *      (the kernel may have dropped the pages it could not write, and a second fsync would say yes)
 *   3  linked to its final name, which fails when that is taken: create-only, whoever else tries
 *   4  its first name removed
 *   5  the directory fsynced, also when the name was taken: its winner may not have come so far
 *
 * What a killed writer leaves has a name that starts with a dot; no reader looks at it, and
 * `removeLeftovers` takes it away. Where a file system knows no links, step 3 is a rename that refuses
 * to replace.
 */
import { closeSync, constants, fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { chmod, type FileHandle, link, lstat, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { threadId } from 'node:worker_threads';
import { errnoOf } from '../domain/failure.ts';
import { MIB } from '../domain/units.ts';
import { PieceFile, PieceRing } from './piece-file.ts';
import { renameNew } from './system-calls.ts';

const FILE_MODE = 0o600;
const LEFTOVER = /^\.[a-z0-9-]+\.writing$/;
const PIECE_BYTES = 1 * MIB;
const { O_CREAT, O_EXCL, O_WRONLY, O_RDWR, O_APPEND, O_NOFOLLOW, O_DIRECTORY, O_RDONLY, O_DIRECT } = constants;
const SET_GROUP_ID = 0o2000;
const GROUP_WRITES = 0o020;

const epoch = `${process.pid}-${threadId}-${Math.random().toString(36).slice(2, 12)}`;
let files = 0;

export type Written = 'created' | 'exists';

/**
 * Whether a directory is shared by a group: its set-group-ID bit and its group's write right say so
 * (`install -d -m 2770 -g backup DIR`). What is made below it is the group's too.
 */
async function isShared(directory: string): Promise<boolean> {
  const { mode } = await stat(directory);
  return (mode & SET_GROUP_ID) !== 0 && (mode & GROUP_WRITES) !== 0;
}

/** A new file in `directory`; past any umask open to the group, where the directory is shared by one. */
async function openNew(file: string): Promise<FileHandle> {
  const handle = await open(file, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, FILE_MODE);
  if (await isShared(path.dirname(file))) await handle.chmod(0o660);
  return handle;
}

function ownName(directory: string): string {
  files += 1;
  return path.join(directory, `.${epoch}-${files}.writing`);
}

/**
 * Writes a file under a name that must be free. On return it is on the medium, whoever wrote it.
 * @param making directory for its first name, on the same file system; its own when absent
 * @throws an errno error; nothing is left under the final name then
 */
export async function writeDurable(file: string, bytes: Uint8Array, making = path.dirname(file)): Promise<Written> {
  const first = ownName(making);
  const handle = await openNew(first);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } catch (error) {
    await unlink(first);
    throw error;
  } finally {
    await handle.close();
  }
  return settle(first, file);
}

/** Writes a small file of this host's own over what stands there: the old bytes or the new, never half. */
export async function replaceDurable(file: string, bytes: Uint8Array): Promise<void> {
  const first = ownName(path.dirname(file));
  await writeDurable(first, bytes);
  await rename(first, file);
  await syncDirectory(path.dirname(file));
}

/** Steps 3 to 5. */
async function settle(first: string, file: string): Promise<Written> {
  const written = await nameIt(first, file);
  await syncDirectory(path.dirname(file));
  return written;
}

async function nameIt(first: string, file: string): Promise<Written> {
  try {
    await link(first, file);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'ENOSYS')
      return renameInstead(first, file);
    await unlink(first);
    if (code === 'EEXIST') return 'exists';
    throw error;
  }
  await unlink(first);
  return 'created';
}

async function renameInstead(first: string, file: string): Promise<Written> {
  try {
    renameNew(Buffer.from(first), Buffer.from(file));
    return 'created';
  } catch (error) {
    await unlink(first);
    if (errnoOf(error) === 'EEXIST') return 'exists';
    throw error;
  }
}

/** Puts what a directory holds by name on the medium. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, O_RDONLY | O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Makes a directory, and what is missing of the way to it, each durable in its parent; 0700, and 2770
 * below one that a group shares.
 * @param top what is known to be durable: all below it is flushed, since whoever made it may have been killed
 */
export async function makeDirectoryDurable(directory: string, top?: string): Promise<void> {
  const first = await mkdir(directory, { recursive: true, mode: 0o700 });
  if (first !== undefined && (await isShared(path.dirname(first))))
    for (let made = directory; made !== path.dirname(first); made = path.dirname(made)) await chmod(made, 0o2770);
  const end = top ?? (first === undefined ? path.dirname(directory) : path.dirname(first));
  for (let made = directory; made !== end; made = path.dirname(made)) await syncDirectory(path.dirname(made));
}

/** Opens a log that only grows, making it (0600, durable by name) when it is not there. Read it at any offset. */
export function openLog(file: string): number {
  const fd = openSync(file, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, FILE_MODE);
  const directory = openSync(path.dirname(file), O_RDONLY | O_DIRECTORY);
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
  return fd;
}

/** Appends to a log; on return the bytes are on the medium. After an error the log must be opened anew. */
export function appendDurable(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
  fdatasyncSync(fd);
}

/** Ends a log; what was appended is on the medium already. */
export function closeLog(fd: number): void {
  closeSync(fd);
}

/** Removes what killed writers left in a directory. Call it under the place's lock, or for files long untouched. */
export async function removeLeftovers(directory: string, untouchedMs = 0): Promise<number> {
  let removed = 0;
  for (const name of await readdir(directory)) {
    if (!LEFTOVER.test(name) || name.startsWith(`.${epoch}-`)) continue;
    const file = path.join(directory, name);
    if (Date.now() - (await lstat(file)).mtimeMs < untouchedMs) continue;
    await unlink(file);
    removed += 1;
  }
  return removed;
}

interface OpenFile {
  readonly name: string;
  readonly handle: FileHandle;
  readonly pieces: PieceFile;
}

/**
 * Writes one large file after another, past the page cache where the disk allows it. One a thread; a file is
 * begun, appended to, and finished or abandoned.
 */
export class DirectWriter {
  readonly #ring = new PieceRing({ count: 2, bytes: PIECE_BYTES });
  #file: OpenFile | undefined;

  /** @param making directory for the file's first name, on the file system it shall lie on */
  async begin(making: string): Promise<void> {
    if (this.#file) throw new Error('durable-file: the file before is not finished');
    const name = ownName(making);
    const { handle, direct } = await directly(name, await openNew(name));
    const write = async (bytes: Buffer, position: number) =>
      (await handle.write(bytes, 0, bytes.length, position)).bytesWritten;
    this.#file = { name, handle, pieces: new PieceFile(this.#ring, { write, direct }) };
  }

  /** Bytes appended to the file so far. */
  get length(): number {
    return this.#file?.pieces.length ?? 0;
  }

  /** Copies `bytes`; waits only while all memory is being written. @throws an errno error, of an earlier piece too */
  async append(bytes: Uint8Array): Promise<void> {
    await this.#opened().pieces.append(bytes);
  }

  /** Makes the file durable under its final name; steps 2 to 5 of this module. @throws an errno error */
  async finish(file: string): Promise<Written> {
    const { name, handle, pieces } = this.#opened();
    try {
      await handle.truncate(await pieces.drain()); // a direct write ends at a multiple of the alignment
      await handle.sync();
      await handle.close();
    } catch (error) {
      await this.abandon();
      throw error;
    }
    this.#file = undefined;
    return settle(name, file);
  }

  /** Leaves nothing of the file begun; of none, nothing to leave. */
  async abandon(): Promise<void> {
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    await file.pieces.idle();
    await file.handle.close();
    await unlink(file.name);
  }

  #opened(): OpenFile {
    if (!this.#file) throw new Error('durable-file: no file is begun');
    return this.#file;
  }
}

/** The same file opened past the page cache, where its file system can. */
async function directly(name: string, buffered: FileHandle) {
  try {
    const handle = await open(name, O_WRONLY | O_DIRECT | O_NOFOLLOW);
    await buffered.close();
    return { handle, direct: true };
  } catch (error) {
    if (errnoOf(error) === 'EINVAL') return { handle: buffered, direct: false };
    await buffered.close();
    throw error;
  }
}
