/**
 * A job's report: the signed revisions of its record and the signed copy logs of its drives, and beside
 * them, for people, what they tell. Whoever has the vault's public key can check it years later, with
 * nothing else at hand:
 *
 *   1 the seal is of a party of this vault, and the report is what was sealed
 *   2 every revision is signed for its place and built on the one before; none is missing at the end. Numbers
 *     between them were taken by what does not count (store/records.ts)
 *   3 every copy log is signed, and is one that the job names
 *     every act that was typed at a computer has the request that computer signed
 *   4 lines and tables are those that revisions and logs tell
 *   5 a page is the page that was sealed
 */
import { countCodes, driveCode, OBJECT_CODES } from '../domain/copy-code.ts';
import { jobStory, type SignedRevision, type StoryLine } from '../domain/job-story.ts';
import { type Digest, driveLabel } from '../domain/names.ts';
import type { Act, Cleaned, JobRecord } from '../domain/record.ts';
import { seedingId } from '../domain/seeding-job.ts';
import type { Parcel } from '../domain/shipment.ts';
import { VERSION } from '../domain/version.ts';
import { doubtOf, openActRequest } from '../format/act-request.ts';
import { type CopyLog, openCopyLog } from '../format/copy-log.ts';
import { CorruptError } from '../format/cursor.ts';
import { digestOfText, openReportSeal, sealReport } from '../format/report-seal.ts';
import type { Trust } from '../format/signature.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { copyLogName, requestName } from '../store/places.ts';
import { type Hand, openRevision, readHistory } from '../store/records.ts';
import { blankSeal, reportPage } from './report-page.ts';

/** Refused objects of one drive that are listed; the counts are of all. */
const REFUSED_MAX = 1000;

export interface DriveReport {
  readonly drive: string;
  readonly label: string;
  readonly state: string;
  readonly host: string;
  readonly objects: number;
  readonly bytes: number;
  /** Of the drive as a whole; `-` while nothing was found out about it. */
  readonly code: string;
  /** How many objects of each code. */
  readonly codes: Readonly<Record<string, number>>;
  readonly refused: readonly { readonly number: number; readonly object: Digest; readonly code: string }[];
}

/** What the revisions and logs tell. */
export interface Told {
  readonly stage: string;
  readonly importJob: string;
  readonly point: string;
  readonly lines: readonly StoryLine[];
  readonly drives: readonly DriveReport[];
  readonly parcels: readonly Parcel[];
  readonly cleaned?: Cleaned;
}

export interface JobReport extends Told {
  readonly job: string;
  readonly vault: { readonly name: string; readonly id: string };
  readonly version: string;
  /** ISO, UTC. */
  readonly made: string;
  readonly by: string;
  readonly revisions: readonly { readonly revision: number; readonly signed: string }[];
  readonly copyLogs: readonly { readonly drive: string; readonly name: Digest; readonly signed: string }[];
  /** What people signed where they typed it, by digest. */
  readonly requests: readonly { readonly name: Digest; readonly signed: string }[];
  /** Base64 of a signed envelope; see format/report-seal.ts. */
  readonly seal: string;
}

interface Signed {
  /** The highest number that is taken, should it count or not. */
  readonly taken: number;
  readonly revisions: readonly (SignedRevision & { readonly signed: Buffer })[];
  readonly logs: readonly { readonly drive: string; readonly name: Digest; readonly signed: Buffer }[];
  readonly requests: readonly { readonly name: Digest; readonly signed: Buffer }[];
}

export interface ReportSource {
  readonly store: ObjectStore;
  readonly vaultName: string;
  readonly job: string;
  readonly hand: Hand;
}

/** Reads what the vault holds of a job, each revision checked. */
export async function readSigned({ store, job, hand: { trust } }: Omit<ReportSource, 'vaultName'>): Promise<Signed> {
  const { revisions, taken } = await readHistory<JobRecord>(store, { kind: 'job', id: job }, trust);
  const logs = await Promise.all(
    logsNamed(revisions).map(async ({ drive, name }) => {
      const signed = await store.getExact(copyLogName(name), name);
      return { drive, name, signed };
    }),
  );
  const named = new Set(signedActs(revisions).flatMap(({ request }) => request ?? []));
  const requests = await Promise.all(
    [...named].map(async (name) => ({ name, signed: await store.getExact(requestName(name), name) })),
  );
  return { taken, revisions, logs, requests };
}

