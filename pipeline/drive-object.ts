/** One object on its way from memory to a drive: sealed part by part, while the disk writes those before. */
import { setImmediate as turn } from 'node:timers/promises';
import { Digesting } from '../format/digest.ts';
import type { DriveObject } from '../format/drive-manifest.ts';
import { DriveSealing, objectPlace } from '../format/drive-seal.ts';
import type { DriveVolume } from '../store/drive-volume.ts';
import type { DriveWriting } from '../store/drive-writing.ts';
import type { ListedObject } from './object-list.ts';
import { YoungGarbage } from './young-garbage.ts';

/** An object that was given to the disk, and is still to be finished. */
export interface FilledObject {
  readonly file: DriveWriting;
  readonly written: DriveObject;
}

/**
 * Seals an object, and gives it to the disk as it comes.
 * @param bytes stay as they are until this has ended
 * @returns undefined when the drive is full: nothing is left of it then
 * @throws Failure `DriveFailed`
 */
export async function fillObject(
  volume: DriveVolume,
  { at, object, bytes }: ListedObject & { readonly bytes: Buffer },
  { number: epoch, driveKey }: { readonly number: number; readonly driveKey: Uint8Array },
): Promise<FilledObject | undefined> {
  const place = objectPlace(at, epoch);
  const file = volume.begin(place);
  if (!file) return undefined;
  const [found, garbage] = [new Digesting(), new YoungGarbage()];
  try {
    // a turn after each part: reading ahead is heard of while the disk has enough to do
    for (const sealing = new DriveSealing(bytes, { driveKey, place }); !sealing.isDone; await turn()) {
      const part = sealing.next(await file.room());
      found.update(part);
      garbage.add(part.length);
      if (!(await file.add(part.length))) return undefined;
    }
  } catch (error) {
    await file.abandon();
    throw error;
  }
  return { file, written: { ...object, number: at, epoch, sealed: found.digest() } };
}
