/**
 * Putting a tree back, exactly, below one directory and nowhere else. What is restored may come from a
 * hostile machine, and where it goes somebody hostile may be at work. Therefore:
 *
 * - Every directory on the way is opened below the one before it, never through a link: a planted link
 *   ends in ELOOP or ENOTDIR, not in /etc. The root itself may be reached through links: it was typed.
 * - Whatever is made is made new (O_EXCL); nothing is written into what was there.
 * - Attributes are set on what was opened, not on a name that may mean something else by now.
 * - A name with a slash or a NUL, an empty one, `.` and `..` are refused before anything is done.
 *
 * Paths are relative to the root, raw bytes, of any length. Synchronous, for threads; each thread opens
 * its own. Errors carry an errno's name in `code`. Access times and birth times are not put back.
 */
import { closeSync, constants, ftruncateSync, openSync, readdirSync } from 'node:fs';
import { errnoOf } from '../domain/failure.ts';
import { CorruptError } from '../format/cursor.ts';
import { type EntryStatus, statusAt, statusOf } from './source-tree.ts';
import {
  linkAt,
  makeDirectoryAt,
  makeNodeAt,
  makeSymlinkAt,
  O_PATH,
  openAt,
  readLinkAt,
  removeDirectoryAt,
  renameAt,
  renameNewAt,
  syncFileSystem,
  unlinkAt,
} from './system-calls.ts';
import {
  type Attributes,
  finishFile,
  finishLink,
  finishNode,
  type Loss,
  procPath,
  type Spot,
} from './target-attributes.ts';

const SLASH = 0x2f;
const DIRECTORIES_OPEN_MAX = 128;
/** An empty part, `.`, `..` or a NUL anywhere. */
const HOSTILE = /(?:^|\/)\.{0,2}(?:\/|$)|\0/;
const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_RDWR, O_CREAT, O_EXCL, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK, O_NONBLOCK } =
  constants;

export class TargetTree {
  readonly #root: number;
  /** Directories opened last, by path; the oldest is closed first. */
  readonly #open = new Map<string, number>();
  /** The one asked for last: what is made next mostly lies there too. */
  #near: { readonly path: Buffer; readonly fd: number } | undefined;
  #fresh = 0;

  /** @param root an existing directory @throws an errno error */
  constructor(root: string | Buffer) {
    this.#root = openSync(root, O_RDONLY | O_DIRECTORY);
  }

