/**
 * Who has which drive of a job, in which parcel, and what every object's way is: on a drive, over
 * the line, or still without one. Each act is a function from custody to custody that refuses what
 * is not legal now, naming what is: the same function checks an update and carries it out.
 *
 *   every object of the pack set is in exactly one of: free · online · given up · the ranges of one
 *   drive that is not lost
 */
import {
  assignRanges,
  countObjects,
  DRIVES_MAX,
  type DriveState,
  mayFollow,
  mergeRanges,
  OBJECTS_MAX,
  overlap,
  subtractRanges,
} from './drive.ts';
import { Failure } from './failure.ts';
import type { IngestedDrive, ObjectRange, PreparedDrive } from './receipt.ts';
import type { DriveStatus } from './seeding-job.ts';
import type { Parcel, TravelWait } from './shipment.ts';

export interface Custody {
  /** Objects that no drive carries yet. */
  readonly free: readonly ObjectRange[];
  /** Objects a person decided to send over the line. */
  readonly online: readonly ObjectRange[];
  /** Objects a person decided to do without. */
  readonly dropped: readonly ObjectRange[];
  /** Objects that staging had no more: others stand for them. */
  readonly repaired: readonly ObjectRange[];
  readonly meanBytes: number;
  /** The set is being made: one drive at a time takes what comes, and leaves no copy in staging. */
  readonly limited?: boolean;
  readonly drives: readonly DriveStatus[];
  readonly parcels: readonly Parcel[];
}

/** Before any drive: `objects` of the pack set, `sealedBytes` together. */
export function openCustody(objects: number, sealedBytes: number): Custody {
  return {
    free: mergeRanges([{ from: 0, to: objects }]),
    online: [],
    dropped: [],
    repaired: [],
    meanBytes: sealedBytes / Math.max(1, objects),
    drives: [],
    parcels: [],
  };
}

/** The same where staging is smaller than the seed; until `closeCustody` nobody knows how many objects there are. */
export function openLimitedCustody(): Custody {
  return { ...openCustody(OBJECTS_MAX, 0), limited: true };
}

/** The set is whole: nothing is waited for beyond its last object. */
export function closeCustody(custody: Custody, objects: number, sealedBytes: number): Custody {
  const all = [{ from: 0, to: objects }];
  const drives = custody.drives.map((drive) => ({ ...drive, ranges: overlap(drive.ranges, all) }));
  return { ...custody, free: overlap(custody.free, all), drives, meanBytes: sealedBytes / Math.max(1, objects) };
}

export interface OfferedDrive {
  readonly drive: string;
  readonly host: string;
  readonly capacityBytes: number;
  readonly serial?: string | undefined;
  /** By a plan file. */
  readonly offline?: boolean | undefined;
}

/** A drive is offered, and given what should fit it. @throws Failure `WrongState` */
export function specify(custody: Custody, { drive, host, capacityBytes, serial, offline }: OfferedDrive): Custody {
  if (custody.drives.some(({ id }) => id === drive))
    throw wrong(`drive ${drive} is already one of this job`, drivesNow(custody));
  if (custody.limited) checkTurn(custody, offline);
  if (custody.free.length === 0) throw wrong('no object waits for a drive', drivesNow(custody));
  if (custody.drives.filter(({ state }) => state !== 'Extra').length >= DRIVES_MAX)
    throw wrong(`a job has at most ${DRIVES_MAX} drives`, drivesNow(custody));
  const { ranges, free } = custody.limited
    ? { ranges: custody.free, free: [] }
    : assignRanges(custody.free, capacityBytes, custody.meanBytes);
  const status = { id: drive, state: 'Specified', host, capacityBytes, ranges, objects: 0, bytes: 0 } as const;
  const objects = custody.limited ? 0 : countObjects(ranges);
  const bound = { ...(serial && { serial }), ...(offline && { offline }), objects };
  return { ...custody, free, drives: [...custody.drives, { ...status, ...bound }] };
}

