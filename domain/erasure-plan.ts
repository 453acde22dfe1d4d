/**
 * Erasing a drive: when it may be, and what must go with it. The wraps of its keys come first: without
 * them it holds noise, wherever it is. Then its medium is overwritten, so that nobody need take our word.
 */
import type { Erased, JobRecord } from './record.ts';
import type { DriveStatus, JourneyStage } from './seeding-job.ts';

/** From here on the point is complete, or the job has ended: nothing more is read from a drive. */
const OVER: readonly JourneyStage[] = ['Returning', 'Protected', 'Closed', 'Cancelled'];

export interface ErasurePlan {
  /** Why it may not be erased now. */
  readonly refused?: string;
  /** Places, by name, where wraps of its keys may lie. */
  readonly landings: readonly string[];
  readonly staging: string;
  readonly region: string;
  readonly machine: string;
  /** As it was when it left. */
  readonly serial?: string;
}

export interface ErasureOutcome {
  readonly refused?: string;
  readonly erased?: Erased;
}

/** What erasing `drive` would touch, from the record of the job it travelled for. */
export function planErasure({ name, order, state }: JobRecord, drive: string): ErasurePlan {
  const { staging, landing, region, machine } = state?.ledger?.job ?? order;
  const known = state?.drives.find(({ id }) => id === drive);
  const { serial } = known ?? {};
  const landings = [...new Set([known?.landing ?? landing, landing])];
  const plan = { landings, staging, region, machine, ...(serial === undefined ? {} : { serial }) };
  const refused = known ? refusal(known, state?.stage ?? 'Staging') : `the job ${name} has no drive ${drive}`;
  return refused === undefined ? plan : { ...plan, refused };
}

function refusal({ state, capacityBytes, ofJob }: DriveStatus, stage: JourneyStage): string | undefined {
  if (state === 'Extra' && capacityBytes === 0)
    return ofJob === undefined ? 'it is of no job here' : `it is of the job ${ofJob}`;
  if (OVER.includes(stage) || state === 'Lost' || state === 'Extra') return undefined;
  return `it is ${state} and the job is ${stage}: what it carries may still be needed`;
}
