import { describe, expect, test } from '@jest/globals';
import * as custody from '../../domain/custody.ts';
import { countObjects } from '../../domain/drive.ts';
import { Failure } from '../../domain/failure.ts';
import type { Digest } from '../../domain/names.ts';
import * as parcels from '../../domain/parcel-custody.ts';

const DIGEST = '00'.repeat(32) as Digest;
const NOW = { at: '2026-11-23T10:00:00.000Z', by: 'ann' };
const LATER = '2026-11-25T10:00:00.000Z';

/** Three drives of 30 objects each, registered. */
function ready(): custody.Custody {
  let state = custody.openCustody(90, 900);
  for (const drive of ['A', 'B', 'C']) {
    state = custody.specify(state, { drive, host: 'copy1', capacityBytes: 304, serial: `WD-${drive}` });
    const { ranges } = custody.driveOf(state, drive);
    const made = { epoch: 1, manifest: DIGEST, wraps: [DIGEST], objects: countObjects(ranges), bytes: 300 };
    const signed = { run: 'r', step: `prepare-${drive}`, receipt: DIGEST };
    state = custody.prepared(state, { ...signed, drive, host: 'copy1', ranges, ...made });
  }
  return custody.registered(state, ['A', 'B', 'C']);
}

const ship = (state: custody.Custody, tracking: string, drives?: string[], later?: boolean) =>
  parcels.shipped(state, { carrier: 'ups', tracking, drives, later }, NOW);
const stateOf = (state: custody.Custody, drive: string) => custody.driveOf(state, drive).state;
const parcelOf = (state: custody.Custody, tracking: string) => state.parcels.find((one) => one.tracking === tracking);
const waits = (state: custody.Custody) => custody.travelWaits(state, [], NOW.at);

