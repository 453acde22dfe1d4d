/**
 * Disks of this host, by the system's own programs: lsblk says what there is, a low-level blkid probe what
 * lies on it (never a cache, which may be of another disk), smartctl what the disk itself says behind its
 * bridge. Every program gets a device as a descriptor where it must be the one that was looked at before.
 */
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type Disk, type DiskContent, type DiskRole, type DiskWear, isTelling } from '../domain/disk.ts';
import { errnoOf, Failure } from '../domain/failure.ts';
import { SECOND } from '../domain/units.ts';

/** A user's own PATH often lacks where these are. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
/** Where the package has another name, Debian's comes first. */
const PACKAGES: Readonly<Record<string, string>> = {
  lsblk: 'util-linux',
  blkid: 'util-linux',
  partx: 'util-linux',
  sfdisk: 'fdisk (Debian), util-linux elsewhere',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  smartctl: 'smartmontools',
};
const BLKID_NOTHING = 2;
const BLKID_SEVERAL = 8;
/** smartctl's exit status is a set of bits; these two mean that it could not ask. */
const SMART_UNASKED = 0b11;
/** A disk that hangs must not keep a step from ending. */
const SMART_PATIENCE_MS = 20 * SECOND;
const { O_RDONLY, O_EXCL, O_NONBLOCK } = constants;

export interface ToolRun {
  readonly input?: string;
  /** Handed over as descriptor 3: `/proc/self/fd/3` to the program. */
  readonly fd?: number;
  /** Lines and steps of a line, as they come. */
  readonly onLine?: (line: string) => void;
  /** Ends the program early, and the call with an `AbortError`. */
  readonly signal?: AbortSignal;
}

export interface ToolOutcome {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

/** How a program sees the descriptor it was handed. */
export const HANDED_OVER = '/proc/self/fd/3';

/** Runs a program of the system to its end. @throws Failure `Configuration` naming the package when it is not there */
export async function runTool(
  program: string,
  args: readonly string[],
  { input = '', fd, onLine, signal }: ToolRun = {},
): Promise<ToolOutcome> {
  const stdio = fd === undefined ? (['pipe', 'pipe', 'pipe'] as const) : (['pipe', 'pipe', 'pipe', fd] as const);
  const child = spawn(program, args, { env: ENVIRONMENT, stdio: [...stdio], signal });
  const texts = { out: '', err: '' };
  const listen = (name: 'out' | 'err', stream: NodeJS.ReadableStream | null): void => {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
      for (const line of text.split(/[\n\r\b]+/)) if (line.trim() !== '') onLine?.(line.trim());
    });
  };
  listen('out', child.stdout);
  listen('err', child.stderr);
  child.stdin?.on('error', () => {}); // a program that reads nothing may end first
  child.stdin?.end(input);
  const exit = await new Promise<number>((resolve, reject) => {
    child.once('error', (error) => reject(errnoOf(error) === 'ENOENT' ? missing(program) : error));
    child.once('close', (code) => resolve(code ?? -1));
  });
  return { exit, ...texts };
}

function missing(program: string): Failure {
  return new Failure('Configuration', `the program ${program} is not installed`, {
    why: `it comes with ${PACKAGES[program] ?? program}`,
    next: `apt-get install ${(PACKAGES[program] ?? program).split(' ')[0]}`,
  });
}

/** @throws Failure `NotAllowed` for anyone but root; `Configuration` for the first program that is not there */
export async function checkDiskTools(programs: readonly string[]): Promise<void> {
  if (process.geteuid?.() !== 0)
    throw new Failure('NotAllowed', 'disks are only for root', { next: 'sudo seedship …, the same command' });
  for (const program of programs) await runTool(program, ['--version']).catch(onlyMissing);
}

function onlyMissing(error: unknown): void {
  if (error instanceof Failure) throw error;
}

/** Whether `file` is a block device; false when there is nothing. */
export function isBlockDevice(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isBlockDevice() ?? false;
}

const text = z
  .string()
  .nullish()
  .transform((value) => value?.trim() || undefined);
const flag = z.union([z.boolean(), z.enum(['0', '1']).transform((value) => value === '1')]).nullish();

