import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import type { PresenceRecord } from '../domain/record.ts';
import { INDEX_ENTRY_BYTES, openIndexPart } from '../format/chunk-index.ts';
import { CorruptError } from '../format/cursor.ts';
import { openPackSet, type PackSet } from '../format/pack-set.ts';
import { type OpenedPoint, openPoint } from '../format/recovery-point.ts';
import type { Trust } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { indexName, type PointName, packSetName, parsePointName, pointName, pointPrefix } from '../store/places.ts';
import { readRecord } from '../store/records.ts';
import { KEY_BYTES, RunWriter, slices } from './sorted-run.ts';

/** What a new point stands on. */
export interface ParentPoint {
  readonly point: Digest;
  readonly base: Digest;
  readonly baseObjects: readonly StoredObject[];
  readonly added: readonly StoredObject[];
}

/** The machine's newest point, whatever its protection: the next one's predecessor. */
export interface Predecessor {
  readonly sequence: number;
  readonly digest: Digest;
}

export interface OwnPoints {
  readonly predecessor: Predecessor | undefined;
  readonly parent: ParentPoint | undefined;
}

/** Whose points, and who says so. */
export interface PointsOf {
  readonly machine: string;
  readonly protection: string;
  /** The vault's name, under which its worker keeps the presence record. */
  readonly vault: string;
  readonly trust: Trust;
  readonly indexKey: Uint8Array;
}

/**
 * Finds the machine's own points again when its catalog is lost, in the vault and in staging or spool.
 * What the newest of the protection stands on is written to `knownPath` as a run of chunk keys:
 * everything is read again, nothing sent again. In a bucket, which machines may not list, points are
 * those that the vault worker saw at its last look.
 * @throws Failure of a place that does not answer; CorruptError of a presence record that nobody signed
 */
export async function findOwnPoints(
  stores: readonly ObjectStore[],
  who: PointsOf,
  knownPath: string,
): Promise<OwnPoints> {
  const found: { readonly store: ObjectStore; readonly name: PointName }[] = [];
  for (const store of stores) for (const name of await pointNames(store, who)) found.push({ store, name });
  found.sort((a, b) => b.name.sequence - a.name.sequence);
  const predecessor = found[0]?.name;
  for (const { store, name } of found) {
    const point = await readPoint(store, name, who.trust);
    if (point?.head.protection !== who.protection) continue;
    const parent = await readParent(store, point, { ...who, digest: name.digest, knownPath });
    if (parent) return { predecessor, parent };
  }
  return { predecessor, parent: undefined };
}

async function pointNames(store: ObjectStore, who: PointsOf): Promise<PointName[]> {
  const names = (await unlessRefused(listPoints(store, who.machine))) ?? (await unlessRefused(seenPoints(store, who)));
  return (names ?? []).flatMap((name) => parsePointName(name) ?? []);
}

async function listPoints(store: ObjectStore, machine: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of store.list(pointPrefix(machine))) names.push(name);
  return names;
}

async function seenPoints(store: ObjectStore, { machine, vault, trust }: PointsOf): Promise<string[]> {
  const presence = await readRecord<PresenceRecord>(store, { kind: 'presence', id: vault }, trust);
  return (presence?.body.points ?? []).filter((point) => point.machine === machine).map(({ name }) => name);
}

async function unlessRefused<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Failure && ['StorageRefused', 'NotAllowed', 'NotFound'].includes(error.code)) return undefined;
    throw error;
  }
}

async function readPoint(store: ObjectStore, name: PointName, trust: Trust): Promise<OpenedPoint | undefined> {
  const { machine, sequence, digest } = name;
  const bytes = () => store.getExact(pointName(machine, sequence, digest), digest);
  return skipDamaged(async () => openPoint(await bytes(), { trust, name: digest, place: { machine, sequence } }));
}

async function readParent(
  store: ObjectStore,
  { head }: OpenedPoint,
  who: { digest: Digest; trust: Trust; indexKey: Uint8Array; knownPath: string },
): Promise<ParentPoint | undefined> {
  return skipDamaged(async () => {
    const set = await readSet(store, head.packSet, who.trust);
    const base = 'full' in set ? set : await readSet(store, set.base, who.trust);
    if (!('full' in base)) throw new CorruptError('pack-set: a delta that stands on no full set');
    const added = 'full' in set ? [] : set.added;
    await gatherKeys(store, [...base.full, ...added], who);
    return { point: who.digest, base: 'full' in set ? head.packSet : set.base, baseObjects: base.full, added };
  });
}

async function readSet(store: ObjectStore, name: Digest, trust: Trust): Promise<PackSet> {
  return openPackSet(await store.getExact(packSetName(name), name), { trust, name }).set;
}

async function gatherKeys(
  store: ObjectStore,
  objects: readonly StoredObject[],
  { trust, indexKey, knownPath }: { trust: Trust; indexKey: Uint8Array; knownPath: string },
): Promise<void> {
  const known = new RunWriter(knownPath);
  for (const { kind, name } of objects) {
    if (kind !== 'index') continue;
    const part = openIndexPart(await store.getExact(indexName(name), name), { trust, name, indexKey });
    const entries = Buffer.from(part.entries.buffer, part.entries.byteOffset, part.entries.length);
    for (const entry of slices(entries, INDEX_ENTRY_BYTES)) known.add(entry.subarray(0, KEY_BYTES));
  }
  known.finish();
}

/** A point that is damaged, or whose set or index is not there, is no parent. */
async function skipDamaged<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await unlessRefused(read()); // so Amazon's S3 speaks of what is not there, to one who may not list
  } catch (error) {
    if (error instanceof CorruptError) return undefined;
    throw error;
  }
}
