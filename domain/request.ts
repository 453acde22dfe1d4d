/**
 * What each step is asked, and by which site it is done. A workflow sees a site only through its
 * interface here, and activities/ implements them. Everything is a name people chose, an id, a
 * digest or a count: paths, globs and addresses stand in the host's own settings and state, or
 * sealed in a record whose digest is carried here.
 *
 * One object argument a step, so that fields can be added. A changed meaning is a new step.
 */
import type { ErasurePlan } from './erasure-plan.ts';
import type { CleanupPlan } from './leftovers.ts';
import type { Digest } from './names.ts';
import type { Notice } from './news.ts';
import type {
  ErasedDrive,
  HostSeen,
  IngestedDrive,
  ObjectRange,
  PointRef,
  PreparedDrive,
  ProvedVault,
  PublishedRepair,
  RegisteredImport,
  RestoredFiles,
  SentPacks,
  StagedBackup,
  StatedPoint,
  VaultPresence,
} from './receipt.ts';
import type { Cleaned, Erased, JobState } from './record.ts';

/** One run of one step. `run` and `step` name the receipt; `time` is the workflow's, in UTC. */
interface StepRequest {
  readonly vault: string;
  readonly run: string;
  readonly step: string;
}

/** Where objects lie on their way. `place` is looked up in the settings of the host that works. */
export type Waypoint =
  | { readonly kind: 'staging'; readonly place: string }
  | { readonly kind: 'spool'; readonly protection: string; readonly stageStep: string }
  | { readonly kind: 'landing'; readonly place: string };

export interface StageRequest extends StepRequest {
  readonly machine: string;
  readonly protection: string;
  readonly time: string;
  /** Whether it is the initial backup or an incremental one is told by the machine's catalog. */
  readonly to: Waypoint;
  /** Of packs in a staging location that no drive has yet; unlimited when absent. */
  readonly stagedBytesMax?: number;
  /** Objects of a set that nobody has any more: what they held is read and sealed again. */
  readonly lost?: LostSelection;
}

export interface LostSelection {
  readonly packSet: Digest;
  readonly ranges: readonly ObjectRange[];
  /** Only directories' records: files' data is given up. */
  readonly treesOnly?: boolean;
}

/** Writes the point, its pack set and its index to the vault; the packs are not its business. */
export interface StateRequest extends StepRequest {
  readonly machine: string;
  readonly from: Waypoint;
  readonly point: PointRef;
  readonly packSet: Digest;
  /** Goes with it, where lost objects were made good. */
  readonly repair?: Digest;
}

/** Says that objects of a set are given up. */
export interface GiveUpRequest extends StepRequest {
  readonly packSet: Digest;
  readonly ranges: readonly ObjectRange[];
}

/**
 * Moves objects to the vault: drains a spool until the stage receipt of `run` is there and all is
 * sent (its point is not known yet), or moves a pack set's objects from staging or landing.
 */
export interface SendRequest extends StepRequest {
  readonly machine: string;
  readonly from: Waypoint;
  /** Absent while draining a spool. */
  readonly packSet?: Digest;
  /** Only these of the pack set; all of it when absent. */
  readonly ranges?: readonly ObjectRange[];
  /** Only directories' records among them. */
  readonly treesOnly?: boolean;
  /** While draining a spool: when all is there, the backup's point is stated too. */
  readonly claim?: boolean;
}

export interface PrepareRequest extends StepRequest {
  readonly job: string;
  readonly drive: string;
  readonly host: string;
  readonly staging: string;
  /** Absent where staging is limited: drives are filled while the set is being made. */
  readonly packSet?: Digest;
  readonly ranges: readonly ObjectRange[];
  /** Of a limited staging: the step that fills it. */
  readonly stageStep?: string;
  readonly capacityBytes: number;
  readonly region: string;
  readonly landing: string;
}

export interface RegisterRequest extends StepRequest {
  readonly job: string;
  readonly region: string;
  readonly landing: string;
  readonly packSet: Digest;
  readonly drives: readonly PreparedDrive[];
}

