import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DataLayout } from '../../pipeline/data-layout.ts';

/** A file as a string: `d` is data, `.` a hole. */
function holesIn(file: string): [number, number][] {
  return [...file.matchAll(/\.+/g)].map(({ index, 0: text }) => [index, text.length]);
}

const files = fc.string({ unit: fc.constantFrom('d', '.'), maxLength: 40 });

describe('data layout', () => {
  test('chunks of any lengths fall on the data, all of it, and on nothing else', () => {
    fc.assert(
      fc.property(files, fc.array(fc.integer({ min: 1, max: 7 })), (file, lengths) => {
        const layout = new DataLayout(file.length, holesIn(file));
        const touched = [...file].map(() => '.');
        let left = file.replaceAll('.', '').length;
        for (const wanted of [...lengths, ...Array<number>(left).fill(1)]) {
          const length = Math.min(wanted, left);
          for (const [offset, bytes] of layout.take(length)) touched.fill('d', offset, offset + bytes);
          left -= length;
        }
        expect(touched.join('')).toBe(file);
        expect(layout.isComplete).toBe(true);
      }),
    );
  });

  test('more data than there is room for is refused, and less is seen', () => {
    const layout = new DataLayout(10, [[4, 3]]);
    expect(layout.take(5)).toEqual([
      [0, 4],
      [7, 1],
    ]);
    expect(layout.isComplete).toBe(false);
    expect(() => layout.take(3)).toThrow('more data than its file has room for');
  });
});
