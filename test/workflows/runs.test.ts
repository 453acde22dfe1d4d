/** Backups over the line, restores and upkeep: the runs that are no journey. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import type { RestorationRequest } from '../../domain/request.ts';
import { backupId, restorationId, upkeepId } from '../../domain/seeding-job.ts';
import type { backup } from '../../workflows/backup.ts';
import * as say from '../../workflows/definitions.ts';
import type { restoration } from '../../workflows/restoration.ts';
import type { upkeep } from '../../workflows/upkeep.ts';
import { attention, decide, digest, JOB, openSkippingServer, openStage, POINT, type Stage } from './fake-sites.ts';

let stage: Stage;

beforeAll(async () => {
  stage = await openStage(await openSkippingServer(), { owners: ['ann1'] });
}, 120_000);
afterAll(() => stage?.close(), 30_000);
beforeEach(() => stage.sites.reset());

const { vault, machine, protection, heartbeatMs } = JOB;

function start(workflowId: string) {
  stage.started.push(workflowId);
  return { workflowId, taskQueue: 'control' };
}

async function waiting(handle: WorkflowHandle, code: string): Promise<say.WorkStatus> {
  for (let asked = 0; asked < 200; asked += 1) {
    const status = await handle.query(say.workStatus);
    if (code === '' ? status.attention.length === 0 : status.attention.some((one) => one.code === code)) return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no ${code}: ${JSON.stringify(await handle.query(say.workStatus))}`);
}

async function closed(workflowId: string): Promise<void> {
  for (let asked = 0; asked < 200; asked += 1) {
    const found = await stage.client.workflow
      .getHandle(workflowId)
      .describe()
      .catch(() => undefined);
    if (found && found.status.name !== 'RUNNING') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${workflowId} does not end`);
}

describe('a backup', () => {
  const backUp = (at: string) =>
    stage.client.workflow.start<typeof backup>('backup', {
      ...start(`${backupId(vault, machine, protection)}-${at}`),
      args: [{ vault, machine, protection, heartbeatMs }],
    });

  test('stages and sends side by side, and the mover states its point', async () => {
    const { sites } = stage;
    const handle = await backUp('0');
    expect(await handle.result()).toMatchObject({ objects: sites.objects });
    expect(sites.asked('statePoint')).toEqual([]);
    expect(sites.asked('sendPacks')).toMatchObject([{ claim: true, from: { kind: 'spool' } }]);
    await closed(upkeepId(vault));
    expect(sites.asked('observeVault')).toHaveLength(1);
  });

  test('whose mover is of an older release, and only drains, has its point stated when both are done', async () => {
    const { sites } = stage;
    const order: string[] = [];
    let drained = () => {};
    const draining = new Promise<void>((resolve) => {
      drained = resolve;
    });
    sites.behaviour.stageBackup = async ({ run, step }) => {
      await draining; // a full spool: it goes on only because the mover runs beside it
      order.push('staged');
      const counts = { objects: 2, sealedBytes: 2000, readBytes: 4000, files: 1, skippedFiles: 0 };
      return { run, step, receipt: digest(9), point: { ...POINT, kind: 'incremental' }, packSet: digest(2), ...counts };
    };
    sites.behaviour.sendPacks = async ({ run, step }) => {
      order.push('sending');
      drained();
      return { run, step, receipt: digest(9), objects: 2, bytes: 2000, missing: 0, missingRanges: [] };
    };
    sites.behaviour.statePoint = async ({ run, step, point }) => {
      order.push('stated');
      return { run, step, receipt: digest(9), point };
    };
    const handle = await backUp('1');
    expect(await handle.result()).toMatchObject({ point: { kind: 'incremental' }, bytes: 2000 });
    expect(order).toEqual(['sending', 'staged', 'stated']);
    const [asked] = sites.asked('stageBackup').map((request) => JSON.parse(JSON.stringify(request)));
    expect(asked).toMatchObject({ machine, protection, to: { kind: 'spool' } });
    expect(asked.run).toMatch(/^files\.\d{8}T\d{6}Z\.[0-9a-f]{8}$/);
    await closed(upkeepId(vault));
    expect(sites.asked('observeVault')).toHaveLength(1);
  });

  test('does not wait for upkeep, and has a look that runs followed by another', async () => {
    const { sites } = stage;
    let release = () => {};
    const looking = new Promise<void>((resolve) => {
      release = resolve;
    });
    sites.behaviour.observeVault = async () => {
      await looking;
      return { receipt: digest(3), points: 1, restorable: 1, objects: 2 };
    };
    const running = await stage.client.workflow.start<typeof upkeep>('upkeep', {
      ...start(upkeepId(vault)),
      args: [{ vault, heartbeatMs }],
    });
    const handle = await backUp('2');
    await handle.result();
    release();
    await running.result();
    expect(sites.asked('observeVault')).toHaveLength(2);
  });

  test('asks in its own workflow, and shows it in the lists', async () => {
    stage.sites.behaviour.sendPacks = async () => {
      throw attention('StorageRefused', 'the vault refuses this machine');
    };
    const handle = await backUp('3');
    await waiting(handle, 'StorageRefused');
    const { searchAttributes } = await handle.describe();
    expect(searchAttributes).toMatchObject({ SeedshipAttention: ['StorageRefused'], SeedshipState: ['Attention'] });
    stage.sites.behaviour = {};
    await decide(handle, 'retry');
    await handle.result();
    expect((await handle.describe()).searchAttributes).toMatchObject({ SeedshipState: ['Done'] });
  });

  test('cancelled by the update ends as Canceled', async () => {
    stage.sites.behaviour.stageBackup = async () => {
      throw attention('SpaceExhausted');
    };
    const handle = await backUp('4');
    await waiting(handle, 'SpaceExhausted');
    await handle.executeUpdate(say.cancel, { args: [{ by: 'ann' }] });
    await handle.result().catch(() => undefined);
    expect((await handle.describe()).status.name).toBe('CANCELLED');
  });
});

describe('a restore', () => {
  const restore = (id: string, owner: string) => {
    const request: RestorationRequest = { vault, owner, id, request: digest(6), heartbeatMs };
    return stage.client.workflow.start<typeof restoration>('restoration', {
      ...start(restorationId(vault, id)),
      args: [request],
    });
  };

  test('runs on the process that was unlocked', async () => {
    const handle = await restore('r1', 'ann1');
    expect(await handle.result()).toMatchObject({ files: 7, skippedFiles: 0 });
    expect(stage.sites.calls.find(({ step }) => step === 'restoreFiles')?.queue).toBe('owner.ann1.data');
  });

  test('waits as Locked while that process is gone, and goes on when it is back', async () => {
    const { sites } = stage;
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    sites.offline.add('owner.ann1.data');
    sites.behaviour.restoreFiles = async ({ run, step }) => {
      await held;
      return { run, step, receipt: digest(9), files: 7, bytes: 7000, skippedFiles: 0 };
    };
    const handle = await restore('r2', 'ann1');
    const status = await waiting(handle, 'Locked');
    expect(status.attention[0]).toMatchObject({ hint: 'unlock with `seedship restore`', clearsItself: true });
    sites.offline.clear();
    await waiting(handle, '');
    release();
    expect(await handle.result()).toMatchObject({ files: 7 });
  });
});
