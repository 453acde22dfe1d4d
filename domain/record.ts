/**
 * Bodies of the signed records in the vault, one JSON object a revision. Current state, audit trail
 * and custody log are the same thing: with the vault alone, `vault open` rebuilds schedules and jobs.
 *
 * A `sealed` field is base64: items and excludes under the domain's index key, contacts and
 * addresses with age to the datacenter's and the owner's recipients. Binary fields are lower-case hex.
 */
import type { Attention } from './attention.ts';
import type { ImportJobState } from './import-job.ts';
import type { Digest } from './names.ts';
import type { ObjectRange, PointRef, PreparedDrive, StagedBackup } from './receipt.ts';
import type { Keep } from './retention.ts';
import type { DriveStatus, JourneyStage, SeedingRequest } from './seeding-job.ts';
import type { Parcel, TravelWait } from './shipment.ts';

export const RECORD_KINDS = ['vault', 'machine', 'protection', 'job', 'datacenter', 'presence'] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

export const REDUNDANCIES = ['local', 'zone', 'geo'] as const;
export type Redundancy = (typeof REDUNDANCIES)[number];

interface Stamp {
  /** ISO, UTC. */
  readonly at: string;
  /** The identity that signed, or that the vault worker was told. */
  readonly by: string;
}

export interface VaultRecord extends Stamp {
  readonly name: string;
  readonly id: string;
  readonly region: string;
  readonly redundancy: Redundancy;
  /** The vault workers whose signatures its readers believe. */
  readonly workers: readonly { readonly id: string; readonly publicKey: string }[];
  /** When the recovery words were given back right. */
  readonly wordsProvedAt?: string;
}

export interface MachineRecord extends Stamp {
  readonly name: string;
  /** Survives renaming. */
  readonly id: string;
  readonly domain: string;
  readonly publicKey: string;
  readonly state: 'invited' | 'registered' | 'unregistered';
  readonly version?: string;
}

export interface ProtectionRecord extends Stamp {
  readonly name: string;
  readonly machines: readonly string[];
  readonly domain: string;
  readonly schedule: string;
  readonly timezone: string;
  readonly keep: Keep;
  readonly initial: 'offline' | 'network';
  readonly state: 'waiting-for-seed' | 'active' | 'paused' | 'removed';
  /** Items and excludes. */
  readonly sealed: string;
}

/** What a person did, in the order it was accepted. */
export interface Act extends Stamp {
  readonly act:
    | 'start'
    | 'adopt'
    | 'prepareDrive'
    | 'addJournal'
    | 'ship'
    | 'amendParcel'
    | 'loseParcel'
    | 'scan'
    | 'receive'
    | 'reportDrives'
    | 'attach'
    | 'returnDrives'
    | 'edit'
    | 'redirect'
    | 'pause'
    | 'resume'
    | 'extend'
    | 'resolve'
    | 'cancel';
  readonly says: string;
  /** Of the signed request, where one was written; what is done in the Web UI has none. */
  readonly request?: Digest;
  /** What was asked, on its way to the vault worker, which holds it against the request. */
  readonly asked?: Readonly<Record<string, unknown>>;
  /** Whose request it is, `operator ann`, once it was found to say just this. */
  readonly signedBy?: string;
  /** Why the request does not stand for the act. */
  readonly doubt?: string;
}

/** Kept by the vault worker while the job runs; `sequence` only grows. */
export interface JobState {
  readonly sequence: number;
  readonly run: string;
  readonly stage: JourneyStage;
  readonly importJob: ImportJobState;
  readonly point?: PointRef;
  readonly packSet?: Digest;
  readonly drives: readonly DriveStatus[];
  readonly parcels: readonly Parcel[];
  readonly attention: readonly Attention[];
  /** Since the revision before; a chain of revisions holds them all. */
  readonly acts: readonly Act[];
  /** What else it takes to go on from here when Temporal's history is gone. */
  readonly ledger?: Ledger;
}

/** With the rest of the state, all that a workflow knows: `job adopt` starts one from it. */
export interface Ledger {
  /** The order as it stands, after edits and redirections. */
  readonly job: SeedingRequest;
  readonly began: string;
  readonly reached: readonly { readonly stage: JourneyStage; readonly at: string }[];
  readonly staged?: StagedBackup;
  readonly free: readonly ObjectRange[];
  readonly online: readonly ObjectRange[];
  /** Absent in records of before. */
  readonly dropped?: readonly ObjectRange[];
  readonly repaired?: readonly ObjectRange[];
  readonly waits: readonly TravelWait[];
  /** Of drives that were written. */
  readonly receipts: readonly PreparedDrive[];
  /** How often each step was begun anew on purpose, by name. */
  readonly tries: Readonly<Record<string, number>>;
  readonly round: number;
  readonly held: readonly string[];
}

