/**
 * Runs that are no journey: backups over the line, and the upkeep that follows them. What they ask
 * is answered here, by the id that `backup list` shows.
 */
import { WorkflowNotFoundError } from '@temporalio/client';
import type { Attention, Resolution } from '../domain/attention.ts';
import { Failure } from '../domain/failure.ts';
import { upkeepId } from '../domain/seeding-job.ts';
import { MINUTE } from '../domain/units.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { type ResolveAct, resolve, type WorkStatus, workStatus } from '../workflows/definitions.ts';
import type { Invocation } from './invocation.ts';
import { enterVault } from './vault-door.ts';

/** Where a run stands; `undefined` when it is over, or was never there. @throws Failure `Unreachable` */
export async function runningWork(temporal: TemporalClient, workflowId: string): Promise<WorkStatus | undefined> {
  const handle = temporal.client.workflow.getHandle(workflowId);
  try {
    if ((await temporal.call(() => handle.describe())).status.name !== 'RUNNING') return undefined;
    return await temporal.call(() => handle.query(workStatus));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** The runs that wait for a person or a host, with what they ask. */
export async function askingRuns(temporal: TemporalClient): Promise<{ workflowId: string; attention: Attention[] }[]> {
  const query = 'WorkflowType IN ("backup", "upkeep") AND SeedshipState = "Attention" AND ExecutionStatus = "Running"';
  const asking: { workflowId: string; attention: Attention[] }[] = [];
  for await (const { workflowId } of temporal.client.workflow.list({ query })) {
    const work = await runningWork(temporal, workflowId).catch(() => undefined); // without a worker its page tells
    if (work && work.attention.length > 0) asking.push({ workflowId, attention: [...work.attention] });
  }
  return asking;
}

/** What is asked, and the exact command that answers it. */
export function questionLine(workflowId: string, { id, message, hint, choices, clearsItself }: Attention): string {
  if (clearsItself) return `${message}: ${hint}`;
  return `${message}: ${hint}: seedship backup resolve ${workflowId} --attention ${id} --choice ${choices[0]}`;
}

/** Decides what a run waits for. @throws Failure `WrongState` naming the legal choices, `NotFound` */
export async function decideRun(
  temporal: TemporalClient,
  workflowId: string,
  act: Omit<ResolveAct, 'by'>,
  by: string,
): Promise<Resolution> {
  const handle = temporal.client.workflow.getHandle(workflowId);
  return temporal.call(() => handle.executeUpdate(resolve, { args: [{ ...act, by }] }), MINUTE);
}

/** `backup resolve RUN` */
export async function resolveBackup(call: Invocation): Promise<undefined> {
  const workflowId = call.word(0);
  const { vault, id } = enterVault(call).credentials;
  if (!workflowId.startsWith(`backup/${vault.name}/`) && workflowId !== upkeepId(vault.name))
    throw new Failure('NotFound', `${workflowId} is no run of the vault ${vault.name}`, {
      next: 'seedship backup list',
    });
  const attention = call.text('attention');
  const choice = call.needed('choice') as ResolveAct['choice'];
  const temporal = await connectClient(call.settings);
  try {
    const act = { choice, ...(attention === undefined ? {} : { attention }) };
    const decided = await decideRun(temporal, workflowId, act, id);
    call.print.result('resolution', decided, () => [`${decided.id} is decided: ${decided.choice}.`]);
    return undefined;
  } finally {
    await temporal.close();
  }
}
