import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Failure } from '../../domain/failure.ts';
import { calendarsOf, formatSchedule, parseSchedule, parseTimezone } from '../../domain/protection.ts';

describe('a schedule', () => {
  test.each([
    ['daily 02:00', [{ hour: 2, minute: 0 }]],
    [
      'daily 14:00,02:00',
      [
        { hour: 2, minute: 0 },
        { hour: 14, minute: 0 },
      ],
    ],
    ['weekly sat 22:00', [{ hour: 22, minute: 0, dayOfWeek: ['SATURDAY'] }]],
    ['Weekly  thu, mon 2:05', [{ hour: 2, minute: 5, dayOfWeek: ['MONDAY', 'THURSDAY'] }]],
  ])('%s is what Temporal wants', (text, calendars) => expect(calendarsOf(parseSchedule(text))).toEqual(calendars));

  test.each([
    '',
    'daily',
    'daily 24:00',
    'daily 02:60',
    'daily 2',
    'weekly 02:00',
    'weekly frog 02:00',
    'hourly 02:00',
    'daily mon 02:00',
    'daily 1:00,2:00,3:00,4:00,5:00,6:00,7:00',
  ])('%j is not understood, and says what is', (text) => {
    expect(() => parseSchedule(text)).toThrow(Failure);
    expect(() => parseSchedule(text)).toThrow(/is not understood/);
  });

  test('what is printed is read back to the same', () => {
    const time = fc.record({ hour: fc.nat(23), minute: fc.nat(59) });
    const days = fc.uniqueArray(fc.constantFrom('sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'), { minLength: 1 });
    const clock = fc
      .array(time, { minLength: 1, maxLength: 6 })
      .map((times) => times.map(({ hour, minute }) => `${hour}:${String(minute).padStart(2, '0')}`).join(','));
    const text = fc.oneof(
      clock.map((times) => `daily ${times}`),
      fc.tuple(days, clock).map(([named, times]) => `weekly ${named.join(',')} ${times}`),
    );
    fc.assert(
      fc.property(text, (one) => {
        const schedule = parseSchedule(one);
        expect(parseSchedule(formatSchedule(schedule))).toEqual(schedule);
      }),
    );
  });
});

describe('a time zone', () => {
  test('is an IANA name', () => expect(parseTimezone('Europe/Berlin')).toBe('Europe/Berlin'));
  test('that nobody knows is refused', () => expect(() => parseTimezone('Mars/Olympus')).toThrow(Failure));
});
