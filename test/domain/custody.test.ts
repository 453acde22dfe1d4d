import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as custody from '../../domain/custody.ts';
import { countObjects, DRIVES_MAX, mergeRanges, subtractRanges } from '../../domain/drive.ts';
import { Failure } from '../../domain/failure.ts';
import type { Digest } from '../../domain/names.ts';
import * as parcels from '../../domain/parcel-custody.ts';
import type { ObjectRange, PreparedDrive } from '../../domain/receipt.ts';

const DIGEST = '00'.repeat(32) as Digest;
const NOW = { at: '2026-11-23T10:00:00.000Z', by: 'ann' };

function written(drive: string, ranges: readonly ObjectRange[]): PreparedDrive {
  const signed = { run: 'r', step: `prepare-${drive}`, receipt: DIGEST };
  const made = { epoch: 1, manifest: DIGEST, wraps: [DIGEST], objects: countObjects(ranges), bytes: 0 };
  return { ...signed, drive, host: 'copy1', ranges, ...made };
}

function rangesOf(state: custody.Custody, drive: string): readonly ObjectRange[] {
  return state.drives.find(({ id }) => id === drive)?.ranges ?? [];
}

/** Specified, written whole, registered. */
function with2(objects = 100): custody.Custody {
  let state = custody.openCustody(objects, objects * 10);
  for (const drive of ['A', 'B']) {
    state = custody.specify(state, { drive, host: 'copy1', capacityBytes: (objects / 2) * 10.11 });
    state = custody.prepared(state, written(drive, rangesOf(state, drive)));
  }
  return custody.registered(state, ['A', 'B']);
}