/** Takes back an import job: what the cancel table of domain/seeding-job.ts lists, no more. */
export interface WithdrawRequest extends StepRequest {
  readonly job: string;
  readonly region: string;
  readonly landing: string;
  /** Where the drives were prepared from: their wraps lie there too. Absent in older histories. */
  readonly staging?: string;
  readonly drives: readonly string[];
  readonly undo: readonly ('import-job' | 'drive-keys' | 'landing')[];
}

/** Appends a revision to a record, unless one with this or a later `sequence` is there. */
export interface RecordRequest {
  readonly vault: string;
  readonly kind: 'job';
  readonly id: string;
  /** Counted by the workflow: a second attempt adds nothing. */
  readonly sequence: number;
  /** Replaces the newest body's `state`; what the person who ordered it wrote stays. */
  readonly state: JobState;
}

export interface IngestRequest extends StepRequest {
  readonly job: string;
  readonly drive: string;
  readonly region: string;
  readonly host: string;
  readonly landing: string;
  readonly packSet: Digest;
  readonly manifest: Digest;
  readonly epoch: number;
  readonly ranges: readonly ObjectRange[];
}

export interface ScheduleRequest {
  readonly vault: string;
  readonly machine: string;
  readonly protection: string;
  /** `daily 02:00,14:00` or `weekly sat 22:00`, as domain/protection.ts reads it. */
  readonly schedule: string;
  readonly timezone: string;
  readonly heartbeatMs: number;
  readonly paused: boolean;
}

/**
 * Returns as soon as the queue is (`present`) or is not (`absent`) polled; until then it throws a
 * benign retryable failure, so that waiting costs neither a slot nor an event.
 */
export interface ObserveRequest {
  readonly queue: string;
  readonly until: 'present' | 'absent';
}

export interface PresenceRequest {
  readonly vault: string;
  readonly run: string;
}

/** To one channel, by its name in the control worker's settings. */
export interface NoticeRequest extends Notice {
  readonly channel: string;
  /** The same over all attempts: who receives it twice drops the repetition. */
  readonly id: string;
}

/** The input of the workflow `notice`. `only` one channel, else all that want the kind. */
export interface NoticeOrder {
  readonly notice: Notice;
  readonly only?: string;
}

/** The input of the workflow `cleanup`. */
export interface CleanupRequest {
  readonly vault: string;
  readonly job: string;
  readonly machine: string;
  readonly by: string;
  /** Read the vault back, remove nothing. */
  readonly dryRun: boolean;
  readonly heartbeatMs: number;
}

export interface ProveRequest extends StepRequest {
  readonly packSet: Digest;
}

/** Takes a set's objects out of a place, but for those of `keep`. */
export interface ClearRequest extends StepRequest {
  readonly machine: string;
  readonly place: string;
  readonly packSet: Digest;
  readonly keep: readonly Digest[];
  readonly drives: readonly string[];
}

export interface KeepCleanupRequest extends Pick<Cleaned, 'proof' | 'objects' | 'bytes' | 'removed'> {
  readonly vault: string;
  readonly job: string;
  readonly by: string;
}

/** The input of the workflow `erasure`. */
export interface ErasureRequest {
  readonly vault: string;
  readonly job: string;
  readonly machine: string;
  readonly drive: string;
  /** Of the copy host or dock the drive is attached to. */
  readonly queue: string;
  readonly host: string;
  /** What the disk says it is; absent for a directory. */
  readonly serial?: string;
  readonly full: boolean;
  readonly by: string;
  readonly heartbeatMs: number;
}

export interface EraseRequest extends StepRequest {
  readonly queue: string;
  readonly drive: string;
  readonly full: boolean;
}

/** Removes the wraps of drive keys from a place. */
export interface ForgetKeysRequest extends StepRequest {
  readonly machine: string;
  readonly place: string;
  readonly drives: readonly string[];
}

