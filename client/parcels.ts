/** `parcel …`: what travels, by its tracking number. */
import { trackingLink } from '../domain/carrier.ts';
import { wayOf } from '../domain/custody.ts';
import { Failure } from '../domain/failure.ts';
import { driveLabel, parseName } from '../domain/names.ts';
import type { JobRecord } from '../domain/record.ts';
import { childId, type JobStatus } from '../domain/seeding-job.ts';
import { type Parcel, parseCarrier, parseTracking } from '../domain/shipment.ts';
import { connectClient } from '../host/connections.ts';
import { readRecords } from '../store/records.ts';
import * as definitions from '../workflows/definitions.ts';
import type { Invocation } from './invocation.ts';
import { act, findJob, jobStatus, runningJobs } from './job-acts.ts';
import { needs } from './job-view.ts';
import { columns, localTime } from './print.ts';
import { type Door, enterVault } from './vault-door.ts';

/** `parcel list [--job J]` */
export async function listParcels(call: Invocation): Promise<undefined> {
  const jobs = await jobsMeant(call);
  const rows = jobs.flatMap(({ request, parcels }) => parcels.map((parcel) => withLink(request.job, parcel)));
  call.print.result('parcel-list', rows, () =>
    rows.length === 0
      ? ['No parcel yet. Next: seedship job ship NAME --carrier CARRIER --tracking NUMBER']
      : columns(
          ['PARCEL', 'JOB', 'CARRIER', 'STATE', 'SINCE', 'DRIVES', 'LAST SEEN', 'LINK'],
          rows.map(({ tracking, job, carrier, state, shippedAt, drives, scan, back, link = '-' }) => [
            tracking,
            job,
            carrier,
            back ? `${state} (back)` : state,
            localTime(shippedAt),
            drives.map(driveLabel).join(',') || '-',
            scan ? `${scan.event} ${localTime(scan.at)}` : '-',
            link,
          ]),
        ),
  );
  return undefined;
}

/** `parcel amend TRACKING --to TRACKING [--carrier C]` */
export async function amendParcel(call: Invocation): Promise<undefined> {
  const { job, tracking } = await parcelMeant(call);
  const to = parseTracking(call.needed('to'));
  const carrier = call.text('carrier');
  await checkUnused(call, to, job);
  const { result, status } = await act(call, job, definitions.amendParcel, {
    ...{ tracking, to },
    ...(carrier === undefined ? {} : { carrier: parseCarrier(carrier) }),
    ...(call.is('unchecked') && { unchecked: true }),
  });
  show(call, job, result, [
    `Parcel ${tracking} is ${result.tracking} (${result.carrier}) now.`,
    `Next: ${needs(status)}`,
  ]);
  return undefined;
}

/** `parcel received TRACKING [--drive ID…]`: opened; all its drives were in it, or only these. */
export async function receiveParcel(call: Invocation): Promise<number | undefined> {
  const { job, tracking, drives } = await parcelMeant(call);
  const named = call.list('drive');
  const words = (named.length > 0 ? named : drives).flatMap((drive) => ['--drive', drive]);
  call.print.talk(`Parcel ${tracking} of job ${job} was opened.`);
  return await call.type(['drive', 'receive', '--job', job, ...words, ...passedOn(call)]);
}

/** `parcel lost TRACKING --choice replace|send|drop` */
export async function loseParcel(call: Invocation): Promise<undefined> {
  const { job, tracking } = await parcelMeant(call);
  const choice = wayOf(call.needed('choice'));
  const { status } = await act(call, job, definitions.loseParcel, { tracking, choice });
  const parcel = status.parcels.find((one) => one.tracking === tracking);
  if (parcel) show(call, job, parcel, [`Parcel ${tracking} will not come.`, `Next: ${needs(status)}`]);
  return undefined;
}

