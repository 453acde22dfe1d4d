/**
 * What a person or a machine may say to a running workflow, and ask of it. The client and the
 * workflows use the same definitions; each takes one object, so that fields can be added.
 *
 * Human acts are updates: checked before they are accepted, refused with the legal choices and then
 * without a trace in the history. `by` says who; `request` is the digest of the signed request a
 * desk or copy host wrote. Scans of carriers are signals, told apart by `scanId`. Descriptions show
 * JSON that can be pasted into the Web UI.
 */
import { defineSearchAttributeKey } from '@temporalio/common';
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Attention, ChildAttention, Choice, Resolution } from '../domain/attention.ts';
import type { Way } from '../domain/custody.ts';
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import type { ObjectRange, PreparedDrive } from '../domain/receipt.ts';
import type { JobDetails, JobStatus } from '../domain/seeding-job.ts';
import type { Parcel, ScanEvent, TravelWait } from '../domain/shipment.ts';

export interface Act {
  readonly by: string;
  readonly request?: Digest;
}

export interface PrepareDriveAct extends Act {
  readonly drive: string;
  readonly host: string;
  readonly capacityBytes: number;
  /** As its maker printed it. */
  readonly serial?: string;
  /** No worker is asked: the drive is written by a plan file, and its journal is added. */
  readonly offline?: boolean;
}

/** What a copy host without a connection has written; its signature was checked where it was added. */
export interface AddJournalAct extends Act {
  readonly drive: string;
  readonly receipt: PreparedDrive;
  readonly serial?: string;
}

export interface ShipAct extends Act {
  readonly carrier: string;
  readonly tracking: string;
  /** All prepared drives when absent. */
  readonly drives?: readonly string[];
  /** It has its number, and leaves later: said again without this, or scanned, it has left. */
  readonly later?: boolean;
  /** The number does not look like this carrier's, or the datacenter does not list it: it is right all the same. */
  readonly unchecked?: boolean;
}

export interface AmendParcelAct extends Act {
  readonly tracking: string;
  readonly to: string;
  readonly carrier?: string;
  readonly unchecked?: boolean;
}

export interface LoseParcelAct extends Act {
  readonly tracking: string;
  readonly choice: Way;
}

/** A parcel was opened. Drives of the same parcel that are not named are `NeverReceived`. */
export interface ReceiveAct extends Act {
  readonly drives: readonly string[];
  /** In the parcel, and of no job or of another one. */
  readonly extra?: readonly { readonly drive: string; readonly ofJob?: string }[];
  /** Nobody had said that it left. */
  readonly unannounced?: boolean;
}

/** Drives that are not there, not fit to be read, or given up. */
export interface ReportDrivesAct extends Act {
  readonly drives: readonly string[];
  readonly found: 'missing' | 'damaged' | 'lost';
  /** How what they carried travels; for `lost`. */
  readonly choice?: Way;
}

/** At least one of them; what is absent stays. */
export interface EditAct extends Act {
  readonly details?: JobDetails;
  /** Who may prepare drives from now on; any host when empty. */
  readonly copyHosts?: readonly string[];
}

export interface RedirectAct extends Act {
  readonly region: string;
  readonly landing: string;
  /** Sealed anew, since another datacenter reads them. */
  readonly details?: JobDetails;
}

/** Of the whole job, or of one drive. */
export interface HoldAct extends Act {
  readonly drive?: string;
}

export interface ExtendAct extends Act {
  /** ISO, UTC. */
  readonly until: string;
}

export interface AttachAct extends Act {
  readonly drive: string;
  readonly region: string;
  readonly host: string;
  /** What the disk says it is, there. */
  readonly serial?: string;
}

export interface ReturnDrivesAct extends Act {
  readonly drives: readonly string[];
  readonly carrier: string;
  readonly tracking: string;
}

export interface ResolveAct extends Act {
  /** May be left out while only one is open. */
  readonly attention?: string;
  readonly choice: Choice;
}

export type CancelAct = Act;

/** Pasted JSON is checked by hand: each key must be a text. @throws Failure `Usage` naming the key */
export function checkTexts<K extends string>(act: { readonly [key in K]?: unknown }, keys: readonly K[]): void {
  if (typeof act !== 'object' || act === null) throw new Failure('Usage', 'one JSON object is wanted');
  const missing = keys.find((key) => typeof act[key] !== 'string' || act[key] === '');
  if (missing !== undefined) throw new Failure('Usage', `${missing} is missing, or no text`);
}

/** @throws Failure `Usage` */
export function checkDrives(drives: unknown): void {
  if (!Array.isArray(drives) || !drives.every((drive) => typeof drive === 'string'))
    throw new Failure('Usage', 'drives is no list of drive ids');
}

/** The step that an accepted act began, where it began one. */
export interface Accepted {
  readonly workflowId: string;
}

export interface DriveAccepted extends Accepted {
  readonly ranges: readonly ObjectRange[];
  readonly objects: number;
}

export interface Redirected extends Accepted {
  /** Drives that had not left: they are prepared anew. */
  readonly left: readonly string[];
}

