/**
 * One process's workers: one connection, one Worker a queue, drained together.
 *
 * On a signal polling stops, activities that move bytes are cancelled at once (their children die),
 * short ones get a moment to finish, and Temporal gets every task back at once: no time-out is waited for.
 * Each worker tells Temporal that it lives, often enough for observe-host to see in time when it does not.
 */
import { fileURLToPath } from 'node:url';
import {
  type Logger,
  type LogLevel,
  type LogMetadata,
  type NativeConnection,
  Runtime,
  Worker,
} from '@temporalio/worker';
import { pino } from 'pino';
import { attempt } from '../activities/attempt.ts';
import { MINUTE, SECOND } from '../domain/units.ts';
import { connectWorker } from '../host/connections.ts';
import type { Settings } from '../host/settings.ts';

const GRACE_MS = 3 * SECOND;
const FORCE_MS = 10 * SECOND;
/** What a supervisor should give a worker between SIGTERM and SIGKILL. */
export const WORKER_STOP_MS = 15 * SECOND;
/** The SDK's own limit would freeze progress bars for a minute. */
const HEARTBEAT_THROTTLE_MS = 2 * SECOND;
const WORKFLOWS_CACHED_MAX = 200;
/** Each open poll of a host that froze swallows one attempt, until its heartbeat times out. */
const DATA_POLLS = 1;
const STDERR = 2;

/** One queue this process serves. */
export interface QueuePlan {
  readonly queue: string;
  readonly activities: object;
  /** How many activities at once. */
  readonly slots: number;
  /** Its activities move bytes: they are cancelled without grace. */
  readonly data: boolean;
  readonly workflows: boolean;
}

export interface RunningWorkers {
  readonly queues: readonly string[];
  /** Resolves when all have drained; rejects with what made one fail. */
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

/** Polls until `stop`, or until a worker fails. @throws Failure `Unreachable` */
export async function startWorkers(
  settings: Settings,
  plans: readonly QueuePlan[],
  { quiet = false }: { readonly quiet?: boolean } = {},
): Promise<RunningWorkers> {
  installRuntime(settings, quiet);
  const connection = await connectWorker(settings);
  const workers = await createAll(connection, settings, plans);
  const stopAll = (): void => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  const running = workers.map((worker) => worker.run().finally(stopAll)); // one that fails takes the others along
  const done = Promise.allSettled(running).then(async (outcomes) => {
    await connection.close();
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  });
  done.catch(() => {}); // whoever waits for it hears of it
  return {
    queues: plans.map(({ queue }) => queue),
    done,
    async stop() {
      stopAll();
      await done;
    },
  };
}

/** Serves the queues until SIGINT or SIGTERM; a desk, which has none, just stays. */
export async function runWorkers(settings: Settings, plans: readonly QueuePlan[]): Promise<void> {
  const workers = plans.length === 0 ? standing() : await startWorkers(settings, plans);
  const stop = (): void => void workers.stop().catch(() => {});
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.once(signal, stop);
  try {
    await workers.done;
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}

function standing(): RunningWorkers {
  const pulse = setInterval(() => {}, MINUTE); // keeps the process
  let end: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    end = resolve;
  });
  return {
    queues: [],
    done,
    async stop() {
      clearInterval(pulse);
      end();
    },
  };
}

async function createAll(
  connection: NativeConnection,
  settings: Settings,
  plans: readonly QueuePlan[],
): Promise<Worker[]> {
  try {
    return await Promise.all(plans.map((plan) => createWorker(connection, settings, plan)));
  } catch (error) {
    await connection.close();
    throw error;
  }
}

function createWorker(connection: NativeConnection, settings: Settings, plan: QueuePlan): Promise<Worker> {
  return Worker.create({
    connection,
    namespace: settings.temporal.namespace,
    taskQueue: plan.queue,
    identity: `${settings.host}:${process.pid}`,
    activities: plan.activities,
    interceptors: { activity: [attempt], workflowModules: [compiledWorkflow('full-turns')] },
    maxConcurrentActivityTaskExecutions: plan.slots,
    maxHeartbeatThrottleInterval: HEARTBEAT_THROTTLE_MS,
    shutdownGraceTime: plan.data ? 0 : GRACE_MS,
    shutdownForceTime: FORCE_MS,
    ...(plan.data ? { maxConcurrentActivityTaskPolls: DATA_POLLS } : {}),
    ...(plan.workflows
      ? { workflowsPath: compiledWorkflow('registry'), maxCachedWorkflows: WORKFLOWS_CACHED_MAX }
      : {}),
  });
}

let installed = false;

/** Once a process: the runtime is native, and its own signal handlers would drain behind our back. */
function installRuntime({ heartbeatMs }: Settings, quiet: boolean): void {
  if (installed) return;
  installed = true;
  Runtime.install({
    logger: stderrLogger(quiet ? 'error' : 'info'),
    telemetryOptions: { logging: { forward: {}, filter: { core: 'WARN', other: 'WARN' } } },
    workerHeartbeatInterval: Math.min(Math.max(heartbeatMs / 4, SECOND), MINUTE),
    shutdownSignals: [],
  });
}

/** What of the SDK's context a reader of a log looks for; tokens and ids of attempts are noise. */
const LOGGED = [
  'workflowId',
  'activityType',
  'attempt',
  'taskQueue',
  'seconds',
  'line',
  'code',
  'count',
  'error',
  'state',
  'trail',
  'notice',
  'vault',
  'subject',
  'text',
];

/** A JSON line each, on stderr: stdout is data. A worker inside a person's command speaks of errors only. */
function stderrLogger(level: 'info' | 'error'): Logger {
  const out = pino({ level, base: { pid: process.pid } }, pino.destination({ dest: STDERR, sync: true }));
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  const log = (level: LogLevel, message: string, meta: LogMetadata = {}): void =>
    out[levels[level]](Object.fromEntries(Object.entries(meta).filter(([key]) => LOGGED.includes(key))), message);
  return {
    log,
    trace: (message, meta) => log('TRACE', message, meta),
    debug: (message, meta) => log('DEBUG', message, meta),
    info: (message, meta) => log('INFO', message, meta),
    warn: (message, meta) => log('WARN', message, meta),
    error: (message, meta) => log('ERROR', message, meta),
  };
}

/** The bundler reads compiled files: beside this one, or in dist/ when this runs from source under a test. */
function compiledWorkflow(name: string): string {
  const here = import.meta.url;
  return fileURLToPath(new URL(`${here.endsWith('.ts') ? '../dist/workflows' : '../workflows'}/${name}.js`, here));
}
