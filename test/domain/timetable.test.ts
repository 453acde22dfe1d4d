import { describe, expect, test } from '@jest/globals';
import { parseTimetable, rateAt } from '../../domain/timetable.ts';

const at = (day: number, hour: number, minute = 0) => new Date(2026, 10, 22 + day, hour, minute); // 22 is a Sunday
const WORK = '08:00,512KiB 12:30,1MB 18:00,off';
const WEEK = 'mon-08:00,1MiB fri-18:00,off';

describe('a timetable', () => {
  test.each<[string, Date, number | undefined]>([
    ['10MiB', at(3, 4), 10 * 1024 * 1024],
    ['off', at(3, 4), undefined],
    ['0', at(3, 4), undefined],
    [WORK, at(0, 8), 512 * 1024],
    [WORK, at(6, 12, 29), 512 * 1024],
    [WORK, at(6, 12, 30), 1_000_000],
    [WORK, at(2, 18), undefined],
    [WORK, at(0, 7, 59), undefined], // of the evening before, a week ago
    ['22:00,off 06:00,1MiB', at(3, 23), undefined],
    ['22:00,off 06:00,1MiB', at(3, 5, 59), undefined],
    ['22:00,off 06:00,1MiB', at(3, 6), 1024 * 1024],
    [WEEK, at(3, 3), 1024 * 1024],
    [WEEK, at(5, 17, 59), 1024 * 1024],
    [WEEK, at(5, 18), undefined],
    [WEEK, at(0, 12), undefined],
    ['Sat-23:59,1KiB', at(0, 0), 1024],
  ])('%s, at %s: %p', (text, moment, rate) => expect(rateAt(parseTimetable(text) ?? [], moment)).toBe(rate));

  test.each([
    '',
    'fast',
    '08:00',
    '08:00,',
    '24:00,1MiB',
    '08:60,1MiB',
    'xyz-08:00,1MiB',
    '08:00,1MiB nonsense',
    '1MiB 2MiB',
    '08:00,1MiB 08:00,2MiB',
    'mon-08:00,1MiB 08:00,2MiB',
  ])('%j is none', (text) => expect(parseTimetable(text)).toBeUndefined());
});
