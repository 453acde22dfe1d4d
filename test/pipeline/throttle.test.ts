import { describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { Throttle } from '../../pipeline/throttle.ts';

const ALWAYS = { days: [0, 1, 2, 3, 4, 5, 6], from: 0, to: 1440 };
const NEVER = { ...ALWAYS, days: [] };

async function milliseconds(throttle: Throttle): Promise<number> {
  const begun = performance.now();
  await Promise.all([throttle.take(MIB), throttle.take(MIB)]);
  return performance.now() - begun;
}

describe('a throttle', () => {
  test('holds all who take to one rate', async () => {
    expect(await milliseconds(new Throttle(4 * MIB))).toBeGreaterThan(450);
  });

  test('holds in its hours, and outside of them not', async () => {
    expect(await milliseconds(new Throttle(4 * MIB, ALWAYS))).toBeGreaterThan(450);
    expect(await milliseconds(new Throttle(4 * MIB, NEVER))).toBeLessThan(200);
  });

  test('lets go whoever waits when its hours end', async () => {
    let now = new Date(2026, 10, 23, 17, 59);
    const hours = { ...ALWAYS, to: 18 * 60 };
    const throttle = new Throttle(MIB / 100, hours, () => now); // a hundred seconds
    setTimeout(() => {
      now = new Date(2026, 10, 23, 18, 0);
    }, 200);
    expect(await milliseconds(throttle)).toBeLessThan(2_000);
  });
});
