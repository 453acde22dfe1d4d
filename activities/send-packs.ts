/**
 * Objects on their way to the vault, and the point that claims them.
 *
 *   statePoint   source: point, pack set and index go ahead over the line; a point states a claim
 *   sendPacks    source: a spool is drained while it fills, and its point stated; or lost objects are sent from staging
 *                vault worker: landing is copied
 *
 * Every object's name is recomputed on the way, and the receipt stands in the vault.
 */
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import type { ObjectRange, SentPacks, StatedPoint } from '../domain/receipt.ts';
import type { SendRequest, SourceSteps, StateRequest, VaultSteps } from '../domain/request.ts';
import { queueOf } from '../domain/site.ts';
import type { DrainTask, PlaceAt, SendTask, TransferResult } from '../pipeline/child-tasks.ts';
import { isPlace } from '../store/directory-store.ts';
import { folderOf } from '../store/object-store.ts';
import { pointName } from '../store/places.ts';
import { type HostValues, Site } from './open-site.ts';
import { spoolDirectory, waypointAt } from './stage-backup.ts';

/** The source's activities. */
export function sending(values: HostValues): Pick<SourceSteps, 'statePoint' | 'sendPacks'> {
  return {
    async statePoint({ vault, run, step, machine, from, point, packSet, repair }: StateRequest): Promise<StatedPoint> {
      const site = new Site(values, { vault, role: 'machine', as: machine });
      const task: SendTask = {
        ...site.step({ run, step }),
        kind: 'transfer',
        mode: 'send',
        what: 'claim',
        from: waypointAt(site, values, from),
        to: site.vaultAt,
        packSet,
        point: pointName(point.machine, point.sequence, point.digest),
        ...(repair && { repair }),
      };
      const { receipt } = await site.run(task);
      return { run, step, receipt, point };
    },

    async sendPacks(request: SendRequest): Promise<SentPacks> {
      const { vault, machine, from } = request;
      const site = new Site(values, { vault, role: 'machine', as: machine });
      if (from.kind !== 'spool') {
        await checkThere(waypointAt(site, values, from));
        return send(site, values, request, 'send');
      }
      const task: DrainTask = {
        ...site.step(request),
        kind: 'transfer',
        mode: 'drain',
        directory: spoolDirectory(site, values),
        to: site.vaultAt,
        stageStep: from.stageStep,
        machine,
        protection: from.protection,
        stateDirectory: values.stateDirectory,
        ...(request.claim && { claim: true }),
      };
      return sent(request, await site.run(task));
    },
  };
}

/** The vault worker's activity. */
export function copying(values: HostValues): Pick<VaultSteps, 'sendPacks'> {
  return {
    sendPacks(request: SendRequest): Promise<SentPacks> {
      const { vault } = request;
      const site = new Site(values, { vault, role: 'vault', as: queueOf.vault(vault) });
      return send(site, values, request, 'copy');
    },
  };
}

/** A staging location that is gone may never come back: that is for a person to say. @throws Failure `PacksMissing` */
async function checkThere({ url }: PlaceAt): Promise<void> {
  if (!url.startsWith('file:') || (await isPlace(folderOf(url)))) return;
  throw new Failure('PacksMissing', 'the staging location is not there', {
    why: 'its folder is missing or empty: is it mounted?',
    next: 'mount it and resolve with retry; with send, what it held is read and sealed again',
  });
}

interface Objects {
  readonly packSet: Digest;
  readonly ranges?: readonly ObjectRange[];
}

async function send(site: Site, values: HostValues, request: SendRequest, mode: SendTask['mode']): Promise<SentPacks> {
  const task: SendTask = {
    ...site.step(request),
    ...objectsOf(request),
    kind: 'transfer',
    mode,
    ...(mode === 'send' ? { stateDirectory: values.stateDirectory } : {}),
    what: request.treesOnly ? 'trees' : 'objects',
    from: waypointAt(site, values, request.from),
    to: site.vaultAt,
  };
  return sent(request, await site.run(task));
}

/** Only a drain knows its objects from what it finds. */
function objectsOf({ packSet, ranges }: SendRequest): Objects {
  if (packSet === undefined) throw new RangeError('send-packs: no pack set was named');
  return ranges === undefined ? { packSet } : { packSet, ranges };
}

function sent({ run, step }: SendRequest, result: TransferResult): SentPacks {
  const { receipt, objects, bytes, missing, damaged, missingRanges, stated } = result;
  const answer = { run, step, receipt, objects, bytes, missing: missing + damaged, missingRanges };
  return stated ? { ...answer, stated } : answer;
}
