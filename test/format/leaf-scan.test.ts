/** A scan tells what decoding tells: the two share no code but for an entry that is asked for whole. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { LeafScan, leavesOf } from '../../format/leaf-scan.ts';
import { type TreeEntry, treeEntries } from '../../format/tree.ts';
import { encodeTree, TreeBuilder } from '../../format/tree-builder.ts';
import { directory, Records } from './arbitrary.ts';
import { everyFault, vector } from './fault.ts';

const golden = vector('tree');

function* scanned(leaves: Iterable<Uint8Array>): Generator<LeafScan> {
  for (const leaf of leaves) for (const scan = new LeafScan(leaf); scan.next(); ) yield scan;
}

function told(scan: LeafScan) {
  const { type, mtimeNs, ctimeNs, device, inode, size, name, tree, chunks } = scan;
  return { type, mtimeNs, ctimeNs, device, inode, size, name, tree, chunks };
}

function expected(entry: TreeEntry): ReturnType<typeof told> {
  const { type, mtimeNs, ctimeNs, device, inode, name } = entry;
  const tree = entry.type === 'directory' ? entry.tree : undefined;
  const size = entry.type === 'file' ? entry.size : 0;
  const isInline = entry.type === 'file' && 'bytes' in entry.chunks && 'bytes' in entry.holes;
  const chunks = isInline && 'bytes' in entry.chunks ? Buffer.from(entry.chunks.bytes) : undefined;
  return { type, mtimeNs, ctimeNs, device, inode, size, name: Buffer.from(name), tree, chunks };
}

describe('a leaf that is scanned', () => {
  test('tells what it holds as decoding does, and what is carried over makes the same record', () => {
    fc.assert(
      fc.property(directory, (entries) => {
        const records = new Records();
        const id = encodeTree(entries, records.store);
        const decoded = treeEntries(id, records.load);
        const builder = new TreeBuilder(records.store);
        let count = 0;
        for (const scan of scanned(leavesOf(id, records.load))) {
          const entry = decoded.next().value;
          expect(told(scan)).toEqual(expected(entry));
          expect(scan.decoded()).toEqual(entry);
          builder.addEncoded(scan.name, scan.encoded);
          count += 1;
        }
        expect(count).toBe(entries.length);
        expect(builder.finish()).toEqual(id);
      }),
    );
  });

  test('says where another name lies, by its bytes', () => {
    fc.assert(
      fc.property(directory, directory, (entries, others) => {
        const records = new Records();
        for (const scan of scanned(leavesOf(encodeTree(entries, records.store), records.load)))
          for (const { name } of [...entries, ...others])
            expect(Math.sign(scan.compare(Buffer.from(name).toString('latin1')))).toBe(Buffer.compare(scan.name, name));
      }),
    );
  });

  test('of many leaves has them in order', () => {
    const records = new Records();
    const [entry] = [...treeEntries(records.store(golden.bytes('leaf')), records.load)];
    const names = Array.from({ length: 20_000 }, (_, at) => Buffer.from(String(at).padStart(6, '0')));
    const id = encodeTree(
      names.map((name) => ({ ...(entry as TreeEntry), name })),
      records.store,
    );
    expect([...leavesOf(id, records.load)].length).toBeGreaterThan(3);
    const found: Buffer[] = [];
    for (const { name } of scanned(leavesOf(id, records.load))) found.push(name);
    expect(found).toEqual(names);
  });

  test('and is broken is read to no end that is not there', () => {
    for (const [fault, altered] of everyFault(golden.bytes('leaf'))) {
      let outcome = 'read';
      try {
        for (const scan of scanned([altered])) {
          told(scan);
          scan.encoded;
          scan.decoded();
        }
      } catch (error) {
        outcome = error instanceof Error ? error.name : String(error);
      }
      const isRefused = outcome === 'CorruptError';
      if (fault.startsWith('cut')) expect([fault, outcome]).toEqual([fault, 'CorruptError']);
      expect([fault, isRefused || outcome === 'read']).toEqual([fault, true]);
    }
  });

  test('a node or a list is none', () => {
    expect(() => new LeafScan(golden.bytes('node'))).toThrow('tree: no leaf');
    expect(() => [...leavesOf(golden.bytes('list'), (id) => Buffer.from(id))]).toThrow('a list where a directory');
  });
});
