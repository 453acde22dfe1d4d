/** What file systems say of themselves: how much of them is in use, and when they cannot know. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { usedOfExt, usedOfNtfs, usedOfXfs } from '../../store/disk-usage.ts';

const said = (name: string): string => readFileSync(`test/disks/${name}.txt`, 'utf8');

describe('what is used', () => {
  test.each([
    ['ext4', usedOfExt(said('dumpe2fs-ext4')), 50_000_000],
    ['xfs', usedOfXfs(said('xfs_db-sb')), 50_000_000],
    ['ntfs', usedOfNtfs(said('ntfsinfo-mft')), 10 * MIB],
  ])('of %s is its one file, and little more', (_, used, bytes) => {
    expect(used).toBeGreaterThan(bytes);
    expect(used).toBeLessThan(bytes + 4 * MIB);
  });

  test.each([
    ['that was not unmounted', usedOfExt, 'dumpe2fs-ext4', /(?<=features: +has_journal)/, ' needs_recovery'],
    ['whose state is not clean', usedOfExt, 'dumpe2fs-ext4', /state: +clean/, 'state: not clean'],
    ['that counts clusters', usedOfExt, 'dumpe2fs-ext4', /(?<=features: +has_journal)/, ' bigalloc'],
    ['that does not say what is free', usedOfExt, 'dumpe2fs-ext4', /^Free blocks.*$/m, ''],
    ['that is being made', usedOfXfs, 'xfs_db-sb', 'inprogress = 0', 'inprogress = 1'],
    ['without the size of its blocks', usedOfXfs, 'xfs_db-sb', /^blocksize.*$/m, ''],
    ['that is dirty', usedOfNtfs, 'ntfsinfo-mft', 'Flags: 0x0000', 'Flags: 0x0001 DIRTY'],
  ] as const)('of one %s is not told', (_, read, name, what, instead) => {
    const changed = said(name).replace(what, instead);
    expect(changed).not.toBe(said(name));
    expect(read(changed)).toBeUndefined();
  });

  test('of an xfs with its log on another device counts no log', () => {
    const inside = usedOfXfs(said('xfs_db-sb')) ?? 0;
    expect(usedOfXfs(said('xfs_db-sb').replace(/logstart = \d+/, 'logstart = 0'))).toBe(inside + 16_384 * 4096);
  });
});
