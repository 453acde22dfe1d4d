/**
 * `npm run bench:memory`: a source's worker, and a restore, inside a control group that the kernel lets have 512 MiB,
 * page cache included, over what is hard to keep in memory. Whatever takes more is killed, and the case has failed.
 * Needs root.
 *
 *   --case NAMES   of files,wide,sparse,big; all of them     --limit SIZE   512MiB
 *   --files N      5000000        --wide N   1000000         --sparse GIB   1024          --big GIB   100
 *   --no-restore   only the backups                          --work DIR     for all of it
 *   --out DIR      for the results                           --name NAME    of the tables: memory
 */
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MIB, parseSize } from '../domain/units.ts';
import { ControlGroup } from './control-group.ts';
import { type Conditions, conditionsLine, onMachine, versionsOf, writeResults } from './ground.ts';
import { bytesBelow, type Measured, measure, OURS } from './measure.ts';
import { type Environment, Programs } from './programs.ts';
import { SeedshipSide } from './seedship-side.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const COMPARER = path.join(ROOT, 'test', 'harness', 'compare_trees.py');
const WORKER_MS = 4000;
const CASES = {
  files: { unit: 'files of 64 to 500 bytes', count: 5_000_000 },
  wide: { unit: 'files in one directory', count: 1_000_000 },
  sparse: { unit: 'GiB in one file, 4 KiB of data in each', count: 1024 },
  big: { unit: 'GiB in one file, 1 MiB of data in each half, 600 MiB at its end', count: 100 },
} as const;
type CaseName = keyof typeof CASES;
const NAMES = Object.keys(CASES) as CaseName[];

interface Order {
  readonly cases: readonly CaseName[];
  readonly counts: Readonly<Record<CaseName, number>>;
  readonly limit: number;
  readonly restore: boolean;
  readonly work: string;
  readonly out: string;
  readonly name: string;
}

interface Line extends Measured {
  readonly what: string;
  readonly result: 'exact' | 'done' | 'DIFFERS';
  readonly staged: number | undefined;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function orderOf(words: readonly string[]): Order | undefined {
  const [text, flag] = [{ type: 'string' } as const, { type: 'boolean' } as const];
  const counts = { files: text, wide: text, sparse: text, big: text } as const;
  const options = {
    ...counts,
    case: text,
    limit: text,
    'no-restore': flag,
    work: text,
    out: text,
    name: text,
  } as const;
  try {
    const { values } = parseArgs({ args: [...words], options });
    const cases = (values.case?.split(',') ?? NAMES) as CaseName[];
    const limit = parseSize(values.limit ?? '512MiB');
    if (values.work === undefined || limit === undefined || cases.some((one) => !NAMES.includes(one))) return undefined;
    const counted = NAMES.map((name) => [name, Number(values[name] ?? CASES[name].count)] as const);
    if (counted.some(([, count]) => !(count >= 1))) return undefined;
    return {
      ...{ cases, limit, counts: Object.fromEntries(counted) as Record<CaseName, number> },
      ...{ restore: !values['no-restore'], work: path.resolve(values.work), name: values.name ?? 'memory' },
      out: path.resolve(values.out ?? path.join(ROOT, 'bench', 'results')),
    };
  } catch {
    return undefined;
  }
}

/** A host of its own beside the embedded system, whose worker lives in the group. */
class ConfinedSource {
  readonly #side: SeedshipSide;
  readonly #group: ControlGroup;
  readonly #programs: Programs;
  readonly #corpus: string;
  #worker: ReturnType<Programs['start']> | undefined;

