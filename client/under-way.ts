/**
 * What is under way in a workflow and its children, as Temporal tells it: the heartbeats of its
 * steps, and those that failed and are tried again, since these are in no attention and no history.
 */
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { type FailureCode, isFailureCode } from '../domain/failure.ts';
import type { Progress } from '../domain/receipt.ts';
import { SECOND } from '../domain/units.ts';
import type { TemporalClient } from '../host/connections.ts';

const CHILDREN_MAX = 64;
/** observeHost is a wait that is told by failing: activities/observe-host.ts. */
const WAITING = 'Waiting';

/** A step that failed, and is tried again by itself. */
export interface Failing {
  readonly workflowId: string;
  /** The activity: `prepareDrive`. */
  readonly step: string;
  readonly attempt: number;
  readonly code: FailureCode;
  readonly message: string;
}

export interface UnderWay {
  readonly progress: readonly Progress[];
  readonly failing: readonly Failing[];
  /** Until the slowest step is done, as fast as it went so far. */
  readonly etaMs?: number;
}

export const NOTHING: UnderWay = { progress: [], failing: [] };

type Pending = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number];

/** Of the workflow and its children. @throws Failure `Unreachable` */
export async function underWay(temporal: TemporalClient, workflowId: string): Promise<UnderWay> {
  const described = await temporal.call(() => temporal.client.workflow.getHandle(workflowId).describe());
  const { pendingActivities, pendingChildren } = described.raw;
  const own = (pendingActivities ?? []).map((pending) => stepOf(workflowId, pending));
  const ids = (pendingChildren ?? []).slice(0, CHILDREN_MAX).flatMap((child) => child.workflowId ?? []);
  const all = [...own, ...(await Promise.all(ids.map((id) => underWay(temporal, id).catch(() => NOTHING))))];
  const etas = all.flatMap(({ etaMs }) => etaMs ?? []);
  return {
    progress: all.flatMap(({ progress }) => progress),
    failing: all.flatMap(({ failing }) => failing),
    ...(etas.length > 0 && { etaMs: Math.max(...etas) }),
  };
}

/** `prepare drive 7F3A is tried again (attempt 4): Unreachable: the store does not answer` */
export function failingLine({ workflowId, step, attempt, code, message }: Failing): string {
  const words = step.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  const [, drive = ''] = /\/(?:prepare|ingest)(\/[0-9A-F]{4})[0-9A-F]{12}$/.exec(workflowId) ?? [];
  return `${words}${drive.replace('/', ' ')} is tried again (attempt ${attempt}): ${code}: ${message}`;
}

function stepOf(workflowId: string, pending: Pending): UnderWay {
  const [payload] = pending.heartbeatDetails?.payloads ?? [];
  const told = payload ? defaultPayloadConverter.fromPayload<Progress>(payload) : undefined;
  const failing = failureOf(workflowId, pending);
  if (told === undefined || told.step === 'starting') return { progress: [], failing };
  const { bytesDone, bytesTotal = 0 } = told;
  const since = Date.now() - Number(pending.lastStartedTime?.seconds ?? 0) * SECOND;
  const isMeasured = bytesDone > 0 && bytesTotal > bytesDone && since > 0;
  return {
    progress: [told],
    failing,
    ...(isMeasured && { etaMs: ((bytesTotal - bytesDone) / bytesDone) * since }),
  };
}

function failureOf(workflowId: string, { activityType, attempt, lastFailure }: Pending): Failing[] {
  if (!lastFailure || lastFailure.canceledFailureInfo) return [];
  const type = lastFailure.applicationFailureInfo?.type ?? '';
  if (type === WAITING) return [];
  const step = { workflowId, step: activityType?.name ?? '', attempt: Number(attempt ?? 1) };
  if (lastFailure.timeoutFailureInfo) return [{ ...step, code: 'Unreachable', message: 'its worker fell silent' }];
  return [{ ...step, code: isFailureCode(type) ? type : 'Unexpected', message: lastFailure.message ?? '' }];
}
