/** `backup …`: runs over the line, fired by the schedule or by a person. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ScheduleOverlapPolicy, type WorkflowExecutionInfo } from '@temporalio/client';
import type { Attention } from '../domain/attention.ts';
import { EXIT, Failure } from '../domain/failure.ts';
import type { SentBackup } from '../domain/receipt.ts';
import type { BackupRequest } from '../domain/request.ts';
import { backupId, type JobStatus, scheduleId, upkeepId } from '../domain/seeding-job.ts';
import { formatSize, SECOND } from '../domain/units.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { workStatus } from '../workflows/definitions.ts';
import { follow, handOver, uiPage } from './follow.ts';
import type { Invocation } from './invocation.ts';
import { runningJobs } from './job-acts.ts';
import { watch } from './jobs.ts';
import { readPoints } from './points.ts';
import { columns, localTime, pairs } from './print.ts';
import { readProtection } from './protections.ts';
import { needProvedWords } from './recovery-words.ts';
import { questionLine, runningWork } from './run-acts.ts';
import { failingLine, underWay } from './under-way.ts';
import { enterVault } from './vault-door.ts';

const LISTED_MAX = 50;
/** In which a schedule that was triggered starts its workflow. */
const START_MS = 15 * SECOND;
const START_LOOK_MS = 25;

/** `backup now PROTECTION` */
export async function backupNow(call: Invocation): Promise<number | undefined> {
  const door = enterVault(call, ['machine']);
  const protection = call.word(0);
  const body = await readProtection(door, protection);
  const [vault, machine] = [door.credentials.vault.name, door.credentials.id];
  const temporal = await connectClient(call.settings);
  try {
    const of = { vault, machine, protection };
    const seed = body.initial === 'offline' ? await stagingJob(call, temporal, of) : undefined;
    if (seed) return await joinStaging(call, temporal, seed);
    const running = await runningBackup(temporal, backupId(vault, machine, protection));
    if (!running && !(await readPoints(door)).some((point) => point.protection === protection))
      await needProvedWords(door);
    const workflowId = running ?? (await trigger(temporal, of, body.initial));
    const page = uiPage(call, workflowId);
    call.print.event('started', `${running ? 'Follows' : 'Runs'} ${workflowId}.${page ? ` ${page}` : ''}`, {
      workflowId,
      uiUrl: page,
    });
    if (call.isOff('wait')) return handOver(call, { workflowId });
    return await followBackup(call, temporal, workflowId);
  } finally {
    await temporal.close();
  }
}

type Protected = Omit<BackupRequest, 'heartbeatMs'>;

/** The job that stages the initial backup of this protection now. */
async function stagingJob(call: Invocation, temporal: TemporalClient, { machine, protection }: Protected) {
  const jobs = await runningJobs(call, temporal);
  return jobs.find(
    ({ stage, request }) => stage === 'Staging' && request.machine === machine && request.protection === protection,
  );
}

/** Its staging is the backup that was asked for. */
async function joinStaging(call: Invocation, temporal: TemporalClient, job: JobStatus): Promise<number | undefined> {
  const { workflowId } = job;
  const page = uiPage(call, workflowId);
  call.print.event('started', `The initial backup runs in the job ${job.request.job}.${page ? ` ${page}` : ''}`, {
    workflowId,
    uiUrl: page,
  });
  return call.isOff('wait') ? handOver(call, { workflowId }) : await watch(call, temporal, workflowId, 'Preparing');
}

async function trigger(
  temporal: TemporalClient,
  { vault, machine, protection }: Protected,
  initial: 'offline' | 'network',
): Promise<string> {
  const schedule = temporal.client.schedule.getHandle(scheduleId(vault, machine, protection));
  const { state, info } = await temporal.call(() => schedule.describe());
  if (initial === 'offline' && state.paused && state.note === 'waits for the initial backup')
    throw new Failure('WrongState', `the initial backup of ${protection} goes by drive, and is not staged yet`, {
      next: `seedship job start NAME --protection ${protection} --staging DIR`,
    });
  const before = new Set(info.recentActions.map(({ action }) => action.workflow.workflowId));
  await temporal.call(() => schedule.trigger(ScheduleOverlapPolicy.SKIP));
  for (const end = Date.now() + START_MS; Date.now() < end; ) {
    const { info: now } = await temporal.call(() => schedule.describe());
    const fresh = now.recentActions.find(({ action }) => !before.has(action.workflow.workflowId));
    if (fresh) return fresh.action.workflow.workflowId;
    await sleep(START_LOOK_MS);
  }
  throw new Failure('Unreachable', 'the schedule did not start a backup', { next: 'seedship backup list' });
}

async function runningBackup(temporal: TemporalClient, id: string): Promise<string | undefined> {
  const query = `WorkflowType = "backup" AND ExecutionStatus = "Running" AND WorkflowId STARTS_WITH "${id}"`;
  const found = await collect(temporal, query, LISTED_MAX);
  // a schedule adds the time; `hq` must not follow the backup of `hq-mail`
  return found.find(({ workflowId }) => /^(-\d{4}-\d\d-\d\dT.*)?$/.test(workflowId.slice(id.length)))?.workflowId;
}