/** Acts of which it is known whose they are. */
function signedActs(revisions: readonly SignedRevision[]): Act[] {
  let before: JobRecord['state'];
  return revisions.flatMap(({ body: { state } }) => {
    const isNews = state !== undefined && (state.run !== before?.run || state.sequence !== before.sequence);
    before = state;
    return isNews ? state.acts.filter(({ signedBy }) => signedBy !== undefined) : [];
  });
}

/** The report, sealed. */
export function makeReport(source: ReportSource, signed: Signed, form: 'data' | 'page'): JobReport {
  const { job, vaultName, hand } = source;
  const { signer, trust } = hand;
  const unsealed: JobReport = {
    job,
    vault: { name: vaultName, id: trust.vaultId },
    version: VERSION,
    made: new Date().toISOString(),
    by: `${signer.role} ${signer.id}`,
    ...tell(job, signed, trust),
    revisions: signed.revisions.map((one) => ({ revision: one.revision, signed: one.signed.toString('base64') })),
    copyLogs: signed.logs.map(({ drive, name, signed: bytes }) => ({ drive, name, signed: bytes.toString('base64') })),
    requests: signed.requests.map(({ name, signed: bytes }) => ({ name, signed: bytes.toString('base64') })),
    seal: '',
  };
  const newest = signed.revisions.at(-1);
  if (!newest) throw new CorruptError('report: of no revision');
  const seal = {
    ...{ job, revisions: signed.revisions.length, newest: newest.digest, content: contentOf(unsealed) },
    ...(form === 'page' ? { page: digestOfText(reportPage(unsealed)) } : {}),
  };
  return { ...unsealed, seal: sealReport(seal, hand).toString('base64') };
}

/** What is wrong with a report; nothing when it holds. `page` is the whole text it came in, if it was a page. */
export function checkReport(report: JobReport, trust: Trust, page?: string): string[] {
  const found: string[] = [];
  const revisions = checkRevisions(report, trust, found);
  const logs = checkLogs(report, trust, found);
  checkRequests(report, { trust, acts: signedActs(revisions) }, found);
  checkSeal(report, { trust, page, newest: revisions.at(-1)?.digest }, found);
  const whole = revisions.length === report.revisions.length && logs.length === report.copyLogs.length;
  if (whole && report.version === VERSION) checkTold(report, tell(report.job, { revisions, logs }, trust), found);
  return found;
}

function contentOf(report: JobReport): Digest {
  return digestOfText(JSON.stringify({ ...report, seal: '' }));
}

/** The logs that the newest revisions name, each once. */
function logsNamed(revisions: readonly SignedRevision[]): { readonly drive: string; readonly name: Digest }[] {
  const named = new Map<Digest, string>();
  for (const { body } of revisions)
    for (const { id, copyLog } of body.state?.drives ?? []) if (copyLog !== undefined) named.set(copyLog, id);
  return [...named].map(([name, drive]) => ({ drive, name }));
}

function tell(job: string, { revisions, logs }: Pick<Signed, 'revisions' | 'logs'>, trust: Trust): Told {
  const body = revisions.at(-1)?.body;
  const lines = jobStory(revisions);
  const opened = new Map(
    logs.map(({ drive, name, signed }) => [name, openCopyLog(signed, { trust, name, drive, job }).log]),
  );
  return {
    stage: body?.state?.stage ?? 'Staging',
    importJob: body?.state?.importJob ?? 'Creating',
    point: body?.state?.point?.label ?? '-',
    lines,
    drives: (body?.state?.drives ?? []).map(({ id, state, host, objects, bytes, copyLog }) => ({
      ...{ drive: id, label: driveLabel(id), state, host, objects, bytes },
      ...codesOf(copyLog === undefined ? undefined : opened.get(copyLog), lines, id),
    })),
    parcels: body?.state?.parcels ?? [],
    ...(body?.cleaned ? { cleaned: body.cleaned } : {}),
  };
}

function codesOf(
  log: CopyLog | undefined,
  lines: readonly StoryLine[],
  drive: string,
): Pick<DriveReport, 'code' | 'codes' | 'refused'> {
  if (!log) {
    const refusal = lines.findLast((line) => line.drive === drive && line.code !== undefined)?.code;
    return { code: refusal ?? '-', codes: {}, refused: [] };
  }
  const outcomes = log.objects.map(({ outcome }) => outcome);
  const refused = log.objects
    .map(({ number, name, outcome }) => ({ number, object: name, code: OBJECT_CODES[outcome].code }))
    .filter(({ code }) => code !== 'Completed')
    .slice(0, REFUSED_MAX);
  return { code: driveCode(outcomes), codes: countCodes(outcomes), refused };
}

type Opened = SignedRevision & { readonly signed: Buffer };

