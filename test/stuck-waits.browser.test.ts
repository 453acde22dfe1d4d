/**
 * The rest of doc/stuck-jobs.md, in a real browser: what waits for carriers and people, what neither moves nor
 * asks, and what Temporal has lost. And what a person sees who has only the Web UI, with no worker there.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WorkflowNotFoundError } from '@temporalio/client';
import { childId } from '../domain/seeding-job.ts';
import { connectClient } from '../host/connections.ts';
import { loadSettings } from '../host/settings.ts';
import { Embedded } from './harness/embedded.ts';
import { picture, pictureFaults, sectionOf } from './harness/screens.ts';
import { StuckJobs } from './harness/stuck-jobs.ts';
import { findChromium, WebUi } from './harness/web-ui.ts';

const CHROMIUM = findChromium();
const TEST_MS = 180_000;
const FORGET_MS = 90_000;

if (!CHROMIUM && process.env.SEEDSHIP_CI) throw new Error('no chromium is on PATH');
if (!CHROMIUM) process.stderr.write('SKIPPED: stuck jobs that wait, since no chromium is on PATH\n');
const withBrowser = CHROMIUM ? describe : describe.skip;

const system = new Embedded('stuck-waits', { SEEDSHIP_PACK_SIZE: '1MiB' });
const jobs = new StuckJobs(system);
let ui: WebUi;

/** The link of README to the jobs that need a person, at this system's address. */
function linkOfReadme(): string {
  const [, path = ''] =
    /\(http:\/\/localhost:8080(\/namespaces\/[^)\s]+)\)/.exec(readFileSync('README.md', 'utf8')) ?? [];
  const [, ofDoc = ''] = /^(\/namespaces\/\S+)$/m.exec(readFileSync('doc/stuck-jobs.md', 'utf8')) ?? [];
  expect(path).toBe(ofDoc);
  return `${uiOrigin()}${path}`;
}

function childPage(workflowId: string, drive: string): string {
  return `/namespaces/seedship/workflows/${encodeURIComponent(childId.prepare(workflowId, drive))}`;
}

function uiOrigin(): string {
  const { uiUrl = '' } = loadSettings({ environment: system.environment, directory: system.root });
  return uiUrl;
}

