/**
 * `job cancel`, typed in each kind of stage, and Temporal's own cancel: what the table says is undone is
 * looked for as bytes, in the buckets with every version; what it says is kept, the next job goes on from.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SCHEMAS } from '../../client/output-schemas.ts';
import { CANCEL_TABLE, type JobStatus } from '../../domain/seeding-job.ts';
import { connectClient, type TemporalClient } from '../../host/connections.ts';
import { storageAccess } from '../../host/secrets.ts';
import { loadSettings } from '../../host/settings.ts';
import { connect } from '../../store/s3-store.ts';
import { compareTrees, Embedded } from '../harness/embedded.ts';
import { type Drive, StuckJobs } from '../harness/stuck-jobs.ts';

const TEST_MS = 240_000;
const [VAULT, LANDING] = ['seedship-main', 'seedship-landing-home'];
const PROTECTION = 'docs';
const system = new Embedded('cancelled', { SEEDSHIP_PACK_SIZE: '1MiB' });
const jobs = new StuckJobs(system);
const source = system.at('source');
const staging = system.at('staging');
let temporal: TemporalClient;

beforeAll(async () => {
  mkdirSync(source);
  for (let file = 0; file < 12; file += 1) writeFileSync(`${source}/noise-${file}`, randomBytes(1_000_000));
  await system.start();
  await system.setUp(source);
  temporal = await connectClient(settings());
}, TEST_MS);
afterAll(async () => {
  await temporal?.close();
  await system.close();
}, 60_000);

function settings() {
  const flags = { 'state-dir': system.state };
  return loadSettings({ flags, environment: { HOME: system.root }, directory: system.root });
}

/** Names below a prefix of a bucket that have any version left: what was removed but kept as a version is not gone. */
async function versionsBelow(bucket: string, prefix: string): Promise<string[]> {
  const access = storageAccess(settings(), `s3://${bucket}`, 'owner');
  if (!access) throw new Error('the owner has no S3 identity');
  const { sdk, client } = await connect(access);
  const { Versions = [] } = await client.send(new sdk.ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix }));
  client.destroy();
  return Versions.map(({ Key = '' }) => Key);
}

const wraps = (drives: readonly Drive[]) =>
  Promise.all(
    [VAULT, LANDING].flatMap((bucket) => drives.map(({ id }) => versionsBelow(bucket, `keys/drives/${id}/`))),
  ).then((found) => found.flat());

/** Packs in staging: name → inode and time of its last change. */
function packsStaged(): Map<string, string> {
  const folder = path.join(staging, 'packs');
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /[0-9a-f]{64}$/.test(name));
  return new Map(
    names.map((name) => {
      const { ino, mtimeNs } = statSync(path.join(folder, name), { bigint: true });
      return [name, `${ino} ${mtimeNs}`];
    }),
  );
}

const start = (job: string, ...more: string[]) =>
  system.must('job', 'start', job, '--protection', PROTECTION, '--staging', staging, ...more);
const ended = (job: string) => jobs.until(job, ({ stage, state }) => stage === 'Cancelled' && state === 'Cancelled');
const outcome = async (job: string) =>
  (await temporal.client.workflow.getHandle(`seed/main/${job}`).describe()).status.name;
const schedule = async () =>
  (await temporal.client.schedule.getHandle(`schedule/main/hq/${PROTECTION}`).describe()).state.paused;
const points = async () => (await system.must('point', 'list')).data as { restorable: boolean; missing: number }[];

/** Cancels, and holds the answer against its schema and the table. */
async function cancel(job: string, stage: keyof typeof CANCEL_TABLE): Promise<void> {
  const row = CANCEL_TABLE[stage];
  const plan = await system.must('job', 'cancel', job, '--dry-run');
  expect(SCHEMAS['cancel-plan']?.parse(plan.data)).toMatchObject({ stage, ...row });
  expect((await jobs.statusOf(job)).stage).toBe(stage); // the plan changes nothing
  const answer = await system.must('job', 'cancel', job);
  expect(SCHEMAS.cancel?.parse(answer.data)).toMatchObject({ stage, ...row, workflowId: `seed/main/${job}` });
}

