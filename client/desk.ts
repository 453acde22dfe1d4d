/**
 * What a desk does with drives: they come in parcels, known by id, by serial or by a scanned label;
 * some are missing, some belong elsewhere, some are broken, and all go back.
 */
import { wayOf } from '../domain/custody.ts';
import { EXIT, Failure } from '../domain/failure.ts';
import { driveLabel, NAME_RULES, parseName } from '../domain/names.ts';
import type { JobRecord } from '../domain/record.ts';
import type { DriveStatus, JobStatus } from '../domain/seeding-job.ts';
import { parseCarrier, parseTracking } from '../domain/shipment.ts';
import { connectClient } from '../host/connections.ts';
import { readRecord } from '../store/records.ts';
import * as definitions from '../workflows/definitions.ts';
import type { Invocation } from './invocation.ts';
import { act, findJob, runningJobs, statusOf } from './job-acts.ts';
import { readParticulars } from './job-order.ts';
import { needs } from './job-view.ts';
import { enterVault } from './vault-door.ts';

/** A drive on a desk, and the job that knows it. */
interface Found {
  readonly text: string;
  readonly drive?: DriveStatus;
  readonly job?: JobStatus;
}

/** `drive receive [--job J] --drive ID|SERIAL|LABEL…` */
export async function receiveDrives(call: Invocation): Promise<number | undefined> {
  const tokens = call.list('drive').flatMap((text) => text.split(','));
  if (tokens.length === 0)
    throw new Failure('Usage', '--drive is missing', { why: 'name each drive that was in the parcel' });
  const found = await identify(call, tokens);
  const job = jobOf(call, found);
  const ours = found.filter((one) => one.job?.request.job === job);
  const others = found.filter((one) => one.job?.request.job !== job);
  const drives = ours.flatMap(({ drive }) => drive?.id ?? []);
  const extra = others.map(({ text, drive, job: of }) => ({
    drive: drive?.id ?? text,
    ...(of && { ofJob: of.request.job }),
  }));
  const { result, status } = await act(call, job, definitions.receive, {
    drives,
    ...(extra.length > 0 && { extra }),
    ...(call.is('unannounced') && { unannounced: true }),
  });
  showReceived(call, { ...result, job, drives, extra }, status);
  return extra.length > 0 || status.drives.some(({ state }) => state === 'NeverReceived') ? EXIT.losses : undefined;
}

interface Received {
  readonly job: string;
  readonly drives: readonly string[];
  readonly extra: readonly { readonly drive: string; readonly ofJob?: string }[];
}

function showReceived(call: Invocation, received: Received, status: JobStatus): void {
  const { job, drives, extra } = received;
  const missing = status.drives.filter(({ state }) => state === 'NeverReceived').map(({ id }) => id);
  const late = drives.filter((id) => status.drives.some((one) => one.id === id && one.state === 'Extra'));
  const took = drives.filter((id) => !late.includes(id));
  call.print.result('received', { ...received, missing, late, importJob: status.importJob }, () => [
    ...(took.length > 0 ? [`Received ${took.map(driveLabel).join(', ')}.`] : []),
    ...late.map((id) => `${driveLabel(id)} was given up, and travels another way: it goes back as it is.`),
    ...missing.map(
      (id) => `Missing: ${driveLabel(id)} (${id}). When it turns up: the same command. Else the job asks.`,
    ),
    ...extra.map(({ drive, ofJob }) =>
      ofJob === undefined
        ? `Extra: ${drive} is of no job here; it goes back with the others.`
        : `Extra: ${drive} is of the job ${ofJob}: seedship drive receive --job ${ofJob} --drive ${drive}`,
    ),
    `Import job ${job}: ${status.importJob}.`,
    `Next: ${needs(status)}`,
  ]);
}

/** The job that was named, or the one job all these drives are of. */
function jobOf(call: Invocation, found: readonly Found[]): string {
  const named = call.text('job');
  if (named !== undefined) return parseName('job', named);
  const jobs = [...new Set(found.flatMap(({ job }) => job?.request.job ?? []))];
  const [only] = jobs;
  if (only !== undefined && jobs.length === 1) return only;
  throw new Failure('Usage', 'whose parcel is it?', {
    why: jobs.length === 0 ? 'no job here knows these drives' : `these drives are of ${jobs.join(', ')}`,
    next: `add --job ${only ?? 'NAME'}`,
  });
}

/** Who the drives are, by what is printed on them. @throws Failure `Usage` for a label that fits several */
async function identify(call: Invocation, tokens: readonly string[]): Promise<Found[]> {
  const temporal = await connectClient(call.settings);
  try {
    const jobs = await runningJobs(call, temporal);
    const named = call.text('job');
    if (named !== undefined && !jobs.some(({ request }) => request.job === named)) await findJob(call, temporal, named);
    const own = jobs.filter(({ request }) => request.job === named);
    return tokens.map((text) => {
      const found = hit(own, text) ?? hit(jobs, text);
      return found ? { text, ...found } : { text: printable(text) };
    });
  } finally {
    await temporal.close();
  }
}

/** The one drive a token fits; strange ones that lie at a job are none of its own. */
function hit(among: readonly JobStatus[], text: string): { job: JobStatus; drive: DriveStatus } | undefined {
  const hits = among.flatMap((job) =>
    job.drives.filter((drive) => drive.capacityBytes > 0 && fits(drive, text)).map((drive) => ({ job, drive })),
  );
  if (hits.some(({ drive }) => drive.id !== hits[0]?.drive.id)) throw ambiguous(text, hits);
  return hits[0];
}

