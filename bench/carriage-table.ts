/** Of the runs of a carriage: medians over the quiet rounds where there are any, as Markdown. */
import type { Carried } from './carriage-series.ts';
import { conditionsLine, type Machine, type Versions } from './ground.ts';
import { OURS } from './measure.ts';
import { median } from './report.ts';

const MB = 1e6;
const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

export interface CarriageReport extends Versions {
  readonly at: string;
  readonly machine: Machine;
  readonly corpus: unknown;
  readonly rounds: number;
  readonly rate: number;
  readonly runs: readonly Carried[];
}

export interface CarriageRow {
  readonly operation: string;
  readonly tool: string;
  readonly quiet: number;
  readonly of: number;
  readonly wall: number;
  readonly rate: number;
  readonly cpuPerGib: number;
  readonly peakMib: number;
}

/** A line for each operation and tool, ours first; a drive's writing and reading back have lines of their own. */
export function carriageRows(runs: readonly Carried[]): CarriageRow[] {
  const all = runs.flatMap((run) => [run, ...phasesOf(run)]);
  const keys = [...new Set(all.map(({ operation, tool }) => `${operation}\n${tool}`))];
  const operations = [...new Set(all.map(({ operation }) => operation))];
  const rows = keys.map((key) => {
    const [operation = '', tool = ''] = key.split('\n');
    const known = all.filter((run) => run.operation === operation && run.tool === tool);
    const quiet = known.filter(({ noisy }) => !noisy);
    const used = quiet.length > 0 ? quiet : known;
    return {
      ...{ operation, tool, quiet: quiet.length, of: known.length },
      wall: median(used.map((run) => run.wallSeconds)),
      rate: median(used.map((run) => run.bytes / run.wallSeconds)),
      cpuPerGib: median(used.map((run) => (run.cpuSeconds / run.bytes) * GIB)),
      peakMib: median(used.map((run) => run.peakBytes)) / MIB,
    };
  });
  const rank = ({ operation, tool }: CarriageRow) => operations.indexOf(operation) * 2 + Number(tool !== OURS);
  return rows.sort((a, b) => rank(a) - rank(b));
}

/** What a drive says of its own two halves; the CPU is of the whole, and told there. */
function phasesOf(run: Carried): Carried[] {
  const { bytes, writtenPerSecond, readPerSecond, operation: _, ...rest } = run;
  const phase = (operation: string, perSecond: number | undefined): Carried[] =>
    perSecond === undefined
      ? []
      : [{ ...rest, operation, bytes, wallSeconds: bytes / perSecond, cpuSeconds: Number.NaN, peakBytes: Number.NaN }];
  return [...phase('write', writtenPerSecond), ...phase('read back', readPerSecond)];
}

export function carriageMarkdown(report: CarriageReport): string {
  const { corpus, missing, rate, runs } = report;
  return [
    `# A seed’s way beside plain copies${rate === 0 ? '' : `: a device of ${Math.round(rate / MB)} MB/s`}`,
    '',
    conditionsLine(report),
    '',
    `Folder: \`${JSON.stringify(corpus)}\`; what is carried is its seed.`,
    '',
    ...missing.map((line) => `- missing: ${line}`),
    '',
    '| operation | tool | quiet rounds | wall s | MB/s | CPU s a GiB | peak MiB |',
    '|---|---|---|---|---|---|---|',
    ...carriageRows(runs).map(({ operation, tool, quiet, of, wall, rate: speed, cpuPerGib, peakMib }) => {
      const figures = [wall.toFixed(1), (speed / MB).toFixed(0), shown(cpuPerGib, 2), shown(peakMib, 0)];
      return `| ${[operation, tool, `${quiet}/${of}`, ...figures].join(' | ')} |`;
    }),
    '',
    'Medians over the quiet rounds, over all where none was quiet. Wall is the whole command. *Write* and *read back*',
    'of Seedship are the two halves of preparing, by the drive’s own account: each object is sealed, written past the',
    'page cache and made durable, then read from the medium and compared. dd writes one stream past the page cache,',
    'and fsyncs; cp writes files, then syncs the file system. CPU is the client’s: the S3 server and Temporal are left',
    'out, ours and theirs. The copy into the vault begins when the last object has landed, before `drive attach` ends.',
    '',
  ].join('\n');
}

function shown(value: number, digits: number): string {
  return Number.isNaN(value) ? '' : value.toFixed(digits);
}
