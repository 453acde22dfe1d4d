import { describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { LevelChoice } from '../../pipeline/level-choice.ts';

/** Time of a frame of 1 MiB on this machine, by level. */
const BUSY_MS: Record<number, number> = { 2: 3.7, 3: 5, 5: 10, 6: 18, 9: 35 };

/** Levels after each 16 frames, on a medium that takes `perFrameMs` for each, with one frame in hand. */
function levelsOn(perFrameMs: (frame: number) => number, frames: number): number[] {
  const choice = new LevelChoice();
  const levels: number[] = [];
  for (let frame = 0; frame < frames; frame += 1) {
    const busy = BUSY_MS[choice.level] ?? 0;
    choice.note(MIB, busy, Math.max(0, perFrameMs(frame) - busy));
    if (frame % 16 === 15) levels.push(choice.level);
  }
  return levels;
}

describe('the level', () => {
  test('is the lowest where nothing waits', () => {
    expect(new Set(levelsOn(() => 1, 200))).toEqual(new Set([2]));
  });

  test.each([
    [4, 2],
    [8, 3],
    [15, 5],
    [30, 6],
    [100, 9],
  ])('on a medium that takes %i ms a frame is %i', (perFrameMs, level) => {
    expect(levelsOn(() => perFrameMs, 320).at(-1)).toBe(level);
  });

  test.each([2, 6, 9, 12, 15, 20, 25, 30, 50])('never makes a medium of %i ms a frame wait', (perFrameMs) => {
    for (const level of levelsOn(() => perFrameMs, 640))
      if (level > 2) expect(BUSY_MS[level]).toBeLessThanOrEqual(perFrameMs);
  });

  test('falls when the medium becomes quick', () => {
    const levels = levelsOn((frame) => (frame < 160 ? 100 : 1), 320);
    expect([levels[9], levels.at(-1)]).toEqual([9, 2]);
  });
});