export const prepareDrive = defineUpdate<DriveAccepted, [PrepareDriveAct]>('prepareDrive');
export const addJournal = defineUpdate<void, [AddJournalAct]>('addJournal');
export const ship = defineUpdate<Parcel, [ShipAct]>('ship');
export const receive = defineUpdate<Accepted, [ReceiveAct]>('receive');
export const attach = defineUpdate<Accepted, [AttachAct]>('attach');
export const amendParcel = defineUpdate<Parcel, [AmendParcelAct]>('amendParcel');
export const loseParcel = defineUpdate<Accepted, [LoseParcelAct]>('loseParcel');
export const reportDrives = defineUpdate<Accepted, [ReportDrivesAct]>('reportDrives');
export const edit = defineUpdate<Accepted, [EditAct]>('edit');
export const redirect = defineUpdate<Redirected, [RedirectAct]>('redirect');
export const pause = defineUpdate<Accepted, [HoldAct]>('pause');
export const resume = defineUpdate<Accepted, [HoldAct]>('resume');
export const extend = defineUpdate<Accepted, [ExtendAct]>('extend');
export const returnDrives = defineUpdate<Accepted, [ReturnDrivesAct]>('returnDrives');
export const resolve = defineUpdate<Resolution, [ResolveAct]>('resolve');
export const cancel = defineUpdate<Accepted, [Act]>('cancel');

/** Of `seeding`. */
export const status = defineQuery<JobStatus>('status');

/** Of every other workflow: where it stands, and what it waits for. */
export interface WorkStatus {
  readonly step: string;
  readonly state: 'Running' | 'Attention' | 'Cancelling' | 'Done' | 'Cancelled';
  readonly attention: readonly Attention[];
}
export const workStatus = defineQuery<WorkStatus>('workStatus');

export interface CarrierScan {
  readonly scanId: string;
  readonly tracking: string;
  /** `accepted`, `delivered`, `returned` and `lost` move the parcel; others count as seen. */
  readonly event: string;
  readonly at: string;
}
export const carrierScan = defineSignal<[CarrierScan]>('carrierScan');

/** Between `seeding` and its children; nobody else sends these. */
export const childAttention = defineSignal<[ChildAttention]>('childAttention');
export const resolution = defineSignal<[Resolution]>('resolution');
export interface ShippingNews {
  /** What has been waited for since when; a later `since` means that a person chose to wait on. */
  readonly waits: readonly TravelWait[];
  /** Nothing more will have to travel, as far as anyone knows. */
  readonly complete: boolean;
  /** Signals may overtake one another: what has a lower count than what is known is old. Absent in old histories. */
  readonly count?: number;
}
export const shippingNews = defineSignal<[ShippingNews]>('shippingNews');
export interface ParcelScan {
  readonly tracking: string;
  readonly event: ScanEvent;
  /** ISO, as its carrier says. */
  readonly at: string;
}
export const parcelScan = defineSignal<[ParcelScan]>('parcelScan');
/** To `upkeep`: look once more, something was added since. */
export const lookAgain = defineSignal('lookAgain');

/** What Temporal's lists can be searched by; registered by host/servers.ts and docker/. */
export const SEARCH = {
  stage: defineSearchAttributeKey('SeedshipStage', 'KEYWORD'),
  state: defineSearchAttributeKey('SeedshipState', 'KEYWORD'),
  vault: defineSearchAttributeKey('SeedshipVault', 'KEYWORD'),
  machine: defineSearchAttributeKey('SeedshipMachine', 'KEYWORD'),
  region: defineSearchAttributeKey('SeedshipRegion', 'KEYWORD'),
  drives: defineSearchAttributeKey('SeedshipDrives', 'KEYWORD_LIST'),
  parcels: defineSearchAttributeKey('SeedshipParcels', 'KEYWORD_LIST'),
  attention: defineSearchAttributeKey('SeedshipAttention', 'KEYWORD_LIST'),
  deadline: defineSearchAttributeKey('SeedshipDeadline', 'DATETIME'),
} as const;

/** Pasteable: `temporal workflow update execute --name NAME --input JSON`, or the Web UI. */
export const DESCRIPTIONS = {
  prepareDrive:
    'A drive is at a copy host: {"drive":"7F3A00000000C0DE","host":"copy1","capacityBytes":8e12,"by":"ann"}',
  addJournal: 'A drive was written by a plan file: by `seedship job add-journal`, which checks who has signed it',
  ship: 'A parcel left: {"carrier":"ups","tracking":"1Z999AA10123456784","by":"ann"}',
  receive: 'A parcel was opened: {"drives":["7F3A00000000C0DE"],"by":"desk"}',
  attach: 'A received drive is at a dock: {"drive":"7F3A00000000C0DE","region":"eu-west","host":"dock1","by":"desk"}',
  returnDrives:
    'Drives go back: {"drives":["7F3A00000000C0DE"],"carrier":"ups","tracking":"1Z999AA10123456784","by":"desk"}',
  amendParcel: 'A number was typed wrong: {"tracking":"1Z999AA10132456784","to":"1Z999AA10123456784","by":"ann"}',
  loseParcel: 'A parcel will not come: {"tracking":"1Z999AA10123456784","choice":"replace","by":"ann"}',
  reportDrives: 'Drives are missing, damaged or lost: {"drives":["7F3A00000000C0DE"],"found":"damaged","by":"desk"}',
  edit:
    'Who may prepare drives: {"copyHosts":["copy1","copy2"],"by":"ann"}. ' +
    'Contact or return address: by `seedship job edit`, since they are sealed on the computer they are typed at',
  redirect: 'The drives go elsewhere: {"region":"eu-north","landing":"landing-eu-north","by":"ann"}',
  pause: 'Bytes stop moving, of the job or one drive: {"by":"ann"} or {"drive":"7F3A00000000C0DE","by":"ann"}',
  resume: 'Bytes move again: {"by":"ann"} or {"drive":"7F3A00000000C0DE","by":"ann"}',
  extend: 'Nobody is asked before then: {"until":"2027-01-31T00:00:00Z","by":"ann"}',
  resolve: 'Decide what waits in `status`.attention: {"attention":"a1","choice":"retry","by":"ann"}',
  cancel: 'End the work and undo what the cancel table says: {"by":"ann"}',
  status: 'Where the job stands, what it waits for and what to type next',
} as const;