function refused(act: () => unknown): Failure {
  try {
    act();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('custody', () => {
  test('no act loses or doubles an object, whatever is done in whatever order', () => {
    const drive = fc.constantFrom('A', 'B', 'C', 'D');
    const act = fc.oneof(
      fc.record({ act: fc.constant('specify' as const), drive, capacityBytes: fc.integer({ min: 1, max: 900 }) }),
      fc.record({ act: fc.constant('prepared' as const), drive, share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ act: fc.constant('leaveOut' as const), drive }),
      fc.record({ act: fc.constant('ship' as const), drive, tracking: fc.constantFrom('1ZA1', '1ZA2', '1ZA3') }),
      fc.record({ act: fc.constant('receive' as const), drive }),
      fc.record({ act: fc.constant('attach' as const), drive }),
      fc.record({
        act: fc.constant('ingested' as const),
        drive,
        unread: fc.record({ from: fc.nat(99), to: fc.nat(100) }),
        way: fc.constantFrom(...custody.WAYS),
      }),
      fc.record({ act: fc.constant('lost' as const), drive, way: fc.constantFrom(...custody.WAYS) }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), fc.array(act, { maxLength: 60, size: 'max' }), (objects, acts) => {
        let state = custody.openCustody(objects, objects * 10);
        for (const one of acts) {
          try {
            state = step(state, one);
          } catch (error) {
            if (!(error instanceof Failure)) throw error;
          }
          const { free, online, dropped, drives } = state;
          const places = [...free, ...online, ...dropped, ...drives.flatMap(({ ranges }) => ranges)];
          expect(countObjects(places)).toBe(objects);
          expect(mergeRanges(places)).toEqual(objects === 0 ? [] : [{ from: 0, to: objects }]);
        }
      }),
    );
  });

  type Act =
    | { act: 'specify'; drive: string; capacityBytes: number }
    | { act: 'prepared'; drive: string; share: number }
    | { act: 'ship'; drive: string; tracking: string }
    | { act: 'lost'; drive: string; way: custody.Way }
    | { act: 'ingested'; drive: string; unread: ObjectRange; way: custody.Way }
    | { act: 'leaveOut' | 'receive' | 'attach'; drive: string };

  function step(state: custody.Custody, one: Act): custody.Custody {
    const { drive } = one;
    switch (one.act) {
      case 'specify':
        return custody.specify(state, { drive, host: 'copy1', capacityBytes: one.capacityBytes });
      case 'prepared': {
        if (!state.drives.some(({ id, state: now }) => id === drive && now === 'Specified')) return state;
        const asked = rangesOf(state, drive);
        const [first] = asked;
        const fits = first ? Math.floor((first.to - first.from) * one.share) : 0;
        const carried = first && fits > 0 ? [{ from: first.from, to: first.from + fits }] : [];
        return custody.registered(custody.prepared(state, written(drive, carried)), [drive]);
      }
      case 'leaveOut':
        return state.drives.some(({ id, state: now }) => id === drive && now === 'Specified')
          ? custody.leaveOut(state, drive)
          : state;
      case 'ship':
        return parcels.shipped(state, { carrier: 'dhl', tracking: one.tracking, drives: [drive] }, NOW);
      case 'receive':
        return parcels.received(state, { drives: [drive] });
      case 'attach':
        return custody.attached(state, drive, 'dock1', new Set());
      case 'ingested': {
        const signed = { run: 'r', step: 's', receipt: DIGEST, copyLog: DIGEST };
        const missingRanges = one.unread.from < one.unread.to ? [one.unread] : [];
        return custody.ingested(state, { ...signed, drive, taken: 1, refused: 0, bytes: 1, missingRanges }, one.way);
      }
      case 'lost':
        return custody.lost(state, [drive], one.way);
    }
  }

  test('a drive that filled gives back what it could not take', () => {
    let state = custody.openCustody(100, 1000);
    state = custody.specify(state, { drive: 'A', host: 'copy1', capacityBytes: 5000 });
    expect(rangesOf(state, 'A')).toEqual([{ from: 0, to: 100 }]);
    state = custody.prepared(state, written('A', [{ from: 0, to: 70 }]));
    expect(state.free).toEqual([{ from: 70, to: 100 }]);
    expect(custody.allPrepared(state)).toBe(false);
  });

  test('a drive is shipped only when its manifest is registered', () => {
    let state = custody.openCustody(10, 100);
    state = custody.specify(state, { drive: 'A', host: 'copy1', capacityBytes: 5000 });
    state = custody.prepared(state, written('A', rangesOf(state, 'A')));
    const ship = (named?: string[]) => parcels.shipped(state, { carrier: 'dhl', tracking: '1Z99', drives: named }, NOW);
    expect(refused(() => ship()).message).toBe('no drive is ready to be shipped');
    expect(refused(() => ship(['A'])).message).toBe('drive A is not registered yet');
    state = custody.registered(state, ['A']);
    expect(ship().parcels).toMatchObject([{ carrier: 'dhl', tracking: '1Z99', drives: ['A'], state: 'Shipped' }]);
  });

  test('two parcels never share a tracking number', () => {
    const state = parcels.shipped(with2(), { carrier: 'dhl', tracking: '1z 99', drives: ['A'] }, NOW);
    expect(refused(() => parcels.shipped(state, { carrier: 'ups', tracking: '1Z99' }, NOW)).message).toBe(
      'a parcel 1Z99 was already sent',
    );
  });

  test('drives of an opened parcel that are not named were not in it; those of another parcel are not meant', () => {
    let state = parcels.shipped(with2(), { carrier: 'dhl', tracking: '1ZA1' }, NOW);
    state = parcels.received(state, { drives: ['A'] });
    expect(state.drives.map(({ state: now }) => now)).toEqual(['Received', 'NeverReceived']);
    let apart = parcels.shipped(with2(), { carrier: 'dhl', tracking: '1ZA1', drives: ['A'] }, NOW);
    apart = parcels.shipped(apart, { carrier: 'dhl', tracking: '1ZA2', drives: ['B'] }, NOW);
    apart = parcels.received(apart, { drives: ['A'] });
    expect(apart.drives.map(({ state: now }) => now)).toEqual(['Received', 'Shipped']);
  });

  test('a lost drive costs its own objects, and its parcel is lost when all of it is', () => {
    const sent = parcels.shipped(with2(), { carrier: 'dhl', tracking: '1ZA1' }, NOW);
    const one = custody.lost(sent, ['B'], 'replace');
    expect([one.free, one.parcels[0]?.state]).toEqual([[{ from: 50, to: 100 }], 'Shipped']);
    expect(one.drives.map(({ ranges }) => ranges)).toEqual([[{ from: 0, to: 50 }], []]);
    const both = custody.lost(one, ['A'], 'send');
    expect([both.online, both.parcels[0]?.state]).toEqual([[{ from: 0, to: 50 }], 'Lost']);
  });

  test('what a drive could not give goes the way that was chosen; the rest stays with it', () => {
    let state = parcels.shipped(with2(), { carrier: 'dhl', tracking: '1ZA1' }, NOW);
    state = custody.attached(parcels.received(state, { drives: ['A', 'B'] }), 'A', 'dock1', new Set());
    const receipt = { run: 'r', step: 's', receipt: DIGEST, copyLog: DIGEST, drive: 'A', taken: 47, bytes: 1 };
    const unread = { ...receipt, refused: 3, missingRanges: [{ from: 10, to: 13 }] };
    const pools = (way: custody.Way) => custody.ingested(state, unread, way);
    expect(pools('replace').free).toEqual(unread.missingRanges);
    expect(pools('send').online).toEqual(unread.missingRanges);
    expect(pools('drop').dropped).toEqual(unread.missingRanges);
    expect(rangesOf(pools('drop'), 'A')).toEqual([
      { from: 0, to: 10 },
      { from: 13, to: 50 },
    ]);
    expect(refused(() => custody.wayOf('hope')).code).toBe('Usage');
  });

  test('a drive thought lost that turns up gives what nobody has yet; else it is kept aside', () => {
    const sent = parcels.shipped(with2(), { carrier: 'dhl', tracking: '1ZA1' }, NOW);
    const given = custody.lost(sent, ['B'], 'replace');
    const early = parcels.received(given, { drives: ['A', 'B'] });
    expect([early.free, early.drives[1]]).toMatchObject([[], { state: 'Received', ranges: [{ from: 50, to: 100 }] }]);
    const half = custody.specify(given, { drive: 'C', host: 'copy1', capacityBytes: 30 * 10 * 1.011 });
    const late = parcels.received(half, { drives: ['A', 'B'] });
    expect(rangesOf(late, 'C')).toEqual([{ from: 50, to: 80 }]);
    expect(rangesOf(late, 'B')).toEqual([{ from: 80, to: 100 }]);
    const all = custody.specify(given, { drive: 'C', host: 'copy1', capacityBytes: 5000 });
    const extra = parcels.received(all, { drives: ['A', 'B'] });
    expect([extra.drives[1]?.state, rangesOf(extra, 'B')]).toEqual(['Extra', []]);
    const dropped = parcels.received(custody.lost(sent, ['B'], 'drop'), { drives: ['A', 'B'] });
    expect([dropped.dropped, rangesOf(dropped, 'B')]).toEqual([[], [{ from: 50, to: 100 }]]);
  });

  test('a drive of a plan file waits for the journal of its own host, and carries no more than it was given', () => {
    let state = custody.openCustody(100, 1000);
    state = custody.specify(state, { drive: 'A', host: 'copy1', capacityBytes: 610, offline: true });
    const [given = { from: 0, to: 0 }] = rangesOf(state, 'A');
    const part = written('A', [{ from: 0, to: given.to - 10 }]);
    expect(refused(() => custody.journaled(state, { ...part, host: 'copy2' })).code).toBe('WrongState');
    expect(refused(() => custody.journaled(state, written('A', [{ from: 0, to: 100 }]))).message).toContain(
      'not given',
    );
    const after = custody.journaled(state, part, 'SER-1');
    expect(after.drives).toMatchObject([{ state: 'Prepared', serial: 'SER-1', ranges: part.ranges }]);
    expect(after.free).toEqual([{ from: given.to - 10, to: 100 }]);
    expect(refused(() => custody.journaled(after, part)).code).toBe('WrongState');
    expect(custody.lost(state, ['A'], 'replace')).toMatchObject({ drives: [], free: [{ from: 0, to: 100 }] });
    const usual = custody.specify(custody.openCustody(9, 90), { drive: 'A', host: 'copy1', capacityBytes: 610 });
    expect(refused(() => custody.journaled(usual, written('A', [{ from: 0, to: 9 }]))).code).toBe('WrongState');
  });

  test('an act that is not legal names the drives as they are', () => {
    const state = with2();
    expect(refused(() => parcels.received(state, { drives: ['A'] })).why).toBe('its drives: A Prepared, B Prepared');
    expect(refused(() => custody.attached(state, 'A', 'dock1', new Set())).code).toBe('WrongState');
    expect(refused(() => parcels.received(state, { drives: ['X'] })).message).toBe('drive X is not of this job');
    expect(refused(() => custody.specify(state, { drive: 'A', host: 'h', capacityBytes: 1 })).message).toContain(
      'already',
    );
    expect(refused(() => custody.specify(state, { drive: 'C', host: 'h', capacityBytes: 1 })).message).toBe(
      'no object waits for a drive',
    );
  });

  test(`a job has at most ${DRIVES_MAX} drives`, () => {
    let state = custody.openCustody(1000, 1000);
    for (let at = 0; at < DRIVES_MAX; at += 1)
      state = custody.specify(state, { drive: `D${at}`, host: 'h', capacityBytes: 1 });
    expect(refused(() => custody.specify(state, { drive: 'one more', host: 'h', capacityBytes: 1 })).message).toContain(
      '64',
    );
  });
});

describe('what travels', () => {
  const later = '2026-11-30T10:00:00.000Z';

  test('a wait keeps its beginning while it lasts, and begins anew when a person waits on', () => {
    const state = with2();
    const first = custody.travelWaits(state, [], NOW.at);
    expect(first).toEqual([{ key: 'ship', kind: 'ship', drives: ['A', 'B'], since: NOW.at }]);
    expect(custody.travelWaits(state, first, later)).toEqual(first);
    expect(custody.travelWaits(state, first, later, 'ship')[0]?.since).toBe(later);
  });

  test('a drive that was not in its parcel is missing at once, and awaited when a person waits', () => {
    const sent = parcels.shipped(with2(), { carrier: 'dhl', tracking: '1ZA1' }, NOW);
    const state = parcels.received(sent, { drives: ['A'] });
    const waits = custody.travelWaits(state, custody.travelWaits(sent, [], NOW.at), later);
    expect(waits).toEqual([{ key: 'drive-B', kind: 'missing', drives: ['B'], since: later }]);
    const longer = custody.travelWaits(state, waits, later, 'drive-B');
    expect(longer[0]?.kind).toBe('arrive');
    expect(custody.travelWaits(state, longer, later)[0]?.kind).toBe('arrive');
  });
});

describe('ranges', () => {
  const range = fc.tuple(fc.nat(50), fc.nat(20)).map(([from, length]) => ({ from, to: from + length }));
  const members = (ranges: readonly ObjectRange[]) =>
    new Set(ranges.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, at) => from + at)));

  test('merging keeps the members, sorted and apart', () =>
    fc.assert(
      fc.property(fc.array(range), (ranges) => {
        const merged = mergeRanges(ranges);
        expect([...members(merged)]).toEqual([...members(ranges)].sort((a, b) => a - b));
        for (const [at, one] of merged.entries()) expect(one.from).toBeGreaterThan(merged[at - 1]?.to ?? -1);
      }),
    ));

  test('subtracting leaves what only the whole has', () =>
    fc.assert(
      fc.property(fc.array(range), fc.array(range), (whole, part) => {
        const gone = members(part);
        const left = [...members(whole)].filter((one) => !gone.has(one)).sort((a, b) => a - b);
        expect([...members(subtractRanges(whole, part))]).toEqual(left);
      }),
    ));
});
