/**
 * A disk for a test: a sparse file behind a loop device, with a serial number in the place where udev
 * keeps those of real ones. Everything it makes it takes away again; what a killed run left behind, the
 * next one takes away, since a disk of the same serial number would be refused for it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const UDEV = '/run/udev/data';
/** The seventh field of `stat`. */
const SECTORS_WRITTEN = 6;
const MAKER = 'E:SEEDSHIP_TEST_PROCESS=';
const made = new Set<LoopDisk>();
let folder: string | undefined;

export interface LoopOptions {
  readonly bytes: number;
  readonly serial?: string;
  readonly image?: string;
  readonly readOnly?: boolean;
  /** Nothing of the image is kept in memory: what is read comes from whoever serves it. */
  readonly direct?: boolean;
  /** `releaseDisks` leaves it: whoever made it releases it. */
  readonly kept?: boolean;
}

export class LoopDisk {
  readonly device: string;
  readonly image: string;
  readonly #udev: string;
  readonly #home: string | undefined;
  #writesBefore: number;

  constructor({ bytes, serial, image, readOnly = false, direct = false, kept = false }: LoopOptions) {
    if (folder === undefined) releaseOrphans();
    folder ??= mkdtempSync(path.join(tmpdir(), 'seedship-disks-'));
    const home = kept ? mkdtempSync(path.join(tmpdir(), 'seedship-disk-')) : folder;
    this.#home = kept ? home : undefined;
    this.image = image ?? path.join(home, `disk-${made.size}.img`);
    if (image === undefined) {
      writeFileSync(this.image, '');
      truncateSync(this.image, bytes);
    }
    this.device = run(
      'losetup',
      ...(readOnly ? ['--read-only'] : []),
      ...(direct ? ['--direct-io=on'] : []),
      '--partscan',
      '--find',
      '--show',
      this.image,
    ).trim();
    this.#udev = `${UDEV}/b${this.number}`;
    this.name(serial);
    this.#writesBefore = this.#counter();
    if (!kept) made.add(this);
  }

  /** `7:3` */
  get number(): string {
    return run('stat', '--format', '%Hr:%Lr', this.device).trim();
  }

  /** Gives it a serial number, or none. */
  name(serial: string | undefined): void {
    mkdirSync(UDEV, { recursive: true });
    const said =
      serial === undefined ? '' : `E:ID_SERIAL_SHORT=${serial}\nE:ID_SERIAL=Loop_${serial}\nE:ID_MODEL=Loop\n`;
    writeFileSync(this.#udev, `${said}${MAKER}${process.pid}\n`);
  }

  /** Another disk behind the same name, as after replugging. */
  renumber(image: string): void {
    run('losetup', '--detach', this.device);
    run('losetup', '--partscan', this.device, image);
    this.#writesBefore = this.#counter();
  }

  sha256(): string {
    return hashOf(this.image);
  }

  /** Sectors the kernel has written to it since it was attached. */
  writes(): number {
    return this.#counter() - this.#writesBefore;
  }

  /** Two that are equal: no byte of it differs, and nothing was written in between, not the same bytes either. */
  state(): { readonly sha256: string; readonly sectorsWritten: number } {
    const fd = openSync(this.device, 'r');
    fsyncSync(fd); // what somebody wrote to the device may still be in the kernel's cache
    closeSync(fd);
    return { sha256: this.sha256(), sectorsWritten: this.#counter() };
  }

  #counter(): number {
    return Number(readFileSync(`/sys/dev/block/${this.number}/stat`, 'utf8').trim().split(/\s+/)[SECTORS_WRITTEN]);
  }

  release(): void {
    made.delete(this);
    rmSync(this.#udev, { force: true });
    run('losetup', '--detach', this.device);
    if (this.#home !== undefined) rmSync(this.#home, { recursive: true, force: true });
  }
}

export function releaseDisks(): void {
  for (const disk of made) disk.release();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  folder = undefined;
}

function releaseOrphans(): void {
  mkdirSync(UDEV, { recursive: true });
  for (const name of readdirSync(UDEV)) {
    const record = path.join(UDEV, name);
    const maker = readFileSync(record, 'utf8').split(MAKER)[1]?.trim();
    if (maker === undefined || isAlive(Number(maker))) continue;
    const known = `/sys/dev/block/${name.slice(1)}`;
    const device = existsSync(known) ? `/dev/${path.basename(realpathSync(known))}` : '';
    for (const mounted of lines('lsblk', '--noheadings', '--list', '--output', 'MOUNTPOINTS', device))
      run('umount', mounted.trim());
    lines('losetup', '--detach', device);
    rmSync(record, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** What a program prints, or nothing where it finds nothing. */
function lines(program: string, ...args: readonly string[]): readonly string[] {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return (stdout ?? '').split('\n').filter((line) => line.trim() !== '');
}

export function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

export function hashOf(file: string): string {
  const hash = createHash('sha256');
  const fd = openSync(file, 'r');
  const room = Buffer.alloc(1 << 20);
  for (let read = readSync(fd, room); read > 0; read = readSync(fd, room)) hash.update(room.subarray(0, read));
  closeSync(fd);
  return hash.digest('hex');
}
