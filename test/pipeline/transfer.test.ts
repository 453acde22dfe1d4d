import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Digest } from '../../domain/names.ts';
import { MIB } from '../../domain/units.ts';
import { openCopyLog } from '../../format/copy-log.ts';
import { trustOf } from '../../format/credentials.ts';
import { digestOf } from '../../format/digest.ts';
import { openManifest, sealManifest } from '../../format/drive-manifest.ts';
import { objectPlace, sealDriveFile } from '../../format/drive-seal.ts';
import { type AgeIdentity, newAgeIdentity, openSession } from '../../format/session.ts';
import type {
  BackupResult,
  ChildSecrets,
  DriveAt,
  IngestTask,
  PrepareTask,
  RestoreTask,
  SendTask,
  TransferResult,
} from '../../pipeline/child-tasks.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { copyLogName, driveKeyName, packSetName } from '../../store/places.ts';
import {
  differences,
  newTestVault,
  ownerSecrets,
  packsIn,
  perform,
  pointName,
  siteSecrets,
  stagingTask,
  type TestVault,
  Workbench,
} from './fixture.ts';

let vault: TestVault;
let datacenter: AgeIdentity;
let copySite: ChildSecrets;
let dockSite: ChildSecrets;
let source: string;
let staged: BackupResult;
const bench = new Workbench('R-transfer');

beforeAll(async () => {
  vault = await newTestVault();
  datacenter = await newAgeIdentity();
  copySite = siteSecrets(vault, 'copy.attic');
  dockSite = { ...siteSecrets(vault, 'dock.eu-west.bay1'), datacenterIdentity: datacenter.identity };
  source = bench.makeTree('source', { files: 200, bytes: 24_000_000 });
  await preparePlace(bench.at('staging'));
  staged = await perform(stagingTask(vault, bench, source, { packBytesMax: 1 * MIB }), vault.secrets);
});
afterAll(() => bench.close());

let counter = 0;
function unique(): string {
  counter += 1;
  return `${counter}`.padStart(2, '0');
}

async function place(name: string): Promise<string> {
  const folder = bench.at(`${name}-${unique()}`);
  await preparePlace(folder);
  return folder;
}

function newDrive(options: Partial<DriveAt> = {}): DriveAt {
  const number = unique();
  const folder = bench.at(`drive-${number}`);
  mkdirSync(folder);
  return { path: folder, id: `7F3A0000000000${number}`, ...options };
}

const step = { time: '2026-11-23T03:00:00.000Z' };

function prepareTask(drive: DriveAt, landing: string, options: Partial<PrepareTask> = {}): PrepareTask {
  return {
    ...step,
    kind: 'transfer',
    mode: 'prepare',
    run: 'seed-run',
    step: `prepare-${drive.id}`,
    vaultId: vault.vaultId,
    packSet: staged.packSet,
    job: 'hq-2026',
    from: { url: `file://${bench.at('staging')}` },
    drive,
    ranges: [{ from: 0, to: staged.objects }],
    datacenterRecipient: datacenter.recipient,
    keysTo: [{ url: `file://${landing}` }],
    stateDirectory: bench.at('copy-state'),
    ...options,
  };
}

function ingestTask(drive: DriveAt, landing: string, prepared: TransferResult): IngestTask {
  return {
    ...step,
    kind: 'transfer',
    mode: 'ingest',
    run: 'seed-run',
    step: `ingest-${drive.id}`,
    vaultId: vault.vaultId,
    packSet: staged.packSet,
    job: 'hq-2026',
    drive,
    manifest: prepared.manifest ?? staged.packSet,
    epoch: prepared.epoch ?? 0,
    to: { url: `file://${landing}` },
    stateDirectory: bench.at('dock-state'),
  };
}

function sendTask(from: string, to: string, options: Partial<SendTask> = {}): SendTask {
  return {
    ...step,
    kind: 'transfer',
    mode: 'copy',
    run: 'seed-run',
    step: 'copy',
    vaultId: vault.vaultId,
    packSet: staged.packSet,
    from: { url: `file://${from}` },
    to: { url: `file://${to}` },
    what: 'objects',
    ...options,
  };
}

/** As `registerImport` does: the dock reads landing only. */
function shareSet(landing: string): void {
  mkdirSync(path.join(landing, 'pack-sets'), { recursive: true });
  const name = packSetName(staged.packSet);
  writeFileSync(path.join(landing, name), readFileSync(bench.at('staging', name)));
}

