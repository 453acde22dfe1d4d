import { describe, expect, test } from '@jest/globals';
import { Failure } from '../../domain/failure.ts';
import {
  deadlineOf,
  nextDue,
  PARCEL_STATES,
  parcelFollowers,
  parcelMayFollow,
  parseCarrier,
  parseTimers,
  parseTracking,
  type TravelWait,
  waitId,
} from '../../domain/shipment.ts';
import { DAY } from '../../domain/units.ts';

const since = '2026-11-01T00:00:00.000Z';
const wait: TravelWait = { key: 'ship', kind: 'ship', since, drives: ['A'] };
const day = (number: number) => Date.parse(since) + number * DAY;

describe('a wait', () => {
  test('reminds at 3, 7 and 13 days, and asks at 14', () => {
    expect([0, 1, 2, 3].map((told) => nextDue(wait, told))).toEqual([
      { at: day(3), kind: 'reminder' },
      { at: day(7), kind: 'reminder' },
      { at: day(13), kind: 'reminder' },
      { at: day(14), kind: 'decision' },
    ]);
  });

  test('for a drive that was not in its parcel asks at once', () =>
    expect(nextDue({ ...wait, kind: 'missing' }, 0)).toEqual({ at: day(0), kind: 'decision' }));

  test('that was given more time is reminded of till then, and asked about then', () => {
    const longer = { ...wait, until: new Date(day(20)).toISOString() };
    expect(nextDue(longer, 3)).toEqual({ at: day(20), kind: 'decision' });
    const shorter = { ...wait, until: new Date(day(5)).toISOString() };
    expect([0, 1].map((told) => nextDue(shorter, told))).toEqual([
      { at: day(3), kind: 'reminder' },
      { at: day(5), kind: 'decision' },
    ]);
    expect(nextDue({ ...longer, kind: 'missing' }, 0)).toEqual({ at: day(20), kind: 'decision' });
    expect(waitId(longer)).not.toBe(waitId(wait));
  });

  test('for a parcel its carrier gave up asks at once', () =>
    expect(nextDue({ ...wait, kind: 'gone' }, 0)).toEqual({ at: day(0), kind: 'decision' }));

  test('keeps to the days that were set', () => {
    const timers = parseTimers('1,2.5', '4');
    expect([0, 1, 2].map((told) => nextDue(wait, told, timers))).toEqual([
      { at: day(1), kind: 'reminder' },
      { at: day(2.5), kind: 'reminder' },
      { at: day(4), kind: 'decision' },
    ]);
    expect(nextDue(wait, 0, parseTimers('', '2'))).toEqual({ at: day(2), kind: 'decision' });
    for (const [reminders, decision] of [
      ['7,3', '14'],
      ['3,14', '14'],
      ['x', '14'],
      ['3', '0'],
      ['3', '400'],
    ] as const)
      expect(() => parseTimers(reminders, decision)).toThrow(Failure);
  });

  test('the earliest decision is the deadline', () => {
    const later = { ...wait, since: '2026-11-05T00:00:00.000Z' };
    expect(deadlineOf([later, wait])).toBe('2026-11-15T00:00:00.000Z');
    expect(deadlineOf([])).toBeUndefined();
  });
});

describe('a parcel', () => {
  test('ends received or returned; one that was given up may come after all', () => {
    expect(PARCEL_STATES.filter((state) => parcelFollowers(state).length === 0)).toEqual(['Received', 'Returned']);
    expect(parcelMayFollow('Lost', 'Received')).toBe(true);
    expect(parcelMayFollow('Received', 'Lost')).toBe(false);
  });

  test.each([
    ['1z 999 aa1', '1Z999AA1'],
    ['JJD-0099', 'JJD-0099'],
  ])('tracking number %s is %s', (text, tracking) => expect(parseTracking(text)).toBe(tracking));

  test.each(['', 'abc', '../etc', 'a/b/c', `${'1'.repeat(41)}`])('tracking number %j is refused', (text) =>
    expect(() => parseTracking(text)).toThrow(Failure),
  );

  test('goes with a carrier that the datacenter takes', () => {
    expect(parseCarrier(' DHL ')).toBe('dhl');
    expect(parseCarrier('dhl', ['dhl', 'ups'])).toBe('dhl');
    expect(() => parseCarrier('pigeon', ['dhl', 'ups'])).toThrow(/does not take/);
    expect(() => parseCarrier('a b')).toThrow(Failure);
  });
});
