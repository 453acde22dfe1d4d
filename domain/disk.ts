/**
 * A disk that an operator wants as a drive, as its host sees it, and every reason not to write to it.
 *
 * A bridge answers for the disk behind it, and often wrongly: its interface is USB and its serial number
 * that of the model. Where the disk itself can be asked (SMART), its own answer counts.
 */
import { formatDecimalSize, formatDriveSize, formatRate, MIB } from './units.ts';

export type DiskHealth = 'ok' | 'worn' | 'failing' | 'unknown';

/** How worn a disk says it is (SMART). Counts are absent where its bridge lets nothing through. */
export interface DiskWear {
  readonly health: DiskHealth;
  /** Sectors that others have taken the place of. */
  readonly reallocated?: number;
  /** Sectors that could not be read, or wait to be replaced. */
  readonly pending?: number;
}

/** How a disk did while it was filled: counts only, absent where nobody could tell. */
export interface DiskReport {
  readonly writtenPerSecond?: number;
  readonly readPerSecond?: number;
  /** It says since then that it is failing. */
  readonly failing?: true;
  /** So many sectors more than before. */
  readonly reallocated?: number;
  readonly pending?: number;
}

/** Whose bytes lie on a disk that is in use. */
export type DiskRole = 'system' | 'staging' | 'source' | 'state';

/** What a low-level probe finds, on the disk itself or in a partition. */
export interface DiskContent {
  readonly device: string;
  /** `ext4`, `ntfs`, `gpt`, `crypto_LUKS`; empty when nothing is known there. */
  readonly type: string;
  readonly sizeBytes: number;
  readonly label?: string;
  readonly uuid?: string;
  /** The partition's own name, in its table. */
  readonly partitionName?: string;
  readonly partitionUuid?: string;
  /** Of its file system, without its own tables; absent where nobody can tell without mounting it. */
  readonly usedBytes?: number;
}

export interface Disk {
  readonly device: string;
  /** `8:32`, the kernel's number. */
  readonly number: string;
  /** The kernel counts disks as they come: another one under the same number has another. */
  readonly sequence: string;
  readonly model: string;
  /** Its own, where it could be asked; else what its bridge says. */
  readonly serial?: string;
  readonly sizeBytes: number;
  /** What it is plugged into: `usb`, `sata`, `nvme`, `loop`. */
  readonly bus: string;
  /** The disk's own; absent when its bridge lets nothing through. */
  readonly ownInterface?: string;
  readonly readOnly: boolean;
  readonly health: DiskHealth;
  readonly holds: readonly DiskContent[];
  readonly mountedAt: readonly string[];
  /** Opened by someone for himself alone: mounted somewhere, or part of something else. */
  readonly inUse: boolean;
  readonly carries: readonly DiskRole[];
}

export type RefusalRule =
  | 'mounted'
  | 'in-use'
  | DiskRole
  | 'read-only'
  | 'too-small'
  | 'too-large'
  | 'interface'
  | 'failing'
  | 'serial'
  | 'locked';

export interface Refusal {
  readonly rule: RefusalRule;
  readonly says: string;
}

export interface DiskRules {
  /** All disks of the host: serials are told apart by them. */
  readonly among: readonly Disk[];
  readonly bytesMin?: number;
  /** The datacenter's. */
  readonly bytesMax?: number;
  /** What the datacenter can plug in; anything when empty. */
  readonly interfaces?: readonly string[];
}

/** One object and what a file system needs. */
export const DISK_BYTES_MIN = 128 * MIB;

const ROLE_SAYS: Record<DiskRole, string> = {
  system: 'this machine runs from it',
  staging: 'it holds a staging location',
  source: 'it holds what is backed up',
  state: 'it holds the state of Seedship',
};
const LOCKED = /^(?:crypto_LUKS|BitLocker)$/;
/** All the same digit, a run from 0 or 1, or nothing much: a bridge that was never given a number. */
const BOGUS_SERIAL = /^(?:.{0,3}|(.)\1*|0?123456789[0-9A-F]*|(?:0123456789)?ABCDEF[0-9A-F]*|DD5641988.*)$/i;
const DRIVE_PARTITION = /^SEEDSHIP-([0-9A-F]{16})$/;

/** Whether a serial number can tell a disk apart; bridges repeat theirs. */
export function isTelling(serial: string | undefined): serial is string {
  return serial !== undefined && !BOGUS_SERIAL.test(serial.replace(/[\s_-]/g, ''));
}

/** Every reason not to erase `disk`; none when it may be. */
export function refusals(disk: Disk, rules: DiskRules): Refusal[] {
  return [...refusalsOfUse(disk), ...refusalsOfKind(disk, rules), ...refusalsOfSerial(disk, rules.among)];
}

