import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { KEY_HIGH_MAX, KEY_LOW_MAX, RecordSort } from '../../pipeline/record-sort.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'R-record-sort-'));
afterAll(() => rmSync(directory, { recursive: true }));

function record(high: number, low: number, order: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(high, 0);
  bytes.writeUInt32LE(low, 4);
  bytes.writeUInt32LE(order, 8);
  return bytes;
}

const key = fc.tuple(fc.integer({ min: 0, max: KEY_HIGH_MAX - 1 }), fc.integer({ min: 0, max: KEY_LOW_MAX - 1 }));

describe('record sort', () => {
  test.each([1, 2, 7, 1000])('records come out by key, then as they came, in runs of %i', (runRecords) => {
    fc.assert(
      fc.property(fc.array(fc.oneof(key, fc.constant<[number, number]>([3, 4])), { maxLength: 100 }), (keys) => {
        const sort = new RecordSort(12, directory, runRecords);
        keys.forEach(([high, low], order) => void sort.add(record(high, low, order)));
        const out = [...sort.sorted()].map((bytes) => [0, 4, 8].map((at) => bytes.readUInt32LE(at)));
        sort.close();
        const expected = keys.map(([high, low], order) => [high, low, order]);
        expected.sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0) || (a[2] ?? 0) - (b[2] ?? 0));
        expect(out).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test('a key that would not keep its order is refused', () => {
    const sort = new RecordSort(12, directory);
    expect(() => sort.add(record(KEY_HIGH_MAX, 0, 0))).toThrow(RangeError);
    expect(() => sort.add(record(0, KEY_LOW_MAX, 0))).toThrow(RangeError);
  });
});
