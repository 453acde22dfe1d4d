/**
 * The schedule of a protection's incremental backups: made, let go and held back by its business id,
 * so that the same request twice is the same schedule.
 *
 * A schedule that a person paused stays paused: only a pause of our own, known by its note, is ended.
 * Runs never overlap, and a run that was missed while all was down is caught up within a day.
 */
import { getClient } from '@temporalio/activity';
import {
  ScheduleAlreadyRunning,
  type ScheduleHandle,
  ScheduleOverlapPolicy,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/client';
import { defineSearchAttributeKey, WorkflowNotFoundError } from '@temporalio/common';
import { calendarsOf, parseSchedule } from '../domain/protection.ts';
import type { BackupRequest, CancelRequest, ControlSteps, ScheduleRequest } from '../domain/request.ts';
import { backupId, scheduleId } from '../domain/seeding-job.ts';
import { queueOf } from '../domain/site.ts';
import { DAY, SECOND } from '../domain/units.ts';

const CALL_MS = 10 * SECOND;
const VAULT = defineSearchAttributeKey('SeedshipVault', 'KEYWORD');
const PAUSE_NOTE = 'waits for the initial backup';

/** The activities that ask something of Temporal itself. */
export function scheduling(): Pick<ControlSteps, 'startSchedule' | 'requestCancel' | 'startNotice'> {
  return {
    async startSchedule(request: ScheduleRequest): Promise<void> {
      const { connection, schedule } = getClient();
      await connection.withDeadline(Date.now() + CALL_MS, async () => {
        const options = optionsOf(request);
        try {
          await schedule.create(options);
        } catch (error) {
          if (!(error instanceof ScheduleAlreadyRunning)) throw error;
          await adjust(schedule.getHandle(options.scheduleId), request);
        }
      });
    },

    async startNotice({ id: workflowId, notice }): Promise<void> {
      const { connection, workflow } = getClient();
      const options = {
        ...{ workflowId, taskQueue: queueOf.control, args: [{ notice }], staticSummary: notice.text },
        typedSearchAttributes: [{ key: VAULT, value: notice.vault }],
      };
      try {
        await connection.withDeadline(Date.now() + CALL_MS, () => workflow.start('notice', options));
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error; // the attempt before got through
      }
    },

    async requestCancel({ workflowId }: CancelRequest): Promise<void> {
      const { connection, workflow } = getClient();
      try {
        await connection.withDeadline(Date.now() + CALL_MS, () => workflow.getHandle(workflowId).cancel());
      } catch (error) {
        if (!(error instanceof WorkflowNotFoundError)) throw error; // it has ended: there is nothing to cancel
      }
    },
  };
}

async function adjust(handle: ScheduleHandle, request: ScheduleRequest): Promise<void> {
  const { spec, action, policies } = optionsOf(request);
  await handle.update(({ state }) => ({ spec, action, policies, state }));
  const { state } = await handle.describe();
  if (request.paused && !state.paused) await handle.pause(PAUSE_NOTE);
  if (!request.paused && state.paused && state.note === PAUSE_NOTE) await handle.unpause('the point is stated');
}

function optionsOf({ vault, machine, protection, schedule, timezone, heartbeatMs, paused }: ScheduleRequest) {
  const backup: BackupRequest = { vault, machine, protection, heartbeatMs };
  return {
    scheduleId: scheduleId(vault, machine, protection),
    spec: { calendars: calendarsOf(parseSchedule(schedule)), timezone },
    action: {
      type: 'startWorkflow',
      workflowType: 'backup',
      workflowId: backupId(vault, machine, protection),
      taskQueue: queueOf.control,
      args: [backup],
    },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: DAY },
    state: paused ? { paused, note: PAUSE_NOTE } : {},
  } as const;
}
