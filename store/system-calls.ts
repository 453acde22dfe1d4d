/**
 * What Node's own fs lacks, called in libc: names below an open directory, locks, holes, extended
 * attributes, devices, times to the nanosecond and before 1970, flushing a whole file system, dying
 * with the parent. Nothing else here calls foreign code. Tried: 0.6–2 µs a call, in threads too.
 *
 * Paths and names are bytes without a NUL. Every error is a SystemCallError with the errno's name.
 * Numbers are Linux's, the same on x86-64, arm64 and riscv64.
 */
import { closeSync, constants } from 'node:fs';
import os from 'node:os';
import koffi from 'koffi';
import { SystemCallError } from './system-call-error.ts';

/** Linux counts the final NUL. */
export const PATH_MAX = 4096;
/** Opens a place without the right to read it; not among Node's constants. */
export const O_PATH = 0o10000000;

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;
/** What stat(2) tells. */
const STATX_BASIC_STATS = 0x7ff;
const NAME_MAX = 255;
const RENAME_NOREPLACE = 1;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const LOCK_EX = 2;
const LOCK_NB = 4;
const PR_SET_PDEATHSIG = 1;
const POSIX_FADV_DONTNEED = 4;
const UTIME_OMIT = 0x3ffffffen;
const SEEK_END = 2;
const BLKROSET = 0x125d;
const BLKROGET = 0x125e;
/** System calls that glibc has wrappers of since 2.36; their numbers are the same everywhere. */
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const FS_CLOEXEC = 1; // of fsopen and of fsmount
const MOUNT_READ_ONLY = 1;
const MOUNT_HARDENED = 2 | 4 | 8 | 0x200000; // nosuid, nodev, noexec, nosymfollow
const NS_PER_SECOND = 1_000_000_000n;
/** The kernel's own limit, for a list of names and for one value. */
const XATTR_BYTES_MAX = 65_536;
const LINK_BYTES_MAX = PATH_MAX;

const { EAGAIN, ENXIO, EOPNOTSUPP, ENODATA } = os.constants.errno;

type Bytes = Uint8Array;
type Call<A extends readonly unknown[]> = (...values: A) => number;

const libc = koffi.load(null);
const flock: Call<[number, number]> = libc.func('int flock(int, int)');
const lseek: Call<[number, number, number]> = libc.func('int64_t lseek64(int, int64_t, int)');
const syncfs: Call<[number]> = libc.func('int syncfs(int)');
const fadvise: Call<[number, number, number, number]> = libc.func('int posix_fadvise64(int, int64_t, int64_t, int)');
const prctl: Call<[number, number, number, number, number]> = libc.func('int prctl(int, long, long, long, long)');
const openat: Call<[number, Bytes, number, number]> = libc.func('int openat64(int, const void *, int, uint32_t)');
const statx: Call<[number, Bytes, number, number, Bytes | Uint32Array]> = libc.func(
  'int statx(int, const void *, int, uint32_t, void *)',
);
const mkdirat: Call<[number, Bytes, number]> = libc.func('int mkdirat(int, const void *, uint32_t)');
const symlinkat: Call<[Bytes, number, Bytes]> = libc.func('int symlinkat(const void *, int, const void *)');
const readlinkat: Call<[number, Bytes, Bytes, number]> = libc.func(
  'int64_t readlinkat(int, const void *, void *, size_t)',
);
const linkat: Call<[number, Bytes, number, Bytes, number]> = libc.func(
  'int linkat(int, const void *, int, const void *, int)',
);
const renameat: Call<[number, Bytes, number, Bytes]> = libc.func('int renameat(int, const void *, int, const void *)');
const renameat2: Call<[number, Bytes, number, Bytes, number]> = libc.func(
  'int renameat2(int, const void *, int, const void *, uint32_t)',
);
const unlinkat: Call<[number, Bytes, number]> = libc.func('int unlinkat(int, const void *, int)');
const fchownat: Call<[number, Bytes, number, number, number]> = libc.func(
  'int fchownat(int, const void *, uint32_t, uint32_t, int)',
);
const futimens: Call<[number, BigInt64Array]> = libc.func('int futimens(int, const void *)');
const utimensat: Call<[number, Bytes, BigInt64Array, number]> = libc.func(
  'int utimensat(int, const void *, const void *, int)',
);
const llistxattr: Call<[Bytes, Bytes, number]> = libc.func('int64_t llistxattr(const void *, void *, size_t)');
const lgetxattr: Call<[Bytes, Bytes, Bytes, number]> = libc.func(
  'int64_t lgetxattr(const void *, const void *, void *, size_t)',
);
const lsetxattr: Call<[Bytes, Bytes, Bytes, number, number]> = libc.func(
  'int lsetxattr(const void *, const void *, const void *, size_t, int)',
);
const setxattr: Call<[Bytes, Bytes, Bytes, number, number]> = libc.func(
  'int setxattr(const void *, const void *, const void *, size_t, int)',
);
const listxattr: Call<[Bytes, Bytes, number]> = libc.func('int64_t listxattr(const void *, void *, size_t)');
const flistxattr: Call<[number, Bytes, number]> = libc.func('int64_t flistxattr(int, void *, size_t)');
const getxattr: Call<[Bytes, Bytes, Bytes, number]> = libc.func(
  'int64_t getxattr(const void *, const void *, void *, size_t)',
);
const lremovexattr: Call<[Bytes, Bytes]> = libc.func('int lremovexattr(const void *, const void *)');
const removexattr: Call<[Bytes, Bytes]> = libc.func('int removexattr(const void *, const void *)');
const ioctl: Call<[number, number, Int32Array]> = libc.func('int ioctl(int, unsigned long, const void *)');
const fsopen: Call<[number, Bytes, number]> = libc.func('long syscall(long, const void *, uint32_t)');
const fsconfig: Call<[number, number, number, Bytes | null, Bytes | null, number]> = libc.func(
  'long syscall(long, int, uint32_t, const void *, const void *, int)',
);
const fsmount: Call<[number, number, number, number]> = libc.func('long syscall(long, int, uint32_t, uint32_t)');
let mknodat: Call<[number, Bytes, number, bigint]> | undefined; // glibc has it since 2.33

