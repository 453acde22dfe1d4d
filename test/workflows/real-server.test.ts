/** What the time-skipping server does not do as the real one does, on the real one. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import type { Notice } from '../../domain/news.ts';
import { backupId, childId, cleanupId, restorationId, seedingId, upkeepId } from '../../domain/seeding-job.ts';
import { findTemporal, serverSearch } from '../../host/server-programs.ts';
import { NAMESPACE, startTemporal } from '../../host/servers.ts';
import type { backup } from '../../workflows/backup.ts';
import type { cleanup } from '../../workflows/cleanup.ts';
import * as say from '../../workflows/definitions.ts';
import type { notice } from '../../workflows/notice.ts';
import type { restoration } from '../../workflows/restoration.ts';
import type { shipping } from '../../workflows/shipping.ts';
import {
  asks,
  atStage,
  attention,
  DRIVES,
  decide,
  digest,
  dock,
  driveIn,
  eventsOf,
  JOB,
  openStage,
  prepare,
  refusal,
  type Stage,
  send,
  shippable,
  startJob,
  take,
  travelled,
  until,
} from './fake-sites.ts';

let stage: Stage;
let server: Awaited<ReturnType<typeof startTemporal>>;
const dir = mkdtempSync(path.join(tmpdir(), 'seedship-workflows-'));
const [FIRST, SECOND, THIRD] = DRIVES;
const idOf = (job: string) => seedingId({ vault: JOB.vault, job });

beforeAll(async () => {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: 'OFF', forward: {} } },
  });
  server = await startTemporal({ program: await findTemporal(serverSearch(process.env)), dir });
  const { address } = server;
  stage = await openStage(await TestWorkflowEnvironment.createFromExistingServer({ address, namespace: NAMESPACE }), {
    owners: ['ann1'],
  });
}, 120_000);
afterAll(async () => {
  await stage?.close();
  await server?.stop();
  rmSync(dir, { recursive: true });
}, 180_000);
beforeEach(() => stage.sites.reset());

test('a child ended by hand is attention, and starts again', async () => {
  const { sites, client } = stage;
  const handle = await startJob(stage, 'by-hand');
  await until(handle, atStage('Preparing'));
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  sites.behaviour.prepareDrive = async () => {
    await held;
    throw attention('DriveFailed');
  };
  const { workflowId } = await prepare(handle, FIRST);
  expect(workflowId).toBe(childId.prepare(idOf('by-hand'), FIRST));
  await until(handle, () => sites.asked('prepareDrive').length === 1);
  await client.workflow.getHandle(workflowId).terminate('a tired operator');
  const status = await until(handle, asks('Aborted'));
  expect(status.attention[0]).toMatchObject({ drive: FIRST, choices: ['retry', 'replace', 'abort'] });
  sites.behaviour = {};
  release();
  await decide(handle, 'retry');
  await until(handle, driveIn(FIRST, 'Prepared'));
  await handle.terminate();
});

test('a refused act leaves no trace in the history', async () => {
  const handle = await startJob(stage, 'refusing');
  await until(handle, atStage('Preparing'));
  await prepare(handle, FIRST);
  await until(handle, atStage('Shipping'));
  const before = await settled(idOf('refusing'));
  const acts = [take(handle, FIRST), dock(handle, FIRST), prepare(handle, SECOND), decide(handle, 'retry')];
  for (const act of acts) expect((await refusal(act)).code).toBe('WrongState');
  expect(await eventsOf(stage, idOf('refusing'))).toBe(before);
  await handle.terminate();
});

test('a journey with a lost drive, a decision and a backup on its way', async () => {
  const handle = await startJob(stage, 'story');
  await until(handle, atStage('Preparing'));
  await prepare(handle, FIRST, 50);
  await prepare(handle, SECOND);
  await until(handle, atStage('Shipping'));
  await send(handle);
  await take(handle, FIRST);
  await until(handle, asks('DriveMissing'));
  await decide(handle, 'replace');
  await prepare(handle, THIRD);
  await until(handle, shippable(THIRD));
  await send(handle, '1ZA2');
  await take(handle, THIRD);
  const { vault, machine, protection, heartbeatMs } = JOB;
  const bridging = { workflowId: `${backupId(vault, machine, protection)}-story`, taskQueue: 'control' };
  await stage.client.workflow.execute<typeof backup>('backup', {
    ...bridging,
    args: [{ vault, machine, protection, heartbeatMs }],
  });
  for (const drive of [FIRST, THIRD]) await dock(handle, drive);
  expect(await handle.result()).toMatchObject({ drives: 3, lostDrives: 1 });
  const job = idOf('story');
  await record('seeding', job);
  await record('drive-preparation', childId.prepare(job, FIRST));
  await record('shipping', childId.shipping(job));
  await record('drive-ingest', childId.ingest(job, FIRST));
  await record('backup', bridging.workflowId);
  await record('upkeep', upkeepId(vault));
  const restoring = { workflowId: restorationId(vault, 'story'), taskQueue: 'control' };
  await stage.client.workflow.execute<typeof restoration>('restoration', {
    ...restoring,
    args: [{ vault, owner: 'ann1', id: 'story', request: digest(6), heartbeatMs }],
  });
  await record('restoration', restoring.workflowId);
  const order = { vault, job: 'story', machine, by: 'ann', dryRun: false, heartbeatMs };
  const cleaning = { workflowId: cleanupId(vault, 'story'), taskQueue: 'control' };
  await stage.client.workflow.execute<typeof cleanup>('cleanup', { ...cleaning, args: [order] });
  await record('cleanup', cleaning.workflowId);
  const telling = { workflowId: `notice/${vault}/story`, taskQueue: 'control' };
  const at = '2026-11-20T02:00:00Z';
  const told = { vault, subject: 'story', kind: 'test', text: 'recorded', at, workflowId: job } as const;
  await stage.client.workflow.execute<typeof notice>('notice', { ...telling, args: [{ notice: told }] });
  await record('notice', telling.workflowId);
});

test('what is shipped and received while the child for it begins is told to it', async () => {
  for (let attempt = 1; ; attempt++) {
    const job = `early-${attempt}`;
    const handle = await startJob(stage, job);
    await until(handle, atStage('Preparing'));
    await prepare(handle, FIRST, 50);
    const shipped = shipAtOnce(idOf(job));
    await prepare(handle, SECOND);
    await shipped;
    await take(handle, FIRST);
    await until(handle, asks('DriveMissing'));
    const { events } = await stage.client.workflow.getHandle(idOf(job)).fetchHistory();
    const markers = events?.map(
      (event) => event.markerRecordedEventAttributes?.details?.['patch-data']?.payloads ?? [],
    );
    const early = markers?.flat().some(({ data }) => Buffer.from(data ?? []).includes('told-once-started'));
    if (early) await record('seeding', idOf(job), '-early');
    await handle.terminate();
    if (early) return;
    expect(attempt).toBeLessThan(20); // more than every second one is early
  }
}, 100_000);

test('a drive attached again is being read at once, and nobody is asked about it any more', async () => {
  const handle = await startJob(stage, 'again');
  await travelled(handle);
  stage.sites.behaviour.ingestDrive = async () => {
    throw attention('DriveForeign', 'this is another drive');
  };
  await dock(handle, FIRST, 'dock1');
  await until(handle, asks('DriveForeign'));
  stage.sites.behaviour = {};
  await dock(handle, FIRST, 'dock2');
  const { drives, attention: asked } = await handle.query(say.status);
  expect([drives[0]?.state === 'Faulted', asked]).toEqual([false, []]);
  expect(await handle.result()).toMatchObject({ drives: 1, lostDrives: 0 });
  await record('seeding', idOf('again'), '-again');
});

/** Ships in the very turn in which it may: asks until it is not refused. */
async function shipAtOnce(workflowId: string): Promise<void> {
  const handle = stage.client.workflow.getHandle(workflowId);
  const args = [{ carrier: 'other', tracking: '1Z99', drives: [FIRST, SECOND], by: 'ann' }] as const;
  for (const end = Date.now() + 30_000; ; ) {
    const refused = await handle.executeUpdate(say.ship, { args: [...args] }).then(() => undefined, String);
    if (refused === undefined) return;
    if (Date.now() > end) throw new Error(refused);
  }
}

