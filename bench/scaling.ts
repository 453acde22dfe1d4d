/**
 * `npm run bench:scaling`: how time and memory grow with bytes, with files, with changed bytes and with drives that
 * are prepared at once, each 1, 2, 4 and 8 times; and with cores. By the shipped commands, against a running system.
 * Writes a table with slopes, and a picture for each.
 *
 *   --unit SIZE   of bytes, 256MiB; an eighth of it is what changes      --files N     of files, 25000
 *   --axis NAMES  of bytes,files,changed,drives,cores; all of them       --work DIR    for all of it
 *   --out DIR     for the results                                        --name NAME   of the tables: scaling
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MIB, parseSize } from '../domain/units.ts';
import { fitted, svg } from './chart.ts';
import { type Conditions, conditionsLine, makeCorpus, onMachine, versionsOf, writeResults } from './ground.ts';
import { type Measured, measure, OURS } from './measure.ts';
import { Programs } from './programs.ts';
import { SeedshipSide } from './seedship-side.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TIMES = [1, 2, 4, 8];
/** The folder of what does not grow with bytes. */
const WHOLE = 4;
const AXES = {
  bytes: 'MiB of a mixed folder',
  files: 'files of 1 to 8 KiB',
  changed: 'MiB of new data in a folder that is otherwise the same',
  drives: 'drives that are prepared at once, of one seed',
  cores: 'cores that all of it may use',
} as const;
type Axis = keyof typeof AXES;

interface Sample {
  readonly axis: Axis;
  readonly operation: string;
  readonly x: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Of all data processes together. */
  readonly peakMib: number;
}

interface Order {
  readonly unit: number;
  readonly files: number;
  readonly axes: readonly Axis[];
  readonly work: string;
  readonly out: string;
  readonly name: string;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function orderOf(words: readonly string[]): Order | undefined {
  const text = { type: 'string' } as const;
  const options = { unit: text, files: text, axis: text, work: text, out: text, name: text } as const;
  try {
    const { values } = parseArgs({ args: [...words], options });
    const [unit, files] = [parseSize(values.unit ?? '256MiB'), Number(values.files ?? 25_000)];
    const axes = (values.axis?.split(',') ?? Object.keys(AXES)) as Axis[];
    if (values.work === undefined || unit === undefined || !(files >= 1)) return undefined;
    if (axes.some((one) => !(one in AXES))) return undefined;
    const out = path.resolve(values.out ?? path.join(ROOT, 'bench', 'results'));
    return { unit, files, axes, work: path.resolve(values.work), out, name: values.name ?? 'scaling' };
  } catch {
    return undefined;
  }
}

class Scaling {
  readonly samples: Sample[] = [];
  readonly #order: Order;
  readonly #programs: Programs;
  #systems = 0;

