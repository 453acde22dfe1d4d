/**
 * Disks of this host: what there is, what may become a drive, and the erasing of one. A person confirms
 * by typing the serial number, a script by saying it: `--yes` alone never erases.
 */
import {
  claimedDrive,
  type Disk,
  type DiskRules,
  describeContents,
  type Refusal,
  refusals,
  refusalsOfUse,
} from '../domain/disk.ts';
import { Failure } from '../domain/failure.ts';
import { driveLabel } from '../domain/names.ts';
import { formatDriveSize } from '../domain/units.ts';
import { newSalt } from '../format/key-tree.ts';
import { checkDiskTools, discoverDisks, numberOf, type RolePaths } from '../store/block-device.ts';
import { formatCommand, formatDisk, formatSteps } from '../store/disk-format.ts';
import { withUsage } from '../store/disk-usage.ts';
import {
  type DrivePartition,
  diskPlaceText,
  FILE_SYSTEMS,
  type FileSystem,
  type MountedDrive,
  mountDrive,
  parseDiskPlace,
  partitionOf,
} from '../store/drive-mount.ts';
import { measureVolume } from '../store/drive-volume.ts';
import { openState } from '../store/machine-state.ts';
import { folderOf } from '../store/object-store.ts';
import type { Invocation } from './invocation.ts';
import { pairs } from './print.ts';
import { promptOpenly } from './vault-door.ts';

const LOOK = ['lsblk', 'blkid', 'smartctl'] as const;
/** A disk that is to be erased may be past reading. */
const UNREADABLE: ReadonlySet<string> = new Set(['DriveForeign', 'DriveFailed', 'DriveMissing', 'Corrupt']);
const NO_FILE_SYSTEM = '00000000-0000-0000-0000-000000000000';

/** A disk that is ready to be written, or read. */
export interface ReadyDisk {
  readonly drive: string;
  /** As machine state keeps it. */
  readonly place: string;
  readonly freeBytes: number;
  /** Of a disk. */
  readonly serial?: string;
}

/** What must not be lost, by path. */
function rolesOf(call: Invocation): RolePaths {
  const { places, stateDirectory } = call.settings;
  const known = openState(stateDirectory);
  const urls = [...Object.values(places), ...known.listPlaces().values()];
  const staging = urls.flatMap((url) => (url.startsWith('file:') ? [folderOf(url)] : []));
  return { staging, source: known.listItems(), state: [stateDirectory] };
}

/** All disks. @throws Failure `NotAllowed` for anyone but root; `Configuration` naming a missing program */
export async function lookAround(call: Invocation): Promise<Disk[]> {
  await checkDiskTools(LOOK);
  return discoverDisks(rolesOf(call));
}

interface Found {
  readonly disk: Disk;
  readonly disks: readonly Disk[];
}

async function findDisk(call: Invocation, device: string): Promise<Found> {
  const disks = await lookAround(call);
  const number = numberOf(device);
  const disk = disks.find((one) => one.number === number);
  if (disk) return { disk, disks };
  const whole = disks.find(({ holds }) => holds.some((content) => numberOf(content.device) === number));
  throw new Failure('Usage', `${device} is no whole disk`, {
    why: whole ? `it is a part of ${whole.device}` : 'no disk of this host has this name',
    next: whole ? `name ${whole.device}` : 'seedship drive list',
  });
}

interface Becoming {
  readonly job: string;
  /** A new drive's id. */
  readonly drive?: string;
  /** Asked right before the first write: a person may have taken an hour to confirm. @throws to leave it untouched */
  readonly mayErase?: () => Promise<void>;
}