withBrowser('a job that waits says so on every screen:', () => {
  beforeAll(async () => {
    mkdirSync(system.at('source', 'docs'), { recursive: true });
    await system.start();
    await system.setUp(system.at('source', 'docs'));
    ui = await WebUi.open(CHROMIUM ?? '');
    jobs.watch(ui);
  }, TEST_MS);
  afterAll(async () => {
    await ui?.close();
    await system.close();
  }, TEST_MS);

  test(
    'its drives were never shipped, then their parcel does not arrive; README’s link leads to it',
    async () => {
      const soon = ['--remind-days', '0.00001', '--decide-days', '0.00005'];
      await jobs.staged('late', 1_500_000, ...soon);
      await jobs.prepared('late', 'l1');
      const { id } = await jobs.asks('late', 'ShipmentLate');
      const ship = 'seedship job ship late --carrier CARRIER --tracking NUMBER';
      await jobs.told('late', /prepared drives were not shipped within/, ship, 2);
      const rows = await ui.list(linkOfReadme());
      expect(rows).toContain('seed/main/late');
      await system.must('job', 'ship', 'late', '--carrier', 'dhl', '--tracking', '3318810025');
      await jobs.until('late', ({ attention }) => attention.every((one) => one.id !== id));
      const missing = await jobs.asks('late', 'DriveMissing');
      const resolve = `seedship job resolve late --attention ${missing.id} --choice replace`;
      await jobs.told('late', /a parcel did not arrive within/, resolve, 3);
      await system.must('job', 'extend', 'late', '--until', '3d');
      await jobs.until('late', ({ attention }) => attention.length === 0);
      expect(await ui.list(linkOfReadme())).not.toContain('seed/main/late');
    },
    TEST_MS,
  );

  test(
    'objects could not be taken from a drive',
    async () => {
      await jobs.staged('holes');
      const drive = await jobs.prepared('holes', 'h1');
      rmSync(largestIn(`${drive.folder}/objects/000`)); // trees have gone over the line, with the point
      await jobs.received('holes', drive);
      await system.type('drive', 'attach', drive.folder, '--job', 'holes');
      const { id } = await jobs.asks('holes', 'DriveFailed');
      const answer = `seedship job resolve holes --attention ${id} --choice`;
      await jobs.told('holes', /1 of its \d+ objects could not be taken from it/, `${answer} replace`, 6);
      expect((await jobs.typeShown(`${answer} send`)).status).toBe(0);
      expect(await jobs.followed('holes', [drive])).toEqual([]);
    },
    TEST_MS,
  );

  test(
    'it is paused; and without any control worker its page still says what it is',
    async () => {
      await jobs.staged('held');
      const drive = await jobs.prepared('held', 'p1');
      await jobs.received('held', drive);
      await system.must('job', 'pause', 'held');
      await system.must('drive', 'attach', drive.folder, '--job', 'held', '--no-wait');
      const cure = await jobs.told('held', /Paused|it is paused/, 'seedship job resume held', 9);
      expect((await system.run('job', 'list')).stdout).toMatch(/^held +Paused/m);
      const show = await system.run('job', 'show', 'held');
      const address = /^web +(http\S+)/m.exec(show.stdout)?.[1] ?? '';
      const [{ tracking } = { tracking: '?' }] = (await jobs.statusOf('held')).parcels;

      const goOn = await jobs.freeze('control');
      try {
        expect((await system.run('job', 'show', 'held')).stderr).toContain('seedship worker run control');
        const page = await ui.summary(address);
        for (const text of [
          'Seed held of hq to main, by drive',
          'While they cannot be read, no control worker runs',
          'SeedshipState',
          'Paused',
          'SeedshipStage',
          'Ingesting',
          'SeedshipParcels',
          tracking,
          drive.id,
        ])
          expect(page).toContain(text);
        const leg = await ui.summary(`${uiOrigin()}${childPage('seed/main/held', drive.id)}`);
        for (const text of [
          `Drive ${drive.id} of the job held is filled at the copy host`,
          'worker run copy',
          'SeedshipDrives',
        ])
          expect(leg).toContain(text);
        const query = `?query=${encodeURIComponent(`SeedshipParcels = '${tracking}'`)}`;
        expect(await ui.list(`${uiOrigin()}/namespaces/seedship/workflows${query}`)).toContain('seed/main/held');
      } finally {
        goOn();
      }
      expect((await jobs.typeShown(cure)).status).toBe(0);
      expect(await jobs.followed('held', [drive])).toEqual([]);
    },
    TEST_MS,
  );

  test(
    'Temporal has lost it: nothing is there, and `job adopt` takes it up',
    async () => {
      await jobs.staged('lost');
      const drive = await jobs.prepared('lost', 'x1');
      await jobs.until('lost', ({ drives }) => drives.every(({ registered }) => registered === true));
      await system.must('job', 'ship', 'lost', '--carrier', 'dhl', '--tracking', '3318810036', '--unchecked');
      await forget('seed/main/lost');
      const gone = await system.type('job', 'show', 'lost');
      expect([gone.status, Object(gone.lines.at(-1)).code]).toEqual([8, 'NotFound']);
      expect(sectionOf(10)).toContain('NotFound');
      const byId = `?query=${encodeURIComponent("WorkflowId = 'seed/main/lost'")}`;
      expect(await ui.list(`${uiOrigin()}/namespaces/seedship/workflows${byId}`)).toMatch(/No Workflows/i);
      await picture(ui, 10);
      expect(pictureFaults(10)).toEqual([]);
      await system.must('job', 'adopt', 'lost');
      await jobs.until('lost', ({ stage }) => stage === 'Shipping');
      await system.must('drive', 'receive', '--job', 'lost', '--drive', drive.id);
      expect(await jobs.followed('lost', [drive])).toEqual(['drive attach']);
    },
    TEST_MS,
  );
});

function largestIn(folder: string): string {
  const files = readdirSync(folder).map((name) => `${folder}/${name}`);
  return files.sort((a, b) => statSync(b).size - statSync(a).size)[0] ?? '';
}

/** As when its database was wiped: the job and all that belongs to it. The server deletes in its own time. */
async function forget(workflowId: string): Promise<void> {
  const settings = loadSettings({ environment: system.environment, directory: system.root });
  const { client, close } = await connectClient(settings);
  const { namespace } = settings.temporal;
  const isThere = async (id: string): Promise<boolean> => {
    const asked = { namespace, workflowExecution: { workflowId: id } };
    await client.workflowService.deleteWorkflowExecution(asked).catch(() => undefined);
    return client.workflow
      .getHandle(id)
      .describe()
      .then(Boolean, (error: unknown) => !(error instanceof WorkflowNotFoundError));
  };
  try {
    const all = [workflowId, `${workflowId}/shipping`];
    for (const id of all)
      await client.workflow
        .getHandle(id)
        .terminate()
        .catch(() => undefined);
    for (const end = Date.now() + FORGET_MS; (await Promise.all(all.map(isThere))).includes(true); await sleep(500))
      if (Date.now() > end) throw new Error('it is still there');
  } finally {
    await close();
  }
}
