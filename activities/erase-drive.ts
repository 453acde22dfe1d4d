/**
 * A drive is erased: first the wraps of its keys, then its medium.
 *
 *   planErasure        vault worker: whether it may be, from the job's record
 *   (withdrawImport    vault worker: the wraps in landing and vault, see register-import.ts)
 *   eraseDrive         copy host or dock it is attached to: the medium
 *   forgetStagedKeys   source: the wraps in its staging location
 *   keepErasure        vault worker: what was done stands in the job's record
 *
 * Doing any of it twice is doing it once.
 */

import { type ErasurePlan, planErasure } from '../domain/erasure-plan.ts';
import { Failure } from '../domain/failure.ts';
import type { ErasedDrive } from '../domain/receipt.ts';
import type { JobRecord } from '../domain/record.ts';
import type { EraseRequest, EraseSteps, ErasureSteps, ForgetKeysRequest, SourceSteps } from '../domain/request.ts';
import { queueOf, siteOf } from '../domain/site.ts';
import type { EraseTask } from '../pipeline/child-tasks.ts';
import { parseDiskPlace } from '../store/drive-mount.ts';
import { DRIVE_KEYS } from '../store/places.ts';
import { appendRecord, readRecord } from '../store/records.ts';
import { type HostValues, Site } from './open-site.ts';

/** The activity of a copy host or a dock. */
export function erasing(values: HostValues): EraseSteps {
  return {
    async eraseDrive({ vault, queue, drive, run, step, full }: EraseRequest): Promise<ErasedDrive> {
      const role = siteOf(queue).site === 'dock' ? 'datacenter' : 'copy';
      const site = new Site(values, { vault, role, as: queue });
      const done = site.state.stepResult(run, step);
      if (done) return JSON.parse(done.bytes.toString());
      const at = site.state.drivePath(drive);
      if (at === undefined) throw new Failure('DriveMissing', 'the drive is not attached to this host');
      const disk = parseDiskPlace(at);
      const task: EraseTask = {
        ...{ kind: 'erase', run, full, stateDirectory: values.stateDirectory },
        drive: { id: drive, path: at },
        ...(disk && { serial: disk.serial }),
      };
      const { bytes, unwritable } = await site.run(task);
      await site.state.keepStepResult(run, step, Buffer.from(JSON.stringify({ bytes, unwritable })));
      site.state.forgetDrive(drive);
      return { bytes, unwritable };
    },
  };
}

/** The source's activity. */
export function forgetting(values: HostValues): Pick<SourceSteps, 'forgetStagedKeys'> {
  return {
    async forgetStagedKeys({ vault, machine, place, drives }: ForgetKeysRequest): Promise<void> {
      const site = new Site(values, { vault, role: 'machine', as: machine });
      const staged = site.open(site.placeAt(place));
      for (const drive of drives)
        for await (const { name } of staged.list(`${DRIVE_KEYS}${drive}/`)) await staged.remove(name);
    },
  };
}

/** The vault worker's activities. */
export function recordingErasures(values: HostValues): ErasureSteps {
  const siteOfVault = (vault: string) => new Site(values, { vault, role: 'vault', as: queueOf.vault(vault) });
  return {
    async planErasure({ vault, job, drive }): Promise<ErasurePlan> {
      const { vault: store, trust } = siteOfVault(vault);
      const record = await readRecord<JobRecord>(store, { kind: 'job', id: job }, trust);
      if (!record) throw new Failure('NotFound', `the vault knows no job ${job}`, { next: 'seedship job list' });
      return planErasure(record.body, drive);
    },

    async keepErasure({ vault, job, erased }): Promise<void> {
      const { vault: store, signer, trust, credentials } = siteOfVault(vault);
      const add = (before: JobRecord | undefined) => {
        const known = before?.erased ?? [];
        if (!before || known.some((one) => JSON.stringify(one) === JSON.stringify(erased))) return undefined;
        const others = known.filter(({ run }) => run !== erased.run);
        return { ...before, at: erased.at, by: credentials.id, erased: [...others, erased] };
      };
      await appendRecord<JobRecord>(store, { kind: 'job', id: job }, add, { signer, trust });
    },
  };
}
