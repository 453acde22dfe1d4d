/** Each code of a copy log, raised by a drive or an object that really is so. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type CopyOutcome, driveCode, OBJECT_CODES } from '../../domain/copy-code.ts';
import { MIB } from '../../domain/units.ts';
import { type CopiedObject, openCopyLog } from '../../format/copy-log.ts';
import { trustOf } from '../../format/credentials.ts';
import { digestOf } from '../../format/digest.ts';
import { openManifest, sealManifest } from '../../format/drive-manifest.ts';
import { objectPlace, sealDriveFile } from '../../format/drive-seal.ts';
import { type AgeIdentity, newAgeIdentity, openSession } from '../../format/session.ts';
import type { BackupResult, ChildSecrets, IngestTask, TransferResult } from '../../pipeline/child-tasks.ts';
import { placeOf } from '../../pipeline/object-list.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { copyLogName, driveKeyName, packSetName } from '../../store/places.ts';
import { newTestVault, perform, siteSecrets, stagingTask, type TestVault, Workbench } from './fixture.ts';

let vault: TestVault;
let datacenter: AgeIdentity;
let dock: ChildSecrets;
let staged: BackupResult;
const bench = new Workbench('J2-codes');
const time = '2026-11-23T03:00:00.000Z';

beforeAll(async () => {
  vault = await newTestVault();
  datacenter = await newAgeIdentity();
  dock = { ...siteSecrets(vault, 'dock.eu-west.bay1'), datacenterIdentity: datacenter.identity };
  const source = bench.makeTree('source', { files: 60, bytes: 6_000_000 });
  await preparePlace(bench.at('staging'));
  staged = await perform(stagingTask(vault, bench, source, { packBytesMax: 1 * MIB }), vault.secrets);
});
afterAll(() => bench.close());

interface Ground {
  readonly landing: string;
  readonly folder: string;
  readonly task: IngestTask;
  /** The file of an object on the drive. */
  object(number: number): string;
}

let counter = 10;

/** A drive as it arrives, and the container it is to go to. */
async function arrived(): Promise<Ground> {
  counter += 1;
  const [landing, folder] = [bench.at(`landing-${counter}`), bench.at(`drive-${counter}`)];
  await preparePlace(landing);
  mkdirSync(folder);
  const drive = { path: folder, id: `7F3A0000000000${counter}` };
  const common = { kind: 'transfer', run: 'seed-run', vaultId: vault.vaultId, packSet: staged.packSet } as const;
  const prepared = await perform(
    {
      ...{ ...common, mode: 'prepare', step: `prepare-${drive.id}`, time, job: 'hq-2026', drive },
      from: { url: `file://${bench.at('staging')}` },
      ranges: [{ from: 0, to: staged.objects }],
      datacenterRecipient: datacenter.recipient,
      keysTo: [{ url: `file://${landing}` }],
      stateDirectory: bench.at('copy-state'),
    },
    siteSecrets(vault, 'copy.attic'),
  );
  mkdirSync(path.join(landing, 'pack-sets'), { recursive: true });
  copyFileSync(bench.at('staging', packSetName(staged.packSet)), path.join(landing, packSetName(staged.packSet)));
  const task: IngestTask = {
    ...{ ...common, mode: 'ingest', step: `ingest-${drive.id}`, time, job: 'hq-2026', drive },
    manifest: prepared.manifest ?? staged.packSet,
    epoch: prepared.epoch ?? 0,
    to: { url: `file://${landing}` },
    stateDirectory: bench.at('dock-state'),
  };
  return { landing, folder, task, object: (number) => path.join(folder, objectPlace(number, 1)) };
}

function logOf({ landing, task }: Ground, { copyLog }: TransferResult): readonly CopiedObject[] {
  const bytes = readFileSync(path.join(landing, copyLogName(copyLog ?? staged.packSet)));
  const trust = trustOf(vault.credentials);
  return openCopyLog(bytes, { trust, drive: task.drive.id, job: task.job }).log.objects;
}

function flipBit(file: string): void {
  const bytes = readFileSync(file);
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 4, bytes.length >> 1);
  rmSync(file);
  writeFileSync(file, bytes);
}

/** What stands there answers an errno to whoever opens it, root included, as a bad sector would. */
function makeUnreadable(file: string): void {
  rmSync(file);
  const script = 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])';
  const { status } = spawnSync('python3', ['-c', script, path.basename(file)], { cwd: path.dirname(file) });
  expect(status).toBe(0);
}

async function driveKeyOf({ landing, task }: Ground): Promise<Buffer> {
  return openSession(readFileSync(path.join(landing, driveKeyName(task.drive.id, 1))), datacenter.identity);
}

/** Seals other bytes as object 0, and a manifest that says so. */
async function reseal(ground: Ground, bytes: (length: number) => Buffer, renamed: boolean): Promise<IngestTask> {
  const driveKey = await driveKeyOf(ground);
  const { task, folder } = ground;
  const expected = { drive: task.drive.id, vaultId: vault.vaultId, job: task.job, packSet: staged.packSet };
  const at = { name: task.manifest, driveKey, expected };
  const manifest = openManifest(readFileSync(path.join(folder, 'manifest')), at);
  const objects = manifest.objects.map((object) => {
    if (object.number !== 0) return object;
    const plain = bytes(object.length);
    const sealed = sealDriveFile(plain, { driveKey, place: objectPlace(0, 1) });
    writeFileSync(ground.object(0), sealed);
    const named = renamed ? { name: digestOf(plain), length: plain.length } : {};
    return { ...object, ...named, sealed: digestOf(sealed) };
  });
  const forged = sealManifest({ ...manifest, objects }, driveKey);
  writeFileSync(path.join(folder, 'manifest'), forged);
  return { ...task, manifest: digestOf(forged) };
}

