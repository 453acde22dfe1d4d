/**
 * Every act with a drive or a parcel in every state it can be in: what becomes of it, or that it is refused. The
 * tables are written down by hand, from what the field does and where we differ (doc/coverage.md, 2B and 2C); the
 * workflows check and carry out by the very functions that are asked here.
 */
import { describe, expect, test } from '@jest/globals';
import * as custody from '../../domain/custody.ts';
import { DRIVE_STATES, type DriveState } from '../../domain/drive.ts';
import { Failure } from '../../domain/failure.ts';
import * as parcels from '../../domain/parcel-custody.ts';
import type { DriveStatus } from '../../domain/seeding-job.ts';
import { PARCEL_STATES, type ParcelState, type ScanEvent } from '../../domain/shipment.ts';

const NOW = { at: '2026-11-23T10:00:00.000Z', by: 'ann' };
const NUMBER = '1ZA1';
const RANGES = [{ from: 0, to: 10 }];
const TRAVELLED: ReadonlySet<DriveState> = new Set(
  DRIVE_STATES.filter((state) => !['Specified', 'Prepared'].includes(state)),
);

/** One drive that carries all, in that state, and the parcel it came in. */
function one(state: DriveState, parcel: ParcelState = 'Shipped', packed = TRAVELLED.has(state)): custody.Custody {
  const given = state === 'Lost' ? { ranges: [], carried: RANGES } : { ranges: RANGES };
  const drive: DriveStatus = {
    ...{ id: 'A', state, host: 'copy1', capacityBytes: 1000, objects: 10, bytes: 100, registered: true, ...given },
    ...(packed && { tracking: NUMBER }),
  };
  const sent = { carrier: 'ups', tracking: NUMBER, state: parcel, drives: ['A'], shippedAt: NOW.at, by: 'ann' };
  const isSent = packed || parcel !== 'Shipped';
  return { ...custody.openCustody(0, 0), drives: [drive], parcels: isSent ? [sent] : [] };
}

/** What it comes to; `-` where it is refused by a failure that says what is there. */
function outcome<T>(act: () => T | undefined): T | '-' {
  try {
    return act() ?? '-';
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    expect([error.code, error.why === '']).toEqual(['WrongState', false]);
    return '-';
  }
}

const ASKING = new Set(['A']);
const DRIVE_ACTS: Record<string, (state: custody.Custody) => custody.Custody> = {
  ship: (state) => parcels.shipped(state, { carrier: 'ups', tracking: '1ZB1', drives: ['A'] }, NOW),
  receive: (state) => parcels.received(state, { drives: ['A'] }),
  'receive unannounced': (state) => parcels.received(state, { drives: ['A'], unannounced: true }),
  missing: (state) => parcels.missing(state, ['A']),
  damaged: (state) => parcels.damaged(state, ['A']),
  lost: (state) => custody.lost(state, ['A'], 'send'),
  attach: (state) => custody.attached(state, 'A', 'dock1', new Set()),
  'attach while it asks': (state) => custody.attached(state, 'A', 'dock1', ASKING),
  return: (state) => parcels.shippedBack(state, ['A']),
};

/** In the order of DRIVE_ACTS: ship, receive (twice), missing, damaged, lost, attach (twice), return. */
const DRIVES: Record<DriveState, readonly (DriveState | '-')[]> = {
  Specified: ['-', '-', '-', '-', '-', '-', '-', '-', '-'],
  Prepared: ['Shipped', '-', 'Received', '-', '-', 'Lost', '-', '-', '-'],
  Shipped: ['-', 'Received', 'Received', 'NeverReceived', 'Faulted', 'Lost', '-', '-', '-'],
  Received: ['-', '-', '-', 'NeverReceived', 'Faulted', 'Lost', 'Transferring', 'Transferring', '-'],
  NeverReceived: ['-', 'Received', 'Received', '-', 'Faulted', 'Lost', '-', '-', '-'],
  Transferring: ['-', '-', '-', '-', 'Faulted', 'Lost', '-', 'Transferring', '-'],
  Completed: ['-', '-', '-', '-', '-', '-', '-', '-', 'ShippedBack'],
  CompletedMoreInfo: ['-', '-', '-', '-', '-', '-', '-', '-', 'ShippedBack'],
  Faulted: ['-', 'Received', 'Received', '-', '-', 'Lost', 'Transferring', 'Transferring', 'ShippedBack'],
  ShippedBack: ['-', '-', '-', '-', '-', '-', '-', '-', '-'],
  Lost: ['-', 'Extra', 'Extra', '-', '-', '-', '-', '-', '-'], // nothing of it is needed any more
  Extra: ['-', '-', '-', '-', '-', '-', '-', '-', 'ShippedBack'],
};

