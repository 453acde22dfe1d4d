/** Ten kills in one journey, the middle of every stage among them: the quick part of kills.kills.test.ts. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Kill } from './plan.ts';
import { KillRig } from './rig.ts';
import { KILL_SETTINGS, Round } from './round.ts';

const KILLS: readonly Kill[] = [
  { stage: 'staging', victim: 'child', at: 0.3 },
  { stage: 'staging', victim: 'worker', at: 0.4 },
  { stage: 'preparing', victim: 'child', at: 0.2 },
  { stage: 'preparing', victim: 'temporal', at: 0.4 },
  { stage: 'incremental', victim: 'child', at: 0.3 },
  { stage: 'ingest', victim: 'frozen host', at: 0.2 },
  { stage: 'ingest', victim: 's3', at: 0.4 },
  { stage: 'copy', victim: 's3', at: 0.2 },
  { stage: 'copy', victim: 'child', at: 0.4 },
  { stage: 'restore', victim: 'child', at: 0.3 },
];
/**
 * A machine may be through a stage before its heartbeats show it. The next stage makes up for that, and in the
 * end further restores do, of which most runs need none: a kill that misses all of them found nothing to hit.
 */
const RESTORES_MAX = 8;
const rig = new KillRig({ ...KILL_SETTINGS, SEEDSHIP_THROTTLE: '3MiB' });
const round = new Round(rig, {
  number: 1,
  kills: KILLS,
  bytes: 14_000_000,
  addedBytes: 20_000_000,
  restoresMax: RESTORES_MAX,
});

beforeAll(async () => {
  await round.makeSource();
  await rig.start(round.source);
}, 300_000);
afterAll(() => rig.close(), 60_000);

test('a journey that is killed ten times goes on each time, and comes back exact', async () => {
  await round.run('docs');
  const missed = round.hits.filter(({ shown }) => shown === undefined);
  for (const { stage, victim } of missed) process.stderr.write(`kills: ${stage} was over before ${victim} was hit\n`);
  expect(round.hits.length - missed.length).toBe(KILLS.length);
}, 900_000);