const names = Buffer.alloc(XATTR_BYTES_MAX);
const value = Buffer.alloc(XATTR_BYTES_MAX);
const link = Buffer.alloc(LINK_BYTES_MAX);
const times = new BigInt64Array(4);
const status = new Uint32Array(64);
const EMPTY = Buffer.alloc(1);
const nameRoom = Buffer.alloc(NAME_MAX + 1);

function checked(syscall: string, result: number): number {
  if (result < 0) throw new SystemCallError(syscall, koffi.errno());
  return result;
}

function terminated(bytes: Bytes): Buffer {
  if (bytes.includes(0)) throw new SystemCallError('path', os.constants.errno.EINVAL);
  const copy = Buffer.allocUnsafe(bytes.length + 1);
  copy.set(bytes);
  copy[bytes.length] = 0;
  return copy;
}

/** The kernel kills this process when the thread that started it ends, however that ends. */
export function dieWithParent(): void {
  checked('prctl', prctl(PR_SET_PDEATHSIG, os.constants.signals.SIGKILL, 0, 0, 0));
}

/** Takes the whole-file lock of `fd`, which ends with it. @returns false when another process holds it */
export function tryLock(fd: number): boolean {
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = koffi.errno();
  if (errno === EAGAIN) return false;
  throw new SystemCallError('flock', errno);
}

/**
 * What stands under a name of an open directory, of a link the link itself: a struct statx, which is the same
 * everywhere, as struct stat is not.
 * @param name as a directory lists it, in latin1
 * @param into 256 bytes
 */
export function statusBelow(dir: number, name: string, into: Bytes): void {
  if (name.length > NAME_MAX) throw new SystemCallError('statx', os.constants.errno.ENAMETOOLONG);
  nameRoom[nameRoom.write(name, 'latin1')] = 0;
  checked('statx', statx(dir, nameRoom, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, into));
}

/** Whether what was opened belongs to this user and this group. */
export function isOwnedBy(fd: number, uid: number, gid: number): boolean {
  checked('statx', statx(fd, EMPTY, AT_EMPTY_PATH, STATX_BASIC_STATS, status));
  return status[5] === uid && status[6] === gid;
}

/** The first offset at or after `offset` that holds data; `undefined` when only a hole follows. */
export function nextData(fd: number, offset: number): number | undefined {
  return seek(fd, offset, SEEK_DATA);
}

/** The first offset at or after `offset` where a hole begins; the file's end counts as one. */
export function nextHole(fd: number, offset: number): number | undefined {
  return seek(fd, offset, SEEK_HOLE);
}

function seek(fd: number, offset: number, whence: number): number | undefined {
  const at = lseek(fd, offset, whence);
  if (at >= 0) return at;
  const errno = koffi.errno();
  if (errno === ENXIO) return undefined;
  throw new SystemCallError('lseek', errno);
}

/** Bytes of a file or a whole device. */
export function sizeOf(fd: number): number {
  return checked('lseek', lseek(fd, 0, SEEK_END));
}

/** Makes a device refuse all writes, the kernel's own included, or take them again. @returns what it did before */
export function protectDevice(fd: number, readOnly: boolean): boolean {
  const before = Int32Array.of(0);
  checked('ioctl', ioctl(fd, BLKROGET, before));
  checked('ioctl', ioctl(fd, BLKROSET, Int32Array.of(readOnly ? 1 : 0)));
  return before[0] !== 0;
}

