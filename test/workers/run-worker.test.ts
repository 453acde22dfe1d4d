import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { observing } from '../../activities/observe-host.ts';
import { scheduling } from '../../activities/start-schedule.ts';
import type { ControlSteps, ScheduleRequest } from '../../domain/request.ts';
import { connectClient, type TemporalClient } from '../../host/connections.ts';
import { findTemporal, serverSearch } from '../../host/server-programs.ts';
import { startTemporal, type TemporalServer } from '../../host/servers.ts';
import { loadSettings, type Settings } from '../../host/settings.ts';
import { type RunningWorkers, startWorkers } from '../../workers/run-worker.ts';

const HEARTBEAT_SECONDS = 4;
let dir: string;
let server: TemporalServer;
let settings: Settings;
let temporal: TemporalClient;
let workers: RunningWorkers;
let calls = 0;

function settingsFor(address: string): Settings {
  const flags = {
    'state-dir': path.join(dir, 'state'),
    'temporal-address': address,
    'heartbeat-seconds': String(HEARTBEAT_SECONDS),
  };
  return loadSettings({ flags, environment: { HOME: dir }, directory: dir, systemFile: '/none' });
}

function call<N extends keyof ControlSteps>(step: N, request: Parameters<ControlSteps[N]>[0], attempts = 90) {
  calls += 1;
  const retry = { initialInterval: 500, backoffCoefficient: 1, maximumAttempts: attempts };
  const options = { id: `call-${calls}`, taskQueue: 'control', args: [request], startToCloseTimeout: 20_000, retry };
  return temporal.client.activity.execute(step, options);
}

/** A worker of a queue, in a process of its own; `step` is the source of its one activity. */
function startElsewhere(queue: string, step = 'async () => 1', data = false): ChildProcess {
  const at = (file: string) => fileURLToPath(new URL(`../../dist/${file}`, import.meta.url));
  const flags = {
    'state-dir': settings.stateDirectory,
    'temporal-address': settings.temporal.address,
    'heartbeat-seconds': String(HEARTBEAT_SECONDS),
  };
  const script = `
    import { Context } from '@temporalio/activity';
    const { runWorkers } = await import('${at('workers/run-worker.js')}');
    const { loadSettings } = await import('${at('host/settings.js')}');
    const plan = { queue: '${queue}', activities: { step: ${step} }, slots: 1, data: ${data}, workflows: false };
    await runWorkers(loadSettings({ flags: ${JSON.stringify(flags)} }), [plan]);`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
}

function ended(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => child.once('exit', resolve));
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await holds()); await sleep(100))
    if (Date.now() > end) throw new Error('it never held');
}

