/** `job cleanup`: the vault is read back, and only then landing and staging are emptied of the seed. */
import { WorkflowExecutionAlreadyStartedError, WorkflowIdReusePolicy } from '@temporalio/client';
import { EXIT, Failure } from '../domain/failure.ts';
import { type CleanupOutcome, planCleanup } from '../domain/leftovers.ts';
import { parseName } from '../domain/names.ts';
import type { JobRecord } from '../domain/record.ts';
import type { CleanupRequest } from '../domain/request.ts';
import { cleanupId } from '../domain/seeding-job.ts';
import { queueOf } from '../domain/site.ts';
import { formatSize } from '../domain/units.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { readRecord } from '../store/records.ts';
import { workStatus } from '../workflows/definitions.ts';
import { follow, uiPage } from './follow.ts';
import type { Invocation } from './invocation.ts';
import { enterVault } from './vault-door.ts';

/** `job cleanup NAME` */
export async function cleanUpJob(call: Invocation): Promise<number> {
  const { store, trust, credentials } = enterVault(call);
  const job = parseName('job', call.word(0));
  const record = await readRecord<JobRecord>(store, { kind: 'job', id: job }, trust);
  if (!record) throw new Failure('NotFound', `the vault knows no job ${job}`, { next: 'seedship job list' });
  const { refused } = planCleanup(record.body, []);
  if (refused !== undefined) throw refusal(job, refused);
  const { name: vault } = credentials.vault;
  const request: CleanupRequest = {
    ...{ vault, job, machine: record.body.order.machine, by: credentials.id, dryRun: call.is('dry-run') },
    heartbeatMs: call.settings.heartbeatMs,
  };
  const temporal = await connectClient(call.settings);
  try {
    const workflowId = cleanupId(vault, job);
    await begin(temporal, workflowId, request);
    if (call.isOff('wait')) return EXIT.ok;
    return await watch(call, temporal, workflowId, request);
  } finally {
    await temporal.close();
  }
}

async function begin(temporal: TemporalClient, workflowId: string, request: CleanupRequest): Promise<void> {
  try {
    await temporal.call(() =>
      temporal.client.workflow.start('cleanup', {
        workflowId,
        taskQueue: queueOf.control,
        args: [request],
        workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
        staticSummary: `Clean up after ${request.job}${request.dryRun ? ', dry run' : ''}`,
      }),
    );
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error; // it runs: it is followed
  }
}

async function watch(
  call: Invocation,
  temporal: TemporalClient,
  workflowId: string,
  { job, dryRun }: CleanupRequest,
): Promise<number> {
  const handle = temporal.client.workflow.getHandle(workflowId);
  let outcome: CleanupOutcome | undefined;
  const exit = await follow(call, temporal, {
    workflowId,
    async look() {
      const { status } = await temporal.call(() => handle.describe());
      if (status.name !== 'RUNNING') {
        outcome = await temporal.call(() => handle.result());
        return { done: true };
      }
      const { attention } = await temporal.call(() => handle.query(workStatus));
      const [first] = attention;
      if (!first) return { done: false };
      throw Object.assign(new Failure(first.code, first.message, { next: first.hint }), {
        workflowId,
        uiUrl: uiPage(call, workflowId),
      });
    },
  });
  if (!outcome) return exit;
  return say(call, job, outcome, dryRun);
}

function say(call: Invocation, job: string, outcome: CleanupOutcome, dryRun: boolean): number {
  const { refused, proof, removed } = outcome;
  if (refused !== undefined && !proof) throw refusal(job, refused);
  if (refused !== undefined)
    throw new Failure('Corrupt', `nothing was removed: ${refused}`, {
      why: `${proof?.objects ?? 0} objects were read back and right`,
      next: 'seedship point list',
    });
  call.print.result('cleanup', outcome, () => [
    `Read back from the vault: ${proof?.objects} objects, ${formatSize(proof?.bytes ?? 0)}, every one right.`,
    `Proof: receipts/${proof?.run}/${proof?.step}, signed by the vault worker: ${proof?.receipt}`,
    removed
      ? `Removed: ${removed.landing} objects from landing, ${removed.staging} from staging.`
      : `Nothing was removed${dryRun ? ': that was a dry run' : ''}.`,
  ]);
  return EXIT.ok;
}

function refusal(job: string, why: string): Failure {
  return new Failure('WrongState', `nothing can be cleaned up after ${job} yet`, {
    why,
    next: `seedship job show ${job}`,
  });
}
