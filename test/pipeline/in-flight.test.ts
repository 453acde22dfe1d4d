import { describe, expect, test } from '@jest/globals';
import { eachInFlight } from '../../pipeline/in-flight.ts';
import { Throttle } from '../../pipeline/throttle.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('in flight', () => {
  test('never more at once than the limit, and all in the end', async () => {
    let [now, most, done] = [0, 0, 0];
    await eachInFlight(Array(20).keys(), 3, async () => {
      now += 1;
      most = Math.max(most, now);
      await pause(2);
      now -= 1;
      done += 1;
    });
    expect([most, done]).toEqual([3, 20]);
  });

  test('the first error ends the intake, and comes out when nothing runs any more', async () => {
    const started: number[] = [];
    let running = 0;
    const work = async (item: number): Promise<void> => {
      started.push(item);
      running += 1;
      await pause(item === 1 ? 1 : 20);
      running -= 1;
      if (item === 1) throw new Error('one');
    };
    await expect(eachInFlight(Array(50).keys(), 3, work)).rejects.toThrow('one');
    expect(running).toBe(0);
    expect(started.length).toBeLessThan(6);
  });

  test('a throttle lets so many bytes through a second, whoever takes them', async () => {
    const throttle = new Throttle(1000);
    const start = performance.now();
    await Promise.all([throttle.take(100), throttle.take(50), throttle.take(50)]);
    expect(performance.now() - start).toBeGreaterThan(190);
    await new Throttle(undefined).take(1e12);
  });
});
