/**
 * Putting attributes back on what was just restored: owner, extended attributes, mode, ACLs, time, in
 * the order in which none undoes another. What was inherited from the directory above and was not
 * there before is taken away.
 *
 * Everything is done to what was opened, through `/proc/self/fd`, so that a name changed meanwhile
 * leads nowhere; only a link's own attributes and time cannot be reached so.
 */
import { chmodSync, fchmodSync } from 'node:fs';
import { errnoOf } from '../domain/failure.ts';
import {
  changeOwner,
  type ExtendedAttribute,
  isOwnedBy,
  mayHaveAttributes,
  readAttributes,
  readAttributesThrough,
  removeAttribute,
  removeAttributeThrough,
  setTime,
  setTimeAt,
  setTimeThrough,
  writeAttribute,
  writeAttributeThrough,
} from './system-calls.ts';

const SET_IDS = 0o6000;
const OWN_UID = process.geteuid?.();
const ACL = /^system\.posix_acl_/;
/** What may have been inherited from the directory above; labels of the system itself stay. */
const INHERITED = /^(user\.|system\.posix_acl_)/;

export interface Attributes {
  /** 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly attributes: readonly ExtendedAttribute[];
}

/** What could not be put back: `owner`, or an extended attribute's name; and the errno. */
export interface Loss {
  readonly what: string;
  readonly reason: string;
}

/** A name, and the directory above it, opened. */
export interface Spot {
  readonly dir: number;
  readonly name: Buffer;
}

/**
 * Owner, attributes, mode, ACLs and time of a file, when all is written: writing would change them again.
 * @returns what could not be put back: without root's rights an owner, some attributes; a file whose owner
 *   is lost loses set-user-id and set-group-id too, or it would lend the rights of whoever restores
 */
export function finishFile(fd: number, attributes: Attributes): Loss[] {
  return finish(new Opened(fd), attributes);
}

/** A fifo, a socket or a device, opened without the right to read it. */
export function finishNode(fd: number, attributes: Attributes): Loss[] {
  return finish(new OpenedNode(fd), attributes);
}

/** A symbolic link: opened as `fd`, and found at `spot`. */
export function finishLink(fd: number, spot: Spot, attributes: Attributes): Loss[] {
  return finish(new OpenedLink(fd, spot), attributes);
}

/** How attributes are set on one kind of thing. */
interface Handle {
  readonly fd: number;
  read(): readonly ExtendedAttribute[];
  write(attribute: ExtendedAttribute): void;
  remove(name: Buffer): void;
  /** Absent for links, which have no mode. */
  setMode?(mode: number): void;
  setTime(mtimeNs: bigint): void;
}

/** A file or a directory. Few have attributes, so a path to reach them by is made when it is wanted. */
class Opened implements Handle {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  get path(): Buffer {
    return Buffer.from(`/proc/self/fd/${this.fd}`);
  }

  read(): readonly ExtendedAttribute[] {
    return mayHaveAttributes(this.fd) ? readAttributesThrough(this.path) : [];
  }

  write(attribute: ExtendedAttribute): void {
    writeAttributeThrough(this.path, attribute);
  }

  remove(name: Buffer): void {
    removeAttributeThrough(this.path, name);
  }

  setMode(mode: number): void {
    fchmodSync(this.fd, mode);
  }

  setTime(mtimeNs: bigint): void {
    setTime(this.fd, mtimeNs);
  }
}

class OpenedNode extends Opened {
  override read(): readonly ExtendedAttribute[] {
    return readAttributesThrough(this.path);
  }

  override setMode(mode: number): void {
    chmodSync(this.path, mode);
  }

  override setTime(mtimeNs: bigint): void {
    setTimeThrough(this.path, mtimeNs);
  }
}

class OpenedLink implements Handle {
  readonly fd: number;
  readonly #spot: Spot;
  readonly #path: Buffer;

  constructor(fd: number, spot: Spot) {
    [this.fd, this.#spot, this.#path] = [fd, spot, procPath(spot)];
  }

  read(): readonly ExtendedAttribute[] {
    return readAttributes(this.#path);
  }

  write(attribute: ExtendedAttribute): void {
    writeAttribute(this.#path, attribute);
  }

  remove(name: Buffer): void {
    removeAttribute(this.#path, name);
  }

  setTime(mtimeNs: bigint): void {
    setTimeAt(this.#spot.dir, this.#spot.name, mtimeNs);
  }
}

/** A change of owner clears file capabilities, so it comes first; ACLs last, since a mode changes their mask. */
function finish(handle: Handle, { mode, uid, gid, mtimeNs, attributes }: Attributes): Loss[] {
  const losses: Loss[] = [];
  const owned = isOurs(handle.fd, uid, gid) || tried(losses, 'owner', () => changeOwner(handle.fd, uid, gid));
  dropInherited(handle, attributes, losses);
  for (const attribute of attributes) if (!isAcl(attribute)) write(handle, attribute, losses);
  handle.setMode?.(owned ? mode : mode & ~SET_IDS);
  for (const attribute of attributes) if (isAcl(attribute)) write(handle, attribute, losses);
  handle.setTime(mtimeNs);
  return losses;
}

function dropInherited(handle: Handle, attributes: readonly ExtendedAttribute[], losses: Loss[]): void {
  const there = handle.read();
  if (there.length === 0) return;
  const wanted = new Set(attributes.map(({ name }) => name.toString('latin1')));
  for (const { name } of there) {
    const text = name.toString('latin1');
    if (!wanted.has(text) && INHERITED.test(text)) tried(losses, text, () => handle.remove(name));
  }
}

function write(handle: Handle, attribute: ExtendedAttribute, losses: Loss[]): void {
  tried(losses, attribute.name.toString(), () => handle.write(attribute));
}

function isAcl({ name }: ExtendedAttribute): boolean {
  return ACL.test(name.toString('latin1'));
}

/** What this process makes is mostly its own already: looking takes a quarter of what a change of nothing takes. */
function isOurs(fd: number, uid: number, gid: number): boolean {
  return uid === OWN_UID && isOwnedBy(fd, uid, gid);
}

function tried(losses: Loss[], what: string, work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    losses.push({ what, reason: errnoOf(error) });
    return false;
  }
}

/** A path to a name below an open directory, for calls that take no descriptor. */
export function procPath({ dir, name }: Spot): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${dir}/`), name]);
}