  constructor(order: Order, programs: Programs) {
    [this.#order, this.#programs] = [order, programs];
  }

  async run(axis: Axis): Promise<void> {
    const { unit, files } = this.#order;
    if (axis === 'bytes')
      for (const k of TIMES) await this.#folder(axis, (k * unit) / MIB, { bytes: k * unit, small: 0 });
    if (axis === 'files') for (const k of TIMES) await this.#folder(axis, k * files, { bytes: 0, small: k * files });
    if (axis === 'changed') await this.#changed();
    if (axis === 'drives') await this.#drives();
    if (axis === 'cores') for (const count of coreCounts()) await this.#cores(count);
  }

  /** A folder of its own, backed up first and once more. */
  async #folder(axis: Axis, x: number, what: { bytes: number; small: number }): Promise<void> {
    const corpus = await this.#corpus(what);
    await this.#within(corpus, [], async (side) => {
      await this.#note(axis, 'first backup', x, side, side.firstBackup(1));
      await this.#note(axis, 'no-change backup', x, side, side.again(1));
    });
  }

  async #changed(): Promise<void> {
    const { unit } = this.#order;
    const corpus = await this.#corpus({ bytes: WHOLE * unit, small: 0 });
    const added = path.join(corpus, 'added');
    try {
      await this.#within(corpus, [], async (side) => {
        await this.#programs.must(side.firstBackup(1), side.environment);
        for (const k of TIMES) {
          const bytes = (k * unit) / 8;
          mkdirSync(added, { recursive: true });
          const fill = ['dd', 'if=/dev/urandom', `of=${path.join(added, `${k}.raw`)}`, 'bs=1M', `count=${bytes / MIB}`];
          await this.#programs.must([...fill, 'status=none']);
          await this.#note('changed', 'incremental backup', bytes / MIB, side, side.again(1));
        }
      });
    } finally {
      rmSync(added, { recursive: true, force: true });
    }
  }

  async #drives(): Promise<void> {
    const corpus = await this.#corpus({ bytes: WHOLE * this.#order.unit, small: 0 });
    await this.#within(corpus, [], async (side) => {
      for (const k of TIMES) {
        if (k > 1) await side.begin(k);
        await this.#programs.must(side.firstBackup(k), side.environment);
        const prepares = Array.from({ length: k }, (_, at) => {
          const drive = side.at(`drive-${k}-${at}`);
          mkdirSync(drive);
          return `${side.command('drive', 'prepare', drive, '--job', `j${k}`).join(' ')} &`;
        });
        await this.#note('drives', 'prepare drives', k, side, ['sh', '-c', `${prepares.join(' ')} wait`]);
      }
    });
  }

  async #cores(count: number): Promise<void> {
    const corpus = await this.#corpus({ bytes: WHOLE * this.#order.unit, small: 0 });
    const within = ['taskset', '-c', `0-${count - 1}`];
    await this.#within(corpus, within, async (side) => {
      await this.#note('cores', 'first backup', count, side, [...within, ...side.firstBackup(1)]);
    });
  }

  async #corpus({ bytes, small }: { bytes: number; small: number }): Promise<string> {
    const work = path.join(this.#order.work, small > 0 ? `small-${small}` : `mixed-${bytes}`);
    mkdirSync(work, { recursive: true });
    await makeCorpus({ work, bytes, small, say }, this.#programs);
    return path.join(work, 'corpus');
  }

  /** What was written stays until all is done: ext4 is slow for minutes after much was deleted. */
  async #within(corpus: string, prefix: readonly string[], use: (side: SeedshipSide) => Promise<void>): Promise<void> {
    this.#systems += 1;
    const side = new SeedshipSide(path.join(this.#order.work, 'run', String(this.#systems)), corpus, this.#programs);
    try {
      await side.start(prefix);
      await side.begin(1);
      await use(side);
    } finally {
      await side.stop();
    }
  }

  async #note(axis: Axis, operation: string, x: number, side: SeedshipSide, command: readonly string[]): Promise<void> {
    const { environment, pids: servers } = side;
    const log = side.at('bench.log');
    const timed = { tool: OURS, operation, round: 1, command, environment, servers, log, cold: false };
    const measured: Measured = await measure(timed, this.#programs);
    const [seconds, peakMib] = [measured.wallSeconds, (measured.togetherBytes ?? measured.peakBytes) / MIB];
    this.samples.push({ axis, operation, x, seconds, cpuSeconds: measured.cpuSeconds, peakMib });
    const noisy = measured.noisy ? '  noisy' : '';
    say(`${axis.padEnd(9)}${operation.padEnd(20)}${x}: ${seconds.toFixed(1)} s, ${peakMib.toFixed(0)} MiB${noisy}`);
  }
}

function coreCounts(): number[] {
  const all = os.availableParallelism();
  return [...new Set([...TIMES, 16, 32, 64, all])].filter((count) => count <= all).sort((a, b) => a - b);
}

function picture(axis: Axis, samples: readonly Sample[]): string {
  const operations = [...new Set(samples.map(({ operation }) => operation))];
  const lines = (of: (sample: Sample) => number) =>
    operations.map((name) => ({
      name,
      places: samples.filter((one) => one.operation === name).map((one) => ({ x: one.x, y: of(one) })),
    }));
  return svg([
    { title: 'seconds', xLabel: AXES[axis], yLabel: 's', lines: lines(({ seconds }) => seconds) },
    { title: 'memory', xLabel: AXES[axis], yLabel: 'MiB', lines: lines(({ peakMib }) => peakMib) },
  ]);
}

function markdown(order: Order, samples: readonly Sample[], conditions: Conditions): string {
  const keys = [...new Set(samples.map(({ axis, operation }) => `${axis}|${operation}`))];
  return [
    '# How it grows',
    '',
    conditionsLine(conditions),
    '',
    '| against | operation | seconds | CPU seconds | MiB | slope of seconds | r² | slope of MiB |',
    '|---|---|---|---|---|---|---|---|',
    ...keys.map((key) => {
      const [axis = '', operation = ''] = key.split('|');
      const mine = samples.filter((one) => one.axis === axis && one.operation === operation);
      const [time, memory] = [mine.map(({ x, seconds: y }) => ({ x, y })), mine.map(({ x, peakMib: y }) => ({ x, y }))];
      const list = (of: (one: Sample) => number, digits: number) =>
        mine.map((one) => of(one).toFixed(digits)).join(' · ');
      const [grows, holds] = [fitted(time), fitted(memory)];
      const figures = [
        list(({ seconds }) => seconds, 1),
        list(({ cpuSeconds }) => cpuSeconds, 1),
        list((one) => one.peakMib, 0),
      ];
      const slopes = [grows.slope.toPrecision(2), grows.r2.toFixed(3), holds.slope.toPrecision(2)];
      return `| ${[`${axis}: ${mine.map(({ x }) => x).join(' · ')}`, operation, ...figures, ...slopes].join(' | ')} |`;
    }),
    '',
    ...order.axes.map((axis) => `- ${axis}: ${AXES[axis]}; [picture](${order.name}-${axis}.svg)`),
    '',
    'Seconds are of the whole command, through Temporal; a slope is what one more of it adds. MiB are of all processes',
    'that move bytes, together. One run each.',
    '',
  ].join('\n');
}

async function main(): Promise<number> {
  const order = orderOf(process.argv.slice(2));
  if (!order) {
    say('npm run bench:scaling -- --work DIR [--unit SIZE] [--files N] [--axis NAMES] [--out DIR] [--name NAME]');
    return 2;
  }
  const programs = new Programs();
  process.on('SIGINT', () => void programs.stop()).on('SIGTERM', () => void programs.stop());
  const run = path.join(order.work, 'run');
  rmSync(run, { recursive: true, force: true });
  try {
    const { versions } = await versionsOf(programs, {});
    const scaling = new Scaling(order, programs);
    for (const axis of order.axes) await scaling.run(axis);
    const { samples } = scaling;
    const conditions = { at: new Date().toISOString(), machine: onMachine(), versions };
    writeResults(order, { ...conditions, samples }, markdown(order, samples, conditions));
    for (const axis of order.axes)
      writeFileSync(
        path.join(order.out, `${order.name}-${axis}.svg`),
        picture(
          axis,
          samples.filter((one) => one.axis === axis),
        ),
      );
    return 0;
  } catch (error) {
    say(`${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    await programs.stop();
    rmSync(run, { recursive: true, force: true });
  }
}

process.exitCode = await main();
