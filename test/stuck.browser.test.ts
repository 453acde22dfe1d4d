/**
 * Jobs that are stuck on purpose. What each waits for, and what to type, must stand in `job list`, in
 * `job show` and on its page in Temporal's Web UI; and typing just that must cure it.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Embedded } from './harness/embedded.ts';
import { type Drive, eventually, landingSettings, StuckJobs } from './harness/stuck-jobs.ts';
import { findChromium, WebUi } from './harness/web-ui.ts';

const CHROMIUM = findChromium();
const IS_ROOT = process.getuid?.() === 0;
const TEST_MS = 240_000;

if (!CHROMIUM && process.env.SEEDSHIP_CI) throw new Error('no chromium is on PATH');
if (!CHROMIUM) process.stderr.write('SKIPPED: stuck jobs, since no chromium is on PATH\n');
if (!IS_ROOT) process.stderr.write('SKIPPED: a full staging disk, since only root can mount\n');
const withBrowser = CHROMIUM ? describe : describe.skip;
const asRoot = IS_ROOT ? test : test.skip;

const system = new Embedded('stuck-screens', { SEEDSHIP_PACK_SIZE: '1MiB' });
const mounts: string[] = [];
const jobs = new StuckJobs(system);
let ui: WebUi;

/** A copy of a drive as one attempt finished it, once the next attempt has begun a new epoch. */
async function copiedWhole({ id, folder }: Drive, copy: string, staging: string): Promise<void> {
  const manifest = (of: string) => (existsSync(`${of}/manifest`) ? readFileSync(`${of}/manifest`, 'hex') : '');
  const epochs = () => (existsSync(`${staging}/keys/drives/${id}`) ? readdirSync(`${staging}/keys/drives/${id}`) : []);
  await eventually(() => {
    const before = manifest(folder);
    rmSync(copy, { recursive: true, force: true });
    if (before !== '') execFileSync('cp', ['-a', folder, copy]);
    return before !== '' && manifest(copy) === before;
  }, 'the drive has no manifest');
  const { length } = epochs();
  await eventually(() => epochs().length > length, 'the drive was not tried again');
}

/** Nothing can be linked into another file system: receipts find no way into the staging location. */
function withoutReceipts(staging: string): () => void {
  const elsewhere = mkdtempSync('/dev/shm/seedship-stuck-');
  renameSync(`${staging}/receipts`, `${staging}-receipts`);
  symlinkSync(elsewhere, `${staging}/receipts`);
  return () => {
    rmSync(`${staging}/receipts`);
    renameSync(`${staging}-receipts`, `${staging}/receipts`);
    rmSync(elsewhere, { recursive: true });
  };
}

