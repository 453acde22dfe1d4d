/**
 * How large a tree is, and how much room a folder has: by lstat alone, nothing is read, or by what its file systems
 * tell of themselves. What cannot be looked at counts as nothing, since it cannot be backed up either.
 */
import { realpathSync, statfsSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import type { Measured } from '../domain/staging-space.ts';
import { mountPoints } from './block-device.ts';
import { placeFailure } from './directory-store.ts';
import { eachName, isKernelState, statusAt } from './source-tree.ts';

const BLOCK_BYTES = 512;
/** Between two of these a terminal may draw, and Ctrl-C is heard. */
const ENTRIES_AT_ONCE = 20_000;

/**
 * Walks `paths`, each absolute.
 * @param onProgress told every 20,000 entries
 */
export async function measureTrees(
  paths: readonly string[],
  onProgress: (so: Measured) => void = () => {},
): Promise<Measured> {
  const linked = new Set<string>();
  const kernels = new Map<bigint, boolean>();
  const open = paths.map((path) => Buffer.from(path));
  let [bytes, entries] = [0, 0];
  for (let path = open.pop(); path; path = open.pop()) {
    const status = quietly(() => statusAt(path));
    if (!status) continue;
    entries += 1;
    if (entries % ENTRIES_AT_ONCE === 0) {
      onProgress({ bytes, entries });
      await breathe();
    }
    if (status.type === 'directory') {
      const { device } = status;
      if (!kernels.has(device)) kernels.set(device, quietly(() => isKernelState(path)) ?? true);
      const names = kernels.get(device) ? [] : quietly(() => [...eachName(path, status.size)]);
      for (const name of names ?? []) open.push(Buffer.concat([path, SLASH, Buffer.from(name, 'latin1')]));
    }
    if (status.type !== 'file') continue;
    const id = `${status.device} ${status.inode}`;
    if (status.links > 1 && linked.has(id)) continue;
    if (status.links > 1) linked.add(id);
    bytes += Math.min(status.size, status.blocks * BLOCK_BYTES);
  }
  return { bytes, entries };
}

const SLASH = Buffer.from('/');

/** ext2 to ext4: each file has blocks of its own. Others share blocks between files, or compress them. */
const BOUNDED_TYPE = 0xef53;

/**
 * At most what `measureTrees` finds: what the file systems below `paths` hold altogether, which takes no walk. Further
 * names of one file are not counted.
 * @returns `undefined` where one of them does not tell, and the trees have to be walked
 */
export function boundOfTrees(paths: readonly string[]): Measured | undefined {
  try {
    const mounted = mountPoints();
    const inside = (real: string) => mounted.filter((point) => point.startsWith(real === '/' ? real : `${real}/`));
    const roots = paths.flatMap((path) => [path, ...inside(realpathSync(path))]);
    let [bytes, entries] = [0, 0];
    for (const root of new Set(roots)) {
      if (isKernelState(Buffer.from(root))) continue;
      const { type, bsize, blocks, bfree, files, ffree } = statfsSync(root);
      if (type !== BOUNDED_TYPE) return undefined;
      bytes += (blocks - bfree) * bsize;
      entries += files - ffree;
    }
    return { bytes, entries };
  } catch {
    return undefined; // an item that is not there: the walk passes over it
  }
}

/** Bytes that one without privileges may still write below a folder. @throws Failure `Unreachable`, … */
export function freeBytesOf(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch (error) {
    throw placeFailure(error);
  }
}

function quietly<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined; // gone, or not ours to see
  }
}
