/**
 * Ship or upload: what an initial backup takes either way, before anything is begun. Nothing is taken to
 * compress, and a line to carry nothing else: what comes true is less by drive, and more over the line.
 */
import { usableBytes } from './drive.ts';
import { type Measured, stagingNeeds } from './staging-space.ts';
import { MB, SECOND } from './units.ts';

/** Of a 3.5-inch disk, from its outer tracks to its inner ones. */
const DISK_BYTES_PER_SECOND = 150 * MB;
/** Staging to drive, read back, drive to landing. */
const DISK_PASSES = 3;

export interface SeedPlan {
  /** At most, in staging and on drives. */
  readonly stagedBytes: number;
  readonly drives: number;
  /** One drive after the other; without the way of the parcel. */
  readonly copyingMs: number;
  /** At best, where the line was named. */
  readonly lineMs?: number;
  /** As long as the parcel may travel and still be there first; none when the line is faster anyhow. */
  readonly travelMs?: number;
}

/**
 * @param driveBytes what the label of each drive promises
 * @param uplinkBits a second, of the line there is
 */
export function planSeed(measured: Measured, driveBytes: number, uplinkBits?: number): SeedPlan {
  const stagedBytes = stagingNeeds(measured);
  const drives = Math.max(1, Math.ceil(stagedBytes / usableBytes(driveBytes)));
  const copyingMs = (DISK_PASSES * stagedBytes * SECOND) / DISK_BYTES_PER_SECOND;
  const plan = { stagedBytes, drives, copyingMs };
  if (uplinkBits === undefined) return plan;
  const lineMs = (stagedBytes * 8 * SECOND) / uplinkBits;
  return lineMs > copyingMs ? { ...plan, lineMs, travelMs: lineMs - copyingMs } : { ...plan, lineMs };
}
