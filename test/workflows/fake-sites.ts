/**
 * Every site, in memory: each step answers at once with a plausible receipt, unless a test says
 * otherwise. What is under test is the order of steps, which is pure.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { Client, type WorkflowHandle, WorkflowUpdateFailedError } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import {
  bundleWorkflowCode,
  DefaultLogger,
  Runtime,
  Worker,
  type WorkflowBundleWithSourceMap,
} from '@temporalio/worker';
import type { Choice } from '../../domain/attention.ts';
import { countObjects } from '../../domain/drive.ts';
import type { CleanupPlan } from '../../domain/leftovers.ts';
import type { Digest } from '../../domain/names.ts';
import type { ObjectRange, PointRef } from '../../domain/receipt.ts';
import type * as request from '../../domain/request.ts';
import { type JobStatus, type SeedingRequest, seedingId } from '../../domain/seeding-job.ts';
import { findTemporal, findTestServer, serverSearch } from '../../host/server-programs.ts';
import { NAMESPACE, SEARCH_ATTRIBUTES, startTemporal } from '../../host/servers.ts';
import * as say from '../../workflows/definitions.ts';
import type { seeding } from '../../workflows/seeding.ts';

type Steps = request.SourceSteps &
  request.CopySteps &
  request.DockSteps &
  request.RecordSteps &
  request.CleanupSteps &
  request.EraseSteps &
  request.ErasureSteps &
  request.ControlSteps &
  request.OwnerSteps &
  Pick<request.VaultSteps, 'observeVault' | 'proveVault' | 'clearLanding'>;

export type Behaviour = { [K in keyof Steps]?: Steps[K] };

export const OBJECTS = 100;
export const OBJECT_BYTES = 1000;

export const JOB: SeedingRequest = {
  vault: 'safe',
  machine: 'hq',
  protection: 'files',
  job: 'hq-2026',
  region: 'eu-west',
  staging: 'shelf',
  landing: 'dropbox',
  schedule: 'daily 02:00',
  timezone: 'UTC',
  returns: false,
  startedBy: 'ann',
  heartbeatMs: 5000,
};

export const DRIVES = ['7F3A00000000C0DE', '9B1C00000000C0DE', '11AA00000000C0DE'] as const;

const BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** A digest that says nothing: `number`, repeated. */
export function digest(number: number): Digest {
  const text = BYTES[number % 256]?.repeat(32) ?? '';
  return text as Digest;
}

export const POINT: PointRef = {
  label: 'hq-0001-0101',
  machine: 'hq',
  protection: 'files',
  sequence: 1,
  digest: digest(1),
  kind: 'initial',
};

/** What may go after a job that has ended. */
export const PLAN: CleanupPlan = {
  packSet: digest(2),
  landings: ['dropbox'],
  staging: 'shelf',
  drives: [...DRIVES],
  keep: [],
};

/** A failure that a person must cure, as activities throw it. */
export function attention(code: string, message = 'it does not go on'): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, code, { why: '', next: `cure ${code}` });
}

export class FakeSites {
  readonly calls: { step: string; queue: string; request: unknown }[] = [];
  /** Queues that nobody polls, as `observeHost` sees it. */
  readonly offline = new Set<string>();
  behaviour: Behaviour = {};
  objects = OBJECTS;

  /** Forgets what a test before has said and seen. */
  reset(): void {
    this.calls.length = 0;
    this.offline.clear();
    this.behaviour = {};
    this.objects = OBJECTS;
  }

