/** `drive …`: disks, and directories that stand for them. */
import path from 'node:path';
import { checkCopyHost, mayPrepare } from '../domain/copy-hosts.ts';
import { checkDriveSize } from '../domain/datacenter.ts';
import { type DiskReport, type DiskRules, describeRates, wearWarning } from '../domain/disk.ts';
import type { DriveState } from '../domain/drive.ts';
import { EXIT, Failure } from '../domain/failure.ts';
import { driveLabel, parseName } from '../domain/names.ts';
import type { DatacenterRecord } from '../domain/record.ts';
import { childId, type DriveStatus, type JobStatus } from '../domain/seeding-job.ts';
import { siteOf } from '../domain/site.ts';
import { formatSize, parseSize } from '../domain/units.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { isBlockDevice } from '../store/block-device.ts';
import { measureVolume, openVolume, readDriveLabel } from '../store/drive-volume.ts';
import { openState } from '../store/machine-state.ts';
import { readDatacenter } from '../store/records.ts';
import * as definitions from '../workflows/definitions.ts';
import type { drivePreparation } from '../workflows/drive-preparation.ts';
import {
  arrivedDisk,
  checkNotOther,
  knownDisk,
  newDriveId,
  type ReadyDisk,
  readyDisk,
  showDrivePlan,
} from './disks.ts';
import { keepLabel } from './drive-label.ts';
import { follow, handOver, uiPage } from './follow.ts';
import type { Invocation } from './invocation.ts';
import { act, jobStatus, runningJobs, statusOf } from './job-acts.ts';
import { needs } from './job-view.ts';
import { checkStaging } from './staging-check.ts';
import { enterVault } from './vault-door.ts';

/** `drive prepare DEVICE|DIR --job J` */
export async function prepareDrive(call: Invocation): Promise<number | undefined> {
  const at = path.resolve(call.word(0));
  const status = await jobMeant(call);
  const { job } = status.request;
  const begun = await begunBefore(call, status, { at, states: ['Specified', 'Prepared'] });
  if (begun !== undefined) {
    if (call.is('dry-run')) return showDrivePlan(call, { drive: begun, place: at });
    return goOn(call, { status, drive: begun }, labelled);
  }
  checkWaiting(call, status);
  await checkStaging(call, stagingOf(status));
  const { store, trust } = enterVault(call);
  const datacenter = await readDatacenter(store, status.request.region, trust);
  // another host may have taken the last object
  const mayErase = async () => checkWaiting(call, await statusOf(call, job));
  const rules = rulesOf(datacenter);
  const ready = isBlockDevice(at)
    ? await readyDisk(call, at, rules, { job, mayErase })
    : await readyFolder(call, at, { job });
  if (!ready) return undefined;
  const { drive, serial } = ready;
  const { host } = call.settings;
  const capacityBytes = Math.min(capacityOf(call), ready.freeBytes);
  checkDriveSize(datacenter, capacityBytes);
  await openState(call.settings.stateDirectory).setDrive(drive, ready.place);
  const { result } = await act(call, job, definitions.prepareDrive, {
    ...{ drive, host, capacityBytes },
    ...(serial && { serial }),
  });
  call.print.event('accepted', `Drive ${driveLabel(drive)} (${drive}) takes ${result.objects} objects.`, {
    drive,
    ...result,
  });
  return call.isOff('wait') ? handOver(call, result) : labelled(call, { status, drive });
}

/**
 * The job that is named, else the only one that waits for a drive and whose staging location is reached here;
 * of several, the one that this host may prepare drives of.
 */
async function jobMeant(call: Invocation): Promise<JobStatus> {
  const named = call.text('job');
  if (named !== undefined) return statusOf(call, parseName('job', named));
  const temporal = await connectClient(call.settings);
  const reached: JobStatus[] = [];
  try {
    for (const one of await runningJobs(call, temporal)) {
      const fits = waitsForDrive(one) && (await checkStaging(call, stagingOf(one)).then(yes, isElsewhere));
      if (fits) reached.push(one);
    }
  } finally {
    await temporal.close();
  }
  const allowed = reached.filter(({ request }) => mayPrepare(request, call.settings.host));
  const found = allowed.length > 0 ? allowed : reached;
  const [only] = found;
  const names = found.map(({ request }) => request.job).join(', ');
  if (only && found.length === 1) {
    call.print.event('job', `Job ${names}`, { job: names });
    return only;
  }
  if (only) throw new Failure('Usage', `several jobs wait for a drive: ${names}`, { next: 'name one with --job' });
  throw new Failure('WrongState', 'no job whose staging location is reached here waits for a drive', {
    next: 'seedship job list, or add --staging DIR',
  });
}

