/**
 * What a backup stands on, found before the walk: the place, the last backup, the packs that earlier
 * attempts left, and one sorted run of all chunks that need not be stored again.
 *
 * A staging location gets everything: what travels must be whole by itself. So there only its own
 * packs count as known, and of a limited one those that drives took. A spool gets what is new since the
 * last point.
 */
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Reader, Writer } from '../format/cursor.ts';
import type { DomainKeys } from '../format/key-tree.ts';
import type { FrameRow } from '../format/pack.ts';
import { readObject, readObjects, type StoredObject, writeObjects } from '../format/stored-object.ts';
import { DirectoryStore, preparePlace } from '../store/directory-store.ts';
import { parsePointName, RECEIPTS } from '../store/places.ts';
import { listScratch, removeScratch } from '../store/scratch-file.ts';
import { Catalog } from './catalog.ts';
import type { BackupTask, ChildSecrets, Progress } from './child-tasks.ts';
import { IndexWriter } from './index-writer.ts';
import { findOwnPoints, type ParentPoint, type Predecessor } from './last-backup.ts';
import { LostObjects } from './lost-objects.ts';
import { MakingOrder } from './making-order.ts';
import { ownPacks } from './own-packs.ts';
import { backupStatePath, machineStatePath } from './own-state.ts';
import { placesOf } from './pack-writer.ts';
import { KEY_BYTES, RunWriter } from './sorted-run.ts';
import { acknowledgedPacks } from './spool-journal.ts';
import { type Actor, openPlace } from './step-receipt.ts';

export interface BackupGround {
  readonly predecessor: Predecessor | undefined;
  readonly parent: ParentPoint | undefined;
  /** The trees to compare with. */
  readonly catalog: Catalog | undefined;
  /** Runs of keys of chunks that are stored. */
  readonly known: readonly string[];
  /** Has the packs of earlier attempts already. */
  readonly index: IndexWriter;
  readonly resumedObjects: number;
  /** Of a limited staging. */
  readonly order: MakingOrder | undefined;
  /** What is to be made good. */
  readonly lost: LostObjects | undefined;
}

/** Where a task writes, as a directory of this host. @throws Failure `Unreachable` when staging is not mounted */
export async function openTarget(task: BackupTask): Promise<DirectoryStore> {
  if (task.to.kind === 'spool') await preparePlace(task.to.directory);
  const url = task.to.kind === 'spool' ? pathToFileURL(task.to.directory).href : task.to.place.url;
  const place = new DirectoryStore(url, fileURLToPath(url));
  for await (const _ of place.list(RECEIPTS)) break; // says so when it is not mounted
  return place;
}

export interface GroundParts {
  readonly task: BackupTask;
  readonly secrets: ChildSecrets;
  readonly actor: Actor;
  readonly putKey: DomainKeys;
  readonly place: DirectoryStore;
  readonly scratch: string;
  readonly report: (progress: Progress) => void;
}

/** Finds it. @throws Failure of the vault, when the catalog is lost and the vault does not answer */
export async function findGround(parts: GroundParts): Promise<BackupGround> {
  const { task, scratch } = parts;
  const staging = task.to.kind === 'staging';
  const catalog = Catalog.open(backupStatePath('catalog', task));
  const newest = newestPoint(task);
  const lost = newest && (staging || catalog) ? undefined : await askPlaces(parts);
  const parent = staging ? undefined : catalog ? parentOf(catalog) : lost?.parent;
  const known: string[] = [];
  if (parent) known.push(catalog ? catalog.knownPath : knownPath(scratch));
  const { index, order } = await resume(parts, parent);
  const making = await lostObjects(parts);
  return {
    predecessor: later(newest, lost?.predecessor),
    parent,
    catalog,
    known: [...(making ? known.map((run) => making.without(run)) : known), resumedPath(scratch)],
    index,
    resumedObjects: index.packs.length,
    order,
    lost: making,
  };
}

