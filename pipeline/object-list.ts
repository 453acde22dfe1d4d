/**
 * The signed set's own list is the list of what travels: a place in it is how drives, receipts and
 * workflows speak of an object.
 */
import { mergeRanges } from '../domain/drive.ts';
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import type { ObjectRange } from '../domain/receipt.ts';
import { CorruptError } from '../format/cursor.ts';
import { openPackSet } from '../format/pack-set.ts';
import type { Trust } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { indexName, packName, packSetName, treeName } from '../store/places.ts';
import { ifThere } from './step-receipt.ts';

/** More would not fit a workflow's history. */
const RANGES_MAX = 256;

export interface ListedObject {
  readonly at: number;
  readonly object: StoredObject;
}

/**
 * The set's own list: all of a full one, in the order of its making where that was kept; what a delta adds.
 * @param stores asked in turn
 * @throws Failure `PacksMissing` when none has the set; TamperedError when it was not signed by a machine of this vault
 */
export async function listObjects(
  stores: readonly ObjectStore[],
  name: Digest,
  trust: Trust,
): Promise<readonly StoredObject[]> {
  for (const store of stores) {
    const bytes = await ifThere(store.getExact(packSetName(name), name));
    if (!bytes) continue;
    const { set } = openPackSet(bytes, { trust, name });
    return 'full' in set ? (set.order ?? set.full) : set.added;
  }
  throw new Failure('PacksMissing', 'the pack set is not there yet');
}

/** The objects of `ranges`, in their order; all when there are none given. */
export function selectRanges(set: readonly StoredObject[], ranges?: readonly ObjectRange[]): ListedObject[] {
  const listed: ListedObject[] = [];
  for (const { from, to } of ranges ?? [{ from: 0, to: set.length }])
    for (const [offset, object] of set.slice(from, to).entries()) listed.push({ at: from + offset, object });
  return listed;
}

/** Where an object lies in staging, landing and vault. */
export function placeOf({ kind, name }: StoredObject): string {
  switch (kind) {
    case 'pack':
      return packName(name);
    case 'tree':
      return treeName(name);
    case 'index':
      return indexName(name);
  }
}

/**
 * The newest version of an object that is what its name and length say; else what is wrong.
 * @param room where it may lie, if it is large enough
 */
export async function readObject(
  store: ObjectStore,
  object: StoredObject,
  room?: Buffer,
): Promise<Buffer | 'missing' | 'damaged'> {
  try {
    const bytes = await ifThere(store.getExact(placeOf(object), object.name, room));
    if (!bytes) return 'missing';
    return bytes.length === object.length ? bytes : 'damaged';
  } catch (error) {
    if (error instanceof CorruptError) return 'damaged';
    throw error;
  }
}

/** Collects places of objects that did not arrive. */
export class MissingRanges {
  readonly #places: ObjectRange[] = [];

  add(at: number): void {
    this.#places.push({ from: at, to: at + 1 });
  }

  /** At most 256 ranges: beyond that the nearest neighbours are merged, so some that did arrive are sent again. */
  ranges(): ObjectRange[] {
    return boundRanges(mergeRanges(this.#places));
  }
}

function boundRanges(ranges: ObjectRange[]): ObjectRange[] {
  const excess = ranges.length - RANGES_MAX;
  if (excess <= 0) return ranges;
  const gaps = ranges.slice(1).map(({ from }, at) => ({ at, gap: from - (ranges[at]?.to ?? from) }));
  const closed = new Set(
    gaps
      .sort((a, b) => a.gap - b.gap || a.at - b.at)
      .slice(0, excess)
      .map(({ at }) => at),
  );
  const bounded: ObjectRange[] = [];
  for (const [at, range] of ranges.entries()) {
    const last = bounded.at(-1);
    if (last && closed.has(at - 1)) bounded[bounded.length - 1] = { from: last.from, to: range.to };
    else bounded.push(range);
  }
  return bounded;
}
