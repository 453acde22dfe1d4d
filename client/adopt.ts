/**
 * Jobs and schedules from the vault's records alone, for the day that Temporal's history is gone. Each
 * job begins again where its last signed revision says it stood; what was done since is found by its
 * receipt, and not done twice.
 */
import { ScheduleAlreadyRunning } from '@temporalio/client';
import { Failure } from '../domain/failure.ts';
import { parseName } from '../domain/names.ts';
import type { Checkpoint, JobRecord, JobState, ProtectionRecord } from '../domain/record.ts';
import type { JourneyStage } from '../domain/seeding-job.ts';
import { seedingId } from '../domain/seeding-job.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { listRecords, readRecord } from '../store/records.ts';
import { uiPage } from './follow.ts';
import type { Invocation } from './invocation.ts';
import { isKnown, startSeeding } from './job-start.ts';
import { createSchedule } from './protections.ts';
import { type Door, enterVault } from './vault-door.ts';

const ENDED: readonly JourneyStage[] = ['Protected', 'Closed', 'Cancelled'];

/** `job adopt NAME` */
export async function adoptJob(call: Invocation): Promise<undefined> {
  const job = parseName('job', call.word(0));
  const door = enterVault(call);
  const temporal = await connectClient(call.settings);
  try {
    const record = await readRecord<JobRecord>(door.store, { kind: 'job', id: job }, door.trust);
    if (!record) throw new Failure('NotFound', `the vault knows no job ${job}`, { next: 'seedship job list' });
    const stage = await adopt(temporal, record.body, door);
    if (stage === undefined) {
      const ended = record.body.state && ENDED.includes(record.body.state.stage);
      throw new Failure('WrongState', `the job ${job} ${ended ? `has ended: ${record.body.state?.stage}` : 'runs'}`, {
        why: 'only a job that Temporal has forgotten, or that was ended by hand, is taken up',
        next: `seedship job show ${job}`,
      });
    }
    const workflowId = seedingId(record.body.order);
    call.print.result('adopted', { job, workflowId, stage, uiUrl: uiPage(call, workflowId) }, () => [
      `Job ${job} goes on in ${stage}, from revision ${record.revision} of its record.`,
      `Next: seedship job show ${job}`,
    ]);
    return undefined;
  } finally {
    await temporal.close();
  }
}

/** Starts a job again from its record; `undefined` when it runs, or has ended. */
async function adopt(
  temporal: TemporalClient,
  { order, state }: JobRecord,
  { credentials }: Door,
): Promise<JourneyStage | undefined> {
  if (state && ENDED.includes(state.stage)) return undefined;
  const before = state && checkpointOf(state, credentials.id);
  const started = await startSeeding(temporal, order, before);
  return started === 'started' ? (state?.stage ?? 'Staging') : undefined;
}

/** `undefined` for a record of a release that did not write down all it takes: the job begins anew. */
function checkpointOf({ acts: _, attention: __, ledger, ...state }: JobState, by: string): Checkpoint | undefined {
  return ledger && { by, state, ledger };
}

export interface Rebuilt {
  readonly schedules: readonly string[];
  readonly jobs: readonly string[];
}

/** Schedules and jobs that the vault's records know and Temporal does not. */
export async function rebuild(call: Invocation, door: Door): Promise<Rebuilt> {
  const { store, trust } = door;
  const temporal = await connectClient(call.settings);
  const [schedules, jobs]: [string[], string[]] = [[], []];
  const seeded = new Set<string>();
  try {
    for await (const id of listRecords(store, 'job')) {
      const record = await readRecord<JobRecord>(store, { kind: 'job', id }, trust);
      if (!record) continue;
      const { order, state } = record.body;
      if (state?.point && state.stage !== 'Cancelled') seeded.add(order.protection);
      if (await isKnown(temporal, seedingId(order))) continue;
      if ((await adopt(temporal, record.body, door)) !== undefined) jobs.push(id);
    }
    for await (const id of listRecords(store, 'protection')) {
      const record = await readRecord<ProtectionRecord>(store, { kind: 'protection', id }, trust);
      if (!record || record.body.state === 'removed') continue;
      const isNew = await createSchedule(call, temporal, door, record.body, { seeded: seeded.has(id) }).then(
        () => true,
        (error: unknown) => {
          if (error instanceof ScheduleAlreadyRunning) return false;
          throw error;
        },
      );
      if (isNew) schedules.push(id);
    }
    return { schedules, jobs };
  } finally {
    await temporal.close();
  }
}