  steps(cancel: (workflowId: string) => Promise<void>, startNotice: request.ControlSteps['startNotice']): Steps {
    const signed = { receipt: digest(9) };
    const defaults: Steps = {
      stageBackup: async ({ run, step }) => ({
        ...signed,
        run,
        step,
        point: POINT,
        packSet: digest(2),
        objects: this.objects,
        sealedBytes: this.objects * OBJECT_BYTES,
        readBytes: this.objects * OBJECT_BYTES * 2,
        files: 7,
        skippedFiles: 0,
      }),
      statePoint: async ({ run, step, point }) => ({ ...signed, run, step, point }),
      sendPacks: async ({ run, step, ranges, claim }) => ({
        ...signed,
        run,
        step,
        objects: ranges ? countObjects(ranges) : this.objects,
        bytes: this.objects * OBJECT_BYTES,
        missing: 0,
        missingRanges: [],
        ...(claim && { stated: true }),
      }),
      observeVault: async () => ({ receipt: digest(3), points: 1, restorable: 1, objects: this.objects }),
      prepareDrive: async ({ run, step, drive, host, ranges, capacityBytes }) => {
        const carried = upTo(ranges, Math.floor(capacityBytes / OBJECT_BYTES));
        const objects = countObjects(carried);
        const bytes = objects * OBJECT_BYTES;
        const made = { epoch: 1, manifest: digest(4), wraps: [digest(5)], ranges: carried, objects, bytes };
        return { ...signed, run, step, drive, host, ...made };
      },
      ingestDrive: async ({ run, step, drive, ranges }) => {
        const taken = countObjects(ranges);
        return { ...signed, run, step, drive, copyLog: digest(6), taken, refused: 0, bytes: taken * OBJECT_BYTES };
      },
      registerImport: async ({ job, region }) => ({ job, region, record: digest(7) }),
      withdrawImport: async () => {},
      keepRecord: async () => {},
      giveUp: async ({ ranges }) => ({ repair: digest(8), objects: countObjects(ranges) }),
      startSchedule: async () => {},
      planCleanup: async () => ({ ...PLAN }),
      proveVault: async ({ run, step }) => ({
        ...signed,
        run,
        step,
        objects: this.objects,
        bytes: 1,
        missing: 0,
        damaged: 0,
      }),
      clearLanding: async () => this.objects,
      clearStaging: async () => this.objects,
      keepCleanup: async () => {},
      planErasure: async () => ({ landings: ['dropbox'], staging: 'shelf', region: 'eu-west', machine: 'hq' }),
      eraseDrive: async () => ({ bytes: 128, unwritable: 0 }),
      forgetStagedKeys: async () => {},
      keepErasure: async () => {},
      startNotice,
      announce: async () => ['pager'],
      sendNotice: async () => {},
      requestCancel: ({ workflowId }) => cancel(workflowId),
      observeHost: async ({ queue, until }) => {
        const present = !this.offline.has(queue);
        if (present === (until === 'present')) return { queue, present };
        throw ApplicationFailure.create({ type: 'Waiting', message: 'not yet' });
      },
      restoreFiles: async ({ run, step }) => ({ ...signed, run, step, files: 7, bytes: 7000, skippedFiles: 0 }),
    };
    const steps: Steps = { ...defaults };
    for (const step of Object.keys(defaults)) this.#record(steps, step);
    return steps;
  }

  /** The requests a step has been given so far. */
  asked(step: keyof Steps): unknown[] {
    return this.calls.filter((call) => call.step === step).map(({ request }) => request);
  }

  #record(steps: Steps, step: string): void {
    const table: Record<string, unknown> = steps as unknown as Record<string, unknown>;
    const plain = table[step] as (request: unknown) => Promise<unknown>;
    table[step] = (request: unknown) => {
      this.calls.push({ step, queue: Context.current().info.taskQueue, request });
      const other: Record<string, unknown> = this.behaviour;
      const chosen = other[step] as typeof plain | undefined;
      return (chosen ?? plain)(request);
    };
  }
}

/** The time-skipping server, knowing our search attributes. One a test file: its clock is everybody's. */
export async function openSkippingServer(): Promise<TestWorkflowEnvironment> {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: 'OFF', forward: {} } },
  });
  const program = await findTestServer(serverSearch(process.env));
  const begin = () =>
    TestWorkflowEnvironment.createTimeSkipping({ server: { executable: { type: 'existing-path', path: program } } });
  const env = await begin().catch(begin); // it is given five seconds, which a loaded machine may not have
  const searchAttributes = Object.fromEntries(
    Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => [name, INDEXED[type]]),
  );
  await env.connection.operatorService.addSearchAttributes({ namespace: 'default', searchAttributes });
  return env;
}

