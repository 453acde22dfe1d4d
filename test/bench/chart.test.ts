import { describe, expect, test } from '@jest/globals';
import { fitted, svg } from '../../bench/chart.ts';

describe('the straight line', () => {
  test('through places that lie on one is that one', () => {
    const { slope, start, r2 } = fitted([1, 2, 4, 8].map((x) => ({ x, y: 3 + 0.5 * x })));
    expect(slope).toBeCloseTo(0.5);
    expect(start).toBeCloseTo(3);
    expect(r2).toBeCloseTo(1);
  });

  test('through what grows with the square fits worse', () => {
    expect(fitted([1, 2, 4, 8].map((x) => ({ x, y: x * x }))).r2).toBeLessThan(0.97);
  });

  test('through one place, or through many at one height, is level', () => {
    expect(fitted([{ x: 2, y: 7 }])).toEqual({ slope: 0, start: 7, r2: 1 });
    expect(fitted([1, 2].map((x) => ({ x, y: 5 })))).toEqual({ slope: 0, start: 5, r2: 1 });
  });
});

test('the picture shows every place inside its panel, the larger higher', () => {
  const places = [1, 2, 4, 8].map((x) => ({ x, y: 10 * x }));
  const panel = { title: 'seconds', xLabel: 'MiB', yLabel: 's', lines: [{ name: 'first', places }] };
  const picture = svg([panel, panel]);
  const dots = [...picture.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
  expect(dots).toHaveLength(8);
  for (const [x = -1, y = -1] of dots) {
    expect(x).toBeGreaterThan(0);
    expect(x).toBeLessThan(460);
    expect(y).toBeGreaterThan(0);
    expect(y).toBeLessThan(320);
  }
  const heights = dots.slice(0, 4).map(([, y]) => y);
  expect(heights).toEqual([...heights].sort((a = 0, b = 0) => b - a));
  expect(picture.match(/<g /g)).toHaveLength(2);
});
