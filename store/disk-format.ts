/**
 * A disk becomes a drive, by the system's own programs: a partition table, one partition, one file system.
 *
 *   1  the disk is opened and claimed: nobody can mount it, and its number cannot go to another disk
 *   2  all that a person confirmed is read again through that descriptor; any difference ends it
 *   3  each program is handed the descriptor, never a name
 *   4  the claim passes to mkfs, which takes it for the partition; what is there then is read back
 */
import { closeSync, constants, openSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Disk, refusalsOfUse, sameDisk } from '../domain/disk.ts';
import { errnoOf, Failure } from '../domain/failure.ts';
import { driveLabel } from '../domain/names.ts';
import { GIB, SECOND } from '../domain/units.ts';
import { HANDED_OVER, numberOf, type RolePaths, readDisk, runTool } from './block-device.ts';
import { type DrivePartition, type FileSystem, partitionOf } from './drive-mount.ts';

const LINUX_FILE_SYSTEM = '0FC63DAF-8483-4772-8E79-3D69D8477DE4';
/** Above this an inode a MiB is plenty: objects have 64. */
const MANY_INODES_BYTES = 64 * GIB;
const XFS_LABEL_MAX = 12;
const NODE_PATIENCE_MS = 10 * SECOND;
const POLL_MS = 50;
const { O_RDWR, O_EXCL } = constants;

export interface FormatOrder {
  readonly disk: Disk;
  readonly drive: string;
  readonly fileSystem: FileSystem;
}

export interface FormatStep {
  readonly program: string;
  readonly args: readonly string[];
  readonly on: 'disk' | 'partition';
  readonly input?: string;
}

/** What is run, in this order; the device comes last. */
export function formatSteps({ disk, drive, fileSystem }: FormatOrder): FormatStep[] {
  const table = `label: gpt\nname="SEEDSHIP-${drive}", type=${LINUX_FILE_SYSTEM}\n`;
  const options = '--no-reread --no-tell-kernel --quiet --wipe always --wipe-partitions always'.split(' ');
  return [
    { program: 'sfdisk', args: options, on: 'disk', input: table },
    { program: 'partx', args: ['--update'], on: 'disk' },
    { program: `mkfs.${fileSystem}`, args: mkfsOptions(fileSystem, drive, disk.sizeBytes), on: 'partition' },
  ];
}

function mkfsOptions(fileSystem: FileSystem, drive: string, sizeBytes: number): string[] {
  if (fileSystem === 'xfs') return ['-f', '-L', driveLabel(drive).replace('-', '').slice(0, XFS_LABEL_MAX)];
  const inodes = sizeBytes > MANY_INODES_BYTES ? ['-T', 'largefile'] : [];
  const whole = ['-E', 'lazy_itable_init=0,lazy_journal_init=0']; // nothing is left for later, when it travels
  return ['-F', '-m', '0', '-e', 'remount-ro', ...inodes, ...whole, '-L', driveLabel(drive)];
}

/** As a person would type it. */
export function formatCommand({ program, args, on, input }: FormatStep, device: string): string {
  const at = on === 'disk' ? device : partitionName(device);
  const line = [program, ...args, at].join(' ');
  return input === undefined ? line : `printf '${input.replaceAll('\n', '\\n')}' | ${line}`;
}

/** The first partition of `/dev/sdc` is `/dev/sdc1`, that of `/dev/nvme0n1` is `/dev/nvme0n1p1`. */
function partitionName(device: string): string {
  return /\d$/.test(device) ? `${device}p1` : `${device}1`;
}

export interface FormatWatch {
  readonly roles: RolePaths;
  /** Called with what each program says. */
  readonly onLine: (line: string) => void;
}

/**
 * Erases and formats the disk that was confirmed.
 * @throws Failure `DriveForeign` when it is not the same any more, nothing is written then; `WrongState` when it is
 * in use; `DriveFailed` when a program ends with an error
 */
export async function formatDisk(order: FormatOrder, { roles, onLine }: FormatWatch): Promise<DrivePartition> {
  const { device } = order.disk;
  const steps = formatSteps(order);
  const pinned = claimed(device, O_RDWR);
  try {
    const claim = claimed(`/proc/self/fd/${pinned}`, O_RDWR | O_EXCL);
    let partition: number;
    try {
      await check(order.disk, pinned, roles);
      for (const step of steps) if (step.on === 'disk') await run(step, device, pinned, onLine);
      partition = await openPartition(order.disk);
    } finally {
      closeSync(claim);
    }
    try {
      for (const step of steps) if (step.on === 'partition') await run(step, device, partition, onLine);
    } finally {
      closeSync(partition);
    }
    return partitionOf(await readDisk(pinned));
  } finally {
    closeSync(pinned);
  }
}

function claimed(path: string, flags: number): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EBUSY')
      throw new Failure('WrongState', 'the disk is in use', { why: 'it is mounted, or another program holds it' });
    if (errno === 'ENOENT' || errno === 'ENXIO')
      throw new Failure('DriveMissing', 'the disk is gone', { cause: error });
    throw new Failure('DriveFailed', `the disk cannot be opened: ${errno}`, { cause: error });
  }
}

async function check(confirmed: Disk, fd: number, roles: RolePaths): Promise<void> {
  const now = await readDisk(fd, roles);
  const other = { why: 'nothing was written to it', next: 'seedship drive list, and confirm again' };
  if (!sameDisk(confirmed, now))
    throw new Failure('DriveForeign', `${confirmed.device} is not the disk that was confirmed any more`, other);
  const [refusal] = refusalsOfUse(now);
  if (refusal) throw new Failure('WrongState', `${confirmed.device} may not be erased: ${refusal.says}`, other);
}

async function run(
  { program, args, input = '' }: FormatStep,
  device: string,
  fd: number,
  onLine: (line: string) => void,
): Promise<void> {
  const { exit, err, out } = await runTool(program, [...args, HANDED_OVER], { input, fd, onLine });
  if (exit === 0) return;
  const said = `${err}\n${out}`.trim().split('\n').at(-1)?.replaceAll(HANDED_OVER, device);
  throw new Failure('DriveFailed', `${program} could not format ${device}`, { why: said || `it ended with ${exit}` });
}

/** The partition that the kernel was just told of, and no other of that name. */
async function openPartition({ number, device }: Disk): Promise<number> {
  const deadline = performance.now() + NODE_PATIENCE_MS;
  for (;;) {
    const folder = `/sys/dev/block/${number}`;
    const [name, ...more] = readdirSync(folder).filter((entry) => isPartition(`${folder}/${entry}`));
    if (more.length > 0) throw new Failure('DriveFailed', `${device} has more partitions than it was given`);
    const node = `/dev/${name}`;
    if (name !== undefined && numberOf(node) === readFileSync(`${folder}/${name}/dev`, 'utf8').trim())
      return openSync(node, O_RDWR);
    if (performance.now() > deadline)
      throw new Failure('DriveFailed', `the new partition of ${device} does not appear`, { next: 'plug it in again' });
    await sleep(POLL_MS);
  }
}

function isPartition(folder: string): boolean {
  try {
    return readFileSync(`${folder}/partition`, 'utf8') !== '';
  } catch {
    return false;
  }
}
