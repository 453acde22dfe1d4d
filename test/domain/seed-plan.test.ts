import { describe, expect, test } from '@jest/globals';
import { planSeed } from '../../domain/seed-plan.ts';
import { DAY, HOUR, parseBitRate } from '../../domain/units.ts';

const TB = 1e12;

describe('ship or upload', () => {
  test('10 TB over 50 Mbit/s take 19 days; two drives of 8 TB may travel for 16 of them', () => {
    const plan = planSeed({ bytes: 10 * TB, entries: 1000 }, 8 * TB, parseBitRate('50Mbit'));
    expect(plan.drives).toBe(2);
    expect((plan.lineMs ?? 0) / DAY).toBeCloseTo(18.7, 1);
    expect(plan.copyingMs / HOUR).toBeCloseTo(56.1, 1);
    expect((plan.travelMs ?? 0) / DAY).toBeCloseTo(16.4, 1);
  });

  test('over a line that is faster than a disk nothing is shipped', () => {
    const plan = planSeed({ bytes: 1 * TB, entries: 10 }, 8 * TB, parseBitRate('10 Gbit/s'));
    expect(plan).not.toHaveProperty('travelMs');
  });

  test('what a drive’s own file system takes is counted: 8 TB that do not compress need two of 8 TB', () => {
    expect(planSeed({ bytes: 8 * TB, entries: 1 }, 8 * TB).drives).toBe(2);
    expect(planSeed({ bytes: 7.8 * TB, entries: 1 }, 8 * TB)).toMatchObject({ drives: 1 });
  });

  test('a rate is a number and a unit of bits', () => {
    expect(['50Mbit', '2.5 Gbit/s', '800kbit', '64000 bit/s'].map(parseBitRate)).toEqual([5e7, 2.5e9, 8e5, 64_000]);
    expect(['50MB', 'fast', '-1Mbit', '0Mbit'].map(parseBitRate)).toEqual(Array(4).fill(undefined));
  });
});
