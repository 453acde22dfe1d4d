/**
 * A job: the whole journey, by its name. Its stages, what it was asked, what it shows, and what
 * cancelling undoes. The import job, parcels and drives have states of their own (their files).
 *
 *   Staging → Preparing → Shipping → Ingesting → Copying → [Returning →] Protected | Closed | Cancelled
 *
 * The point is complete after Copying: returning drives is no condition for anything.
 */
import type { Attention } from './attention.ts';
import type { DiskReport } from './disk.ts';
import type { DriveState } from './drive.ts';
import { Failure } from './failure.ts';
import type { ImportJobState } from './import-job.ts';
import type { Digest } from './names.ts';
import type { ObjectRange, PointRef } from './receipt.ts';
import type { Parcel, Timers } from './shipment.ts';

export const JOURNEY_STAGES = [
  'Staging',
  'Preparing',
  'Shipping',
  'Ingesting',
  'Copying',
  'Returning',
  'Protected',
  'Closed',
  'Cancelled',
] as const;
export type JourneyStage = (typeof JOURNEY_STAGES)[number];

/** Lies across the stages; `SeedshipState` in Temporal's lists. */
export type WorkState = 'Running' | 'Waiting' | 'Paused' | 'Attention' | 'Cancelling' | 'Done' | 'Cancelled';

/** The input of the workflow `seeding`; its id is `seedingId`. All of it names people chose. */
export interface SeedingRequest {
  readonly vault: string;
  readonly machine: string;
  readonly protection: string;
  readonly job: string;
  readonly region: string;
  /** Places, looked up in the settings of each host. */
  readonly staging: string;
  /** Staging is smaller than the seed: drives take packs while others are made. Unlimited when absent. */
  readonly stagedBytesMax?: number;
  readonly landing: string;
  readonly schedule: string;
  readonly timezone: string;
  /** Whether the datacenter sends drives back. */
  readonly returns: boolean;
  readonly startedBy: string;
  /** Silence after which an attempt is given up: TIMEOUTS.heartbeatMs, 5 s in tests. */
  readonly heartbeatMs: number;
  /** What else was ordered; absent where the datacenter asked for nothing. */
  readonly details?: JobDetails;
  /** When people are reminded and asked; the usual days when absent. */
  readonly timers?: Timers;
  /** The hosts that may prepare its drives; any when absent (copy-hosts.ts). */
  readonly copyHosts?: readonly string[];
}

/** What was ordered besides, without what only the datacenter and the owner may read. */
export interface JobDetails {
  /** SHA-256 of `sealed` in the job's record: contact, return address, account. */
  readonly sealed?: Digest;
  /** The same in the machine state of the computer they were typed at: a later edit asks for nothing again. */
  readonly request?: Digest;
  readonly contact: boolean;
  readonly returnTo: boolean;
  /** `none` when drives are not sent back. */
  readonly returnCarrier: string;
  /** Whose parcels the datacenter takes in; all when absent. */
  readonly carriers?: readonly string[];
}

export interface DriveStatus {
  readonly id: string;
  readonly state: DriveState;
  /** Of the copy host; then of the dock host. */
  readonly host: string;
  readonly capacityBytes: number;
  readonly ranges: readonly ObjectRange[];
  readonly objects: number;
  readonly bytes: number;
  readonly epoch?: number;
  readonly manifest?: Digest;
  /** Its manifest stands in the import job: it may be shipped. */
  readonly registered?: boolean;
  readonly tracking?: string;
  readonly refused?: number;
  /** Of a lost drive: what it carried, should it come after all. */
  readonly carried?: readonly ObjectRange[];
  /** What the dock took and refused, object by object; kept in the vault. */
  readonly copyLog?: Digest;
  /** It is written by a plan file, on a copy host that reaches no server. */
  readonly offline?: boolean;
  /** As its maker printed it. */
  readonly serial?: string;
  /** How its disk did while it was filled. */
  readonly disk?: DiskReport;
  /** Where it goes, when the job went elsewhere before or after. */
  readonly region?: string;
  readonly landing?: string;
  /** An extra drive's own job, where one is known. */
  readonly ofJob?: string;
}

export interface WaitsFor {
  readonly what: string;
  /** Who must act: `the copy host`, `a person`. */
  readonly who: string;
  /** What to type; empty while nobody needs to type anything. */
  readonly command: string;
  readonly by?: string;
}

/** The answer of the query `status`; the CLI and the console read nothing else. */
export interface JobStatus {
  readonly workflowId: string;
  readonly run: string;
  readonly request: SeedingRequest;
  readonly stage: JourneyStage;
  readonly state: WorkState;
  readonly importJob: ImportJobState;
  readonly reached: readonly { readonly stage: JourneyStage; readonly at: string }[];
  readonly point?: PointRef;
  readonly packSet?: Digest;
  readonly staged?: {
    readonly objects: number;
    readonly sealedBytes: number;
    readonly readBytes: number;
    readonly files: number;
    readonly skippedFiles: number;
  };
  /** Objects of the seed that no drive carries yet. */
  readonly free: readonly ObjectRange[];
  /** Objects of the seed that a person gave up. */
  readonly dropped?: readonly ObjectRange[];
  readonly drives: readonly DriveStatus[];
  readonly parcels: readonly Parcel[];
  readonly attention: readonly Attention[];
  readonly waitsFor: WaitsFor;
  readonly deadline?: string;
  /** `*` for the whole job, else drives: their bytes do not move until they are resumed. */
  readonly held?: readonly string[];
  readonly cancelledBy?: string;
}

