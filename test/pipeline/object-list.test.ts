import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { countObjects } from '../../domain/drive.ts';
import { digestOf } from '../../format/digest.ts';
import { MissingRanges, selectRanges } from '../../pipeline/object-list.ts';

const set = Array.from({ length: 10 }, (_, at) => ({
  kind: 'pack' as const,
  name: digestOf(Buffer.from([at])),
  length: at,
}));

describe('object list', () => {
  test('ranges select objects by their place in the set, and none beyond its end', () => {
    const places = selectRanges(set, [
      { from: 8, to: 12 },
      { from: 1, to: 3 },
    ]).map(({ at }) => at);
    expect(places).toEqual([8, 9, 1, 2]);
    expect(selectRanges(set)).toHaveLength(10);
  });

  test('missing objects are all in the ranges, of which there are at most 256, and few others', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(5000), { maxLength: 600 }), (places) => {
        const missing = new MissingRanges();
        for (const at of places) missing.add(at);
        const ranges = missing.ranges();
        expect(ranges.length).toBeLessThanOrEqual(256);
        for (const at of places) expect(ranges.some(({ from, to }) => at >= from && at < to)).toBe(true);
        if (ranges.length < 256) expect(countObjects(ranges)).toBe(places.length);
      }),
      { numRuns: 50 },
    );
  });
});
