import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/activity';
import { WorkflowFailedError } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { childId, seedingId } from '../../domain/seeding-job.ts';
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
  openSkippingServer,
  openStage,
  prepare,
  refusal,
  type Stage,
  send,
  startJob,
  take,
  travelled,
  until,
} from './fake-sites.ts';

let stage: Stage;
const [FIRST, SECOND] = DRIVES;

beforeAll(async () => {
  stage = await openStage(await openSkippingServer());
}, 120_000);
afterAll(() => stage?.close());
beforeEach(() => stage.sites.reset());

const idOf = (job: string) => seedingId({ vault: JOB.vault, job });

describe('attention', () => {
  test('what retries do not cure waits for a person, and goes on where it was', async () => {
    const { sites } = stage;
    sites.behaviour.stageBackup = async () => {
      throw attention('SourceUnreadable', 'an item cannot be read');
    };
    const handle = await startJob(stage, 'unreadable');
    const status = await until(handle, asks('SourceUnreadable'));
    expect(status).toMatchObject({ state: 'Attention', stage: 'Staging' });
    expect(status.attention).toMatchObject([
      { id: 'a1', step: 'stage', hint: 'cure SourceUnreadable', choices: ['retry', 'abort'] },
    ]);
    expect(status.waitsFor.command).toBe('seedship job resolve unreadable --attention a1 --choice retry');
    const { searchAttributes } = await handle.describe();
    expect(searchAttributes).toMatchObject({
      SeedshipAttention: ['SourceUnreadable'],
      SeedshipState: ['Attention'],
      SeedshipVault: [JOB.vault],
      SeedshipMachine: [JOB.machine],
    });
    const told = () => JSON.stringify(sites.asked('sendNotice'));
    for (let tries = 0; tries < 200 && !told().includes('attention'); tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 25)); // nothing waits for a notice
    expect(told().match(/"kind":"attention","code":"SourceUnreadable"/g)).toHaveLength(1);
    sites.behaviour = {};
    await decide(handle, 'retry');
    const cured = await until(handle, atStage('Preparing'));
    expect(cured.attention).toEqual([]);
    await handle.terminate();
  });

  test('a choice that is not offered is refused with those that are', async () => {
    stage.sites.behaviour.stageBackup = async () => {
      throw attention('SpaceExhausted');
    };
    const handle = await startJob(stage, 'choices');
    await until(handle, asks('SpaceExhausted'));
    const refused = await refusal(decide(handle, 'send'));
    expect(refused.code).toBe('WrongState');
    expect(refused.message).toContain('its choices: retry, abort');
    expect((await refusal(decide(handle, 'retry', 'a9'))).message).toContain('a1 SpaceExhausted: retry|abort');
    await handle.terminate();
  });

  test('two drives ask at once; each is decided by its id, in the parent', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'both');
    await until(handle, atStage('Preparing'));
    sites.behaviour.prepareDrive = async ({ drive }) => {
      throw attention('DriveFailed', `drive ${drive} does not write`);
    };
    await prepare(handle, FIRST, OBJECTS / 2);
    await prepare(handle, SECOND);
    const status = await until(handle, (now) => now.attention.length === 2);
    expect((await refusal(decide(handle, 'retry'))).message).toContain('which attention is meant');
    const idFor = (drive: string) => status.attention.find((one) => one.drive === drive)?.id ?? '';
    sites.behaviour = {};
    await decide(handle, 'retry', idFor(FIRST));
    await until(handle, driveIn(FIRST, 'Prepared'));
    await decide(handle, 'replace', idFor(SECOND));
    const left = await until(handle, (now) => now.attention.length === 0 && now.free.length > 0);
    expect(left.drives.map(({ id }) => id)).toEqual([FIRST]);
    expect(left.free).toEqual([{ from: OBJECTS / 2, to: OBJECTS }]);
    await prepare(handle, SECOND);
    await until(handle, atStage('Shipping'));
    const steps = sites.asked('prepareDrive').map((request) => JSON.parse(JSON.stringify(request)).step);
    expect(steps).toContain(`prepare-${SECOND}-2`); // a receipt of its own
    await handle.terminate();
  });

  test('a step that this host does not know is an agent too old', async () => {
    stage.sites.behaviour.stageBackup = async () => {
      throw ApplicationFailure.create({ type: 'NotFoundError', message: 'not registered' });
    };
    const handle = await startJob(stage, 'old');
    const status = await until(handle, asks('AgentTooOld'));
    expect(status.attention[0]?.hint).toContain('upgrade');
    await handle.terminate();
  });
});

describe('a queue that nobody polls', () => {
  test('is named with the command that helps, and clears itself', async () => {
    const { sites } = stage;
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const handle = await startJob(stage, 'away');
    await until(handle, atStage('Preparing'));
    sites.offline.add('copy.copy1.data');
    sites.behaviour.prepareDrive = async (request) => {
      await held;
      const { run, step, drive, host, ranges } = request;
      const made = { epoch: 1, manifest: digest(4), wraps: [digest(5)], objects: OBJECTS, bytes: 1 };
      return { run, step, receipt: digest(9), drive, host, ranges, ...made };
    };
    await prepare(handle, FIRST);
    const status = await until(handle, asks('HostOffline'));
    expect(status.attention[0]).toMatchObject({
      drive: FIRST,
      queue: 'copy.copy1.data',
      message: 'nobody works for copy copy1',
      hint: 'on that host: seedship worker run copy',
      clearsItself: true,
    });
    sites.offline.clear();
    await until(handle, (now) => now.attention.length === 0);
    release();
    await until(handle, atStage('Shipping'));
    await handle.terminate();
  });

  test('takes the choice to go without it', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'gone');
    await until(handle, atStage('Preparing'));
    sites.offline.add('copy.nowhere.data');
    await prepare(handle, FIRST, OBJECTS, 'nowhere');
    await until(handle, asks('HostOffline'));
    await decide(handle, 'replace');
    const status = await until(handle, (now) => now.drives.length === 0);
    expect(status.free).toEqual([{ from: 0, to: OBJECTS }]);
    expect(status.attention).toEqual([]);
    await handle.terminate();
  });
});

