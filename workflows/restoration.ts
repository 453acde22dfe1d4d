/**
 * One restore. It runs where the keys are: on the very process a person unlocked, which polls
 * `owner.<id>`. When that process ends, the restore waits as `Locked`; unlocked again, it goes on at
 * the next file.
 */
import { proxyActivities, uuid4 } from '@temporalio/workflow';
import type { RestoredFiles } from '../domain/receipt.ts';
import type { OwnerSteps, RestorationRequest } from '../domain/request.ts';
import { runName } from '../domain/seeding-job.ts';
import { dataMoving, queueOf } from '../domain/site.ts';
import { openRunGate } from './run-gate.ts';

export async function restoration({
  vault,
  owner,
  id,
  request,
  heartbeatMs,
}: RestorationRequest): Promise<RestoredFiles> {
  const options = dataMoving(queueOf.owner(owner), { heartbeatMs });
  const { restoreFiles } = proxyActivities<OwnerSteps>({ ...options, summary: `restore ${id}` });
  const run = runName(`restore-${id}`, new Date().toISOString(), uuid4());
  const gate = openRunGate({ vault, subject: id, heartbeatMs });
  return gate.guard(() =>
    gate.must({ name: 'restore', queue: options.taskQueue, offline: 'Locked' }, () =>
      restoreFiles({ vault, run, step: 'restore', request }),
    ),
  );
}
