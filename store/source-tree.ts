/**
 * Reading a tree as it lies: names as bytes, times to the nanosecond and before 1970, attributes and
 * ACLs, holes. Synchronous, since the walk and the threads are: an asynchronous stat costs ten times
 * as much. Nothing is followed, nothing is changed (access times only where the kernel insists).
 *
 * Paths are absolute bytes of any length: one that the kernel would refuse as too long is walked in
 * pieces, each below the directory opened before it. Errors carry an errno's name in `code` (`ENOENT`
 * for what vanished, `EACCES` for what may not be read); what that means for a backup is decided above.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  opendirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  statfsSync,
} from 'node:fs';
import { errnoOf } from '../domain/failure.ts';
import {
  type ExtendedAttribute,
  nextData,
  nextHole,
  O_PATH,
  openAt,
  PATH_MAX,
  readAttributes,
} from './system-calls.ts';

export type EntryType = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'character-device' | 'block-device';

export interface EntryStatus {
  readonly type: EntryType;
  /** Permission bits with set-user-id, set-group-id and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
  /** The file system it lies on. */
  readonly device: bigint;
  readonly links: number;
  /** A device's own number; 0 for all else. */
  readonly rdev: bigint;
  /** Allocated, in units of 512 bytes. */
  readonly blocks: number;
}

const SLASH = 0x2f;
const BLOCK_BYTES = 512;
const NAMES_AT_ONCE = 1024;
/** ext4 takes so much for some ten thousand names, others for fewer. */
const SMALL_DIRECTORY_BYTES = 512 * 1024;
/**
 * statfs(2), linux/magic.h: autofs, binfmt_misc, bpf, cgroup, cgroup2, configfs, debugfs, devpts, efivarfs,
 * fusectl, mqueue, nsfs, proc, pstore, rpc_pipefs, securityfs, selinux, sysfs, tracefs.
 */
const KERNEL_STATE = new Set([
  0x0187, 0x42494e4d, 0xcafe4a11, 0x27e0eb, 0x63677270, 0x62656570, 0x64626720, 0x1cd1, 0xde5e81e4, 0x65735543,
  0x19800202, 0x6e736673, 0x9fa0, 0x6165676c, 0x67596969, 0x73636673, 0xf97cff8c, 0x62656572, 0x74726163,
]);
const TYPES = new Map<number, EntryType>([
  [constants.S_IFREG, 'file'],
  [constants.S_IFDIR, 'directory'],
  [constants.S_IFLNK, 'symlink'],
  [constants.S_IFIFO, 'fifo'],
  [constants.S_IFSOCK, 'socket'],
  [constants.S_IFCHR, 'character-device'],
  [constants.S_IFBLK, 'block-device'],
]);

/** Names in a directory, in the order the file system gives them. @throws an errno error */
export function listNames(path: Buffer): Buffer[] {
  return below(path, (short) => readdirSync(short, { encoding: 'buffer' }));
}

/**
 * The same one by one, each as latin1 text, which holds bytes as they are: a directory of millions must
 * not be held as millions of buffers. One that is small by its own account is read in one call, a third of
 * the time. @throws an errno error, at the first one
 * @param bytes of the directory itself, as its status tells
 */
export function* eachName(path: Buffer, bytes: number): Generator<string> {
  if (bytes <= SMALL_DIRECTORY_BYTES) {
    yield* below(path, (short) => readdirSync(short, { encoding: 'latin1' }));
    return;
  }
  const directory = below(path, (short) => opendirSync(short, { encoding: 'latin1', bufferSize: NAMES_AT_ONCE }));
  try {
    for (let entry = directory.readSync(); entry; entry = directory.readSync()) yield entry.name;
  } finally {
    directory.closeSync();
  }
}

/** What stands at `path`, of a link the link itself. @throws an errno error */
export function statusAt(path: Buffer): EntryStatus {
  return below(path, (short) => asStatus(lstatSync(short, { bigint: true })));
}

/**
 * Whether a mounted file system shows the kernel's own state (procfs, sysfs, cgroups, …): nothing of
 * that is anyone's data, and some of it never ends. @throws an errno error
 */
