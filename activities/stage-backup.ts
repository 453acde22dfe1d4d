/**
 * Source site: what is protected → a staging location, or the spool.
 *
 *   1 the protection's record in the vault says what to back up; its items open with the index key
 *   2 the child walks, seals, writes, and commits its receipt beside the packs
 *
 * A staging location or a spool serves one backup of a machine at a time: the child holds the lock
 * of the machine's catalog, and a backup of another run waits for it (`Busy`).
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Failure } from '../domain/failure.ts';
import type { StagedBackup } from '../domain/receipt.ts';
import type { ProtectionRecord } from '../domain/record.ts';
import type { SourceSteps, StageRequest, Waypoint } from '../domain/request.ts';
import { openItems, type ProtectionItems } from '../format/protection-items.ts';
import type { BackupTask, PlaceAt } from '../pipeline/child-tasks.ts';
import { readRecord } from '../store/records.ts';
import { type HostValues, Site } from './open-site.ts';

/** The activity. */
export function staging(values: HostValues): Pick<SourceSteps, 'stageBackup'> {
  return {
    async stageBackup(request: StageRequest): Promise<StagedBackup> {
      const { vault, machine, protection, run, step, time, lost } = request;
      const site = new Site(values, { vault, role: 'machine', as: machine });
      const items = await readItems(site, protection);
      await site.state.setItems(vault, protection, items.items);
      const task: BackupTask = {
        ...site.step({ run, step }),
        kind: 'backup',
        time,
        machine,
        protection,
        ...items,
        to: targetOf(site, values, request),
        stateDirectory: values.stateDirectory,
        vault: site.vaultAt,
        ...(lost && { lost }),
        ...site.packing,
      };
      const result = await site.run(task);
      const { point, packSet, objects, sealedBytes, readBytes, files, skippedFiles, receipt } = result;
      const { repair, goneChunks = 0 } = result;
      const mended = repair === undefined ? {} : { repair, goneChunks };
      return { run, step, receipt, point, packSet, objects, sealedBytes, readBytes, files, skippedFiles, ...mended };
    },
  };
}

/** Where a machine's objects lie on their way to a vault. */
export function waypointAt(site: Site, values: HostValues, waypoint: Waypoint): PlaceAt {
  if (waypoint.kind !== 'spool') return site.placeAt(waypoint.place);
  return { url: pathToFileURL(spoolDirectory(site, values)).href };
}

/** One a machine and vault: its backups exclude each other. */
export function spoolDirectory({ credentials }: Site, { stateDirectory }: HostValues): string {
  return path.join(stateDirectory, 'spool', credentials.vault.id, credentials.id);
}

function targetOf(site: Site, values: HostValues, { to, stagedBytesMax }: StageRequest): BackupTask['to'] {
  if (to.kind === 'spool')
    return { kind: 'spool', directory: spoolDirectory(site, values), bytesMax: values.spoolBytesMax };
  const limit = stagedBytesMax === undefined ? {} : { bytesMax: stagedBytesMax };
  return { kind: 'staging', place: waypointAt(site, values, to), ...limit };
}

/** @throws Failure `NotFound` for a protection the vault does not know, `NotAllowed` for one of another domain */
async function readItems({ vault, trust, credentials }: Site, protection: string): Promise<ProtectionItems> {
  const record = await readRecord<ProtectionRecord>(vault, { kind: 'protection', id: protection }, trust);
  if (!record)
    throw new Failure('NotFound', `the vault knows no protection ${protection}`, { next: 'seedship protection list' });
  const { putKey } = credentials;
  if (!putKey || record.body.domain !== putKey.domain)
    throw new Failure('NotAllowed', `protection ${protection} is of another domain than this machine`, {
      next: `seedship protection show ${protection}`,
    });
  return openItems(Buffer.from(record.body.sealed, 'base64'), { indexKey: putKey.indexKey, protection });
}
