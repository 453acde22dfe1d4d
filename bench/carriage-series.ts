/**
 * The series: in each round a seed is staged, untimed, and goes its way. On one of two loop devices that are alike it
 * is prepared as a drive; the other takes the same objects from dd and from cp. Then the drive is attached, and the
 * seed goes over landing into the vault; the others copy what cp left on their device into a bucket of the same
 * server, and from that into a second one, read and written by the client as ours are.
 *
 * Nothing of any file is in memory when a command begins.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { MIB } from '../domain/units.ts';
import { bytesBelow, type Measured, measure, OURS } from './measure.ts';
import type { Environment, Programs } from './programs.ts';
import { SeedshipSide } from './seedship-side.ts';

/** cgroup v1; in the root group it holds for everything that reads and writes the device. */
const BLOCK_LIMITS = '/sys/fs/cgroup/blkio';
const SERVERS = /temporal(-bin|\b.*start-dev)|\bweed\b/;
const PACKED = ['packs', 'trees', 'index'];

export interface CarriageOrder {
  readonly folder: string;
  readonly corpus: string;
  readonly rounds: number;
  /** Bytes a second of a device; 0 for no bound. */
  readonly rate: number;
  /** Of dd, rclone and s5cmd those that are here. */
  readonly movers: readonly string[];
  readonly programs: Programs;
  say(line: string): void;
}

export interface Carried extends Measured {
  /** That had to be moved. */
  readonly bytes: number;
  /** Of a drive, by its own account. */
  readonly writtenPerSecond?: number;
  readonly readPerSecond?: number;
}

interface Job {
  readonly round: number;
  readonly staging: string;
  readonly bytes: number;
  readonly ours: string;
  readonly theirs: string;
}

export class CarriageSeries {
  readonly #order: CarriageOrder;
  readonly #side: SeedshipSide;
  readonly #runs: Carried[] = [];
  readonly #devices: string[] = [];
  readonly #mounts = new Set<string>();

  constructor(order: CarriageOrder) {
    this.#order = order;
    this.#side = new SeedshipSide(this.#at(OURS), order.corpus, order.programs, 's3');
  }

