import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker, type WorkflowBundleOption } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { REPLAY, workflows } from './fake-sites.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = path.join(root, 'test', 'histories');
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));

/** Replays a saved history under its own id: children are named after it. */
async function replay(workflowBundle: WorkflowBundleOption, name: string): Promise<void> {
  const history = JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
  const { workflowId } = history.events[0].workflowExecutionStartedEventAttributes;
  await Worker.runReplayHistory({ workflowBundle, ...REPLAY }, history, workflowId);
}

beforeAll(() => {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: 'OFF', forward: {} } },
  });
});

describe('a history of a release before', () => {
  test('is there for each workflow', () => {
    const kinds = new Set(
      files.map((name) =>
        name
          .replace(/\.json$/, '')
          .split('.')
          .at(-1),
      ),
    );
    for (const kind of ['seeding', 'drive-preparation', 'shipping', 'drive-ingest', 'backup', 'restoration', 'upkeep'])
      expect(kinds).toContain(kind);
  });

  test.each(files)('%s replays against the code of today', async (name) => {
    await replay(await workflows(), name);
  });
});

describe('a planted change of order', () => {
  const planted = path.join(root, 'test', 'tmp');
  let dir = '';
  afterAll(() => rmSync(dir, { recursive: true }));

  test('is caught by replaying', async () => {
    mkdirSync(planted, { recursive: true });
    dir = mkdtempSync(path.join(planted, 'planted-'));
    for (const stratum of ['domain', 'workflows'])
      cpSync(path.join(root, stratum), path.join(dir, stratum), { recursive: true });
    const seeding = path.join(dir, 'workflows', 'seeding.ts');
    const [state, schedule] = ['await steps.state(staged);', 'await steps.schedule({ paused: false });'];
    const text = readFileSync(seeding, 'utf8');
    const changed = text.replace(schedule, '').replace(state, `${schedule} ${state}`);
    expect(changed.indexOf(schedule)).toBeLessThan(changed.indexOf(state));
    writeFileSync(seeding, changed);
    const workflowBundle = await bundleWorkflowCode({
      workflowsPath: path.join(dir, 'workflows', 'registry.ts'),
      workflowInterceptorModules: [path.join(dir, 'workflows', 'full-turns.ts')],
      logger: new DefaultLogger('ERROR'),
    });
    const name = files.find((file) => file.endsWith('.seeding.json')) ?? '';
    await expect(replay(workflowBundle, name)).rejects.toThrow(DeterminismViolationError);
  });
});