/** The real server, for what the time-skipping one does not do; nothing of it is left after `close`. */
export async function openRealStage(options: Parameters<typeof openStage>[1]): Promise<Stage> {
  const logger = new DefaultLogger('ERROR');
  Runtime.install({ logger, telemetryOptions: { logging: { filter: 'OFF', forward: {} } } });
  const dir = mkdtempSync(path.join(tmpdir(), 'seedship-stage-'));
  const server = await startTemporal({ program: await findTemporal(serverSearch(process.env)), dir });
  const { address } = server;
  const env = await TestWorkflowEnvironment.createFromExistingServer({ address, namespace: NAMESPACE });
  const stage = await openStage(env, options);
  return {
    ...stage,
    async close() {
      try {
        await stage.close();
      } finally {
        await server.stop();
        rmSync(dir, { recursive: true });
      }
    },
  };
}

/** `temporal.api.enums.v1.IndexedValueType` */
const INDEXED = { Keyword: 2, Datetime: 6, KeywordList: 7 } as const;

let bundle: Promise<WorkflowBundleWithSourceMap> | undefined;

export function workflows(): Promise<WorkflowBundleWithSourceMap> {
  bundle ??= bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../../workflows/registry.ts', import.meta.url)),
    workflowInterceptorModules: [fileURLToPath(new URL('../../workflows/full-turns.ts', import.meta.url))],
    logger: new DefaultLogger('ERROR'),
  });
  return bundle;
}

export interface Stage {
  readonly env: TestWorkflowEnvironment;
  /** Unlike the environment's own client it never lets time run: only `env.sleep` does. */
  readonly client: Client;
  readonly sites: FakeSites;
  /** Ids of workflows that tests started. */
  readonly started: string[];
  close(): Promise<void>;
}

/**
 * A server and a worker for every queue, for a whole test file: a worker that has just ended leaves
 * a poll behind, which swallows the next task. Closing replays every history that was made.
 */
export async function openStage(
  env: TestWorkflowEnvironment,
  { owners = [], cached = 100 }: { readonly owners?: readonly string[]; readonly cached?: number } = {},
): Promise<Stage> {
  const sites = new FakeSites();
  const client = new Client({ connection: env.connection, namespace: env.namespace ?? 'default' });
  const activities = sites.steps(
    async (workflowId) => {
      await client.workflow.getHandle(workflowId).cancel();
    },
    async ({ id: workflowId, notice }) => {
      await client.workflow.start('notice', { workflowId, taskQueue: 'control', args: [{ notice }] });
    },
  );
  const of = { connection: env.nativeConnection, namespace: env.namespace ?? 'default', activities };
  const workflowBundle = await workflows();
  const queues = [
    `source.${JOB.machine}.data`,
    `vault.${JOB.vault}`,
    `vault.${JOB.vault}.data`,
    ...['copy1', 'copy2'].map((host) => `copy.${host}.data`),
    ...['dock1', 'dock2'].map((host) => `dock.${JOB.region}.${host}.data`),
    'dock.eu-north.dock1.data',
    ...owners.map((id) => `owner.${id}.data`),
  ];
  const workers = await Promise.all([
    Worker.create({ ...of, taskQueue: 'control', workflowBundle, maxCachedWorkflows: cached }),
    ...queues.map((taskQueue) => Worker.create({ ...of, taskQueue })),
  ]);
  const running = Promise.all(workers.map((worker) => worker.run()));
  const started: string[] = [];
  return {
    env,
    client,
    sites,
    started,
    async close() {
      for (const worker of workers) worker.shutdown();
      await running;
      try {
        for (const workflowId of started) await replayAll(client, workflowId);
      } finally {
        await env.teardown();
      }
    },
  };
}

/** In a thread: else the SDK's promise hooks stay in this process, and under Node 24 fail whatever test comes next. */
export const REPLAY = { debugMode: false } as const;

/** Replays a workflow and its children. @throws DeterminismViolationError */
async function replayAll(client: Client, workflowId: string, runId?: string): Promise<void> {
  const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  await Worker.runReplayHistory({ workflowBundle: await workflows(), ...REPLAY }, history, workflowId);
  for (const { childWorkflowExecutionStartedEventAttributes: child } of history.events ?? [])
    if (child?.workflowExecution?.workflowId)
      await replayAll(client, child.workflowExecution.workflowId, child.workflowExecution.runId ?? undefined);
}

function upTo(ranges: readonly ObjectRange[], room: number): ObjectRange[] {
  let left = room;
  return ranges.flatMap(({ from, to }) => {
    const end = Math.min(to, from + left);
    left -= end - from;
    return end > from ? [{ from, to: end }] : [];
  });
}