  constructor(side: SeedshipSide, corpus: string, { group, programs }: { group: ControlGroup; programs: Programs }) {
    [this.#side, this.#corpus, this.#group, this.#programs] = [side, corpus, group, programs];
  }

  get environment(): Environment {
    return { ...this.#side.environment, SEEDSHIP_STATE_DIR: this.#side.at('source'), SEEDSHIP_HOST: 'source' };
  }

  get pids(): number[] {
    return this.#worker?.pid === undefined ? [] : [this.#worker.pid];
  }

  confined(...words: string[]): string[] {
    return this.#group.confined(this.#side.command(...words));
  }

  async join(): Promise<void> {
    const [file, code] = [this.#side.at('m1.cred'), this.#side.at('m1.code')];
    const made = ['--machine', 'm1', '--out', file, '--code-out', code, ...this.#side.passphrase];
    await this.#side.type('vault', 'credentials', ...made);
    mkdirSync(this.#side.at('source'), { recursive: true });
    copyFileSync(this.#side.at('state', 'embedded.json'), this.#side.at('source', 'embedded.json'));
    await this.#type('agent', 'register', '--credentials', file, '--code-file', code);
    const items = ['--item', this.#corpus, '--schedule', 'weekly sat 22:00', '--timezone', 'UTC'];
    await this.#type('protection', 'create', 'p1', ...items, '--initial', 'offline');
    this.#worker = this.#programs.start(this.confined('worker', 'run', 'source'), this.environment, 'ignore');
    await new Promise((resolve) => setTimeout(resolve, WORKER_MS));
  }

  async leave(): Promise<void> {
    this.#worker?.kill('SIGTERM');
    if (this.#worker) await this.#programs.ended(this.#worker);
  }

  async #type(...words: string[]): Promise<void> {
    await this.#programs.must(this.#side.command(...words), this.environment);
  }
}

/** One case from its making to its restore. */
async function measureCase(name: CaseName, order: Order, programs: Programs): Promise<Line[]> {
  const count = order.counts[name];
  const [folder, corpus] = [path.join(order.work, 'run'), path.join(order.work, `extreme-${name}-${count}`)];
  if (!existsSync(corpus)) {
    say(`making ${count} ${CASES[name].unit}`);
    await programs.must(['python3', path.join(ROOT, 'bench', 'make_extremes.py'), corpus, name, String(count)]);
  }
  rmSync(folder, { recursive: true, force: true });
  const side = new SeedshipSide(folder, corpus, programs);
  const group = new ControlGroup(`seedship-bench-${process.pid}`, order.limit);
  const source = new ConfinedSource(side, corpus, { group, programs });
  const lines: Line[] = [];
  const run = async (operation: string, command: readonly string[], more: Partial<Line> = {}): Promise<void> => {
    const timed = { tool: OURS, operation, round: 1, command, environment: source.environment, cold: false };
    const measured = await measure({ ...timed, servers: source.pids, log: side.at('bench.log') }, programs);
    lines.push({ ...measured, what: name, result: 'done', staged: undefined, ...more });
    const [peak, worker] = [measured.peakBytes, measured.parentBytes ?? 0].map((one) => Math.round(one / MIB));
    say(
      `${name}  ${operation.padEnd(18)}${measured.wallSeconds.toFixed(1)} s  child ${peak} MiB  worker ${worker} MiB`,
    );
  };
  try {
    await side.start();
    await source.join();
    const staging = ['--staging', side.stored(1)];
    await run('first backup', side.command('job', 'start', 'j1', '--protection', 'p1', ...staging));
    const staged = bytesBelow(side.stored(1));
    await run('no-change backup', side.command('backup', 'now', 'p1'));
    if (order.restore) {
      await side.carry(1, true);
      await side.restorable(1, 2);
      const to = path.join(folder, 'back');
      await run('restore', group.confined(side.restore(1, to)), { staged });
      say(`${name}  comparing`);
      const judged = await programs.run(['python3', COMPARER, corpus, path.join(to, corpus)]);
      const last = lines.pop();
      if (last) lines.push({ ...last, result: judged.status === 0 ? 'exact' : 'DIFFERS' });
    }
    if (group.killed() > 0) throw new Error(`${name}: the kernel killed ${group.killed()} processes for their memory`);
    return lines;
  } finally {
    await source.leave();
    await side.stop();
    group.remove();
  }
}

function markdown(order: Order, lines: readonly Line[], conditions: Conditions): string {
  return [
    `# Memory within ${Math.round(order.limit / MIB)} MiB`,
    '',
    conditionsLine(conditions),
    '',
    '| case | operation | wall s | CPU s | child MiB | worker MiB | result |',
    '|---|---|---|---|---|---|---|',
    ...lines.map(({ what, operation, wallSeconds, cpuSeconds, peakBytes, parentBytes = 0, result }) => {
      const figures = [wallSeconds, cpuSeconds].map((value) => value.toFixed(1));
      const memory = [peakBytes, parentBytes].map((bytes) => (bytes / MIB).toFixed(0));
      return `| ${what} | ${operation} | ${[...figures, ...memory].join(' | ')} | ${result} |`;
    }),
    '',
    ...order.cases.map((name) => `- ${name}: ${order.counts[name].toLocaleString('en')} ${CASES[name].unit}`),
    '',
    'Worker and child live in one control group with that hard limit, page cache and the kernel’s own included; a',
    'restore is worker and child by itself. Child is the kernel’s maximum of the process that moves bytes, worker the',
    'most that its parent held meanwhile. A restore is compared by a program that shares no code with ours.',
    '',
  ].join('\n');
}

async function main(): Promise<number> {
  const order = orderOf(process.argv.slice(2));
  if (!order || process.getuid?.() !== 0) {
    say(order ? 'control groups are root’s: run it as root' : 'npm run bench:memory -- --work DIR [--case NAMES] …');
    return 2;
  }
  const programs = new Programs();
  mkdirSync(order.work, { recursive: true });
  process.on('SIGINT', () => void programs.stop()).on('SIGTERM', () => void programs.stop());
  try {
    const { versions } = await versionsOf(programs, {});
    const lines: Line[] = [];
    for (const [at, name] of order.cases.entries()) {
      lines.push(...(await measureCase(name, order, programs)));
      say(`${name}  ${lines.at(-1)?.result}`);
      const conditions = { at: new Date().toISOString(), machine: onMachine(), versions };
      const done = { ...order, cases: order.cases.slice(0, at + 1) }; // a series that is ended has its whole cases
      writeResults(order, { ...conditions, order: done, lines }, markdown(done, lines, conditions));
    }
    return lines.some(({ result }) => result === 'DIFFERS') ? 1 : 0;
  } catch (error) {
    say(`${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    await programs.stop();
    rmSync(path.join(order.work, 'run'), { recursive: true, force: true });
  }
}

process.exitCode = await main();
