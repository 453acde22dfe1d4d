/** One timed command: wall clock, CPU of every process it moves, peak memory, and who else used the machine. */
import { closeSync, lstatSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  diskRequests,
  machineSeconds,
  ProcessWatch,
  reapedSeconds,
  type SeenProcess,
  TICKS_PER_SECOND,
  treeSeconds,
} from './process-watch.ts';
import { type Environment, type Programs, told } from './programs.ts';

const CHILD = 'pipeline/child-entry.js';
const SETTLE_MS = 2000;
/** Its threads write to the disk what a command has left in memory: that is nobody else's work. */
const KERNEL = [2];
/** More than this of foreign or stolen time, and more than a tenth of the clock, makes a run noisy. */
const NOISE_SECONDS = 2;
const NOISE_SHARE = 0.1;

export const OURS = 'seedship';
export const OPERATIONS = ['first backup', 'no-change backup', '1 % changed', 'restore'] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface Measured {
  readonly tool: string;
  readonly operation: string;
  readonly round: number;
  /** Until what was written is on the medium: the command, and then `sync`. */
  readonly wallSeconds: number;
  /** Of that, `sync`: nearly nothing for one that has flushed its files itself. */
  readonly flushSeconds: number;
  /** User and system, of the command and of everything it makes others do: workers, children, servers. */
  readonly cpuSeconds: number;
  /** Of the one process that moves the bytes. */
  readonly peakBytes: number;
  /** While processes that move bytes lived; absent for a tool that is one process. */
  readonly childSeconds?: number;
  /** Of all processes that move bytes, as if each had its most at once. */
  readonly togetherBytes?: number;
  /** Of the biggest process that started such a one, while it lived. */
  readonly parentBytes?: number;
  readonly storedBytes?: number;
  readonly foreignSeconds: number;
  readonly stolenSeconds: number;
  readonly noisy: boolean;
  /** What a judge said of a restore, or of what the stand-alone reader made of a backup; empty when nothing differs. */
  readonly differences?: string;
}

export interface Run {
  readonly tool: string;
  readonly operation: string;
  readonly round: number;
  readonly command: readonly string[];
  readonly environment: Environment;
  /** Processes that run before and after, and work for it. */
  readonly servers: readonly number[];
  /** Of the servers' processes, those whose CPU is not theirs whom they work for. */
  readonly apart?: RegExp;
  readonly log: string;
  /** Nothing of any file is left in memory. */
  readonly cold: boolean;
  /** Unless it is cold, all files below these are in memory: borg, for one, drops from it what it has read. */
  readonly warm?: readonly string[];
}

const READ_ALL = ['sh', '-c', 'find "$@" -type f -exec cat {} + > /dev/null', 'sh'];

/** Runs it on a disk that has settled. @throws Error when it does not end with 0 */
export async function measure(run: Run, programs: Programs): Promise<Measured> {
  const { tool, operation, round } = run;
  await programs.run(['sync']);
  if (run.cold) writeFileSync('/proc/sys/vm/drop_caches', '3');
  else if (run.warm) await programs.must([...READ_ALL, ...run.warm]);
  await sleep(SETTLE_MS);
  const log = openSync(run.log, 'a');
  const before = {
    tree: treeSeconds(run.servers, run.apart),
    servers: treeSeconds(run.servers),
    own: process.cpuUsage(),
    reaped: reapedSeconds(),
    machine: machineSeconds(),
    kernel: treeSeconds(KERNEL),
  };
  const begun = performance.now();
  const child = programs.start(run.command, run.environment, ['ignore', log, log]);
  closeSync(log);
  const workers = tool === OURS ? run.servers : []; // others only use them
  const watch = new ProcessWatch(() => [...workers, ...(child.pid === undefined ? [] : [child.pid])]);
  const status = await programs.ended(child).finally(() => watch.stop());
  const commandSeconds = (performance.now() - begun) / 1000;
  const seen = watch.stop();
  await programs.run(['sync']);
  const wallSeconds = (performance.now() - begun) / 1000;
  const flushSeconds = wallSeconds - commandSeconds;
  if (status !== 0) throw new Error(`${tool}, ${operation}: ended with ${status}; see ${run.log}`);
  const reaped = reapedSeconds() - before.reaped;
  const cpuSeconds = treeSeconds(run.servers, run.apart) - before.tree + reaped;
  const own = process.cpuUsage(before.own);
  const machine = machineSeconds();
  const foreignSeconds =
    machine.busy -
    before.machine.busy -
    reaped -
    (treeSeconds(run.servers) - before.servers) -
    (treeSeconds(KERNEL) - before.kernel) -
    (own.user + own.system) / 1e6;
  const stolenSeconds = machine.stolen - before.machine.stolen;
  const noise = { foreignSeconds, stolenSeconds, noisy: isNoisy({ wallSeconds, foreignSeconds, stolenSeconds }) };
  const memory = tool === OURS ? memoryOf(seen) : { peakBytes: peakOf(seen) };
  return { tool, operation, round, wallSeconds, flushSeconds, cpuSeconds, ...memory, ...noise };
}

