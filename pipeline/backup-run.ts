/**
 * A backup, as the child does it.
 *
 *   1  the machine's catalog and the place are locked; a receipt that stands already is returned
 *   2  what is known: the last backup's trees and chunks, and the packs an earlier attempt left
 *   3  the pass: threads cut, seal and write packs of data, the walk packs of trees
 *   4  index parts, the pack set, and the point that names it, in this order: nothing is stated
 *      before what it stands on
 *   5  the next generation of the catalog is sealed, the receipt is written, the generation counts
 *
 * A crash leaves packs that the next attempt finds by their tables, and nothing that states a claim.
 */
import path from 'node:path';
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import type { PointRef } from '../domain/receipt.ts';
import { signIndexPart } from '../format/chunk-index.ts';
import { digestOf } from '../format/digest.ts';
import { signPackSet } from '../format/pack-set.ts';
import { type PointHead, pointLabel, signPoint } from '../format/recovery-point.ts';
import { signRepair } from '../format/repair.ts';
import { recipientId, type Session } from '../format/session.ts';
import type { StoredObject } from '../format/stored-object.ts';
import type { DirectoryStore } from '../store/directory-store.ts';
import { makeDirectoryDurable } from '../store/durable-file.ts';
import { lockMedium } from '../store/medium-lock.ts';
import {
  INDEXES,
  indexName,
  PACK_SETS,
  POINTS,
  packSetName,
  pointName,
  RECEIPTS,
  REPAIRS,
  receiptName,
  repairName,
} from '../store/places.ts';
import { freshScratchDirectory, removeScratch } from '../store/scratch-file.ts';
import { type BackupGround, encodeParentLists, findGround, type GroundParts, openTarget } from './backup-ground.ts';
import { type PassOutcome, type PassParts, runPass } from './backup-pass.ts';
import { type CatalogState, CatalogWriter, completeGeneration, generationName } from './catalog.ts';
import type { BackupResult, BackupTask, ChildSecrets, Progress } from './child-tasks.ts';
import { checkStanding } from './own-packs.ts';
import { backupStatePath } from './own-state.ts';
import { actorOf, findReceipt, writeReceipt } from './step-receipt.ts';

/** A delta that has grown past this share of its base is stated as a full set. */
const DELTA_SHARE_MAX = 1 / 4;
const DELTA_OBJECTS_MIN = 256;

type Outcome = Omit<BackupResult, 'receipt'>;

export interface BackupCall {
  /** For the restore recipient of whoever backs up, while it is being made. */
  readonly session: Promise<Session>;
  readonly report: (progress: Progress) => void;
}

/** Backs up and commits; an attempt that finds the receipt returns it. @throws Failure by name */
export async function runBackup(
  task: BackupTask,
  secrets: ChildSecrets,
  { session, report }: BackupCall,
): Promise<BackupResult> {
  const actor = actorOf(secrets, task.vaultId);
  const { putKey } = actor.credentials;
  if (!putKey || actor.credentials.id !== task.machine)
    throw new Failure('Configuration', 'these are not the credentials of the machine that is backed up');
  const place = await openTarget(task);
  await makeDirectoryDurable(path.join(task.stateDirectory, 'locks'));
  const locks = [
    await lockMedium(path.join(task.stateDirectory, 'locks', 'catalog'), undefined, task.run),
    await lockMedium(path.join(place.folder, '.lock'), undefined, task.run),
  ];
  try {
    const found = await findReceipt<Outcome>(place, task, actor.trust);
    if (found) {
      await checkStanding(place, found.body.packSet, actor.trust);
      completeGeneration(backupStatePath('catalog', task), task.run, task.step);
      return { ...found.body, receipt: found.receipt };
    }
    const scratch = freshScratchDirectory(backupStatePath('scratch', task));
    const result = await backUp({ task, secrets, actor, putKey, place, scratch, report }, session);
    removeScratch(scratch);
    return result;
  } finally {
    for (const lock of locks) lock.release();
  }
}

async function backUp(parts: GroundParts, session: Promise<Session>): Promise<BackupResult> {
  const { task, actor, place } = parts;
  const startedMs = Date.now();
  await place.sweep(0);
  const ground = await findGround(parts);
  if (task.to.kind === 'spool') await clearSpool(place, ground.catalog?.state);
  const sequence = (ground.predecessor?.sequence ?? 0) + 1;
  const directory = backupStatePath('catalog', task);
  const catalog = new CatalogWriter(directory, generationName(sequence, task.run));
  const pass = await runPass({ ...parts, ground, session, catalog });
  const statement = await state({ ...parts, ground, session, catalog }, pass, sequence);
  catalog.seal(
    {
      sequence,
      run: task.run,
      step: task.step,
      point: statement.pointName,
      packSet: statement.packSet,
      base: statement.base,
      statedBy: statement.statedBy,
      root: Buffer.from(pass.root).toString('hex'),
      startedMs,
    },
    encodeParentLists(statement.baseObjects, statement.added),
  );
  const outcome = outcomeOf(parts, ground, pass, statement);
  const written = await writeReceipt(place, task, actor, outcome);
  ground.catalog?.close();
  ground.lost?.close();
  catalog.commit();
  removeScratch(backupStatePath('spool-journal', task));
  removeScratch(backupStatePath('order-journal', task));
  return { ...written.body, receipt: written.receipt };
}

