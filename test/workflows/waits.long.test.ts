/**
 * What a job does in weeks of waiting, with no workflow kept in memory: each activation replays all
 * that went before. Apart from the other states, since the clock of a server is everybody's.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { childId, type JobStatus, seedingId } from '../../domain/seeding-job.ts';
import { DAY } from '../../domain/units.ts';
import * as say from '../../workflows/definitions.ts';
import {
  asks,
  atStage,
  DRIVES,
  decide,
  dock,
  driveIn,
  eventsOf,
  JOB,
  OBJECTS,
  openSkippingServer,
  openStage,
  prepare,
  refusal,
  type Stage,
  send,
  shippable,
  startJob,
  take,
} from './fake-sites.ts';

let stage: Stage;
const [FIRST, SECOND] = DRIVES;
const idOf = (job: string) => seedingId({ vault: JOB.vault, job });

beforeAll(async () => {
  stage = await openStage(await openSkippingServer(), { cached: 0 });
}, 120_000);
afterAll(() => stage?.close(), 180_000);
beforeEach(() => stage.sites.reset());

/** Asks now and then: without a cache each question replays the whole job. */
async function until(handle: WorkflowHandle, holds: (status: JobStatus) => boolean): Promise<JobStatus> {
  for (const end = Date.now() + 40_000; ; await new Promise((resolve) => setTimeout(resolve, 250))) {
    const status: JobStatus = await handle.query('status');
    if (holds(status)) return status;
    if (Date.now() > end)
      throw new Error(`it stays at ${JSON.stringify([status.stage, status.drives, status.attention])}`);
  }
}

/** Two drives, each with half of the objects, ready to be shipped. */
async function ready(job: string, more: Parameters<typeof startJob>[2] = {}) {
  const handle = await startJob(stage, job, more);
  await until(handle, atStage('Preparing'));
  await prepare(handle, FIRST, OBJECTS / 2);
  await prepare(handle, SECOND);
  await until(handle, shippable(SECOND));
  return handle;
}

/** Cancelled, not terminated: children that are left behind would let no time pass for the next test. */
async function end(handle: WorkflowHandle): Promise<void> {
  await handle.executeUpdate(say.cancel, { args: [{ by: 'ann' }] });
  await handle.result().catch(() => undefined);
}

const importJob = async (handle: WorkflowHandle) => (await handle.query(say.status)).importJob;
describe('a parcel or a drive that is waited for', () => {
  test('whose number was mistyped is amended, and keeps the time it has waited', async () => {
    const handle = await ready('mistyped');
    await send(handle, '1ZA1');
    const { deadline } = await until(handle, (status) => status.deadline !== undefined);
    await stage.env.sleep('2 days');
    const act = { tracking: '1ZA1', to: '1ZA7', by: 'ann' };
    await handle.executeUpdate(say.amendParcel, { args: [act] });
    const status = await handle.query(say.status);
    expect(status.deadline).toBe(deadline);
    expect(status.parcels).toMatchObject([{ tracking: '1ZA7', was: ['1ZA1'] }]);
    expect((await refusal(send(handle, '1ZA1'))).code).toBe('WrongState');
    await end(handle);
  });

  test('that was not in its parcel comes in a later one', async () => {
    const handle = await ready('late');
    await send(handle);
    await take(handle, FIRST);
    await until(handle, driveIn(SECOND, 'NeverReceived'));
    expect(await importJob(handle)).toBe('Received'); // all accounted for
    await until(handle, asks('DriveMissing'));
    await stage.env.sleep('20 days');
    await take(handle, SECOND);
    await until(handle, (status) => status.attention.length === 0);
    await until(handle, driveIn(SECOND, 'Received'));
    await end(handle);
  });
});

describe('what the field deletes, closes or destroys', () => {
  test('waits here: sixty days without tracking, asked again and again, in fewer than 1,000 events', async () => {
    const handle = await ready('patient');
    let asked = 0;
    for (let day = 0; day < 60; day += 15) {
      await stage.env.sleep('15 days');
      await until(handle, asks('ShipmentLate'));
      asked += 1;
      await decide(handle, 'wait');
      await until(handle, (status) => status.attention.length === 0);
    }
    await send(handle);
    await stage.env.sleep('31 days'); // no parcel, no reply: the field closes the job
    await until(handle, asks('DriveMissing'));
    expect([asked, await importJob(handle)]).toEqual([4, 'Shipping']);
    const child = childId.shipping(idOf('patient'));
    expect((await eventsOf(stage, idOf('patient'))) + (await eventsOf(stage, child))).toBeLessThan(1000);
    await take(handle, FIRST, SECOND); // it came after all
    expect(await importJob(handle)).toBe('Received');
    await end(handle);
  }, 120_000);

  test('waits at the desk: a parcel of a job that nobody said had left is taken in after a hundred days', async () => {
    const handle = await ready('nobody-called');
    await stage.env.sleep('100 days'); // two weeks of calling, then it is sent back or destroyed
    expect(await importJob(handle)).toBe('Creating');
    const act = { drives: [FIRST, SECOND], unannounced: true, by: 'desk' };
    await handle.executeUpdate(say.receive, { args: [act] });
    const here = await until(handle, (status) => status.attention.length === 0);
    expect([here.importJob, here.drives.map(({ state }) => state)]).toEqual(['Received', ['Received', 'Received']]);
    await end(handle);
  }, 90_000);

  test('waits to go back: copied drives stay for a hundred days, and the point is complete meanwhile', async () => {
    const details = { contact: true, returnTo: true, returnCarrier: 'dhl' };
    const handle = await ready('wrong-address', { returns: true, details });
    await send(handle);
    await take(handle, FIRST, SECOND);
    for (const drive of [FIRST, SECOND]) await dock(handle, drive);
    await until(handle, atStage('Returning'));
    await stage.env.sleep('100 days'); // the field destroys them after ninety
    const status = await handle.query(say.status);
    expect([status.importJob, status.attention, status.drives.map(({ state }) => state)]).toEqual([
      'Packaging',
      [],
      ['Completed', 'Completed'],
    ]);
    expect(status.waitsFor.what).toContain('the point is restorable');
    const back = { drives: [FIRST, SECOND], carrier: 'dhl', tracking: 'BACK1', by: 'desk' };
    await handle.executeUpdate(say.returnDrives, { args: [back] });
    await handle.result();
    expect(await importJob(handle)).toBe('Completed');
  }, 90_000);

  test('keeps to days that were set, and to more time that was given', async () => {
    const timers = { remindMs: [1 * DAY], decideMs: 2 * DAY };
    const handle = await ready('quick', { timers });
    await stage.env.sleep('2.1 days');
    await until(handle, asks('ShipmentLate'));
    const now = await stage.env.currentTimeMs();
    const until5 = new Date(now + 5 * DAY).toISOString();
    await handle.executeUpdate(say.extend, { args: [{ until: until5, by: 'ann' }] });
    const longer = await until(handle, (status) => status.attention.length === 0);
    expect(longer.deadline).toBe(until5);
    await stage.env.sleep('4 days');
    expect((await handle.query(say.status)).attention).toEqual([]);
    await stage.env.sleep('1.1 days');
    await until(handle, asks('ShipmentLate'));
    await end(handle);
  }, 90_000);
});
