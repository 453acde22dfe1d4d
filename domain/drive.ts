/**
 * A drive of a job: its states, and which objects it is to carry.
 *
 *   Specified → Prepared → Shipped → Received → Transferring → Completed | CompletedMoreInfo → ShippedBack
 *                             └→ NeverReceived ⇄ Received        └→ Faulted → Transferring again
 *   Shipped → Prepared: its parcel came back to the sender. Prepared → Received: nobody had said that it left.
 *   Faulted: it arrived damaged, or does not read. Lost: a person decided it will not come.
 *   Extra: a drive of no job here, or one that was given up, came after all, and is not needed any more.
 *
 * The pack set's sorted list is the list of objects. A drive is given ranges of it, as many objects
 * as its capacity should hold; what did not fit, or will not come, goes back to the pool.
 */
import type { ObjectRange } from './receipt.ts';

const FOLLOWS = {
  Specified: ['Prepared'],
  Prepared: ['Shipped', 'Received', 'Lost'],
  Shipped: ['Received', 'NeverReceived', 'Faulted', 'Prepared', 'Lost'],
  Received: ['Transferring', 'NeverReceived', 'Faulted', 'Lost'],
  NeverReceived: ['Received', 'Faulted', 'Lost'],
  Transferring: ['Completed', 'CompletedMoreInfo', 'Faulted', 'Lost'],
  Completed: ['ShippedBack'],
  CompletedMoreInfo: ['ShippedBack'],
  Faulted: ['Transferring', 'Received', 'ShippedBack', 'Lost'],
  ShippedBack: [],
  Lost: ['Received', 'Extra'],
  Extra: ['ShippedBack'],
} as const;

export type DriveState = keyof typeof FOLLOWS;

export const DRIVE_STATES = Object.keys(FOLLOWS) as readonly DriveState[];

/** Who moves a drive on from each state, and with what, for `help states`. */
export const DRIVE_ACTORS: Readonly<Record<DriveState, string>> = {
  Specified: 'its copy host, by itself',
  Prepared: 'the sender: job ship',
  Shipped: 'the desk: drive receive | missing | damaged; anyone: drive lost; the carrier: returned to the sender',
  Received: 'a dock: drive attach; the desk: drive damaged | missing',
  NeverReceived: 'the desk: drive receive, when it turns up; anyone: drive lost',
  Transferring: 'its dock, by itself',
  Completed: 'the desk: drive return',
  CompletedMoreInfo: 'the desk: drive return; what was refused stands in the copy log',
  Faulted: 'a person: job resolve; a dock: drive attach',
  ShippedBack: 'nobody',
  Lost: 'the desk: drive receive, when it comes after all: it is used if it is still needed, else extra',
  Extra: 'the desk: drive return',
};

/** Drives of one job: more would not stay under 2,000 events. */
export const DRIVES_MAX = 64;

/** A drive names its files by six digits. */
export const OBJECTS_MAX = 1_000_000;

/** What a file system and our own manifest and journal take of a drive, at most. */
const RESERVED_SHARE = 0.01;

/** Whether a drive in `from` may come to be in `to`. */
export function mayFollow(from: DriveState, to: DriveState): boolean {
  const next: readonly DriveState[] = FOLLOWS[from];
  return next.includes(to);
}

/** The states that may follow, for `help states`. */
export function followers(from: DriveState): readonly DriveState[] {
  return FOLLOWS[from];
}

/** Of a drive's label: what objects may take. */
export function usableBytes(capacityBytes: number): number {
  return capacityBytes * (1 - RESERVED_SHARE);
}

export interface Assignment {
  readonly ranges: readonly ObjectRange[];
  readonly free: readonly ObjectRange[];
}

/** Objects in `ranges`. */
export function countObjects(ranges: readonly ObjectRange[]): number {
  return ranges.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** Sorted, without neighbours that touch or overlap; empty ranges dropped. */
export function mergeRanges(ranges: readonly ObjectRange[]): ObjectRange[] {
  const merged: ObjectRange[] = [];
  for (const range of [...ranges].filter(({ from, to }) => to > from).sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last && range.from <= last.to) merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, range.to) };
    else merged.push(range);
  }
  return merged;
}

/** What of `whole` is not in `part`. */
export function subtractRanges(whole: readonly ObjectRange[], part: readonly ObjectRange[]): ObjectRange[] {
  let rest = mergeRanges(whole);
  for (const cut of part)
    rest = rest
      .flatMap(({ from, to }) => [
        { from, to: Math.min(to, cut.from) },
        { from: Math.max(from, cut.to), to },
      ])
      .filter(({ from, to }) => to > from);
  return rest;
}

/** What is in both. */
export function overlap(one: readonly ObjectRange[], other: readonly ObjectRange[]): ObjectRange[] {
  return subtractRanges(one, subtractRanges(one, other));
}

/**
 * Gives a drive the first objects of the pool that should fit it by their mean size; at least one,
 * so that a small drive is tried and says itself that it is full.
 * @param capacityBytes what the drive's label promises
 * @param meanBytes sealed bytes of the whole set divided by its objects
 */
export function assignRanges(free: readonly ObjectRange[], capacityBytes: number, meanBytes: number): Assignment {
  let room = Math.max(1, Math.floor(usableBytes(capacityBytes) / Math.max(1, meanBytes)));
  const ranges: ObjectRange[] = [];
  for (const { from, to } of mergeRanges(free)) {
    if (room <= 0) break;
    const end = Math.min(to, from + room);
    ranges.push({ from, to: end });
    room -= end - from;
  }
  return { ranges, free: subtractRanges(free, ranges) };
}
