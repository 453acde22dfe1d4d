import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  DAY,
  formatDriveSize,
  formatDuration,
  formatSize,
  HOUR,
  MINUTE,
  parseSize,
  SECOND,
} from '../../domain/units.ts';

describe('units', () => {
  test.each([
    ['64MiB', 67_108_864],
    ['8TB', 8_000_000_000_000],
    ['8tb', 8_000_000_000_000],
    ['1.5 KiB', 1536],
    ['500000', 500_000],
    ['10k', 10_000],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test.each(['', 'MiB', '-1', '1 XB', '1iB', '1e9', '9999999999PiB'])('%j is no size', (text) =>
    expect(parseSize(text)).toBeUndefined(),
  );

  test('a whole number of bytes is read back as it is', () =>
    fc.assert(fc.property(fc.maxSafeNat(), (bytes) => expect(parseSize(String(bytes))).toBe(bytes))));

  test('sizes print in binary units, drives in both', () => {
    expect([formatSize(0), formatSize(1023), formatSize(1536), formatSize(1.5 * 2 ** 40)]).toEqual([
      '0 B',
      '1023 B',
      '1.5 KiB',
      '1.5 TiB',
    ]);
    expect(formatDriveSize(8_001_563_222_016)).toBe('8.0 TB / 7.28 TiB');
  });

  test.each([
    [0, '0s'],
    [12 * SECOND, '12s'],
    [5 * HOUR + 26 * MINUTE + 3 * SECOND, '5h 26m'],
    [2 * DAY + 4 * HOUR, '2d 4h'],
    [2 * DAY, '2d'],
  ])('%d ms prints as %s', (ms, text) => expect(formatDuration(ms)).toBe(text));
});
