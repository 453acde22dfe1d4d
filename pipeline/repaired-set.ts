/** What is read of a point when some of its objects are gone and others stand for them, as signed repairs say. */
import type { Digest } from '../domain/names.ts';
import { CorruptError } from '../format/cursor.ts';
import { type OpenedRepair, openRepair, type Repair } from '../format/repair.ts';
import type { Trust } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { digestOfName, REPAIRS } from '../store/places.ts';
import { placeOf } from './object-list.ts';
import { ifThere } from './step-receipt.ts';

/** The repairs that count for points of a domain: a machine speaks only for its own. */
export async function readRepairs(store: ObjectStore, trust: Trust, domain: string): Promise<Repair[]> {
  const repairs: Repair[] = [];
  for await (const { name } of store.list(REPAIRS)) {
    const digest = digestOfName(name);
    const repair = digest && (await opened(store, name, { trust, name: digest }));
    if (repair && countsFor(repair, domain)) repairs.push(repair);
  }
  return repairs;
}

/** Whether a repair may speak of points of a domain. */
export function countsFor({ signer }: Pick<OpenedRepair, 'signer'>, domain: string): boolean {
  return signer.role !== 'machine' || signer.domain === domain;
}

/** A damaged repair is none. */
async function opened(
  store: ObjectStore,
  at: string,
  expected: { readonly trust: Trust; readonly name: Digest },
): Promise<OpenedRepair | undefined> {
  try {
    const bytes = await ifThere(store.getExact(at, expected.name));
    return bytes && openRepair(bytes, expected);
  } catch (error) {
    if (error instanceof CorruptError) return undefined;
    throw error;
  }
}

/**
 * `members` without those that are gone and repaired, and with what stands for them, whatever stands for
 * that; what is gone and not repaired stays, for whoever needs it to say so.
 */
export async function repairedMembers(
  store: ObjectStore,
  members: readonly StoredObject[],
  repairs: readonly Repair[],
): Promise<StoredObject[]> {
  const standIns = new Map<Digest, StoredObject[]>();
  for (const { replacements } of repairs)
    for (const { lost, by } of replacements) standIns.set(lost.name, [...(standIns.get(lost.name) ?? []), ...by]);
  const taken = new Map<Digest, StoredObject>();
  const seen = new Set<Digest>();
  const todo = [...members];
  for (const object of todo) {
    const by = standIns.get(object.name);
    if (seen.has(object.name)) continue;
    seen.add(object.name);
    if (by && (await store.head(placeOf(object)))?.length !== object.length) todo.push(...by);
    else taken.set(object.name, object);
  }
  return [...taken.values()];
}
