import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import { CorruptError } from '../format/cursor.ts';
import { type FrameRow, openPackTable, type ReadAt } from '../format/pack.ts';
import { openPackSet } from '../format/pack-set.ts';
import type { Trust } from '../format/signature.ts';
import type { CarriedKind, StoredObject } from '../format/stored-object.ts';
import type { DirectoryStore } from '../store/directory-store.ts';
import { digestOfName, PACKS, packSetName, TREES } from '../store/places.ts';
import { ScratchFile } from '../store/scratch-file.ts';
import { placeOf } from './object-list.ts';
import { type PackEnds, readPackEnds } from './spool-journal.ts';

const FOLDERS: readonly (readonly [string, CarriedKind])[] = [
  [PACKS, 'pack'],
  [TREES, 'tree'],
];

export interface OwnPack {
  readonly object: StoredObject;
  readonly frames: readonly FrameRow[];
}

/**
 * The packs in a place whose tables this machine's index key opens: what earlier attempts finished.
 * Length and table are checked here; their bytes at the next hand-over. A pack of someone else, or
 * one that is damaged, is not counted.
 */
export async function* ownPacks(place: DirectoryStore, indexKey: Uint8Array): AsyncGenerator<OwnPack> {
  for (const [prefix, kind] of FOLDERS)
    for await (const { name, length } of place.list(prefix)) {
      const digest = digestOfName(name);
      const frames = digest && openTable(place.fileOf(name), length, indexKey);
      if (frames) yield { object: { kind, name: digest, length }, frames };
    }
}

/** The table of one pack; `undefined` when it is not in the place, or is not this machine's. */
export async function openFramesOf(
  place: DirectoryStore,
  object: StoredObject,
  indexKey: Uint8Array,
): Promise<readonly FrameRow[] | undefined> {
  const found = await place.head(placeOf(object));
  return found?.length === object.length
    ? openTable(place.fileOf(placeOf(object)), object.length, indexKey)
    : undefined;
}

/** Header and sealed table of a pack in the place. @throws CorruptError when it is none */
export function packEndsOf(place: DirectoryStore, object: StoredObject): PackEnds {
  return reading(place.fileOf(placeOf(object)), (readAt) => readPackEnds(readAt, object.length));
}

function openTable(file: string, length: number, indexKey: Uint8Array): readonly FrameRow[] | undefined {
  try {
    return reading(file, (readAt) => openPackTable(readAt, length, indexKey).frames);
  } catch (error) {
    if (error instanceof CorruptError) return undefined;
    throw error;
  }
}

function reading<T>(file: string, read: (readAt: ReadAt) => T): T {
  const bytes = ScratchFile.open(file);
  try {
    return read((offset, count) => {
      const into = Buffer.allocUnsafe(count);
      return into.subarray(0, bytes.readInto(into, offset));
    });
  } finally {
    bytes.close();
  }
}

/**
 * What a receipt stands for is there, by name and length.
 * @throws Failure `Corrupt` when an object is not there or shorter; the bytes are checked at the next hand-over
 */
export async function checkStanding(place: DirectoryStore, packSet: Digest, trust: Trust): Promise<void> {
  const { set } = openPackSet(await place.getExact(packSetName(packSet), packSet), { trust, name: packSet });
  if (!('full' in set) || set.order) return; // a spool's objects leave it, and so do those of a limited staging
  for (const object of set.full) {
    const found = await place.head(placeOf(object));
    if (found?.length !== object.length)
      throw new Failure('Corrupt', 'staging no longer holds what its receipt says', { next: 'stage again' });
  }
}
