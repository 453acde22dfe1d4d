/** A drive's medium is overwritten, by one process at a time; done twice, it is done once. */
import { diskOfSerial, eraseDisk, eraseFolder } from '../store/drive-erasure.ts';
import { openVolume, readDriveLabel } from '../store/drive-volume.ts';
import type { EraseResult, EraseTask, Progress } from './child-tasks.ts';
import { lockDrive } from './drive-journals.ts';

/** Erases a drive. @throws Failure as openVolume, diskOfSerial and eraseDisk do */
export async function eraseDrive(task: EraseTask, report: (progress: Progress) => void): Promise<EraseResult> {
  const { drive, serial, full, stateDirectory } = task;
  const lock = await lockDrive(task);
  const onBytes = (bytesDone: number, bytesTotal: number): void =>
    report({ step: 'erase', bytesDone, bytesTotal, objectsDone: 0 });
  try {
    if (serial !== undefined) {
      const disk = await diskOfSerial(serial);
      return { kind: 'erase', ...(await eraseDisk(disk, { state: [stateDirectory] }, { full, onBytes })) };
    }
    if ((await readDriveLabel(drive.path)) === undefined) return { kind: 'erase', bytes: 0, unwritable: 0 };
    const volume = await openVolume(drive, 'read');
    try {
      return { kind: 'erase', ...(await eraseFolder(volume, { full, onBytes })) };
    } finally {
      volume.close();
    }
  } finally {
    lock.release();
  }
}
