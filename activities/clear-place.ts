/**
 * After a proof was read from the vault: landing and staging are emptied of one job's objects, of
 * nothing else, and of nothing that another job still needs.
 *
 *   planCleanup    vault worker: what may go, from the records of all jobs
 *   proveVault     vault worker: every object of the set is read back, and what was found is signed
 *   clearLanding   vault worker     clearStaging   source: the machine's own disk
 *   keepCleanup    vault worker: what was removed, and on which proof, stands in the job's record
 *
 * Removing twice is removing once. Receipts, points and copy logs stay: they are the story.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { Failure } from '../domain/failure.ts';
import { type CleanupPlan, planCleanup } from '../domain/leftovers.ts';
import type { Digest } from '../domain/names.ts';
import type { ProvedVault } from '../domain/receipt.ts';
import type { JobRecord } from '../domain/record.ts';
import type { CleanupSteps, ClearRequest, SourceSteps, VaultSteps } from '../domain/request.ts';
import { queueOf } from '../domain/site.ts';
import type { ProveTask } from '../pipeline/child-tasks.ts';
import { eachInFlight } from '../pipeline/in-flight.ts';
import { listObjects, placeOf } from '../pipeline/object-list.ts';
import { lockMedium } from '../store/medium-lock.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { DRIVE_KEYS, ORDERS, packSetName } from '../store/places.ts';
import { appendRecord, readRecords } from '../store/records.ts';
import { type HostValues, Site } from './open-site.ts';

/** A removal is a round trip and no bytes. */
const REMOVALS_IN_FLIGHT = 8;

/** The vault worker's activities that move or remove bytes. */
export function proving(values: HostValues): Pick<VaultSteps, 'proveVault' | 'clearLanding'> {
  return {
    async proveVault({ vault, run, step, packSet }): Promise<ProvedVault> {
      const site = siteOf(values, vault);
      const of = { ...site.step({ run, step }), packSet, from: site.vaultAt };
      const task: ProveTask = { ...of, kind: 'transfer', mode: 'prove' };
      const { receipt, objects, bytes, missing, damaged } = await site.run(task);
      return { run, step, receipt, objects, bytes, missing, damaged };
    },

    async clearLanding(request: ClearRequest): Promise<number> {
      const site = siteOf(values, request.vault);
      const landed = site.open(site.placeAt(request.place));
      const removed = await clear(site, landed, request);
      for (const drive of request.drives)
        for await (const { name } of landed.list(`${DRIVE_KEYS}${drive}/`)) await landed.remove(name);
      return removed;
    },
  };
}

/** The source's activity. */
export function clearing(values: HostValues): Pick<SourceSteps, 'clearStaging'> {
  return {
    async clearStaging(request: ClearRequest): Promise<number> {
      const { vault, machine, place } = request;
      const site = new Site(values, { vault, role: 'machine', as: machine });
      const at = site.placeAt(place);
      const lock = at.url.startsWith('file:')
        ? await lockMedium(path.join(fileURLToPath(at.url), '.lock'), undefined, request.run)
        : undefined;
      try {
        const staging = site.open(at);
        const removed = await clear(site, staging, request);
        if (request.keep.length === 0) for await (const { name } of staging.list(ORDERS)) await staging.remove(name);
        return removed;
      } finally {
        lock?.release();
      }
    },
  };
}

/** The vault worker's activities on records. */
export function planning(values: HostValues): CleanupSteps {
  return {
    async planCleanup({ vault, job }): Promise<CleanupPlan> {
      const { vault: store, trust } = siteOf(values, vault);
      const all: JobRecord[] = [];
      for await (const { body } of readRecords<JobRecord>(store, 'job', trust)) all.push(body);
      const mine = all.find(({ name }) => name === job);
      if (!mine) throw new Failure('NotFound', `the vault knows no job ${job}`, { next: 'seedship job list' });
      return planCleanup(
        mine,
        all.filter((one) => one !== mine),
      );
    },

    async keepCleanup({ vault, job, by, proof, objects, bytes, removed }): Promise<void> {
      const { vault: store, signer, trust, credentials } = siteOf(values, vault);
      const at = new Date(Context.current().info.scheduledTimestampMs).toISOString();
      const cleaned = { at, by, proof, objects, bytes, removed };
      const add = (before: JobRecord | undefined) =>
        !before || before.cleaned?.proof.receipt === proof.receipt
          ? undefined
          : { ...before, at, by: credentials.id, cleaned };
      await appendRecord<JobRecord>(store, { kind: 'job', id: job }, add, { signer, trust });
    },
  };
}

function siteOf(values: HostValues, vault: string): Site {
  return new Site(values, { vault, role: 'vault', as: queueOf.vault(vault) });
}

/** Removes what is of the set and of no other; the set itself last, so that a second attempt knows what to do. */
async function clear({ vault, trust }: Site, place: ObjectStore, { packSet, keep }: ClearRequest): Promise<number> {
  const context = Context.current();
  const members = (set: Digest) => listObjects([place, vault], set, trust);
  const kept = new Set((await Promise.all(keep.map(members))).flat().map(({ name }) => name));
  const objects = (await members(packSet)).filter(({ name }) => !kept.has(name));
  let removed = 0;
  let seen = 0;
  await eachInFlight(objects, REMOVALS_IN_FLIGHT, async (object) => {
    context.cancellationSignal.throwIfAborted();
    const name = placeOf(object);
    if (await place.head(name)) {
      await place.remove(name);
      removed += 1;
    }
    seen += 1;
    context.heartbeat({ step: 'clear', bytesDone: 0, objectsDone: seen, objectsTotal: objects.length });
  });
  if (!keep.includes(packSet)) await place.remove(packSetName(packSet));
  return removed;
}
