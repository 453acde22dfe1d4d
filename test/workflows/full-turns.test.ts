/** A worker that has forgotten a workflow hears an update after a turn that asked for nothing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { findTemporal, serverSearch } from '../../host/server-programs.ts';
import { NAMESPACE, startTemporal } from '../../host/servers.ts';
import { REPLAY } from './fake-sites.ts';
import { type lateReader, read } from './late-reader.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-turns-'));
const logger = new DefaultLogger('ERROR');
let server: Awaited<ReturnType<typeof startTemporal>>;
let env: TestWorkflowEnvironment;

beforeAll(async () => {
  Runtime.install({ logger, telemetryOptions: { logging: { filter: 'OFF', forward: {} } } });
  server = await startTemporal({ program: await findTemporal(serverSearch(process.env)), dir });
  env = await TestWorkflowEnvironment.createFromExistingServer({ address: server.address, namespace: NAMESPACE });
}, 120_000);
afterAll(async () => {
  await env?.teardown();
  await server?.stop();
  rmSync(dir, { recursive: true });
});

/** Runs it without a cache, and replays what it left. @returns what the update saw */
async function readLate(name: string, modules: readonly string[]): Promise<boolean> {
  const at = (file: string) => fileURLToPath(new URL(file, import.meta.url));
  const workflowInterceptorModules = modules.map(at);
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: at('late-reader.ts'),
    workflowInterceptorModules,
    logger,
  });
  const activities = { look: (ms: number) => sleep(ms) };
  const queue = { connection: env.nativeConnection, namespace: NAMESPACE, taskQueue: name };
  const worker = await Worker.create({ ...queue, workflowBundle, activities, maxCachedWorkflows: 0 });
  const { workflow } = env.client;
  const saw = await worker.runUntil(async () => {
    const handle = await workflow.start<typeof lateReader>('lateReader', { workflowId: name, taskQueue: name });
    await sleep(2500); // both turns are over
    const answer = await handle.executeUpdate(read);
    await handle.result();
    return answer;
  });
  const history = await workflow.getHandle(name).fetchHistory();
  await Worker.runReplayHistory({ workflowBundle, ...REPLAY }, history, name);
  return saw;
}

test('the update sees what happened before it, and so does the replay', async () => {
  expect(await readLate('full', ['../../workflows/full-turns.ts'])).toBe(true);
}, 60_000);

test('without full turns it does not: should this test fail, the SDK has been cured and full-turns.ts can go', async () => {
  await expect(readLate('empty', [])).rejects.toThrow(DeterminismViolationError);
}, 60_000);
