/**
 * One drive, from blank to written, read back and verified, on the copy host it is attached to.
 *
 *   1 the copy host takes the objects of its ranges from staging, as many as fit
 *   2 the receipt names what the drive carries; the parent puts the rest on another
 *
 * It ends with an outcome, whatever happens: a drive that fails is left out by a person's choice.
 */
import { proxyActivities } from '@temporalio/workflow';
import { driveLabel } from '../domain/names.ts';
import type { PreparedDrive } from '../domain/receipt.ts';
import type { CopySteps, PrepareRequest } from '../domain/request.ts';
import { dataMoving, dataQueue, queueOf } from '../domain/site.ts';
import { openChildGate } from './gate.ts';

export interface DrivePreparation {
  readonly request: PrepareRequest;
  readonly heartbeatMs: number;
}

export type PreparationOutcome =
  | { readonly outcome: 'prepared'; readonly drive: PreparedDrive }
  | { readonly outcome: 'left-out' };

export async function drivePreparation({ request, heartbeatMs }: DrivePreparation): Promise<PreparationOutcome> {
  const { drive, host, step } = request;
  const queue = queueOf.copy(host);
  const copy = proxyActivities<CopySteps>({
    ...dataMoving(queue, { heartbeatMs }),
    summary: `${driveLabel(drive)} on ${host}`,
  });
  const gate = openChildGate(heartbeatMs);
  const passed = await gate.pass({ name: step, queue: dataQueue(queue), drive, choices: ['replace'] }, () =>
    copy.prepareDrive(request),
  );
  return 'done' in passed ? { outcome: 'prepared', drive: passed.done } : { outcome: 'left-out' };
}
