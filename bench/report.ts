/** From runs to tables: medians over the quiet rounds where there are any, and ratios between the tools. */
import { conditionsLine, type Machine } from './ground.ts';
import { type Measured, OPERATIONS, type Operation, OURS } from './measure.ts';

const MIB = 1024 ** 2;

export interface Report {
  readonly at: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly corpus: unknown;
  /** What is not as usual: `cold cache`. */
  readonly conditions?: string;
  readonly commands: Readonly<Record<string, string>>;
  readonly rounds: number;
  readonly missing: readonly string[];
  readonly runs: readonly Measured[];
}

export interface Row {
  readonly tool: string;
  readonly operation: Operation;
  readonly quiet: number;
  readonly of: number;
  readonly wall: number;
  readonly cpu: number;
  readonly child: number | undefined;
  readonly peakMib: number;
  readonly storedMib: number | undefined;
  readonly void: boolean;
}

/**
 * A line for each operation and tool; void when one of its restores differs or could not be compared, or what
 * the stand-alone reader made of one of its backups.
 */
export function rowsOf({ runs }: Pick<Report, 'runs'>): Row[] {
  return OPERATIONS.flatMap((operation) =>
    [...new Set(runs.map(({ tool }) => tool))].sort(oursFirst).flatMap((tool) => {
      const all = runs.filter((run) => run.tool === tool && run.operation === operation);
      if (all.length === 0) return [];
      const quiet = all.filter(({ noisy }) => !noisy);
      const used = quiet.length > 0 ? quiet : all;
      const [child, stored] = [known(used.map((run) => run.childSeconds)), known(used.map((run) => run.storedBytes))];
      return {
        ...{ tool, operation, quiet: quiet.length, of: all.length },
        wall: median(used.map((run) => run.wallSeconds)),
        cpu: median(used.map((run) => run.cpuSeconds)),
        child: child.length > 0 ? median(child) : undefined,
        peakMib: median(used.map((run) => run.peakBytes)) / MIB,
        storedMib: stored.length > 0 ? median(stored) / MIB : undefined,
        void: all.some(({ differences = '' }) => differences !== ''),
      };
    }),
  );
}

export interface Ratio {
  readonly operation: Operation;
  readonly than: string;
  readonly wall: number;
  /** Their wall clock over the life of our data processes. */
  readonly child: number;
  readonly cpu: number;
  readonly peak: number;
  /** Of the first backup. */
  readonly stored: number | undefined;
}

/** Theirs over ours, so that above 1 we are ahead; none for an operation that is void. */
export function ratiosOf(rows: readonly Row[]): Ratio[] {
  return OPERATIONS.flatMap((operation) => {
    const known = rows.filter((row) => row.operation === operation && !row.void);
    const ours = known.find(({ tool }) => tool === OURS);
    if (!ours) return [];
    return known
      .filter((row) => row !== ours)
      .map((theirs) => ({
        ...{ operation, than: theirs.tool, wall: theirs.wall / ours.wall, cpu: theirs.cpu / ours.cpu },
        ...{ child: theirs.wall / (ours.child ?? ours.wall), peak: theirs.peakMib / ours.peakMib },
        stored: theirs.storedMib && ours.storedMib && theirs.storedMib / ours.storedMib,
      }));
  });
}

function oursFirst(a: string, b: string): number {
  return Number(b === OURS) - Number(a === OURS);
}

