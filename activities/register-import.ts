/**
 * Vault worker: the import job, as signed revisions of the job's record.
 *
 *   registerImport   1 the pack set is laid into landing, since the dock reads nothing else
 *                    2 the wraps of the drives' keys are kept in the vault too, as their digests say
 *                    3 the record names address, drives and the manifests they must carry
 *   withdrawImport   takes back what the cancel table names: record, drive keys, landing. The wraps in
 *                    staging go too where this host reaches it; what a drive held lies there as well
 *   giveUp           objects that a person gave up are replaced by nothing, in a signed repair
 *   keepRecord       what the workflow knows, for the day that Temporal is lost
 *
 * Each does nothing the second time. Revisions are added over the newest body, whoever wrote it.
 */
import { Context } from '@temporalio/activity';
import { Failure } from '../domain/failure.ts';
import { neededIn } from '../domain/leftovers.ts';
import type { Digest } from '../domain/names.ts';
import type { PreparedDrive, PublishedRepair, RegisteredImport } from '../domain/receipt.ts';
import type { ImportRecord, JobRecord } from '../domain/record.ts';
import type { GiveUpRequest, RecordRequest, RecordSteps, RegisterRequest, WithdrawRequest } from '../domain/request.ts';
import { seedingId } from '../domain/seeding-job.ts';
import { queueOf } from '../domain/site.ts';
import { openCopyLog } from '../format/copy-log.ts';
import { digestOf } from '../format/digest.ts';
import { signRepair } from '../format/repair.ts';
import { eachInFlight } from '../pipeline/in-flight.ts';
import { listObjects, placeOf, selectRanges } from '../pipeline/object-list.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { copyLogName, DRIVE_KEYS, driveKeyName, packSetName, repairName } from '../store/places.ts';
import { appendRecord, readDatacenter, readRecord, readRecords } from '../store/records.ts';
import { type HostValues, Site } from './open-site.ts';
import { verifyRequests } from './verify-requests.ts';

/** A removal is a round trip and no bytes. */
const REMOVALS_IN_FLIGHT = 8;

/** Of a staging location that is another host's. */
const OUT_OF_REACH: ReadonlySet<string> = new Set(['Configuration', 'Unreachable', 'StorageRefused', 'NotAllowed']);

/** The activities. */
export function recording(values: HostValues): RecordSteps {
  const siteOf = (vault: string) => new Site(values, { vault, role: 'vault', as: queueOf.vault(vault) });
  return {
    async registerImport(request: RegisterRequest): Promise<RegisteredImport> {
      const { vault, job, region, run, step, packSet, landing, drives } = request;
      const site = siteOf(vault);
      const [landed, kept] = [site.open(site.placeAt(landing)), site.vault];
      await landed.put(packSetName(packSet), await kept.getExact(packSetName(packSet), packSet));
      for (const drive of drives) await keepWraps(landed, kept, drive);
      const { address } = await readDatacenter(site.vault, region, site.trust);
      const entry: ImportRecord = {
        ...stampOf(site),
        ...{ run, step, region, address, landing, packSet },
        drives: drives.map(({ drive, epoch, manifest, wraps, objects, bytes, receipt }) => ({
          ...{ drive, epoch, manifest, wraps, objects, bytes, receipt },
        })),
      };
      const { digest } = await change(site, job, (body) => {
        const imports = body.imports ?? [];
        const known = imports.some((one) => one.run === run && one.step === step);
        return known ? undefined : { ...body, imports: [...imports, entry] };
      });
      return { job, region, record: digest };
    },

    async withdrawImport({ vault, job, landing, staging, drives, undo }: WithdrawRequest): Promise<void> {
      const site = siteOf(vault);
      const landed = site.open(site.placeAt(landing));
      const went = counting();
      if (undo.includes('drive-keys'))
        for (const drive of drives)
          for (const place of [landed, site.vault]) await removeAll(place, `${DRIVE_KEYS}${drive}/`, went);
      if (undo.includes('drive-keys') && staging !== undefined) await forgetStaged(site, staging, { drives, went });
      if (undo.includes('landing')) await emptyLanding(site, job, { landing, landed, went });
      if (!undo.includes('import-job')) return;
      const withdrawn = stampOf(site);
      await change(site, job, (body) => {
        const imports = body.imports ?? [];
        if (imports.every((one) => one.withdrawn)) return undefined;
        return { ...body, imports: imports.map((one) => (one.withdrawn ? one : { ...one, withdrawn })) };
      });
    },

    giveUp: (request) => giveUp(siteOf(request.vault), request),

    async keepRecord({ vault, id, sequence, state }: RecordRequest): Promise<void> {
      const site = siteOf(vault);
      await keepCopyLogs(site, id, state);
      const { landing } = state.ledger?.job ?? {};
      const acts = await verifyRequests(site, {
        ...{ state, workflowId: seedingId({ vault, job: id }) },
        ...(landing !== undefined && { landing }),
      });
      await change(site, id, (body) => {
        const stands = body.state?.run === state.run && body.state.sequence >= sequence;
        return stands ? undefined : { ...body, state: { ...state, acts, sequence } };
      });
    },
  };
}