/**
 * Starts a job under a name of its own; tests of a file share one server.
 *
 * Its updates are asked as client/job-acts.ts asks them: one that comes along with the events it waits
 * for is judged before them, so what is refused for the wrong state is asked once more.
 */
export async function startJob({ client, started }: Stage, job: string, more: Partial<SeedingRequest> = {}) {
  const request = { ...JOB, ...more, job };
  const workflowId = seedingId(request);
  started.push(workflowId);
  const options = { workflowId, taskQueue: 'control', args: [request] } as const;
  const handle = await client.workflow.start<typeof seeding>('seeding', options);
  const once = handle.executeUpdate.bind(handle) as (...args: unknown[]) => Promise<unknown>;
  const twice = (...args: unknown[]) =>
    once(...args).catch(async (error) => {
      if (error?.cause?.type !== 'WrongState') throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
      return once(...args);
    });
  return Object.assign(handle, { executeUpdate: twice as typeof handle.executeUpdate });
}

/** Asks until it holds; half a minute at most: a disk that others keep busy holds up the server, too. */
export async function until(
  handle: WorkflowHandle,
  holds: (status: JobStatus) => boolean,
  ms = 30_000,
): Promise<JobStatus> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    const status = await handle.query(say.status);
    if (holds(status)) return status;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  const { raw } = await handle.describe();
  throw new Error(`it stays at ${JSON.stringify([await handle.query(say.status), raw.pendingActivities], null, 1)}`);
}

export const atStage = (stage: string) => (status: JobStatus) => status.stage === stage;
export const driveIn = (id: string, state: string) => (status: JobStatus) =>
  status.drives.some((drive) => drive.id === id && drive.state === state);
export const asks = (code: string) => (status: JobStatus) => status.attention.some((one) => one.code === code);

export const shippable = (id: string) => (status: JobStatus) =>
  status.drives.some((drive) => drive.id === id && drive.state === 'Prepared' && drive.registered === true);

/** Capacity that holds so many of the seed's objects. */
export const roomFor = (objects: number) => Math.ceil((objects * OBJECT_BYTES) / 0.99);

export const prepare = (handle: WorkflowHandle, drive: string, objects = OBJECTS, host = 'copy1') =>
  handle.executeUpdate(say.prepareDrive, { args: [{ drive, host, capacityBytes: roomFor(objects), by: 'ann' }] });
export const send = (handle: WorkflowHandle, tracking = '1Z99', drives?: readonly string[]) =>
  handle.executeUpdate(say.ship, { args: [{ carrier: 'other', tracking, by: 'ann', ...(drives && { drives }) }] });
export const take = (handle: WorkflowHandle, ...drives: readonly string[]) =>
  handle.executeUpdate(say.receive, { args: [{ drives, by: 'desk' }] });
export const dock = (handle: WorkflowHandle, drive: string, host = 'dock1') =>
  handle.executeUpdate(say.attach, { args: [{ drive, region: JOB.region, host, by: 'desk' }] });
/** Everything up to the dock, on one drive. */
export async function travelled(handle: WorkflowHandle): Promise<void> {
  const [first] = DRIVES;
  await until(handle, atStage('Preparing'));
  await prepare(handle, first);
  await until(handle, atStage('Shipping'));
  await send(handle);
  await take(handle, first);
}

export const decide = (handle: WorkflowHandle, choice: Choice, attention?: string) =>
  handle.executeUpdate(say.resolve, { args: [{ choice, by: 'ann', ...(attention && { attention }) }] });

/** Every event of a workflow so far. */
export async function eventsOf({ client }: Stage, workflowId: string): Promise<number> {
  const history = await client.workflow.getHandle(workflowId).fetchHistory();
  return history.events?.length ?? 0;
}

/** What was added to a history since it had so many events, by kind. */
export async function eventsSince({ client }: Stage, workflowId: string, count: number): Promise<string[]> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const kinds = (events ?? []).slice(count).map((event) => Object.entries(event).filter(([, value]) => value !== null));
  return kinds.map((fields) => fields.map(([name]) => name).find((name) => name.endsWith('EventAttributes')) ?? '');
}

/** The failure an update was refused with. */
export async function refusal(update: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await update;
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure)
      return { code: error.cause.type ?? '', message: error.cause.message };
    throw error;
  }
  throw new Error('it was accepted');
}
