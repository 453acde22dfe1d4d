/** `job …`: the whole journey, by its name. */
import { checkTracking, trackingLink } from '../domain/carrier.ts';
import { EXIT, Failure } from '../domain/failure.ts';
import type { PresentPoint } from '../domain/record.ts';
import { CANCEL_TABLE, JOURNEY_STAGES, type JobStatus, type JourneyStage } from '../domain/seeding-job.ts';
import { parseCarrier, parseTracking } from '../domain/shipment.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import * as definitions from '../workflows/definitions.ts';
import { follow, uiPage } from './follow.ts';
import type { Invocation } from './invocation.ts';
import { act, findJob, jobStatus } from './job-acts.ts';
import { jobLines, jobRow, ROW_HEAD } from './job-view.ts';
import { checkUnused } from './parcels.ts';
import { readPoints } from './points.ts';
import { columns } from './print.ts';
import { askingRuns, questionLine } from './run-acts.ts';
import { NOTHING, underWay } from './under-way.ts';
import { enterVault } from './vault-door.ts';

const SETTLED: readonly JourneyStage[] = ['Protected', 'Closed', 'Cancelled'];

/** `job list` */
export async function listJobs(call: Invocation): Promise<undefined> {
  const temporal = await connectClient(call.settings);
  try {
    const found: JobStatus[] = [];
    const absent: string[] = [];
    const listed = temporal.client.workflow.list({ query: 'WorkflowType = "seeding"' });
    for await (const { workflowId } of listed)
      await jobStatus(temporal, workflowId).then(
        (one) => found.push(one),
        () => absent.push(workflowId),
      );
    const jobs = await Promise.all(
      found.map(async (one) => ({ ...one, ...(await underWay(temporal, one.workflowId).catch(() => NOTHING)) })),
    );
    const rows = jobs.map((one) => jobRow(one, one));
    const asking = await askingRuns(temporal);
    call.print.result('job-list', jobs, () => [
      ...(rows.length === 0 && absent.length === 0
        ? ['No job yet. Next: seedship job start NAME']
        : columns(ROW_HEAD, rows)),
      ...asking.flatMap(({ workflowId, attention }) =>
        attention.map((one) => `${workflowId} needs: ${questionLine(workflowId, one)}`),
      ),
      ...absent.map((id) => `${id}: nobody answers for it. Next: seedship worker run control`),
    ]);
    return undefined;
  } finally {
    await temporal.close();
  }
}

/** `job show NAME` */
export async function showJob(call: Invocation): Promise<undefined> {
  const temporal = await connectClient(call.settings);
  try {
    const id = await findJob(call, temporal, call.word(0));
    const found = await jobStatus(temporal, id);
    const steps = await underWay(temporal, id).catch(() => NOTHING);
    const page = uiPage(call, id);
    const seen = await seenPoint(call, found);
    const more = { ...steps, ...(page && { uiUrl: page }), ...(seen && { complete: seen.restorable }) };
    call.print.result('job', { ...found, ...more }, () => jobLines(found, steps, page, completeText(found, seen)));
    return undefined;
  } finally {
    await temporal.close();
  }
}

/** The job's point as the vault worker last saw it: complete() over what the vault holds. */
async function seenPoint(call: Invocation, { point }: JobStatus): Promise<PresentPoint | undefined> {
  if (!point) return undefined;
  const points = await readPoints(enterVault(call)).catch(() => []); // the vault is away: Temporal still answers
  return points.find(({ label, machine }) => label === point.label && machine === point.machine);
}

function completeText({ staged }: JobStatus, seen: PresentPoint | undefined): string | undefined {
  if (!seen || !staged) return undefined;
  const all = staged.objects.toLocaleString('en');
  if (seen.restorable) return `all ${all} objects are in the vault, each verified on arrival: restorable`;
  return `waiting for ${seen.missing.toLocaleString('en')} of ${all} objects`;
}

/** `job watch NAME` */
export async function watchJob(call: Invocation): Promise<number> {
  const until = call.text('until');
  const stage = JOURNEY_STAGES.find((one) => one === until);
  if (until !== undefined && stage === undefined)
    throw new Failure('Usage', `--until ${until} is no stage`, { why: `stages are ${JOURNEY_STAGES.join(', ')}` });
  const temporal = await connectClient(call.settings);
  try {
    return await watch(call, temporal, await findJob(call, temporal, call.word(0)), stage);
  } finally {
    await temporal.close();
  }
}

