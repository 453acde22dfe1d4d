import { describe, expect, test } from '@jest/globals';
import { sha256 } from '../../format/digest.ts';
import { decodeTree, type TreeEntry, treeEntries } from '../../format/tree.ts';
import { encodeTree, TreeBuilder } from '../../format/tree-builder.ts';
import { namedEntries, plain, Records, recordOf } from './arbitrary.ts';

describe('a directory that is written', () => {
  test('equal directories are one record', () => {
    const shuffled = [...namedEntries(20, 5)].sort((a, b) => Buffer.compare(sha256(a.name), sha256(b.name)));
    expect(recordOf(...shuffled)).toEqual(recordOf(...namedEntries(20, 5)));
  });

  test('a big directory is split, its leaves stored as they fill, and read back in order', () => {
    const records = new Records();
    const entries = namedEntries(6000, 300);
    const builder = new TreeBuilder(records.store);
    let before = 0;
    for (const one of entries) {
      builder.add(one);
      before = Math.max(before, records.held.size);
    }
    expect(before).toBeGreaterThan(2);
    const id = builder.finish();
    expect(decodeTree(records.load(id)).kind).toBe('node');
    for (const record of records.held.values()) expect(record.length).toBeLessThan(1024 * 1024);
    const read = [...treeEntries(id, records.load)];
    expect(read).toHaveLength(entries.length);
    expect(encodeTree(read, records.store)).toEqual(id);
  });

  test('one entry more or less in a big directory changes a leaf or two, not all behind it', () => {
    const entries = namedEntries(8000, 100);
    const leavesOf = (list: readonly TreeEntry[]): Set<string> => {
      const records = new Records();
      const record = decodeTree(records.load(encodeTree(list, records.store)));
      return new Set(record.kind === 'node' ? record.leaves.map((id) => Buffer.from(id).toString('hex')) : []);
    };
    const before = leavesOf(entries);
    expect(before.size).toBeGreaterThan(8);
    for (const at of [0, 2500, 7999]) {
      const added = { ...plain, name: Buffer.concat([entries[at]?.name ?? Buffer.alloc(0), Buffer.from('+')]) };
      for (const changed of [entries.toSpliced(at, 1), entries.toSpliced(at + 1, 0, added)])
        expect([...leavesOf(changed)].filter((id) => !before.has(id)).length).toBeLessThanOrEqual(2);
    }
  });

  test('a leaf ends where it is full, whatever the names are', () => {
    const records = new Records();
    const attributes = [{ name: Buffer.from('user.big'), value: Buffer.alloc(60_000) }];
    const entries = namedEntries(12, 5).map((one) => ({ ...one, attributes }));
    expect([...treeEntries(encodeTree(entries, records.store), records.load)]).toEqual(entries);
    const lengths = [...records.held.values()].map((record) => record.length);
    expect(lengths.sort((a, b) => b - a)).toEqual([9 * 60_082 + 5, 3 * 60_082 + 5, 2 * 32 + 5]);
  });

  test('a name that occurs twice, or comes too early, is not written', () => {
    const builder = new TreeBuilder(new Records().store);
    builder.add(plain);
    expect(() => builder.add(plain)).toThrow(RangeError);
    expect(() => builder.add({ ...plain, name: Buffer.from('earlier') })).toThrow(RangeError);
  });

  test('attributes are written in order, whatever order they came in', () => {
    const [a, b] = ['user.a', 'user.b'].map((key) => ({ name: Buffer.from(key), value: Buffer.from('value') }));
    if (!a || !b) throw new Error('unreachable');
    expect(recordOf({ ...plain, attributes: [b, a] })).toEqual(recordOf({ ...plain, attributes: [a, b] }));
  });
});