/** A limited staging takes one drive at a time, while it is filled. */
function waitsForDrive({ staged, free, drives, request }: JobStatus): boolean {
  if (staged) return free.length > 0;
  return request.stagedBytesMax !== undefined && drives.every(({ state }) => state !== 'Specified');
}

function stagingOf({ request, packSet, run }: JobStatus) {
  const limited = request.stagedBytesMax !== undefined;
  return { request, ...(packSet !== undefined && { packSet }), ...(limited && { run }) };
}

const yes = (): boolean => true;

/** Of a job whose set is not in the staging location of this host. */
function isElsewhere(error: unknown): boolean {
  if (error instanceof Failure && ['WrongState', 'Configuration', 'Usage'].includes(error.code)) return false;
  throw error;
}

interface Begun {
  readonly status: JobStatus;
  readonly drive: string;
}

async function labelled(call: Invocation, { status, drive }: Begun): Promise<number> {
  const { workflowId } = status;
  return settle(call, {
    ...{ drive, workflowId, until: ['Prepared', 'Shipped', 'Faulted', 'Lost'] },
    async ready({ registered }, { request }) {
      const { page, to } = await keepLabel(call, { drive, ...request });
      const uiUrl = uiPage(call, workflowId);
      return { label: page, ...(registered && { shipTo: to }), ...(uiUrl && { uiUrl }) };
    },
  });
}

/** The drive of a command that was given before: the same command twice is the same work. */
async function begunBefore(
  call: Invocation,
  { drives }: JobStatus,
  { at, states }: { readonly at: string; readonly states: readonly DriveState[] },
): Promise<string | undefined> {
  const disk = isBlockDevice(at);
  const here = disk ? await knownDisk(call, at) : await readDriveLabel(at);
  const known = drives.find(({ id, host }) => id === here && host === call.settings.host);
  if (!known || !states.includes(known.state)) return undefined;
  const mayMove = !disk && !call.is('dry-run'); // it may be mounted elsewhere now
  if (mayMove) await openState(call.settings.stateDirectory).setDrive(known.id, at);
  return known.id;
}

async function goOn(
  call: Invocation,
  begun: Begun,
  settled: (call: Invocation, begun: Begun) => Promise<number>,
): Promise<number | undefined> {
  const { drive, status } = begun;
  const { workflowId } = status;
  call.print.event('follows', `Drive ${driveLabel(drive)} (${drive}) has begun already.`, { drive, workflowId });
  return call.isOff('wait') ? handOver(call, { workflowId }) : settled(call, begun);
}

/** Nothing is erased for a job that would not take the drive now, or not from this host. */
function checkWaiting({ settings }: Invocation, status: JobStatus): void {
  const { staged, free, drives, request } = status;
  checkCopyHost(request, settings.host);
  const next = `seedship job show ${request.job}`;
  if (waitsForDrive(status)) return;
  const filling = drives.find(({ state }) => state === 'Specified');
  if (!staged && filling && request.stagedBytesMax !== undefined)
    throw new Failure('WrongState', `drive ${filling.id} on ${filling.host} is being filled`, {
      why: 'staging is limited: one drive at a time takes what comes',
      next,
    });
  if (!staged) throw new Failure('WrongState', 'the initial backup is still being staged', { next });
  if (free.length === 0)
    throw new Failure('WrongState', 'no object waits for a drive', {
      why: 'each is on one, is being written to one, or goes over the line',
      next,
    });
}

function capacityOf(call: Invocation): number {
  const text = call.text('capacity');
  if (text === undefined) return Number.MAX_SAFE_INTEGER;
  const given = parseSize(text);
  if (given !== undefined) return given;
  throw new Failure('Usage', `--capacity ${text} is no size like 500GB`);
}

