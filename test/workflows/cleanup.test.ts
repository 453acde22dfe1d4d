import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { CleanupRequest } from '../../domain/request.ts';
import type { cleanup } from '../../workflows/cleanup.ts';
import { digest, JOB, openSkippingServer, openStage, PLAN, type Stage } from './fake-sites.ts';

let stage: Stage;

beforeAll(async () => {
  stage = await openStage(await openSkippingServer(), { cached: 0 });
}, 120_000);
afterAll(() => stage?.close(), 30_000);
beforeEach(() => stage.sites.reset());

function start(job: string, more: Partial<CleanupRequest> = {}) {
  const workflowId = `cleanup/${JOB.vault}/${job}`;
  stage.started.push(workflowId);
  const request = { vault: JOB.vault, job, machine: JOB.machine, by: 'ann', dryRun: false, heartbeatMs: 5000, ...more };
  return stage.client.workflow.start<typeof cleanup>('cleanup', { workflowId, taskQueue: 'control', args: [request] });
}

const STEPS = ['planCleanup', 'proveVault', 'clearLanding', 'clearStaging', 'keepCleanup'];
const steps = () => stage.sites.calls.map(({ step }) => step).filter((step) => STEPS.includes(step));

describe('cleaning up', () => {
  test('reads the vault back, empties landing, then staging, and writes down the proof', async () => {
    const result = await (await start('clean')).result();
    expect(result).toMatchObject({
      proof: { objects: 100, receipt: digest(9) },
      removed: { landing: 100, staging: 100 },
    });
    expect(steps()).toEqual(STEPS);
    expect(stage.sites.asked('keepCleanup')).toMatchObject([
      { job: 'clean', by: 'ann', objects: 100, removed: 200, proof: { step: 'proof', receipt: digest(9) } },
    ]);
    expect(stage.sites.asked('clearStaging')).toMatchObject([
      { place: 'shelf', packSet: digest(2), keep: [], drives: [] },
    ]);
  });

  test.each([
    ['damaged', { missing: 0, damaged: 1 }],
    ['missing', { missing: 1, damaged: 0 }],
  ])('removes nothing while one object of the vault is %s', async (_, loss) => {
    const { sites } = stage;
    sites.behaviour.proveVault = async ({ run, step }) => {
      return { run, step, receipt: digest(9), objects: 99, bytes: 1, ...loss };
    };
    const result = await (await start(`refused-${_}`)).result();
    expect(result.refused).toMatch(/^the vault lacks/);
    expect(result.proof).toMatchObject(loss);
    expect(steps()).toEqual(['planCleanup', 'proveVault']);
  });

  test('removes nothing, and reads nothing, while the job needs what is there', async () => {
    stage.sites.behaviour.planCleanup = async () => {
      const { packSet: _, ...plan } = PLAN;
      return { ...plan, refused: 'the job is Copying: its point is not complete yet' };
    };
    expect(await (await start('early')).result()).toEqual({
      refused: 'the job is Copying: its point is not complete yet',
    });
    expect(steps()).toEqual(['planCleanup']);
  });

  test('as a dry run gives the proof and removes nothing', async () => {
    const result = await (await start('dry', { dryRun: true })).result();
    expect([result.proof?.objects, result.removed]).toEqual([100, undefined]);
    expect(steps()).toEqual(['planCleanup', 'proveVault']);
  });
});