/**
 * Mounts a file system where no path leads to and no other process sees it: it is gone when the last descriptor
 * below it is closed, however its process ends. No links are followed on it, and nothing on it is run or a device.
 * @param source path of the device; `/proc/self/fd/N` for one that is open
 * @param options of the file system: `noload`, `errors=remount-ro`
 * @returns a descriptor of its root; `/proc/self/fd/N` is its path
 */
export function mountDetached(
  source: string,
  type: string,
  { readOnly, options = [] }: { readonly readOnly: boolean; readonly options?: readonly string[] },
): number {
  const context = checked('fsopen', fsopen(SYS_FSOPEN, text(type), FS_CLOEXEC));
  const configure = (command: number, key?: string, to?: string): void => {
    const [name, bytes] = [key === undefined ? null : text(key), to === undefined ? null : text(to)];
    checked('fsconfig', fsconfig(SYS_FSCONFIG, context, command, name, bytes, 0));
  };
  try {
    configure(FSCONFIG_SET_STRING, 'source', source);
    for (const option of readOnly ? ['ro', ...options] : options) {
      const [key = '', to] = option.split('=', 2);
      configure(to === undefined ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, key, to);
    }
    configure(FSCONFIG_CMD_CREATE);
    const attributes = MOUNT_HARDENED | (readOnly ? MOUNT_READ_ONLY : 0);
    return checked('fsmount', fsmount(SYS_FSMOUNT, context, FS_CLOEXEC, attributes));
  } finally {
    closeSync(context);
  }
}

function text(value: string): Buffer {
  return terminated(Buffer.from(value));
}

/** Flushes the whole file system that `fd` lies on. */
export function syncFileSystem(fd: number): void {
  checked('syncfs', syncfs(fd));
}

/** Drops a file's clean pages from memory, so that the next read comes from the medium. */
export function dropCache(fd: number): void {
  const errno = fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  if (errno !== 0) throw new SystemCallError('posix_fadvise', errno);
}

/** Bytes of a page of memory, as of the page cache. */
export const pageBytes: () => number = libc.func('int getpagesize()');

/** Where bytes lie in memory. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes);
}

/** As open(2), below the directory `dir`; never follows a link at the end. @returns the descriptor */
export function openAt(dir: number, name: Bytes, flags: number, mode = 0o600): number {
  const fixed = flags | constants.O_NOFOLLOW | 0o2000000; // O_CLOEXEC
  return checked('openat', openat(dir, terminated(name), fixed, mode));
}

/** As mkdir(2), below the directory `dir`. */
export function makeDirectoryAt(dir: number, name: Bytes, mode: number): void {
  checked('mkdirat', mkdirat(dir, terminated(name), mode));
}

/** As symlink(2): a link called `name` below `dir`, with these bytes as its target. */
export function makeSymlinkAt(target: Bytes, dir: number, name: Bytes): void {
  checked('symlinkat', symlinkat(terminated(target), dir, terminated(name)));
}

/** The target of a link below `dir`. */
export function readLinkAt(dir: number, name: Bytes): Buffer {
  return Buffer.from(link.subarray(0, checked('readlinkat', readlinkat(dir, terminated(name), link, link.length))));
}

/** A second name for the same file; a symbolic link is linked itself. */
export function linkAt(fromDir: number, from: Bytes, toDir: number, to: Bytes): void {
  checked('linkat', linkat(fromDir, terminated(from), toDir, terminated(to), 0));
}

/** As rename(2): over whatever has the name, links themselves included. */
export function renameAt(fromDir: number, from: Bytes, toDir: number, to: Bytes): void {
  checked('renameat', renameat(fromDir, terminated(from), toDir, terminated(to)));
}

/** Moves a file to a name that must not be there yet (`EEXIST`). */
export function renameNew(from: Bytes, to: Bytes): void {
  renameNewAt(AT_FDCWD, from, AT_FDCWD, to);
}

/** As `renameAt`, but only to a name that is free (`EEXIST`); `EINVAL` where the file system cannot. */
export function renameNewAt(fromDir: number, from: Bytes, toDir: number, to: Bytes): void {
  checked('renameat2', renameat2(fromDir, terminated(from), toDir, terminated(to), RENAME_NOREPLACE));
}

/** Removes a name that is no directory. */
export function unlinkAt(dir: number, name: Bytes): void {
  checked('unlinkat', unlinkat(dir, terminated(name), 0));
}

/** Removes an empty directory. */
export function removeDirectoryAt(dir: number, name: Bytes): void {
  checked('unlinkat', unlinkat(dir, terminated(name), AT_REMOVEDIR));
}