function filesOf(drive: DriveAt): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(drive.path, { recursive: true, encoding: 'utf8' }).sort()) {
    const status = statSync(path.join(drive.path, name), { bigint: true, throwIfNoEntry: false }); // it is at work
    if (status?.isFile()) found.set(name, `${status.ino} ${status.mtimeNs} ${status.size}`);
  }
  return found;
}

function objectsOf(drive: DriveAt): [string, string][] {
  return [...filesOf(drive)].filter(([name]) => name.startsWith('objects/'));
}

function flipBit(file: string): void {
  const bytes = readFileSync(file);
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 4, bytes.length >> 1);
  chmodSync(file, 0o600);
  writeFileSync(file, bytes);
}

async function restoredDifferences(from: string): Promise<string> {
  const task: RestoreTask = {
    ...step,
    kind: 'restore',
    vaultId: vault.vaultId,
    vault: { url: `file://${from}` },
    point: pointName(staged),
    paths: [],
    include: [],
    to: bench.at(`restored-${unique()}`),
    conflict: 'skip',
    stateDirectory: bench.at('owner-state'),
  };
  expect(await perform(task, ownerSecrets(vault))).toMatchObject({ mismatchCount: 0 });
  return differences(source, path.join(task.to, source));
}

describe('the way of a seed', () => {
  test('staging, two drives, landing, vault: what comes back is exact', async () => {
    const [landing, target] = [await place('landing'), await place('vault')];
    const half = staged.objects >> 1;
    const [one, two] = [newDrive(), newDrive()];
    const first = await perform(prepareTask(one, landing, { ranges: [{ from: 0, to: half }] }), copySite);
    const second = await perform(prepareTask(two, landing, { ranges: [{ from: half, to: staged.objects }] }), copySite);
    expect([first.objects + second.objects, first.ranges, first.epoch]).toEqual([
      staged.objects,
      [{ from: 0, to: half }],
      1,
    ]);
    shareSet(landing);
    const taken = await perform(ingestTask(one, landing, first), dockSite);
    expect(taken).toMatchObject({ objects: half, missing: 0, damaged: 0, missingRanges: [] });
    await perform(ingestTask(two, landing, second), dockSite);
    const claim = sendTask(bench.at('staging'), target, {
      mode: 'send',
      what: 'claim',
      step: 'state',
      point: pointName(staged),
    });
    await perform(claim, vault.secrets);
    const copied = await perform(sendTask(landing, target), siteSecrets(vault, 'vault.main'));
    expect(copied).toMatchObject({ missing: 0, damaged: 0, missingRanges: [] });
    expect(packsIn(target).size).toBe(packsIn(bench.at('staging')).size);
    expect(await restoredDifferences(target)).toBe('');
  });

  test("a second attempt of each step finds the first one's receipt, and writes nothing", async () => {
    const [landing, target, drive] = [await place('landing'), await place('vault'), newDrive()];
    const prepare = prepareTask(drive, landing);
    const prepared = await perform(prepare, copySite);
    shareSet(landing);
    const ingest = ingestTask(drive, landing, prepared);
    const [ingested, copied] = [await perform(ingest, dockSite), await perform(sendTask(landing, target), copySite)];
    const before = [filesOf(drive), packsIn(landing), packsIn(target)];
    expect(await perform(prepare, copySite)).toEqual(prepared);
    expect(await perform(ingest, dockSite)).toEqual(ingested);
    expect(await perform(sendTask(landing, target), copySite)).toEqual(copied);
    expect([filesOf(drive), packsIn(landing), packsIn(target)]).toEqual(before);
  });

  test('an ingest that finds its receipt, but not all that the receipt counts, takes the drive in again', async () => {
    const [landing, drive] = [await place('landing'), newDrive()];
    const prepared = await perform(prepareTask(drive, landing), copySite);
    shareSet(landing);
    const ingest = ingestTask(drive, landing, prepared);
    const ingested = await perform(ingest, dockSite);
    const before = [...packsIn(landing).keys()];
    const [lost = ''] = before;
    rmSync(path.join(landing, lost));
    expect(await perform(ingest, dockSite)).toEqual(ingested);
    expect([...packsIn(landing).keys()]).toEqual(before);
    expect(readFileSync(path.join(landing, lost)).equals(readFileSync(bench.at('staging', lost)))).toBe(true);
  });

  test('nothing on a drive tells whose it is or what is on it', async () => {
    const drive = newDrive();
    await perform(prepareTask(drive, await place('landing')), copySite);
    const bytes = Buffer.concat([...filesOf(drive).keys()].map((name) => readFileSync(path.join(drive.path, name))));
    for (const word of ['hq-2026', vault.vaultId, staged.packSet, datacenter.recipient, 'SSPK', 'SSDM', 'SSDJ', source])
      for (const form of [
        Buffer.from(word),
        Buffer.from(word, 'hex'),
        Buffer.from(Buffer.from(word).toString('base64')),
      ])
        expect(form.length > 0 && bytes.includes(form)).toBe(false);
    expect(bytes.includes(drive.id)).toBe(true); // the same search finds what is there
  });
});

