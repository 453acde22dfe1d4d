/**
 * Four hundred drives and objects that are not what they were: each is told with its object and the place
 * where it begins to be wrong, and everything else is taken. By a seed: a round that fails can be run again.
 *
 * Each is spoiled in the file system of a disk, ext4 and xfs by turns, which is let go and then taken in as the dock
 * takes in a disk: from its device, read-only.
 */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { CopyOutcome } from '../../domain/copy-code.ts';
import { Failure } from '../../domain/failure.ts';
import { KIB, MIB } from '../../domain/units.ts';
import { type CopiedObject, openCopyLog } from '../../format/copy-log.ts';
import { trustOf } from '../../format/credentials.ts';
import { digestOf } from '../../format/digest.ts';
import { SEGMENT_BYTES } from '../../format/drive-seal.ts';
import { newAgeIdentity } from '../../format/session.ts';
import type { BackupResult, ChildSecrets, DriveAt, IngestTask, TransferResult } from '../../pipeline/child-tasks.ts';
import { takeDrive } from '../../pipeline/drive-intake.ts';
import { placeOf } from '../../pipeline/object-list.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { FILE_SYSTEMS } from '../../store/drive-mount.ts';
import { copyLogName, DRIVE_KEYS, packSetName } from '../../store/places.ts';
import { LoopDisk, releaseDisks, run } from '../harness/loop-disk.ts';
import { newTestVault, perform, siteSecrets, stagingTask, type TestVault, Workbench } from '../pipeline/fixture.ts';
import { formatted } from './rig.ts';

const TOGETHER_MAX = 4;
const SECTOR = 512;
/** xfs is not made smaller. */
const DISK_BYTES = 400 * MIB;
const HEAD = 38;
const SEALED_SEGMENT = SEGMENT_BYTES + 16;
const drive = '7F3A000000000001';
const other = '9B1C000000000002';
const time = '2026-11-23T03:00:00.000Z';
const bench = new Workbench('seedship-corrupt');
let vault: TestVault;
let staged: BackupResult;
let dock: ChildSecrets;
/** By number: where the drive has it. */
let places: readonly string[];
let shipped: TransferResult;
/** One of each file system; drives arrive on them by turns. */
const disks: DriveAt[] = [];
/** Drives that arrived on each in this test: half of them, and half. */
const arrivals = new Map<string, number>();
let chance = 20_261_123;

/** Lehmer's, the minimal standard one. */
function random(below: number): number {
  chance = (chance * 48_271) % 2_147_483_647;
  return chance % below;
}

beforeAll(async () => {
  vault = await newTestVault();
  const datacenter = await newAgeIdentity();
  dock = { ...siteSecrets(vault, 'dock.eu-west.bay1'), datacenterIdentity: datacenter.identity };
  const source = bench.makeTree('source', { files: 80, bytes: 12_000_000 });
  for (const place of ['staging', 'landing']) await preparePlace(bench.at(place));
  staged = await perform(stagingTask(vault, bench, source, { packBytesMax: 2.5 * MIB }), vault.secrets);
  const prepare = (id: string, folder: string, step: string, to: number) =>
    perform(
      {
        ...{ kind: 'transfer', mode: 'prepare', run: 'seed-run', step, time, vaultId: vault.vaultId, job: 'hq-2026' },
        ...{ packSet: staged.packSet, drive: { path: bench.at(folder), id }, ranges: [{ from: 0, to }] },
        from: { url: `file://${bench.at('staging')}` },
        datacenterRecipient: datacenter.recipient,
        keysTo: [{ url: `file://${bench.at('landing')}` }],
        stateDirectory: bench.at('copy-state'),
      },
      siteSecrets(vault, 'copy.attic'),
    );
  const half = staged.objects >> 1;
  for (const folder of ['drive', 'other']) bench.makeDirectory(folder);
  await prepare(drive, 'drive', 'first', half);
  cpSync(bench.at('drive'), bench.at('older'), { recursive: true });
  shipped = await prepare(drive, 'drive', 'second', staged.objects);
  await prepare(other, 'other', 'other', staged.objects);
  places = Array.from({ length: staged.objects }, (_, number) => {
    const name = `objects/000/${String(number).padStart(6, '0')}`;
    return number < half ? `${name}.1` : `${name}.2`;
  });
  for (const fileSystem of FILE_SYSTEMS)
    disks.push(await formatted(new LoopDisk({ bytes: DISK_BYTES, serial: `SPOILT-${fileSystem}` }), drive, fileSystem));
  expect(staged.objects).toBeGreaterThan(7);
  expect(places.some((place) => sizeOf(place) > 2 * SEALED_SEGMENT)).toBe(true);
}, 120_000);
beforeEach(() => arrivals.clear());
afterEach(() => {
  const [one = 0, two = 0] = FILE_SYSTEMS.map((fileSystem) => arrivals.get(fileSystem) ?? 0);
  expect(Math.min(one, two)).toBeGreaterThanOrEqual(Math.max(1, Math.floor((one + two) / 2)));
});
afterAll(() => {
  releaseDisks();
  bench.close();
});

