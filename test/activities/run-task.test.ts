import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { runTask } from '../../activities/run-task.ts';
import { KIB } from '../../domain/units.ts';
import type { DrainTask, SendTask } from '../../pipeline/child-tasks.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { newTestVault, perform, stagingTask, type TestVault, Workbench } from '../pipeline/fixture.ts';

const STALL_MS = 2500;
const bench = new Workbench('run-task');
let vault: TestVault;
beforeAll(async () => {
  vault = await newTestVault();
  for (const name of ['staging', 'vault']) await preparePlace(bench.at(name));
});
afterAll(() => bench.close());

const url = (name: string) => `file://${bench.at(name)}`;
const common = () => ({ run: 'r', time: '2026-11-23T02:00:00.000Z', vaultId: vault.vaultId });

/** A drain whose backup has nothing to say. */
function drain(): DrainTask {
  const of = { machine: 'hq', protection: 'home', stateDirectory: bench.at('state') };
  const rest = { directory: bench.at('spool'), to: { url: url('vault') }, stageStep: 'stage', ...of };
  return { ...common(), kind: 'transfer', mode: 'drain', step: 'send', ...rest };
}

/** Runs a drain in an activity; its outcome in a word once it has one. */
function draining() {
  const environment = new MockActivityEnvironment();
  const seen = { environment, outcome: '' };
  void environment
    .run(() => runTask(drain(), vault.secrets, { stallMs: STALL_MS }))
    .then(
      () => 'done',
      (error) => `${error.code ?? error.name}`,
    )
    .then((outcome) => {
      seen.outcome = outcome;
    });
  return seen;
}

describe('watching a child', () => {
  test('one that waits for another step is left in peace, until it is called off', async () => {
    const seen = draining();
    await sleep(4 * STALL_MS);
    expect(seen.outcome).toBe('');
    seen.environment.cancel();
    await sleep(500);
    expect(seen.outcome).toBe('CancelledFailure');
  });

  test('one that stands still while it should wait is Stalled', async () => {
    const seen = draining();
    await sleep(2000);
    const { stdout } = spawnSync('pgrep', ['-P', `${process.pid}`, '-f', 'child-entry'], { encoding: 'utf8' });
    process.kill(Number(stdout), 'SIGSTOP');
    await sleep(2 * STALL_MS);
    expect(seen.outcome).toBe('Stalled');
  });

  test('one that is held to a rate for longer than the limit is left in peace', async () => {
    const source = bench.makeDirectory('source');
    writeFileSync(
      `${source}/file`,
      Buffer.alloc(200 * KIB, 'x').map((_, at) => Math.imul(at, 2654435761) >>> 13),
    );
    const staged = await perform(stagingTask(vault, bench, source), vault.secrets);
    const task: SendTask = {
      ...{ ...common(), kind: 'transfer', mode: 'send', step: 'slow', packSet: staged.packSet, what: 'objects' },
      ...{ from: { url: url('staging') }, to: { url: url('vault') } },
      bytesPerSecondMax: (staged.sealedBytes / STALL_MS) * 333,
    };
    const begun = performance.now();
    const run = () => runTask(task, vault.secrets, { stallMs: STALL_MS });
    expect(await new MockActivityEnvironment().run(run)).toMatchObject({ objects: staged.objects });
    expect(performance.now() - begun).toBeGreaterThan(2.5 * STALL_MS);
  });
});