test('carrier scans beyond what a history holds are carried on in a new run, each counted once', async () => {
  const since = new Date().toISOString();
  const news = { waits: [{ key: 'ship', kind: 'ship' as const, since, drives: [FIRST] }], complete: true };
  const workflowId = 'shipping-alone';
  const handle = await stage.client.workflow.start<typeof shipping>('shipping', {
    workflowId,
    taskQueue: 'control',
    args: [{ vault: JOB.vault, job: 'scans', heartbeatMs: JOB.heartbeatMs, news }],
  });
  const of = (scanId: string, event = 'in transit') => ({ scanId, tracking: '1Z99', event, at: since });
  const { runId: first } = await handle.describe();
  await handle.signal(say.carrierScan, of('delivery', 'delivered'));
  const wordy = 'in transit '.repeat(1000); // the server suggests a new run from 4 MiB on, or 4,096 events
  for (let batch = 0; batch < 5; batch += 1)
    await Promise.all(
      Array.from({ length: 100 }, (_, at) => handle.signal(say.carrierScan, of(`${batch}.${at % 90}`, wordy))),
    );
  await handle.signal(say.carrierScan, of('last', 'delivered'));
  await handle.signal(say.carrierScan, of('last', 'delivered'));
  const now = stage.client.workflow.getHandle(workflowId);
  await soon(async () => (await now.describe()).runId !== first);
  const sent = () => stage.sites.asked('sendNotice').filter((one) => (one as Notice).subject === 'scans');
  await soon(() => sent().length >= 2);
  await now.signal(say.shippingNews, { waits: [], complete: true });
  expect(await now.result()).toEqual({ outcome: 'arrived' });
  expect(sent()).toHaveLength(2);
}, 120_000);