/** What is used of `lsblk -J -b -O`; older ones write numbers and truths as text. */
const Node = z.object({
  path: z.string(),
  'maj:min': z.string().transform((value) => value.trim()),
  type: z.string(),
  size: z.coerce.number().nullish(),
  ro: flag,
  model: text,
  vendor: text,
  serial: text,
  tran: text,
  mountpoint: text,
  mountpoints: z.array(z.string().nullable()).nullish(),
  get children() {
    return z.array(Node).optional();
  },
});
export type BlockNode = z.infer<typeof Node>;
const Listing = z.object({ blockdevices: z.array(Node) });

/** The tree of devices that lsblk printed. @throws Failure `Unexpected` when it is none */
export function parseDevices(json: string): BlockNode[] {
  return parsed(Listing, json, 'lsblk').blockdevices;
}

const Smart = z.looseObject({
  device: z.looseObject({ protocol: z.string().optional() }).optional(),
  serial_number: text,
  model_name: text,
  scsi_transport_protocol: z.looseObject({ name: z.string() }).optional(),
  smart_status: z.looseObject({ passed: z.boolean() }).optional(),
  ata_smart_attributes: z
    .looseObject({ table: z.array(z.looseObject({ id: z.int(), raw: z.looseObject({ value: z.number() }) })) })
    .optional(),
  scsi_grown_defect_list: z.number().optional(),
  nvme_smart_health_information_log: z
    .looseObject({ critical_warning: z.int(), media_errors: z.number().optional() })
    .optional(),
  smartctl: z.looseObject({ exit_status: z.int() }),
});

export interface SmartAnswer {
  readonly serial?: string;
  readonly model?: string;
  readonly ownInterface?: string;
  readonly wear: DiskWear;
}

const REALLOCATED_ATTRIBUTE = 5;
/** Sectors that could not be read or wait to be replaced; a disk may count one of them in both. */
const WORN_ATTRIBUTES = [197, 198];

/** What a disk says of itself; `unknown` and nothing else when its bridge lets nothing through. */
export function parseSmart(json: string): SmartAnswer {
  const said = parsed(Smart, json, 'smartctl');
  const asked = (said.smartctl.exit_status & SMART_UNASKED) === 0;
  if (!asked) return { wear: { health: 'unknown' } };
  const own = interfaceOf(said.device?.protocol, said.scsi_transport_protocol?.name);
  return {
    wear: wearOf(said),
    ...(said.serial_number === undefined ? {} : { serial: said.serial_number }),
    ...(said.model_name === undefined ? {} : { model: said.model_name }),
    ...(own === undefined ? {} : { ownInterface: own }),
  };
}

function wearOf(said: z.infer<typeof Smart>): DiskWear {
  const attributes = said.ata_smart_attributes?.table ?? [];
  const nvme = said.nvme_smart_health_information_log;
  const raw = (id: number) => attributes.find((one) => one.id === id)?.raw.value;
  const worn = WORN_ATTRIBUTES.flatMap((id) => raw(id) ?? []);
  const pending = nvme?.media_errors ?? (worn.length > 0 ? Math.max(...worn) : undefined);
  const reallocated = raw(REALLOCATED_ATTRIBUTE) ?? said.scsi_grown_defect_list;
  const passed = said.smart_status?.passed;
  const isFailing = passed === false || (nvme?.critical_warning ?? 0) !== 0;
  const health = isFailing ? 'failing' : (pending ?? 0) > 0 ? 'worn' : passed ? 'ok' : 'unknown';
  return {
    health,
    ...(reallocated === undefined ? {} : { reallocated }),
    ...(pending === undefined ? {} : { pending }),
  };
}

function interfaceOf(protocol: string | undefined, transport = ''): string | undefined {
  if (protocol === 'ATA') return 'sata';
  if (protocol === 'NVMe') return 'nvme';
  return /\bSAS\b/.test(transport) ? 'sas' : undefined; // SCSI alone may be the bridge's own answer
}

