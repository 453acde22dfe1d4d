/**
 * A drive that came back, or will never be read again, is erased:
 *
 *   1 the vault worker says whether it may be: nothing while what it carries may still be needed
 *   2 the wraps of its keys go from landing and vault: from here on it holds noise
 *   3 the host it is attached to overwrites its medium
 *   4 what was done is written into the job's record
 *   5 the source deletes the wraps in its staging location, which may have to wait for that host
 */
import { proxyActivities, uuid4 } from '@temporalio/workflow';
import type { ErasureOutcome } from '../domain/erasure-plan.ts';
import { driveLabel } from '../domain/names.ts';
import type { Erased } from '../domain/record.ts';
import type { EraseSteps, ErasureRequest, ErasureSteps, RecordSteps, SourceSteps } from '../domain/request.ts';
import { runName } from '../domain/seeding-job.ts';
import { bookKeeping, dataMoving, dataQueue, queueOf } from '../domain/site.ts';
import { openRunGate } from './run-gate.ts';

export async function erasure(request: ErasureRequest): Promise<ErasureOutcome> {
  const { vault, job, machine, drive, queue, host, serial, full, by, heartbeatMs } = request;
  const gate = openRunGate({ vault, machine, subject: job, heartbeatMs });
  const label = driveLabel(drive);
  const books = proxyActivities<ErasureSteps & RecordSteps>({ ...bookKeeping(queueOf.vault(vault)), summary: label });
  const medium = proxyActivities<EraseSteps>({ ...dataMoving(queue, { heartbeatMs }), summary: `${label} at ${host}` });
  const atSource = dataMoving(queueOf.source(machine), { heartbeatMs });
  const source = proxyActivities<SourceSteps>({ ...atSource, summary: `staging of ${job}` });
  const inBooks = <T>(name: string, run: () => Promise<T>) => gate.must({ name, queue: queueOf.vault(vault) }, run);

  return gate.guard(async () => {
    const plan = await inBooks('plan', () => books.planErasure({ vault, job, drive }));
    if (plan.refused !== undefined) return { refused: plan.refused };

    const began = new Date().toISOString();
    const run = runName(`erase-${drive}`, began, uuid4());
    const { region, staging } = plan;
    for (const landing of plan.landings)
      await inBooks('keys', () =>
        books.withdrawImport({
          ...{ vault, run, step: 'keys', job, region, landing, staging },
          ...{ drives: [drive], undo: ['drive-keys'] },
        }),
      );
    const done = await gate.must({ name: 'erase', queue: dataQueue(queue), drive }, () =>
      medium.eraseDrive({ vault, queue, run, step: 'erase', drive, full }),
    );
    const sent = serial !== undefined && plan.serial !== serial ? plan.serial : undefined;
    const erased: Erased = {
      ...{ at: began, by, run, drive, host, full, ...done, stagedKeysGone: false },
      ...(serial === undefined ? {} : { serial }),
      ...(sent === undefined ? {} : { sentSerial: sent }),
    };
    await inBooks('record', () => books.keepErasure({ vault, job, erased }));
    const keys = { vault, run, step: 'staged-keys', machine, place: staging, drives: [drive] };
    await gate.must({ name: 'staged-keys', queue: atSource.taskQueue }, () => source.forgetStagedKeys(keys));
    const whole = { ...erased, stagedKeysGone: true };
    await inBooks('record', () => books.keepErasure({ vault, job, erased: whole }));
    return { erased: whole };
  });
}
