/**
 * What a point waits for: the drives that carry its packs, by the records of the jobs. A machine may
 * not list records; it sees how many packs are missing, and `job list` says the rest.
 */
import type { DriveState } from '../domain/drive.ts';
import { driveLabel } from '../domain/names.ts';
import type { JobRecord, JobState, PresentPoint } from '../domain/record.ts';
import { readRecords } from '../store/records.ts';
import type { Door } from './vault-door.ts';

/** Their packs are in the landing container, or will not come this way. */
const DELIVERED: readonly DriveState[] = ['Completed', 'CompletedMoreInfo', 'ShippedBack', 'Lost'];

export interface PointWait {
  readonly job: string;
  /** That are still to be read at the datacenter. */
  readonly drives: readonly string[];
}

type Seed = Pick<JobState, 'stage' | 'packSet' | 'drives'> & { readonly job: string };

/** By a point's name. */
export async function pointWaits(door: Door, points: readonly PresentPoint[]): Promise<ReadonlyMap<string, PointWait>> {
  const waiting = points.filter(({ restorable }) => !restorable);
  const seeds = waiting.length === 0 ? [] : await seedsOf(door).catch(() => []);
  return new Map(
    waiting.flatMap((point): [string, PointWait][] => {
      const seed = seedBelow(point, points, seeds);
      return seed ? [[point.name, waitFor(seed)]] : [];
    }),
  );
}

/** The seed that a point is, or builds on over the points between. */
function seedBelow(point: PresentPoint, points: readonly PresentPoint[], seeds: readonly Seed[]): Seed | undefined {
  const seen = new Set<string>();
  let at: PresentPoint | undefined = point;
  while (at && !seen.has(at.name)) {
    const { name, packSet, base }: PresentPoint = at;
    const seed = seeds.find((one) => one.packSet === packSet);
    if (seed || base === undefined) return seed;
    seen.add(name);
    at = points.find((one) => one.name.endsWith(`-${base}`));
  }
  return undefined;
}

/** `restorable`, or `waiting for 41,220 packs on drive 7F3A (job hq-2026)`. */
export function pointState({ restorable, missing }: PresentPoint, wait?: PointWait): string {
  if (restorable) return 'restorable';
  const packs = `waiting for ${missing.toLocaleString('en')} ${missing === 1 ? 'pack' : 'packs'}`;
  if (!wait) return packs;
  const { job, drives } = wait;
  const where = drives.length === 0 ? '' : ` on ${drives.length === 1 ? 'drive' : 'drives'} ${drives.join(', ')}`;
  return `${packs}${where} (job ${job})`;
}

function waitFor({ job, drives }: Seed): PointWait {
  const carrying = drives.filter(({ state, ranges }) => !DELIVERED.includes(state) && ranges.length > 0);
  return { job, drives: carrying.map(({ id }) => driveLabel(id).replace(/^SEEDSHIP-/, '')) };
}

/** Of the jobs that were not cancelled. */
async function seedsOf({ store, trust }: Door): Promise<Seed[]> {
  const seeds: Seed[] = [];
  for await (const { id: job, body } of readRecords<JobRecord>(store, 'job', trust)) {
    const { state } = body;
    if (state?.packSet !== undefined && state.stage !== 'Cancelled') seeds.push({ job, ...state });
  }
  return seeds;
}
