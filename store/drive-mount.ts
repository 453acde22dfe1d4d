/**
 * A disk that is a drive, made readable as a folder that no path leads to: its mount is in nobody's table,
 * no desktop, indexer or backup finds it, and it is gone with the process, however that ends.
 *
 *   write   the copy host's: the journal is replayed, an error of the medium makes it read-only
 *   read    the dock's, of a drive from the street: the kernel itself may not write to it, and no journal
 *           is replayed, so that the drive leaves as it came
 *
 * A drive is found again after a reboot by the id of its file system and its serial number, and the id is
 * read once more from the very descriptor that is mounted.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Disk, DiskContent } from '../domain/disk.ts';
import { errnoOf, Failure } from '../domain/failure.ts';
import { SECOND } from '../domain/units.ts';
import { discoverDisks } from './block-device.ts';
import { mountDetached, protectDevice, syncFileSystem } from './system-calls.ts';

/** A former attempt that was just ended still lets go of the drive. */
const PATIENCE_MS = 30 * SECOND;
const POLL_MS = 100;
const { O_RDONLY, O_EXCL } = constants;

export const FILE_SYSTEMS = ['ext4', 'xfs'] as const;
export type FileSystem = (typeof FILE_SYSTEMS)[number];

/** Where a superblock says which file system it is (bytes), and without which mark it is none. */
const SUPERBLOCK: Record<FileSystem, { readonly uuidAt: number; readonly markAt: number; readonly mark: string }> = {
  ext4: { uuidAt: 1024 + 0x68, markAt: 1024 + 0x38, mark: '53ef' },
  xfs: { uuidAt: 32, markAt: 0, mark: '58465342' },
};
const SUPERBLOCK_BYTES = 2048;
const OPTIONS: Record<FileSystem, Record<'read' | 'write', readonly string[]>> = {
  ext4: { read: ['noload'], write: ['errors=remount-ro'] },
  xfs: { read: ['norecovery'], write: [] },
};

/** How a host remembers a drive that is a disk. */
export interface DiskPlace {
  readonly uuid: string;
  readonly serial: string;
}

const PLACE = /^disk:([0-9a-f-]{36}):(.*)$/;

/** As machine state keeps it, among the paths of drives that are directories. */
export function diskPlaceText({ uuid, serial }: DiskPlace): string {
  return `disk:${uuid}:${serial}`;
}

/** `undefined` for the path of a directory. */
export function parseDiskPlace(text: string): DiskPlace | undefined {
  const [, uuid, serial = ''] = PLACE.exec(text) ?? [];
  return uuid === undefined ? undefined : { uuid, serial };
}

/** A partition that can be mounted. */
export interface DrivePartition {
  readonly device: string;
  readonly fileSystem: FileSystem;
  readonly uuid: string;
}

/** The one file system of a disk. @throws Failure `DriveForeign` when it has none of ours, or several */
export function partitionOf({ device, holds }: Disk): DrivePartition {
  const found = holds.flatMap(mountable);
  const [only] = found;
  if (only && found.length === 1) return only;
  throw new Failure('DriveForeign', `${device} is no Seedship drive`, {
    why: only ? 'it has several file systems' : `it has no file system of ${FILE_SYSTEMS.join(' or ')}`,
  });
}

function mountable({ device, type, uuid }: DiskContent): DrivePartition[] {
  const fileSystem = FILE_SYSTEMS.find((one) => one === type);
  return fileSystem && uuid !== undefined ? [{ device, fileSystem, uuid }] : [];
}

/**
 * Where a drive is now.
 * @throws Failure `DriveMissing` when it is not attached; `DriveForeign` when two disks say that they are it
 */
export async function findDrive({ uuid, serial }: DiskPlace): Promise<DrivePartition> {
  const disks = await discoverDisks();
  const found = disks
    .filter((disk) => (disk.serial ?? '') === serial)
    .flatMap(({ holds }) => holds.flatMap(mountable).filter((one) => one.uuid === uuid));
  const [only] = found;
  if (only && found.length === 1) return only;
  if (!only) throw new Failure('DriveMissing', 'the drive is not attached', { next: 'attach it to this host' });
  throw new Failure('DriveForeign', 'two disks say that they are this drive', {
    why: 'one is a copy of the other',
    next: 'leave only the one that is meant attached',
  });
}