/** Whoever fills a drive from a limited staging empties it: a second one would wait for what the first took. */
function checkTurn(custody: Custody, offline: boolean | undefined): void {
  const [filling] = inState(custody, 'Specified');
  if (filling)
    throw wrong(`drive ${filling.id} on ${filling.host} is being filled`, 'staging is limited: one drive at a time');
  if (offline) throw wrong('staging is limited: a plan file cannot say what will be in it', drivesNow(custody));
}

/**
 * A drive is written; what did not fit waits for another. One that took nothing is left out. What had left a
 * limited staging on a drive that was given up goes over the line: it is read from the source again.
 */
export function prepared(custody: Custody, receipt: PreparedDrive): Custody {
  const { drive, ranges, objects, bytes, epoch, manifest, missingRanges = [], disk } = receipt;
  const rest = subtractRanges(driveOf(custody, drive).ranges, ranges);
  const gone = overlap(rest, missingRanges);
  const after = pooled(custody, gone, 'send');
  if (ranges.length === 0) {
    const left = leaveOut(after, drive);
    return { ...left, free: subtractRanges(left.free, gone) };
  }
  const free = mergeRanges([...custody.free, ...subtractRanges(rest, gone)]);
  return change({ ...after, free }, drive, 'Prepared', {
    ranges,
    objects,
    bytes,
    epoch,
    manifest,
    ...(disk && { disk }),
  });
}

/**
 * The journal of a drive that was written by a plan file. @throws Failure `WrongState` when it is not one that
 * waits for its journal, or carries what it was not given
 */
export function journaled(custody: Custody, receipt: PreparedDrive, serial?: string): Custody {
  const { drive, host, ranges } = receipt;
  const offered = driveOf(custody, drive);
  if (offered.state !== 'Specified' || !offered.offline || offered.host !== host)
    throw wrong(`drive ${drive} does not wait for a journal from ${host}`, drivesNow(custody));
  if (subtractRanges(ranges, offered.ranges).length > 0)
    throw wrong(`drive ${drive} carries what it was not given`, drivesNow(custody));
  return prepared(serial === undefined ? custody : patch(custody, drive, { serial }), receipt);
}

/** A drive that could not be written is no drive of this job any more. */
export function leaveOut(custody: Custody, drive: string): Custody {
  const { ranges, state } = driveOf(custody, drive);
  const after = { ...custody, drives: custody.drives.filter(({ id }) => id !== drive) };
  return state === 'Prepared'
    ? pooled(after, ranges, 'replace')
    : { ...after, free: mergeRanges([...after.free, ...ranges]) };
}

/** The manifests of `drives` stand in the import job: they may be shipped. */
export function registered(custody: Custody, drives: readonly string[]): Custody {
  return drives.reduce((after, drive) => patch(after, drive, { registered: true }), custody);
}

/**
 * A received drive is at a dock. @throws Failure `WrongState`
 * @param asking drives whose copying waits for a person: these may be attached again, elsewhere too
 */
export function attached(custody: Custody, drive: string, host: string, asking: ReadonlySet<string>): Custody {
  const { state } = driveOf(custody, drive);
  if (state === 'Transferring' && asking.has(drive)) return patch(custody, drive, { host });
  return change(custody, drive, 'Transferring', { host });
}

/** How what does not come on its drive travels: on another one, over the line, or not at all. */
export const WAYS = ['replace', 'send', 'drop'] as const;
export type Way = (typeof WAYS)[number];
const POOLS = { replace: 'free', send: 'online', drop: 'dropped' } as const;

/** @throws Failure `Usage` naming the ways */
export function wayOf(choice: unknown): Way {
  const known = WAYS.find((way) => way === choice);
  if (known) return known;
  throw new Failure('Usage', choice === undefined ? 'choice is missing' : `choice ${String(choice)} is not known`, {
    why: 'replace puts what they carried on another drive, send sends it over the line, drop gives it up',
  });
}

/**
 * A dock has copied a drive; what it refused stands in the copy log. @throws Failure `WrongState`
 * @param way of what the drive could not give, where a person was asked
 */
