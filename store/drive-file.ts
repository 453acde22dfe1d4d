/** One file of a drive, by its open descriptor or its folder's: for what is not its plain reading and writing. */
import { closeSync, constants, fstatSync, read } from 'node:fs';
import { promisify } from 'node:util';
import { errnoOf } from '../domain/failure.ts';
import { alignedBuffer, SECTOR } from './direct-memory.ts';
import { openAt } from './system-calls.ts';

const readFrom = promisify(read);
const { O_RDONLY, O_WRONLY, O_NONBLOCK, O_DIRECT } = constants;

/** Reads at a place of a file; 0 where it cannot be read, or ends. */
export async function readSome(fd: number, into: Buffer, at: number, length: number): Promise<number> {
  return (await readFrom(fd, into, at, length, at).catch(() => ({ bytesRead: 0 }))).bytesRead;
}

/** What lies before a bad sector in memory that is read in larger pieces, past the cache. @param from bytes into it */
export async function readSectors(directory: number, name: Buffer, into: Buffer, from: number): Promise<number> {
  const start = from - (from % SECTOR);
  const fd = openAt(directory, name, O_RDONLY | O_NONBLOCK | O_DIRECT);
  try {
    const sector = alignedBuffer(SECTOR, SECTOR);
    let done = 0;
    for (let at = start; done < into.length; at += SECTOR) {
      const { bytesRead } = await readFrom(fd, sector, 0, SECTOR, at).catch(() => ({ bytesRead: 0 }));
      const skip = Math.max(0, from - at);
      if (bytesRead <= skip) return done;
      done += sector.copy(into, done, skip, bytesRead);
    }
    return done;
  } finally {
    closeSync(fd);
  }
}

/** Opens a file past the cache, for whole sectors in aligned memory; `undefined` where its file system cannot. */
export function openDirect(directory: number, name: Buffer, flags: number): number | undefined {
  try {
    return openAt(directory, name, flags | O_DIRECT);
  } catch (error) {
    if (errnoOf(error) === 'EINVAL') return undefined;
    throw error;
  }
}

/** To be overwritten; `undefined` for what is no plain file of this drive alone. */
export function openPlain(directory: number, name: Buffer): number | undefined {
  let fd: number;
  try {
    fd = openAt(directory, name, O_WRONLY | O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === 'ELOOP' || errnoOf(error) === 'ENXIO') return undefined;
    throw error;
  }
  const status = fstatSync(fd);
  if (status.isFile() && status.nlink === 1) return fd;
  closeSync(fd);
  return undefined;
}
