/**
 * What people and carriers do with the parcels of a job, as functions from custody to custody: sent,
 * amended, scanned, opened, given up, sent back. As in custody.ts the same function checks an act and
 * carries it out, so what was accepted cannot fail.
 */
import {
  type Custody,
  change,
  driveOf,
  drivesNow,
  inState,
  lost,
  patch,
  turnedUp,
  type Way,
  wrong,
} from './custody.ts';
import { DRIVES_MAX, mayFollow } from './drive.ts';
import { Failure } from './failure.ts';
import type { DriveStatus } from './seeding-job.ts';
import { type Parcel, parcelMayFollow, parseCarrier, parseTracking, type ScanEvent } from './shipment.ts';

export interface Shipment {
  readonly carrier: string;
  readonly tracking: string;
  readonly drives?: readonly string[] | undefined;
  /** It has a number, and has not left yet. */
  readonly later?: boolean | undefined;
}

export interface Stamp {
  readonly at: string;
  readonly by: string;
}

/**
 * A parcel left, with the drives named or all that are ready; or it is ready, and has its number
 * already. Said again of the same number it has left now. @throws Failure `WrongState`, `Usage`
 */
export function shipped(custody: Custody, act: Shipment, { at, by }: Stamp): Custody {
  const carrier = parseCarrier(act.carrier);
  const tracking = parseTracking(act.tracking);
  const known = custody.parcels.find((parcel) => parcel.tracking === tracking || parcel.was?.includes(tracking));
  if (known?.state === 'Preparing' && !act.later && act.drives === undefined) return departed(custody, known, at);
  if (known) throw wrong(`a parcel ${tracking} was already sent`, 'two parcels never share a tracking number');
  const ready = shippable(custody);
  const drives = [...new Set(act.drives ?? ready)];
  if (drives.length === 0) throw wrong('no drive is ready to be shipped', drivesNow(custody));
  const parcel: Parcel = { carrier, tracking, state: 'Preparing', drives, shippedAt: at, by };
  let after: Custody = { ...custody, parcels: [...custody.parcels, parcel] };
  for (const drive of drives) {
    const { state, tracking: packed } = driveOf(custody, drive);
    if (state === 'Prepared' && packed !== undefined)
      throw wrong(`drive ${drive} is in the parcel ${packed} already`, parcelsNow(custody));
    if (state === 'Prepared' && !ready.includes(drive))
      throw wrong(`drive ${drive} is not registered yet`, 'drives are registered when every object is on one');
    if (!mayFollow(state, 'Shipped'))
      throw wrong(`drive ${drive} is ${state}, and cannot become Shipped`, drivesNow(custody));
    after = patch(after, drive, { tracking });
  }
  return act.later ? after : departed(after, parcel, at);
}

/** Registered drives that are in no parcel yet. */
export function shippable(custody: Custody): readonly string[] {
  const prepared = inState(custody, 'Prepared');
  return prepared.flatMap(({ id, registered, tracking }) => (registered && tracking === undefined ? [id] : []));
}

function departed(custody: Custody, { tracking, drives }: Parcel, at: string): Custody {
  const after = drives.reduce((left, drive) => change(left, drive, 'Shipped', { tracking }), custody);
  return patchParcel(after, tracking, { state: 'Shipped', shippedAt: at });
}

/** A number was typed wrong. @throws Failure `WrongState`, `Usage` */
export function amended(
  custody: Custody,
  { tracking: typed, to, carrier }: { readonly tracking: string; readonly to: string; readonly carrier?: string },
): Custody {
  const parcel = parcelOf(custody, typed);
  const tracking = parseTracking(to);
  if (tracking !== parcel.tracking && custody.parcels.some((one) => one.tracking === tracking))
    throw wrong(`a parcel ${tracking} was already sent`, 'two parcels never share a tracking number');
  const was = [...new Set([...(parcel.was ?? []), parcel.tracking])].filter((one) => one !== tracking);
  const more = { tracking, was, ...(carrier === undefined ? {} : { carrier: parseCarrier(carrier) }) };
  const after = patchParcel(custody, parcel.tracking, more);
  return parcel.drives.reduce(
    (left, drive) => (driveOf(left, drive).tracking === parcel.tracking ? patch(left, drive, { tracking }) : left),
    after,
  );
}

/** What a carrier says of a parcel; `undefined` when it changes nothing. */
export function scanned(
  custody: Custody,
  { tracking, event, at }: { readonly tracking: string; readonly event: ScanEvent; readonly at: string },
): Custody | undefined {
  const parcel = custody.parcels.find((one) => one.tracking === tracking);
  if (!parcel || (parcel.state !== 'Preparing' && parcel.state !== 'Shipped')) return undefined;
  const left = parcel.state === 'Preparing' ? departed(custody, parcel, at) : custody;
  const told = patchParcel(left, tracking, { scan: { event, at } });
  if (event !== 'returned') return told;
  const back = patchParcel(told, tracking, { state: 'Returned' });
  return back.drives
    .filter(({ state, tracking: of }) => state === 'Shipped' && of === tracking)
    .reduce((after, { id }) => unpacked(after, id), back);
}

/** A parcel came back to its sender: its drives wait to be shipped again. */
function unpacked(custody: Custody, drive: string): Custody {
  const { tracking: _, ...rest } = driveOf(custody, drive);
  const after = { ...rest, state: 'Prepared' } as const;
  return { ...custody, drives: custody.drives.map((one) => (one.id === drive ? after : one)) };
}

