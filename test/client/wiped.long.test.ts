/**
 * Temporal's database is wiped in the middle of two jobs: one whose drives travel, one that is still being
 * prepared. What the vault's records know must be enough to finish both, and to go on with the schedules.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { compareTrees, Embedded, makeTree } from '../harness/embedded.ts';
import { type Drive, StuckJobs } from '../harness/stuck-jobs.ts';

const TEST_MS = 240_000;
const system = new Embedded('wiped', { SEEDSHIP_PACK_SIZE: '1MiB' });
const jobs = new StuckJobs(system);
let travelling: Drive;
let prepared: Drive;

beforeAll(async () => {
  await makeTree(system.at('source', 'docs'), '--files', '40', '--bytes', '3000000');
  await system.start();
  await system.setUp(system.at('source', 'docs'));
}, TEST_MS);
afterAll(() => system.close(), TEST_MS);

describe('when Temporal’s database is wiped in the middle of a job', () => {
  test(
    'nothing of it is known, but to the vault',
    async () => {
      await system.must('job', 'start', 'travels', '--protection', 'docs', '--staging', system.at('staging-travels'));
      travelling = await jobs.prepared('travels', 'd1');
      await jobs.until('travels', ({ drives }) => drives.every(({ registered }) => registered === true));
      await system.must('job', 'ship', 'travels', '--carrier', 'dhl', '--tracking', jobs.tracking());
      writeFileSync(system.at('source', 'docs', 'since'), randomBytes(300_000));
      await system.must('backup', 'now', 'docs'); // over the line, on top of a seed that travels
      await jobs.staged('begun', 8_000_000); // a pack has up to 3 MB here
      prepared = await jobs.prepared('begun', 'd2', '--capacity', '4MB');
      await jobs.until('begun', ({ drives }) => drives.every(({ state }) => state === 'Prepared'));

      await system.stop();
      const databases = readdirSync(system.state, { recursive: true, encoding: 'utf8' }).filter((name) =>
        /temporal\.sqlite(-\w+)?$/.test(name),
      );
      expect(databases).not.toEqual([]);
      for (const name of databases) rmSync(path.join(system.state, name));
      await system.start();
      expect((await system.type('job', 'show', 'travels')).status).toBe(8);
      expect((await system.must('job', 'list')).data).toEqual([]);
      expect((await system.type('backup', 'now', 'docs')).status).not.toBe(0);
    },
    TEST_MS,
  );

  test(
    '`job adopt` takes up the one, `vault open` the other, and the schedules',
    async () => {
      expect((await system.must('job', 'adopt', 'travels')).data).toMatchObject({ stage: 'Shipping' });
      const { url } = Object((await system.must('vault', 'show')).data);
      expect((await system.must('vault', 'open', url, ...system.passphrase)).data).toMatchObject({
        rebuilt: { jobs: ['begun'], schedules: expect.arrayContaining(['begun']) }, // the job made its own again
      });
      const again = await system.type('job', 'adopt', 'begun');
      expect([again.status, again.lines.at(-1)]).toMatchObject([6, { hint: 'seedship job show begun' }]);
      const { parcels, drives, stage } = await jobs.statusOf('travels');
      expect({ stage, parcels, drives }).toMatchObject({
        stage: 'Shipping',
        parcels: [{ carrier: 'dhl' }],
        drives: [{ id: travelling.id, state: 'Shipped' }],
      });
    },
    TEST_MS,
  );

  test(
    'both are finished by what `job show` says, and what comes back is exact',
    async () => {
      expect(await jobs.followed('travels', [travelling])).toEqual(['drive receive', 'drive attach']);
      const typed = await jobs.followed('begun', [prepared]);
      expect(typed.filter((words) => words === 'drive prepare')).toHaveLength(1); // the first drive stays as it is
      writeFileSync(system.at('source', 'docs', 'after'), randomBytes(100_000));
      const { point } = Object((await system.must('backup', 'now', 'docs')).data);
      for (const folder of ['staging-travels', 'staging-begun', 'drives'])
        rmSync(system.at(folder), { recursive: true });
      const back = system.at('back');
      mkdirSync(back);
      const words = ['restore', point.label, '--to', back, ...system.passphrase];
      expect(await system.type(...words)).toMatchObject({ status: 0 });
      expect(await compareTrees(system.at('source', 'docs'), path.join(back, system.at('source', 'docs')))).toBe('');
    },
    TEST_MS,
  );
});
