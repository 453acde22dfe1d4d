/**
 * Cleaning up after a job: what may be removed, and when. The vault is read back first; only what was
 * found right there is removed from landing and staging, and nothing that another job still needs.
 */
import type { Digest } from './names.ts';
import type { JobRecord } from './record.ts';
import type { JourneyStage } from './seeding-job.ts';

/** From here on the point is complete, or the job has ended. */
const DONE: readonly JourneyStage[] = ['Returning', 'Protected', 'Closed'];
const OVER: readonly JourneyStage[] = ['Protected', 'Closed', 'Cancelled'];

export interface CleanupPlan {
  /** Why nothing may be removed yet. */
  readonly refused?: string;
  readonly packSet?: Digest;
  /** Places, by name. */
  readonly landings: readonly string[];
  readonly staging: string;
  /** Their key wraps in landing are of no more use. */
  readonly drives: readonly string[];
  /** Sets of jobs under way that share a place: what is in them stays. */
  readonly keep: readonly Digest[];
}

/** What the proof says: every object of the set, read back from the vault. */
export interface Proof {
  readonly objects: number;
  readonly bytes: number;
  readonly missing: number;
  /** There, but not the bytes of their name. */
  readonly damaged: number;
}

export interface CleanupOutcome {
  readonly refused?: string;
  readonly proof?: Proof & { readonly run: string; readonly step: string; readonly receipt: Digest };
  /** Objects removed from each place. */
  readonly removed?: { readonly landing: number; readonly staging: number };
}

/**
 * What cleaning up after `job` would touch.
 * @param others every other job of the vault
 */
export function planCleanup(job: JobRecord, others: readonly JobRecord[]): CleanupPlan {
  const { order, state, imports = [] } = job;
  const staging = stagingOf(job);
  const landings = [...new Set(imports.filter((one) => !one.withdrawn).map(({ landing }) => landing))];
  const drives = (state?.drives ?? []).map(({ id }) => id);
  const plan = { landings, staging, drives, keep: [] };
  const stage = state?.stage ?? 'Staging';
  if (state?.packSet === undefined || !DONE.includes(stage))
    return { ...plan, refused: `the job is ${stage}: its point is not complete yet` };
  const running = others.filter(({ state: one }) => !OVER.includes(one?.stage ?? 'Staging'));
  const here = running.filter((one) => one.order.machine === order.machine && stagingOf(one) === staging);
  const filling = here.find((one) => one.state?.packSet === undefined);
  if (filling) return { ...plan, refused: `the job ${filling.name} is still being staged in the same place` };
  const keep = new Set([...here.flatMap((one) => one.state?.packSet ?? []), ...neededIn(landings, running)]);
  return { ...plan, packSet: state.packSet, keep: [...keep] };
}

/** Sets of those of `jobs` that are under way and share one of these landing containers. */
export function neededIn(landings: readonly string[], jobs: readonly JobRecord[]): Digest[] {
  const running = jobs.filter(({ state }) => !OVER.includes(state?.stage ?? 'Staging'));
  return running.filter((one) => landings.includes(landingOf(one))).flatMap((one) => one.state?.packSet ?? []);
}

/** Why a proof does not do; `undefined` when every object is right. */
export function doubt({ objects, missing, damaged }: Proof): string | undefined {
  if (missing === 0 && damaged === 0 && objects > 0) return undefined;
  return `the vault lacks ${missing} objects of the seed, and ${damaged} are not what they should be`;
}

function stagingOf({ order, state }: JobRecord): string {
  return (state?.ledger?.job ?? order).staging;
}

function landingOf({ order, state }: JobRecord): string {
  return (state?.ledger?.job ?? order).landing;
}