/** Only what the vault has not after all is replaced by nothing. */
async function giveUp({ vault, signer, trust }: Site, { packSet, ranges }: GiveUpRequest): Promise<PublishedRepair> {
  const listed = selectRanges(await listObjects([vault], packSet, trust), ranges).map(({ object }) => object);
  const there = await Promise.all(listed.map((object) => vault.head(placeOf(object))));
  const replacements = listed.filter((_, at) => !there[at]).map((lost) => ({ lost, by: [] }));
  const bytes = signRepair(replacements, undefined, { signer, trust });
  const repair = digestOf(bytes);
  await vault.put(repairName(repair), bytes, { digest: repair });
  return { repair, objects: replacements.length };
}

/** Adds a revision over the newest body; `undefined` from `next` adds none. */
async function change(site: Site, job: string, next: (body: JobRecord) => JobRecord | undefined) {
  const { vault, signer, trust } = site;
  return appendRecord<JobRecord>(
    vault,
    { kind: 'job', id: job },
    (body) => {
      if (!body) throw new Failure('NotFound', `the vault knows no job ${job}`, { next: 'seedship job list' });
      const changed = next(body);
      return changed && { ...changed, ...stampOf(site) };
    },
    { signer, trust },
  );
}

/** What a dock signed outlives its container: landing is emptied, the vault is not. */
async function keepCopyLogs(site: Site, job: string, { drives }: RecordRequest['state']): Promise<void> {
  const kept = site.vault;
  for (const { id: drive, copyLog: name, landing } of drives) {
    if (name === undefined || (await kept.head(copyLogName(name)))) continue;
    const from = landing ?? (await landingOf(site, job));
    if (from === undefined) continue;
    const signed = await site.open(site.placeAt(from)).getExact(copyLogName(name), name);
    openCopyLog(signed, { trust: site.trust, name, drive, job });
    await kept.put(copyLogName(name), signed, { digest: name });
  }
}

async function landingOf({ vault, trust }: Site, job: string): Promise<string | undefined> {
  const record = await readRecord<JobRecord>(vault, { kind: 'job', id: job }, trust);
  return (record?.body.state?.ledger?.job ?? record?.body.order)?.landing;
}

async function keepWraps(
  landed: ObjectStore,
  kept: ObjectStore,
  { drive, epoch, wraps }: PreparedDrive,
): Promise<void> {
  for (const [at, digest] of wraps.entries()) {
    const name = driveKeyName(drive, epoch - wraps.length + 1 + at); // oldest first, the last one is `epoch`'s
    const wrap = await landed.getExact(name, digest);
    if (digestOf(wrap) === digest) await kept.put(name, wrap, { digest });
  }
}

/**
 * To be called after each thing that was done: a heartbeat, since there may be hundreds of thousands.
 * It throws when the step was called off.
 */
function counting(): () => void {
  const context = Context.current();
  let objectsDone = 0;
  return () => {
    context.cancellationSignal.throwIfAborted();
    objectsDone += 1;
    context.heartbeat({ step: 'withdraw', bytesDone: 0, objectsDone });
  };
}

/** Takes out what this job's drives carried, and leaves what jobs under way need: they share the container. */
async function emptyLanding(
  { vault, trust }: Site,
  job: string,
  { landing, landed, went }: { readonly landing: string; readonly landed: ObjectStore; readonly went: () => void },
): Promise<void> {
  const all: JobRecord[] = [];
  for await (const { body } of readRecords<JobRecord>(vault, 'job', trust)) {
    all.push(body);
    went();
  }
  const members = async (packSet: Digest) => {
    const objects = await listObjects([landed, vault], packSet, trust);
    went();
    return objects;
  };
  const others = all.filter(({ name }) => name !== job);
  const kept = new Set(neededIn([landing], others));
  const needed = new Set((await Promise.all([...kept].map(members))).flat().map(({ name }) => name));
  const sets = new Set(all.find(({ name }) => name === job)?.imports?.map(({ packSet }) => packSet));
  for (const packSet of sets) {
    const objects = (await members(packSet)).filter(({ name }) => !needed.has(name));
    await eachInFlight(objects, REMOVALS_IN_FLIGHT, async (object) => {
      await landed.remove(placeOf(object));
      went();
    });
    if (!kept.has(packSet)) await landed.remove(packSetName(packSet));
  }
}

/** A vault's host seldom reaches the staging of its sources: then the wraps stay there, beside what they open. */
async function forgetStaged(
  site: Site,
  staging: string,
  { drives, went }: { readonly drives: readonly string[]; readonly went: () => void },
): Promise<void> {
  try {
    const staged = site.open(site.placeAt(staging));
    for (const drive of drives) await removeAll(staged, `${DRIVE_KEYS}${drive}/`, went);
  } catch (error) {
    if (!(error instanceof Failure && OUT_OF_REACH.has(error.code))) throw error;
    Context.current().log.info('the wraps of drive keys in staging are kept', { code: error.code });
  }
}

async function removeAll(place: ObjectStore, prefix: string, went: () => void): Promise<void> {
  for await (const { name } of place.list(prefix)) {
    await place.remove(name);
    went();
  }
}

function stampOf({ credentials }: Site): { readonly at: string; readonly by: string } {
  return { at: new Date(Context.current().info.scheduledTimestampMs).toISOString(), by: credentials.id };
}
