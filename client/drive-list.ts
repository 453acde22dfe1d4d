/** `drive list`: the disks of this host as they are, and the drives it knows. */
import { claimedDrive, type Disk, type DiskRules, describeContents, refusals } from '../domain/disk.ts';
import { Failure } from '../domain/failure.ts';
import { driveLabel, parseName } from '../domain/names.ts';
import { formatDriveSize } from '../domain/units.ts';
import { withUsage } from '../store/disk-usage.ts';
import { parseDiskPlace } from '../store/drive-mount.ts';
import { readDriveLabel } from '../store/drive-volume.ts';
import { openState } from '../store/machine-state.ts';
import { readDatacenter } from '../store/records.ts';
import { nearestFirst } from './datacenters.ts';
import { attachment, lookAround } from './disks.ts';
import { rulesOf } from './drives.ts';
import type { Invocation } from './invocation.ts';
import { asFailure, columns } from './print.ts';
import { enterVault } from './vault-door.ts';

/** A drive that is known here, or a disk, or both. */
interface Row {
  /** Empty for a disk that is no drive of this host. */
  readonly drive: string;
  readonly label: string;
  readonly folder: string;
  readonly there: boolean;
  readonly disk?: DiskRow;
}

interface DiskRow {
  readonly model: string;
  readonly serial: string;
  readonly sizeBytes: number;
  readonly attachment: string;
  readonly health: string;
  readonly holds: string;
  /** The drive it says it is, by the name of its partition. */
  readonly claims?: string;
  readonly refused: readonly { readonly rule: string; readonly says: string }[];
}

/** `drive list [--host H] [--datacenter REGION]` */
export async function listDrives(call: Invocation): Promise<undefined> {
  const asked = call.text('host');
  if (asked !== undefined && asked !== call.settings.host)
    throw new Failure('Usage', `the disks of ${asked} are seen on ${asked} alone`, {
      why: `this is ${call.settings.host}`,
      next: `on ${asked}: seedship drive list`,
    });
  const disks = await lookAround(call).catch((error: unknown): Disk[] => {
    const { message, next } = asFailure(error);
    call.print.talk(`Disks are not shown: ${message}. Next: ${next}`);
    return [];
  });
  const rows = await rowsOf(call, { ...(await datacenterRules(call)), among: disks });
  call.print.result('drive-list', rows, () => lines(rows));
  return undefined;
}

/** What the datacenter takes that is named, or the only one there is. */
async function datacenterRules(call: Invocation): Promise<Omit<DiskRules, 'among'>> {
  const named = call.text('datacenter');
  if (named !== undefined) {
    const { store, trust } = enterVault(call);
    return rulesOf(await readDatacenter(store, parseName('region', named), trust));
  }
  try {
    const [only, ...more] = await nearestFirst(call, enterVault(call));
    if (only && more.length === 0) return rulesOf(only);
    if (only) call.print.talk(`What a datacenter takes: seedship drive list --datacenter ${only.region}`);
  } catch (error) {
    const { code, message } = asFailure(error);
    if (code !== 'WrongState') call.print.talk(`What the datacenter takes is not known now: ${message}.`);
  }
  return {};
}

async function rowsOf(call: Invocation, rules: DiskRules): Promise<Row[]> {
  const disks = rules.among;
  const rows: Row[] = [];
  const shown = new Set<Disk>();
  for (const [drive, text] of openState(call.settings.stateDirectory).listDrives()) {
    const place = parseDiskPlace(text);
    const disk = place && disks.find(({ holds }) => holds.some(({ uuid }) => uuid === place.uuid));
    if (disk) shown.add(disk);
    const there = place ? disk !== undefined : (await readDriveLabel(text).catch(() => undefined)) === drive;
    const folder = disk?.device ?? (place ? 'not attached' : text);
    rows.push({
      drive,
      label: driveLabel(drive),
      folder,
      there,
      ...(disk ? { disk: await diskRow(disk, rules) } : {}),
    });
  }
  for (const disk of disks.filter((one) => !shown.has(one) && isWorthShowing(one)))
    rows.push({ drive: '', label: '', folder: disk.device, there: true, disk: await diskRow(disk, rules) });
  return rows;
}

/** Images that a system mounts for itself are no disks to a person. */
function isWorthShowing({ bus, mountedAt, readOnly }: Disk): boolean {
  return bus !== 'loop' || (mountedAt.length === 0 && !readOnly);
}

async function diskRow(disk: Disk, rules: DiskRules): Promise<DiskRow> {
  const { model, serial = '', sizeBytes, health } = disk;
  const claims = claimedDrive(disk);
  const holds = describeContents(await withUsage(disk));
  return {
    ...{ model, serial, sizeBytes, attachment: attachment(disk), health, holds },
    ...(claims === undefined ? {} : { claims }),
    refused: refusals(disk, rules),
  };
}

function lines(rows: readonly Row[]): string[] {
  if (rows.length === 0) return ['No drive yet. Next: seedship drive prepare DEVICE --job NAME'];
  return columns(
    ['WHERE', 'DRIVE', 'THERE', 'SIZE', 'MODEL', 'SERIAL', 'ATTACHED BY', 'SMART', 'HOLDS', 'TAKEN'],
    rows.map(({ folder, label, drive, there, disk }) => [
      ...[folder, drive ? `${label} (${drive})` : '-', there ? 'yes' : 'no'],
      ...(disk
        ? [formatDriveSize(disk.sizeBytes), disk.model || '-', disk.serial || '-', disk.attachment || '-', disk.health]
        : ['-', '-', '-', '-', '-']),
      disk?.holds ?? '-',
      disk ? disk.refused.map(({ says }) => says).join('; ') || 'yes' : '-',
    ]),
  );
}
