import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Failure } from '../../domain/failure.ts';
import { formatKeep, type Keep, type KeptPoint, keptPoints, parseKeep } from '../../domain/retention.ts';
import { DAY, HOUR } from '../../domain/units.ts';

const NONE: Keep = { daily: 0, weekly: 0, monthly: 0, yearly: 0 };
const at = (iso: string): KeptPoint => ({ name: iso, localMs: Date.parse(`${iso}:00Z`) });
const names = (points: readonly KeptPoint[], keep: Partial<Keep>) => [
  ...keptPoints(points, { ...NONE, ...keep }).keys(),
];

describe('retention', () => {
  test.each([
    ['daily=30', { ...NONE, daily: 30 }],
    ['daily=30, weekly=12,monthly=24,yearly=10', { daily: 30, weekly: 12, monthly: 24, yearly: 10 }],
  ])('%s is understood', (text, keep) => {
    expect(parseKeep(text)).toEqual(keep);
    expect(parseKeep(formatKeep(keep))).toEqual(keep);
  });

  test.each(['', 'daily', 'daily=0', 'hourly=3', 'daily=-1', 'daily=99999', 'daily=3;weekly=2'])(
    '%j is refused',
    (text) => expect(() => parseKeep(text)).toThrow(Failure),
  );

  test('the newest of each day, week, month and year is kept', () => {
    const points = ['2026-01-31T22:00', '2026-02-01T02:00', '2026-02-01T14:00', '2026-02-02T02:00', '2026-03-01T02:00'];
    const all = points.map(at);
    expect(names(all, { daily: 2 })).toEqual(['2026-03-01T02:00', '2026-02-02T02:00']);
    expect(names(all, { daily: 3 })).toContain('2026-02-01T14:00');
    // 1 February 2026 was a Sunday, the last day of its week
    expect(names(all, { weekly: 3 })).toEqual(['2026-03-01T02:00', '2026-02-02T02:00', '2026-02-01T14:00']);
    expect(names(all, { monthly: 9 })).toEqual(['2026-03-01T02:00', '2026-02-02T02:00', '2026-01-31T22:00']);
    expect(names(all, { yearly: 1 })).toEqual(['2026-03-01T02:00']);
  });

  test('the newest point is kept by any rule, even one that keeps nothing', () =>
    expect(names([at('2020-01-01T00:00')], {})).toEqual(['2020-01-01T00:00']));

  test('a machine that was off keeps what it had: empty periods use up no place', () => {
    const old = ['2026-01-01T02:00', '2026-01-02T02:00', '2026-01-03T02:00'].map(at);
    expect(names([...old, at('2026-09-01T02:00')], { daily: 3 })).toEqual([
      '2026-09-01T02:00',
      '2026-01-03T02:00',
      '2026-01-02T02:00',
    ]);
  });

  const points = fc
    .uniqueArray(fc.integer({ min: -50_000, max: 400_000 }), { maxLength: 60 })
    .map((hours) => hours.map((hour) => ({ name: `p${hour}`, localMs: hour * HOUR })));
  const keep = fc.record({ daily: fc.nat(9), weekly: fc.nat(5), monthly: fc.nat(5), yearly: fc.nat(3) });

  test('what is kept is kept again when the rest is gone, in whatever order points come', () =>
    fc.assert(
      fc.property(points, keep, (all, rule) => {
        const kept = keptPoints(all, rule);
        const again = keptPoints(
          [...all].reverse().filter(({ name }) => kept.has(name)),
          rule,
        );
        expect(again).toEqual(kept);
      }),
    ));

  test('a larger rule keeps no less, and no rule keeps more than it counts', () =>
    fc.assert(
      fc.property(points, keep, (all, rule) => {
        const kept = keptPoints(all, rule);
        const more = keptPoints(all, { ...rule, daily: rule.daily + 1, yearly: rule.yearly + 1 });
        for (const name of kept.keys()) expect(more.has(name)).toBe(true);
        expect(kept.size).toBeLessThanOrEqual(1 + rule.daily + rule.weekly + rule.monthly + rule.yearly);
      }),
    ));

  test('days are those of the local clock', () => {
    const late = { name: 'late', localMs: 10 * DAY + 23 * HOUR };
    const early = { name: 'early', localMs: 11 * DAY + 1 * HOUR };
    expect(names([late, early], { daily: 2 })).toEqual(['early', 'late']);
  });
});
