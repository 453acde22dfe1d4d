import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { digestOf, sha256 } from '../../format/digest.ts';
import { EMPTY_FIELD, type TreeEntry } from '../../format/tree.ts';
import { encodeTree } from '../../format/tree-builder.ts';
import { Catalog, CatalogWriter } from '../../pipeline/catalog.ts';
import { CatalogMerge } from '../../pipeline/catalog-merge.ts';
import type { EntryStatus } from '../../store/source-tree.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'catalog-merge-'));
afterAll(() => rmSync(dir, { recursive: true }));

const STARTED_MS = 1_764_000_000_000;
const NS = 1_000_000n;
const now: EntryStatus = {
  ...{ type: 'file', mode: 0o644, uid: 1, gid: 2, size: 5, blocks: 8, rdev: 0n, links: 1 },
  ...{ mtimeNs: 1_700_000_000_000_000_001n, ctimeNs: 1_700_000_000_000_000_002n, inode: 7n, device: 3n },
};
const chunk = sha256(Buffer.from('chunk'));
const file: TreeEntry = {
  ...{ type: 'file', name: Buffer.from('one'), mode: 0o644, uid: 1, gid: 2, links: 1, attributes: [], size: 5 },
  ...{ mtimeNs: now.mtimeNs, ctimeNs: now.ctimeNs, inode: now.inode, device: now.device },
  ...{ chunks: { bytes: chunk }, holes: EMPTY_FIELD },
};
const { size: _size, chunks: _chunks, holes: _holes, ...common } = file;
let generations = 0;

/** What the walk meets under the name, when the last backup had this entry. */
function met(entry: TreeEntry, isStored = true) {
  generations += 1;
  const writer = new CatalogWriter(dir, `${String(generations).padStart(10, '0')}-run`);
  const root = encodeTree([entry], (record) => {
    const id = sha256(record);
    writer.addRecord(id, record);
    return id;
  });
  const digest = digestOf(Buffer.alloc(0));
  const state = { sequence: generations, run: 'run', step: 'stage', point: 'p', packSet: digest, base: digest };
  writer.seal({ ...state, statedBy: [], root: Buffer.from(root).toString('hex'), startedMs: STARTED_MS }, Buffer.of(1));
  writer.commit();
  const merge = new CatalogMerge(Catalog.open(dir), () => isStored);
  const old = merge.root()?.find('one');
  if (!old) throw new Error('it is not in the catalog');
  return { merge, old };
}

function carries(entry: TreeEntry, status: Partial<EntryStatus> = {}, isStored = true): boolean {
  const { merge, old } = met(entry, isStored);
  return merge.carries(old, { ...now, ...status });
}

describe('an entry of the last backup', () => {
  test('is carried over as it lies, when nothing of it was touched', () => {
    expect(carries(file)).toBe(true);
    expect(carries({ ...common, type: 'symlink', target: Buffer.from('x') }, { type: 'symlink', size: 1 })).toBe(true);
    expect(carries({ ...common, type: 'fifo' }, { type: 'fifo', size: 0 })).toBe(true);
  });

  test.each<[string, Partial<EntryStatus>]>([
    ['a later ctime', { ctimeNs: now.ctimeNs + 1n }],
    ['another mtime', { mtimeNs: now.mtimeNs - 1n }],
    ['another size', { size: 6 }],
    ['another inode', { inode: 8n }],
    ['another device, as after a reboot', { device: 4n }],
    ['a second name', { links: 2 }],
    ['another type', { type: 'fifo' }],
  ])('is not, with %s', (_, status) => expect(carries(file, status)).toBe(false));

  test('is not, when one of its chunks is not stored, or lists hold them', () => {
    expect(carries(file, {}, false)).toBe(false);
    expect(carries({ ...file, chunks: { lists: [chunk] } })).toBe(false);
    expect(carries({ ...file, holes: { lists: [chunk] } })).toBe(false);
  });

  test('is not, when it may have been written in the moment in which it was read', () => {
    const ctimeNs = BigInt(STARTED_MS - 2000) * NS;
    expect(carries({ ...file, ctimeNs: ctimeNs - 1n }, { ctimeNs: ctimeNs - 1n })).toBe(true);
    expect(carries({ ...file, ctimeNs }, { ctimeNs })).toBe(false);
  });

  test('is not, when it is a directory: its record may be another', () => {
    const directory: TreeEntry = { ...common, type: 'directory', tree: chunk };
    expect(carries(directory, { type: 'directory' })).toBe(false);
    const { merge, old } = met(directory);
    expect(merge.untouched(old, { ...now, type: 'directory' })).toEqual({ ...directory, name: Buffer.from('one') });
  });

  test('keeps its chunks and attributes with another device, when nothing else was touched', () => {
    const { merge, old } = met(file);
    expect(merge.untouched(old, { ...now, device: 4n })).toEqual(file);
    expect(merge.untouched(old, { ...now, size: 6 })).toBeUndefined();
  });

  test('is found among others, and of names that are not there none is', () => {
    const { merge } = met(file);
    const root = merge.root();
    expect(['a', 'on', 'one', 'one1'].map((name) => root?.find(name)?.size)).toEqual([
      undefined,
      undefined,
      5,
      undefined,
    ]);
  });
});
