/**
 * Copy host: objects in staging → a drive.
 *
 *   1 the drive's id leads to where it is here; an unknown one is not attached to this host
 *   2 the datacenter's recipient comes from its record, pinned by the owner's signature
 *   3 the child seals each object for the drive, reads all of it back, and commits in staging; what
 *     did not fit is simply not in its ranges
 *   4 the disk is asked how worn it is before and after (SMART), and the rates are measured; one that has
 *     become worse is warned of, by counts alone
 *
 * The wraps of the drive's keys lie in staging and landing, never on the drive.
 */

import { Context } from '@temporalio/activity';
import { type DiskReport, wearWarning } from '../domain/disk.ts';
import type { DrivePlan } from '../domain/drive-plan.ts';
import { Failure } from '../domain/failure.ts';
import type { PreparedDrive, Progress } from '../domain/receipt.ts';
import type { CopySteps, PrepareRequest } from '../domain/request.ts';
import { queueOf } from '../domain/site.ts';
import { NO_SET } from '../format/drive-manifest.ts';
import { runChild } from '../pipeline/child.ts';
import type { PrepareTask } from '../pipeline/child-tasks.ts';
import { readDatacenter } from '../store/records.ts';
import { type HostValues, Site } from './open-site.ts';
import { Filling } from './watch-filling.ts';

/** The activity. */
export function preparing(values: HostValues): CopySteps {
  return {
    async prepareDrive(request: PrepareRequest): Promise<PreparedDrive> {
      const { vault, host, drive, job, run, step, packSet = NO_SET, ranges, capacityBytes, stageStep } = request;
      const site = new Site(values, { vault, role: 'copy', as: queueOf.copy(host) });
      const task: PrepareTask = {
        ...site.step({ run, step }),
        kind: 'transfer',
        mode: 'prepare',
        job,
        packSet,
        ranges,
        from: site.placeAt(request.staging),
        drive: { ...(await site.driveAt(drive)), capacityBytes },
        datacenterRecipient: (await readDatacenter(site.vault, request.region, site.trust)).recipient,
        keysTo: [site.placeAt(request.landing)],
        stateDirectory: values.stateDirectory,
        ...(stageStep !== undefined && { stageStep }),
      };
      const filling = await Filling.begin(task.drive, site.state);
      const result = await site.run(task, {}, (progress) => filling.heard(progress));
      const disk = await filling.end();
      Context.current().log.info('drive filled', { drive, ...disk });
      const warning = wearWarning(disk);
      if (warning !== undefined) Context.current().log.warn('the disk has become worse', { drive, warning });
      const { receipt, objects, bytes, epoch = 0, manifest, wraps = [], missing } = result;
      if (manifest === undefined) throw new Failure('DriveFailed', 'the drive has no manifest', { why: drive });
      return {
        ...{ run, step, receipt, drive, host, epoch, manifest, objects, bytes },
        wraps: wraps.map(({ digest }) => digest),
        ranges: result.ranges ?? [],
        disk,
        ...(stageStep !== undefined && missing > 0 && { missingRanges: result.missingRanges }),
      };
    },
  };
}

export interface PlanHooks {
  /** The datacenter's age recipient, from an entry that its owner signed. */
  readonly recipient: string;
  readonly onProgress: (progress: Progress) => void;
  readonly log: (line: string) => void;
}

/** The same without a worker, and without a landing container: its receipt and the drive's wraps lie in staging. */
export async function fillByPlan(
  values: HostValues,
  plan: DrivePlan,
  { recipient, onProgress, log }: PlanHooks,
): Promise<DiskReport> {
  const { vault, host, drive, capacityBytes, run, step, job, packSet, ranges } = plan;
  const site = new Site(values, { vault, role: 'copy', as: queueOf.copy(host) });
  const at = { run, step, time: new Date().toISOString(), vaultId: site.trust.vaultId };
  const task: PrepareTask = {
    ...{ ...at, kind: 'transfer', mode: 'prepare', job, packSet, ranges, from: site.placeAt(plan.staging) },
    drive: { ...(await site.driveAt(drive)), capacityBytes },
    ...{ datacenterRecipient: recipient, keysTo: [], stateDirectory: values.stateDirectory },
  };
  const signal = new AbortController().signal; // the child dies with whoever typed the command
  const filling = await Filling.begin(task.drive, site.state);
  const heard = (progress: Progress): void => {
    filling.heard(progress);
    onProgress(progress);
  };
  await runChild(task, { secrets: site.secrets, extraCa: values.extraCa, signal, onProgress: heard, log });
  return filling.end();
}