async function lostObjects({ task, secrets, actor, putKey, scratch }: GroundParts): Promise<LostObjects | undefined> {
  if (!task.lost || !task.vault) return undefined;
  const of = { ...task.lost, trust: actor.trust, indexKey: putKey.indexKey, scratch };
  return LostObjects.find(openPlace(task.vault, secrets), of);
}

/** A set's list as the catalog keeps it. */
export function encodeParentLists(baseObjects: readonly StoredObject[], added: readonly StoredObject[]): Buffer {
  const writer = new Writer(4096);
  writeObjects(writer, baseObjects);
  writeObjects(writer, added);
  return writer.finish();
}

function parentOf({ state, packs }: Catalog): ParentPoint | undefined {
  const point = parsePointName(state.point)?.digest;
  if (!point) return undefined;
  const reader = new Reader(packs, 'catalog');
  const [baseObjects, added] = [readObjects(reader, readObject), readObjects(reader, readObject)];
  return { point, base: state.base, baseObjects, added };
}

/** Of all protections of this machine. */
function newestPoint(task: BackupTask): Predecessor | undefined {
  let newest: Predecessor | undefined;
  for (const protection of listScratch(machineStatePath('catalog', task))) {
    const catalog = Catalog.open(backupStatePath('catalog', { ...task, protection }));
    newest = later(newest, catalog && parsePointName(catalog.state.point));
    catalog?.close();
  }
  return newest;
}

function later(a: Predecessor | undefined, b: Predecessor | undefined): Predecessor | undefined {
  const [one, other] = [a?.sequence ?? 0, b?.sequence ?? 0];
  return other > one ? b : a;
}

function askPlaces({ task, secrets, actor, putKey, place, scratch }: GroundParts) {
  const stores = [...(task.vault ? [openPlace(task.vault, secrets)] : []), place];
  const { machine, protection } = task;
  const vault = actor.credentials.vault.name;
  const who = { machine, protection, vault, trust: actor.trust, indexKey: putKey.indexKey };
  return findOwnPoints(stores, who, knownPath(scratch));
}

/** The packs of earlier attempts: those in the place, and those that have left it for the vault or for drives. */
async function resume(
  { task, putKey, place, scratch, report }: GroundParts,
  parent: ParentPoint | undefined,
): Promise<Pick<BackupGround, 'index' | 'order'>> {
  const index = new IndexWriter(`${scratch}/index`);
  const keys = new RunWriter(resumedPath(scratch));
  const seen = new Set([...(parent?.baseObjects ?? []), ...(parent?.added ?? [])].map(({ name }) => name));
  const take = (object: StoredObject, frames: readonly FrameRow[]): void => {
    if (seen.has(object.name)) return;
    seen.add(object.name);
    index.add(object, placesOf(frames));
    for (const { chunks } of frames) for (const { id } of chunks) keys.add(id.subarray(0, KEY_BYTES));
    report({ step: 'stage', bytesDone: 0, objectsDone: index.packs.length, note: 'tables of earlier packs' });
  };
  const { run, to } = task;
  const limited = to.kind === 'staging' && to.bytesMax !== undefined;
  const journals = backupStatePath('order-journal', task);
  const own = run.replaceAll('/', '_');
  const former = limited ? listScratch(journals).filter((name) => name !== own) : [];
  for (const name of former) removeScratch(path.join(journals, name));
  const numbering = { place, run, journal: path.join(journals, own), indexKey: putKey.indexKey };
  const order = limited ? await MakingOrder.resume(numbering, take) : undefined;
  if (to.kind === 'spool')
    for (const { object, frames } of acknowledgedPacks(backupStatePath('spool-journal', task), putKey.indexKey))
      take(object, frames);
  for await (const { object, frames } of ownPacks(place, putKey.indexKey)) {
    if (!seen.has(object.name)) order?.add(object);
    take(object, frames);
  }
  await order?.settled();
  keys.finish();
  return { index, order };
}

function knownPath(scratch: string): string {
  return `${scratch}/known`;
}

function resumedPath(scratch: string): string {
  return `${scratch}/resumed`;
}
