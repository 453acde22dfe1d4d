/**
 * A drive is lost after its staging location was emptied. What it carried is read from the source again and
 * sealed again, a signed repair says what stands for it, and the seed's own point is whole; or it is given up:
 * then directories' records alone are sealed again, and a restore names each file whose data it had.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { countObjects } from '../../domain/drive.ts';
import { compareTrees, Embedded, makeTree } from '../harness/embedded.ts';
import { type Drive, StuckJobs } from '../harness/stuck-jobs.ts';

const TEST_MS = 240_000;
const system = new Embedded('lost', { SEEDSHIP_PACK_SIZE: '1MiB' });
const jobs = new StuckJobs(system);

beforeAll(async () => {
  await makeTree(system.at('source', 'docs'), '--files', '10', '--bytes', '100000');
  await system.start();
  await system.setUp(
    system.at('source', 'docs'),
    'daily 02:00',
    '--destination',
    pathToFileURL(system.at('vault')).href,
  );
}, TEST_MS);
afterAll(() => system.close(), TEST_MS);

const source = (job: string): string => system.at('source', job);
const repairs = (): string[] => (existsSync(system.at('vault/repairs')) ? readdirSync(system.at('vault/repairs')) : []);

/** The place of the one object of directories' records in the set's list, which is in the order of digests. */
function placeOfTree(staging: string): number {
  const namesIn = (kind: string) =>
    readdirSync(path.join(staging, kind), { recursive: true, encoding: 'utf8' }).map((name) => path.basename(name));
  const digests = ['packs', 'trees', 'index'].flatMap(namesIn).filter((name) => name.length === 64);
  const trees = namesIn('trees').filter((name) => name.length === 64);
  expect(trees).toHaveLength(1);
  return digests.sort().indexOf(trees[0] ?? '');
}

/** Two drives, of which the one with directories' records is lost; nothing of their objects is in staging any more. */
async function lost(job: string): Promise<Drive> {
  await system.must('protection', 'create', job, '--item', source(job), '--initial', 'offline');
  const staging = system.at(`staging-${job}`);
  await system.must('job', 'start', job, '--protection', job, '--staging', staging);
  const both = [await jobs.prepared(job, `${job}-1`, '--capacity', '9MB'), await jobs.prepared(job, `${job}-2`)];
  const { drives } = await jobs.until(
    job,
    (now) => now.free.length === 0 && now.drives.every(({ registered }) => registered),
  );
  const tree = placeOfTree(staging);
  const carrier = drives.find(({ ranges }) => ranges.some(({ from, to }) => from <= tree && tree < to));
  const gone = both.find(({ id }) => id === carrier?.id);
  const kept = both.find(({ id }) => id !== carrier?.id);
  if (!gone || !kept) throw new Error(`no drive carries object ${tree}`);
  for (const kind of ['packs', 'trees']) rmSync(path.join(staging, kind), { recursive: true });
  await jobs.received(job, kept);
  expect(await jobs.asks(job, 'DriveMissing')).toMatchObject({ drive: gone.id });
  return kept;
}

async function landed(job: string, { folder }: Drive): Promise<string> {
  await system.must('drive', 'attach', folder, '--job', job);
  await system.must('job', 'watch', job, '--until', 'Protected');
  return (await jobs.statusOf(job)).point?.label ?? '';
}

async function restored(job: string, point: string) {
  const to = system.at(`back-${job}`);
  const typed = await system.type('restore', point, '--to', to, ...system.passphrase);
  return { ...typed, back: path.join(to, source(job)) };
}

/** Files that rsync would send: those that are not there, or not as they were. */
function missingByRsync(left: string, right: string): string[] {
  const words = ['-nrlpgoDcHAX', '--delete', '--itemize-changes', `${left}/`, `${right}/`];
  const { stdout } = spawnSync('rsync', words, { encoding: 'utf8', maxBuffer: 1 << 26 });
  return stdout.split('\n').flatMap((line) => (/^>f/.test(line) ? [line.slice(line.indexOf(' ') + 1)] : []));
}

describe('a drive that is lost when staging is empty', () => {
  test(
    'is made good from the source: the seed’s own point is whole, as a signed repair says',
    async () => {
      await makeTree(source('mended'), '--files', '60', '--bytes', '16000000');
      const kept = await lost('mended');
      await system.must('job', 'resolve', 'mended', '--choice', 'send');
      const point = await landed('mended', kept);
      expect(repairs()).toHaveLength(1);
      const { status, back } = await restored('mended', point);
      expect([status, await compareTrees(source('mended'), back)]).toEqual([0, '']);
    },
    TEST_MS,
  );

  test(
    'is given up: directories are whole for all that, and a restore names each file that needs it',
    async () => {
      mkdirSync(source('dropped'));
      for (let file = 0; file < 16; file += 1)
        writeFileSync(path.join(source('dropped'), `noise-${file}`), randomBytes(1_000_000));
      const kept = await lost('dropped');
      const before = repairs();
      await system.must('job', 'resolve', 'dropped', '--choice', 'drop');
      const point = await landed('dropped', kept);
      const { drives } = await jobs.statusOf('dropped');
      expect(drives.map(({ ranges }) => countObjects(ranges) > 0)).toContain(true);
      expect(repairs().length).toBeGreaterThan(before.length);
      const { status, data, back } = await restored('dropped', point);
      const [{ mismatches }]: [{ mismatches: { path: string }[] }] = Object(data).report;
      const named = mismatches.map((one) => path.basename(Buffer.from(one.path, 'base64').toString()));
      const missing = missingByRsync(source('dropped'), back);
      expect([status, named.sort()]).toEqual([3, missing.sort()]);
      expect(missing.length).toBeGreaterThan(2);
      expect(missing.length).toBeLessThan(14);
    },
    TEST_MS,
  );
});
