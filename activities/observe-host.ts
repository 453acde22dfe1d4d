/**
 * Is a host there? Asked of Temporal, since the host itself may be off: a task whose host is away
 * just stays scheduled. Two witnesses, best first:
 *
 * - worker heartbeats, sent every quarter of `heartbeatMs`: one that is silent for the whole of it is
 *   away, and one that was stopped has said so. The clocks of hosts may differ by half of it.
 * - pollers, for workers or servers that know no heartbeats: a long poll is renewed within a minute.
 *
 * Who is not there at the first look is looked for once more: a worker that has just been started polls in a moment.
 *
 * Waiting is a failure that is tried again: it costs neither a slot nor an event of history.
 */
import { ApplicationFailure, Context, getClient } from '@temporalio/activity';
import { ApplicationFailureCategory } from '@temporalio/common';
import type { HostSeen } from '../domain/receipt.ts';
import type { ControlSteps, ObserveRequest } from '../domain/request.ts';
import { SECOND } from '../domain/units.ts';

const CALL_MS = 10 * SECOND;
const SECOND_LOOK_MS = 10 * SECOND;
const POLL_RENEWED_MS = 75 * SECOND;
/** temporal.api.enums.v1: the numbers of a wire format. */
const WORKER_RUNNING = 1;
const QUEUE_OF_ACTIVITIES = 2;

type Timestamp = { readonly seconds?: unknown; readonly nanos?: number | null } | null | undefined;

/** The activity; `heartbeatMs` is the host's own setting, the same on all hosts of one system. */
export function observing({ heartbeatMs }: { readonly heartbeatMs: number }): Pick<ControlSteps, 'observeHost'> {
  return {
    async observeHost({ queue, until }: ObserveRequest): Promise<HostSeen> {
      const present = await isPolled(queue, heartbeatMs);
      const isFirst = Context.current().info.attempt === 1;
      const isSudden = isFirst && !present && until === 'absent';
      if (present === (until === 'present') && !isSudden) return { queue, present };
      throw ApplicationFailure.create({
        type: 'Waiting',
        message: `the queue ${queue} is ${present ? 'polled' : 'not polled'}`,
        category: ApplicationFailureCategory.BENIGN,
        ...(isSudden && { nextRetryDelay: Math.min(SECOND_LOOK_MS, heartbeatMs / 2) }),
      });
    },
  };
}

async function isPolled(queue: string, heartbeatMs: number): Promise<boolean> {
  const { connection, workflowService } = getClient();
  const { namespace } = Context.current().info;
  return connection.withDeadline(Date.now() + CALL_MS, async () => {
    const { workersInfo } = await workflowService.listWorkers({ namespace, query: `TaskQueue="${queue}"` });
    const beats = workersInfo.flatMap(({ workerHeartbeat }) => workerHeartbeat ?? []);
    if (beats.length > 0)
      return beats.some((beat) => beat.status === WORKER_RUNNING && ageMs(beat.heartbeatTime) < heartbeatMs);
    const { pollers } = await workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: queue },
      taskQueueType: QUEUE_OF_ACTIVITIES,
    });
    return pollers.some(({ lastAccessTime }) => ageMs(lastAccessTime) < POLL_RENEWED_MS);
  });
}

function ageMs(time: Timestamp): number {
  return time ? Date.now() - Number(time.seconds ?? 0) * SECOND - (time.nanos ?? 0) / 1e6 : Number.POSITIVE_INFINITY;
}