async function collect(temporal: TemporalClient, query: string, most: number): Promise<WorkflowExecutionInfo[]> {
  const found: WorkflowExecutionInfo[] = [];
  for await (const info of temporal.client.workflow.list({ query })) if (found.push(info) >= most) break;
  return found;
}

async function followBackup(call: Invocation, temporal: TemporalClient, workflowId: string): Promise<number> {
  const handle = temporal.client.workflow.getHandle(workflowId);
  return follow(call, temporal, {
    workflowId,
    async look() {
      const { status } = await temporal.call(() => handle.describe());
      if (status.name === 'RUNNING') {
        const { attention } = await temporal.call(() => handle.query(workStatus));
        if (attention.length === 0) return { done: false };
        call.print.result('backup', { workflowId, attention }, () =>
          attention.map((one) => questionLine(workflowId, one)),
        );
        return { done: true, exit: EXIT.wrongState };
      }
      if (status.name !== 'COMPLETED')
        throw new Failure('Aborted', `the backup ended as ${status.name.toLowerCase()}`, {
          next: 'seedship backup list',
        });
      const sent: SentBackup = await temporal.call(() => handle.result());
      show(call, workflowId, sent);
      return { done: true, exit: sent.staged.skippedFiles > 0 ? EXIT.losses : EXIT.ok };
    },
  });
}

function show(call: Invocation, workflowId: string, sent: SentBackup): void {
  const { point, staged, bytes, objects } = sent;
  call.print.result('backup', { workflowId, ...sent }, () =>
    pairs([
      ['point', point.label],
      ['files', `${staged.files.toLocaleString('en')}, ${formatSize(staged.readBytes)}`],
      ['sent', `${formatSize(bytes)} in ${objects} objects`],
      ...(staged.skippedFiles > 0
        ? [['skipped', `${staged.skippedFiles} could not be read: seedship point show ${point.label}`] as const]
        : []),
    ]),
  );
}

/** `backup list` */
export async function listBackups(call: Invocation): Promise<undefined> {
  const { vault } = enterVault(call).credentials;
  const temporal = await connectClient(call.settings);
  try {
    const query = `WorkflowType = "backup" AND WorkflowId STARTS_WITH "backup/${vault.name}/"`;
    const found = await collect(temporal, query, LISTED_MAX);
    const rows = await Promise.all(found.map((run) => rowOf(temporal, run)));
    const upkeep = upkeepId(vault.name);
    const asked = (await runningWork(temporal, upkeep).catch(() => undefined))?.attention ?? [];
    if (asked.length > 0)
      rows.push({ run: upkeep, state: 'RUNNING', started: asked[0]?.since ?? '', attention: asked });
    call.print.result('backup-list', rows, () =>
      rows.length === 0
        ? ['No backup yet. Next: seedship backup now PROTECTION']
        : columns(
            ['STARTED', 'STATE', 'RUN', 'NEEDS'],
            rows.map(({ run, state, started, attention = [] }) => [
              localTime(started),
              attention.length > 0 ? 'ATTENTION' : state,
              run,
              attention.map((one) => questionLine(run, one)).join(' · ') || '-',
            ]),
          ),
    );
    return undefined;
  } finally {
    await temporal.close();
  }
}

interface RunRow {
  readonly run: string;
  readonly state: string;
  readonly started: string;
  readonly ended?: string;
  readonly attention?: readonly Attention[];
}

async function rowOf(
  temporal: TemporalClient,
  { workflowId, status, startTime, closeTime }: WorkflowExecutionInfo,
): Promise<RunRow> {
  const row = { run: workflowId, state: status.name, started: startTime.toISOString() };
  if (closeTime) return { ...row, ended: closeTime.toISOString() };
  const work = await runningWork(temporal, workflowId).catch(() => undefined); // nobody answers: `job list` says so
  return { ...row, attention: work?.attention ?? [] };
}

/** `backup show RUN` */
export async function showBackup(call: Invocation): Promise<undefined> {
  const temporal = await connectClient(call.settings);
  try {
    const workflowId = call.word(0);
    const handle = temporal.client.workflow.getHandle(workflowId);
    const { status } = await temporal.call(() => handle.describe());
    if (status.name === 'COMPLETED') show(call, workflowId, await temporal.call(() => handle.result()));
    else if (status.name === 'RUNNING') {
      const now = await temporal.call(() => handle.query(workStatus));
      const { progress, failing } = await underWay(temporal, workflowId);
      call.print.result('backup', { workflowId, ...now, progress, failing }, () => [
        `${workflowId}: ${now.step}, ${now.state}`,
        ...failing.map(failingLine),
        ...now.attention.map((one) => questionLine(workflowId, one)),
      ]);
    } else call.print.result('backup', { workflowId, state: status.name }, () => [`${workflowId}: ${status.name}`]);
    return undefined;
  } finally {
    await temporal.close();
  }
}