describe('a drive', () => {
  test.each(DRIVE_STATES.map((state) => [state, DRIVES[state]] as const))('that is %s', (state, expected) => {
    const found = Object.values(DRIVE_ACTS).map((act) => outcome(() => act(one(state)).drives[0]?.state));
    const named = (row: readonly string[]) => Object.keys(DRIVE_ACTS).map((act, at) => `${act}: ${row[at]}`);
    expect(named(found)).toEqual(named(expected));
  });

  test('that was given up is used when something of it is needed after all', () => {
    const state = parcels.received({ ...one('Lost'), online: RANGES }, { drives: ['A'] });
    expect([state.drives[0]?.state, state.drives[0]?.ranges, state.online]).toEqual(['Received', RANGES, []]);
  });

  test('of no job here may only go back', () => {
    const state = parcels.received(one('Shipped'), { drives: ['A'], extra: [{ drive: 'WD-1' }] });
    for (const [name, act] of Object.entries(DRIVE_ACTS)) {
      const strange = (now: custody.Custody) => ({ ...now, drives: now.drives.filter(({ id }) => id !== 'A') });
      const renamed = { ...strange(state), drives: strange(state).drives.map((drive) => ({ ...drive, id: 'A' })) };
      const to = outcome(() => act(renamed).drives[0]?.state);
      expect([name, to]).toEqual([name, name === 'return' ? 'ShippedBack' : '-']);
    }
  });
});

const scan = (event: ScanEvent) => (state: custody.Custody) =>
  parcels.scanned(state, { tracking: NUMBER, event, at: NOW.at });
const PARCEL_ACTS: Record<string, (state: custody.Custody) => custody.Custody | undefined> = {
  'accepted by its carrier': scan('accepted'),
  delivered: scan('delivered'),
  'returned by its carrier': scan('returned'),
  'given up by its carrier': scan('lost'),
  amend: (state) => parcels.amended(state, { tracking: NUMBER, to: '1ZA2' }),
  lost: (state) => parcels.parcelLost(state, NUMBER, 'replace'),
  open: (state) => parcels.received(state, { drives: ['A'], unannounced: true }),
};

/** What its drive is while the parcel is that; then, in the order of PARCEL_ACTS, what becomes of parcel and drive. */
const PARCELS: Record<ParcelState, readonly [DriveState, readonly string[]]> = {
  Preparing: [
    'Prepared',
    [
      ...['Shipped Shipped', 'Shipped Shipped', 'Returned Prepared', 'Shipped Shipped'],
      ...['Preparing Prepared', 'Lost Lost', 'Received Received'],
    ],
  ],
  Shipped: [
    'Shipped',
    [
      ...['Shipped Shipped', 'Shipped Shipped', 'Returned Prepared', 'Shipped Shipped'],
      ...['Shipped Shipped', 'Lost Lost', 'Received Received'],
    ],
  ],
  Received: ['Received', ['-', '-', '-', '-', 'Received Received', '-', '-']],
  Lost: ['Lost', ['-', '-', '-', '-', 'Lost Lost', '-', 'Received Extra']],
  Returned: ['Prepared', ['-', '-', '-', '-', 'Returned Prepared', '-', 'Returned Received']],
};

describe('a parcel', () => {
  test.each(PARCEL_STATES.map((state) => [state, PARCELS[state]] as const))(
    'that is %s',
    (state, [drive, expected]) => {
      const packed = state !== 'Returned';
      const found = Object.values(PARCEL_ACTS).map((act) =>
        outcome(() => {
          const after = act(one(drive, state, packed));
          return after && `${after.parcels[0]?.state} ${after.drives[0]?.state}`;
        }),
      );
      const named = (row: readonly string[]) => Object.keys(PARCEL_ACTS).map((act, at) => `${act}: ${row[at]}`);
      expect(named(found)).toEqual(named(expected));
    },
  );
});
