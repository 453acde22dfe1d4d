import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { childId, seedingId } from '../../domain/seeding-job.ts';
import { DAY } from '../../domain/units.ts';
import * as say from '../../workflows/definitions.ts';
import type { shipping } from '../../workflows/shipping.ts';
import {
  asks,
  atStage,
  DRIVES,
  decide,
  dock,
  driveIn,
  JOB,
  OBJECTS,
  openSkippingServer,
  openStage,
  prepare,
  type Stage,
  send,
  shippable,
  startJob,
  take,
  until,
} from './fake-sites.ts';

let stage: Stage;
const [FIRST, SECOND, THIRD] = DRIVES;

beforeAll(async () => {
  stage = await openStage(await openSkippingServer());
}, 120_000);
afterAll(() => stage?.close(), 180_000);
beforeEach(() => stage.sites.reset());

/** Two drives, each with half of the objects, ready to be shipped. */
async function ready(job: string) {
  const handle = await startJob(stage, job);
  await until(handle, atStage('Preparing'));
  await prepare(handle, FIRST, OBJECTS / 2);
  await prepare(handle, SECOND);
  await until(handle, atStage('Shipping'));
  return handle;
}

function reminders(job: string): string[] {
  const notices = stage.sites.asked('sendNotice').map((notice) => JSON.parse(JSON.stringify(notice)));
  return notices.filter(({ kind, subject }) => kind === 'reminder' && subject === job).map(({ text }) => text);
}

describe('prepared drives that nobody ships', () => {
  test('are reminded of at 3, 7 and 13 days, and asked about at 14; never deleted', async () => {
    const handle = await ready('idle');
    const { deadline } = await handle.query(say.status);
    const readyAt = Date.parse(deadline ?? '') - 14 * DAY;
    const seen: number[] = [];
    for (const day of [2.9, 3.1, 7.1, 12.9, 13.1]) {
      await stage.env.sleep(readyAt + day * DAY - (await stage.env.currentTimeMs()));
      seen.push(reminders('idle').length);
    }
    expect(seen).toEqual([0, 1, 2, 2, 3]);
    expect((await handle.query(say.status)).attention).toEqual([]);
    await stage.env.sleep('1 day');
    const asked = await until(handle, asks('ShipmentLate'));
    expect(asked.attention[0]).toMatchObject({ step: 'ship', choices: ['wait', 'abort'] });
    expect(asked.waitsFor.command).toMatch(/^seedship job ship idle --carrier/);

    await decide(handle, 'wait');
    const waiting = await until(handle, (status) => status.attention.length === 0);
    expect(Date.parse(waiting.deadline ?? '')).toBeGreaterThan(readyAt + 27 * DAY);
    await stage.env.sleep('4 days');
    expect(reminders('idle')).toHaveLength(4);
    await handle.terminate();
  });

  test('stop asking when they are shipped after all', async () => {
    const handle = await ready('late');
    await stage.env.sleep('15 days');
    await until(handle, asks('ShipmentLate'));
    await send(handle);
    const status = await until(handle, (now) => now.attention.length === 0);
    expect(status.parcels).toMatchObject([{ tracking: '1Z99', state: 'Shipped', drives: [FIRST, SECOND] }]);
    await handle.terminate();
  });
});

test('news that was overtaken on its way is not taken for what is', async () => {
  const since = new Date().toISOString();
  const news = { waits: [{ key: 'ship', kind: 'ship' as const, since, drives: [FIRST] }], complete: true, count: 2 };
  const handle = await stage.client.workflow.start<typeof shipping>('shipping', {
    workflowId: 'overtaken',
    taskQueue: 'control',
    args: [{ vault: JOB.vault, job: 'overtaken', heartbeatMs: JOB.heartbeatMs, news }],
  });
  const nothing = { waits: [], complete: true };
  await handle.signal(say.shippingNews, { ...nothing, count: 1 });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect((await handle.describe()).status.name).toBe('RUNNING');
  await handle.signal(say.shippingNews, { ...nothing, count: 3 });
  expect(await handle.result()).toEqual({ outcome: 'arrived' });
});

describe('a parcel', () => {
  test('that does not arrive in 14 days is asked about, and its drives can be prepared again', async () => {
    const handle = await ready('swallowed');
    await send(handle, '1ZA1', [FIRST]);
    await send(handle, '1ZA2', [SECOND]);
    await take(handle, FIRST);
    await dock(handle, FIRST);
    await until(handle, driveIn(FIRST, 'Completed'));
    await stage.env.sleep('15 days');
    const asked = await until(handle, asks('DriveMissing'));
    expect(asked.attention).toMatchObject([{ parcel: '1ZA2', choices: ['wait', 'replace', 'send', 'drop', 'abort'] }]);
    await decide(handle, 'replace');
    const lost = await until(handle, driveIn(SECOND, 'Lost'));
    expect(lost.parcels[1]).toMatchObject({ tracking: '1ZA2', state: 'Lost' });
    expect(lost.free).toEqual([{ from: OBJECTS / 2, to: OBJECTS }]);

    expect((await prepare(handle, THIRD)).objects).toBe(OBJECTS / 2);
    await until(handle, shippable(THIRD));
    await send(handle, '1ZA3');
    await take(handle, THIRD);
    await dock(handle, THIRD);
    expect(await handle.result()).toMatchObject({ drives: 3, lostDrives: 1 });
    expect(stage.sites.asked('stageBackup')).toHaveLength(1); // nothing began from nothing
  });

  test('opened without a drive asks at once, and the drive may still turn up', async () => {
    const handle = await ready('incomplete');
    await send(handle);
    await take(handle, FIRST);
    const asked = await until(handle, asks('DriveMissing'));
    expect(asked.attention).toMatchObject([{ drive: SECOND, message: 'a drive was not in its parcel' }]);
    expect(asked.drives[1]?.state).toBe('NeverReceived');
    await take(handle, SECOND);
    const found = await until(handle, (status) => status.attention.length === 0);
    expect(found.drives[1]?.state).toBe('Received');
    for (const drive of [FIRST, SECOND]) await dock(handle, drive);
    expect(await handle.result()).toMatchObject({ lostDrives: 0 });
  });

  test('what a missing drive carried goes over the line, when a person says so', async () => {
    const handle = await ready('by-line');
    await send(handle);
    await take(handle, FIRST);
    await until(handle, asks('DriveMissing'));
    await decide(handle, 'send');
    await dock(handle, FIRST);
    expect(await handle.result()).toMatchObject({ lostDrives: 1 });
    const sent = stage.sites.calls.filter(({ step, queue }) => step === 'sendPacks' && queue.startsWith('source'));
    expect(sent.map(({ request }) => request)).toMatchObject([{ ranges: [{ from: OBJECTS / 2, to: OBJECTS }] }]);
  });

  test('scans of its carrier count once, however often they are told', async () => {
    const handle = await ready('scanned');
    await send(handle);
    const child = stage.client.workflow.getHandle(childId.shipping(seedingId({ vault: JOB.vault, job: 'scanned' })));
    const scan = { scanId: 's1', tracking: '1Z99', event: 'delivered', at: '2026-11-24T10:00:00Z' };
    for (const one of [scan, scan, { ...scan, scanId: 's2', event: 'in transit' }])
      await child.signal(say.carrierScan, one);
    await until(handle, () => reminders('scanned').length > 0);
    await child.query(say.workStatus);
    expect(reminders('scanned')).toEqual(['parcel 1Z99 was delivered: seedship drive receive --job scanned']);
    await handle.terminate();
  });
});