/** Fewer requests than this in a look is a disk at rest. */
const QUIET_REQUESTS = 50;
const QUIET_LOOKS = 3;
const LOOKS_MAX = 90;

/** After much was deleted: waits until the disk has been told (discard) and rests, three minutes at most. */
export async function diskSettled(programs: Programs): Promise<void> {
  await programs.run(['sync']);
  for (let [looks, quiet, before] = [0, 0, diskRequests()]; looks < LOOKS_MAX && quiet < QUIET_LOOKS; looks += 1) {
    await sleep(SETTLE_MS);
    const now = diskRequests();
    quiet = now - before < QUIET_REQUESTS ? quiet + 1 : 0;
    before = now;
  }
}

/** Whether others had so much of the machine meanwhile that the figures say little. */
export function isNoisy(run: Pick<Measured, 'wallSeconds' | 'foreignSeconds' | 'stolenSeconds'>): boolean {
  const noise = Math.max(0, run.foreignSeconds) + run.stolenSeconds;
  return noise > NOISE_SECONDS && noise > run.wallSeconds * NOISE_SHARE;
}

type Held = Pick<Measured, 'peakBytes' | 'togetherBytes' | 'childSeconds' | 'parentBytes'>;

function memoryOf(seen: readonly SeenProcess[]): Held {
  const children = seen.filter(({ command }) => command.includes(CHILD));
  return {
    peakBytes: peakOf(children),
    togetherBytes: children.reduce((sum, one) => sum + one.peakBytes, 0),
    childSeconds: secondsOf(children),
    parentBytes: Math.max(0, ...children.map((one) => one.parentBytes)),
  };
}

/** While at least one of them lived: a backup's mover begins beside it. */
function secondsOf(seen: readonly SeenProcess[]): number {
  let [sum, until] = [0, 0];
  for (const { startedTicks, seconds } of seen.toSorted((a, b) => a.startedTicks - b.startedTicks)) {
    const from = startedTicks / TICKS_PER_SECOND;
    sum += Math.max(0, from + seconds - Math.max(from, until));
    until = Math.max(until, from + seconds);
  }
  return sum;
}

function peakOf(seen: readonly SeenProcess[]): number {
  return Math.max(0, ...seen.map(({ peakBytes }) => peakBytes));
}

/** Bytes of all files below a folder. */
export function bytesBelow(folder: string): number {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + lstatSync(path.join(entry.parentPath, entry.name)).size, 0);
}

/** What rsync would change to make the restored folder the original; empty when nothing. */
export async function differencesOf(original: string, restored: string, programs: Programs): Promise<string> {
  const words = ['-nacHAX', '--modify-window=-1', '--delete', '--itemize-changes', `${original}/`, `${restored}/`];
  try {
    const ended = await programs.run(['rsync', ...words]);
    return ended.status === 0 ? ended.stdout.trim() : `rsync ended with ${ended.status}: ${told(ended)}`;
  } catch {
    return 'not compared: rsync is not there';
  }
}