  /** Flushes the file system that the root lies on. */
  sync(): void {
    syncFileSystem(this.#root);
  }

  close(): void {
    this.#forget('');
    closeSync(this.#root);
  }

  /** What stands there, of a link the link itself; `undefined` when nothing does. */
  status(path: Buffer): EntryStatus | undefined {
    try {
      if (path.length === 0) return statusAt(Buffer.from(`/proc/self/fd/${this.#root}/.`));
      return statusAt(procPath(this.#spot(path)));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Names in a directory. */
  list(path: Buffer): Buffer[] {
    if (path.length > 0) checkPath(path);
    return readdirSync(`/proc/self/fd/${this.#directory(path)}/.`, { encoding: 'buffer' });
  }

  /** Makes a directory, 0700 until it is finished. One that is there is left as it is. @throws `EEXIST` for all else */
  makeDirectory(path: Buffer): 'created' | 'exists' {
    const { dir, name } = this.#spot(path);
    try {
      makeDirectoryAt(dir, name, 0o700);
      return 'created';
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST' || this.status(path)?.type !== 'directory') throw error;
      return 'exists';
    }
  }

  /** Makes a file, empty and 0600. @returns a descriptor to write, and to read back @throws `EEXIST` */
  createFile(path: Buffer): number {
    const { dir, name } = this.#spot(path);
    return openAt(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  }

  /** Opens a plain file that is there already. @throws an errno error; CorruptError when it is something else */
  openFile(path: Buffer, to: 'read' | 'write'): number {
    const { dir, name } = this.#spot(path);
    const fd = openAt(dir, name, (to === 'write' ? O_RDWR : O_RDONLY) | O_NONBLOCK);
    if (statusOf(fd).type === 'file') return fd;
    closeSync(fd);
    throw new CorruptError('tree: not a plain file');
  }

  makeSymlink(target: Buffer, path: Buffer): void {
    const { dir, name } = this.#spot(path);
    makeSymlinkAt(target, dir, name);
  }

  /** The target of a symbolic link. @throws an errno error */
  readLink(path: Buffer): Buffer {
    const { dir, name } = this.#spot(path);
    return readLinkAt(dir, name);
  }

  makeFifo(path: Buffer): void {
    const { dir, name } = this.#spot(path);
    makeNodeAt(dir, name, S_IFIFO | 0o600, 0n);
  }

  /** A socket's name; nobody listens there until its program starts. */
  makeSocket(path: Buffer): void {
    const { dir, name } = this.#spot(path);
    makeNodeAt(dir, name, S_IFSOCK | 0o600, 0n);
  }

  makeDevice(path: Buffer, type: 'character-device' | 'block-device', rdev: bigint): void {
    const { dir, name } = this.#spot(path);
    makeNodeAt(dir, name, (type === 'block-device' ? S_IFBLK : S_IFCHR) | 0o600, rdev);
  }

  /** A further name for what this tree holds already. @throws `EEXIST` */
  link(existing: Buffer, path: Buffer): void {
    const from = this.#spot(existing);
    const to = this.#spot(path);
    linkAt(from.dir, from.name, to.dir, to.name);
  }

  /** A path beside `path` that nobody else uses: to make something new there, and then `replace`. */
  freshBeside(path: Buffer): Buffer {
    this.#fresh += 1;
    const name = Buffer.from(`.seedship-${process.pid}-${process.hrtime.bigint().toString(36)}-${this.#fresh}`);
    return Buffer.concat([path.subarray(0, path.lastIndexOf(SLASH) + 1), name]);
  }

  /** Gives what stands at `fresh` the name `path`, when nothing has it. @throws `EEXIST` */
  place(fresh: Buffer, path: Buffer): void {
    const from = this.#spot(fresh);
    const to = this.#spot(path);
    try {
      renameNewAt(from.dir, from.name, to.dir, to.name);
    } catch (error) {
      if (errnoOf(error) !== 'EINVAL') throw error;
      linkAt(from.dir, from.name, to.dir, to.name);
      unlinkAt(from.dir, from.name);
    }
  }

  /** Gives what stands at `fresh` the name `path`, over whatever has it; a directory is not replaced (`EISDIR`). */
  replace(fresh: Buffer, path: Buffer): void {
    const from = this.#spot(fresh);
    const to = this.#spot(path);
    renameAt(from.dir, from.name, to.dir, to.name);
  }

  /** Removes a name; of a directory only an empty one. */
  remove(path: Buffer): void {
    const { dir, name } = this.#spot(path);
    try {
      unlinkAt(dir, name);
    } catch (error) {
      if (errnoOf(error) !== 'EISDIR') throw error;
      this.#forget(path.toString('latin1'));
      removeDirectoryAt(dir, name);
    }
  }

  /** Owner, attributes, mode, ACLs and time of a directory; once nothing more is made in it. */
  finishDirectory(path: Buffer, attributes: Attributes): Loss[] {
    if (path.length > 0) checkPath(path);
    const flags = O_RDONLY | O_DIRECTORY;
    const fd = path.length === 0 ? openAt(this.#root, Buffer.from('.'), flags) : this.#walk(path, flags);
    try {
      return finishFile(fd, attributes);
    } finally {
      closeSync(fd);
    }
  }

  /** Owner, attributes, mode, ACLs and time of a link, a fifo or a device. */
  finishOther(path: Buffer, attributes: Attributes): Loss[] {
    const spot = this.#spot(path);
    const fd = openAt(spot.dir, spot.name, O_PATH);
    try {
      return statusOf(fd).type === 'symlink' ? finishLink(fd, spot, attributes) : finishNode(fd, attributes);
    } finally {
      closeSync(fd);
    }
  }

  /** Where a name is made: the directory above it, opened, and its last part. */
  #spot(path: Buffer): Spot {
    const slash = path.lastIndexOf(SLASH);
    const name = path.subarray(slash + 1);
    const near = this.#near;
    if (near && near.path.length === slash && near.path.compare(path, 0, slash) === 0) {
      checkPath(name); // the rest was checked when it was opened
      return { dir: near.fd, name };
    }
    checkPath(path);
    return { dir: this.#directory(path.subarray(0, Math.max(slash, 0))), name };
  }

  #directory(path: Buffer): number {
    if (path.length === 0) return this.#root;
    const key = path.toString('latin1');
    const known = this.#open.get(key);
    const fd = known ?? this.#walk(path, O_PATH | O_DIRECTORY);
    this.#open.delete(key); // used last: closed last
    this.#open.set(key, fd);
    this.#near = { path: Buffer.from(path), fd };
    const [oldest] = this.#open;
    if (this.#open.size > DIRECTORIES_OPEN_MAX && oldest) {
      this.#open.delete(oldest[0]);
      closeSync(oldest[1]);
    }
    return fd;
  }

  /** Opens a directory, one part after the other, from the nearest one that is open. */
  #walk(path: Buffer, flags: number): number {
    let start = path.length;
    let dir: number | undefined;
    while (dir === undefined && start > 0) {
      start = Math.max(path.lastIndexOf(SLASH, start - 1), 0);
      dir = start === 0 ? this.#root : this.#open.get(path.toString('latin1', 0, start));
    }
    let at = dir ?? this.#root;
    const above = at;
    for (let from = start === 0 ? 0 : start + 1; from <= path.length; ) {
      const slash = path.indexOf(SLASH, from);
      const end = slash < 0 ? path.length : slash;
      const outer = at;
      try {
        at = openAt(outer, path.subarray(from, end), end === path.length ? flags : O_PATH | O_DIRECTORY);
      } finally {
        if (outer !== above) closeSync(outer);
      }
      from = end + 1;
    }
    return at;
  }

  /** Closes what is open at a path and below it. */
  #forget(key: string): void {
    this.#near = undefined;
    for (const [open, fd] of this.#open) {
      if (key !== '' && open !== key && !open.startsWith(`${key}/`)) continue;
      this.#open.delete(open);
      closeSync(fd);
    }
  }
}

/** Gives a file its length; what was not written below it is a hole. */
export function setLength(fd: number, length: number): void {
  ftruncateSync(fd, length);
}

/** Closes a file; it is on the medium after `sync`. */
export function closeTarget(fd: number): void {
  closeSync(fd);
}

function checkPath(path: Buffer): void {
  if (HOSTILE.test(path.toString('latin1'))) throw new CorruptError('tree: a name that leaves its directory');
}
