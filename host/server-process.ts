/**
 * One server as a child process: started on ports chosen free, watched until it answers, and never
 * left behind.
 *
 * - It dies with this process, however this one ends (setpriv's parent-death signal), and a leftover
 *   of an earlier run on the same folder is ended first: two servers never share one folder's data.
 * - It leads a session of its own: Ctrl-C reaches us, and we stop it after what depends on it.
 * - Its environment is empty: no variable of the operator's changes what it does, or gives it a secret.
 * - Ports are remembered in its folder and used again while they are free, so addresses last.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../domain/failure.ts';
import { MIB, MINUTE, SECOND } from '../domain/units.ts';

const START_MS = 1 * MINUTE;
const GONE_MS = 10 * SECOND;
const POLL_MS = 50;
const ATTEMPTS_MAX = 5;
const LOG_BYTES_MAX = 16 * MIB;
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'].find((file) => existsSync(file));

export const LOOPBACK = '127.0.0.1';

export type Ports = Readonly<Record<string, number>>;

export interface RunningServer {
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<void>;
  /** Ends it in good order, or by force when that takes too long; resolves when it is gone. */
  stop(): Promise<void>;
}

export interface ServerPlan {
  /** For messages: `Temporal`. */
  readonly title: string;
  readonly program: string;
  /** The server's own folder, private to this user. */
  readonly dir: string;
  /** Names of the ports it needs, and those that a caller insists on. */
  readonly ports: readonly string[];
  readonly fixed: Ports;
  readonly words: (ports: Ports) => readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** How long it may take to end in good order. */
  readonly stopMs: number;
  /** Whether it can be used; called until it says so. */
  readonly ready: (ports: Ports) => Promise<boolean>;
}

/** @throws Failure `Unreachable` when it does not come up in a minute, or a fixed port is taken */
export async function startServer(plan: ServerPlan): Promise<RunningServer & { readonly ports: Ports }> {
  mkdirSync(plan.dir, { recursive: true, mode: 0o700 });
  await endLeftover(plan.dir);
  const deadline = performance.now() + START_MS;
  for (let attempt = 1; ; attempt += 1) {
    const ports = await choosePorts(plan);
    const server = launch(plan, ports);
    if (await cameUp(server, plan, ports, deadline)) {
      writeFileSync(path.join(plan.dir, 'ports.json'), JSON.stringify(ports));
      return { pid: server.pid, exited: server.exited, stop: server.stop, ports };
    }
    await server.stop();
    if (attempt === ATTEMPTS_MAX || performance.now() > deadline)
      throw new Failure('Unreachable', `the ${plan.title} server does not start`, {
        why: lastLine(path.join(plan.dir, 'log')),
        next: 'read the file `log` in its folder',
      });
  }
}

/** Ports of the last time while all are free, else new ones: another program may have taken one since. */
async function choosePorts({ dir, ports, fixed }: ServerPlan): Promise<Ports> {
  const before = { ...readPorts(dir), ...fixed };
  const chosen = await reserve(ports.map((name) => before[name] ?? 0));
  const free = chosen ?? (await reserve(ports.map((name) => fixed[name] ?? 0)));
  if (!free) throw new Failure('Unreachable', 'a port that was asked for is taken', { next: 'choose another port' });
  return Object.fromEntries(ports.map((name, at) => [name, free[at] ?? 0]));
}

/** All held at once, so that no two are the same; `undefined` when one is taken. */
async function reserve(wanted: readonly number[]): Promise<number[] | undefined> {
  const servers = wanted.map(() => createServer());
  try {
    const numbers: number[] = [];
    for (const [at, server] of servers.entries()) {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(wanted[at], LOOPBACK, resolve);
      });
      const address = server.address();
      if (address !== null && typeof address === 'object') numbers.push(address.port);
    }
    return numbers;
  } catch {
    return undefined;
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

function readPorts(dir: string): Ports {
  try {
    return JSON.parse(readFileSync(path.join(dir, 'ports.json'), 'utf8'));
  } catch {
    return {}; // the first start, or one that was cut short
  }
}

interface Launched extends RunningServer {
  readonly child: ChildProcess;
}

function launch(plan: ServerPlan, ports: Ports): Launched {
  const log = openLog(path.join(plan.dir, 'log'));
  const words = [plan.program, ...plan.words(ports)];
  const [program = '', ...rest] = SETPRIV ? [SETPRIV, '--pdeathsig', 'KILL', '--', ...words] : words;
  const child = spawn(program, rest, {
    cwd: plan.dir,
    env: { HOME: plan.dir, ...plan.env },
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  const exited = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
  const pid = child.pid ?? 0;
  writeFileSync(path.join(plan.dir, 'pid'), String(pid));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    const patience = new AbortController();
    const tooLong = sleep(plan.stopMs, undefined, { signal: patience.signal }).then(
      () => child.kill('SIGKILL'),
      () => undefined,
    );
    await exited;
    patience.abort();
    await tooLong;
    rmSync(path.join(plan.dir, 'pid'), { force: true });
  };
  return { child, pid, exited, stop };
}

function openLog(file: string): number {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  return openSync(file, size > LOG_BYTES_MAX ? 'w' : 'a', 0o600);
}

async function cameUp({ child }: Launched, plan: ServerPlan, ports: Ports, deadline: number): Promise<boolean> {
  while (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    if (await plan.ready(ports)) return true;
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return false;
}

/** Ends a server that outlived the process that started it; a number reused by another program is left alone. */
async function endLeftover(dir: string): Promise<void> {
  const file = path.join(dir, 'pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8'));
  const isOurs = () => commandLine(pid).includes(dir);
  if (pid > 0 && isOurs()) process.kill(pid, 'SIGKILL');
  for (let waited = 0; waited < GONE_MS && isOurs(); waited += POLL_MS) await sleep(POLL_MS);
  rmSync(file, { force: true });
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function lastLine(file: string): string {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return (lines.findLast((line) => /error|fatal|in use|panic/i.test(line)) ?? lines.at(-1) ?? '').slice(0, 300);
}