/** `blkid -p -o export`: `KEY=value` lines. */
export function parseProbe(exported: string): ReadonlyMap<string, string> {
  return new Map(
    exported.split('\n').flatMap((line): [string, string][] => {
      const [, key, value = ''] = /^([A-Z_0-9]+)=(.*)$/.exec(line) ?? [];
      return key === undefined ? [] : [[key, value.replace(/\\(.)/g, '$1')]]; // blkid escapes blanks and the like
    }),
  );
}

function parsed<T>(schema: z.ZodType<T>, json: string, program: string): T {
  try {
    return schema.parse(JSON.parse(json));
  } catch (error) {
    throw new Failure('Unexpected', `${program} prints something that is not understood`, { cause: error });
  }
}

/** What lies at a device, asked of the medium. */
async function probe({ path: device, size }: BlockNode, fd?: number): Promise<DiskContent> {
  const at = fd === undefined ? device : HANDED_OVER;
  const { exit, out } = await runTool('blkid', ['--probe', '--output', 'export', at], fd === undefined ? {} : { fd });
  if (exit !== 0 && exit !== BLKID_NOTHING && exit !== BLKID_SEVERAL)
    throw new Failure('DriveFailed', `${device} cannot be read`, { why: 'blkid finds no answer from it' });
  const found = parseProbe(out);
  const entry = (key: string, name: string) => (found.has(key) ? { [name]: found.get(key) } : {});
  return {
    device,
    sizeBytes: size ?? 0,
    type: exit === BLKID_SEVERAL ? 'several' : (found.get('TYPE') ?? found.get('PTTYPE') ?? ''),
    ...entry('LABEL', 'label'),
    ...(found.has('UUID') ? { uuid: found.get('UUID') ?? '' } : entry('PTUUID', 'uuid')),
    ...entry('PART_ENTRY_NAME', 'partitionName'),
    ...entry('PART_ENTRY_UUID', 'partitionUuid'),
  };
}

export type RolePaths = Readonly<Partial<Record<DiskRole, readonly string[]>>>;

/** All disks of this host, loop devices that stand for one included. @param roles what must not be lost, by path */
export async function discoverDisks(roles: RolePaths = {}): Promise<Disk[]> {
  const nodes = parseDevices((await runTool('lsblk', ['--json', '--bytes', '--output-all'])).out);
  const mine = nodes.filter(({ type, size }) => (type === 'disk' || type === 'loop') && (size ?? 0) > 0);
  const disks: Disk[] = [];
  for (const node of mine) disks.push(await describe(node, roles)); // one after the other: drives spin up
  return disks;
}

/** The disk behind a descriptor, everything read anew. @throws Failure `DriveMissing` when it is gone */
export async function readDisk(fd: number, roles: RolePaths = {}): Promise<Disk> {
  const run = await runTool('lsblk', ['--json', '--bytes', '--output-all', HANDED_OVER], { fd });
  const [node] = run.exit === 0 ? parseDevices(run.out) : [];
  if (!node) throw new Failure('DriveMissing', 'the disk is gone');
  return describe(node, roles, fd);
}

async function describe(node: BlockNode, roles: RolePaths, fd?: number): Promise<Disk> {
  const tree = flatten(node);
  const numbers = new Set(tree.map((one) => one['maj:min']));
  const mounts = mountTable();
  const listed = tree.flatMap(({ mountpoint, mountpoints }) => [mountpoint, ...(mountpoints ?? [])]);
  const mountedAt = mounts.filter((one) => numbers.has(one.number)).map((one) => one.at);
  const smart = await askDisk(node.path);
  const serial = isTelling(smart.serial) ? smart.serial : node.serial;
  const bus = node.type === 'loop' ? 'loop' : (node.tran ?? '');
  const own = smart.ownInterface ?? (bus === 'usb' || bus === '' ? undefined : bus);
  const holds = [await probe(node, fd)];
  for (const child of node.children ?? []) if (child.type === 'part') holds.push(await probe(child));
  return {
    device: node.path,
    number: node['maj:min'],
    sequence: systemText(`/sys/dev/block/${node['maj:min']}/diskseq`),
    model: smart.model ?? [node.vendor, node.model].filter(Boolean).join(' '),
    ...(serial === undefined ? {} : { serial }),
    ...(own === undefined ? {} : { ownInterface: own }),
    sizeBytes: node.size ?? 0,
    bus,
    readOnly: node.ro === true,
    health: smart.wear.health,
    holds,
    mountedAt: [...new Set([...mountedAt, ...listed.flatMap((at) => at ?? [])])],
    inUse: tree.some((one) => one.type !== 'part' && one !== node) || (fd === undefined && isHeld(tree)),
    carries: rolesOn(numbers, mounts, roles),
  };
}

