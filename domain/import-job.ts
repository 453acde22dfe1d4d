/**
 * The datacenter's part of a job, in the field's own words. Its state is derived from its
 * parcels and drives, never set by hand, and never moves back: a replacement parcel for a lost
 * drive travels while the job stays where it is.
 *
 *   Creating → Shipping → Received → Transferring → Packaging → Completed | Closed
 *        └────────┴──────────┴── Cancelled                        (Closed: finished, with losses)
 */
import type { DriveState } from './drive.ts';
import type { ParcelState } from './shipment.ts';

/** What may follow each state, who brings it about, and by what. */
export const IMPORT_JOB_TABLE = {
  Creating: { follows: 'Shipping, Cancelled', who: 'the sender: job ship, with carrier, number and return address' },
  Shipping: { follows: 'Received, Cancelled', who: 'the desk: drive receive, until every drive is accounted for' },
  Received: { follows: 'Transferring, Cancelled', who: 'a dock: drive attach' },
  Transferring: { follows: 'Packaging, Completed, Closed, Cancelled', who: 'the docks, by themselves' },
  Packaging: { follows: 'Completed, Closed', who: 'the desk: drive return' },
  Completed: { follows: '-', who: 'nobody: all drives are back, nothing was lost' },
  Closed: { follows: '-', who: 'nobody: all drives are back or lost, and something was lost or refused' },
  Cancelled: { follows: '-', who: 'nobody: its drives go back as they are' },
} as const;
export type ImportJobState = keyof typeof IMPORT_JOB_TABLE;
export const IMPORT_JOB_STATES = Object.keys(IMPORT_JOB_TABLE) as readonly ImportJobState[];

const FINAL: ReadonlySet<ImportJobState> = new Set(['Completed', 'Closed', 'Cancelled']);
const COPIED: ReadonlySet<DriveState> = new Set(['Completed', 'CompletedMoreInfo', 'ShippedBack']);
const HERE: ReadonlySet<DriveState> = new Set(['Received', 'Faulted']);

export interface ImportParts {
  readonly parcels: readonly ParcelState[];
  readonly drives: readonly DriveState[];
  /** Whether drives are sent back; when not, the last one copied ends the job. */
  readonly returned: boolean;
  /** Objects still wait for a drive: more drives will come. */
  readonly awaited?: boolean;
  /** Objects of a drive were refused. */
  readonly refused?: boolean;
}

/** Whether nothing moves it any more. */
export function isFinal(state: ImportJobState): boolean {
  return FINAL.has(state);
}

/** The state that parcels and drives amount to, no earlier than `before`. Order-free and idempotent. */
export function importJobState(before: ImportJobState, parts: ImportParts): ImportJobState {
  if (isFinal(before)) return before;
  const now = reached(parts);
  return IMPORT_JOB_STATES.indexOf(now) > IMPORT_JOB_STATES.indexOf(before) ? now : before;
}

function reached({ parcels, drives, returned, awaited = false, refused = false }: ImportParts): ImportJobState {
  const ours = drives.filter((drive) => drive !== 'Extra');
  const coming = ours.filter((drive) => drive !== 'Lost');
  const lost = coming.length < ours.length;
  if (ours.length > 0 && !awaited) {
    const done = (drive: DriveState) => (returned ? drive === 'ShippedBack' : COPIED.has(drive));
    if (coming.every(done)) return lost || refused ? 'Closed' : 'Completed';
    if (coming.every((drive) => COPIED.has(drive))) return 'Packaging';
  }
  if (coming.some((drive) => drive === 'Transferring' || COPIED.has(drive))) return 'Transferring';
  const accounted = coming.every((drive) => HERE.has(drive) || drive === 'NeverReceived');
  if (!awaited && accounted && coming.some((drive) => HERE.has(drive))) return 'Received';
  const left = coming.some((drive) => drive !== 'Specified' && drive !== 'Prepared');
  return left || parcels.some((parcel) => parcel !== 'Preparing') ? 'Shipping' : 'Creating';
}
