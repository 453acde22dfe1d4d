/**
 * A directory whose names are looked at one after the other, each below it: a path from the root would be looked up
 * from its beginning each time, and Node makes dates and numbers of a status that nobody asks for.
 *
 *   struct statx (linux/stat.h), little-endian: links at 16 · uid 20 · gid 24 · mode (u16) 28 · inode (u64) 32 ·
 *   size (u64) 40 · blocks (u64) 48 · ctime: seconds (i64) 96, ns 104 · mtime 112, 120 · rdev: major 128, minor 132 ·
 *   device 136, 140
 */
import { closeSync, constants, openSync } from 'node:fs';
import { below, type EntryStatus, type EntryType, typeOf } from './source-tree.ts';
import { O_PATH, statusBelow } from './system-calls.ts';

const NS_PER_SECOND = 1_000_000_000n;
const STATX_BYTES = 256;

const bytes = new Uint8Array(STATX_BYTES);
const numbers = new Uint32Array(bytes.buffer);
const words = new BigInt64Array(bytes.buffer);
/** Most files lie on the device of the one before. */
const device = { major: -1, minor: -1, encoded: 0n };

/** What was looked at last: of most names little is asked, and no number is made of the rest. */
class LastStatus implements EntryStatus {
  get type(): EntryType {
    return typeOf(u32(28) & 0xffff);
  }

  get mode(): number {
    return u32(28) & 0o7777;
  }

  get uid(): number {
    return u32(20);
  }

  get gid(): number {
    return u32(24);
  }

  get size(): number {
    return u64(40);
  }

  get mtimeNs(): bigint {
    return i64(112) * NS_PER_SECOND + BigInt(u32(120));
  }

  get ctimeNs(): bigint {
    return i64(96) * NS_PER_SECOND + BigInt(u32(104));
  }

  get inode(): bigint {
    return BigInt.asUintN(64, i64(32));
  }

  get device(): bigint {
    return encoded(u32(136), u32(140));
  }

  get links(): number {
    return u32(16);
  }

  get rdev(): bigint {
    return u32(128) === 0 && u32(132) === 0 ? 0n : encodedOf(u32(128), u32(132));
  }

  get blocks(): number {
    return u64(48);
  }
}

const last = new LastStatus();

/** Holds one descriptor until `close`. */
export class SourceDirectory {
  readonly #fd: number;

  /** @param path of any length; a link to a directory is refused (`ENOTDIR`) @throws an errno error */
  constructor(path: Buffer) {
    const { O_DIRECTORY, O_NOFOLLOW } = constants;
    this.#fd = below(path, (short) => openSync(short, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  }

  /**
   * What stands under a name, of a link the link itself: valid until anything else is looked at, `statusKept` of it
   * for ever. @param name in latin1 @throws an errno error
   */
  look(name: string): EntryStatus {
    statusBelow(this.#fd, name, bytes);
    return last;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** A status that does not change with the next look. */
export function statusKept(status: EntryStatus): EntryStatus {
  const { type, mode, uid, gid, size, mtimeNs, ctimeNs, inode, device: at, links, rdev, blocks } = status;
  return { type, mode, uid, gid, size, mtimeNs, ctimeNs, inode, device: at, links, rdev, blocks };
}

function u32(at: number): number {
  return numbers[at / 4] ?? 0;
}

function u64(at: number): number {
  return u32(at) + u32(at + 4) * 2 ** 32;
}

function i64(at: number): bigint {
  return words[at / 8] ?? 0n;
}

function encoded(major: number, minor: number): bigint {
  if (device.major !== major || device.minor !== minor)
    Object.assign(device, { major, minor, encoded: encodedOf(major, minor) });
  return device.encoded;
}

/** A device's number as stat(2) tells it: makedev(3) of glibc. */
function encodedOf(major: number, minor: number): bigint {
  const high = (BigInt(major & 0xfffff000) << 32n) | BigInt((major & 0xfff) << 8);
  return high | (BigInt(minor & 0xffffff00) << 12n) | BigInt(minor & 0xff);
}