/** Waits for what the worker has still to get to: signals are taken faster than they are worked off. */
async function soon(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await holds()); await new Promise((resolve) => setTimeout(resolve, 100)))
    if (Date.now() > end) throw new Error('it has not come to pass in a minute');
}

/** Saves a history to be replayed for ever, when asked to: test/histories/README.md. */
async function record(name: string, workflowId: string, branch = ''): Promise<void> {
  const release = process.env.SEEDSHIP_RECORD;
  const history = await stage.client.workflow.getHandle(workflowId).fetchHistory();
  expect(history.events?.length).toBeGreaterThan(4);
  if (!release) return;
  const file = fileURLToPath(new URL(`../histories/${release}${branch}.${name}.json`, import.meta.url));
  const here = fileURLToPath(new URL('../..', import.meta.url));
  writeFileSync(file, `${historyToJSON(history).replaceAll(here, '')}\n`); // stack traces name the checkout
}

describe('a job of eight drives', () => {
  test('and its children have fewer than 1,000 events, the same for ten times the bytes', async () => {
    const small = await eightDrives('eight', 800);
    const large = await eightDrives('eight-large', 8000);
    expect(small).toBeLessThan(1000);
    expect(large).toBeLessThan(1000);
    expect(Math.abs(large - small)).toBeLessThan(WAKE_JITTER);
  }, 120_000);
});

const EIGHT = Array.from({ length: 8 }, (_, at) => `${at}F3A00000000C0DE`);

/** How often a worker is woken depends on what came together: three events each time. */
const WAKE_JITTER = 45;

/** The events of a whole journey, children included; one drive after the other, so that nothing is saved. */
async function eightDrives(job: string, objects: number): Promise<number> {
  stage.sites.objects = objects;
  const handle = await startJob(stage, job);
  await until(handle, atStage('Preparing'));
  for (const drive of EIGHT) {
    await prepare(handle, drive, objects / 8);
    await until(handle, driveIn(drive, 'Prepared'));
  }
  await until(handle, atStage('Shipping'));
  await send(handle);
  await take(handle, ...EIGHT);
  for (const drive of EIGHT) {
    await dock(handle, drive);
    await until(handle, driveIn(drive, 'Completed'));
  }
  await handle.result();
  const parent = idOf(job);
  const children = EIGHT.flatMap((drive) => [childId.prepare(parent, drive), childId.ingest(parent, drive)]);
  const ids = [parent, childId.shipping(parent), ...children];
  const counts = await Promise.all(ids.map((id) => eventsOf(stage, id)));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The number of events, once nothing is added any more. */
async function settled(workflowId: string): Promise<number> {
  for (let before = -1, now = 0; ; before = now) {
    now = await eventsOf(stage, workflowId);
    if (now === before) return now;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