beforeAll(async () => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'seedship-worker-'));
  server = await startTemporal({
    program: await findTemporal(serverSearch(process.env)),
    dir: path.join(dir, 'temporal'),
  });
  settings = settingsFor(server.address);
  temporal = await connectClient(settings);
  const activities = { ...observing(settings), ...scheduling() };
  workers = await startWorkers(settings, [{ queue: 'control', activities, slots: 10, data: false, workflows: false }]);
});
afterAll(async () => {
  await workers?.stop();
  await temporal?.close();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe('a connection', () => {
  test('to nobody is Unreachable within seconds, for commands and for workers', async () => {
    const nobody = settingsFor('127.0.0.1:1');
    await expect(connectClient(nobody)).rejects.toMatchObject({ code: 'Unreachable' });
    await expect(startWorkers(nobody, [])).rejects.toMatchObject({ code: 'Unreachable' });
  });
});

describe('a host', () => {
  test('is seen when it comes, when it is killed, and when it is stopped', async () => {
    const seen = (until: 'present' | 'absent') => call('observeHost', { queue: 'copy.one', until });
    await expect(seen('absent')).resolves.toEqual({ queue: 'copy.one', present: false });
    const killed = startElsewhere('copy.one');
    await expect(seen('present')).resolves.toEqual({ queue: 'copy.one', present: true });
    await sleep(3000); // one that dies before its first heartbeat is seen by its polls alone, a minute later
    killed.kill('SIGKILL');
    await expect(seen('absent')).resolves.toEqual({ queue: 'copy.one', present: false });
    const stopped = startElsewhere('copy.one');
    await seen('present');
    stopped.kill('SIGTERM');
    expect(await ended(stopped)).toBe(0);
    await seen('absent');
  }, 60_000);

  test('that is not as asked is waited for by failing, without alarm', async () => {
    const failure = call('observeHost', { queue: 'copy.nobody', until: 'present' }, 1);
    await expect(failure).rejects.toMatchObject({ cause: { type: 'Waiting', category: 'BENIGN' } });
  });

  test('is away only when a second look says so: a worker that was just started polls in a moment', async () => {
    const once = call('observeHost', { queue: 'copy.nobody', until: 'absent' }, 1);
    await expect(once).rejects.toMatchObject({ cause: { type: 'Waiting' } });
    const twice = call('observeHost', { queue: 'copy.nobody', until: 'absent' }, 2);
    await expect(twice).resolves.toEqual({ queue: 'copy.nobody', present: false });
  });
});

describe('a worker that is told to stop', () => {
  test('hands its long step back with what it had told, and the next worker goes on at once', async () => {
    const nap =
      'async () => { for (let n = 1; ; n += 1) { Context.current().heartbeat(n); await Context.current().sleep(50); } }';
    const first = startElsewhere('dock.x.data', nap, true);
    const options = { id: 'nap', taskQueue: 'dock.x.data', startToCloseTimeout: 600_000, heartbeatTimeout: 120_000 };
    const step = await temporal.client.activity.start('step', options);
    await until(async () => (await step.describe({ includeHeartbeatDetails: true })).hasHeartbeatDetails);
    first.kill('SIGTERM');
    expect(await ended(first)).toBe(0);
    const look =
      'async () => ({ attempt: Context.current().info.attempt, from: Context.current().info.heartbeatDetails })';
    const second = startElsewhere('dock.x.data', look, true);
    const { attempt, from } = await step.result();
    second.kill('SIGTERM');
    await ended(second);
    expect([attempt, from >= 1]).toEqual([2, true]);
  }, 60_000);
});

test('a desk, which has no steps, stays until it is told to stop', async () => {
  const at = (file: string) => fileURLToPath(new URL(`../../dist/${file}`, import.meta.url));
  const script = `
    const { runWorkers } = await import('${at('workers/run-worker.js')}');
    const { loadSettings } = await import('${at('host/settings.js')}');
    console.log('stays');
    await runWorkers(loadSettings(), []);`;
  const desk = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve) => desk.stdout.once('data', resolve));
  await sleep(500);
  expect(desk.exitCode).toBeNull();
  desk.kill('SIGTERM');
  expect(await ended(desk)).toBe(0);
});

describe('a schedule', () => {
  const request: ScheduleRequest = {
    vault: 'main',
    machine: 'hq',
    protection: 'files',
    schedule: 'daily 02:00,14:00',
    timezone: 'Europe/Berlin',
    heartbeatMs: 5000,
    paused: true,
  };
  const handle = () => temporal.client.schedule.getHandle('schedule/main/hq/files');

  test('is made paused, changed and let go, whoever asks twice', async () => {
    await call('startSchedule', request);
    await call('startSchedule', { ...request, schedule: 'weekly sat 22:00' });
    const made = await handle().describe();
    expect(made.state.paused).toBe(true);
    expect(made.spec.calendars?.[0]?.dayOfWeek).toEqual([{ start: 'SATURDAY', end: 'SATURDAY', step: 1 }]);
    await call('startSchedule', { ...request, paused: false });
    await call('startSchedule', { ...request, paused: false });
    expect((await handle().describe()).state.paused).toBe(false);
  });

  test('that a person paused stays paused', async () => {
    await handle().pause('the uplink is being repaired');
    await call('startSchedule', { ...request, paused: false });
    expect((await handle().describe()).state).toMatchObject({ paused: true, note: 'the uplink is being repaired' });
  });

  test('starts the backup of its protection, by its business id', async () => {
    const { action } = await handle().describe();
    expect(action).toMatchObject({ workflowType: 'backup', workflowId: 'backup/main/hq/files', taskQueue: 'control' });
  });
});

test('cancelling what has ended does no harm', async () => {
  await expect(call('requestCancel', { workflowId: 'seed/main/none' })).resolves.toBeUndefined();
});