/** Takes from a spool what stated points that later ones have replaced. */
async function clearSpool(place: DirectoryStore, last: CatalogState | undefined): Promise<void> {
  const keep = new Set([...(last?.statedBy ?? []), last && receiptName(last.run, last.step)]);
  for (const prefix of [RECEIPTS, POINTS, PACK_SETS, INDEXES, REPAIRS])
    for await (const { name } of place.list(prefix)) if (last && !keep.has(name)) await place.remove(name);
}

/** What was stated, in the order it was written. */
interface Statement {
  readonly packSet: Digest;
  readonly base: Digest;
  readonly baseObjects: readonly StoredObject[];
  readonly added: readonly StoredObject[];
  readonly pointName: string;
  readonly statedBy: readonly string[];
  readonly point: PointRef;
  readonly repair?: Digest;
}

async function state(parts: PassParts, pass: PassOutcome, sequence: number): Promise<Statement> {
  const { task, actor, place, ground, putKey } = parts;
  const { signer, trust } = actor;
  const session = await parts.session;
  const fresh: StoredObject[] = [...ground.index.packs];
  const statedBy: string[] = [];
  for (const part of ground.index.parts()) {
    const bytes = signIndexPart(part, { signer, trust, indexKey: putKey.indexKey });
    const name = digestOf(bytes);
    await place.put(indexName(name), bytes, { digest: name });
    ground.lost?.note(part);
    const object = { kind: 'index', name, length: bytes.length } as const;
    fresh.push(object);
    ground.order?.add(object);
    statedBy.push(indexName(name));
  }
  await ground.order?.settled();
  const order = ground.order?.objects;
  const lists = listsOf(ground, order ?? fresh);
  const full = { full: lists.baseObjects, ...(order && { order }) };
  const set = signPackSet(lists.base ? { base: lists.base, added: lists.added, removed: [] } : full, { signer, trust });
  const packSet = digestOf(set);
  await place.put(packSetName(packSet), set, { digest: packSet });
  const head: PointHead = {
    machine: task.machine,
    domain: putKey.domain,
    protection: task.protection,
    sequence,
    predecessor: ground.predecessor?.digest,
    time: Date.parse(task.time),
    run: task.run,
    kind: ground.parent ? 'incremental' : 'initial',
    base: ground.parent?.point,
    packSet,
    recipientId: recipientId(actor.credentials.restoreRecipient),
    wrap: session.wrap,
  };
  const bytes = signPoint(head, bodyOf(task, pass), { signer, trust, sessionKey: session.key });
  const digest = digestOf(bytes);
  const name = pointName(task.machine, sequence, digest);
  await place.put(name, bytes, { digest });
  const { machine, protection } = task;
  const point = { label: pointLabel(head, digest), machine, protection, sequence, digest, kind: head.kind };
  const base = lists.base ?? packSet;
  statedBy.push(packSetName(base), packSetName(packSet), name);
  const repair = await stateRepair(parts, pass);
  if (repair !== undefined) statedBy.push(repairName(repair));
  return { packSet, ...lists, base, pointName: name, statedBy, point, ...(repair && { repair }) };
}

/** What stands for the lost objects, and what is gone for good. */
async function stateRepair({ actor, place, ground, putKey }: PassParts, { gone }: PassOutcome) {
  if (!ground.lost) return undefined;
  const { signer, trust } = actor;
  const chunks = { chunks: gone, indexKey: putKey.indexKey };
  const bytes = signRepair(ground.lost.replacements(), chunks, { signer, trust });
  const digest = digestOf(bytes);
  await place.put(repairName(digest), bytes, { digest });
  return digest;
}

/** A delta against the parent's base; a full set where there is none, or when the delta has grown long. */
function listsOf({ parent }: BackupGround, fresh: readonly StoredObject[]) {
  if (!parent) return { base: undefined, baseObjects: fresh, added: [] };
  const added = [...parent.added, ...fresh];
  const long = added.length > Math.max(DELTA_OBJECTS_MIN, parent.baseObjects.length * DELTA_SHARE_MAX);
  if (long) return { base: undefined, baseObjects: [...parent.baseObjects, ...added], added: [] };
  return { base: parent.base, baseObjects: parent.baseObjects, added };
}

function bodyOf(task: BackupTask, { root, counts, skipped }: PassOutcome) {
  return {
    root,
    items: task.items.map((item) => Buffer.from(item)),
    files: counts.files,
    directories: counts.directories,
    bytes: counts.bytes,
    skipped: counts.skipped,
    changed: counts.changedWhileRead,
    skippedPaths: skipped,
  };
}

function outcomeOf(
  { task }: GroundParts,
  ground: BackupGround,
  { counts, added }: PassOutcome,
  statement: Statement,
): Outcome {
  const listed = statement.base === statement.packSet ? statement.baseObjects : statement.added;
  return {
    kind: 'backup',
    run: task.run,
    step: task.step,
    point: statement.point,
    packSet: statement.packSet,
    objects: listed.length,
    sealedBytes: listed.reduce((sum, { length }) => sum + length, 0),
    readBytes: counts.bytes,
    files: counts.files,
    skippedFiles: counts.skipped,
    addedObjects: added.length,
    addedBytes: added.reduce((sum, { length }) => sum + length, 0),
    resumedObjects: ground.resumedObjects,
    directories: counts.directories,
    rereadBytes: counts.rereadBytes,
    unchangedFiles: counts.unchangedFiles,
    changedWhileRead: counts.changedWhileRead,
    ...(statement.repair && ground.lost ? { repair: statement.repair, goneChunks: ground.lost.goneCount } : {}),
  };
}