/** Why nothing may be written to it whatever it is to become: others use it. */
export function refusalsOfUse(disk: Disk): Refusal[] {
  const found: Refusal[] = disk.carries.map((role) => ({ rule: role, says: ROLE_SAYS[role] }));
  const [first] = disk.mountedAt;
  if (first !== undefined) found.push({ rule: 'mounted', says: `mounted at ${disk.mountedAt.join(', ')}` });
  else if (disk.inUse) found.push({ rule: 'in-use', says: 'another program or device holds it' });
  if (disk.readOnly) found.push({ rule: 'read-only', says: 'it is write-protected' });
  return found;
}

function refusalsOfKind(disk: Disk, { bytesMin = DISK_BYTES_MIN, bytesMax, interfaces = [] }: DiskRules): Refusal[] {
  const { sizeBytes, ownInterface } = disk;
  const found: Refusal[] = [];
  if (sizeBytes < bytesMin) found.push({ rule: 'too-small', says: `at least ${formatDriveSize(bytesMin)} is needed` });
  if (bytesMax !== undefined && sizeBytes > bytesMax)
    found.push({ rule: 'too-large', says: `the datacenter takes up to ${formatDriveSize(bytesMax)}` });
  if (interfaces.length > 0 && ownInterface !== undefined && !interfaces.includes(ownInterface))
    found.push({ rule: 'interface', says: `its interface is ${ownInterface}, not ${interfaces.join(' or ')}` });
  if (disk.health === 'failing') found.push({ rule: 'failing', says: 'it says itself that it is failing (SMART)' });
  if (disk.holds.some(({ type }) => LOCKED.test(type)))
    found.push({ rule: 'locked', says: 'it is encrypted and locked: nobody can see what would be lost' });
  return found;
}

function refusalsOfSerial({ serial, device }: Disk, among: readonly Disk[]): Refusal[] {
  if (!isTelling(serial))
    return [{ rule: 'serial', says: serial ? `its serial ${serial} is of no use` : 'it tells no serial number' }];
  const twin = among.find((other) => other.device !== device && other.serial === serial);
  return twin ? [{ rule: 'serial', says: `${twin.device} has the same serial number ${serial}` }] : [];
}

/** The drive that a disk was formatted as, by the name of its partition; a claim, not a proof. */
export function claimedDrive({ holds }: Disk): string | undefined {
  for (const { partitionName = '' } of holds) {
    const [, drive] = DRIVE_PARTITION.exec(partitionName) ?? [];
    if (drive !== undefined) return drive;
  }
  return undefined;
}

/** What must be the same at the first write as when a person confirmed. */
export function sameDisk(confirmed: Disk, now: Disk): boolean {
  return fingerprint(confirmed) === fingerprint(now);
}

function fingerprint({ number, sequence, serial, sizeBytes, holds }: Disk): string {
  const content = holds.map(({ type, uuid, partitionUuid, sizeBytes: bytes }) => [type, uuid, partitionUuid, bytes]);
  return JSON.stringify([number, sequence, serial ?? '', sizeBytes, content]);
}

/** `ntfs "Backup2019", 3.1 TB used`, or what else lies there; `nothing`. */
export function describeContents({ holds }: Disk): string {
  const parts = holds.filter(({ type }) => type !== '' && type !== 'gpt' && type !== 'dos');
  if (parts.length === 0) return holds.some(({ type }) => type !== '') ? 'an empty partition table' : 'nothing';
  return parts.map(describeContent).join('; ');
}

function describeContent({ type, label, usedBytes }: DiskContent): string {
  const name = label ? `${type} "${label}"` : type;
  return usedBytes === undefined ? name : `${name}, ${formatDecimalSize(usedBytes)} used`;
}

/** In what a disk is worse than it was; empty when it is not, or when nobody can tell. */
export function worsened(before: DiskWear, after: DiskWear): Pick<DiskReport, 'failing' | 'reallocated' | 'pending'> {
  const more = (name: 'reallocated' | 'pending') => {
    const [was, is] = [before[name], after[name]];
    return was !== undefined && is !== undefined && is > was ? { [name]: is - was } : {};
  };
  const failing = after.health === 'failing' && before.health !== 'failing' ? { failing: true as const } : {};
  return { ...failing, ...more('reallocated'), ...more('pending') };
}

/** `it has 8 more replaced sectors (SMART)`; undefined when a disk is as good as it was. */
export function wearWarning({ failing, reallocated = 0, pending = 0 }: DiskReport): string | undefined {
  const found = [
    ...(failing ? ['it says itself that it is failing'] : []),
    ...(reallocated > 0 ? [`it has ${reallocated} more replaced sectors`] : []),
    ...(pending > 0 ? [`it has ${pending} more sectors that it could not read`] : []),
  ];
  return found.length > 0 ? `${found.join(', ')} (SMART)` : undefined;
}

/** `written at 142 MB/s, read back at 180 MB/s`; empty when nothing was measured. */
export function describeRates({ writtenPerSecond, readPerSecond }: DiskReport): string {
  return [
    ...(writtenPerSecond === undefined ? [] : [`written at ${formatRate(writtenPerSecond)}`]),
    ...(readPerSecond === undefined ? [] : [`read back at ${formatRate(readPerSecond)}`]),
  ].join(', ');
}
