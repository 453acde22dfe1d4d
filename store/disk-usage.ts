/**
 * How much of the file systems on a disk is in use, for whoever is about to erase it: by the file systems' own
 * programs, which read and do not mount. Nothing is said where it cannot be told: of another file system, without its
 * program, while it is mounted, and when it was not unmounted, since the counts are those of before then.
 */
import { closeSync, constants, openSync } from 'node:fs';
import type { Disk, DiskContent } from '../domain/disk.ts';
import { SECOND } from '../domain/units.ts';
import { HANDED_OVER, parseProbe, runTool } from './block-device.ts';

/** A disk that hangs must not keep a person from seeing the others. */
const PATIENCE_MS = 20 * SECOND;
const XFS_FIELDS = 'print blocksize dblocks fdblocks logblocks logstart inprogress';
const { O_RDONLY, O_NONBLOCK } = constants;

/** By type: asks the file system behind a descriptor. */
const METERS: Readonly<Record<string, (fd: number) => Promise<number | undefined>>> = {
  ext2: askExt,
  ext3: askExt,
  ext4: askExt,
  xfs: askXfs,
  ntfs: async (fd) => usedOfNtfs(await said(fd, 'ntfsinfo', '--mft')),
};

/** The disk with what is used of each file system, where that can be told. Never throws, and writes nothing. */
export async function withUsage(disk: Disk): Promise<Disk> {
  if (disk.mountedAt.length > 0 || disk.inUse) return disk;
  const holds: DiskContent[] = [];
  for (const content of disk.holds) {
    const usedBytes = await measure(content).catch(() => undefined);
    const isSensible = usedBytes !== undefined && usedBytes >= 0 && usedBytes <= content.sizeBytes;
    holds.push(isSensible ? { ...content, usedBytes } : content);
  }
  return { ...disk, holds };
}

/** Through one descriptor, of which it is asked first whether it is still what was found before. */
async function measure({ device, type, uuid }: DiskContent): Promise<number | undefined> {
  const meter = METERS[type];
  if (!meter) return undefined;
  const fd = openSync(device, O_RDONLY | O_NONBLOCK);
  try {
    const now = parseProbe(await said(fd, 'blkid', '--probe', '--output', 'export'));
    return now.get('TYPE') === type && now.get('UUID') === uuid ? await meter(fd) : undefined;
  } finally {
    closeSync(fd);
  }
}

/** What a program prints; empty when it ends with an error. */
async function said(fd: number, program: string, ...args: readonly string[]): Promise<string> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const { exit, out } = await runTool(program, [...args, HANDED_OVER], { fd, signal });
  return exit === 0 ? out : '';
}

async function askExt(fd: number): Promise<number | undefined> {
  return usedOfExt(await said(fd, 'dumpe2fs', '-h'));
}

async function askXfs(fd: number): Promise<number | undefined> {
  if (!(await isLogClean(fd))) return undefined;
  return usedOfXfs(await said(fd, 'xfs_db', '-r', '-c', 'sb 0', '-c', XFS_FIELDS));
}

/** All that is in a log that is not would be printed: nobody waits for that. */
async function isLogClean(fd: number): Promise<boolean> {
  const seen = new AbortController();
  let state = '';
  const onLine = (line: string): void => {
    state ||= /\bstate: <(\w+)>/.exec(line)?.[1] ?? '';
    if (state !== '') seen.abort();
  };
  const signal = AbortSignal.any([seen.signal, AbortSignal.timeout(PATIENCE_MS)]);
  await runTool('xfs_logprint', ['-t', HANDED_OVER], { fd, onLine, signal }).catch(() => {});
  return state === 'CLEAN';
}

/** Bytes, by what `dumpe2fs -h` prints; `undefined` when its counts are not of now, or count something else. */
export function usedOfExt(printed: string): number | undefined {
  const [, state = ''] = /^Filesystem state: +(.*)$/m.exec(printed) ?? [];
  const [, features = ''] = /^Filesystem features: +(.*)$/m.exec(printed) ?? [];
  if (state.trim() !== 'clean' || /\b(?:needs_recovery|bigalloc)\b/.test(features)) return undefined;
  const count = (name: string) => numberAfter(printed, `${name}: `);
  const overhead = count('Overhead clusters') ?? count('Overhead blocks') ?? 0;
  return product(
    (count('Block count') ?? Number.NaN) - (count('Free blocks') ?? Number.NaN) - overhead,
    count('Block size'),
  );
}

/** Bytes, by the superblock as `xfs_db` prints it. */
export function usedOfXfs(printed: string): number | undefined {
  const count = (name: string) => numberAfter(printed, `${name} =`) ?? Number.NaN;
  if (count('inprogress') !== 0) return undefined;
  const log = count('logstart') === 0 ? 0 : count('logblocks'); // else it is on another device
  return product(count('dblocks') - log - count('fdblocks'), count('blocksize'));
}

/** Bytes, by what `ntfsinfo --mft` prints. */
export function usedOfNtfs(printed: string): number | undefined {
  const count = (name: string) => numberAfter(printed, `\\t${name}: `) ?? Number.NaN;
  if (!/^\tVolume Flags: 0x0000\b/m.test(printed)) return undefined; // dirty, or being changed
  return product(count('Volume Size in Clusters') - count('Free Clusters'), count('Cluster Size'));
}

function numberAfter(printed: string, name: string): number | undefined {
  const [, digits] = new RegExp(`^${name} *(\\d+)\\b`, 'm').exec(printed) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

function product(blocks: number, bytes = Number.NaN): number | undefined {
  return Number.isFinite(blocks * bytes) ? blocks * bytes : undefined;
}
