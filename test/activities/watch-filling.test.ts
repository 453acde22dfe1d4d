/** How a disk did while it was filled: what is measured, and what of a former attempt does not count. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { Filling } from '../../activities/watch-filling.ts';
import { openState } from '../../store/machine-state.ts';

const DEVICE = undefined; // nobody to ask

function told(...steps: (readonly [at: number, step: string, bytes: number])[]) {
  let now = 0;
  const filling = new Filling(DEVICE, { health: 'unknown' }, () => now);
  for (const [at, step, bytesDone] of steps) {
    now = at;
    filling.heard({ step, bytesDone, objectsDone: 1 });
  }
  return filling.end();
}

test('bytes a second are those of writing, and then those of reading back', async () => {
  const report = await told(
    ...([
      [1000, 'prepare', 10e6],
      [2000, 'prepare', 110e6],
      [3000, 'prepare', 210e6],
      [3500, 'read back', 105e6],
      [4000, 'read back', 210e6],
    ] as const),
  );
  expect(report).toEqual({ writtenPerSecond: 100e6, readPerSecond: 210e6 });
});

test('what a former attempt wrote, and what this one waited before its first object, is no speed of the disk', async () => {
  const report = await told(
    ...([
      [60_000, 'prepare', 1e9],
      [60_001, 'prepare', 2e9],
      [60_040, 'prepare', 3e9],
      [61_040, 'prepare', 3.05e9],
    ] as const),
  );
  expect(report).toEqual({ writtenPerSecond: 50e6 });
});

test('an attempt that found all done has nothing to say', async () => {
  expect(await told()).toEqual({});
  expect(await told([5, 'starting', 0])).toEqual({});
});

test('how worn a disk was before its first attempt is kept until the drive leaves', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'seedship-wear-'));
  try {
    const [state, drive] = [openState(folder), '7F3A00112233AABB'];
    expect(await state.firstWear(drive, { health: 'ok', pending: 0 })).toEqual({ health: 'ok', pending: 0 });
    const second = { health: 'worn', pending: 3 } as const;
    expect(await state.firstWear(drive, second)).toEqual({ health: 'ok', pending: 0 });
    state.forgetDrive(drive);
    expect(await state.firstWear(drive, second)).toEqual(second);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
