/** A big file is read beside the walk: the walk stops for it only when the threads may soon have nothing to do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { CutPool } from '../../pipeline/cut-pool.ts';
import { FileFeed } from '../../pipeline/file-feed.ts';
import { statusAt } from '../../store/source-tree.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'seedship-file-feed-'));
const big = Buffer.from(path.join(directory, 'big'));
writeFileSync(big, Buffer.alloc(128 * MIB, 1)); // 32 segments
afterAll(() => rmSync(directory, { recursive: true }));

/** Of threads that never take anything. */
let pool: CutPool;
let counts: ConstructorParameters<typeof FileFeed>[1];
let feed: FileFeed;
beforeEach(() => {
  pool = new CutPool(new Promise(() => {}), 2, () => {});
  counts = { rereadBytes: 0, sentBytes: 0, readBytes: 0, changedWhileRead: 0 };
  feed = new FileFeed(pool, counts);
});

function readBig(files: number): void {
  for (let file = 0; file < files; file++) feed.read(big, statusAt(big), undefined, () => {});
}

test('as many segments go out as keep the threads busy, and the walk goes on', () => {
  readBig(1);
  for (let steps = 0; feed.due && steps < 100; steps++) feed.step();
  expect([feed.due, feed.segmentsDue, pool.hungry, pool.full]).toEqual([false, false, false, false]);
  expect(counts.sentBytes).toBeLessThan(64 * MIB);
  feed.step(); // by a walk that stops for a batch: nothing more is due
  expect(counts.sentBytes).toBeLessThan(64 * MIB);
});

test('where big files are all there is, the walk waits for the threads', () => {
  readBig(80);
  for (let steps = 0; !pool.full && steps < 100; steps++) feed.step();
  expect([feed.due, pool.full]).toEqual([true, true]);
});