/** An id, a serial, or a label that holds one of them or the first four digits. */
export function fits({ id, serial }: Pick<DriveStatus, 'id' | 'serial'>, text: string): boolean {
  const token = text.trim().toUpperCase();
  if (token === id || (serial !== undefined && token === serial.toUpperCase())) return true;
  if (/\b[0-9A-F]{16}\b/.test(token)) return token.includes(id);
  const [, digits] = /\bSEEDSHIP-([0-9A-F]{4})\b/.exec(token) ?? [];
  return digits !== undefined && id.startsWith(digits);
}

function ambiguous(text: string, hits: readonly { job: JobStatus; drive: DriveStatus }[]): Failure {
  return new Failure('Usage', `${text} fits several drives`, {
    why: hits.map(({ drive, job }) => `${drive.id} of ${job.request.job}`).join(', '),
    next: `--drive ${hits[0]?.drive.id}`,
  });
}

/** A strange drive by what is printed on it. */
function printable(text: string): string {
  return text
    .trim()
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .slice(0, 64);
}

/** `drive missing --job J --drive ID…` */
export function reportMissing(call: Invocation): Promise<undefined> {
  return report(call, 'missing');
}

/** `drive damaged --job J --drive ID…` */
export function reportDamaged(call: Invocation): Promise<undefined> {
  return report(call, 'damaged');
}

/** `drive lost --job J --drive ID… --choice replace|send|drop` */
export function reportLost(call: Invocation): Promise<undefined> {
  return report(call, 'lost');
}

async function report(call: Invocation, found: 'missing' | 'damaged' | 'lost'): Promise<undefined> {
  const job = parseName('job', call.needed('job'));
  const drives = await ownDrives(call, job);
  const choice = found === 'lost' ? wayOf(call.needed('choice')) : undefined;
  const { status } = await act(call, job, definitions.reportDrives, { drives, found, ...(choice && { choice }) });
  const now = status.drives.filter(({ id }) => drives.includes(id));
  call.print.result('drive-report', { job, found, drives: now, attention: status.attention }, () => [
    ...now.map(({ id, state }) => `${driveLabel(id)} (${id}): ${state}.`),
    `Next: ${needs(status)}`,
  ]);
  return undefined;
}

/** `drive return --job J --carrier C --tracking T [--drive ID…]` */
export async function returnDrives(call: Invocation): Promise<undefined> {
  const job = parseName('job', call.needed('job'));
  const [carrier, tracking] = [parseCarrier(call.needed('carrier')), parseTracking(call.needed('tracking'))];
  const named = call.list('drive').length > 0 ? await ownDrives(call, job) : undefined;
  const drives = named ?? (await returnable(call, job));
  const { status } = await act(call, job, definitions.returnDrives, { drives, carrier, tracking });
  const { state, store, trust } = enterVault(call);
  const record = await readRecord<JobRecord>(store, { kind: 'job', id: job }, trust);
  const { region, details } = status.request;
  const to = await readParticulars(state, { sealed: record?.body.sealed, details, region });
  const back = status.drives.filter(({ id }) => drives.includes(id)).map(({ id, serial }) => ({ id, serial }));
  const stillHere = status.drives
    .filter(({ state }) => STILL_HERE.has(state))
    .map(({ id, serial, state }) => ({ id, serial, state }));
  call.print.result('returned', { job, drives, carrier, tracking, to: to?.returnTo, back, stillHere }, () => [
    `${back.map(({ id, serial }) => withSerial(id, serial)).join(', ')} go back with ${carrier}, ${tracking}.`,
    ...stillHere.map(({ id, serial, state }) => `Still here: ${withSerial(id, serial)}, ${state}.`),
    ...(to?.returnTo ? ['To:', ...to.returnTo.split('\n').map((line) => `  ${line}`)] : []),
    `Next: ${needs(status)}`,
  ]);
  return undefined;
}

const STILL_HERE: ReadonlySet<string> = new Set([
  ...['Received', 'Transferring', 'Completed', 'CompletedMoreInfo', 'Faulted', 'Extra'],
]);

function withSerial(id: string, serial: string | undefined): string {
  return serial === undefined ? driveLabel(id) : `${driveLabel(id)} (${serial})`;
}

/** Drives that were copied, and those that lie here by mistake. */
async function returnable(call: Invocation, job: string): Promise<string[]> {
  const { drives } = await statusOf(call, job);
  const back = ['Completed', 'CompletedMoreInfo', 'Extra'];
  const found = drives.filter(({ state }) => back.includes(state)).map(({ id }) => id);
  if (found.length > 0) return found;
  throw new Failure('WrongState', 'no drive is ready to go back', { next: `seedship job show ${job}` });
}

async function ownDrives(call: Invocation, job: string): Promise<string[]> {
  const tokens = call.list('drive').flatMap((text) => text.split(','));
  if (tokens.length === 0) throw new Failure('Usage', '--drive is missing', { why: 'name each drive' });
  const { drives } = await statusOf(call, job);
  return tokens.map((text) => {
    const hits = drives.filter((drive) => fits(drive, text));
    const [only] = hits;
    if (only && hits.length === 1) return only.id;
    const id = text.trim().toUpperCase();
    if (hits.length === 0 && NAME_RULES.drive.pattern.test(id)) return id;
    throw new Failure(
      'Usage',
      `${JSON.stringify(text)} ${hits.length === 0 ? 'is no drive' : 'fits several drives'} of ${job}`,
      {
        why: drives.map(({ id: one, serial }) => (serial ? `${one} (${serial})` : one)).join(', '),
        next: `seedship job show ${job}`,
      },
    );
  });
}