export interface KeepErasureRequest {
  readonly vault: string;
  readonly job: string;
  readonly erased: Erased;
}

export interface CancelRequest {
  readonly workflowId: string;
}

export interface RestoreRequest extends StepRequest {
  /** Which points and paths, where to: a request file in the owner's machine state. */
  readonly request: Digest;
}

/** The input of the workflow `backup`, as the schedule and `backup now` start it. */
export interface BackupRequest {
  readonly vault: string;
  readonly machine: string;
  readonly protection: string;
  readonly heartbeatMs: number;
}

/** The input of the workflow `restoration`; `owner` names the unlocked process, `id` the restore. */
export interface RestorationRequest {
  readonly vault: string;
  readonly owner: string;
  readonly id: string;
  readonly request: Digest;
  readonly heartbeatMs: number;
}

/** The input of the workflow `upkeep`. */
export interface UpkeepRequest {
  readonly vault: string;
  readonly heartbeatMs: number;
}

/** `source.<machine>`, all on its `.data` twin. */
export interface SourceSteps {
  stageBackup(request: StageRequest): Promise<StagedBackup>;
  statePoint(request: StateRequest): Promise<StatedPoint>;
  sendPacks(request: SendRequest): Promise<SentPacks>;
  /** How many objects were removed. */
  clearStaging(request: ClearRequest): Promise<number>;
  forgetStagedKeys(request: ForgetKeysRequest): Promise<void>;
}

/** `copy.<host>.data` */
export interface CopySteps {
  prepareDrive(request: PrepareRequest): Promise<PreparedDrive>;
}

/** `dock.<region>.<host>.data` */
export interface DockSteps {
  ingestDrive(request: IngestRequest): Promise<IngestedDrive>;
}

/** `copy.<host>.data` and `dock.<region>.<host>.data` */
export interface EraseSteps {
  eraseDrive(request: EraseRequest): Promise<ErasedDrive>;
}

/** `vault.<vault>`: what a job's record says of erased drives. */
export interface ErasureSteps {
  planErasure(request: { readonly vault: string; readonly job: string; readonly drive: string }): Promise<ErasurePlan>;
  keepErasure(request: KeepErasureRequest): Promise<void>;
}

/** `vault.<vault>.data` */
export interface VaultSteps {
  sendPacks(request: SendRequest): Promise<SentPacks>;
  observeVault(request: PresenceRequest): Promise<VaultPresence>;
  proveVault(request: ProveRequest): Promise<ProvedVault>;
  clearLanding(request: ClearRequest): Promise<number>;
}

/** `vault.<vault>`: whoever may write the vault's records. */
export interface RecordSteps {
  registerImport(request: RegisterRequest): Promise<RegisteredImport>;
  withdrawImport(request: WithdrawRequest): Promise<void>;
  keepRecord(request: RecordRequest): Promise<void>;
  giveUp(request: GiveUpRequest): Promise<PublishedRepair>;
}

/** `vault.<vault>`: what a job leaves behind. */
export interface CleanupSteps {
  planCleanup(request: { readonly vault: string; readonly job: string }): Promise<CleanupPlan>;
  keepCleanup(request: KeepCleanupRequest): Promise<void>;
}

/** `control` */
export interface ControlSteps {
  startSchedule(request: ScheduleRequest): Promise<void>;
  observeHost(request: ObserveRequest): Promise<HostSeen>;
  /** Starts the workflow `notice` under this id; the second time it is started already. */
  startNotice(request: NoticeOrder & { readonly id: string }): Promise<void>;
  /** Writes it to the worker's log; the channels that want it. */
  announce(order: NoticeOrder): Promise<readonly string[]>;
  sendNotice(request: NoticeRequest): Promise<void>;
  /** Asks Temporal to cancel a workflow, so that the update `cancel` ends as Temporal's own does. */
  requestCancel(request: CancelRequest): Promise<void>;
}

/** `owner.<id>.data` */
export interface OwnerSteps {
  restoreFiles(request: RestoreRequest): Promise<RestoredFiles>;
}