function mountTmpfs(folder: string, size: string): () => void {
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0755`, 'seedship-stuck', folder]);
  mounts.push(folder);
  return () => {
    execFileSync('umount', [folder]);
    mounts.splice(mounts.indexOf(folder), 1);
  };
}

/** Another folder, or drive, is where this one was: a bay. */
function insert(bay: string, { folder }: Drive): void {
  symlinkSync(folder, `${bay}.new`);
  renameSync(`${bay}.new`, bay);
}

withBrowser('a stuck job says on every screen what it waits for, and typing that cures it:', () => {
  beforeAll(async () => {
    mkdirSync(system.at('source', 'docs'), { recursive: true });
    await system.start();
    await system.setUp(system.at('source', 'docs'));
    ui = await WebUi.open(CHROMIUM ?? '');
    jobs.watch(ui);
  }, TEST_MS);
  afterAll(async () => {
    await ui?.close();
    await system.stop();
    for (const folder of mounts) execFileSync('umount', ['--lazy', folder]);
    await system.close();
  }, TEST_MS);

  test(
    'the dock’s worker is stopped',
    async () => {
      await jobs.staged('offline');
      const drive = await jobs.prepared('offline', 'o1');
      await jobs.received('offline', drive);
      const goOn = await jobs.freeze('dock');
      const attach = await jobs.told(
        'offline',
        /received drives wait to be attached/,
        'seedship drive attach DEVICE|DIR --job offline',
      );
      const asked = await jobs.typeShown(attach, { 'DEVICE|DIR': drive.folder });
      expect([asked.status, Object(asked.data).waitsFor.command]).toEqual([6, 'seedship worker run dock']);
      const cure = await jobs.told('offline', /nobody works for dock home\.test-host/, 'seedship worker run dock', 1);
      const end = system.stay(...cure.split(' ').slice(1));
      await jobs.until('offline', ({ attention }) => attention.length === 0);
      expect(await jobs.followed('offline', [drive])).toEqual([]);
      goOn();
      await end();
    },
    TEST_MS,
  );

  test(
    'a drive is not in the parcel',
    async () => {
      await jobs.staged('parcel', 8_000_000); // a pack has up to 3 MB here
      const first = await jobs.prepared('parcel', 'p1', '--capacity', '4MB');
      const second = await jobs.prepared('parcel', 'p2');
      await jobs.received('parcel', first);
      const { id } = await jobs.asks('parcel', 'DriveMissing');
      const cure = await jobs.told(
        'parcel',
        new RegExp(`a drive was not in its parcel[^]*${second.id}`),
        `seedship job resolve parcel --attention ${id} --choice replace`,
        4,
      );
      expect((await jobs.typeShown(cure)).status).toBe(0);
      const typed = await jobs.followed('parcel', [first]);
      expect([...typed].sort()).toEqual(['drive attach', 'drive attach', 'drive prepare', 'drive receive', 'job ship']);
    },
    TEST_MS,
  );

  test(
    'a drive of another job is attached, by hand or in its bay',
    async () => {
      await jobs.staged('foreign');
      const right = await jobs.prepared('foreign', 'f1');
      await jobs.received('foreign', right);
      const other: Drive = { id: '', folder: system.at('drives', 'o1') };
      const attach = await jobs.told(
        'foreign',
        new RegExp(`received drives wait to be attached: ${right.id}`),
        'seedship drive attach DEVICE|DIR --job foreign',
      );
      const refused = await jobs.typeShown(attach, { 'DEVICE|DIR': other.folder });
      expect(refused.lines.at(-1)).toMatchObject({ exit: 6, message: expect.stringContaining('is not of this job') });
      expect(refused.stdout).toContain(right.id);

      const bay = system.at('bay');
      insert(bay, right);
      const goOn = await jobs.freeze('dock');
      const [, ...words] = attach.replace('DEVICE|DIR', bay).split(' ');
      await system.must(...words, '--no-wait');
      insert(bay, other); // somebody takes the wrong one from the shelf before it is read
      goOn();
      await jobs.asks('foreign', 'DriveForeign');
      const again = await jobs.told('foreign', /this is another drive/, attach, 5);
      insert(bay, right);
      expect((await jobs.typeShown(again, { 'DEVICE|DIR': bay })).status).toBe(0);
      expect(await jobs.followed('foreign', [])).toEqual([]);
    },
    TEST_MS,
  );

  test(
    'an older state of the right drive is attached',
    async () => {
      await jobs.staged('older');
      const folder = system.at('drives', 'y1');
      mkdirSync(folder, { recursive: true });
      // The drive is written, the word of it does not reach staging: the next attempt seals under a new key.
      const putBack = withoutReceipts(system.at('staging-older'));
      await system.must('drive', 'prepare', folder, '--job', 'older', '--no-wait');
      const drive: Drive = { id: (await jobs.statusOf('older')).drives[0]?.id ?? '', folder };
      await copiedWhole(drive, `${folder}-old`, system.at('staging-older'));
      putBack();
      await jobs.until('older', ({ drives }) => drives.some(({ registered }) => registered === true));
      await jobs.received('older', drive);
      const attach = await jobs.told('older', /wait to be attached/, 'seedship drive attach DEVICE|DIR --job older');
      expect((await jobs.typeShown(attach, { 'DEVICE|DIR': `${folder}-old` })).status).toBe(6);
      await jobs.asks('older', 'DriveOutdated');
      const again = await jobs.told('older', /older state of the drive than the one that was shipped/, attach);
      const read = await jobs.typeShown(again, { 'DEVICE|DIR': folder });
      expect([read.status, read.stderr]).toEqual([0, '']);
      expect(await jobs.followed('older', [])).toEqual([]);
    },
    TEST_MS,
  );

  asRoot(
    'the staging disk is full',
    async () => {
      const staging = system.at('staging-full');
      mountTmpfs(staging, '9m');
      await jobs.protectedBy('full', 6_000_000);
      const goOn = await jobs.freeze('source'); // there is room when the job starts; somebody takes it before the first pack
      await system.must('job', 'start', 'full', '--protection', 'full', '--staging', staging, '--no-wait');
      writeFileSync(`${staging}/film`, Buffer.alloc(5_000_000));
      goOn();
      const { id } = await jobs.asks('full', 'SpaceExhausted');
      const cure = await jobs.told(
        'full',
        /the destination is full/,
        `seedship job resolve full --attention ${id} --choice retry`,
        7,
      );
      execFileSync('mount', ['-o', 'remount,size=64m', staging]);
      expect((await jobs.typeShown(cure)).status).toBe(0);
      await jobs.until('full', ({ stage }) => stage === 'Preparing');
    },
    TEST_MS,
  );

  test(
    'a wrong S3 secret is set',
    async () => {
      await jobs.staged('secret');
      const drive = await jobs.prepared('secret', 's1');
      await jobs.received('secret', drive);
      const settings = system.at('seedship.toml');
      writeFileSync(settings, landingSettings(system, { wrong: 'datacenter' }));
      await jobs.restart('dock');
      await system.must('drive', 'attach', drive.folder, '--job', 'secret', '--no-wait');
      const { id } = await jobs.asks('secret', 'StorageRefused');
      const cure = await jobs.told(
        'secret',
        /the secret of the storage key is wrong/,
        `seedship job resolve secret --attention ${id} --choice retry`,
        8,
      );
      writeFileSync(settings, landingSettings(system, { wrong: '' }));
      await jobs.restart('dock');
      expect((await jobs.typeShown(cure)).status).toBe(0);
      expect(await jobs.followed('secret', [])).toEqual([]);
      rmSync(settings);
    },
    TEST_MS,
  );
});