/** What was done to object 0 of a drive; all others stay as they were. */
const OBJECTS: readonly [CopyOutcome, string, string, (ground: Ground) => Promise<IngestTask | undefined>][] = [
  ['taken', 'Completed', 'Completed', async () => undefined],
  [
    'present',
    'Completed',
    'Completed',
    async ({ landing, task }) => {
      await perform(task, dock);
      rmSync(path.join(landing, 'receipts'), { recursive: true });
      return undefined;
    },
  ],
  ['absent', 'FileNotFound', 'CompletedWithErrors', async ({ object }) => void rmSync(object(0))],
  ['unreadable', 'IOFailed', 'CompletedWithErrors', async ({ object }) => void makeUnreadable(object(0))],
  ['altered', 'Corrupted', 'CompletedWithErrors', async ({ object }) => void flipBit(object(0))],
  ['short', 'FileUnexpectedEnd', 'CompletedWithErrors', async ({ object }) => void truncateSync(object(0), 1000)],
  ['broken', 'Corrupted', 'CompletedWithErrors', (ground) => reseal(ground, (length) => Buffer.alloc(length), false)],
  ['foreign', 'NotInJob', 'CompletedWithWarnings', (ground) => reseal(ground, () => Buffer.from('planted'), true)],
  [
    'occupied',
    'BlobUnexpectedChange',
    'CompletedWithErrors',
    async (ground) => {
      const clean = await arrived();
      const [first] = logOf(clean, await perform(clean.task, dock));
      if (!first) throw new Error('the drive carries nothing');
      const file = path.join(ground.landing, placeOf(first));
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, 'somebody else was here first');
      return undefined;
    },
  ],
];

describe('an object', () => {
  test.each(OBJECTS)('that is %s is logged as %s, and its drive as %s', async (outcome, code, whole, alter) => {
    const ground = await arrived();
    const task = (await alter(ground)) ?? ground.task;
    const log = logOf({ ...ground, task }, await perform(task, dock));
    expect(log).toHaveLength(staged.objects);
    expect([log[0]?.outcome, OBJECT_CODES[log[0]?.outcome ?? 'taken'].code]).toEqual([outcome, code]);
    expect(log.slice(1).every((one) => OBJECT_CODES[one.outcome].code === 'Completed')).toBe(true);
    expect(driveCode(log.map((one) => one.outcome))).toBe(whole);
  });

  test('has a code for every outcome that a log can hold', () => {
    expect(OBJECTS.map(([outcome]) => outcome).sort()).toEqual(Object.keys(OBJECT_CODES).sort());
  });
});

/** Done to a drive on its way; what is returned is changed in the task. */
const DRIVES: readonly [string, string, (ground: Ground) => unknown][] = [
  ['DiskNotFound', 'DriveMissing', ({ task }) => ({ drive: { ...task.drive, path: bench.at('nowhere') } })],
  ['DiskOperationFailed', 'DriveFailed', ({ folder }) => makeUnreadable(path.join(folder, 'SEEDSHIP-DRIVE.json'))],
  [
    'ManifestDriveIdMismatch',
    'DriveForeign',
    async ({ task }) => ({ drive: { ...task.drive, path: (await arrived()).folder } }),
  ],
  ['ManifestNotFound', 'DriveFailed', ({ folder }) => rmSync(path.join(folder, 'manifest'))],
  ['ReadManifestFailed', 'DriveFailed', ({ folder }) => makeUnreadable(path.join(folder, 'manifest'))],
  ['ManifestCorrupted', 'DriveForeign', ({ folder }) => flipBit(path.join(folder, 'manifest'))],
  [
    'ManifestFormatInvalid',
    'Corrupt',
    async (ground) => {
      const driveKey = await driveKeyOf(ground);
      const sealed = sealDriveFile(Buffer.from('no manifest'), { driveKey, place: 'manifest' });
      writeFileSync(path.join(ground.folder, 'manifest'), sealed);
      return { manifest: digestOf(sealed) };
    },
  ],
  [
    'BitLockerProtectorNotFound',
    'NotFound',
    ({ landing, task }) => rmSync(path.join(landing, driveKeyName(task.drive.id, 1))),
  ],
  [
    'BitLockerKeyInvalid',
    'Corrupt',
    ({ landing, task }) => flipBit(path.join(landing, driveKeyName(task.drive.id, 1))),
  ],
  ['BlobListFormatInvalid', 'Corrupt', ({ landing }) => flipBit(path.join(landing, packSetName(staged.packSet)))],
];

describe('a drive', () => {
  test.each(DRIVES)('is refused with %s (%s), and nothing of it is taken', async (detail, code, alter) => {
    const ground = await arrived();
    const before = readdirSync(ground.landing, { recursive: true }).length;
    const altered: Partial<IngestTask> = Object(await alter(ground));
    await expect(perform({ ...ground.task, ...altered }, dock)).rejects.toMatchObject({ code, detail });
    expect(readdirSync(ground.landing, { recursive: true }).length).toBeLessThanOrEqual(before);
  });

  test('whose key was wrapped to another datacenter is refused with BitLockerKeyInvalid', async () => {
    const { task } = await arrived();
    const stranger = { ...dock, datacenterIdentity: (await newAgeIdentity()).identity };
    await expect(perform(task, stranger)).rejects.toMatchObject({ detail: 'BitLockerKeyInvalid' });
  });
});
