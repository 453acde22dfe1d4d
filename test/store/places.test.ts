import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RECORD_KINDS } from '../../domain/record.ts';
import { CorruptError } from '../../format/cursor.ts';
import { digestOf } from '../../format/digest.ts';
import {
  checkObjectName,
  digestOfName,
  driveKeyName,
  indexName,
  packName,
  packSetName,
  parsePointName,
  parseRecordName,
  pointName,
  pointPrefix,
  receiptName,
  recordName,
  recordPrefix,
  treeName,
} from '../../store/places.ts';

const digest = digestOf(Buffer.from('x'));

describe('names of objects', () => {
  test('are those of the layout', () => {
    expect(packName(digest)).toBe(`packs/2d/${digest}`);
    expect(treeName(digest)).toBe(`trees/2d/${digest}`);
    expect(indexName(digest)).toBe(`index/${digest}`);
    expect(packSetName(digest)).toBe(`pack-sets/${digest}`);
    expect(pointName('hq', 7, digest)).toBe(`points/hq/0000000007-${digest}`);
    expect(receiptName('seed/main/hq-2026', 'ingest-7F3A')).toBe('receipts/seed/main/hq-2026/ingest-7F3A');
    expect(driveKeyName('7F3A00112233AABB', 12)).toBe('keys/drives/7F3A00112233AABB/0012');
    expect(recordName('job', 'hq-2026', 3)).toBe('records/job/hq-2026/00000003');
  });

  test('are read back to what they were made of', () => {
    fc.assert(
      fc.property(
        fc.nat(9_999_999_999),
        fc.nat(99_999_999),
        fc.constantFrom(...RECORD_KINDS),
        (sequence, revision, kind) => {
          expect(parsePointName(pointName('hq-1', sequence, digest))).toEqual({ machine: 'hq-1', sequence, digest });
          expect(parseRecordName(recordName(kind, 'hq', revision))).toEqual({ kind, id: 'hq', revision });
        },
      ),
    );
    for (const name of [
      packName(digest),
      treeName(digest),
      indexName(digest),
      packSetName(digest),
      pointName('hq', 1, digest),
    ])
      expect(digestOfName(name)).toBe(digest);
  });

  test('of points and revisions sort as they were made', () => {
    const sequences = [1, 2, 9, 10, 99, 100, 12_345];
    expect(sequences.map((sequence) => pointName('hq', sequence, digest)).sort()).toEqual(
      sequences.map((sequence) => pointName('hq', sequence, digest)),
    );
    expect(pointName('hq', 1, digest).startsWith(pointPrefix('hq'))).toBe(true);
    expect(recordName('job', 'a', 1).startsWith(recordPrefix('job', 'a'))).toBe(true);
  });

  test.each([
    'points/hq/1-x',
    `points/hq/0000000001-${digest}x`,
    `points/a/b/0000000001-${digest}`,
    'config',
    `packs/${digest}`,
  ])('%s is no point', (name) => expect(parsePointName(name)).toBeUndefined());

  test.each(['packs/2d/xyz', `packs/2d/${digest}0`, `x${digest}`, 'config', ''])('%s ends with no digest', (name) =>
    expect(digestOfName(name)).toBeUndefined(),
  );

  test.each(['../../etc/passwd', 'run/../../x', '.hidden', 'a b', 'a\\b', 'é'])('a run called %j is refused', (run) =>
    expect(() => receiptName(run, 'step')).toThrow(CorruptError),
  );

  test('whatever text: what is allowed stays in its place', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (text) => {
        let allowed = true;
        try {
          checkObjectName(text);
        } catch {
          allowed = false;
        }
        if (allowed) expect(new URL(text, 'file:///place/').pathname).toBe(`/place/${text}`);
      }),
      { numRuns: 2000 },
    );
  });

  test('no count below zero or beyond a safe integer is named', () => {
    for (const count of [-1, 1.5, Number.NaN, 2 ** 53])
      expect(() => pointName('hq', count, digest)).toThrow(RangeError);
  });
});