function checkRevisions({ job, revisions }: JobReport, trust: Trust, found: string[]): Opened[] {
  const opened: Opened[] = [];
  let [before, last]: [Digest | null, number] = [null, 0];
  for (const { revision, signed } of revisions) {
    if (revision <= last) found.push(`revision ${revision} stands behind ${last}: it was moved`);
    last = revision;
    const bytes = Buffer.from(signed, 'base64');
    try {
      const one = openRevision<JobRecord>(bytes, { kind: 'job', id: job, revision }, trust);
      if (one.predecessor !== before) found.push(`revision ${revision} is not built on the one before it`);
      before = one.digest;
      opened.push(one);
    } catch (error) {
      found.push(`revision ${revision}: ${whyOf(error)}`);
    }
  }
  return opened;
}

function checkLogs({ job, copyLogs }: JobReport, trust: Trust, found: string[]): Signed['logs'] {
  return copyLogs.flatMap(({ drive, name, signed }) => {
    const bytes = Buffer.from(signed, 'base64');
    try {
      openCopyLog(bytes, { trust, name, drive, job });
      return [{ drive, name, signed: bytes }];
    } catch (error) {
      found.push(`copy log of ${driveLabel(drive)}: ${whyOf(error)}`);
      return [];
    }
  });
}

/** Each act, against what the computer signed that it was typed at. */
function checkRequests(
  { vault, job, requests }: JobReport,
  { trust, acts }: { readonly trust: Trust; readonly acts: readonly Act[] },
  found: string[],
): void {
  const workflowId = seedingId({ vault: vault.name, job });
  for (const { act, by, at, request, signedBy } of acts) {
    const carried = requests.find(({ name }) => name === request);
    try {
      if (!carried) throw new CorruptError('it is missing');
      const opened = openActRequest(Buffer.from(carried.signed, 'base64'), { trust, name: carried.name });
      const { role, id } = opened.signer;
      const doubt = signedBy === `${role} ${id}` ? doubtOf(opened, { workflowId, act, by, at }) : `${id} signed it`;
      if (doubt !== undefined) throw new CorruptError(doubt);
    } catch (error) {
      found.push(`request of ${act} at ${at}: ${whyOf(error)}`);
    }
  }
}

function checkSeal(
  report: JobReport,
  { trust, page, newest }: { trust: Trust; page: string | undefined; newest: Digest | undefined },
  found: string[],
): void {
  try {
    const { seal } = openReportSeal(Buffer.from(report.seal, 'base64'), trust);
    if (seal.job !== report.job) found.push(`seal: of the job ${seal.job}`);
    if (seal.revisions !== report.revisions.length || seal.newest !== newest)
      found.push(`cut off: ${seal.revisions} revisions were sealed, ${report.revisions.length} are here`);
    if (seal.content !== contentOf(report)) found.push('the report is not what was sealed');
    if ((page === undefined) !== (seal.page === undefined))
      found.push(page === undefined ? 'taken out of a page' : 'the page was put around it afterwards');
    else if (page !== undefined && seal.page !== digestOfText(blankSeal(page, report.seal)))
      found.push('the page is not what was sealed');
  } catch (error) {
    found.push(`seal: ${whyOf(error)}`);
  }
}

/** Names the line, where one can be named: the seal says only that something is not as it was. */
function checkTold(report: JobReport, told: Told, found: string[]): void {
  const [given, expected] = [report.lines, told.lines].map((lines) => lines.map((line) => JSON.stringify(line)));
  found.push(...lineFindings(given ?? [], expected ?? [], told.lines));
  for (const what of ['stage', 'importJob', 'point', 'drives', 'parcels', 'cleaned'] as const)
    if (JSON.stringify(report[what]) !== JSON.stringify(told[what]))
      found.push(`${what}: not what the signed revisions and copy logs tell`);
}

function lineFindings(given: readonly string[], expected: readonly string[], lines: readonly StoryLine[]): string[] {
  const [held, wanted] = [new Set(given), new Set(expected)];
  const altered = given.flatMap((line, at) =>
    wanted.has(line) ? [] : [`line ${at + 1} is not what the revisions tell`],
  );
  const missing = expected.flatMap((line, at) =>
    held.has(line) ? [] : [`line ${at + 1} is missing: ${lines[at]?.what ?? ''}`],
  );
  const moved = given.findIndex((line, at) => line !== expected[at]);
  const order = altered.length + missing.length === 0 && moved >= 0 ? [`line ${moved + 1} is not in its place`] : [];
  return [...altered, ...missing, ...order];
}

function whyOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  throw error;
}