function sizeOf(place: string): number {
  return statSync(bench.at('drive', place)).size;
}

interface Found {
  readonly number: number;
  readonly outcome: CopyOutcome;
  readonly offset: number | undefined;
}
/** Spoils objects of the drive in `folder`, and says what must be found. */
type Injection = (folder: string, number: number, partner: number) => Found[];

/** The segment a byte is in, as the log tells it. */
function segmentOf(byte: number): number {
  const number = Math.floor(Math.max(0, byte - HEAD) / SEALED_SEGMENT);
  return number === 0 ? 0 : HEAD + number * SEALED_SEGMENT;
}

const patched = (file: string, at: number, change: (bytes: Buffer) => void): void => {
  const bytes = readFileSync(file);
  change(bytes.subarray(at));
  writeFileSync(file, bytes);
};

/** What a foreign file in place of an object is told as; only whole segments can be judged. */
function foreignFile(number: number, length: number): Found {
  const expected = sizeOf(places[number] ?? '');
  if (length >= expected) return { number, outcome: 'altered', offset: 0 };
  return { number, outcome: 'short', offset: length < HEAD + SEALED_SEGMENT ? length : 0 };
}

const bit: Injection = (folder, number) => {
  const place = places[number] ?? '';
  const at = random(4) === 0 ? random(HEAD) : random(sizeOf(place));
  patched(path.join(folder, place), at, (bytes) => bytes.writeUInt8(bytes.readUInt8(0) ^ (1 << random(8)), 0));
  return [{ number, outcome: 'altered', offset: segmentOf(at) }];
};

const sector: Injection = (folder, number) => {
  const place = places[number] ?? '';
  const at = random(Math.ceil(sizeOf(place) / SECTOR)) * SECTOR;
  const fill = random(256);
  patched(path.join(folder, place), at, (bytes) => bytes.fill(fill, 0, Math.min(SECTOR, bytes.length)));
  return [{ number, outcome: 'altered', offset: segmentOf(at) }];
};

const truncation: Injection = (folder, number) => {
  const place = places[number] ?? '';
  const length =
    random(3) === 0 ? Math.min(segmentOf(random(sizeOf(place))), sizeOf(place) - 1) : random(sizeOf(place));
  truncateSync(path.join(folder, place), length);
  return [{ number, outcome: 'short', offset: length }];
};

const swapped: Injection = (folder, number, partner) => {
  const [one = '', two = ''] = [places[number], places[partner]];
  const spare = path.join(folder, 'spare');
  renameSync(path.join(folder, one), spare);
  renameSync(path.join(folder, two), path.join(folder, one));
  renameSync(spare, path.join(folder, two));
  return [foreignFile(number, sizeOf(two)), foreignFile(partner, sizeOf(one))];
};

