import { describe, expect, test } from '@jest/globals';
import { isWithin, parseHours } from '../../domain/hours.ts';

const at = (day: number, hour: number, minute = 0) => new Date(2026, 10, 22 + day, hour, minute); // 22 is a Sunday

describe('hours', () => {
  test.each<[string, Date, boolean]>([
    ['08:00-18:00', at(0, 8), true],
    ['08:00-18:00', at(0, 7, 59), false],
    ['08:00-18:00', at(0, 18), false],
    ['mon-fri 08:00-18:00', at(1, 12), true],
    ['mon-fri 08:00-18:00', at(6, 12), false],
    ['sat 00:00-24:00', at(6, 23, 59), true],
    ['fri-mon 08:00-18:00', at(0, 12), true],
    ['fri-mon 08:00-18:00', at(3, 12), false],
    ['mon 22:00-06:00', at(1, 23), true],
    ['mon 22:00-06:00', at(2, 5, 59), true],
    ['mon 22:00-06:00', at(1, 5), false],
    ['mon 22:00-06:00', at(2, 6), false],
  ])('%s, at %s: %s', (text, moment, within) => expect(isWithin(parseHours(text), moment)).toBe(within));

  test.each(['', '8-18', '08:00-08:00', '25:00-26:00', 'mon-xyz 08:00-18:00', '08:60-09:00'])('%j are none', (text) => {
    expect(() => parseHours(text)).toThrow('are no hours');
  });
});
