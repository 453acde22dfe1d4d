/** The mover's process begins when there is something to move, and not before. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { spoolFilled } from '../../activities/spool-watch.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-spool-watch-'));
afterAll(() => rmSync(dir, { recursive: true }));

function watching(spool: string) {
  const environment = new MockActivityEnvironment();
  const seen = { environment, outcome: '', beats: 0 };
  environment.on('heartbeat', () => {
    seen.beats += 1;
  });
  void environment
    .run(() => spoolFilled(spool, { run: 'r', step: 'stage' }))
    .then(
      () => 'filled',
      (error) => `${error.name}`,
    )
    .then((outcome) => {
      seen.outcome = outcome;
    });
  return seen;
}

test.each([
  ['a pack', 'packs/ab', 'ab'.repeat(32)],
  ['a pack of directories', 'trees/cd', 'cd'.repeat(32)],
  ['the receipt of its backup', 'receipts/r', 'stage'],
])('a spool is filled by %s', async (_, folder, name) => {
  const spool = mkdtempSync(path.join(dir, 'spool-'));
  const seen = watching(spool);
  await sleep(600);
  expect(seen.outcome).toBe('');
  expect(seen.beats).toBeGreaterThan(3);
  mkdirSync(path.join(spool, folder), { recursive: true });
  writeFileSync(path.join(spool, folder, name), 'bytes');
  await sleep(600);
  expect(seen.outcome).toBe('filled');
});

test('waiting for one ends when it is called off', async () => {
  const seen = watching(mkdtempSync(path.join(dir, 'spool-')));
  await sleep(200);
  seen.environment.cancel();
  await sleep(200);
  expect(seen.outcome).toBe('CancelledFailure');
});