describe('cancelling', () => {
  test.each(['the update', "Temporal's own"])('by %s undoes what the table says, and ends as Canceled', async (way) => {
    const { sites } = stage;
    const job = way === 'the update' ? 'cancel-update' : 'cancel-temporal';
    const handle = await startJob(stage, job);
    await until(handle, atStage('Preparing'));
    await prepare(handle, FIRST);
    await until(handle, atStage('Shipping'));
    await send(handle);
    if (way === 'the update') await handle.executeUpdate(say.cancel, { args: [{ by: 'ann' }] });
    else await handle.cancel();
    const error = await handle.result().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(WorkflowFailedError);
    expect(error instanceof WorkflowFailedError && error.cause).toBeInstanceOf(CancelledFailure);
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    const status = await handle.query(say.status);
    expect(status).toMatchObject({ stage: 'Cancelled', state: 'Cancelled', importJob: 'Cancelled' });
    expect(sites.asked('startSchedule')).toMatchObject([{ paused: false }, { paused: true }]);
    expect(sites.asked('withdrawImport')).toMatchObject([
      { staging: expect.any(String), undo: ['import-job', 'drive-keys', 'landing'] },
    ]);
    const records = sites.asked('keepRecord').map((request) => JSON.parse(JSON.stringify(request)).state.stage);
    expect(records.at(-1)).toBe('Cancelled');
  });

  test('while a drive is written waits for its host to let go, and then undoes', async () => {
    const { sites } = stage;
    const order: string[] = [];
    const handle = await startJob(stage, 'cancel-writing');
    await until(handle, atStage('Preparing'));
    sites.behaviour.prepareDrive = async () => {
      const { Context } = await import('@temporalio/activity');
      const beats = setInterval(() => Context.current().heartbeat(), 200);
      try {
        return await Context.current().cancelled;
      } finally {
        clearInterval(beats);
        await new Promise((resolve) => setTimeout(resolve, 500));
        order.push('let go');
      }
    };
    sites.behaviour.withdrawImport = async () => {
      order.push('undone');
    };
    await prepare(handle, FIRST);
    await until(handle, () => sites.asked('prepareDrive').length === 1);
    await handle.executeUpdate(say.cancel, { args: [{ by: 'ann' }] });
    await handle.result().catch(() => undefined);
    expect(order).toEqual(['let go', 'undone']);
  });

  test('in staging states nothing and undoes nothing', async () => {
    const { sites } = stage;
    sites.behaviour.stageBackup = async () => {
      throw attention('SpaceExhausted');
    };
    const handle = await startJob(stage, 'cancel-early');
    await until(handle, asks('SpaceExhausted'));
    await decide(handle, 'abort');
    await handle.result().catch(() => undefined);
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    expect([...sites.asked('statePoint'), ...sites.asked('withdrawImport')]).toEqual([]);
  });

  test('a child is ended with its parent', async () => {
    const { client } = stage;
    const handle = await startJob(stage, 'cancel-child');
    await until(handle, atStage('Preparing'));
    await prepare(handle, FIRST);
    await until(handle, atStage('Shipping'));
    await handle.cancel();
    await handle.result().catch(() => undefined);
    const child = client.workflow.getHandle(childId.shipping(idOf('cancel-child')));
    expect((await child.describe()).status.name).toBe('CANCELLED');
  });
});

describe('a drive at the dock', () => {
  test('that cannot be read is attached again at another dock, and goes on there', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'again');
    await travelled(handle);
    sites.behaviour.ingestDrive = async () => {
      throw attention('DriveForeign', 'this is another drive');
    };
    await dock(handle, FIRST, 'dock1');
    const asked = await until(handle, asks('DriveForeign'));
    expect(asked.drives[0]?.state).toBe('Faulted');
    sites.behaviour = {};
    await dock(handle, FIRST, 'dock2');
    expect(await handle.result()).toMatchObject({ drives: 1, lostDrives: 0 });
    const docks = sites.calls.filter(({ step }) => step === 'ingestDrive').map(({ queue }) => queue);
    expect(docks).toEqual(['dock.eu-west.dock1.data', 'dock.eu-west.dock2.data']);
  });

  test('that is given up is sent over the line, its own objects only', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'given-up');
    await until(handle, atStage('Preparing'));
    await prepare(handle, FIRST, OBJECTS / 2);
    await prepare(handle, SECOND);
    await until(handle, atStage('Shipping'));
    await send(handle);
    await take(handle, FIRST, SECOND);
    await dock(handle, FIRST);
    await until(handle, driveIn(FIRST, 'Completed'));
    sites.behaviour.ingestDrive = async () => {
      throw attention('DriveFailed', 'it clicks');
    };
    await dock(handle, SECOND);
    await until(handle, asks('DriveFailed'));
    await decide(handle, 'send');
    expect(await handle.result()).toMatchObject({ drives: 2, lostDrives: 1 });
    const sent = sites.calls.filter(({ step, queue }) => step === 'sendPacks' && queue.startsWith('source'));
    expect(sent.map(({ request }) => request)).toMatchObject([{ ranges: [{ from: OBJECTS / 2, to: OBJECTS }] }]);
  });
});