export interface MountedDrive {
  /** Leads to it in this process alone. */
  readonly path: string;
  /** Once this returns, the drive may be pulled. @throws Failure `DriveFailed` when its last bytes were refused */
  close(): void;
}

/**
 * Mounts a drive for this process alone.
 * @throws Failure `DriveMissing`, `DriveForeign` when another file system is there by now, `LockHeld` when it is
 * mounted or used otherwise, `DriveFailed`, `NotAllowed`
 */
export async function mountDrive(drive: DrivePartition, mode: 'read' | 'write'): Promise<MountedDrive> {
  const device = await claim(drive.device);
  try {
    checkSuperblock(device, drive);
    const wasProtected = protectDevice(device, mode === 'read');
    const close = () => {
      protectDevice(device, wasProtected);
      closeSync(device);
    };
    try {
      const options = { readOnly: mode === 'read', options: OPTIONS[drive.fileSystem][mode] };
      const root = mountDetached(`/proc/self/fd/${device}`, drive.fileSystem, options);
      return { path: `/proc/self/fd/${root}`, close: () => letGo(root, mode, close) };
    } catch (error) {
      protectDevice(device, wasProtected);
      throw error;
    }
  } catch (error) {
    closeSync(device);
    throw translated(error);
  }
}

/** A descriptor of the device once nobody else has it; the claim itself goes to the mount. */
async function claim(device: string): Promise<number> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      const pinned = openSync(device, O_RDONLY);
      try {
        closeSync(openSync(`/proc/self/fd/${pinned}`, O_RDONLY | O_EXCL));
        return pinned;
      } catch (error) {
        closeSync(pinned);
        throw error;
      }
    } catch (error) {
      if (errnoOf(error) !== 'EBUSY') throw translated(error);
      if (performance.now() > deadline)
        throw new Failure('LockHeld', 'the drive is mounted, or another program holds it', {
          next: `umount ${device}, then resolve with retry`,
        });
      await sleep(POLL_MS);
    }
  }
}

function checkSuperblock(device: number, { fileSystem, uuid }: DrivePartition): void {
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  readSync(device, bytes, 0, bytes.length, 0);
  const { uuidAt, markAt, mark } = SUPERBLOCK[fileSystem];
  const id = bytes.subarray(uuidAt, uuidAt + 16).toString('hex');
  const marked = bytes.subarray(markAt, markAt + mark.length / 2).toString('hex') === mark;
  if (!marked || id !== uuid.replaceAll('-', ''))
    throw new Failure('DriveForeign', 'another file system is where the drive was');
}

function letGo(root: number, mode: 'read' | 'write', after: () => void): void {
  let opened: number | undefined;
  try {
    opened = openSync(`/proc/self/fd/${root}`, O_RDONLY); // a mount's own descriptor is only a path
    if (mode === 'write') syncFileSystem(opened);
  } catch (error) {
    throw translated(error);
  } finally {
    if (opened !== undefined) closeSync(opened);
    closeSync(root);
    after();
  }
}

function translated(error: unknown): unknown {
  const errno = errnoOf(error);
  if (error instanceof Failure || errno === '') return error;
  if (errno === 'ENOENT' || errno === 'ENXIO' || errno === 'ENODEV')
    return new Failure('DriveMissing', 'the drive is not attached', { cause: error });
  if (errno === 'EPERM' || errno === 'EACCES')
    return new Failure('NotAllowed', 'only root may mount a drive', {
      next: 'run the worker of this host as root, then resolve with retry',
      cause: error,
    });
  if (errno === 'EBUSY')
    return new Failure('LockHeld', 'the drive is mounted, or another program holds it', { cause: error });
  return new Failure('DriveFailed', `the drive answers ${errno}`, { cause: error });
}