export function ingested(custody: Custody, receipt: IngestedDrive, way?: Way): Custody {
  const { drive, refused, copyLog, missingRanges = [] } = receipt;
  const { ranges } = driveOf(custody, drive);
  const missing = overlap(ranges, missingRanges);
  const after = change(custody, drive, refused === 0 ? 'Completed' : 'CompletedMoreInfo', { refused, copyLog });
  if (way === undefined) return after;
  return pooled(patch(after, drive, { ranges: subtractRanges(ranges, missing) }), missing, way);
}

/** What has left a limited staging is on no other drive's way: in place of a lost one it goes over the line. */
function pooled(custody: Custody, ranges: readonly ObjectRange[], way: Way): Custody {
  const pool = custody.limited && way === 'replace' ? 'online' : POOLS[way];
  return { ...custody, [pool]: mergeRanges([...custody[pool], ...ranges]) };
}

/** A person does without objects. */
export function givenUp(custody: Custody, ranges: readonly ObjectRange[]): Custody {
  return pooled(custody, ranges, 'drop');
}

/** Other objects stand for these, as a signed repair says. */
export function madeGood(custody: Custody, ranges: readonly ObjectRange[]): Custody {
  return { ...custody, repaired: mergeRanges([...custody.repaired, ...ranges]) };
}

/**
 * A person decided that drives will not come: what they carry goes another way. One that was to be written by
 * a plan file is no drive of this job then.
 */
export function lost(custody: Custody, drives: readonly string[], way: Way): Custody {
  let after = custody;
  for (const drive of drives) {
    const { ranges, state, offline } = driveOf(after, drive);
    if (state === 'Specified' && offline && way === 'replace') {
      after = leaveOut(after, drive);
      continue;
    }
    after = pooled(change(after, drive, 'Lost', { ranges: [], carried: ranges }), ranges, way);
  }
  const gone = new Set(after.drives.filter(({ state }) => state === 'Lost').map(({ id }) => id));
  const parcels = after.parcels.map((parcel) =>
    parcel.state === 'Shipped' && parcel.drives.every((id) => gone.has(id))
      ? ({ ...parcel, state: 'Lost' } as const)
      : parcel,
  );
  return { ...after, parcels };
}

/**
 * A drive that was given up came after all: what of it no other drive has and nobody has sent yet is
 * taken from it; one of which nothing is needed any more is kept aside.
 */
export function turnedUp(custody: Custody, drive: string): Custody {
  const { carried = [] } = driveOf(custody, drive);
  const waiting = mergeRanges([...custody.free, ...custody.online, ...custody.dropped]);
  const needed = overlap(carried, waiting);
  if (needed.length === 0) return change(custody, drive, 'Extra');
  const without = (pool: readonly ObjectRange[]) => subtractRanges(pool, needed);
  const { free, online, dropped } = custody;
  const after = { ...custody, free: without(free), online: without(online), dropped: without(dropped) };
  return change(after, drive, 'Received', { ranges: needed });
}

/**
 * The job goes to another datacenter: drives that have not left are given up for it, since only the
 * old one could open them; those on their way arrive where they were sent, `from`.
 */
export function redirected(
  custody: Custody,
  from: { readonly region: string; readonly landing: string },
): { readonly custody: Custody; readonly left: readonly string[] } {
  const left = inState(custody, 'Specified', 'Prepared').map(({ id }) => id);
  const after = left.reduce((rest, drive) => leaveOut(rest, drive), custody);
  const parcels = after.parcels.filter(({ state }) => state !== 'Preparing');
  const drives = after.drives.map((drive) => (drive.region === undefined ? { ...drive, ...from } : drive));
  return { custody: { ...after, parcels, drives }, left };
}

/** Whether a drive lies here by mistake: its keys and bytes are another's. */
export function isForeign({ state, capacityBytes }: DriveStatus): boolean {
  return state === 'Extra' && capacityBytes === 0;
}

/** The drives that are in one of these states. */
export function inState(custody: Custody, ...states: readonly DriveState[]): readonly DriveStatus[] {
  return custody.drives.filter(({ state }) => states.includes(state));
}

