import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { sortedNames } from '../../pipeline/name-sort.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'name-sort-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('name sort', () => {
  test.each([0, 1, 99, 100, 101, 1000])('%i names come out in the order of their bytes', (count) => {
    const names = Array.from(
      { length: count },
      (_, at) => `${String.fromCharCode(1 + ((at * 37) % 255))}-${at * 7919}`,
    );
    let pieces = 0;
    const sorted = [...sortedNames(names, () => path.join(directory, `${count}-${pieces++}`), 100)];
    const asBytes = names.map((name) => Buffer.from(name, 'latin1')).sort(Buffer.compare);
    expect(sorted).toEqual(asBytes.map((name) => name.toString('latin1')));
    expect(pieces).toBe(Math.max(0, Math.ceil(count / 100) - 1));
    expect(readdirSync(directory)).toEqual([]);
  });
});
