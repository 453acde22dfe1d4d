/** `drive erase`: the keys of a drive are deleted, its medium is overwritten, and the job's record says so. */
import path from 'node:path';
import { WorkflowExecutionAlreadyStartedError, WorkflowIdReusePolicy } from '@temporalio/client';
import { type ErasureOutcome, planErasure } from '../domain/erasure-plan.ts';
import { EXIT, Failure } from '../domain/failure.ts';
import { driveLabel, parseName } from '../domain/names.ts';
import type { JobRecord } from '../domain/record.ts';
import type { ErasureRequest } from '../domain/request.ts';
import { erasureId } from '../domain/seeding-job.ts';
import { queueOf, siteOf } from '../domain/site.ts';
import { formatSize } from '../domain/units.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { isBlockDevice } from '../store/block-device.ts';
import { readDriveLabel } from '../store/drive-volume.ts';
import { openState } from '../store/machine-state.ts';
import { readRecord } from '../store/records.ts';
import { workStatus } from '../workflows/definitions.ts';
import { confirmErasing, disposableDisk } from './disks.ts';
import { follow, handOver, uiPage } from './follow.ts';
import type { Invocation } from './invocation.ts';
import { enterVault } from './vault-door.ts';

interface Doomed {
  readonly drive: string | undefined;
  /** As machine state keeps it. */
  readonly place: string;
  readonly serial?: string;
}

/** `drive erase DEVICE|DIR --job J [--full]` */
export async function eraseDrive(call: Invocation): Promise<number | undefined> {
  const at = path.resolve(call.word(0));
  const job = parseName('job', call.needed('job'));
  const { store, trust, credentials } = enterVault(call);
  const record = await readRecord<JobRecord>(store, { kind: 'job', id: job }, trust);
  if (!record) throw new Failure('NotFound', `the vault knows no job ${job}`, { next: 'seedship job list' });
  const doomed = await doomedAt(call, at);
  const drive = driveOf(call, doomed, at);
  const plan = planErasure(record.body, drive);
  if (plan.refused !== undefined) throw refusal(drive, plan.refused);
  const { serial, place } = doomed;
  const queue = siteHere(call);
  if (serial !== undefined && plan.serial !== undefined && plan.serial !== serial)
    call.print.event(
      'serial',
      `This disk says it is ${serial}; what was sent as ${driveLabel(drive)} was ${plan.serial}.`,
      {
        serial,
        sent: plan.serial,
      },
    );
  if (call.is('dry-run')) return showPlan(call, { drive, at, plan });
  await confirmErasing(call, at, serial === undefined ? 'id' : 'serial', serial ?? drive);
  await openState(call.settings.stateDirectory).setDrive(drive, place);
  const { heartbeatMs, host } = call.settings;
  const request: ErasureRequest = {
    ...{ vault: credentials.vault.name, job, machine: plan.machine, drive, queue, host, heartbeatMs },
    ...{ full: call.is('full'), by: credentials.id, ...(serial === undefined ? {} : { serial }) },
  };
  return run(call, request);
}

async function doomedAt(call: Invocation, at: string): Promise<Doomed> {
  if (isBlockDevice(at)) return disposableDisk(call, at);
  return { drive: await readDriveLabel(at), place: at };
}

/** What it says itself; a disk past reading is named by the person. */
function driveOf(call: Invocation, { drive, serial }: Doomed, at: string): string {
  const named = call.text('drive');
  const given = named === undefined ? undefined : parseName('drive', named.toUpperCase());
  if (drive !== undefined && given !== undefined && given !== drive)
    throw new Failure('DriveForeign', `${at} is drive ${drive}, not ${given}`, { why: 'nothing was written to it' });
  const found = drive ?? (serial === undefined ? undefined : given);
  if (found !== undefined) return found;
  throw new Failure('DriveForeign', `${at} does not say which drive it is`, {
    why: 'it bears no label that can be read',
    next: 'add --drive ID, as printed on its label page',
  });
}

