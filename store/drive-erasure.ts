/**
 * A drive's medium, overwritten: a directory file by file, a disk from one end to the other. What a disk
 * holds may come from the street, so it is never mounted for this; a disk that refuses some bytes is
 * overwritten around them, and how many they are is said.
 *
 *   ends   the first and the last 64 MiB: partition tables and the file system's own beginning
 *   full   every byte
 *
 * The wraps of its keys never were on the drive: deleting those is what makes it noise.
 */
import { closeSync, constants, fsyncSync, openSync, read as readCall, write as writeCall } from 'node:fs';
import { promisify } from 'node:util';
import { type Disk, refusalsOfUse, sameDisk } from '../domain/disk.ts';
import { errnoOf, Failure } from '../domain/failure.ts';
import { KIB, MIB } from '../domain/units.ts';
import { discoverDisks, type RolePaths, readDisk } from './block-device.ts';
import { alignedBuffer, SECTOR } from './direct-memory.ts';
import { DRIVE_LABEL_FILE, type DriveVolume } from './drive-volume.ts';

const write = promisify(writeCall);
const read = promisify(readCall);
const ENDS_BYTES = 64 * MIB;
const PIECE_BYTES = 4 * MIB;
/** What is given up at once where a medium refuses. */
const BAD_PIECE_BYTES = 64 * KIB;
/** The salt of a file's key lies in its first bytes. */
const HEAD_BYTES = 4 * KIB;
const { O_RDWR, O_EXCL, O_DIRECT } = constants;

export interface Erasing {
  readonly full: boolean;
  readonly onBytes: (done: number, total: number) => void;
}

export interface ErasedMedium {
  readonly bytes: number;
  /** Bytes that the medium refused to take. */
  readonly unwritable: number;
}

/** Overwrites and removes all files of a directory that stands for a drive; its label last. */
export async function eraseFolder(volume: DriveVolume, { full, onBytes }: Erasing): Promise<ErasedMedium> {
  const objects = volume.list();
  const head = full ? Number.POSITIVE_INFINITY : HEAD_BYTES;
  const total = objects.reduce((sum, { length }) => sum + Math.min(length, head), 0);
  let bytes = 0;
  for (const { place } of objects) {
    bytes += await volume.scrub(place, head);
    onBytes(bytes, total);
  }
  for (const place of volume.listClosing()) bytes += await volume.scrub(place, Number.POSITIVE_INFINITY);
  bytes += await volume.scrub(DRIVE_LABEL_FILE, Number.POSITIVE_INFINITY);
  return { bytes, unwritable: 0 };
}

/** The one disk of this host with a serial number. @throws Failure `DriveMissing`, `DriveForeign` when two have it */
export async function diskOfSerial(serial: string): Promise<Disk> {
  const [disk, twin] = (await discoverDisks()).filter((one) => (one.serial ?? '') === serial);
  if (!disk)
    throw new Failure('DriveMissing', 'the disk is not attached', { next: 'attach it, then resolve with retry' });
  if (!twin) return disk;
  throw new Failure('DriveForeign', 'two disks have this serial number', { next: 'leave only the one that is meant' });
}

/**
 * Overwrites a disk with zeros.
 * @throws Failure `DriveForeign` when it is another one by now, `WrongState` when it is in use; nothing is written then
 */
export async function eraseDisk(disk: Disk, roles: RolePaths, { full, onBytes }: Erasing): Promise<ErasedMedium> {
  const pinned = opened(disk.device, O_RDWR);
  try {
    const claim = opened(`/proc/self/fd/${pinned}`, O_RDWR | O_EXCL | O_DIRECT);
    try {
      const now = await readDisk(pinned, roles);
      const [refused] = refusalsOfUse(now);
      if (!sameDisk(disk, now)) throw new Failure('DriveForeign', 'this is not the disk that was confirmed any more');
      if (refused) throw new Failure('WrongState', `the disk may not be erased: ${refused.says}`);
      return await overwrite(claim, spans(disk.sizeBytes, full), onBytes);
    } finally {
      closeSync(claim);
    }
  } finally {
    closeSync(pinned);
  }
}

function opened(device: string, flags: number): number {
  try {
    return openSync(device, flags);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EBUSY')
      throw new Failure('WrongState', 'the disk is in use', { why: 'it is mounted, or another program holds it' });
    throw new Failure('DriveMissing', `the disk cannot be opened: ${errno}`, { cause: error });
  }
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/** The end first, so that what was begun can still be told by its beginning. */
function spans(size: number, full: boolean): Span[] {
  if (full || size <= 2 * ENDS_BYTES) return [{ from: 0, to: size }];
  return [
    { from: size - ENDS_BYTES, to: size },
    { from: 0, to: ENDS_BYTES },
  ];
}

async function overwrite(fd: number, parts: readonly Span[], onBytes: Erasing['onBytes']): Promise<ErasedMedium> {
  const zeros = alignedBuffer(PIECE_BYTES, SECTOR).fill(0);
  const total = parts.reduce((sum, { from, to }) => sum + to - from, 0);
  let [bytes, unwritable] = [0, 0];
  for (const { from, to } of parts)
    for (let at = from; at < to; at += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, to - at);
      const refused = await zero(fd, zeros, at, length);
      bytes += length - refused;
      unwritable += refused;
      onBytes(bytes + unwritable, total);
    }
  fsyncSync(fd);
  await checkZero(fd, parts, unwritable);
  return { bytes, unwritable };
}

/** Bytes that were refused. */
async function zero(fd: number, zeros: Buffer, at: number, length: number): Promise<number> {
  if (await taken(fd, zeros, at, length)) return 0;
  let refused = 0;
  for (let piece = 0; piece < length; piece += BAD_PIECE_BYTES) {
    const bytes = Math.min(BAD_PIECE_BYTES, length - piece);
    if (!(await taken(fd, zeros, at + piece, bytes))) refused += bytes;
  }
  return refused;
}

async function taken(fd: number, zeros: Buffer, at: number, length: number): Promise<boolean> {
  try {
    return (await write(fd, zeros, 0, length, at)).bytesWritten === length;
  } catch (error) {
    if (errnoOf(error) === 'EIO') return false;
    throw new Failure('DriveFailed', `the disk answers ${errnoOf(error)}`, { cause: error });
  }
}

/** The first and last bytes of what was written, read from the medium. @throws Failure `DriveFailed` */
async function checkZero(fd: number, parts: readonly Span[], unwritable: number): Promise<void> {
  if (unwritable > 0) return;
  const bytes = alignedBuffer(SECTOR, SECTOR);
  for (const { from, to } of parts)
    for (const at of [from, to - SECTOR]) {
      bytes.fill(1);
      await read(fd, bytes, 0, SECTOR, at);
      if (bytes.some((byte) => byte !== 0))
        throw new Failure('DriveFailed', 'the disk does not keep what is written to it: destroy it');
    }
}