/** Makes a disk a drive: erased and formatted after a person confirmed, or as it is with `--no-format`. */
export async function readyDisk(
  call: Invocation,
  device: string,
  rules: Omit<DiskRules, 'among'>,
  { job, drive: given = newDriveId(), mayErase }: Becoming,
): Promise<ReadyDisk | undefined> {
  const { disk, disks } = await findDisk(call, device);
  const known = knownDrive(call, disk);
  if (known !== undefined) {
    refuse(call, disk, refusalsOfUse(disk));
    checkNotOther(call, { drive: known, at: device, job });
    call.print.event('known', `${device} is ${driveLabel(known)}: it goes on from where it was.`, { drive: known });
    return asItIs(call, disk, known);
  }
  if (call.isOff('format')) {
    const found = refusals(disk, { ...rules, among: disks });
    refuse(
      call,
      disk,
      found.filter(({ rule }) => rule !== 'serial'), // its file system tells it apart
    );
    return asItIs(call, disk, given);
  }
  const order = { disk, drive: given, fileSystem: fileSystemOf(call) };
  await showDisk(call, disk);
  refuse(call, disk, refusals(disk, { ...rules, among: disks }));
  const commands = formatSteps(order).map((step) => formatCommand(step, disk.device));
  if (call.is('dry-run')) return showDrivePlan(call, { drive: order.drive, place: disk.device, ...disk }, commands);
  await checkDiskTools(['sfdisk', 'partx', `mkfs.${order.fileSystem}`]);
  await confirmErasing(call, disk.device, 'serial', disk.serial ?? '');
  await mayErase?.();
  for (const command of commands) call.print.event('command', command);
  const onLine = (line: string): void => call.print.event('format', line);
  const partition = await formatDisk(order, { roles: rolesOf(call), onLine });
  return measured(disk, partition, order.drive);
}

/**
 * A drive that came back is not written over by the way: what it carries may be needed still.
 * @throws Failure `WrongState` when it was prepared for another job
 */
export function checkNotOther(
  call: Invocation,
  { drive, at, job }: { readonly drive: string; readonly at: string; readonly job: string },
): void {
  const other = openState(call.settings.stateDirectory).preparedFor(drive);
  if (other === undefined || other === job) return;
  throw new Failure('WrongState', `${at} is drive ${driveLabel(drive)} of the job ${other}`, {
    why: 'this host prepared it for that one, and has not erased it since',
    next: `seedship drive erase ${at} --job ${other}, then the same command`,
  });
}

/** A disk that is a drive with the file system it has: nothing is erased. */
async function asItIs(call: Invocation, disk: Disk, drive: string): Promise<ReadyDisk | undefined> {
  const ready = await measured(disk, partitionOf(disk), drive);
  return call.is('dry-run') ? showDrivePlan(call, { ...ready, place: disk.device }) : ready;
}

/** `--dry-run`: what would be run to make a drive of it; nothing where it is taken as it is. */
export function showDrivePlan(
  call: Invocation,
  { drive, place, serial }: Pick<ReadyDisk, 'drive' | 'place' | 'serial'>,
  commands: readonly string[] = [],
): undefined {
  const lines = commands.length > 0 ? commands : [`Nothing: ${place} is taken as it is, and objects are added to it.`];
  call.print.result('drive-plan', { device: place, drive, ...(serial && { serial }), commands }, () => lines);
  return undefined;
}

/** The drive on a disk that came to this dock; nothing is written to it, not by the kernel either. */
export async function arrivedDisk(call: Invocation, device: string): Promise<ReadyDisk> {
  const { disk } = await findDisk(call, device);
  refuse(
    call,
    disk,
    refusalsOfUse(disk).filter(({ rule }) => rule !== 'read-only'),
  );
  const partition = partitionOf(disk);
  const ready = await measured(disk, partition);
  if (ready.labelled) return ready;
  throw new Failure('DriveForeign', 'this is no Seedship drive', { why: 'it bears no label' });
}

/** The drive on a disk, to be read by this command. */
export async function mountedDisk(call: Invocation, device: string): Promise<MountedDrive> {
  const { disk } = await findDisk(call, device);
  refuse(
    call,
    disk,
    refusalsOfUse(disk).filter(({ rule }) => rule !== 'read-only'),
  );
  return mountDrive(partitionOf(disk), 'read');
}

async function measured(
  { serial = '' }: Disk,
  partition: DrivePartition,
  drive?: string,
): Promise<ReadyDisk & { readonly labelled: boolean }> {
  const mounted = await mountDrive(partition, 'read');
  try {
    const { drive: label, freeBytes } = await measureVolume(mounted.path);
    if (label !== undefined && drive !== undefined && label !== drive)
      throw new Failure('DriveForeign', `this is drive ${driveLabel(label)} by now`);
    const place = diskPlaceText({ uuid: partition.uuid, serial });
    const said = serial === '' ? {} : { serial };
    return { drive: label ?? drive ?? newDriveId(), place, freeBytes, ...said, labelled: label !== undefined };
  } finally {
    mounted.close();
  }
}

/** The drive on a disk of this host, if this host made it one. @throws as {@link lookAround} */
export async function knownDisk(call: Invocation, device: string): Promise<string | undefined> {
  return knownDrive(call, (await findDisk(call, device)).disk);
}