/** What another epoch, or another drive, had under this number. */
const stale: Injection = (folder, number) => {
  const place = places[number] ?? '';
  const name = place.slice(0, -2);
  const from =
    place.endsWith('.1') || random(2) === 0 ? bench.at('other', `${name}.1`) : bench.at('older', places[0] ?? '');
  cpSync(from, path.join(folder, place));
  return [foreignFile(number, statSync(from).size)];
};

interface Round {
  readonly disk: DriveAt;
  readonly task: IngestTask;
  readonly landing: string;
}

/** Does something to what lies on a disk, in the file system itself: what is read later comes from the device. */
function onDisk<T>({ path: device }: DriveAt, work: (folder: string) => T): T {
  const folder = bench.at('mounted');
  mkdirSync(folder, { recursive: true });
  run('mount', device, folder);
  try {
    return work(folder);
  } finally {
    run('umount', folder);
  }
}

/** The next disk becomes a copy of a drive, which is spoiled. */
function copied<T>(disk: DriveAt, from: string, spoil: (folder: string) => T): T {
  return onDisk(disk, (folder) => {
    for (const old of readdirSync(folder)) rmSync(path.join(folder, old), { recursive: true });
    cpSync(bench.at(from), folder, { recursive: true });
    return spoil(folder);
  });
}

/** A drive as it arrives, spoiled, and an empty container with the keys and the set. */
async function arrived<T>(from: string, spoil: (folder: string) => T): Promise<Round & { readonly spoiled: T }> {
  const disk = disks.shift();
  if (!disk) throw new Error('no disk');
  disks.push(disk);
  const { fileSystem = '' } = disk.disk ?? {};
  arrivals.set(fileSystem, (arrivals.get(fileSystem) ?? 0) + 1);
  const spoiled = copied(disk, from, spoil);
  const landing = bench.at('taken-in');
  rmSync(landing, { recursive: true, force: true });
  await preparePlace(landing);
  cpSync(bench.at('landing', DRIVE_KEYS), path.join(landing, DRIVE_KEYS), { recursive: true });
  mkdirSync(path.join(landing, 'pack-sets'));
  cpSync(bench.at('staging', packSetName(staged.packSet)), path.join(landing, packSetName(staged.packSet)));
  const { manifest = staged.packSet, epoch = 0 } = shipped;
  const task: IngestTask = {
    ...{ kind: 'transfer', mode: 'ingest', run: 'seed-run', step: 'ingest', time, vaultId: vault.vaultId },
    ...{ job: 'hq-2026', packSet: staged.packSet, manifest, epoch, drive: disk },
    to: { url: `file://${landing}` },
    stateDirectory: bench.at('dock-state'),
  };
  return { disk, task, landing, spoiled };
}

const take = ({ task }: Round) => takeDrive(task, dock, () => {});

function logOf({ landing }: Round, { copyLog }: TransferResult): readonly CopiedObject[] {
  const bytes = readFileSync(path.join(landing, copyLogName(copyLog ?? staged.packSet)));
  return openCopyLog(bytes, { trust: trustOf(vault.credentials), drive, job: 'hq-2026' }).log.objects;
}

/** All but these are in landing, each the bytes of its name; these are not. */
function expectTaken({ landing }: Round, log: readonly CopiedObject[], but: readonly Found[]): void {
  const bad = new Set(but.map(({ number }) => number));
  for (const object of log) {
    const file = path.join(landing, placeOf(object));
    if (bad.has(object.number)) expect(() => statSync(file)).toThrow('ENOENT');
    else expect(digestOf(readFileSync(file))).toBe(object.name);
  }
}

