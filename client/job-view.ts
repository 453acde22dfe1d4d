/** How a job looks: a row of `job list`, and the page of `job show`. */
import { CHOICES } from '../domain/attention.ts';
import { trackingLink } from '../domain/carrier.ts';
import { wearWarning } from '../domain/disk.ts';
import { driveLabel } from '../domain/names.ts';
import type { JobStatus, WorkState } from '../domain/seeding-job.ts';
import { sentence } from '../domain/status-card.ts';
import { formatDriveSize, formatDuration, formatSize } from '../domain/units.ts';
import { columns, localTime, pairs } from './print.ts';
import { failingLine, type UnderWay } from './under-way.ts';

export const ROW_HEAD = ['JOB', 'STATE', 'DRIVES', 'PACKED', 'DONE', 'ETA', 'NEEDS'] as const;

const READY = ['Prepared', 'Shipped', 'Received', 'Transferring', 'Completed', 'CompletedMoreInfo', 'ShippedBack'];

/** What says more than the stage. */
const BESIDE_STAGES: readonly WorkState[] = ['Attention', 'Cancelling', 'Paused'];

export function jobRow(job: JobStatus, { progress: steps, failing, etaMs }: UnderWay): string[] {
  const ready = job.drives.filter(({ state }) => READY.includes(state)).length;
  const done = steps.reduce((sum, { bytesDone }) => sum + bytesDone, 0);
  const total = steps.reduce((sum, { bytesTotal = 0 }) => sum + bytesTotal, 0);
  return [
    job.request.job,
    BESIDE_STAGES.includes(job.state) ? job.state : job.stage,
    `${ready}/${job.drives.length}`,
    job.staged ? formatSize(job.staged.sealedBytes) : '-',
    total > 0 ? `${Math.floor((done / total) * 100)}%` : '-',
    etaMs === undefined ? '-' : formatDuration(etaMs),
    [...failing.map(failingLine), needs(job)].filter((text, at) => text !== '-' || at === 0).join(' · '),
  ];
}

/** What it waits for, and what to type. */
export function needs(job: JobStatus): string {
  const [first] = job.attention;
  const { what, command } = job.waitsFor;
  if (first) return `${sentence(first)}: ${first.hint}${first.hint.includes(command) ? '' : `: ${command}`}`;
  return command ? `${what}: ${command}` : what || '-';
}

/** @param complete what the vault worker last saw of the job's point */
export function jobLines(
  job: JobStatus,
  { progress, failing }: UnderWay,
  page: string | undefined,
  complete?: string,
): string[] {
  const { request, staged, waitsFor } = job;
  return [
    ...pairs([
      ['job', `${request.job} (vault ${request.vault}, protection ${request.protection} of ${request.machine})`],
      ['stage', `${job.stage}, ${job.state}`],
      ['import job', job.importJob],
      ...(request.copyHosts ? [['copy hosts', request.copyHosts.join(', ')] as const] : []),
      [
        'staged',
        staged ? `${formatSize(staged.sealedBytes)} in ${staged.objects} objects, ${staged.files} files read` : '-',
      ],
      ...(staged && staged.skippedFiles > 0
        ? [['skipped', `${staged.skippedFiles} files could not be read`] as const]
        : []),
      ['point', job.point?.label ?? '-'],
      ...(complete === undefined ? [] : [['complete', complete] as const]),
      ['reached', job.reached.map(({ stage, at }) => `${stage} ${localTime(at)}`).join(' · ')],
      ...(job.held ? [['paused', job.held.map((one) => (one === '*' ? 'the job' : one)).join(', ')] as const] : []),
      ...(job.deadline ? [['decide by', localTime(job.deadline)] as const] : []),
      ...(page ? [['web', page] as const] : []),
    ]),
    ...driveTable(job.drives),
    ...job.drives.flatMap(({ id, disk = {} }) => {
      const warning = wearWarning(disk);
      return warning === undefined ? [] : [`Warning: the disk of ${driveLabel(id)} became worse: ${warning}`];
    }),
    ...parcelTable(job.parcels),
    ...progress.map(
      ({ step, bytesDone, bytesTotal }) =>
        `${step}: ${formatSize(bytesDone)}${bytesTotal ? ` of ${formatSize(bytesTotal)}` : ''}`,
    ),
    ...failing.map(failingLine),
    ...attentionLines(job),
    '',
    `Waits for: ${waitsFor.what || 'nothing'}${waitsFor.who ? ` (${waitsFor.who})` : ''}`,
    ...(waitsFor.command ? [`Next: ${waitsFor.command}`] : []),
  ];
}

function attentionLines({ request, attention }: JobStatus): string[] {
  return attention.flatMap((one) => [
    '',
    `Attention ${one.id} [${one.code}]: ${sentence(one)}`,
    `  ${one.hint}`,
    ...pairs(
      one.choices.map(
        (choice) =>
          [`  seedship job resolve ${request.job} --attention ${one.id} --choice ${choice}`, CHOICES[choice]] as const,
      ),
    ),
  ]);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : ['', ...columns(head, rows)];
}

function driveTable(drives: JobStatus['drives']): string[] {
  return table(
    ['DRIVE', 'LABEL', 'STATE', 'HOST', 'OBJECTS', 'SIZE'],
    drives.map(({ id, state, host, objects, bytes, capacityBytes, ofJob }) => [
      id,
      capacityBytes === 0 ? '-' : driveLabel(id),
      ofJob === undefined ? state : `${state}, of ${ofJob}`,
      host || '-',
      String(objects),
      `${formatSize(bytes)} of ${formatDriveSize(capacityBytes)}`,
    ]),
  );
}

function parcelTable(parcels: JobStatus['parcels']): string[] {
  return table(
    ['PARCEL', 'CARRIER', 'STATE', 'DRIVES', 'LINK'],
    parcels.map(({ tracking, carrier, state, drives, back }) => [
      tracking,
      carrier,
      back ? `${state} (back)` : state,
      drives.map(driveLabel).join(', '),
      trackingLink(carrier, tracking) ?? '-',
    ]),
  );
}
