/**
 * The states of a job as the field knows them, row by row, with no workflow kept in memory: each
 * activation replays all that went before. What takes weeks stands in waits.long.test.ts.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { countObjects } from '../../domain/drive.ts';
import { childId, type JobStatus, seedingId } from '../../domain/seeding-job.ts';
import * as say from '../../workflows/definitions.ts';
import {
  asks,
  atStage,
  attention,
  DRIVES,
  decide,
  digest,
  dock,
  driveIn,
  JOB,
  OBJECTS,
  openRealStage,
  prepare,
  refusal,
  type Stage,
  send,
  shippable,
  startJob,
  take,
} from './fake-sites.ts';

let stage: Stage;
const [FIRST, SECOND, THIRD] = DRIVES;
const STRAY = 'WD-STRAY-1';
const idOf = (job: string) => seedingId({ vault: JOB.vault, job });

beforeAll(async () => {
  stage = await openRealStage({ cached: 0 });
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

const importJob = async (handle: WorkflowHandle) => (await handle.query(say.status)).importJob;
const report = (handle: WorkflowHandle, drives: string[], found: 'missing' | 'damaged' | 'lost', choice?: 'send') =>
  handle.executeUpdate(say.reportDrives, { args: [{ drives, found, by: 'desk', ...(choice && { choice }) }] });
const scan = (job: string, tracking: string, event: string, scanId = `${tracking} ${event}`) =>
  stage.client.workflow
    .getHandle(childId.shipping(idOf(job)))
    .signal(say.carrierScan, { scanId, tracking, event, at: '2026-11-24T10:00:00Z' });

describe('the import job', () => {
  test('is Creating until a parcel left, whatever is prepared; Shipping needs a return address', async () => {
    const details = { contact: true, returnTo: false, returnCarrier: 'dhl' };
    const handle = await ready('creating', { returns: true, details });
    expect(await importJob(handle)).toBe('Creating');
    for (const act of [
      { carrier: '', tracking: '1Z99', by: 'ann' },
      { carrier: 'other', tracking: '', by: 'ann' },
      { carrier: 'ups', tracking: '1Z99', by: 'ann' },
      { carrier: 'other', tracking: '1Z99', by: 'ann' },
    ])
      expect(['Usage', 'WrongState']).toContain((await refusal(handle.executeUpdate(say.ship, { args: [act] }))).code);
    await handle.executeUpdate(say.edit, { args: [{ details: { ...details, returnTo: true }, by: 'ann' }] });
    await send(handle);
    expect(await importJob(handle)).toBe('Shipping');
    expect((await refusal(handle.executeUpdate(say.edit, { args: [{ details, by: 'ann' }] }))).code).toBe('WrongState');
    await handle.terminate();
  });

  test('is Received when every drive is accounted for, Transferring from the first at a dock, then Packaging', async () => {
    const handle = await ready('walking', { returns: true });
    await send(handle, '1ZA1', [FIRST]);
    await send(handle, '1ZA2', [SECOND]);
    await take(handle, FIRST);
    expect(await importJob(handle)).toBe('Shipping'); // the other one still travels
    await take(handle, SECOND);
    expect(await importJob(handle)).toBe('Received');
    await dock(handle, FIRST);
    await until(handle, driveIn(FIRST, 'Completed'));
    expect(await importJob(handle)).toBe('Transferring');
    await dock(handle, SECOND);
    await until(handle, atStage('Returning'));
    expect(await importJob(handle)).toBe('Packaging');
    const back = { drives: [FIRST, SECOND], carrier: 'dhl', tracking: 'BACK1', by: 'desk' };
    await handle.executeUpdate(say.returnDrives, { args: [back] });
    await handle.result();
    expect(await importJob(handle)).toBe('Completed');
  });

  test('is Closed when something was lost or refused', async () => {
    stage.sites.behaviour.ingestDrive = async ({ run, step, drive }) => ({
      ...{ run, step, drive, receipt: '09'.repeat(32) as never, copyLog: '06'.repeat(32) as never },
      ...{ taken: 49, refused: 1, bytes: 1 },
    });
    const handle = await ready('refused');
    await send(handle);
    await take(handle, FIRST, SECOND);
    for (const drive of [FIRST, SECOND]) await dock(handle, drive);
    await handle.result();
    const { importJob: state, drives } = await handle.query(say.status);
    expect([state, drives.map((drive) => drive.state)]).toEqual(['Closed', ['CompletedMoreInfo', 'CompletedMoreInfo']]);
  });

  test('is Cancelled by the cancel table, and its drives go back as they are', async () => {
    const handle = await ready('cancelled', { returns: true });
    await send(handle);
    await handle.executeUpdate(say.cancel, { args: [{ by: 'ann' }] });
    await expect(handle.result()).rejects.toThrow();
    expect(await importJob(handle)).toBe('Cancelled');
    expect(stage.sites.asked('withdrawImport')).toMatchObject([{ undo: ['import-job', 'drive-keys', 'landing'] }]);
  });

  test('a drive that cannot be read is Faulted, and goes on where it was when it can', async () => {
    const handle = await ready('faulted');
    stage.sites.behaviour.ingestDrive = async () => {
      throw attention('DriveFailed');
    };
    await send(handle);
    await take(handle, FIRST, SECOND);
    await dock(handle, FIRST);
    await until(handle, driveIn(FIRST, 'Faulted'));
    expect(await importJob(handle)).toBe('Transferring');
    stage.sites.behaviour = {};
    await decide(handle, 'retry');
    await until(handle, driveIn(FIRST, 'Completed'));
    await handle.terminate();
  });
});

describe('a parcel', () => {
  test('that comes though nobody said it left is taken in when the desk insists', async () => {
    const handle = await ready('unannounced');
    expect((await refusal(take(handle, FIRST))).message).toContain('nobody has said that it left');
    const act = { drives: [FIRST], unannounced: true, by: 'desk' };
    await handle.executeUpdate(say.receive, { args: [act] });
    await dock(handle, FIRST);
    await until(handle, driveIn(FIRST, 'Completed'));
    await handle.terminate();
  });

  test('may hold a drive of no job: it is not read, and goes back with ours', async () => {
    const handle = await ready('extra', { returns: true });
    await send(handle);
    const act = { drives: [FIRST, SECOND], extra: [{ drive: STRAY, ofJob: 'acme' }], by: 'desk' };
    await handle.executeUpdate(say.receive, { args: [act] });
    expect(await importJob(handle)).toBe('Received');
    expect((await refusal(dock(handle, STRAY))).code).toBe('WrongState');
    for (const drive of [FIRST, SECOND]) await dock(handle, drive);
    await until(handle, atStage('Returning'));
    const back = { drives: [FIRST, SECOND, STRAY], carrier: 'dhl', tracking: 'BACK1', by: 'desk' };
    await handle.executeUpdate(say.returnDrives, { args: [back] });
    await handle.result();
    expect(stage.sites.asked('ingestDrive')).toHaveLength(2);
  });

  test('that has its number leaves when its carrier has it; returned, its drives are shipped again', async () => {
    const handle = await ready('scanned');
    const later = { carrier: 'other', tracking: '1ZA1', later: true, by: 'ann' };
    await handle.executeUpdate(say.ship, { args: [later] });
    expect((await handle.query(say.status)).parcels).toMatchObject([{ state: 'Preparing' }]);
    await scan('scanned', '1ZA1', 'accepted');
    await until(handle, driveIn(FIRST, 'Shipped'));
    await scan('scanned', '1ZA1', 'returned');
    const back = await until(handle, driveIn(FIRST, 'Prepared'));
    expect([back.parcels[0]?.state, back.importJob]).toEqual(['Returned', 'Shipping']);
    await send(handle, '1ZA2');
    await scan('scanned', '1ZA2', 'lost');
    const lost = await until(handle, asks('DriveMissing'));
    expect(lost.attention[0]).toMatchObject({ parcel: '1ZA2', message: 'its carrier says that a parcel is lost' });
    await take(handle, FIRST, SECOND);
    await until(handle, (status) => status.attention.length === 0);
    await handle.terminate();
  });

  test('that is given up costs its own drives, and one that comes after all is extra when another carries all', async () => {
    const handle = await ready('given-up');
    await send(handle, '1ZA1', [FIRST]);
    await send(handle, '1ZA2', [SECOND]);
    await handle.executeUpdate(say.loseParcel, { args: [{ tracking: '1ZA2', choice: 'replace', by: 'ann' }] });
    const lost = await until(handle, driveIn(SECOND, 'Lost'));
    expect([lost.parcels[1]?.state, lost.free, lost.importJob]).toEqual([
      'Lost',
      [{ from: OBJECTS / 2, to: OBJECTS }],
      'Shipping',
    ]);
    await prepare(handle, THIRD);
    await until(handle, shippable(THIRD));
    await take(handle, FIRST, SECOND);
    await until(handle, driveIn(SECOND, 'Extra'));
    await send(handle, '1ZA3');
    await take(handle, THIRD);
    for (const drive of [FIRST, THIRD]) await dock(handle, drive);
    expect(await handle.result()).toMatchObject({ drives: 3 });
    expect(await importJob(handle)).toBe('Completed');
  });
});

describe('a drive', () => {
  test('named by mistake is missing after all', async () => {
    const handle = await ready('by-mistake');
    await send(handle);
    await take(handle, FIRST, SECOND);
    await report(handle, [SECOND], 'missing');
    await until(handle, asks('DriveMissing'));
    await decide(handle, 'send');
    await dock(handle, FIRST);
    expect(await handle.result()).toMatchObject({ lostDrives: 1 });
    expect(await importJob(handle)).toBe('Closed');
  });

  test('that is damaged is asked about: tried all the same, or sent another way', async () => {
    const handle = await ready('damaged');
    await send(handle);
    await take(handle, FIRST, SECOND);
    await report(handle, [FIRST, SECOND], 'damaged');
    const both = await until(handle, (status) => status.attention.length === 2);
    expect(both.attention.map(({ code, choices }) => [code, choices])).toEqual([
      ['DriveFailed', ['retry', 'replace', 'send', 'drop', 'abort']],
      ['DriveFailed', ['retry', 'replace', 'send', 'drop', 'abort']],
    ]);
    const of = (drive: string) => both.attention.find((one) => one.drive === drive)?.id ?? '';
    await decide(handle, 'retry', of(FIRST));
    await decide(handle, 'send', of(SECOND));
    await until(handle, driveIn(FIRST, 'Received'));
    await dock(handle, FIRST);
    expect(await handle.result()).toMatchObject({ lostDrives: 1 });
  });
});

describe('a drive that gives only a part', () => {
  const missingRanges = [{ from: 10, to: 13 }];

  async function halfRead(job: string) {
    const { sites } = stage;
    const handle = await ready(job);
    await send(handle);
    await take(handle, FIRST, SECOND);
    sites.behaviour.ingestDrive = async ({ run, step, drive, ranges }) => {
      const missing = drive === FIRST ? missingRanges : [];
      const refused = countObjects(missing);
      const taken = countObjects(ranges) - refused;
      return {
        run,
        step,
        receipt: digest(9),
        drive,
        copyLog: digest(6),
        taken,
        refused,
        bytes: 1,
        missingRanges: missing,
      };
    };
    for (const drive of [FIRST, SECOND]) await dock(handle, drive);
    const status = await until(handle, asks('DriveFailed'));
    expect(status.attention[0]).toMatchObject({
      message: `3 of its ${OBJECTS / 2} objects could not be taken from it`,
      choices: ['replace', 'send', 'drop', 'retry', 'abort'],
    });
    return handle;
  }

  test('costs what it could not give: that alone goes on a new drive', async () => {
    const handle = await halfRead('part-replaced');
    await decide(handle, 'replace');
    const state = await until(handle, driveIn(FIRST, 'CompletedMoreInfo'));
    expect(state.free).toEqual(missingRanges);
    expect(await prepare(handle, THIRD)).toMatchObject({ ranges: missingRanges });
    await until(handle, shippable(THIRD));
    await send(handle, '1ZA3');
    await take(handle, THIRD);
    await dock(handle, THIRD);
    expect(await handle.result()).toMatchObject({ drives: 3, lostDrives: 0 });
  });

  test('or over the line', async () => {
    const handle = await halfRead('part-sent');
    await decide(handle, 'send');
    await handle.result();
    const sent = stage.sites.calls.filter(({ step, queue }) => step === 'sendPacks' && queue.startsWith('source'));
    expect(sent).toMatchObject([{ request: { ranges: missingRanges } }]);
  });

  test('or is read again', async () => {
    const handle = await halfRead('part-again');
    delete stage.sites.behaviour.ingestDrive;
    await decide(handle, 'retry');
    await handle.result();
    expect(await importJob(handle)).toBe('Completed');
  });
});

describe('the whole job', () => {
  test('is paused without losing a step, and goes on under the same name', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'paused');
    await until(handle, atStage('Preparing'));
    let release = () => {}; // a worker waits for its activities before it ends
    sites.behaviour.prepareDrive = () =>
      new Promise<never>((_, reject) => {
        release = () => reject(new Error('the test is over'));
      });
    await prepare(handle, FIRST);
    await until(handle, () => sites.asked('prepareDrive').length === 1);
    await handle.executeUpdate(say.pause, { args: [{ by: 'ann' }] });
    const status = await handle.query(say.status);
    expect([status.state, status.held]).toEqual(['Paused', ['*']]);
    const child = stage.client.workflow.getHandle(childId.prepare(idOf('paused'), FIRST));
    await until(handle, () => true);
    await expect(child.result()).rejects.toThrow();
    sites.behaviour = {};
    release();
    await handle.executeUpdate(say.resume, { args: [{ by: 'ann' }] });
    await until(handle, shippable(FIRST));
    const steps = sites.asked('prepareDrive').map((request) => JSON.parse(JSON.stringify(request)).step);
    expect(new Set(steps)).toEqual(new Set([`prepare-${FIRST}`]));
    await handle.terminate();
  });

  test('goes elsewhere: what has not left is prepared anew, what left arrives where it was sent', async () => {
    const { sites } = stage;
    const handle = await ready('redirected');
    await send(handle, '1ZA1', [FIRST]);
    const act = { region: 'eu-north', landing: 'landing-eu-north', by: 'ann' };
    const { left } = await handle.executeUpdate(say.redirect, { args: [act] });
    expect(left).toEqual([SECOND]);
    expect(sites.asked('withdrawImport')).toMatchObject([
      { undo: ['drive-keys'], drives: [SECOND], region: 'eu-west' },
    ]);
    expect((await handle.query(say.status)).request).toMatchObject({ region: 'eu-north' });
    await prepare(handle, THIRD);
    await until(handle, shippable(THIRD));
    expect(sites.asked('prepareDrive').at(-1)).toMatchObject({ region: 'eu-north', landing: 'landing-eu-north' });
    await send(handle, '1ZA2', [THIRD]);
    await take(handle, FIRST, THIRD);
    await dock(handle, FIRST); // at eu-west
    expect((await refusal(dock(handle, THIRD))).message).toContain('goes to eu-north');
    const there = { drive: THIRD, region: 'eu-north', host: 'dock1', by: 'desk' };
    await handle.executeUpdate(say.attach, { args: [there] });
    await handle.result();
    const copied = sites.calls.filter(({ step, queue }) => step === 'sendPacks' && queue.startsWith('vault'));
    expect(copied.map(({ request }) => JSON.parse(JSON.stringify(request)).from.place)).toEqual([
      JOB.landing,
      'landing-eu-north',
    ]);
  });
});
