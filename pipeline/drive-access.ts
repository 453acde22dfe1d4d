/**
 * A drive as a child works on it: a directory, or a disk that this process mounts for itself alone and
 * lets go when it ends, however it ends.
 */
import { type MountedDrive, mountDrive } from '../store/drive-mount.ts';
import { type DriveVolume, openVolume } from '../store/drive-volume.ts';
import type { DriveAt } from './child-tasks.ts';

export interface OpenDrive {
  readonly volume: DriveVolume;
  /** A disk may be pulled when this has returned. @throws Failure `DriveFailed` when its last bytes were refused */
  close(): void;
}

/** Opens the drive and makes sure that it is the one meant. @throws Failure as mountDrive and openVolume do */
export async function openDrive({ disk, ...at }: DriveAt, mode: 'read' | 'write'): Promise<OpenDrive> {
  if (!disk) {
    const volume = await openVolume(at, mode);
    return { volume, close: () => volume.close() };
  }
  const mounted: MountedDrive = await mountDrive({ device: at.path, ...disk }, mode);
  try {
    const volume = await openVolume({ ...at, path: mounted.path }, mode);
    return {
      volume,
      close: () => {
        volume.close();
        mounted.close();
      },
    };
  } catch (error) {
    mounted.close();
    throw error;
  }
}