export function isKernelState(path: Buffer): boolean {
  return below(path, (short) => KERNEL_STATE.has(statfsSync(short).type));
}

/** Of an open file. */
export function statusOf(fd: number): EntryStatus {
  return asStatus(fstatSync(fd, { bigint: true }));
}

/** The target of a symbolic link. @throws an errno error */
export function readLink(path: Buffer): Buffer {
  return below(path, (short) => readlinkSync(short, { encoding: 'buffer' }));
}

/** Extended attributes and ACLs of what stands at `path`, sorted by name. @throws an errno error */
export function attributesAt(path: Buffer): readonly ExtendedAttribute[] {
  return below(path, (short) => readAttributes(short));
}

/**
 * Opens a file for reading. A link that took its place is refused (`ELOOP`), a fifo does not block:
 * `statusOf` tells whether what was opened is what was seen.
 * @throws an errno error
 */
export function openSource(path: Buffer): number {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOATIME } = constants;
  const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
  return below(path, (short) => {
    try {
      return openSync(short, flags | O_NOATIME);
    } catch (error) {
      if (errnoOf(error) !== 'EPERM') throw error;
      return openSync(short, flags); // only the owner and root may leave the access time alone
    }
  });
}

/** Closes what `openSource` opened. */
export function closeSource(fd: number): void {
  closeSync(fd);
}

/** Reads until `into` is full or the file ends. @returns the bytes read */
export function readAt(fd: number, into: Uint8Array, position: number): number {
  let done = 0;
  while (done < into.length) {
    const bytes = readSync(fd, into, done, into.length - done, position + done);
    if (bytes === 0) break;
    done += bytes;
  }
  return done;
}

export type DataRange = readonly [start: number, end: number];

/** Where a file holds data, in order, neighbours merged; all else below `size` is holes. */
export function dataRanges(fd: number, { size, blocks }: Pick<EntryStatus, 'size' | 'blocks'>): DataRange[] {
  if (size === 0) return [];
  if (blocks * BLOCK_BYTES >= size) return [[0, size]]; // nothing is missing: spare the calls
  const ranges: DataRange[] = [];
  for (let at = 0; at < size; ) {
    const start = nextData(fd, at);
    if (start === undefined || start >= size) break;
    const end = Math.min(nextHole(fd, start) ?? size, size);
    if (end <= start) break; // it was cut short meanwhile
    ranges.push([start, end]);
    at = end;
  }
  return ranges;
}

/** Calls `use` with a path the kernel takes. */
export function below<T>(path: Buffer, use: (short: Buffer) => T): T {
  if (path.length < PATH_MAX) return use(path);
  const dir = openParent(path);
  try {
    const name = path.subarray(path.lastIndexOf(SLASH) + 1);
    return use(Buffer.concat([Buffer.from(`/proc/self/fd/${dir}/`), name]));
  } finally {
    closeSync(dir);
  }
}

/** The directory of a path that is too long, opened piece by piece, each as long as it may be. */
function openParent(path: Buffer): number {
  const last = path.lastIndexOf(SLASH);
  const flags = O_PATH | constants.O_DIRECTORY;
  let start = path.lastIndexOf(SLASH, PATH_MAX - 1);
  let dir = openSync(path.subarray(0, start), flags);
  while (start < last) {
    const fits = path.lastIndexOf(SLASH, Math.min(start + PATH_MAX, last));
    const end = fits > start ? fits : path.indexOf(SLASH, start + 1); // a name that is too long itself: refused below
    const outer = dir;
    try {
      dir = openAt(outer, path.subarray(start + 1, end), flags);
    } finally {
      closeSync(outer);
    }
    start = end;
  }
  return dir;
}

/** By the type's bits of st_mode. */
export function typeOf(mode: number): EntryType {
  return TYPES.get(mode & constants.S_IFMT) ?? 'file';
}

function asStatus(stats: BigIntStats): EntryStatus {
  const mode = Number(stats.mode);
  return {
    type: typeOf(mode),
    mode: mode & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: Number(stats.size),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    inode: stats.ino,
    device: stats.dev,
    links: Number(stats.nlink),
    rdev: stats.rdev,
    blocks: Number(stats.blocks),
  };
}
