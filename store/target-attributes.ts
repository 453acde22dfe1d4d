/**
 * Putting attributes back on what was just restored: owner, extended attributes, mode, ACLs, time, in
 * the order in which none undoes another. What was inherited from the directory above and was not
 * there before is taken away.
 *
 * Everything is done to what was opened, through `/proc/self/fd`, so that a name changed meanwhile
 * leads nowhere; only a link's own attributes and time cannot be reached so.
 */
import { chmodSync, fchmodSync, fstatSync } from 'node:fs';
import { errnoOf } from '../domain/failure.ts';
import {
  changeOwner,
  type ExtendedAttribute,
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
  return finish(asOpened(fd), attributes);
}

/** A fifo, a socket or a device, opened without the right to read it. */
export function finishNode(fd: number, attributes: Attributes): Loss[] {
  return finish(asNode(fd), attributes);
}

/** A symbolic link: opened as `fd`, and found at `spot`. */
export function finishLink(fd: number, spot: Spot, attributes: Attributes): Loss[] {
  return finish(asLink(fd, spot), attributes);
}

/** How attributes are set on one kind of thing. */
interface Handle {
  readonly fd: number;
  readonly path: Buffer;
  readonly read: (path: Buffer) => readonly ExtendedAttribute[];
  readonly write: (path: Buffer, attribute: ExtendedAttribute) => void;
  readonly remove: (path: Buffer, name: Buffer) => void;
  /** Absent for links, which have no mode. */
  readonly setMode?: (mode: number) => void;
  readonly setTime: (mtimeNs: bigint) => void;
}

const OPENED = { read: readAttributesThrough, write: writeAttributeThrough, remove: removeAttributeThrough };
const ITSELF = { read: readAttributes, write: writeAttribute, remove: removeAttribute };

function asOpened(fd: number): Handle {
  const setMode = (mode: number) => fchmodSync(fd, mode);
  const read = (path: Buffer) => (mayHaveAttributes(fd) ? readAttributesThrough(path) : []);
  return { fd, path: Buffer.from(`/proc/self/fd/${fd}`), ...OPENED, read, setMode, setTime: (ns) => setTime(fd, ns) };
}

function asNode(fd: number): Handle {
  const path = Buffer.from(`/proc/self/fd/${fd}`);
  const setMode = (mode: number) => chmodSync(path, mode);
  return { fd, path, ...OPENED, setMode, setTime: (ns) => setTimeThrough(path, ns) };
}

function asLink(fd: number, spot: Spot): Handle {
  return { fd, path: procPath(spot), ...ITSELF, setTime: (ns) => setTimeAt(spot.dir, spot.name, ns) };
}

/** A change of owner clears file capabilities, so it comes first; ACLs last, since a mode changes their mask. */
function finish(handle: Handle, { mode, uid, gid, mtimeNs, attributes }: Attributes): Loss[] {
  const losses: Loss[] = [];
  const owned = isOurs(handle.fd, uid, gid) || tried(losses, 'owner', () => changeOwner(handle.fd, uid, gid));
  const wanted = new Set(attributes.map(({ name }) => name.toString('latin1')));
  for (const { name } of handle.read(handle.path)) {
    const text = name.toString('latin1');
    if (!wanted.has(text) && INHERITED.test(text)) tried(losses, text, () => handle.remove(handle.path, name));
  }
  const isAcl = ({ name }: ExtendedAttribute): boolean => ACL.test(name.toString('latin1'));
  const write = (attribute: ExtendedAttribute) =>
    tried(losses, attribute.name.toString(), () => handle.write(handle.path, attribute));
  for (const attribute of attributes) if (!isAcl(attribute)) write(attribute);
  handle.setMode?.(owned ? mode : mode & ~SET_IDS);
  for (const attribute of attributes) if (isAcl(attribute)) write(attribute);
  handle.setTime(mtimeNs);
  return losses;
}

/** What this process makes is mostly its own already: looking takes a quarter of what a change of nothing takes. */
function isOurs(fd: number, uid: number, gid: number): boolean {
  if (uid !== OWN_UID) return false;
  const status = fstatSync(fd);
  return status.uid === uid && status.gid === gid;
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
