/** A staged seed, a copy host and a dock, for tests that put faults into the drives between them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { digestOf } from '../../format/digest.ts';
import { newAgeIdentity } from '../../format/session.ts';
import type {
  BackupResult,
  ChildSecrets,
  DriveAt,
  IngestTask,
  PrepareTask,
  TransferResult,
} from '../../pipeline/child-tasks.ts';
import { discoverDisks } from '../../store/block-device.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { formatDisk } from '../../store/disk-format.ts';
import type { FileSystem } from '../../store/drive-mount.ts';
import { packSetName } from '../../store/places.ts';
import { LoopDisk, run } from '../harness/loop-disk.ts';
import {
  newTestVault,
  packsIn,
  perform,
  siteSecrets,
  stagingTask,
  type TestVault,
  Workbench,
} from '../pipeline/fixture.ts';

const time = '2026-11-23T03:00:00.000Z';
const packBytesMax = 1 * MIB;

export interface RigDisk {
  readonly loop: LoopDisk;
  readonly at: DriveAt;
}

/** A disk as `drive prepare` leaves it before the first object: partitioned, with an empty file system. */
export async function formatted(loop: LoopDisk, id: string, fileSystem: FileSystem): Promise<DriveAt> {
  const disk = (await discoverDisks()).find(({ device }) => device === loop.device);
  if (!disk) throw new Error(`${loop.device} is not there`);
  const made = await formatDisk({ disk, drive: id, fileSystem }, { roles: {}, onLine: () => {} });
  return { path: made.device, id, disk: { fileSystem, uuid: made.uuid } };
}

export class DriveRig {
  readonly bench: Workbench;
  readonly vault: TestVault;
  readonly staged: BackupResult;
  readonly copySite: ChildSecrets;
  readonly dockSite: ChildSecrets;
  readonly #recipient: string;
  readonly #bytesPerSecondMax: number;
  #drives = 0;

  private constructor(parts: {
    bench: Workbench;
    vault: TestVault;
    staged: BackupResult;
    datacenter: { readonly identity: string; readonly recipient: string };
    bytesPerSecondMax: number;
  }) {
    const { bench, vault, staged, datacenter, bytesPerSecondMax } = parts;
    [this.bench, this.vault, this.staged] = [bench, vault, staged];
    this.copySite = siteSecrets(vault, 'copy.attic');
    this.dockSite = { ...siteSecrets(vault, 'dock.eu-west.bay1'), datacenterIdentity: datacenter.identity };
    this.#recipient = datacenter.recipient;
    this.#bytesPerSecondMax = bytesPerSecondMax;
  }

  /**
   * @param bytesPerSecondMax so slow that faults hit the middle
   * @param lay puts the folder that all of it lies in on a disk of its own
   */
  static async start(name: string, bytesPerSecondMax: number, lay = (_: string): void => {}): Promise<DriveRig> {
    const bench = new Workbench(`seedship-${name}`);
    lay(bench.directory);
    const vault = await newTestVault();
    const source = bench.makeTree('source', { files: 200, bytes: 24_000_000 });
    await preparePlace(bench.at('staging'));
    const staged = await perform(stagingTask(vault, bench, source, { packBytesMax }), vault.secrets);
    run('sync', '--file-system', bench.directory);
    return new DriveRig({ bench, vault, staged, datacenter: await newAgeIdentity(), bytesPerSecondMax });
  }

  async newDisk(fileSystem: FileSystem): Promise<RigDisk> {
    const loop = new LoopDisk({ bytes: 400 * MIB, serial: `RIG-${this.#drives}-17` });
    return { loop, at: await this.format(loop, fileSystem) };
  }

  /** Makes a disk the next drive. */
  async format(loop: LoopDisk, fileSystem: FileSystem): Promise<DriveAt> {
    this.#drives += 1;
    return formatted(loop, `7F3A0000000000${String(this.#drives).padStart(2, '0')}`, fileSystem);
  }

  prepareTask(drive: DriveAt, landing: string): PrepareTask {
    return {
      ...this.#step('prepare', drive),
      mode: 'prepare',
      from: { url: `file://${this.bench.at('staging')}` },
      ranges: [{ from: 0, to: this.staged.objects }],
      datacenterRecipient: this.#recipient,
      keysTo: [{ url: `file://${landing}` }],
      stateDirectory: this.bench.at('copy-state'),
    };
  }

  ingestTask(drive: DriveAt, landing: string, { manifest, epoch = 0 }: TransferResult): IngestTask {
    if (manifest === undefined) throw new Error('nothing was prepared');
    return {
      ...this.#step('ingest', drive),
      ...{ mode: 'ingest', manifest, epoch },
      to: { url: `file://${landing}` },
      stateDirectory: this.bench.at('dock-state'),
    };
  }

  #step(name: string, drive: DriveAt) {
    const [{ vaultId }, { packSet }] = [this.vault, this.staged];
    const base = { kind: 'transfer', run: 'seed-run', step: `${name}-${drive.id}`, time, vaultId, packSet } as const;
    return { ...base, job: 'hq-2026', drive, bytesPerSecondMax: this.#bytesPerSecondMax };
  }

  async landingOf({ id }: DriveAt): Promise<string> {
    const folder = this.bench.at(`landing-${id}`);
    await preparePlace(folder);
    mkdirSync(path.join(folder, 'pack-sets'), { recursive: true });
    const name = packSetName(this.staged.packSet);
    writeFileSync(path.join(folder, name), readFileSync(this.bench.at('staging', name)));
    run('sync', '--file-system', folder); // nobody's power is cut before it began
    return folder;
  }

  /** The packs of staging are in landing but for so many, and each is what its name says. */
  expectLanded(landing: string, but = 0): void {
    const wanted = [...packsIn(this.bench.at('staging')).keys()].sort();
    const landed = [...packsIn(landing).keys()].sort();
    expect(wanted.filter((name) => !landed.includes(name))).toHaveLength(but);
    for (const name of landed) expect(digestOf(readFileSync(path.join(landing, name)))).toBe(name.slice(-64));
  }
}