/** `parcel scan TRACKING --event E [--at TIME] [--id ID]`: what a carrier says, as a feed would tell it. */
export async function scanParcel(call: Invocation): Promise<undefined> {
  const { job, tracking, workflowId } = await parcelMeant(call);
  const event = call.needed('event').toLowerCase();
  const at = new Date(call.text('at') ?? Date.now());
  if (Number.isNaN(at.getTime())) throw new Failure('Usage', `--at ${call.text('at')} is no time`);
  const scan = {
    tracking,
    event,
    at: at.toISOString(),
    scanId: call.text('id') ?? `${tracking} ${event} ${at.toISOString()}`,
  };
  const temporal = await connectClient(call.settings);
  try {
    const child = temporal.client.workflow.getHandle(childId.shipping(workflowId));
    await temporal.call(() => child.signal(definitions.carrierScan, scan));
  } finally {
    await temporal.close();
  }
  call.print.result('scan', { job, ...scan }, () => [`Told job ${job}: ${tracking} ${event}.`]);
  return undefined;
}

/**
 * Two parcels never share a tracking number, whatever their jobs; asked of the records, where this
 * computer may list them. @throws Failure `WrongState`
 */
export async function checkUnused(call: Invocation, tracking: string, job: string): Promise<void> {
  const other = await jobWith(enterVault(call), tracking, job);
  if (other === undefined) return;
  throw new Failure('WrongState', `the job ${other} has a parcel ${tracking} already`, {
    why: 'two parcels never share a tracking number: jobs are not mixed in a parcel',
    next: `seedship parcel list --job ${other}`,
  });
}

async function jobWith({ store, trust }: Door, tracking: string, job: string): Promise<string | undefined> {
  try {
    for await (const { id, body } of readRecords<JobRecord>(store, 'job', trust)) {
      if (id === job) continue;
      const { parcels = [] } = body.state ?? {};
      if (parcels.some((one) => one.tracking === tracking || one.was?.includes(tracking))) return id;
    }
  } catch (error) {
    if (!(error instanceof Failure && error.code === 'StorageRefused')) throw error; // a machine may not list
  }
  return undefined;
}

export interface Meant extends Parcel {
  readonly job: string;
  readonly workflowId: string;
}

/** A parcel by its number, or by one it went by before. @throws Failure `NotFound` */
export async function parcelMeant(call: Invocation): Promise<Meant> {
  const tracking = parseTracking(call.word(0));
  const all = (await jobsMeant(call)).flatMap(({ request, workflowId, parcels }) =>
    parcels.map((parcel) => ({ ...parcel, job: request.job, workflowId })),
  );
  const found = all.find((one) => one.tracking === tracking) ?? all.find((one) => one.was?.includes(tracking));
  if (found) return found;
  throw new Failure('NotFound', `no job under way has a parcel ${tracking}`, {
    why: all.length === 0 ? 'none was sent' : `there are ${all.map((one) => one.tracking).join(', ')}`,
    next: 'seedship parcel list',
  });
}

async function jobsMeant(call: Invocation): Promise<JobStatus[]> {
  const named = call.text('job');
  enterVault(call); // without a vault there is nothing to connect for
  const temporal = await connectClient(call.settings);
  try {
    if (named === undefined) return await runningJobs(call, temporal);
    return [await jobStatus(temporal, await findJob(call, temporal, parseName('job', named)))];
  } finally {
    await temporal.close();
  }
}

/** Of the common flags, those another command of ours must hear too. */
function passedOn(call: Invocation): string[] {
  const named = ['vault', 'machine', 'state-dir', 'host', 'temporal-address', 'temporal-namespace'];
  const texts = named.flatMap((flag) => {
    const value = call.text(flag);
    return value === undefined ? [] : [`--${flag}`, value];
  });
  return call.print.json ? [...texts, '--json'] : texts;
}

function withLink(job: string, parcel: Parcel) {
  const link = trackingLink(parcel.carrier, parcel.tracking);
  return { job, ...parcel, ...(link && { link }) };
}

function show(call: Invocation, job: string, parcel: Parcel, lines: readonly string[]): void {
  call.print.result('parcel', withLink(job, parcel), () => lines);
}
