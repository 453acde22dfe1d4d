/**
 * How much room an initial backup may need in its staging location: what it reads, a hundredth more
 * where nothing compresses, and what the trees take of many small files. A test holds real backups of
 * noise against it.
 */
import { Failure } from './failure.ts';
import { formatSize, MIB } from './units.ts';

const GROWTH = 1.01;
/** Index and names of objects: some 100 bytes for a chunk of 1 MiB, many times that for small files. */
const METADATA_SHARE = 0.002;
/** A name, its times and where its chunks are, sealed. */
const ENTRY_BYTES = 400;
/** Heads, tables and padding of a small backup. */
const LEAST_BYTES = 1 * MIB;

export interface Measured {
  /** Of regular files; a hard link counts once, a hole not at all. */
  readonly bytes: number;
  readonly entries: number;
}

/**
 * Bytes to be free, at most ever used.
 * @param stagedBytesMax what packs of file data may take at a time, where staging is limited; the rest stays
 */
export function stagingNeeds({ bytes, entries }: Measured, stagedBytesMax = Number.POSITIVE_INFINITY): number {
  const whole = bytes * GROWTH;
  const rest = whole > stagedBytesMax ? bytes * METADATA_SHARE : 0;
  return Math.ceil(Math.min(whole, stagedBytesMax) + rest) + entries * ENTRY_BYTES + LEAST_BYTES;
}

/**
 * @param stagedBytes of an earlier attempt, that lie there already: they are not written again
 * @throws Failure `WrongState` naming what is missing
 */
export function checkStagingSpace(
  measured: Measured,
  free: number,
  {
    stagedBytes = 0,
    stagedBytesMax,
  }: { readonly stagedBytes?: number; readonly stagedBytesMax?: number | undefined } = {},
): void {
  const needs = Math.max(0, stagingNeeds(measured, stagedBytesMax) - stagedBytes);
  if (needs <= free) return;
  throw new Failure(
    'WrongState',
    `the staging location has ${formatSize(free)} free, and may need ${formatSize(needs)}`,
    {
      why: `${formatSize(measured.bytes)} in ${measured.entries} files and folders, where nothing compresses`,
      next: 'free space there, name another --staging, add --staging-limit, or --no-space-check',
    },
  );
}