/** Follows until `until` is reached, a person is needed, or the job has ended. */
export async function watch(
  call: Invocation,
  temporal: TemporalClient,
  workflowId: string,
  until?: JourneyStage,
): Promise<number> {
  let last: JobStatus | undefined;
  const exit = await follow(call, temporal, {
    workflowId,
    async look() {
      const before = last?.stage;
      last = await jobStatus(temporal, workflowId);
      if (last.stage !== before) call.print.event('stage', `${last.request.job}: ${last.stage}`, { stage: last.stage });
      if (SETTLED.includes(last.stage)) return { done: true, exit: exitOf(last) };
      if (until !== undefined && JOURNEY_STAGES.indexOf(last.stage) >= JOURNEY_STAGES.indexOf(until))
        return { done: true, exit: exitOf(last) };
      const asks = last.state === 'Attention' || (last.state === 'Waiting' && until === undefined);
      return asks ? { done: true, exit: last.state === 'Attention' ? EXIT.wrongState : EXIT.ok } : { done: false };
    },
  });
  if (last) {
    const found = last;
    call.print.result('job', found, () => jobLines(found, NOTHING, uiPage(call, workflowId)));
  }
  return exit;
}

function exitOf({ staged, stage }: JobStatus): number {
  if (stage === 'Closed') return EXIT.losses;
  return (staged?.skippedFiles ?? 0) > 0 ? EXIT.losses : EXIT.ok;
}

/** `job ship NAME` */
export async function shipJob(call: Invocation): Promise<undefined> {
  const carrier = parseCarrier(call.needed('carrier'));
  const tracking = parseTracking(call.needed('tracking'));
  const drives = call.list('drives').flatMap((text) => text.split(','));
  if (!call.is('unchecked')) checkTracking(carrier, tracking);
  await checkUnused(call, tracking, call.word(0));
  const { result, status } = await act(call, call.word(0), definitions.ship, {
    ...{ carrier, tracking },
    ...(drives.length > 0 && { drives }),
    ...(call.is('later') && { later: true }),
    ...(call.is('unchecked') && { unchecked: true }),
  });
  const left = result.state === 'Preparing' ? 'is ready' : 'left';
  const link = trackingLink(result.carrier, result.tracking);
  call.print.result('parcel', { ...result, ...(link && { link }) }, () => [
    `Parcel ${result.tracking} (${result.carrier}) ${left}. Drives in it: ${result.drives.length}.`,
    ...(link ? [link] : []),
    `Next: ${status.waitsFor.command || 'seedship job watch NAME'}`,
  ]);
  return undefined;
}

/** `job resolve NAME` */
export async function resolveJob(call: Invocation): Promise<undefined> {
  const attention = call.text('attention');
  const { result } = await act(call, call.word(0), definitions.resolve, {
    choice: call.needed('choice') as definitions.ResolveAct['choice'],
    ...(attention === undefined ? {} : { attention }),
  });
  call.print.result('resolution', result, () => [`${result.id} is decided: ${result.choice}.`]);
  return undefined;
}

/** `job cancel NAME` */
export async function cancelJob(call: Invocation): Promise<undefined> {
  const temporal = await connectClient(call.settings);
  const { stage } = await findJob(call, temporal, call.word(0))
    .then((id) => jobStatus(temporal, id))
    .finally(() => temporal.close());
  const row = CANCEL_TABLE[stage];
  if (!row)
    throw new Failure('WrongState', `the job is ${stage}: it is too late to cancel`, { next: 'seedship help states' });
  const lines = [`undone: ${row.undone}`, `kept:   ${row.kept}`, `drives: ${row.drives}`];
  if (call.is('dry-run')) {
    call.print.result('cancel-plan', { stage, ...row }, () => lines);
    return undefined;
  }
  const { result } = await act(call, call.word(0), definitions.cancel, {});
  call.print.result('cancel', { ...result, stage, ...row }, () => [
    `Job ${call.word(0)} is being cancelled.`,
    ...lines,
  ]);
  return undefined;
}
