/**
 * What a child process is asked to do, what it must be told in secret, and what it answers. Tasks
 * and answers are plain JSON. A task may stand in a log; secrets cross only the child's stdin.
 */
import type { Digest } from '../domain/names.ts';
import type { ObjectRange, Progress, StagedBackup } from '../domain/receipt.ts';
import type { LostSelection } from '../domain/request.ts';
import type { Timetable } from '../domain/timetable.ts';

/** A place of bytes as this host sees it: `file:///…`, or `s3://bucket/prefix` with an entry of `secrets.access`. */
export interface PlaceAt {
  readonly url: string;
  readonly access?: string;
}

/** Mirrors store/s3-store: how a site reaches a bucket. */
export interface PlaceAccess {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

interface Step {
  /** Names the receipt `receipts/<run>/<step>`; chosen by the workflow, so a second attempt finds it. */
  readonly run: string;
  readonly step: string;
  /** When the run began, by the workflow's clock (ISO). */
  readonly time: string;
  /** 32 hex digits: what every signature is bound to. */
  readonly vaultId: string;
  /** Holds the source back to so many bytes a second; for shared lines and for tests that hit the middle. */
  readonly bytesPerSecondMax?: number;
  /** And to this what goes from store to store, or from a store to files. */
  readonly line?: Timetable;
}

export interface BackupTask extends Step {
  readonly kind: 'backup';
  readonly machine: string;
  readonly protection: string;
  /** Absolute paths of what is protected. */
  readonly items: readonly string[];
  /** Globs against the absolute path: `*`, `**`, `?`, `[…]`; one without a slash matches a name anywhere. */
  readonly excludes: readonly string[];
  readonly to: StagingTarget | SpoolTarget;
  /** Machine state: the catalog, its lock, the spool's journal. */
  readonly stateDirectory: string;
  /** Where the machine's own index and points are read from when the catalog is lost. */
  readonly vault?: PlaceAt;
  readonly threads?: number;
  /** Objects of a set that nobody has any more: what they held is read and sealed again. To a spool only. */
  readonly lost?: LostSelection;
  /** Packs are closed when they reach this; 64 MiB when absent. Small ones suit a small spool, and tests. */
  readonly packBytesMax?: number;
}

/** Offline: everything is laid out in staging, point and receipt included. */
export interface StagingTarget {
  readonly kind: 'staging';
  readonly place: PlaceAt;
  /** Of packs that no drive has yet: drives take them in the order of their making. Unlimited when absent. */
  readonly bytesMax?: number;
}

/**
 * Online: packs, point and receipt pass through a bounded directory laid out as staging. The mover
 * takes them from there, writing each into the spool's journal before it removes it.
 */
export interface SpoolTarget {
  readonly kind: 'spool';
  readonly directory: string;
  readonly bytesMax: number;
}

/** The signed receipt's body says the same, without `kind`, `run`, `step` and `receipt`. */
export interface BackupResult extends StagedBackup {
  readonly kind: 'backup';
  /** Sealed and stored by the attempt that finished. */
  readonly addedObjects: number;
  readonly addedBytes: number;
  /** Packs of earlier attempts that were found and kept. */
  readonly resumedObjects: number;
  readonly directories: number;
  /** Bytes of files that were read again, of `readBytes` that are protected. */
  readonly rereadBytes: number;
  readonly unchangedFiles: number;
  /** Kept, though they changed while being read. */
  readonly changedWhileRead: number;
}

export interface RestoreTask extends Omit<Step, 'run' | 'step'> {
  readonly kind: 'restore';
  readonly vault: PlaceAt;
  /** `points/<machine>/<sequence>-<digest>`, or the digest alone with the machine. */
  readonly point: string;
  /** Raw path inside the point (`/home/x`), UTF-8; everything when absent. */
  readonly paths: readonly string[];
  readonly include: readonly string[];
  readonly to: string;
  readonly conflict: 'skip' | 'overwrite' | 'rename';
  /** Machine state: the plan of a restore that goes on lies here. */
  readonly stateDirectory: string;
  readonly threads?: number;
  /** How much is planned before writing begins; for tests. */
  readonly batchPieces?: number;
}

export interface RestoreResult {
  readonly kind: 'restore';
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
  /** Were there already, byte for byte as promised by size and time. */
  readonly kept: number;
  /** Left alone because something else has the name (`skip`). */
  readonly conflicts: number;
  /** Could not be restored whole, with the reason; at most 100, the count is exact. */
  readonly mismatches: readonly Mismatch[];
  readonly mismatchCount: number;
}

export interface Mismatch {
  /** Base64 of the raw path: it may not be text, and never leaves the owner's host. */
  readonly path: string;
  readonly reason: string;
}

export interface DriveAt {
  /** The directory that stands for the drive; a disk's partition. */
  readonly path: string;
  readonly id: string;
  readonly capacityBytes?: number;
  /** Of a disk: the file system that must be there, which the child mounts for itself. */
  readonly disk?: { readonly fileSystem: 'ext4' | 'xfs'; readonly uuid: string };
}

interface Transfer extends Step {
  readonly kind: 'transfer';
  /** The job's signed set: its sorted list is the object list. */
  readonly packSet: Digest;
}

/** staging → drive. */
export interface PrepareTask extends Transfer {
  readonly mode: 'prepare';
  readonly job: string;
  readonly from: PlaceAt;
  readonly drive: DriveAt;
  /** Which objects of the set; they are written in this order, as many as fit. */
  readonly ranges: readonly ObjectRange[];
  /**
   * Of a limited staging: the backup's own step of the same run. Objects are taken in the order of their making
   * until its receipt is there, and packs leave staging; the set is not known yet.
   */
  readonly stageStep?: string;
  /** age recipient of the datacenter, from its pinned entry. */
  readonly datacenterRecipient: string;
  /** Where wraps go besides staging: landing and vault, as far as this host reaches them. */
  readonly keysTo: readonly PlaceAt[];
  /** Journals of this host: one a drive and epoch. */
  readonly stateDirectory: string;
}

/** drive → landing. */
export interface IngestTask extends Transfer {
  readonly mode: 'ingest';
  readonly job: string;
  readonly drive: DriveAt;
  /** As recorded in the import job before shipping. */
  readonly manifest: Digest;
  readonly epoch: number;
  readonly to: PlaceAt;
  /** Where the pack set and the wraps lie; landing when absent. */
  readonly keysFrom?: PlaceAt;
  readonly stateDirectory: string;
}

/** landing → vault, or staging → vault over the line. */
export interface SendTask extends Transfer {
  readonly mode: 'copy' | 'send';
  readonly from: PlaceAt;
  readonly to: PlaceAt;
  /** `claim`: point, pack set and index, so that the point is stated; `objects`: packs and trees; `all`: both. */
  readonly what: 'claim' | 'trees' | 'objects' | 'all';
  /** Which objects of the set; all when absent. */
  readonly ranges?: readonly ObjectRange[];
  /** The point to state: `points/<machine>/<sequence>-<digest>`; with `claim` and `all`. */
  readonly point?: string;
  /** The repair that goes with it. */
  readonly repair?: Digest;
  /** Machine state: what was sent is remembered there, by one who may add to the vault but not look. */
  readonly stateDirectory?: string;
}

/** spool → vault, while the backup fills it: over when its receipt is there and no object is left. */
export interface DrainTask extends Step {
  readonly kind: 'transfer';
  readonly mode: 'drain';
  /** The spool. */
  readonly directory: string;
  readonly to: PlaceAt;
  /** The backup's own step of the same run. */
  readonly stageStep: string;
  /** States its point when all is there. */
  readonly claim?: boolean;
  readonly machine: string;
  readonly protection: string;
  readonly stateDirectory: string;
}

/** Reads a set back from the vault; nothing is moved. */
export interface ProveTask extends Transfer {
  readonly mode: 'prove';
  /** The vault. */
  readonly from: PlaceAt;
}

/** Overwrites a drive's medium: a directory's files, or the disk of a serial number. */
export interface EraseTask {
  readonly kind: 'erase';
  readonly run: string;
  readonly drive: Pick<DriveAt, 'id' | 'path'>;
  /** Of a disk; absent for a directory. */
  readonly serial?: string;
  readonly full: boolean;
  /** The lock of the drive; a disk that holds it is not erased. */
  readonly stateDirectory: string;
}

export interface EraseResult {
  readonly kind: 'erase';
  readonly bytes: number;
  readonly unwritable: number;
}

export type TransferTask = PrepareTask | IngestTask | SendTask | DrainTask | ProveTask;

export interface TransferResult {
  readonly kind: 'transfer';
  readonly mode: TransferTask['mode'];
  /** Written by this step, over all its attempts. */
  readonly objects: number;
  readonly bytes: number;
  /** Were there before and are right. */
  readonly present: number;
  /** Expected from the source and not there. */
  readonly missing: number;
  /** There, but not what their name says. */
  readonly damaged: number;
  /** Missing and damaged objects as they stand in the set; neighbours merged until there are at most 256. */
  readonly missingRanges: readonly ObjectRange[];
  /** prepare: what the drive carries; less than was asked for when it filled. */
  readonly ranges?: readonly ObjectRange[];
  readonly epoch?: number;
  readonly manifest?: Digest;
  /** prepare: digest of each epoch's wrap, oldest first. */
  readonly wraps?: readonly { readonly epoch: number; readonly digest: Digest }[];
  /** drain: the point was stated. */
  readonly stated?: boolean;
  /** ingest: the signed list of what was taken and refused. */
  readonly copyLog?: Digest;
  readonly receipt: Digest;
}

export type ChildTask = BackupTask | RestoreTask | TransferTask | EraseTask;
export type ChildResult = BackupResult | RestoreResult | TransferResult | EraseResult;

/** Base64 where it is bytes. */
export interface ChildSecrets {
  /** `encodeCredentials` of who does and signs this: the machine, or the site. Not for a restore. */
  readonly credentials?: string;
  readonly access?: Readonly<Record<string, PlaceAccess>>;
  /** ingest: the datacenter's age identity. */
  readonly datacenterIdentity?: string;
  readonly owner?: OwnerSecrets;
}

/** restore: whom to believe, what opens data, and the index key of each domain it may meet. */
export interface OwnerSecrets {
  readonly ownerPublic: string;
  readonly restoreIdentity: string;
  readonly indexKeys: Readonly<Record<string, string>>;
}

export type ResultOf<T extends ChildTask> = Extract<ChildResult, { kind: T['kind'] }>;

export type { Progress };
