import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { ErasureRequest } from '../../domain/request.ts';
import { workStatus } from '../../workflows/definitions.ts';
import type { erasure } from '../../workflows/erasure.ts';
import { DRIVES, JOB, openSkippingServer, openStage, type Stage } from './fake-sites.ts';

let stage: Stage;
const [drive] = DRIVES;

beforeAll(async () => {
  stage = await openStage(await openSkippingServer(), { cached: 0 });
}, 120_000);
afterAll(() => stage?.close(), 30_000);
beforeEach(() => stage.sites.reset());

function start(job: string, more: Partial<ErasureRequest> = {}) {
  const workflowId = `erase/${JOB.vault}/${job}/${drive}`;
  stage.started.push(workflowId);
  const request: ErasureRequest = {
    ...{ vault: JOB.vault, job, machine: JOB.machine, drive, queue: 'copy.copy1', host: 'copy1' },
    ...{ serial: 'WD-1', full: true, by: 'ann', heartbeatMs: 5000, ...more },
  };
  return stage.client.workflow.start<typeof erasure>('erasure', { workflowId, taskQueue: 'control', args: [request] });
}

const STEPS = ['planErasure', 'withdrawImport', 'eraseDrive', 'keepErasure', 'forgetStagedKeys', 'keepErasure'];
const steps = () => stage.sites.calls.map(({ step }) => step).filter((step) => STEPS.includes(step));

describe('erasing a drive', () => {
  test('deletes its keys, then overwrites it, and writes both down', async () => {
    const { erased } = await (await start('whole')).result();
    expect(steps()).toEqual(STEPS);
    expect(stage.sites.asked('withdrawImport')).toMatchObject([
      { landing: 'dropbox', staging: 'shelf', drives: [drive], undo: ['drive-keys'] },
    ]);
    expect(stage.sites.asked('forgetStagedKeys')).toMatchObject([{ place: 'shelf', drives: [drive] }]);
    expect(erased).toMatchObject({ drive, by: 'ann', serial: 'WD-1', full: true, bytes: 128, stagedKeysGone: true });
    expect(stage.sites.asked('keepErasure')).toMatchObject([
      { erased: { stagedKeysGone: false } },
      { erased: { stagedKeysGone: true } },
    ]);
  });

  test('says which serial number was sent, when the disk has another', async () => {
    stage.sites.behaviour.planErasure = async () => ({
      ...{ landings: ['dropbox'], staging: 'shelf', region: 'eu-west', machine: 'hq', serial: 'WD-0' },
    });
    expect((await (await start('other')).result()).erased).toMatchObject({ serial: 'WD-1', sentSerial: 'WD-0' });
  });

  test('touches nothing while the drive may still be needed', async () => {
    stage.sites.behaviour.planErasure = async () => ({
      ...{ landings: [], staging: 'shelf', region: 'eu-west', machine: 'hq', refused: 'it is Shipped' },
    });
    expect(await (await start('early')).result()).toEqual({ refused: 'it is Shipped' });
    expect(steps()).toEqual(['planErasure']);
  });

  test('does not wait for an absent source before the drive is overwritten and that is written down', async () => {
    stage.sites.offline.add('source.hq.data');
    let back = (): void => {};
    stage.sites.behaviour.forgetStagedKeys = () =>
      new Promise((done) => {
        back = () => done();
      });
    const handle = await start('absent');
    for (let tries = 0; tries < 200 && steps().length < 4; tries++) await new Promise((done) => setTimeout(done, 50));
    expect(steps().slice(0, 4)).toEqual(STEPS.slice(0, 4));
    for (let tries = 0; tries < 200; tries++) {
      if ((await handle.query(workStatus)).attention.length > 0) break;
      await new Promise((done) => setTimeout(done, 50));
    }
    expect((await handle.query(workStatus)).attention).toMatchObject([{ code: 'HostOffline', step: 'staged-keys' }]);
    stage.sites.offline.clear();
    back();
    expect((await handle.result()).erased?.stagedKeysGone).toBe(true);
  });
});