async function spoilObjects(inject: Injection, cases: number): Promise<number> {
  let done = 0;
  while (done < cases) {
    const numbers = places.map((_, number) => number).sort(() => random(3) - 1);
    const round = await arrived('drive', (folder) => {
      const found: Found[] = [];
      for (let more = 0; more < TOGETHER_MAX && done < cases; more++, done++)
        found.push(...inject(folder, numbers.pop() ?? 0, inject === swapped ? (numbers.pop() ?? 0) : 0));
      return found;
    });
    const expected = round.spoiled;
    const result = await take(round);
    const log = logOf(round, result);
    const refused = log.flatMap(({ number, outcome, offset }) =>
      outcome === 'taken' ? [] : [{ number, outcome, offset }],
    );
    expect(refused).toEqual([...expected].sort((one, two) => one.number - two.number));
    expect([log.length, result.objects]).toEqual([staged.objects, staged.objects - expected.length]);
    expectTaken(round, log, expected);
  }
  return done;
}

describe('an object of a drive', () => {
  test.each<[string, Injection, number]>([
    ['in which one bit changed', bit, 120],
    ['of which a sector holds something else', sector, 90],
    ['that is cut', truncation, 70],
    ['that another one stands for', swapped, 30],
    ['of another epoch or drive', stale, 30],
  ])(
    '%s is told with the place it begins at, and all others are taken',
    async (_, inject, cases) => {
      expect(await spoilObjects(inject, cases)).toBe(cases);
    },
    120_000,
  );
});

/** Of a whole drive that is refused: why, and that nothing of it was taken. */
async function refused(round: Round): Promise<unknown[]> {
  const failure = await take(round).catch((error: unknown) => error);
  const landed = ['packs', 'trees', 'index', 'copy-logs'].filter((name) => {
    try {
      return statSync(path.join(round.landing, name)).isDirectory();
    } catch {
      return false;
    }
  });
  return failure instanceof Failure ? [failure.code, failure.detail, landed] : [failure, landed];
}

describe('a drive', () => {
  test('of an older epoch is told as such, whatever else is wrong with it', async () => {
    for (let done = 0; done < 15; done++) {
      const place = `objects/000/${String(random(staged.objects >> 1)).padStart(6, '0')}.1`;
      const round = await arrived('older', (folder) =>
        patched(path.join(folder, place), random(16 * KIB), (bytes) => bytes.fill(done, 0, 1)),
      );
      expect(await refused(round)).toEqual(['DriveOutdated', 'ManifestCorrupted', []]);
    }
  });

  test('of another job or place is foreign, under its own name or a borrowed one', async () => {
    const label = (folder: string) => path.join(folder, 'SEEDSHIP-DRIVE.json');
    for (let done = 0; done < 15; done++) {
      const borrowed = done % 3 > 0;
      const round = await arrived('other', (folder) => {
        if (borrowed) writeFileSync(label(folder), readFileSync(label(bench.at('drive'))));
      });
      const why = borrowed ? 'ManifestCorrupted' : 'ManifestDriveIdMismatch';
      expect(await refused(round)).toEqual(['DriveForeign', why, []]);
    }
  });

  test('that is a clone with anything changed in its manifest is not believed', async () => {
    for (let done = 0; done < 15; done++) {
      const round = await arrived('drive', (folder) => {
        const file = path.join(folder, 'manifest');
        const { size } = statSync(file);
        if (done % 3 === 0) truncateSync(file, random(size));
        else patched(file, random(size), (bytes) => bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0));
      });
      expect(await refused(round)).toEqual(['DriveForeign', 'ManifestCorrupted', []]);
    }
  });

  test('that is an exact clone gives what it carries once, and nothing the second time', async () => {
    for (let done = 0; done < 15; done++) {
      const round = await arrived('drive', (folder) => (done % 2 === 0 ? bit(folder, random(staged.objects), 0) : []));
      const { spoiled } = round;
      const first = await take(round);
      expect([first.objects, first.damaged]).toEqual([staged.objects - spoiled.length, spoiled.length]);
      copied(round.disk, 'drive', () => {});
      const clone: Round = { ...round, task: { ...round.task, step: 'ingest-2' } };
      const second = await take(clone);
      expect([second.objects, second.present]).toEqual([spoiled.length, staged.objects - spoiled.length]);
      expectTaken(clone, logOf(clone, second), []);
    }
  });
});