/** Every object is on a written drive, or goes over the line. */
export function allPrepared(custody: Custody): boolean {
  return custody.free.length === 0 && inState(custody, 'Specified').length === 0;
}

/** No drive is still to be shipped or to arrive. */
export function allArrived(custody: Custody): boolean {
  return allPrepared(custody) && inState(custody, 'Prepared', 'Shipped', 'NeverReceived').length === 0;
}

/** Every drive that is not lost has been copied. */
export function allTaken(custody: Custody): boolean {
  return allArrived(custody) && inState(custody, 'Received', 'Transferring', 'Faulted').length === 0;
}

/** What has to travel or be found now. One that was waited for already keeps its `since`, unless it is `restarted`. */
export function travelWaits(
  { drives, parcels }: Custody,
  before: readonly TravelWait[],
  now: string,
  restarted?: string,
): TravelWait[] {
  const waits: Omit<TravelWait, 'since'>[] = [];
  const of = (state: DriveState, tracking?: string) =>
    drives.filter((one) => one.state === state && (tracking ?? one.tracking) === one.tracking).map(({ id }) => id);
  const ready = of('Prepared').filter((id) => drives.some((one) => one.id === id && one.registered));
  if (ready.length > 0) waits.push({ key: 'ship', kind: 'ship', drives: ready });
  for (const { tracking, state, scan } of parcels) {
    const away = of('Shipped', tracking);
    const kind = scan?.event === 'lost' ? 'gone' : 'arrive';
    if (state === 'Shipped' && away.length > 0) waits.push({ key: `parcel-${tracking}`, kind, drives: away, tracking });
  }
  for (const id of of('NeverReceived')) waits.push({ key: `drive-${id}`, kind: 'missing', drives: [id] });
  return waits.map((wait) => {
    const known = before.find(({ key }) => key === wait.key);
    if (wait.key === restarted) return { ...wait, kind: wait.kind === 'ship' ? 'ship' : 'arrive', since: now };
    if (!known || isNews(wait, known, parcels)) return { ...wait, since: now };
    const more = known.until === undefined ? {} : { until: known.until };
    return { ...wait, kind: known.kind, since: known.since, ...more };
  });
}

/** Its carrier gave it up since it is waited for: a person who waited on all the same is not asked again. */
function isNews(wait: Omit<TravelWait, 'since'>, known: TravelWait, parcels: readonly Parcel[]): boolean {
  const heard = parcels.find(({ tracking }) => tracking === wait.tracking)?.scan?.at ?? '';
  return wait.kind === 'gone' && known.kind !== 'gone' && known.since <= heard;
}

/** @throws Failure `WrongState` when the drive may not come to be in `state` */
export function change(custody: Custody, drive: string, state: DriveState, more: Partial<DriveStatus> = {}): Custody {
  const before = driveOf(custody, drive);
  if (!mayFollow(before.state, state))
    throw wrong(`drive ${drive} is ${before.state}, and cannot become ${state}`, drivesNow(custody));
  return patch(custody, drive, { ...more, state });
}

/** The same custody with other facts about a drive. */
export function patch(custody: Custody, drive: string, more: Partial<DriveStatus>): Custody {
  const drives = custody.drives.map((one) => (one.id === drive ? { ...one, ...more } : one));
  return { ...custody, drives };
}

/** @throws Failure `WrongState` for a drive of another job */
export function driveOf(custody: Custody, drive: string): DriveStatus {
  const found = custody.drives.find(({ id }) => id === drive);
  if (found) return found;
  throw wrong(`drive ${drive} is not of this job`, drivesNow(custody));
}

/** The drives, for whoever was refused. */
export function drivesNow({ drives }: Custody): string {
  if (drives.length === 0) return 'the job has no drives yet';
  return `its drives: ${drives.map(({ id, state }) => `${id} ${state}`).join(', ')}`;
}

/** Not legal now; `why` says what is there. */
export function wrong(message: string, why: string): Failure {
  return new Failure('WrongState', message, { why });
}