function flatten(node: BlockNode): BlockNode[] {
  return [node, ...(node.children ?? []).flatMap(flatten)];
}

async function askDisk(device: string): Promise<SmartAnswer> {
  const { out } = await runTool('smartctl', ['--json', '--info', '--health', '--attributes', device]);
  return out.trim() === '' ? { wear: { health: 'unknown' } } : parseSmart(out);
}

/**
 * How worn the disk says it is that a device, or a partition, is on. Never throws: one that does not answer, in
 * twenty seconds either, is as good as one behind a bridge that lets nothing through.
 */
export async function readWear(device: string): Promise<DiskWear> {
  const patience = new AbortController();
  const unanswered = sleep(SMART_PATIENCE_MS, undefined, { signal: patience.signal }).catch(() => undefined);
  try {
    const answer = await Promise.race([askDisk(wholeDisk(device)), unanswered]);
    return answer?.wear ?? { health: 'unknown' };
  } catch {
    return { health: 'unknown' };
  } finally {
    patience.abort();
  }
}

/** `/dev/sdc` of `/dev/sdc1`. */
function wholeDisk(device: string): string {
  const at = realpathSync(`/sys/dev/block/${numberOf(device) ?? ''}`);
  return systemText(`${at}/partition`) === '' ? device : `/dev/${path.basename(path.dirname(at)).replaceAll('!', '/')}`;
}

/** Mounts that no table shows, other devices and other programs claim a device for themselves. */
function isHeld(tree: readonly BlockNode[]): boolean {
  return tree.some(({ path: device }) => {
    try {
      closeSync(openSync(device, O_RDONLY | O_EXCL | O_NONBLOCK));
      return false;
    } catch (error) {
      return errnoOf(error) === 'EBUSY';
    }
  });
}

interface Mount {
  readonly number: string;
  readonly at: string;
}

/** By the kernel's table; where a file system counts for itself (btrfs), by the device it was mounted from. */
function mountTable(): Mount[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, number, at, source = ''] = /^\S+ \S+ (\S+) \S+ (\S+) .*? - \S+ (\S+)/.exec(line) ?? [];
      if (number === undefined || at === undefined) return [];
      const from = number.startsWith('0:') ? numberOf(unescaped(source)) : undefined;
      return [{ number: from ?? number, at: unescaped(at) }];
    });
}

/** Where anything is mounted. */
export function mountPoints(): string[] {
  return mountTable().map(({ at }) => at);
}

function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** `8:32`; undefined when there is no such device. */
export function numberOf(device: string): string | undefined {
  const status = device.startsWith('/') ? statSync(device, { throwIfNoEntry: false }) : undefined;
  if (!status?.isBlockDevice()) return undefined;
  const { rdev } = status;
  return `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}`;
}

function rolesOn(numbers: ReadonlySet<string>, mounts: readonly Mount[], roles: RolePaths): DiskRole[] {
  const on = (file: string): boolean => {
    const real = nearest(file);
    const over = mounts.filter(({ at }) => real === at || real.startsWith(at === '/' ? '/' : `${at}/`));
    const mount = over.reduce<Mount | undefined>(
      (best, one) => (one.at.length >= (best?.at.length ?? 0) ? one : best),
      undefined,
    );
    return mount !== undefined && numbers.has(mount.number);
  };
  const all: RolePaths = { system: ['/', '/boot', '/usr', '/var', '/etc'], ...roles };
  return (['system', 'staging', 'source', 'state'] as const).filter((role) => all[role]?.some(on));
}

/** What is there of a path, links followed. */
function nearest(file: string): string {
  for (let at = path.resolve(file); ; at = path.dirname(at))
    try {
      return realpathSync(at);
    } catch {
      if (at === '/') return at;
    }
}

function systemText(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}