describe('a job that is cancelled', () => {
  let staged: Map<string, string>;
  let drives: Drive[] = [];

  test(
    'while it stages ends its child and states no point; what was staged is the next job’s',
    async () => {
      writeFileSync(system.at('seedship.toml'), 'throttle = "640KiB"\n'); // so that it is typed in the middle
      await jobs.restart('source');
      await start('early', '--no-wait');
      await jobs.until('early', () => {
        staged = packsOrNone();
        return staged.size >= 1;
      });
      await cancel('early', 'Staging');
      await ended('early');
      expect([await outcome('early'), await points()]).toEqual(['CANCELLED', []]);
      const again = await system.type('job', 'cancel', 'early');
      expect([again.status, again.lines.at(-1)]).toMatchObject([6, { code: 'WrongState' }]);
      const before = packsStaged();
      rmSync(system.at('seedship.toml'));
      await jobs.restart('source');
      await start('next');
      const after = packsStaged();
      for (const [name, identity] of before) expect([name, after.get(name)]).toEqual([name, identity]);
      expect(after.size).toBeGreaterThan(before.size);
    },
    TEST_MS,
  );

  test(
    'while drives are prepared forgets their keys and pauses the schedule; its point keeps waiting',
    async () => {
      drives = [await jobs.prepared('next', 'd1', '--capacity', '7MB')];
      expect([(await wraps(drives)).length > 0, await schedule()]).toEqual([true, false]);
      await cancel('next', 'Preparing');
      await ended('next');
      expect([await outcome('next'), await wraps(drives), await schedule()]).toEqual(['CANCELLED', [], true]);
      expect(await points()).toMatchObject([{ restorable: false }]);
      expect(readdirSync(path.join(staging, 'keys', 'drives', drives[0]?.id ?? ''))).toEqual([]);
      expect(packsStaged().size).toBeGreaterThan(0);
    },
    TEST_MS,
  );

  test(
    'by Temporal’s own cancel while drives are taken in: landing is emptied, and a drive is noise to it',
    async () => {
      await start('late');
      drives = [await jobs.prepared('late', 'd2', '--capacity', '7MB'), await jobs.prepared('late', 'd3')];
      const [first, second] = drives as [Drive, Drive];
      await jobs.received('late', first, second);
      await system.must('drive', 'attach', first.folder, '--job', 'late');
      expect((await versionsBelow(LANDING, 'packs/')).length).toBeGreaterThan(0);
      await temporal.client.workflow.getHandle('seed/main/late').cancel();
      await ended('late');
      expect([await outcome('late'), await wraps(drives), await schedule()]).toEqual(['CANCELLED', [], true]);
      for (const prefix of ['packs/', 'trees/', 'index/']) expect(await versionsBelow(LANDING, prefix)).toEqual([]);
      const attach = await system.type('drive', 'attach', second.folder, '--job', 'late');
      expect([attach.status, attach.lines.at(-1)]).toMatchObject([6, { message: 'the job late has ended' }]);
      const ship = await system.type('job', 'ship', 'late', '--carrier', 'dhl', '--tracking', jobs.tracking());
      expect([ship.status, ship.lines.at(-1)]).toMatchObject([6, { hint: 'seedship job show late' }]);
      const { importJob } = (await system.must('job', 'show', 'late')).data as JobStatus;
      expect(importJob).toBe('Cancelled');
    },
    TEST_MS,
  );

  test(
    'stands in no other’s way: the same folder is seeded from the same staging, and comes back exactly',
    async () => {
      await start('last');
      const drive = await jobs.prepared('last', 'd4');
      await jobs.received('last', drive);
      await system.must('drive', 'attach', drive.folder, '--job', 'last');
      await system.must('job', 'watch', 'last', '--until', 'Protected');
      for (let tries = 0; tries < 60 && (await points()).some(({ restorable }) => !restorable); tries += 1)
        await new Promise((resolve) => setTimeout(resolve, 500));
      await system.must('restore', 'latest', '--to', system.at('back'), ...system.passphrase);
      expect(await compareTrees(source, `${system.at('back')}${source}`)).toBe('');
      expect(await schedule()).toBe(false);
    },
    TEST_MS,
  );
});

/** Before the first pack there is no folder for them. */
function packsOrNone(): Map<string, string> {
  try {
    return packsStaged();
  } catch {
    return new Map();
  }
}
