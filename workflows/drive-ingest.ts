/**
 * One drive, from the dock to landing. Bound to the dock host it was attached to.
 *
 *   1 the manifest's digest is compared with the one registered before shipping
 *   2 objects of the job's signed set are taken and checked; others are refused, in the copy log
 *
 * It ends with an outcome, whatever happens: what a drive cannot give comes another way, by a
 * person's choice.
 */
import { proxyActivities } from '@temporalio/workflow';
import { WAYS, type Way, wayOf } from '../domain/custody.ts';
import { driveLabel } from '../domain/names.ts';
import type { IngestedDrive } from '../domain/receipt.ts';
import type { DockSteps, IngestRequest } from '../domain/request.ts';
import { dataMoving, dataQueue, queueOf } from '../domain/site.ts';
import { openChildGate } from './gate.ts';

export interface DriveIngest {
  readonly request: IngestRequest;
  readonly heartbeatMs: number;
}

export type IngestOutcome = { readonly outcome: 'ingested'; readonly drive: IngestedDrive } | { readonly outcome: Way };

export async function driveIngest({ request, heartbeatMs }: DriveIngest): Promise<IngestOutcome> {
  const { drive, region, host, step } = request;
  const queue = queueOf.dock(region, host);
  const dock = proxyActivities<DockSteps>({
    ...dataMoving(queue, { heartbeatMs }),
    summary: `${driveLabel(drive)} at ${host}`,
  });
  const gate = openChildGate(heartbeatMs);
  const passed = await gate.pass({ name: step, queue: dataQueue(queue), drive, choices: WAYS }, () =>
    dock.ingestDrive(request),
  );
  if ('done' in passed) return { outcome: 'ingested', drive: passed.done };
  return { outcome: wayOf(passed.chose) };
}