describe('preparing a drive', () => {
  test('killed at any moment, it goes on at the next object, under a new key', async () => {
    const [landing, drive] = [await place('landing'), newDrive()];
    const task = prepareTask(drive, landing, { bytesPerSecondMax: 12 * MIB });
    let before = new Map<string, string>();
    for (let kills = 1; kills <= 4; kills++) {
      const killer = new AbortController();
      const attempt = perform(task, copySite, {
        signal: killer.signal,
        onProgress: () => objectsOf(drive).length >= kills * 3 && killer.abort(new Error('killed')),
      });
      await expect(attempt).rejects.toThrow('killed');
      const after = new Map(objectsOf(drive));
      for (const [name, identity] of [...before].slice(0, -1)) expect(after.get(name)).toBe(identity);
      before = after;
    }
    const prepared = await perform({ ...task, bytesPerSecondMax: 1000 * MIB }, copySite);
    expect(prepared).toMatchObject({ objects: staged.objects, epoch: 5 });
    expect(prepared.wraps).toHaveLength(5);
    expect(objectsOf(drive)).toHaveLength(staged.objects);
    shareSet(landing);
    expect(await perform(ingestTask(drive, landing, prepared), dockSite)).toMatchObject({
      objects: staged.objects,
      missing: 0,
      damaged: 0,
    });
  });

  test('a drive that fills says what it carries, and the next one takes the rest', async () => {
    const landing = await place('landing');
    const small = newDrive({ capacityBytes: 8 * MIB });
    const first = await perform(prepareTask(small, landing), copySite);
    expect(first.objects).toBeGreaterThan(1);
    expect(first.objects).toBeLessThan(staged.objects);
    const used = [...filesOf(small).values()].reduce((sum, text) => sum + Number(text.split(' ')[2]), 0);
    expect(used).toBeLessThan(8 * MIB + 1000);
    const rest = [{ from: first.ranges?.at(-1)?.to ?? 0, to: staged.objects }];
    const second = await perform(prepareTask(newDrive(), landing, { ranges: rest }), copySite);
    expect([first.objects + second.objects, second.ranges]).toEqual([staged.objects, rest]);
  });

  test('an object that rots on the drive while it is prepared is found before it is shipped', async () => {
    const [landing, drive] = [await place('landing'), newDrive()];
    const task = prepareTask(drive, landing, { bytesPerSecondMax: 12 * MIB });
    let flipped = false;
    const attempt = perform(task, copySite, {
      onProgress: () => {
        const [first] = objectsOf(drive);
        if (flipped || !first || objectsOf(drive).length < 3) return;
        flipped = true;
        flipBit(path.join(drive.path, first[0]));
      },
    });
    await expect(attempt).rejects.toMatchObject({ code: 'DriveFailed' });
  });

  test.each(['manifest', 'journal.1'])('so is a %s that does not read back', async (name) => {
    let failure: unknown;
    for (let tries = 0; tries < 5 && !failure; tries += 1) {
      const [landing, drive] = [await place('landing'), newDrive()];
      const file = path.join(drive.path, name);
      const watch = setInterval(() => {
        const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
        if (size % 4096 === 0) return; // not there, or written past the cache and still to be cut to its length
        clearInterval(watch);
        flipBit(file); // while the objects, which come first, are read back; on a busy machine it may come too late
      }, 1);
      failure = await perform(prepareTask(drive, landing), copySite).then(() => undefined, Object);
      clearInterval(watch);
    }
    expect(failure).toMatchObject({ code: 'DriveFailed', message: expect.stringContaining('journal') });
  });

  test('an object that rotted in staging is left out and named, not sealed', async () => {
    const landing = await place('landing');
    const rotten = await place('staging');
    spawnSync('cp', ['-a', `${bench.at('staging')}/.`, rotten]);
    const [first = ''] = packsIn(rotten).keys();
    flipBit(path.join(rotten, first));
    const [, second = ''] = packsIn(rotten).keys();
    rmSync(path.join(rotten, second));
    const result = await perform(prepareTask(newDrive(), landing, { from: { url: `file://${rotten}` } }), copySite);
    expect(result).toMatchObject({ objects: staged.objects - 2, missing: 1, damaged: 1 });
    expect(result.missingRanges.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(2);
  });

  test('two attempts at once leave an exact drive: the second ends the first', async () => {
    const [landing, drive] = [await place('landing'), newDrive()];
    const task = prepareTask(drive, landing, { bytesPerSecondMax: 12 * MIB });
    let pid = 0;
    const first = perform(task, copySite, {
      onStart: (started) => {
        pid = started;
      },
      onProgress: () => objectsOf(drive).length === 4 && process.kill(pid, 'SIGSTOP'),
    }).catch((error: unknown) => error);
    while (objectsOf(drive).length < 4) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const second = await perform({ ...task, bytesPerSecondMax: 1000 * MIB }, copySite);
    expect(await first).toMatchObject({ code: 'ChildDied' });
    expect(second).toMatchObject({ objects: staged.objects, epoch: 2 });
    expect(objectsOf(drive)).toHaveLength(staged.objects);
    shareSet(landing);
    expect(await perform(ingestTask(drive, landing, second), dockSite)).toMatchObject({
      objects: staged.objects,
      damaged: 0,
    });
  });

  test('a drive of another job is not written to', async () => {
    const [landing, drive] = [await place('landing'), newDrive()];
    await perform(prepareTask(drive, landing), copySite);
    const other = prepareTask(drive, landing, { job: 'other', step: 'other' });
    await expect(perform(other, copySite)).rejects.toMatchObject({ code: 'WrongState' });
    await expect(perform(prepareTask({ ...drive, id: 'AAAAAAAAAAAAAAAA' }, landing), copySite)).rejects.toMatchObject({
      code: 'DriveForeign',
    });
  });
});

describe('taking a drive in', () => {
  async function preparedDrive(): Promise<{ landing: string; drive: DriveAt; prepared: TransferResult }> {
    const [landing, drive] = [await place('landing'), newDrive()];
    const prepared = await perform(prepareTask(drive, landing), copySite);
    shareSet(landing);
    return { landing, drive, prepared };
  }

  test('bad objects are found and named, and all good ones taken', async () => {
    const { landing, drive, prepared } = await preparedDrive();
    const [flipped, gone, swapped, other] = objectsOf(drive).map(([name]) => path.join(drive.path, name));
    flipBit(flipped ?? '');
    rmSync(gone ?? '');
    const [length, otherLength] = [swapped, other].map((file) => statSync(file ?? '').size);
    renameSync(swapped ?? '', `${swapped}.x`);
    renameSync(other ?? '', swapped ?? '');
    renameSync(`${swapped}.x`, other ?? '');
    const task = ingestTask(drive, landing, prepared);
    const result = await perform(task, dockSite);
    expect(result).toMatchObject({
      objects: staged.objects - 4,
      missing: 1,
      damaged: 3,
      missingRanges: [{ from: 0, to: 4 }],
    });
    expect(
      readLog(landing, task, result)
        .map(({ outcome }) => outcome)
        .slice(0, 5),
    ).toEqual([
      'altered',
      'absent',
      (otherLength ?? 0) < (length ?? 0) ? 'short' : 'altered',
      (length ?? 0) < (otherLength ?? 0) ? 'short' : 'altered',
      'taken',
    ]);
    expect(packsIn(landing).size).toBe(packsIn(bench.at('staging')).size - badPacks(landing));
  });

  test('an older state of the drive, another manifest and another drive are told apart', async () => {
    const { landing, drive, prepared } = await preparedDrive();
    const task = ingestTask(drive, landing, prepared);
    const old = { ...drive, path: `${drive.path}-old` };
    spawnSync('cp', ['-a', drive.path, old.path]);
    const again = await perform(prepareTask(drive, landing, { step: 'again' }), copySite);
    await expect(perform(ingestTask(old, landing, again), dockSite)).rejects.toMatchObject({ code: 'DriveOutdated' });
    await expect(perform(task, dockSite)).rejects.toMatchObject({ code: 'DriveForeign' }); // not the one recorded
    flipBit(path.join(drive.path, 'manifest'));
    await expect(perform(ingestTask(drive, landing, again), dockSite)).rejects.toMatchObject({ code: 'DriveForeign' });
    rmSync(path.join(drive.path, 'manifest'));
    await expect(perform(task, dockSite)).rejects.toMatchObject({ code: 'DriveFailed' });
    const foreign = newDrive();
    await perform(prepareTask(foreign, landing), copySite);
    await expect(perform({ ...task, drive: { ...foreign, id: drive.id } }, dockSite)).rejects.toMatchObject({
      code: 'DriveForeign',
    });
    await expect(perform({ ...task, drive: { ...drive, path: bench.at('nowhere') } }, dockSite)).rejects.toMatchObject({
      code: 'DriveMissing',
    });
  });

  test('what is not of the signed set, or not what its name says, is refused however well it is sealed', async () => {
    const { landing, drive, prepared } = await preparedDrive();
    const wrap = readFileSync(path.join(landing, driveKeyName(drive.id, 1)));
    const driveKey = await openSession(wrap, datacenter.identity);
    const expected = { drive: drive.id, vaultId: vault.vaultId, job: 'hq-2026', packSet: staged.packSet };
    const manifest = openManifest(readFileSync(path.join(drive.path, 'manifest')), {
      name: prepared.manifest ?? staged.packSet,
      driveKey,
      expected,
    });
    const replaceBy = (number: number, bytes: Buffer): Digest => {
      const sealed = sealDriveFile(bytes, { driveKey, place: objectPlace(number, 1) });
      writeFileSync(path.join(drive.path, objectPlace(number, 1)), sealed);
      return digestOf(sealed);
    };
    const planted = Buffer.from('planted');
    const objects = manifest.objects.map((object) => {
      if (object.number === 0) return { ...object, sealed: replaceBy(0, Buffer.alloc(object.length)) };
      if (object.number !== 1) return object;
      return { ...object, name: digestOf(planted), length: planted.length, sealed: replaceBy(1, planted) };
    });
    const forged = sealManifest({ ...manifest, objects }, driveKey);
    writeFileSync(path.join(drive.path, 'manifest'), forged);
    const task = ingestTask(drive, landing, { ...prepared, manifest: digestOf(forged) });
    const result = await perform(task, dockSite);
    expect(result).toMatchObject({ objects: staged.objects - 2, damaged: 2, missing: 0 });
    expect(
      readLog(landing, task, result)
        .slice(0, 3)
        .map(({ outcome }) => outcome),
    ).toEqual(['broken', 'foreign', 'taken']);
    expect(readdirSync(landing, { recursive: true, encoding: 'utf8' }).join()).not.toContain(digestOf(planted));
  });

  test('a dock of another datacenter opens nothing', async () => {
    const { landing, drive, prepared } = await preparedDrive();
    const stranger = { ...dockSite, datacenterIdentity: (await newAgeIdentity()).identity };
    await expect(perform(ingestTask(drive, landing, prepared), stranger)).rejects.toMatchObject({ code: 'Corrupt' });
  });

  test('killed half-way, it goes on with what landing does not have', async () => {
    const { landing, drive, prepared } = await preparedDrive();
    const task = { ...ingestTask(drive, landing, prepared), bytesPerSecondMax: 12 * MIB };
    const killer = new AbortController();
    const attempt = perform(task, dockSite, {
      signal: killer.signal,
      onProgress: ({ objectsDone }) => objectsDone > staged.objects / 2 && killer.abort(new Error('killed')),
    });
    await expect(attempt).rejects.toThrow('killed');
    const before = packsIn(landing);
    expect(before.size).toBeGreaterThan(1);
    const result = await perform({ ...task, bytesPerSecondMax: 1000 * MIB }, dockSite);
    expect(result.objects + result.present).toBe(staged.objects);
    expect(result.present).toBeGreaterThanOrEqual(before.size);
    const after = packsIn(landing);
    for (const [name, identity] of before) expect(after.get(name)).toBe(identity);
  });

  test('held to the line’s hours it takes nothing in, looks now and then, and goes on when it is let', async () => {
    const { landing, drive, prepared } = await preparedDrive();
    const task = ingestTask(drive, landing, prepared);
    const before = packsIn(landing).size;
    const killer = new AbortController();
    let looks = 0;
    const onProgress = () => {
      looks += 1;
      if (looks > 2) killer.abort(new Error('still waiting'));
    };
    const byDay = { ...task, line: [{ minute: 0, bytesPerSecond: 1 }] };
    await expect(perform(byDay, dockSite, { signal: killer.signal, onProgress })).rejects.toThrow('still waiting');
    expect(packsIn(landing).size).toBe(before);
    const atNight = await perform({ ...task, line: [{ minute: 0 }] }, dockSite);
    expect(atNight.objects).toBe(staged.objects);
  });

  function readLog(landing: string, task: IngestTask, { copyLog }: TransferResult) {
    const name: Digest = copyLog ?? staged.packSet;
    const bytes = readFileSync(path.join(landing, copyLogName(name)));
    const expected = { trust: trustOf(vault.credentials), name, drive: task.drive.id, job: task.job };
    return openCopyLog(bytes, expected).log.objects;
  }

  /** Of the four that are bad, those that are packs or trees. */
  function badPacks(landing: string): number {
    const there = packsIn(landing);
    return [...packsIn(bench.at('staging')).keys()].filter((name) => !there.has(name)).length;
  }
});

describe('moving objects between stores', () => {
  test('what is missing or rotten at the source is counted, and the rest moved', async () => {
    const [from, to] = [await place('landing'), await place('vault')];
    spawnSync('cp', ['-a', `${bench.at('staging')}/.`, from]);
    const names = [...packsIn(from).keys()];
    rmSync(path.join(from, names[0] ?? ''));
    flipBit(path.join(from, names[1] ?? ''));
    const result = await perform(sendTask(from, to), copySite);
    expect(result).toMatchObject({ objects: staged.objects - 2, missing: 1, damaged: 1 });
    expect([...packsIn(to).keys()]).not.toContain(names[1]);
    const healed = await perform(
      sendTask(bench.at('staging'), to, { mode: 'send', step: 'again', ranges: result.missingRanges }),
      copySite,
    );
    expect(healed).toMatchObject({ objects: 2, missing: 0, damaged: 0 });
    expect(packsIn(to).size).toBe(packsIn(bench.at('staging')).size);
  });

  test('killed half-way, it neither reads nor moves again what has arrived', async () => {
    const [from, to] = [await place('staging'), await place('vault')];
    spawnSync('cp', ['-a', `${bench.at('staging')}/.`, from]);
    const task = sendTask(from, to, { bytesPerSecondMax: 12 * MIB });
    const killer = new AbortController();
    const attempt = perform(task, copySite, {
      signal: killer.signal,
      onProgress: ({ objectsDone }) => objectsDone > staged.objects / 2 && killer.abort(new Error('killed')),
    });
    await expect(attempt).rejects.toThrow('killed');
    const before = packsIn(to);
    for (const name of before.keys()) rmSync(path.join(from, name));
    const result = await perform({ ...task, bytesPerSecondMax: 1000 * MIB }, copySite);
    expect(result).toMatchObject({ missing: 0, damaged: 0 });
    const after = packsIn(to);
    for (const [name, identity] of before) expect(after.get(name)).toBe(identity);
    expect(after.size).toBe(packsIn(bench.at('staging')).size);
  });

  test('a spool is drained while the backup fills it, and the point restores', async () => {
    const to = await place('vault');
    const spool = bench.at(`spool-${unique()}`);
    const state = bench.at(`state-${unique()}`);
    const backup = stagingTask(vault, bench, source, {
      to: { kind: 'spool', directory: spool, bytesMax: 6 * MIB },
      stateDirectory: state,
      packBytesMax: 1 * MIB,
    });
    const drain = {
      ...step,
      kind: 'transfer' as const,
      mode: 'drain' as const,
      run: backup.run,
      step: 'send',
      vaultId: vault.vaultId,
      directory: spool,
      to: { url: `file://${to}` },
      stageStep: backup.step,
      machine: backup.machine,
      protection: backup.protection,
      stateDirectory: state,
    };
    const [made, drained] = await Promise.all([perform(backup, vault.secrets), perform(drain, vault.secrets)]);
    expect(packsIn(spool).size).toBe(0);
    expect(drained.objects).toBe(packsIn(to).size);
    staged = made;
    const claim = sendTask(spool, to, {
      mode: 'send',
      what: 'claim',
      step: 'state',
      packSet: made.packSet,
      point: pointName(made),
    });
    await perform(claim, vault.secrets);
    expect(await restoredDifferences(to)).toBe('');
  });
});
