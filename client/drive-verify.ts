/** `drive verify`: whether a drive still gives what was written to it, any time, anywhere, without a key. */
import path from 'node:path';
import { EXIT, Failure } from '../domain/failure.ts';
import { driveLabel, parseName } from '../domain/names.ts';
import { formatDuration, formatSize, SECOND } from '../domain/units.ts';
import { CorruptError } from '../format/cursor.ts';
import { digestOf } from '../format/digest.ts';
import { DRIVE_FILE_BYTES_MAX, MANIFEST_PLACE, sealedFileBytes } from '../format/drive-seal.ts';
import { type DriveSum, decodeSums, SUMS_BYTES_MAX, SUMS_PLACE } from '../format/drive-sums.ts';
import { isBlockDevice } from '../store/block-device.ts';
import { type DriveVolume, openVolume, readDriveLabel } from '../store/drive-volume.ts';
import { mountedDisk } from './disks.ts';
import type { Invocation } from './invocation.ts';
import { statusOf } from './job-acts.ts';

/** How many bad files are named; all are counted. */
const NAMED_MAX = 100;

type Fault = 'missing' | 'altered' | 'unreadable';

interface Verdict {
  readonly files: number;
  readonly bytes: number;
  readonly bad: readonly { readonly place: string; readonly fault: Fault }[];
}

/** `drive verify DEVICE|DIR [--job J]` */
export async function verifyDrive(call: Invocation): Promise<number> {
  const at = path.resolve(call.word(0));
  const mounted = isBlockDevice(at) ? await mountedDisk(call, at) : { path: at, close: () => {} };
  try {
    const drive = await readDriveLabel(mounted.path);
    if (drive === undefined)
      throw new Failure('DriveForeign', 'this is no Seedship drive', { why: 'it bears no label' });
    const volume = await openVolume({ path: mounted.path, id: drive }, 'read');
    try {
      const began = performance.now();
      const sums = await readSums(volume);
      await checkShipped(call, drive, sums);
      const verdict = await readAll(call, volume, sums);
      return tell(call, drive, verdict, performance.now() - began);
    } finally {
      volume.close();
    }
  } finally {
    mounted.close();
  }
}

async function readSums(volume: DriveVolume): Promise<DriveSum[]> {
  const bytes = await volume.read(SUMS_PLACE, SUMS_BYTES_MAX);
  if (bytes) return decodeSums(bytes);
  throw new Failure('DriveFailed', 'the drive has no sums: it was not prepared to the end', {
    next: 'seedship drive prepare DEVICE --job NAME goes on with it',
  });
}

/** With a job: the manifest must be the one that was recorded before shipping. */
async function checkShipped(call: Invocation, drive: string, sums: readonly DriveSum[]): Promise<void> {
  const name = call.text('job');
  if (name === undefined) return;
  const { drives } = await statusOf(call, parseName('job', name));
  const recorded = drives.find(({ id }) => id === drive)?.manifest;
  if (recorded === undefined)
    throw new Failure('WrongState', `the job ${name} has recorded no manifest of ${driveLabel(drive)}`);
  if (sums.find(({ place }) => place === MANIFEST_PLACE)?.sealed !== recorded)
    throw new Failure('DriveForeign', 'the manifest is not the one that was recorded before shipping');
}

async function readAll(call: Invocation, volume: DriveVolume, sums: readonly DriveSum[]): Promise<Verdict> {
  const lengths = new Map(volume.list().map(({ place, length }) => [place, length]));
  const bytesTotal = [...lengths.values()].reduce((sum, length) => sum + length, 0);
  const bad: { place: string; fault: Fault }[] = [];
  let bytes = 0;
  for (const [done, { place, sealed }] of sums.entries()) {
    const found = await readOrFault(volume, place);
    if (typeof found === 'string') bad.push({ place, fault: found });
    else if (digestOf(found) !== sealed) bad.push({ place, fault: 'altered' });
    bytes += typeof found === 'string' ? (lengths.get(place) ?? 0) : found.length;
    call.print.progress([
      { step: 'verify', bytesDone: bytes, bytesTotal, objectsDone: done + 1, objectsTotal: sums.length },
    ]);
  }
  return { files: sums.length, bytes, bad };
}

async function readOrFault(volume: DriveVolume, place: string): Promise<Buffer | Fault> {
  try {
    return (await volume.read(place, sealedFileBytes(DRIVE_FILE_BYTES_MAX))) ?? 'missing';
  } catch (error) {
    if (error instanceof CorruptError) return 'altered';
    if (error instanceof Failure && error.code === 'DriveFailed') return 'unreadable';
    throw error;
  }
}

function tell(call: Invocation, drive: string, { files, bytes, bad }: Verdict, ms: number): number {
  const rate = (bytes / Math.max(1, ms)) * SECOND;
  const data = { drive, label: driveLabel(drive), files, bytes, bytesPerSecond: Math.round(rate), bad: bad.length };
  call.print.result('drive-verdict', { ...data, named: bad.slice(0, NAMED_MAX) }, () => [
    `${driveLabel(drive)}: ${files - bad.length} of ${files} files as they were sealed,`,
    `${formatSize(bytes)} read in ${formatDuration(ms)}.`,
    ...bad.slice(0, NAMED_MAX).map(({ place, fault }) => `${place}: ${fault}`),
  ]);
  return bad.length === 0 ? EXIT.ok : EXIT.integrity;
}
