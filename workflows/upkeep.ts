/**
 * What a vault holds, looked at and signed by its worker: the presence that `point list` reads, since
 * machines may not list. One at a time for each vault; whoever adds to the vault asks for it, and a
 * look that had already begun is followed by another.
 */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  getExternalWorkflowHandle,
  proxyActivities,
  setHandler,
  startChild,
  TemporalFailure,
  uuid4,
} from '@temporalio/workflow';
import type { VaultPresence } from '../domain/receipt.ts';
import type { UpkeepRequest, VaultSteps } from '../domain/request.ts';
import { runName, upkeepId } from '../domain/seeding-job.ts';
import { dataMoving, queueOf } from '../domain/site.ts';
import { lookAgain } from './definitions.ts';
import { openRunGate } from './run-gate.ts';

export async function upkeep({ vault, heartbeatMs }: UpkeepRequest): Promise<VaultPresence> {
  let again = false;
  setHandler(lookAgain, () => {
    again = true;
  });
  const options = dataMoving(queueOf.vault(vault), { heartbeatMs });
  const { observeVault } = proxyActivities<VaultSteps>({ ...options, summary: `looks at ${vault}` });
  const gate = openRunGate({ vault, subject: vault, heartbeatMs });

  return gate.guard(async () => {
    for (;;) {
      again = false;
      const run = runName('upkeep', new Date().toISOString(), uuid4());
      const seen = await gate.must({ name: 'look', queue: options.taskQueue }, () => observeVault({ vault, run }));
      if (!again) return seen;
    }
  });
}

/** Starts upkeep, or has the one that runs look once more; not waited for. */
export async function askForUpkeep(vault: string, heartbeatMs: number): Promise<void> {
  const workflowId = upkeepId(vault);
  const options = { workflowId, parentClosePolicy: 'ABANDON', staticSummary: `upkeep of ${vault}` } as const;
  try {
    await startChild(upkeep, { ...options, args: [{ vault, heartbeatMs }] });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    try {
      await getExternalWorkflowHandle(workflowId).signal(lookAgain);
    } catch (ended) {
      if (!(ended instanceof TemporalFailure)) throw ended;
      await startChild(upkeep, { ...options, args: [{ vault, heartbeatMs }] }); // it ended between the two
    }
  }
}
