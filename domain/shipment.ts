/**
 * A parcel: one shipped package, by carrier and tracking number. A job may send several, and a
 * drive that missed one travels in the next.
 *
 *   Preparing → Shipped → Received | Lost | Returned → (its drives are shipped again, in another)
 *
 * Nothing is ever deleted for lateness. After drives are ready, and again after a parcel is sent,
 * a person is reminded at 3, 7 and 13 days; at 14 days the job asks for a decision. The days are a
 * setting, taken when the job is started.
 */
import { Failure } from './failure.ts';
import { DAY } from './units.ts';

const FOLLOWS = {
  Preparing: ['Shipped', 'Received', 'Lost'],
  Shipped: ['Received', 'Lost', 'Returned'],
  Received: [],
  Lost: ['Received'],
  Returned: [],
} as const;
export type ParcelState = keyof typeof FOLLOWS;
export const PARCEL_STATES = Object.keys(FOLLOWS) as readonly ParcelState[];

/** Who moves a parcel on from each state, and with what, for `help states`. */
export const PARCEL_ACTORS: Readonly<Record<ParcelState, string>> = {
  Preparing: 'the sender: job ship, or its carrier: accepted',
  Shipped: 'the desk: drive receive; anyone: parcel lost; its carrier: returned',
  Received: 'nobody',
  Lost: 'the desk, when it comes after all: drive receive',
  Returned: 'nobody; its drives are shipped again, in another',
};

/** Whether a parcel in `from` may come to be in `to`. */
export function parcelMayFollow(from: ParcelState, to: ParcelState): boolean {
  const next: readonly ParcelState[] = FOLLOWS[from];
  return next.includes(to);
}

/** The states that may follow, for `help states`. */
export function parcelFollowers(from: ParcelState): readonly ParcelState[] {
  return FOLLOWS[from];
}

export interface Parcel {
  readonly carrier: string;
  readonly tracking: string;
  readonly state: ParcelState;
  readonly drives: readonly string[];
  readonly shippedAt: string;
  readonly by: string;
  /** Numbers it went by before it was amended. */
  readonly was?: readonly string[];
  /** What its carrier said last. */
  readonly scan?: { readonly event: string; readonly at: string };
  /** From the datacenter to the sender: drives on their way back. */
  readonly back?: true;
}

/** What of a carrier's scans moves a parcel; all others are only told. */
export const SCAN_EVENTS = ['accepted', 'delivered', 'returned', 'lost'] as const;
export type ScanEvent = (typeof SCAN_EVENTS)[number];

export interface Timers {
  /** When a person is reminded, after what is waited for began. */
  readonly remindMs: readonly number[];
  /** When a person must decide. */
  readonly decideMs: number;
}

export const TIMERS: Timers = { remindMs: [3 * DAY, 7 * DAY, 13 * DAY], decideMs: 14 * DAY };

/** Finished jobs are kept so long in Temporal's lists; their records for ever. */
export const KEEP_FINISHED_MS = 90 * DAY;

const TIMER_DAYS_MAX = 365;

/** `3,7,13` and `14`, in days; fractions are allowed. @throws Failure `Usage` */
export function parseTimers(reminders: string, decision: string): Timers {
  const days = (text: string): number => {
    const value = Number(text.trim());
    if (text.trim() !== '' && value > 0 && value <= TIMER_DAYS_MAX) return value * DAY;
    throw new Failure('Usage', `${JSON.stringify(text)} is no number of days`, { why: `0 to ${TIMER_DAYS_MAX}` });
  };
  const decideMs = days(decision);
  const remindMs = reminders.trim() === '' ? [] : reminders.split(',').map(days);
  const sorted = remindMs.every((at, place) => at > (remindMs[place - 1] ?? 0) && at < decideMs);
  if (sorted) return { remindMs, decideMs };
  throw new Failure('Usage', 'reminders must come one after the other, before the decision', {
    why: `${reminders} days, then ${decision}`,
  });
}

const CARRIER = /^[a-z][a-z0-9-]{1,29}$/;
const TRACKING = /^[A-Z0-9][A-Z0-9-]{3,39}$/;

/** @throws Failure `Usage`; `accepted` are the datacenter's carriers, all when empty */
export function parseCarrier(text: string, accepted: readonly string[] = []): string {
  const carrier = text.trim().toLowerCase();
  if (!CARRIER.test(carrier))
    throw new Failure('Usage', `carrier ${JSON.stringify(text)} is not allowed`, {
      why: 'a carrier is 2 to 30 lower-case letters, digits and hyphens',
    });
  if (accepted.length > 0 && !accepted.includes(carrier))
    throw new Failure('Usage', `the datacenter does not take parcels of ${carrier}`, {
      why: `it takes ${accepted.join(', ')}`,
      next: 'send it with one of these, or, if it is let in all the same, add --unchecked',
    });
  return carrier;
}

/** Blanks and case do not matter: labels print both. @throws Failure `Usage` */
export function parseTracking(text: string): string {
  const tracking = text.replace(/\s+/g, '').toUpperCase();
  if (TRACKING.test(tracking)) return tracking;
  throw new Failure('Usage', `tracking number ${JSON.stringify(text)} is not allowed`, {
    why: 'a tracking number is 4 to 40 letters, digits and hyphens',
  });
}

/** Something that must travel, or must be found, and since when it has been waited for. */
export interface TravelWait {
  /** `ship`, `parcel-<tracking>` or `drive-<id>`; also the step of its attention. */
  readonly key: string;
  /** `gone`: its carrier says that it is lost. */
  readonly kind: 'ship' | 'arrive' | 'missing' | 'gone';
  readonly since: string;
  readonly drives: readonly string[];
  readonly tracking?: string;
  /** A person gave it more time: nobody is asked before. */
  readonly until?: string;
}

export interface Due {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly kind: 'reminder' | 'decision';
}

/**
 * What is due next, when `told` reminders of this wait have been sent; a drive that was not in its
 * parcel is decided at once. Past instants are not skipped: a worker that was away reminds late.
 */
export function nextDue({ kind, since, until }: TravelWait, told: number, timers: Timers = TIMERS): Due {
  const began = Date.parse(since);
  const decided = until === undefined ? began + timers.decideMs : Date.parse(until);
  const asks: Due = { at: until === undefined && isFound(kind) ? began : decided, kind: 'decision' };
  const after = timers.remindMs[told];
  if (after === undefined || isFound(kind) || began + after >= decided) return asks;
  return { at: began + after, kind: 'reminder' };
}

function isFound(kind: TravelWait['kind']): boolean {
  return kind === 'missing' || kind === 'gone';
}

/** One wait is not another: given more time, or begun anew, it is told and asked again. */
export function waitId({ key, since, until }: TravelWait): string {
  return until === undefined ? `${key} ${since}` : `${key} ${since} ${until}`;
}

/** When a person must decide, at the earliest of `waits`; ISO. */
export function deadlineOf(waits: readonly TravelWait[], timers: Timers = TIMERS): string | undefined {
  const asked = waits.map((wait) => nextDue(wait, timers.remindMs.length, timers).at);
  return asked.length === 0 ? undefined : new Date(Math.min(...asked)).toISOString();
}
