/** `job events`, `job report`, `drive history`: what happened, from what was signed when it did. */
import { type CopyOutcome, countCodes, driveCode, OBJECT_CODES } from '../domain/copy-code.ts';
import { EXIT, Failure } from '../domain/failure.ts';
import { driveStory, jobStory, passedOver, type StoryLine } from '../domain/job-story.ts';
import { driveLabel, parseName } from '../domain/names.ts';
import { type CopiedObject, openCopyLog } from '../format/copy-log.ts';
import { readGivenFile } from '../host/secrets.ts';
import { writeDurable } from '../store/durable-file.ts';
import { copyLogName } from '../store/places.ts';
import { readRecords } from '../store/records.ts';
import type { Invocation } from './invocation.ts';
import { checkReport, type JobReport, makeReport, readSigned } from './job-report.ts';
import { asFailure, columns, localTime, pairs } from './print.ts';
import { reportIn, reportPage } from './report-page.ts';
import { type Door, enterVault } from './vault-door.ts';

/** `job events NAME` */
export async function jobEvents(call: Invocation): Promise<undefined> {
  const door = enterVault(call);
  const { revisions, taken } = await signedOf(door, parseName('job', call.word(0)));
  const drive = call.text('drive');
  const last = revisions.at(-1)?.revision ?? 0;
  const met = { at: new Date().toISOString(), who: door.credentials.id, where: '-' };
  const all = [...jobStory(revisions), ...(taken > last ? [passedOver(last + 1, taken, met)] : [])];
  const lines = drive === undefined ? all : driveStory(all, parseName('drive', drive));
  call.print.result('job-events', lines, () => storyTable(lines));
  return undefined;
}

function storyTable(lines: readonly StoryLine[]): string[] {
  const rows = lines.map(({ at, who, where, what, code }) => [
    localTime(at),
    who,
    where,
    code === undefined ? what : `${what} [${code}]`,
  ]);
  return columns(['TIME', 'WHO', 'SIGNED BY', 'WHAT'], rows);
}

async function signedOf({ store, hand }: Door, job: string) {
  const signed = await readSigned({ store, job, hand });
  if (signed.revisions.length > 0) return signed;
  throw new Failure('NotFound', `the vault knows no job ${job}`, { next: 'seedship job list' });
}

/** `job report NAME` */
export async function jobReport(call: Invocation): Promise<number | undefined> {
  const given = call.text('verify');
  return given === undefined ? writeReport(call) : verifyReport(call, given);
}

async function writeReport(call: Invocation): Promise<undefined> {
  const door = enterVault(call);
  const job = parseName('job', call.word(0));
  const { store, hand, credentials } = door;
  const signed = await signedOf(door, job);
  const out = call.text('out');
  const isPage = out !== undefined && /\.html?$/i.test(out);
  const report = makeReport({ store, job, hand, vaultName: credentials.vault.name }, signed, isPage ? 'page' : 'data');
  if (out !== undefined) {
    const text = isPage ? reportPage(report) : `${JSON.stringify(report, undefined, 1)}\n`;
    await writeOut(out, Buffer.from(text));
  }
  call.print.result('job-report', report, () => [
    ...summary(report),
    '',
    out === undefined
      ? `Next: seedship job report ${job} --out ${job}.html`
      : `Written to ${out}. To check it: --verify`,
  ]);
  return undefined;
}

/** A report is never written over another: it may be the one that was filed. */
async function writeOut(file: string, bytes: Buffer): Promise<void> {
  try {
    await writeDurable(file, bytes);
  } catch (cause) {
    throw new Failure('Usage', 'the report cannot be written there', {
      why: asFailure(cause).message,
      next: 'name a file that is not there yet',
      cause,
    });
  }
}

function summary({ job, stage, importJob, point, drives, parcels, lines }: JobReport): string[] {
  return [
    ...pairs([
      ['job', job],
      ['stage', stage],
      ['import job', importJob],
      ['point', point],
    ]),
    '',
    ...columns(
      ['DRIVE', 'STATE', 'OBJECTS', 'CODE', 'OBJECT CODES'],
      drives.map(({ label, state, objects, code, codes }) => [label, state, String(objects), code, codesText(codes)]),
    ),
    '',
    ...columns(
      ['PARCEL', 'CARRIER', 'STATE', 'DRIVES'],
      parcels.map(({ tracking, carrier, state, drives: inside }) => [
        tracking,
        carrier,
        state,
        inside.map(driveLabel).join(', '),
      ]),
    ),
    '',
    ...storyTable(lines),
  ];
}

function codesText(codes: Readonly<Record<string, number>>): string {
  const all = Object.entries(codes).map(([code, count]) => `${code} ${count}`);
  return all.join(', ') || '-';
}