  async run(): Promise<readonly Carried[]> {
    rmSync(this.#order.folder, { recursive: true, force: true });
    mkdirSync(this.#order.folder, { recursive: true });
    await this.#side.start();
    for (let round = 1; round <= this.#order.rounds; round += 1) await this.#round(round);
    return this.#runs;
  }

  /** Ends what runs, and gives back mounts and devices. */
  async end(): Promise<void> {
    const { programs, rate } = this.#order;
    await this.#side.stop();
    for (const mount of this.#mounts) await programs.run(['umount', mount]);
    for (const device of this.#devices.splice(0)) {
      if (rate !== 0) await this.#hold(device, 0); // else it holds the next disk of this number
      await programs.run(['losetup', '--detach', device]);
    }
    this.#mounts.clear();
    await programs.stop();
  }

  #at(...names: string[]): string {
    return path.join(this.#order.folder, ...names);
  }

  async #round(round: number): Promise<void> {
    const { programs } = this.#order;
    await this.#side.begin(round);
    await programs.must(this.#side.firstBackup(round), this.#side.environment);
    const staging = this.#side.stored(round);
    const bytes = PACKED.reduce((sum, kind) => sum + bytesBelow(path.join(staging, kind)), 0);
    if (this.#devices.length === 0) for (const number of [0, 1]) await this.#makeDevice(number, bytes);
    const [one = '', two = ''] = this.#devices;
    const job: Job = {
      round,
      staging,
      bytes,
      ...(round % 2 === 1 ? { ours: one, theirs: two } : { ours: two, theirs: one }),
    };
    const steps = [() => this.#prepare(job), () => this.#dd(job), () => this.#cp(job)];
    for (const step of round % 2 === 1 ? steps : [...steps.slice(1), ...steps.slice(0, 1)]) await step();
    const hops = [() => this.#carry(job), () => this.#rclone(job), () => this.#s5cmd(job)];
    for (const hop of round % 2 === 1 ? hops : [...hops.slice(1), ...hops.slice(0, 1)]) await hop();
    for (const mount of [...this.#mounts]) await this.#unmount(mount);
    this.#side.forget(round);
  }

  async #makeDevice(number: number, bytes: number): Promise<void> {
    const { programs, rate } = this.#order;
    const image = this.#at(`disk-${number}.img`);
    await programs.must(['fallocate', '--length', String(Math.ceil(bytes * 1.3) + 512 * MIB), image]);
    const { stdout } = await programs.must(['losetup', '--find', '--show', '--direct-io=on', image]);
    const device = stdout.trim();
    this.#devices.push(device);
    if (rate !== 0) await this.#hold(device, rate);
  }

  /** Of the device's number, whichever disk has it: 0 lets it go again. */
  async #hold(device: string, rate: number): Promise<void> {
    const words = ['lsblk', '--noheadings', '--nodeps', '--output', 'MAJ:MIN', device];
    const { stdout: number } = await this.#order.programs.must(words);
    for (const way of ['read', 'write'])
      writeFileSync(path.join(BLOCK_LIMITS, `blkio.throttle.${way}_bps_device`), `${number.trim()} ${rate}`);
  }

  async #mount(device: string, name: string): Promise<string> {
    const { programs } = this.#order;
    const at = this.#at(name);
    mkdirSync(at, { recursive: true });
    await programs.must(['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', device]);
    await programs.must(['mount', device, at]);
    this.#mounts.add(at);
    return at;
  }

  async #unmount(at: string): Promise<void> {
    await this.#order.programs.must(['umount', at]);
    this.#mounts.delete(at);
  }

  async #prepare({ round, ours, bytes }: Job): Promise<void> {
    const at = await this.#mount(ours, `drive-${round}`);
    const words = ['drive', 'prepare', path.join(at, 'drive'), '--job', `j${round}`];
    mkdirSync(path.join(at, 'drive'));
    const measured = await this.#measured(OURS, 'prepare a drive', round, this.#side.command(...words));
    const { drives = [] } = Object(await this.#side.type('job', 'show', `j${round}`));
    const { writtenPerSecond, readPerSecond } = drives[0]?.disk ?? {};
    this.#runs.push({ ...measured, bytes, writtenPerSecond, readPerSecond });
  }

  async #dd({ round, staging, theirs, bytes }: Job): Promise<void> {
    const blob = this.#at('blob');
    const folders = PACKED.map((kind) => path.join(staging, kind)).join(' ');
    await this.#order.programs.must(['sh', '-c', `find ${folders} -type f -exec cat {} + > ${blob}`]);
    const write = ['dd', `if=${blob}`, `of=${theirs}`, 'bs=4M', 'oflag=direct', 'conv=fsync'];
    this.#runs.push({ ...(await this.#measured('dd', 'write', round, write)), bytes });
    const read = [
      'dd',
      `if=${theirs}`,
      'of=/dev/null',
      'bs=4M',
      'iflag=direct',
      `count=${Math.ceil(bytes / (4 * MIB))}`,
    ];
    this.#runs.push({ ...(await this.#measured('dd', 'read back', round, read)), bytes });
    rmSync(blob);
  }

  async #cp({ round, staging, theirs, bytes }: Job): Promise<void> {
    const at = await this.#mount(theirs, `copied-${round}`);
    const folders = PACKED.map((kind) => path.join(staging, kind)).join(' ');
    const write = ['sh', '-c', `cp -r ${folders} ${at} && sync -f ${at}`];
    this.#runs.push({ ...(await this.#measured('cp', 'write', round, write)), bytes });
  }

  /** The copy into the vault begins when the last object has landed, before `drive attach` has ended. */
  async #carry({ round, bytes }: Job): Promise<void> {
    const job = `j${round}`;
    await this.#side.type('job', 'ship', job, '--carrier', 'dhl', '--tracking', `JD01460000${100 + round}`);
    const { drives = [] } = Object(await this.#side.type('job', 'show', job));
    const named = drives.flatMap(({ id }: { id: string }) => ['--drive', id]);
    await this.#side.type('drive', 'receive', '--job', job, ...named);
    const attach = ['drive', 'attach', this.#at(`drive-${round}`, 'drive'), '--job', job];
    const watch = ['job', 'watch', job, '--until', 'Protected'];
    for (const [operation, words] of [
      ['ingest', attach],
      ['vault copy', watch],
    ] as const)
      this.#runs.push({ ...(await this.#measured(OURS, operation, round, this.#side.command(...words))), bytes });
  }

  async #rclone({ round, bytes }: Job): Promise<void> {
    if (!this.#order.movers.includes('rclone')) return;
    const [from, one, two] = [this.#at(`copied-${round}`), `one:rclone-${round}`, `two:rclone-vault-${round}`];
    for (const bucket of [one, two]) await this.#order.programs.must(['rclone', 'mkdir', bucket], this.#theirs());
    const copy = ['rclone', 'copy', '--exclude', 'lost+found/**'];
    this.#runs.push({ ...(await this.#measured('rclone', 'ingest', round, [...copy, from, one])), bytes });
    this.#runs.push({ ...(await this.#measured('rclone', 'vault copy', round, [...copy, one, two])), bytes });
  }

  /** From bucket to bucket it has the server copy: that is no way between two servers, and not compared. */
  async #s5cmd({ round, bytes }: Job): Promise<void> {
    if (!this.#order.movers.includes('s5cmd')) return;
    const bucket = `s3://s5cmd-${round}`;
    await this.#order.programs.must(['s5cmd', 'mb', bucket], this.#theirs());
    const copy = ['s5cmd', 'cp', '--exclude', 'lost+found*', `${this.#at(`copied-${round}`)}/`, `${bucket}/`];
    this.#runs.push({ ...(await this.#measured('s5cmd', 'ingest', round, copy)), bytes });
  }

  async #measured(tool: string, operation: string, round: number, command: readonly string[]): Promise<Measured> {
    const isOurs = tool === OURS;
    const measured = await measure(
      {
        ...{ tool, operation, round, command, servers: this.#side.pids, cold: true },
        environment: isOurs ? this.#side.environment : this.#theirs(),
        apart: isOurs ? SERVERS : /./,
        log: this.#at(`${tool}.log`),
      },
      this.#order.programs,
    );
    this.#order.say(`round ${round}  ${operation.padEnd(18)}${tool.padEnd(10)}${measured.wallSeconds.toFixed(1)} s`);
    return measured;
  }

  /** Keys of the server's owner, for rclone as two servers, and for s5cmd. */
  #theirs(): Environment {
    const file = this.#side.at('state', 'embedded.json');
    if (!existsSync(file)) throw new Error('seedship up has left no embedded.json');
    const { destinations } = JSON.parse(readFileSync(file, 'utf8'));
    const { endpoint, region, roles } = destinations.embedded;
    const [id, secret] = [roles.owner['access-key-id'], roles.owner['secret-access-key']];
    const remote = {
      TYPE: 's3',
      PROVIDER: 'Other',
      ENDPOINT: endpoint,
      REGION: region,
      ACCESS_KEY_ID: id,
      SECRET_ACCESS_KEY: secret,
    };
    const remotes = ['ONE', 'TWO'].flatMap((name) =>
      Object.entries(remote).map(([key, value]) => [`RCLONE_CONFIG_${name}_${key}`, value]),
    );
    const keys = {
      AWS_ACCESS_KEY_ID: id,
      AWS_SECRET_ACCESS_KEY: secret,
      AWS_REGION: region,
      S3_ENDPOINT_URL: endpoint,
    };
    // rclone takes no bundle with its transport
    const own = { RCLONE_CONFIG: this.#at('none.conf'), AWS_CA_BUNDLE: undefined };
    return { ...process.env, ...Object.fromEntries(remotes), ...keys, ...own };
  }
}
