/**
 * Dock: a drive → the landing container.
 *
 * The manifest must be the one registered before shipping, and only objects of the job's signed set
 * are taken: a swapped, older, altered or foreign drive is refused, or gives what it rightly can. What
 * was taken and what was refused stands, object by object, in the signed copy log in landing.
 */

import { countObjects, overlap } from '../domain/drive.ts';
import { Failure } from '../domain/failure.ts';
import type { IngestedDrive } from '../domain/receipt.ts';
import type { DockSteps, IngestRequest } from '../domain/request.ts';
import { queueOf } from '../domain/site.ts';
import type { IngestTask } from '../pipeline/child-tasks.ts';
import { type HostValues, Site } from './open-site.ts';

/** The activity. */
export function ingesting(values: HostValues): DockSteps {
  return {
    async ingestDrive(request: IngestRequest): Promise<IngestedDrive> {
      const { vault, region, host, drive, job, run, step, packSet, manifest, epoch, ranges } = request;
      const site = new Site(values, { vault, role: 'datacenter', as: queueOf.dock(region, host) });
      const task: IngestTask = {
        ...site.step({ run, step }),
        kind: 'transfer',
        mode: 'ingest',
        job,
        packSet,
        manifest,
        epoch,
        drive: await site.driveAt(drive),
        to: site.placeAt(request.landing),
        stateDirectory: values.stateDirectory,
      };
      const datacenterIdentity = site.datacenterIdentity(region);
      const {
        receipt,
        copyLog,
        objects,
        present,
        bytes,
        missingRanges: lost,
      } = await site.run(task, { datacenterIdentity });
      if (copyLog === undefined) throw new Failure('DriveFailed', 'no copy log was written', { why: drive });
      const taken = objects + present;
      const missingRanges = overlap(ranges, lost);
      const refused = missingRanges.length === 0 ? 0 : Math.max(1, countObjects(ranges) - taken);
      return { run, step, receipt, drive, copyLog, taken, refused, bytes, missingRanges };
    },
  };
}
