import { describe, expect, test } from '@jest/globals';
import { isNoisy, type Measured } from '../../bench/measure.ts';
import { markdown, median, type Report, ratiosOf, rowsOf } from '../../bench/report.ts';
import { MIB } from '../../domain/units.ts';

const QUIET: Measured = {
  ...{
    tool: 'seedship',
    operation: 'restore',
    round: 1,
    wallSeconds: 10,
    flushSeconds: 1,
    cpuSeconds: 8,
    peakBytes: 200 * MIB,
  },
  ...{ childSeconds: 5, foreignSeconds: 0, stolenSeconds: 0, noisy: false, differences: '' },
};
const { childSeconds: _, ...OF_RESTIC } = QUIET;
const THEIRS: Measured = { ...OF_RESTIC, tool: 'restic', wallSeconds: 15, cpuSeconds: 4, peakBytes: 300 * MIB };

function report(runs: readonly Measured[], more: Partial<Report> = {}): Report {
  return {
    ...{ at: '2026-11-23', machine: { processor: 'X', processors: 2, memoryGib: 8 }, versions: {}, corpus: {} },
    ...{ commands: {}, rounds: 1, missing: [], runs, ...more },
  };
}

describe('the median', () => {
  test.each([
    [[7], 7],
    [[9, 1, 5], 5],
    [[10, 2, 9, 1], 5.5],
    [[100, 20, 3], 20], // as numbers, not as text
  ])('of %j is %d', (values, middle) => expect(median(values)).toBe(middle));

  test('of nothing is no number', () => expect(median([])).toBeNaN());

  test('leaves its values in their order', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('a run is noisy', () => {
  const run = (wallSeconds: number, foreignSeconds: number, stolenSeconds = 0) =>
    isNoisy({ wallSeconds, foreignSeconds, stolenSeconds });

  test('when others took more than two seconds and more than a tenth of the clock', () => {
    expect(run(10, 2.5)).toBe(true);
    expect(run(10, 1.5, 1)).toBe(true);
  });

  test('not when a short run met a little of it, or a long one a small share', () => {
    expect(run(1, 1.9)).toBe(false);
    expect(run(100, 9)).toBe(false);
  });

  test('by stolen time even where the rest was counted twice', () => expect(run(10, -3, 2.5)).toBe(true));
});

describe('the rows', () => {
  test('are medians of the quiet rounds alone, where there are any', () => {
    const loud = { ...QUIET, noisy: true, wallSeconds: 99 };
    const quiet = [12, 14].map((wallSeconds) => ({ ...QUIET, wallSeconds }));
    expect(rowsOf({ runs: [loud, ...quiet] })).toMatchObject([{ wall: 13, quiet: 2, of: 3 }]);
    expect(rowsOf({ runs: [loud] })).toMatchObject([{ wall: 99, quiet: 0, of: 1 }]);
  });

  test('know a data process only where there is one apart, and MiB', () => {
    const [ours, theirs] = rowsOf({ runs: [QUIET, { ...THEIRS, storedBytes: 3 * MIB }] });
    expect(ours).toMatchObject({ child: 5, peakMib: 200, storedMib: undefined });
    expect(theirs).toMatchObject({ child: undefined, storedMib: 3 });
  });

  test('are void when one restore of several differs', () => {
    const wrong = { ...QUIET, differences: '>fcst...... a' };
    expect(rowsOf({ runs: [QUIET, wrong, THEIRS] }).map((row) => row.void)).toEqual([true, false]);
  });

  test('are void when the stand-alone reader made something else of a backup', () => {
    const misread = { ...QUIET, operation: 'first backup', differences: 'the reader ended with 1' };
    const text = markdown(report([misread, QUIET, THEIRS]));
    expect(rowsOf({ runs: [misread, QUIET, THEIRS] }).map((row) => row.void)).toEqual([true, false, false]);
    expect(text).toContain('| first backup (VOID) | seedship |');
    expect(text).toContain(
      'Of 1 backups by Seedship, each restored by the stand-alone reader, the same found 0 exact.',
    );
    expect(text).toContain('Of 2 restores `rsync -nacHAX --delete` found 2 exact.');
  });
});

describe('the ratios', () => {
  test('are theirs over ours', () => {
    const kopia = { ...THEIRS, tool: 'kopia', wallSeconds: 5 };
    const [ratio, other] = ratiosOf(rowsOf({ runs: [THEIRS, QUIET, kopia] }));
    expect(ratio).toEqual({ operation: 'restore', than: 'restic', wall: 1.5, child: 3, cpu: 0.5, peak: 1.5 });
    expect(other).toMatchObject({ than: 'kopia', wall: 0.5, child: 1 });
  });

  test('are not told without the other, nor of what is void', () => {
    expect(ratiosOf(rowsOf({ runs: [QUIET] }))).toEqual([]);
    expect(ratiosOf(rowsOf({ runs: [{ ...QUIET, differences: 'x' }, THEIRS] }))).toEqual([]);
  });
});

test('the tables have as many cells in each line as in their heads', () => {
  const runs = [QUIET, { ...THEIRS, parentBytes: MIB, storedBytes: MIB }];
  const lines = markdown(report(runs)).split('\n');
  const tables = lines.map((line) => (line.startsWith('|') ? line.split('|').length : 0));
  const broken = tables.filter((cells, at) => cells > 0 && tables[at - 1] !== 0 && cells !== tables[at - 1]);
  expect(broken).toEqual([]);
  expect(tables.filter((cells) => cells > 0)).toHaveLength(4 + 3 + 4);
});