function refused(act: () => unknown): Failure {
  try {
    act();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('a parcel that has its number, and leaves later', () => {
  const packed = ship(ready(), '1ZA1', ['A', 'B'], true);

  test('keeps its drives from other parcels, and is still waited for', () => {
    expect([parcelOf(packed, '1ZA1')?.state, stateOf(packed, 'A')]).toEqual(['Preparing', 'Prepared']);
    expect(refused(() => ship(packed, '1ZA2', ['A'])).message).toContain('in the parcel 1ZA1 already');
    expect(parcelOf(ship(packed, '1ZA2'), '1ZA2')?.drives).toEqual(['C']);
    expect(waits(packed)).toMatchObject([{ key: 'ship', drives: ['A', 'B', 'C'] }]);
  });

  test('leaves when that is said, or when its carrier has it', () => {
    const said = parcels.shipped(packed, { carrier: 'ups', tracking: '1ZA1' }, { at: LATER, by: 'bob' });
    const seen = parcels.scanned(packed, { tracking: '1ZA1', event: 'accepted', at: LATER });
    for (const state of [said, seen ?? packed]) {
      expect(parcelOf(state, '1ZA1')).toMatchObject({ state: 'Shipped', shippedAt: LATER });
      expect([stateOf(state, 'A'), stateOf(state, 'C')]).toEqual(['Shipped', 'Prepared']);
    }
    expect(refused(() => ship(said, '1ZA1')).message).toContain('already sent');
  });
});

describe('a number typed wrong', () => {
  const sent = ship(ready(), '1ZA1', ['A', 'B']);

  test('is amended on the parcel and its drives, and remembered', () => {
    const state = parcels.amended(sent, { tracking: '1za1', to: '1Z A9', carrier: 'dhl' });
    expect(parcelOf(state, '1ZA9')).toMatchObject({ carrier: 'dhl', was: ['1ZA1'], drives: ['A', 'B'] });
    expect(custody.driveOf(state, 'A').tracking).toBe('1ZA9');
    expect(refused(() => ship(state, '1ZA1', ['C'])).message).toContain('already sent'); // never two of a number
    expect(stateOf(parcels.received(state, { drives: ['A'] }), 'B')).toBe('NeverReceived');
  });

  test('never becomes that of another parcel', () => {
    const two = ship(sent, '1ZA2', ['C']);
    expect(refused(() => parcels.amended(two, { tracking: '1ZA1', to: '1ZA2' })).message).toContain('already sent');
    expect(refused(() => parcels.amended(two, { tracking: '1ZA8', to: '1ZA3' })).code).toBe('NotFound');
  });
});

describe('what its carrier says', () => {
  const sent = ship(ship(ready(), '1ZA1', ['A', 'B']), '1ZA2');
  const heard = (event: 'delivered' | 'returned' | 'lost') =>
    parcels.scanned(sent, { tracking: '1ZA1', event, at: LATER }) ?? sent;

  test('stands on the parcel', () => expect(parcelOf(heard('delivered'), '1ZA1')?.scan?.event).toBe('delivered'));

  test('brings its drives back to be shipped again, in another parcel', () => {
    const state = heard('returned');
    expect([parcelOf(state, '1ZA1')?.state, stateOf(state, 'A')]).toEqual(['Returned', 'Prepared']);
    expect(stateOf(ship(state, '1ZA3', ['A', 'B']), 'A')).toBe('Shipped');
  });

  test('asks at once when it gave the parcel up, once only', () => {
    const state = heard('lost');
    const before = custody.travelWaits(sent, [], NOW.at);
    const asked = custody.travelWaits(state, before, LATER);
    expect(asked).toMatchObject([
      { kind: 'gone', since: LATER },
      { kind: 'arrive', since: NOW.at },
    ]);
    const waited = custody.travelWaits(state, asked, '2026-11-26T10:00:00.000Z', 'parcel-1ZA1');
    expect(waited).toMatchObject([{ kind: 'arrive' }, { kind: 'arrive' }]);
    expect(custody.travelWaits(state, waited, '2026-11-27T10:00:00.000Z')).toEqual(waited);
  });

  test('changes nothing once the parcel is here, or is none of ours', () => {
    const here = parcels.received(sent, { drives: ['A', 'B'] });
    expect(parcels.scanned(here, { tracking: '1ZA1', event: 'lost', at: LATER })).toBeUndefined();
    expect(parcels.scanned(sent, { tracking: '1ZA7', event: 'lost', at: LATER })).toBeUndefined();
  });
});

describe('an opened parcel', () => {
  const sent = ship(ready(), '1ZA1', ['A', 'B']);

  test('may hold a drive of no job, which is extra and goes back with ours', () => {
    const state = parcels.received(sent, { drives: ['A', 'B'], extra: [{ drive: 'SER-1', ofJob: 'acme' }] });
    expect(state.drives.at(-1)).toMatchObject({ id: 'SER-1', state: 'Extra', ofJob: 'acme', ranges: [] });
    expect(custody.isForeign(custody.driveOf(state, 'SER-1'))).toBe(true);
    expect(stateOf(parcels.shippedBack(state, ['SER-1']), 'SER-1')).toBe('ShippedBack');
    expect(refused(() => parcels.received(state, { drives: [], extra: [{ drive: 'A' }] })).message).toContain('known');
  });

  test('may hold a drive that was given up: it is extra when its objects have travelled another way', () => {
    const given = { ...custody.lost(sent, ['B'], 'send'), online: [] };
    const state = parcels.received(given, { drives: ['A', 'B'] });
    expect([stateOf(state, 'A'), stateOf(state, 'B')]).toEqual(['Received', 'Extra']);
    expect(custody.isForeign(custody.driveOf(state, 'B'))).toBe(false);
  });

  test('that nobody said had left is taken in when the desk insists', () => {
    const state = ready();
    expect(refused(() => parcels.received(state, { drives: ['A'] })).next).toContain('--unannounced');
    expect(stateOf(parcels.received(state, { drives: ['A'], unannounced: true }), 'A')).toBe('Received');
  });
});

describe('a drive at the desk', () => {
  const here = parcels.received(ship(ready(), '1ZA1'), { drives: ['A', 'B', 'C'] });

  test('that was named by mistake is missing', () =>
    expect(waits(parcels.missing(here, ['B']))).toMatchObject([{ key: 'drive-B', kind: 'missing' }]));

  test('that is damaged is tried all the same, or given up', () => {
    const state = parcels.damaged(here, ['B']);
    expect(custody.allTaken(state)).toBe(false);
    expect(stateOf(parcels.triedAgain(state, 'B'), 'B')).toBe('Received');
    expect(custody.lost(state, ['B'], 'replace').free).toEqual(custody.driveOf(here, 'B').ranges);
    expect(stateOf(custody.attached(state, 'B', 'dock1', new Set()), 'B')).toBe('Transferring');
  });

  test('goes back in a parcel of its own', () => {
    const done = custody.ingested(custody.attached(here, 'A', 'dock1', new Set()), {
      ...{ run: 'r', step: 's', receipt: DIGEST, drive: 'A', copyLog: DIGEST, taken: 30, refused: 0, bytes: 300 },
    });
    const state = parcels.shippedBack(done, ['A'], { carrier: 'dhl', tracking: 'BACK1', ...NOW });
    expect(parcelOf(state, 'BACK1')).toMatchObject({ state: 'Returned', back: true, drives: ['A'] });
    expect(refused(() => parcels.shippedBack(here, ['B'])).code).toBe('WrongState');
  });
});

test('a parcel given up costs its own drives only', () => {
  const two = ship(ship(ready(), '1ZA1', ['A', 'B']), '1ZA2', ['C']);
  const state = parcels.parcelLost(two, '1za1', 'replace');
  expect(parcelOf(state, '1ZA1')?.state).toBe('Lost');
  expect(countObjects(state.free)).toBe(60);
  expect(stateOf(state, 'C')).toBe('Shipped');
  expect(refused(() => parcels.parcelLost(state, '1ZA1', 'send')).code).toBe('WrongState');
});

test('a job that goes elsewhere takes back what has not left, and lets the rest arrive', () => {
  const sent = ship(ready(), '1ZA1', ['A']);
  const { custody: state, left } = custody.redirected(ship(sent, '1ZA2', ['B'], true), {
    region: 'eu-west',
    landing: 'landing-eu-west',
  });
  expect(left).toEqual(['B', 'C']);
  expect(countObjects(state.free)).toBe(60);
  expect(state.drives).toMatchObject([{ id: 'A', state: 'Shipped', region: 'eu-west', landing: 'landing-eu-west' }]);
  expect(state.parcels.map(({ tracking }) => tracking)).toEqual(['1ZA1']);
});