/** A directory as a drive; a new one is `given` where that is said. Undefined when it is only tried (`--dry-run`). */
export async function readyFolder(
  call: Invocation,
  folder: string,
  { job, drive: given = newDriveId() }: { readonly job: string; readonly drive?: string },
): Promise<ReadyDisk | undefined> {
  const { drive = given } = await measureVolume(folder);
  checkNotOther(call, { drive, at: folder, job });
  if (call.is('dry-run')) return showDrivePlan(call, { drive, place: folder });
  const volume = await openVolume({ path: folder, id: drive }, 'write');
  try {
    return { drive, place: folder, freeBytes: volume.freeBytes() };
  } finally {
    volume.close();
  }
}

/** What the datacenter of the job takes. */
export function rulesOf({ driveBytesMax, interfaces }: DatacenterRecord): Omit<DiskRules, 'among'> {
  return { bytesMax: driveBytesMax, ...(interfaces ? { interfaces } : {}) };
}

/** `drive attach DEVICE|DIR --job J` */
export async function attachDrive(call: Invocation): Promise<number | undefined> {
  const at = path.resolve(call.word(0));
  const job = parseName('job', call.needed('job'));
  const status = await statusOf(call, job);
  const begun = await begunBefore(call, status, { at, states: ['Transferring', 'Completed', 'CompletedMoreInfo'] });
  if (begun !== undefined) return goOn(call, { status, drive: begun }, ingested);
  const { drive, place, serial }: Arrived = await (isBlockDevice(at) ? arrivedDisk(call, at) : arrivedFolder(at));
  const region = dockRegion(call, status, drive);
  await openState(call.settings.stateDirectory).setDrive(drive, place);
  const { host } = call.settings;
  const { result } = await act(call, job, definitions.attach, { drive, region, host, ...(serial && { serial }) });
  sayOther(call, { drive, ...(serial && { serial }) }, status);
  call.print.event('accepted', `Drive ${driveLabel(drive)} (${drive}) is being read.`, { drive, ...result });
  return call.isOff('wait') ? handOver(call, result) : ingested(call, { status, drive });
}

type Arrived = Pick<ReadyDisk, 'drive' | 'place' | 'serial'>;

/** A copy on another disk opens too, and is no fault; whoever wants their own disk back must know. */
function sayOther(call: Invocation, { drive, serial }: Pick<Arrived, 'drive' | 'serial'>, { drives }: JobStatus): void {
  const sent = drives.find(({ id }) => id === drive)?.serial;
  if (serial === undefined || sent === undefined || serial === sent) return;
  call.print.event('serial', `This disk says it is ${serial}; what was sent as ${driveLabel(drive)} was ${sent}.`, {
    ...{ drive, serial, sent },
  });
}

async function ingested(call: Invocation, { status, drive }: Begun): Promise<number> {
  const until: DriveState[] = ['Completed', 'CompletedMoreInfo', 'Faulted', 'ShippedBack', 'Lost'];
  return settle(call, { drive, until, workflowId: status.workflowId });
}

async function arrivedFolder(folder: string): Promise<Arrived> {
  const drive = await readDriveLabel(folder);
  if (drive !== undefined) return { drive, place: folder };
  throw new Failure('DriveForeign', 'this is no Seedship drive', {
    why: 'it bears no label',
    next: 'attach the drive of this job',
  });
}

/** The datacenter this host is a dock of; of several, the one the drive was sent to. */
function dockRegion(call: Invocation, { request, drives }: JobStatus, drive: string): string {
  const docks = openState(call.settings.stateDirectory)
    .listCredentials()
    .flatMap(({ site = '' }) => (siteOf(site).site === 'dock' ? [siteOf(site).name.split('.')[0] ?? ''] : []));
  const meant = drives.find(({ id }) => id === drive)?.region ?? request.region;
  const region = docks.find((one) => one === meant) ?? docks[0];
  if (region !== undefined) return region;
  throw new Failure('WrongState', 'this host is no dock of a datacenter', {
    why: 'it holds no credentials of a site dock.REGION.HOST',
    next: 'seedship agent register --credentials FILE',
  });
}

interface Settling {
  readonly workflowId: string;
  readonly drive: string;
  readonly until: readonly DriveState[];
  /** What else whoever prepared it needs, once it may travel. */
  readonly ready?: (drive: DriveStatus, job: JobStatus) => Promise<ReadyToShip>;
}

