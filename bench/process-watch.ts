/**
 * What processes take, read from /proc while they run. Nothing is asked of the processes themselves, so
 * that strangers are measured as we are.
 *
 *   CPU    user and system seconds; a process that ended counts in the one that waited for it
 *   peak   VmHWM: the kernel's own maximum, so a look now and then misses only what the last instants add
 *   RSS    what a process holds at a look
 *   life   from the start the kernel noted to the last look that saw it
 */
import { readdirSync, readFileSync } from 'node:fs';

const LOOK_MS = 40;
/** USER_HZ: fixed at 100 on every architecture that Node runs on. */
export const TICKS_PER_SECOND = 100;
/** Fields of /proc/PID/stat behind the name, which may hold anything: state is 0. */
const FIELD = { parent: 1, user: 11, system: 12, reapedUser: 13, reapedSystem: 14, started: 19 } as const;

export interface SeenProcess {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
  readonly startedTicks: number;
  readonly seconds: number;
  readonly peakBytes: number;
  /** The most that its parent was seen to hold while it lived: what a parent needed before counts no more. */
  readonly parentBytes: number;
}

/** Looks at the trees below some processes, again and again, until it is stopped. */
export class ProcessWatch {
  readonly #seen = new Map<string, SeenProcess>();
  readonly #timer: NodeJS.Timeout;
  readonly #roots: () => readonly number[];

  constructor(roots: () => readonly number[]) {
    this.#roots = roots;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stop(): readonly SeenProcess[] {
    clearInterval(this.#timer);
    this.#look();
    return [...this.#seen.values()];
  }

  #look(): void {
    const uptime = Number((textOf('/proc/uptime') ?? '0').split(' ')[0]);
    const memory = new Map(treeBelow(this.#roots()).map((pid) => [pid, memoryOf(pid)]));
    for (const [pid, now] of memory) {
      const stat = statOf(pid);
      if (!stat || !now) continue; // it ended, or is a zombie
      const [parent, startedTicks] = [stat[FIELD.parent] ?? 0, stat[FIELD.started] ?? 0];
      const key = `${pid} ${startedTicks}`;
      const before = this.#seen.get(key);
      const command = commandOf(pid) || before?.command || ''; // one that ends has none any more
      const seconds = Math.max(0, uptime - startedTicks / TICKS_PER_SECOND);
      const peakBytes = Math.max(now.peak, before?.peakBytes ?? 0);
      const parentBytes = Math.max(memory.get(parent)?.resident ?? 0, before?.parentBytes ?? 0);
      this.#seen.set(key, { pid, parent, command, startedTicks, seconds, peakBytes, parentBytes });
    }
  }
}

export interface ParentAndChild {
  readonly command: string;
  readonly parentBytes: number;
  readonly childBytes: number;
}

/** Each process whose command line has `part`, with the one that started it. */
export function withParents(seen: readonly SeenProcess[], part: string): ParentAndChild[] {
  return seen
    .filter(({ command }) => command.includes(part))
    .map((child) => {
      const parent = seen.filter(({ pid }) => pid === child.parent).at(-1);
      return { command: parent?.command ?? '', parentBytes: child.parentBytes, childBytes: child.peakBytes };
    });
}

/**
 * CPU seconds of the trees below `roots` and of all their ended children that were waited for.
 * @param apart command lines of processes that do not count
 */
export function treeSeconds(roots: readonly number[], apart?: RegExp): number {
  let ticks = 0;
  for (const pid of treeBelow(roots)) {
    if (apart?.test(commandOf(pid))) continue;
    const stat = statOf(pid) ?? [];
    for (const field of [FIELD.user, FIELD.system, FIELD.reapedUser, FIELD.reapedSystem]) ticks += stat[field] ?? 0;
  }
  return ticks / TICKS_PER_SECOND;
}

/** CPU seconds of this process's ended children. */
export function reapedSeconds(): number {
  const stat = statOf(process.pid) ?? [];
  return ((stat[FIELD.reapedUser] ?? 0) + (stat[FIELD.reapedSystem] ?? 0)) / TICKS_PER_SECOND;
}

/** Of the whole machine: what was worked by anyone, and what the hypervisor took. */
export function machineSeconds(): { busy: number; stolen: number } {
  const [line = ''] = (textOf('/proc/stat') ?? '').split('\n');
  const [user = 0, nice = 0, system = 0, , , interrupt = 0, softInterrupt = 0, stolen = 0] = line
    .split(/\s+/)
    .slice(1)
    .map((ticks) => Number(ticks) / TICKS_PER_SECOND);
  return { busy: user + nice + system + interrupt + softInterrupt, stolen };
}

/** Requests of all disks so far: reads, writes, discards (Documentation/admin-guide/iostats.rst). */
export function diskRequests(): number {
  const lines = (textOf('/proc/diskstats') ?? '').split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  return lines.reduce((sum, fields) => sum + (fields[3] ?? 0) + (fields[7] ?? 0) + (fields[14] ?? 0), 0);
}

/** The processes and all that descend from them. */
export function treeBelow(roots: readonly number[]): number[] {
  const children = (pid: number): number[] => {
    let threads: string[] = [];
    try {
      threads = readdirSync(`/proc/${pid}/task`);
    } catch {
      return []; // it ended
    }
    return threads
      .flatMap((thread) => (textOf(`/proc/${pid}/task/${thread}/children`) ?? '').split(' '))
      .map(Number)
      .filter((child) => child > 0);
  };
  return roots.flatMap((pid) => [pid, ...treeBelow(children(pid))]);
}

function commandOf(pid: number): string {
  return (textOf(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trim();
}

function memoryOf(pid: number): { peak: number; resident: number } | undefined {
  const status = textOf(`/proc/${pid}/status`) ?? '';
  const [peak, resident] = ['VmHWM', 'VmRSS'].map((name) =>
    Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]),
  );
  return peak && resident ? { peak: peak * 1024, resident: resident * 1024 } : undefined;
}

function statOf(pid: number): number[] | undefined {
  const text = textOf(`/proc/${pid}/stat`);
  return text
    ?.slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined; // processes come and go
  }
}