/** The receipt of the initial backup: a limited staging is filled until it is there. */
export const STAGE_STEP = 'stage';

/** The workflow id of a job: the same job is the same work. */
export function seedingId({ vault, job }: { readonly vault: string; readonly job: string }): string {
  return `seed/${vault}/${job}`;
}

export const childId = {
  prepare: (job: string, drive: string) => `${job}/prepare/${drive}`,
  shipping: (job: string) => `${job}/shipping`,
  ingest: (job: string, drive: string) => `${job}/ingest/${drive}`,
} as const;

/** The step that writes a drive, the first time it is offered. */
export const prepareStep = (drive: string) => `prepare-${drive}`;

export const backupId = (vault: string, machine: string, protection: string) =>
  `backup/${vault}/${machine}/${protection}`;
export const scheduleId = (vault: string, machine: string, protection: string) =>
  `schedule/${vault}/${machine}/${protection}`;
export const restorationId = (vault: string, id: string) => `restore/${vault}/${id}`;
export const cleanupId = (vault: string, job: string) => `cleanup/${vault}/${job}`;
export const erasureId = (vault: string, job: string, drive: string) => `erase/${vault}/${job}/${drive}`;
export const upkeepId = (vault: string) => `upkeep/${vault}`;

/**
 * The name of a run, which names its receipts: what it does, when it began, and eight digits of
 * chance, so that a job started again under an old name never finds the receipts of the first.
 * @param at ISO, UTC
 * @param chance a UUID made by the workflow
 */
export function runName(subject: string, at: string, chance: string): string {
  return `${subject}.${at.slice(0, 19).replace(/[-:]/g, '')}Z.${chance.slice(0, 8)}`;
}

export type Undo = 'import-job' | 'drive-keys' | 'landing' | 'schedule';

export interface CancelRow {
  readonly undo: readonly Undo[];
  readonly undone: string;
  readonly kept: string;
  readonly drives: string;
}

const TRAVELLING: CancelRow = {
  undo: ['schedule', 'import-job', 'drive-keys', 'landing'],
  undone: 'the schedule is paused, the import job withdrawn, drive keys in landing and vault deleted, landing emptied',
  kept: 'staging, with drive keys the vault worker does not reach; the stated points; what the vault already holds',
  drives: 'go back to the sender as they are; without their keys they hold noise',
};

/**
 * What cancelling undoes, by the stage that was reached; `undefined` where it is too late. Nothing
 * is ever taken out of the vault: packs that no point needs are upkeep's business.
 */
export const CANCEL_TABLE: Readonly<Record<JourneyStage, CancelRow | undefined>> = {
  Staging: {
    undo: [],
    undone: 'the backup in progress ends; no point is stated',
    kept: 'packs already staged: another job of this protection goes on from them',
    drives: 'none yet; of a limited staging, those that were being filled: their keys are deleted, they hold noise',
  },
  Preparing: {
    undo: ['schedule', 'drive-keys'],
    undone: 'the schedule is paused, drive keys in landing and vault deleted',
    kept: 'staging, with drive keys the vault worker does not reach; the stated points, which wait for their packs',
    drives: 'stay where they are; without their keys they hold noise',
  },
  Shipping: TRAVELLING,
  Ingesting: TRAVELLING,
  Copying: TRAVELLING,
  Returning: undefined,
  Protected: undefined,
  Closed: undefined,
  Cancelled: undefined,
};

/** What else people may do with a whole job, and until when; what cancelling does stands above. */
export const JOB_ACTS = {
  edit: {
    stages: ['Staging', 'Preparing', 'Shipping'],
    does:
      'contact, return address, return carrier and copy hosts are changed, until the first parcel has left; ' +
      'copy hosts also afterwards, while objects wait for another drive',
  },
  redirect: {
    stages: ['Staging', 'Preparing', 'Shipping', 'Ingesting'],
    does:
      'drives that have not left are prepared anew for the other datacenter, and their keys deleted; ' +
      'those that left are taken in where they were sent, and both containers are copied to the vault',
  },
  pause: {
    stages: ['Staging', 'Preparing', 'Shipping', 'Ingesting', 'Copying'],
    does: 'bytes stop moving, of the job or of one drive; what is with carriers goes on travelling, and is reminded of',
  },
  resume: {
    stages: ['Staging', 'Preparing', 'Shipping', 'Ingesting', 'Copying'],
    does: 'steps go on at the next object, not from the start',
  },
  extend: {
    stages: ['Preparing', 'Shipping', 'Ingesting'],
    does: 'what is waited for has until then: no decision is asked before',
  },
} as const satisfies Record<string, { readonly stages: readonly JourneyStage[]; readonly does: string }>;
export type JobAct = keyof typeof JOB_ACTS;

/** @throws Failure `WrongState` naming the stages where it may be done */
export function checkStage(act: JobAct, stage: JourneyStage): void {
  const { stages, does } = JOB_ACTS[act];
  if (stages.some((one) => one === stage)) return;
  throw new Failure('WrongState', `the job is ${stage}: it is too late to ${act} it`, {
    why: `in ${stages.join(', ')}: ${does}`,
    next: 'seedship help states',
  });
}