interface ReadyToShip {
  /** The page to print. */
  readonly label: string;
  /** Absent until the import job names it: there are more drives to prepare. */
  readonly shipTo?: readonly string[];
  /** The job in the Web UI. */
  readonly uiUrl?: string;
}

function readyLines(job: string, { shipTo, uiUrl }: Partial<ReadyToShip>): string[] {
  return [
    ...(shipTo ? [`Import job ${job} created. Ship to:`, ...shipTo.map((line) => `  ${line}`)] : []),
    ...(uiUrl ? [`Job ${job}: ${uiUrl}`] : []),
  ];
}

async function settle(call: Invocation, { workflowId, drive, until, ready }: Settling): Promise<number> {
  const temporal = await connectClient(call.settings);
  try {
    let state: DriveState = 'Specified';
    const exit = await follow(call, temporal, {
      workflowId,
      async look() {
        const job = await jobStatus(temporal, workflowId);
        const found = job.drives.find(({ id }) => id === drive);
        if (!found) throw nothingFitted(drive);
        state = found.state;
        if (!until.includes(state) || isBeingRegistered(found, job)) {
          const asks = job.attention.some((one) => one.drive === drive || one.step.includes(drive.slice(0, 4)));
          if (!asks) return { done: false };
        }
        const disk = found.disk ?? (state === 'Prepared' ? await filledBy(temporal, workflowId, drive) : undefined);
        const { waitsFor, attention, request } = job;
        const more = state === 'Prepared' || state === 'Shipped' ? await ready?.(found, job) : undefined;
        call.print.result(
          'drive',
          { ...found, ...(disk && { disk }), ...more, job: request.job, waitsFor, attention },
          () => [
            `Drive ${driveLabel(drive)}: ${state}, ${found.objects} objects, ${formatSize(found.bytes)}.`,
            ...filledLines(disk),
            ...readyLines(request.job, more ?? {}),
            `Next: ${needs(job)}`,
          ],
        );
        return { done: true, exit: until.includes(state) && state !== 'Faulted' ? EXIT.ok : EXIT.wrongState };
      },
    });
    return exit;
  } catch (error) {
    throw Object.assign(Object(error), { workflowId, uiUrl: uiPage(call, workflowId) });
  } finally {
    await temporal.close();
  }
}

/** What the copy host measured, as its own workflow tells it, which ends with it. */
async function filledBy(temporal: TemporalClient, job: string, drive: string): Promise<DiskReport | undefined> {
  const handle = temporal.client.workflow.getHandle<typeof drivePreparation>(childId.prepare(job, drive));
  const ended = await temporal.call(() => handle.result()).catch(() => undefined); // a drive by a plan file has none
  return ended?.outcome === 'prepared' ? ended.drive.disk : undefined;
}

/** `Written at 142.0 MB/s, read back at 180.3 MB/s.`, and what is to be warned of. */
export function filledLines(disk: DiskReport = {}): string[] {
  const [rates, warning] = [describeRates(disk), wearWarning(disk)];
  return [
    ...(rates === '' ? [] : [`${rates.charAt(0).toUpperCase()}${rates.slice(1)}.`]),
    ...(warning === undefined ? [] : [`Warning: its disk became worse while it was filled: ${warning}.`]),
  ];
}

/** All is on drives, and the import job is about to name them: only then may they be shipped. */
function isBeingRegistered({ state, registered }: DriveStatus, job: JobStatus): boolean {
  const isWhole =
    job.staged !== undefined && job.free.length === 0 && job.drives.every((drive) => drive.state !== 'Specified');
  const goesOn = job.state === 'Running' || job.state === 'Waiting'; // else somebody has been asked, or it ends
  return state === 'Prepared' && !registered && isWhole && goesOn;
}

/** A drive that took nothing leaves the job again. */
function nothingFitted(drive: string): Failure {
  return new Failure('DriveFull', `drive ${driveLabel(drive)} is too small: it took nothing`, {
    why: 'an object has up to 64 MiB, and not even one fitted',
    next: 'seedship drive prepare DIR --job NAME, with a larger drive',
  });
}