/** A drive that this host formatted, and has not forgotten. */
function knownDrive(call: Invocation, { serial = '', holds }: Disk): string | undefined {
  for (const [drive, text] of openState(call.settings.stateDirectory).listDrives()) {
    const place = parseDiskPlace(text);
    if (place?.serial === serial && holds.some(({ uuid }) => uuid === place.uuid)) return drive;
  }
  return undefined;
}

export function newDriveId(): string {
  return newSalt().subarray(0, 8).toString('hex').toUpperCase();
}

function fileSystemOf(call: Invocation): FileSystem {
  const asked = call.text('file-system') ?? 'ext4';
  const known = FILE_SYSTEMS.find((one) => one === asked);
  if (known) return known;
  throw new Failure('Usage', `--file-system ${asked} is none of ${FILE_SYSTEMS.join(', ')}`);
}

async function showDisk(call: Invocation, disk: Disk): Promise<void> {
  const { device, model, sizeBytes, serial = 'none', health } = disk;
  const about = [model, formatDriveSize(sizeBytes), attachment(disk), `SMART ${health}`].filter(Boolean).join('   ');
  const rows: [string, string][] = [
    [device, about],
    ['serial', serial],
    ['holds', `${describeContents(await withUsage(disk))}   <- will be erased`],
  ];
  for (const line of pairs(rows)) call.print.talk(`  ${line}`);
}

/** `sata`, `sata behind usb`, `usb`. */
export function attachment({ bus, ownInterface }: Disk): string {
  if (ownInterface === undefined || ownInterface === bus) return bus;
  return bus === '' ? ownInterface : `${ownInterface} behind ${bus}`;
}

function refuse(call: Invocation, { device }: Disk, found: readonly Refusal[]): void {
  const [first] = found;
  if (!first) return;
  throw new Failure('WrongState', `${device} is not taken: ${first.says}`, {
    why: found.map(({ rule, says }) => `${rule}: ${says}`).join('; '),
    next: nextOf(call, device, first),
  });
}

function nextOf(call: Invocation, device: string, { rule }: Refusal): string {
  if (rule === 'mounted') return `umount what is mounted of ${device}`;
  if (rule === 'locked') return `unlock it and look; to give it up: wipefs --all ${device}`;
  if (rule === 'serial') return 'leave only this one attached, or format it yourself and add --no-format';
  return `seedship drive list, then ${call.text('job') ? 'prepare' : 'take'} another disk`;
}

/** A person types it, or a script says it. @throws Failure `Usage` when it is another, or nobody can be asked */
export async function confirmErasing(
  call: Invocation,
  at: string,
  what: 'serial' | 'id',
  token: string,
): Promise<void> {
  const ask = promptOpenly(`Type the ${what} to erase this drive: ${token}`);
  const typed = call.text('confirm-serial') ?? (await ask?.());
  const name = what === 'serial' ? 'serial number' : 'drive id';
  if (typed === undefined)
    throw new Failure('Usage', `erasing ${at} needs its ${name}`, {
      why: 'there is no terminal to ask at',
      next: `add --confirm-serial ${token}, once it is sure that it may be erased`,
    });
  if (typed.trim() === token) return;
  throw new Failure('Usage', `${at} is not the one with the ${name} ${typed.trim()}`, {
    why: 'nothing was written to it',
    next: 'seedship drive list',
  });
}

/** A disk that a person wants erased, which says itself which drive it is, where it can. */
export async function disposableDisk(
  call: Invocation,
  device: string,
): Promise<{ readonly serial: string; readonly place: string; readonly drive: string | undefined }> {
  const { disk, disks } = await findDisk(call, device);
  await showDisk(call, disk);
  const usable = { among: disks, bytesMin: 0 };
  refuse(
    call,
    disk,
    refusals(disk, usable).filter(({ rule }) => rule !== 'failing' && rule !== 'locked'),
  );
  const { serial = '' } = disk;
  const found = await arrivedDisk(call, device).catch((error: unknown) => {
    if (error instanceof Failure && UNREADABLE.has(error.code)) return undefined;
    throw error;
  });
  const drive = found?.drive ?? knownDrive(call, disk) ?? claimedDrive(disk);
  return { serial, place: found?.place ?? diskPlaceText({ uuid: NO_FILE_SYSTEM, serial }), drive };
}