/** A parcel will not come: what its drives carry travels another way. @throws Failure `WrongState` */
export function parcelLost(custody: Custody, tracking: string, way: Way): Custody {
  const parcel = parcelOf(custody, tracking);
  const away = parcel.drives.filter((id) => {
    const { state, tracking: of } = driveOf(custody, id);
    return of === parcel.tracking && (state === 'Shipped' || state === 'NeverReceived' || state === 'Prepared');
  });
  if (away.length === 0 || !parcelMayFollow(parcel.state, 'Lost'))
    throw wrong(`the parcel ${parcel.tracking} is ${parcel.state}: no drive of it is on its way`, parcelsNow(custody));
  return patchParcel(lost(custody, away, way), parcel.tracking, { state: 'Lost' });
}

export interface Unpacked {
  /** Of this job. */
  readonly drives: readonly string[];
  /** Of no job, or of another one. */
  readonly extra?: readonly { readonly drive: string; readonly ofJob?: string | undefined }[] | undefined;
  /** Nobody had said that they left. */
  readonly unannounced?: boolean | undefined;
}

/**
 * A parcel was opened: its drives that are not named were not in it. One that was given up is used as far
 * as it is still needed, else extra; so are those of no job here. @throws Failure `WrongState`
 */
export function received(custody: Custody, { drives, extra = [], unannounced = false }: Unpacked): Custody {
  if (drives.length === 0 && extra.length === 0) throw wrong('no drive was named', drivesNow(custody));
  let after = custody;
  for (const drive of new Set(drives)) {
    const { state, registered } = driveOf(custody, drive);
    if (state === 'Prepared' && !(unannounced && registered))
      throw new Failure('WrongState', `drive ${drive} is Prepared: nobody has said that it left`, {
        why: drivesNow(custody),
        next: registered ? 'seedship drive receive --unannounced, or first: seedship job ship' : 'seedship job show',
      });
    after = state === 'Lost' ? turnedUp(after, drive) : change(after, drive, 'Received');
  }
  for (const one of extra) after = foreign(after, one);
  const opened = new Set(drives.flatMap((drive) => driveOf(custody, drive).tracking ?? []));
  const parcels = after.parcels.map((parcel) =>
    opened.has(parcel.tracking) && parcelMayFollow(parcel.state, 'Received')
      ? ({ ...parcel, state: 'Received' } as const)
      : parcel,
  );
  const left = after.drives.filter(({ state, tracking = '' }) => state === 'Shipped' && opened.has(tracking));
  for (const { id } of left) after = change(after, id, 'NeverReceived');
  return { ...after, parcels };
}

/** A drive that does not belong here lies at the desk, and goes back with this job's. */
function foreign(custody: Custody, { drive, ofJob }: { readonly drive: string; readonly ofJob?: string | undefined }) {
  if (custody.drives.some(({ id }) => id === drive))
    throw wrong(`drive ${drive} is known to this job`, drivesNow(custody));
  if (inState(custody, 'Extra').length >= DRIVES_MAX)
    throw wrong(`a job keeps at most ${DRIVES_MAX} extra drives`, drivesNow(custody));
  const nothing = { ranges: [], objects: 0, bytes: 0, capacityBytes: 0 } as const;
  const status: DriveStatus = { id: drive, state: 'Extra', host: '', ...nothing, ...(ofJob && { ofJob }) };
  return { ...custody, drives: [...custody.drives, status] };
}

/** Drives were looked for and are not there; also where `receive` named one by mistake. @throws Failure `WrongState` */
export function missing(custody: Custody, drives: readonly string[]): Custody {
  return each(custody, drives, (after, drive) => change(after, drive, 'NeverReceived'));
}

/** Drives are not fit to be read; what becomes of them is decided. @throws Failure `WrongState` */
export function damaged(custody: Custody, drives: readonly string[]): Custody {
  return each(custody, drives, (after, drive) => change(after, drive, 'Faulted'));
}

/** A damaged drive is tried all the same. @throws Failure `WrongState` */
export function triedAgain(custody: Custody, drive: string): Custody {
  return change(custody, drive, 'Received');
}

/** Drives go back to their sender, in a parcel of their own. @throws Failure `WrongState`, `Usage` */
export function shippedBack(
  custody: Custody,
  drives: readonly string[],
  parcel?: { readonly carrier: string; readonly tracking: string } & Stamp,
): Custody {
  const after = each(custody, drives, (left, drive) => change(left, drive, 'ShippedBack'));
  if (!parcel) return after;
  const { at, by } = parcel;
  const [carrier, tracking] = [parseCarrier(parcel.carrier), parseTracking(parcel.tracking)];
  if (custody.parcels.some((one) => one.tracking === tracking))
    throw wrong(`a parcel ${tracking} was already sent`, 'two parcels never share a tracking number');
  const back: Parcel = { carrier, tracking, state: 'Returned', drives, shippedAt: at, by, back: true };
  return { ...after, parcels: [...after.parcels, back] };
}

function each(custody: Custody, drives: readonly string[], act: (after: Custody, drive: string) => Custody): Custody {
  if (drives.length === 0) throw wrong('no drive was named', drivesNow(custody));
  return [...new Set(drives)].reduce(act, custody);
}

function patchParcel(custody: Custody, tracking: string, more: Partial<Parcel>): Custody {
  const parcels = custody.parcels.map((one) => (one.tracking === tracking ? { ...one, ...more } : one));
  return { ...custody, parcels };
}

function parcelOf(custody: Custody, text: string): Parcel {
  const tracking = parseTracking(text);
  const found = custody.parcels.find((one) => one.tracking === tracking);
  if (found) return found;
  throw new Failure('NotFound', `the job has no parcel ${tracking}`, { why: parcelsNow(custody) });
}

function parcelsNow({ parcels }: Custody): string {
  if (parcels.length === 0) return 'no parcel has been sent yet';
  return `its parcels: ${parcels.map(({ tracking, state }) => `${tracking} ${state}`).join(', ')}`;
}