function refusal(drive: string, why: string): Failure {
  return new Failure('WrongState', `drive ${driveLabel(drive)} is not erased`, {
    why,
    next: `seedship drive history ${drive}`,
  });
}

/** A copy host or a dock may write to what is attached to it. */
function siteHere({ settings }: Invocation): string {
  const sites = openState(settings.stateDirectory)
    .listCredentials()
    .flatMap(({ site = '' }) => site || []);
  const found =
    sites.find((site) => site === queueOf.copy(settings.host)) ?? sites.find((site) => siteOf(site).site === 'dock');
  if (found !== undefined) return found;
  throw new Failure('WrongState', 'this host is neither a copy host nor a dock', {
    why: `it holds no credentials of a site copy.${settings.host}`,
    next: 'seedship agent register --credentials FILE',
  });
}

function showPlan(
  call: Invocation,
  { drive, at, plan }: { readonly drive: string; readonly at: string; readonly plan: ReturnType<typeof planErasure> },
): undefined {
  const steps = [
    `delete keys/drives/${drive}/ in the vault, in ${plan.landings.join(', ')} and in ${plan.staging}`,
    call.is('full') ? `overwrite all of ${at}` : `overwrite the ends of ${at}; --full overwrites all of it`,
    'write both into the record of the job',
  ];
  call.print.result('erasure-plan', { drive, label: driveLabel(drive), at, steps }, () => steps);
  return undefined;
}

async function run(call: Invocation, request: ErasureRequest): Promise<number | undefined> {
  const { vault, job, drive } = request;
  const workflowId = erasureId(vault, job, drive);
  const temporal = await connectClient(call.settings);
  try {
    await begin(temporal, workflowId, request);
    if (call.isOff('wait')) return handOver(call, { workflowId });
    return await watch(call, temporal, workflowId, drive);
  } finally {
    await temporal.close();
  }
}

async function begin(temporal: TemporalClient, workflowId: string, request: ErasureRequest): Promise<void> {
  try {
    await temporal.call(() =>
      temporal.client.workflow.start('erasure', {
        workflowId,
        taskQueue: queueOf.control,
        args: [request],
        workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
        staticSummary: `Erase ${driveLabel(request.drive)} of ${request.job}`,
      }),
    );
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error; // it runs: it is followed
  }
}

async function watch(call: Invocation, temporal: TemporalClient, workflowId: string, drive: string): Promise<number> {
  const handle = temporal.client.workflow.getHandle(workflowId);
  let outcome: ErasureOutcome | undefined;
  const exit = await follow(call, temporal, {
    workflowId,
    async look() {
      const { status } = await temporal.call(() => handle.describe());
      if (status.name !== 'RUNNING') {
        outcome = await temporal.call(() => handle.result());
        return { done: true };
      }
      const [first] = (await temporal.call(() => handle.query(workStatus))).attention;
      if (!first) return { done: false };
      throw Object.assign(new Failure(first.code, first.message, { next: first.hint }), {
        workflowId,
        uiUrl: uiPage(call, workflowId),
      });
    },
  });
  return outcome ? tell(call, drive, outcome) : exit;
}

function tell(call: Invocation, drive: string, { refused, erased }: ErasureOutcome): number {
  if (!erased) throw refusal(drive, refused ?? 'the workflow ended before');
  const { full, bytes, unwritable } = erased;
  call.print.result('erased', { ...erased, label: driveLabel(drive) }, () => [
    `${driveLabel(drive)} (${drive}): its keys are deleted in vault, landing and staging.`,
    `${formatSize(bytes)} overwritten, ${full ? 'all of it' : 'its ends; --full overwrites all of it'}.`,
    ...(unwritable > 0 ? [`${formatSize(unwritable)} could not be overwritten: without the keys they are noise.`] : []),
  ]);
  return unwritable > 0 ? EXIT.losses : EXIT.ok;
}