async function verifyReport(call: Invocation, file: string): Promise<number> {
  const text = readGivenFile('report', file).toString();
  const isPage = text.trimStart().startsWith('<');
  const report = parseReport(isPage ? reportIn(text) : text);
  const door = enterVault(call);
  const job = parseName('job', call.word(0));
  const found = checkReport(report, door.trust, isPage ? text : undefined);
  if (report.job !== job) found.push(`it is of the job ${report.job}`);
  const later = await laterRevisions(door, report, found);
  const { revisions, made, by, lines } = report;
  const data = { holds: found.length === 0, found, revisions: revisions.length, made, by, later };
  call.print.result('report-check', data, () =>
    found.length === 0
      ? [
          `It holds: ${lines.length} lines from ${revisions.length} signed revisions.`,
          `Sealed by ${by}, ${localTime(made)}.`,
          ...(later > 0 ? [`The job went on since: ${later} more revisions.`] : []),
        ]
      : ['It does not hold:', ...found.map((finding) => `  ${finding}`)],
  );
  return found.length === 0 ? EXIT.ok : EXIT.integrity;
}

function parseReport(text: string | undefined): JobReport {
  try {
    const parsed: unknown = JSON.parse(text ?? '');
    const inside: { data?: unknown; revisions?: unknown } = Object(parsed);
    const report: JobReport = Object(inside.revisions === undefined ? inside.data : inside);
    const { revisions, lines, copyLogs, requests } = report;
    if ([revisions, lines, copyLogs, requests].every(Array.isArray)) return report;
  } catch {}
  throw new Failure('Corrupt', 'this is no report of a job', { next: 'seedship job report NAME --out FILE' });
}

/** How many revisions the vault has more; offline a report is checked all the same. */
async function laterRevisions(door: Door, report: JobReport, found: string[]): Promise<number> {
  try {
    const { revisions } = await readSigned({ store: door.store, job: report.job, hand: door.hand });
    const ours = report.revisions.at(-1)?.signed;
    const same = revisions[report.revisions.length - 1]?.signed.toString('base64') === ours;
    if (revisions.length > 0 && !same) found.push('the vault has another revision where the report ends');
    return Math.max(0, revisions.length - report.revisions.length);
  } catch (error) {
    if (asFailure(error).code !== 'Unreachable') throw error;
    return 0; // the vault is away: what the report itself says is checked
  }
}

/** `drive history ID` */
export async function driveHistory(call: Invocation): Promise<undefined> {
  const door = enterVault(call);
  const drive = parseName('drive', call.word(0));
  const jobs = call.text('job') === undefined ? await jobsOf(door) : [parseName('job', call.text('job') ?? '')];
  const histories = [];
  for (const job of jobs) {
    const signed = await signedOf(door, job);
    const lines = driveStory(jobStory(signed.revisions), drive);
    if (lines.length > 0) histories.push({ job, lines, log: await copyLogOf(door, job, drive, signed.revisions) });
  }
  if (histories.length === 0)
    throw new Failure('NotFound', `no job knows the drive ${driveLabel(drive)}`, { next: 'seedship drive list' });
  if (call.is('copy-log')) printCopyLogs(call, drive, histories);
  else printHistories(call, drive, histories);
  return undefined;
}

interface History {
  readonly job: string;
  readonly lines: readonly StoryLine[];
  readonly log: readonly CopiedObject[];
}

async function jobsOf({ store, trust }: Door): Promise<string[]> {
  const jobs: string[] = [];
  try {
    for await (const { id } of readRecords(store, 'job', trust)) jobs.push(id);
  } catch (error) {
    if (asFailure(error).code !== 'StorageRefused') throw error;
    throw new Failure('NotAllowed', 'this computer may not list jobs', { next: 'add --job NAME', cause: error });
  }
  return jobs;
}

async function copyLogOf(
  { store, trust }: Door,
  job: string,
  drive: string,
  revisions: Awaited<ReturnType<typeof signedOf>>['revisions'],
): Promise<readonly CopiedObject[]> {
  const state = revisions.at(-1)?.body.state;
  const name = state?.drives.find(({ id }) => id === drive)?.copyLog;
  if (name === undefined) return [];
  const signed = await store.getExact(copyLogName(name), name);
  return openCopyLog(signed, { trust, name, drive, job }).log.objects;
}

/** A line an object, as the field's logs have it; errors always, the rest when asked for. */
function printCopyLogs(call: Invocation, drive: string, histories: readonly History[]): void {
  const verbose = call.is('verbose');
  for (const { job, log } of histories)
    for (const { number, kind, name, length, outcome, offset } of log) {
      const code: { readonly code: string; readonly disposition?: string } = OBJECT_CODES[outcome];
      if (!verbose && code.code === 'Completed') continue;
      process.stdout.write(`${JSON.stringify({ job, drive, number, object: name, kind, length, ...code, offset })}\n`);
    }
}

function printHistories(call: Invocation, drive: string, histories: readonly History[]): void {
  const data = histories.map(({ job, lines, log }) => {
    const outcomes: CopyOutcome[] = log.map(({ outcome }) => outcome);
    const refusal = lines.findLast(({ code }) => code !== undefined)?.code ?? '-';
    return { job, code: log.length > 0 ? driveCode(outcomes) : refusal, codes: countCodes(outcomes), lines };
  });
  call.print.result('drive-history', { drive, label: driveLabel(drive), jobs: data }, () =>
    data.flatMap(({ job, code, codes, lines }) => [
      `${driveLabel(drive)} in job ${job}: ${code}${Object.keys(codes).length > 0 ? ` (${codesText(codes)})` : ''}`,
      ...storyTable(lines).map((line) => `  ${line}`),
    ]),
  );
}