/** From where a job is taken up, and by whom. */
export interface Checkpoint {
  readonly by: string;
  readonly state: Omit<JobState, 'acts' | 'attention'>;
  readonly ledger: Ledger;
}

/** What the datacenter is told before a parcel leaves: each drive by the manifest it must carry. */
export interface ImportRecord extends Stamp {
  readonly run: string;
  readonly step: string;
  readonly region: string;
  readonly address: readonly string[];
  /** The landing place, by name. */
  readonly landing: string;
  readonly packSet: Digest;
  readonly drives: readonly ImportDrive[];
  readonly withdrawn?: Stamp;
}

export interface ImportDrive {
  readonly drive: string;
  readonly epoch: number;
  readonly manifest: Digest;
  readonly wraps: readonly Digest[];
  readonly objects: number;
  readonly bytes: number;
  /** Of its preparation, in staging. */
  readonly receipt: Digest;
}

export interface JobRecord extends Stamp {
  readonly name: string;
  /** As the person ordered it. */
  readonly order: SeedingRequest;
  /** Contact, return address and account, for the datacenter and the owner: base64 of an age file. */
  readonly sealed?: string;
  /** Oldest first; a lost drive's replacement adds one. */
  readonly imports?: readonly ImportRecord[];
  readonly state?: JobState;
  /** Landing and staging were emptied, after the vault had been read back. */
  readonly cleaned?: Cleaned;
  /** Drives that were erased, in that order; an entry a run. */
  readonly erased?: readonly Erased[];
}

/** What `drive erase` did to a drive: its keys are gone, and its medium was overwritten. */
export interface Erased extends Stamp {
  readonly run: string;
  readonly drive: string;
  readonly host: string;
  /** What the disk that was erased says it is. */
  readonly serial?: string;
  /** What it was when it left, where that is another one. */
  readonly sentSerial?: string;
  /** All of it, not only its ends. */
  readonly full: boolean;
  readonly bytes: number;
  /** Bytes that its medium refused to take. */
  readonly unwritable: number;
  /** Its keys are gone from staging too, not only from landing and vault. */
  readonly stagedKeysGone: boolean;
}

/** What `job cleanup` removed, and the proof it had first. */
export interface Cleaned extends Stamp {
  /** The vault worker's signed proof: `receipts/<run>/<step>` in the vault. */
  readonly proof: { readonly run: string; readonly step: string; readonly receipt: Digest };
  /** Read back from the vault, each the bytes of its name. */
  readonly objects: number;
  readonly bytes: number;
  /** Objects removed from landing and staging together. */
  readonly removed: number;
}

export interface DatacenterRecord extends Stamp {
  readonly region: string;
  /** Whom the label names; the house's own words. */
  readonly name?: string;
  /** Where parcels go: the datacenter's own, no secret. */
  readonly address: readonly string[];
  /** What must be done or written on a parcel that is to be let in: an inbound id, a customs paper. */
  readonly instructions?: readonly string[];
  /** When parcels are taken in, as people read it. */
  readonly hours?: string;
  /** Accepted carriers; all when empty. */
  readonly carriers: readonly string[];
  readonly driveBytesMax: number;
  /** How drives may be connected: `sata`, `sas`, `nvme`, `usb`; all when absent. */
  readonly interfaces?: readonly string[];
  readonly asks: { readonly contact: boolean; readonly returnTo: boolean };
  /** Of the key its desk signs with. */
  readonly publicKey: string;
  /** The age recipient drives are wrapped to. */
  readonly recipient: string;
  /** Its landing container. */
  readonly landing?: { readonly url: string; readonly endpoint?: string };
  /** Degrees north and east. */
  readonly location?: Location;
  /** It is closed: parcels go to this region instead. */
  readonly instead?: string;
}

export interface Location {
  readonly latitude: number;
  readonly longitude: number;
}

/** What the vault holds, as its worker saw it; machines may not list. A revision a change. */
export interface PresenceRecord extends Stamp {
  readonly objects: number;
  readonly bytes: number;
  /** By machine and sequence. */
  readonly points: readonly PresentPoint[];
}

export interface PresentPoint {
  /** `points/<machine>/<sequence>-<digest>`. */
  readonly name: string;
  readonly label: string;
  readonly machine: string;
  readonly protection: string;
  readonly sequence: number;
  readonly kind: PointRef['kind'];
  /** ISO, when the run began. */
  readonly time: string;
  readonly packSet: Digest;
  /** The digest of the point it builds on. */
  readonly base?: Digest;
  readonly restorable: boolean;
  /** Objects of its set that neither stand in the vault nor are repaired. */
  readonly missing: number;
}
