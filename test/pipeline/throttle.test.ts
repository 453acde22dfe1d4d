import { describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { Throttle } from '../../pipeline/throttle.ts';

const EVENING = [
  { minute: 0, bytesPerSecond: MIB / 100 }, // a hundred seconds for each
  { minute: 18 * 60 },
];

async function milliseconds(throttle: Throttle): Promise<number> {
  const begun = performance.now();
  await Promise.all([throttle.take(MIB), throttle.take(MIB)]);
  return performance.now() - begun;
}

describe('a throttle', () => {
  test('holds all who take to one rate', async () => {
    expect(await milliseconds(new Throttle(4 * MIB))).toBeGreaterThan(450);
  });

  test('holds to the lower of its own rate and the line’s', async () => {
    expect(await milliseconds(new Throttle(undefined, [{ minute: 0, bytesPerSecond: 4 * MIB }]))).toBeGreaterThan(450);
    expect(await milliseconds(new Throttle(4 * MIB, [{ minute: 0 }]))).toBeGreaterThan(450);
    expect(await milliseconds(new Throttle(undefined, [{ minute: 0 }]))).toBeLessThan(200);
  });

  test('lets go whoever waits when the line’s rate changes', async () => {
    let now = new Date(2026, 10, 22, 17, 59); // a Sunday
    const throttle = new Throttle(undefined, EVENING, () => now);
    setTimeout(() => {
      now = new Date(2026, 10, 22, 18, 0);
    }, 200);
    expect(await milliseconds(throttle)).toBeLessThan(2_000);
  });
});
