/**
 * One tree of processes: servers and workers, started in order, kept running, ended as a whole.
 *
 * - A part that ends by itself is started again, after 1 s, 2 s, … 30 s; one that ran for a minute
 *   begins at 1 s again. The first start is awaited: what cannot come up at all is told at once.
 * - Closing stops the parts in the reverse order of their start, so a worker still reaches its server.
 * - Killed with -9, it leaves nothing behind: each part asked the kernel to be killed with its parent.
 * - One a state directory: the lock is a directory holding one name, the holder's pid and start time.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, Failure } from '../domain/failure.ts';
import { MIB, MINUTE, SECOND } from '../domain/units.ts';
import type { RunningServer } from './server-process.ts';
import type { Environment } from './settings.ts';

const BACKOFF_FIRST_MS = 1 * SECOND;
const BACKOFF_MAX_MS = 30 * SECOND;
const STEADY_MS = 1 * MINUTE;
const LOG_BYTES_MAX = 16 * MIB;
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'].find((file) => existsSync(file));

export interface Part {
  /** Unique in its tree: `vault.main`. */
  readonly name: string;
  start(): Promise<RunningServer>;
}

export interface PartEvent {
  readonly part: string;
  readonly event: 'started' | 'ended' | 'failed';
  readonly pid?: number;
  readonly why?: string;
}

interface Kept {
  readonly part: Part;
  readonly dropped: AbortController;
  running: RunningServer | undefined;
  done: Promise<void>;
}

export class Supervisor {
  readonly #parts = new Map<string, Kept>();
  readonly #unlock: () => void;
  readonly #tell: (event: PartEvent) => void;
  #closing: Promise<void> | undefined;

  /** @throws Failure `WrongState` when another one holds this state directory */
  constructor(stateDirectory: string, tell: (event: PartEvent) => void = () => {}) {
    this.#unlock = lockDirectory(stateDirectory);
    this.#tell = tell;
  }

  get names(): string[] {
    return [...this.#parts.keys()];
  }

  /** Starts a part and keeps it running. @throws what the first start throws */
  async keep(part: Part): Promise<void> {
    if (this.#closing || this.#parts.has(part.name)) return;
    const kept: Kept = { part, dropped: new AbortController(), running: undefined, done: Promise.resolve() };
    this.#parts.set(part.name, kept);
    try {
      await this.#start(kept);
    } catch (error) {
      this.#parts.delete(part.name);
      throw error;
    }
    kept.done = this.#watch(kept);
  }

  /** Stops a part for good. */
  async drop(name: string): Promise<void> {
    const kept = this.#parts.get(name);
    if (!kept) return;
    kept.dropped.abort();
    await kept.running?.stop();
    await kept.done;
    this.#parts.delete(name);
  }

  /** Stops everything, last started first, and lets go of the state directory. */
  close(): Promise<void> {
    this.#closing ??= this.#stopAll();
    return this.#closing;
  }

  async #stopAll(): Promise<void> {
    for (const name of this.names.reverse()) await this.drop(name);
    this.#unlock();
  }

  async #start(kept: Kept): Promise<void> {
    const running = await kept.part.start();
    kept.running = running;
    this.#tell({ part: kept.part.name, event: 'started', pid: running.pid });
    if (kept.dropped.signal.aborted) await running.stop(); // it was dropped while it came up
  }

  async #watch(kept: Kept): Promise<void> {
    const { part, dropped } = kept;
    for (let backoff = BACKOFF_FIRST_MS; ; backoff = Math.min(backoff * 2, BACKOFF_MAX_MS)) {
      const since = performance.now();
      if (kept.running) {
        await kept.running.exited;
        kept.running = undefined;
        if (dropped.signal.aborted) return;
        this.#tell({ part: part.name, event: 'ended' });
      }
      if (performance.now() - since > STEADY_MS) backoff = BACKOFF_FIRST_MS;
      await sleep(backoff, undefined, { signal: dropped.signal }).catch(() => {});
      if (dropped.signal.aborted) return;
      await this.#start(kept).catch((error: unknown) =>
        this.#tell({ part: part.name, event: 'failed', why: error instanceof Error ? error.message : '' }),
      );
    }
  }
}

export interface ProcessPlan {
  readonly name: string;
  readonly program: string;
  readonly words: readonly string[];
  readonly environment: Environment;
  /** Its stdout and stderr go to `<name>.log` in here. */
  readonly logs: string;
  /** How long SIGTERM is given before SIGKILL: a worker hands its tasks back. */
  readonly graceMs: number;
}

/** A program of ours as a part of the tree, in a session of its own: Ctrl-C reaches only the supervisor. */
export function processPart(plan: ProcessPlan): Part {
  return { name: plan.name, start: async () => launch(plan) };
}

function launch({ name, program, words, environment, logs, graceMs }: ProcessPlan): RunningServer {
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  const log = openLog(path.join(logs, `${name}.log`));
  const [first = '', ...rest] = [...(SETPRIV ? [SETPRIV, '--pdeathsig', 'KILL', '--'] : []), program, ...words];
  const child = spawn(first, rest, {
    env: environment,
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  const exited = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    const force = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await exited;
    clearTimeout(force);
  };
  return { pid: child.pid ?? 0, exited, stop };
}

function openLog(file: string): number {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  return openSync(file, size > LOG_BYTES_MAX ? 'w' : 'a', 0o600);
}

/**
 * The lock is taken by moving a directory that holds our name over one that holds none, which fails
 * while another name is in it: two that find the same dead holder cannot both win.
 */
function lockDirectory(stateDirectory: string): () => void {
  const lock = path.join(stateDirectory, 'up.lock');
  const name = `${process.pid}-${startTimeOf(process.pid)}`;
  const mine = `${lock}.${process.pid}`;
  mkdirSync(mine, { recursive: true, mode: 0o700 });
  writeFileSync(path.join(mine, name), '');
  while (!moved(mine, lock)) {
    const [holder = ''] = readdirSync(lock);
    const [pid = '', started = ''] = holder.split('-');
    if (holder !== '' && startTimeOf(Number(pid)) === started) {
      rmSync(mine, { recursive: true });
      throw new Failure('WrongState', `Seedship already runs on this state directory, as process ${pid}`, {
        next: `use that one, end it (kill ${pid}), or choose another --state-dir`,
      });
    }
    rmSync(path.join(lock, holder || name), { force: true });
  }
  return () => rmSync(path.join(lock, name), { force: true });
}

function moved(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST'].includes(errnoOf(error))) return false;
    throw error;
  }
}

/** In clock ticks since boot, so that a number used again is not taken for its first bearer; empty when gone. */
function startTimeOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return 'ZX'.includes(state) ? '' : (fields[18] ?? '');
  } catch {
    return '';
  }
}
