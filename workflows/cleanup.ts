/**
 * Cleaning up after a job. Nothing is removed before the vault was read back:
 *
 *   1 the vault worker says what may go: nothing while the point is not complete, nothing another job needs
 *   2 it reads every object of the seed back from the vault and signs what it found
 *   3 one that is missing or damaged ends it here: landing and staging stay as they are
 *   4 landing is emptied, then staging, which may be the last copy but one
 *   5 what was removed, and on which proof, is written into the job's record
 */
import { proxyActivities, uuid4 } from '@temporalio/workflow';
import { type CleanupOutcome, doubt } from '../domain/leftovers.ts';
import type { CleanupRequest, CleanupSteps, SourceSteps, VaultSteps } from '../domain/request.ts';
import { runName } from '../domain/seeding-job.ts';
import { bookKeeping, dataMoving, queueOf } from '../domain/site.ts';
import { openRunGate } from './run-gate.ts';

export async function cleanup(request: CleanupRequest): Promise<CleanupOutcome> {
  const { vault, job, machine, heartbeatMs, by, dryRun } = request;
  const gate = openRunGate({ vault, machine, subject: job, heartbeatMs });
  const [vaultData, sourceData] = [queueOf.vault(vault), queueOf.source(machine)].map((queue) =>
    dataMoving(queue, { heartbeatMs }),
  );
  if (!vaultData || !sourceData) throw new Error('cleanup: no queues');
  const books = proxyActivities<CleanupSteps>({ ...bookKeeping(queueOf.vault(vault)), summary: job });
  const data = proxyActivities<VaultSteps>({ ...vaultData, summary: `seed of ${job}` });
  const source = proxyActivities<SourceSteps>({ ...sourceData, summary: `staging of ${job}` });

  return gate.guard(async () => {
    const plan = await gate.must({ name: 'plan', queue: queueOf.vault(vault) }, () =>
      books.planCleanup({ vault, job }),
    );
    const { packSet, keep, drives, staging, landings } = plan;
    if (packSet === undefined) return { refused: plan.refused ?? 'nothing was seeded' };

    const run = runName(`cleanup-${job}`, new Date().toISOString(), uuid4());
    const prove = { vault, run, step: 'proof', packSet };
    const proof = await gate.must({ name: 'proof', queue: vaultData.taskQueue }, () => data.proveVault(prove));
    const refused = doubt(proof);
    if (refused !== undefined) return { refused, proof };
    if (dryRun) return { proof };

    const what = { vault, machine, run, packSet, keep };
    let landing = 0;
    for (const place of landings)
      landing += await gate.must({ name: 'landing', queue: vaultData.taskQueue }, () =>
        data.clearLanding({ ...what, step: 'landing', place, drives }),
      );
    const staged = await gate.must({ name: 'staging', queue: sourceData.taskQueue }, () =>
      source.clearStaging({ ...what, step: 'staging', place: staging, drives: [] }),
    );
    const { receipt, objects, bytes } = proof;
    const kept = { vault, job, by, proof: { run, step: 'proof', receipt }, objects, bytes, removed: landing + staged };
    await gate.must({ name: 'record', queue: queueOf.vault(vault) }, () => books.keepCleanup(kept));
    return { proof, removed: { landing, staging: staged } };
  });
}