/** The middle one, or the mean of the two in the middle; `NaN` of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low = Number.NaN, high = low] = sorted.slice((sorted.length - 1) >> 1);
  return sorted.length % 2 === 1 ? low : (low + high) / 2;
}

export function markdown(report: Report): string {
  const { corpus, commands, missing, runs, conditions = '' } = report;
  const rows = rowsOf(report);
  return [
    `# Backup and restore beside others${conditions === '' ? '' : `: ${conditions}`}`,
    '',
    conditionsLine(report),
    '',
    `Folder: \`${JSON.stringify(corpus)}\``,
    '',
    ...Object.entries(commands).map(([what, command]) => `- ${what}: \`${command}\``),
    ...missing.map((line) => `- missing: ${line}`),
    '',
    ...medianTable(rows),
    '',
    'Medians over the quiet rounds, over all where none was quiet. Wall is the whole command, through Temporal, and',
    'then `sync`, so that what anyone has written is on the medium; the data process is the part of the command that',
    'reads and writes. CPU counts every process that works for it, Temporal and its idle S3 server too. Peak is of',
    'the one process that moves the bytes; worker is the one that started it, at the same time. Stored is what lies',
    'in the repository or in staging.',
    '',
    ...judged(report),
    '',
    ...ratioTable(rows),
    '',
    ...runTable(runs),
    '',
  ].join('\n');
}

function medianTable(rows: readonly Row[]): string[] {
  return [
    '| operation | tool | quiet rounds | wall s | data process s | CPU s | peak MiB | stored MiB |',
    '|---|---|---|---|---|---|---|---|',
    ...rows.map((row) => {
      const figures = [
        figure(row.wall),
        figure(row.child),
        figure(row.cpu),
        figure(row.peakMib, 0),
        figure(row.storedMib),
      ];
      return line([`${row.operation}${row.void ? ' (VOID)' : ''}`, row.tool, `${row.quiet}/${row.of}`, ...figures]);
    }),
  ];
}

function ratioTable(rows: readonly Row[]): string[] {
  const ratios = ratiosOf(rows);
  if (ratios.length === 0) return [];
  return [
    '| theirs / ours: above 1 we lead | of | wall | their wall / our data process | CPU | peak memory | stored |',
    '|---|---|---|---|---|---|---|',
    ...ratios.map(({ operation, than, wall, child, cpu, peak, stored }) =>
      line([operation, than, ...[wall, child, cpu, peak, stored].map((ratio) => figure(ratio, 2))]),
    ),
  ];
}

function runTable(runs: readonly Measured[]): string[] {
  const heads = ['round', 'operation', 'tool', 'wall s', 'data process s', 'CPU s', 'peak MiB', 'worker MiB'];
  return [
    line([...heads, 'foreign CPU s', 'stolen s', 'noisy']),
    '|---|---|---|---|---|---|---|---|---|---|---|',
    ...runs.map((run) => {
      const { parentBytes } = run;
      const worker = parentBytes === undefined ? '' : figure(parentBytes / MIB, 0);
      const seconds = [run.wallSeconds, run.childSeconds, run.cpuSeconds].map((value) => figure(value));
      const noise = [figure(run.foreignSeconds), figure(run.stolenSeconds), run.noisy ? 'yes' : ''];
      return line([
        `${run.round}`,
        run.operation,
        run.tool,
        ...seconds,
        figure(run.peakBytes / MIB, 0),
        worker,
        ...noise,
      ]);
    }),
  ];
}

/** What the judges found. */
function judged({ runs }: Report): string[] {
  const compared = runs.filter(({ differences }) => differences !== undefined);
  const wrong = compared.filter(({ differences }) => differences !== '');
  const [restores, backups] = [true, false].map((wanted) =>
    compared.filter(({ operation }) => (operation === 'restore') === wanted),
  );
  return [
    exact(restores, 'restores', '`rsync -nacHAX --delete`'),
    exact(backups, 'backups by Seedship, each restored by the stand-alone reader,', 'the same'),
    ...wrong.map(
      ({ tool, round, operation, differences = '' }) =>
        `${tool}, ${operation}, round ${round}: \`${differences.slice(0, 500)}\``,
    ),
  ];
}

function exact(judgements: readonly Measured[] = [], what: string, judge: string): string {
  const good = judgements.filter(({ differences }) => differences === '').length;
  return `Of ${judgements.length} ${what} ${judge} found ${good} exact.`;
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function figure(value: number | undefined, digits = 1): string {
  return value === undefined ? '' : value.toFixed(digits);
}

function known(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined);
}
