/** What a tree takes, walked, and bounded by what its file systems tell of themselves. */
import { linkSync, mkdirSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { boundOfTrees, measureTrees } from '../../store/tree-measure.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-measure-'));
afterAll(() => rmSync(dir, { recursive: true }));
const EXT = 0xef53;

test('a walk counts each file once, holes not at all', async () => {
  const tree = path.join(dir, 'tree');
  mkdirSync(path.join(tree, 'below'), { recursive: true });
  writeFileSync(path.join(tree, 'one'), 'x'.repeat(10_000));
  linkSync(path.join(tree, 'one'), path.join(tree, 'below', 'again'));
  writeFileSync(path.join(tree, 'hollow'), '');
  truncateSync(path.join(tree, 'hollow'), 1e9);
  expect(await measureTrees([tree])).toEqual({ bytes: 10_000, entries: 5 });
  expect(await measureTrees([path.join(dir, 'gone')])).toEqual({ bytes: 0, entries: 0 });
});

test('file systems whose files have blocks of their own bound what a walk finds', async () => {
  const walked = await measureTrees([dir]);
  const bound = boundOfTrees([dir]);
  if (statfsSync(dir).type !== EXT) {
    process.stderr.write(`${dir} is not on ext4: only the refusal is tested\n`);
    expect(bound).toBeUndefined();
    return;
  }
  expect(bound?.bytes).toBeGreaterThanOrEqual(walked.bytes);
  expect(bound?.entries).toBeGreaterThanOrEqual(walked.entries - 1); // one further name
  expect(boundOfTrees([dir, '/proc'])).toEqual(bound);
});

test('others do not bound it, nor what is not there', () => {
  expect(boundOfTrees(['/dev/shm'])).toBeUndefined();
  expect(boundOfTrees(['/'])).toBeUndefined(); // /dev/shm, or another that is no ext4, is mounted below
  expect(boundOfTrees([path.join(dir, 'gone')])).toBeUndefined();
});