/** @param mode type and permission bits as in mknod(2) @param device for devices: their number as stat shows it */
export function makeNodeAt(dir: number, name: Bytes, mode: number, device: bigint): void {
  mknodat ??= libc.func('int mknodat(int, const void *, uint32_t, uint64_t)');
  checked('mknodat', mknodat(dir, terminated(name), mode, device));
}

/** Owner of what was opened, whatever it is, links and O_PATH included. */
export function changeOwner(fd: number, uid: number, gid: number): void {
  checked('fchownat', fchownat(fd, EMPTY, uid, gid, AT_EMPTY_PATH));
}

/** Modification time of a name itself, to the nanosecond; the access time stays. */
export function setTimeAt(dir: number, name: Bytes, mtimeNs: bigint): void {
  checked('utimensat', utimensat(dir, terminated(name), modified(mtimeNs), AT_SYMLINK_NOFOLLOW));
}

/** Modification time of what a path leads to, links followed: for `/proc/self/fd/N`. */
export function setTimeThrough(path: Bytes, mtimeNs: bigint): void {
  checked('utimensat', utimensat(AT_FDCWD, terminated(path), modified(mtimeNs), 0));
}

/** Modification time of an open file, to the nanosecond; the access time stays. */
export function setTime(fd: number, mtimeNs: bigint): void {
  checked('futimens', futimens(fd, modified(mtimeNs)));
}

function modified(mtimeNs: bigint): BigInt64Array {
  const ns = ((mtimeNs % NS_PER_SECOND) + NS_PER_SECOND) % NS_PER_SECOND; // the kernel wants 0 to 999,999,999
  times[1] = UTIME_OMIT;
  times[2] = (mtimeNs - ns) / NS_PER_SECOND;
  times[3] = ns;
  return times;
}

export interface ExtendedAttribute {
  readonly name: Buffer;
  readonly value: Buffer;
}

const NONE: readonly ExtendedAttribute[] = [];

/** All extended attributes of a name itself, ACLs included, sorted by name; none where there cannot be any. */
export function readAttributes(path: Bytes): readonly ExtendedAttribute[] {
  return attributesBy(llistxattr, lgetxattr, terminated(path));
}

/** Whether what was opened to be read or written may have extended attributes: an eighth of what reading none takes. */
export function mayHaveAttributes(fd: number): boolean {
  return flistxattr(fd, names, XATTR_BYTES_MAX) !== 0;
}

/** As `readAttributes`, following links: for `/proc/self/fd/N`. */
export function readAttributesThrough(path: Bytes): readonly ExtendedAttribute[] {
  return attributesBy(listxattr, getxattr, terminated(path));
}

function attributesBy(list: typeof llistxattr, get: typeof lgetxattr, path: Bytes): readonly ExtendedAttribute[] {
  const length = list(path, names, XATTR_BYTES_MAX);
  if (length === 0) return NONE;
  if (length < 0) {
    const errno = koffi.errno();
    if (errno === EOPNOTSUPP) return NONE;
    throw new SystemCallError('llistxattr', errno);
  }
  const found: ExtendedAttribute[] = [];
  for (let start = 0; start < length; ) {
    const end = names.indexOf(0, start);
    const name = Buffer.from(names.subarray(start, end + 1));
    const bytes = get(path, name, value, XATTR_BYTES_MAX);
    if (bytes >= 0) found.push({ name: name.subarray(0, -1), value: Buffer.from(value.subarray(0, bytes)) });
    else if (koffi.errno() !== ENODATA) throw new SystemCallError('lgetxattr', koffi.errno()); // else: just removed
    start = end + 1;
  }
  return found.sort((a, b) => Buffer.compare(a.name, b.name));
}

/** Sets an extended attribute of a name itself. */
export function writeAttribute(path: Bytes, { name, value: bytes }: ExtendedAttribute): void {
  checked('lsetxattr', lsetxattr(terminated(path), terminated(name), bytes, bytes.length, 0));
}

/** As `writeAttribute`, following links: for `/proc/self/fd/N`. */
export function writeAttributeThrough(path: Bytes, { name, value: bytes }: ExtendedAttribute): void {
  checked('setxattr', setxattr(terminated(path), terminated(name), bytes, bytes.length, 0));
}

/** Removes an extended attribute of a name itself. */
export function removeAttribute(path: Bytes, name: Bytes): void {
  checked('lremovexattr', lremovexattr(terminated(path), terminated(name)));
}

/** As `removeAttribute`, following links: for `/proc/self/fd/N`. */
export function removeAttributeThrough(path: Bytes, name: Bytes): void {
  checked('removexattr', removexattr(terminated(path), terminated(name)));
}
