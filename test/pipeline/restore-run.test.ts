import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { INDEX_ENTRY_BYTES, openIndexPart, signIndexPart } from '../../format/chunk-index.ts';
import { signerOf, trustOf } from '../../format/credentials.ts';
import { digestOf } from '../../format/digest.ts';
import { deriveDomain, deriveOwner } from '../../format/key-tree.ts';
import { membersOf, openPackSet, signPackSet } from '../../format/pack-set.ts';
import { openPoint, openPointBody, signPoint } from '../../format/recovery-point.ts';
import { openSession } from '../../format/session.ts';
import { certify, newSigningSeed, publicKeyOf, signerFrom } from '../../format/signature.ts';
import type { ChildSecrets, RestoreTask } from '../../pipeline/child-tasks.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { indexName, pointName as nameOfPoint, packSetName } from '../../store/places.ts';
import {
  differences,
  newTestVault,
  ownerSecrets,
  perform,
  pointName,
  stagingTask,
  type TestVault,
  Workbench,
} from './fixture.ts';

let vault: TestVault;
let secrets: ChildSecrets;
let source: string;
let point: string;
let packs: string[];
const SOURCE_BYTES = 24_000_000;
const bench = new Workbench('R-restore');

/** A staging location has the layout of a vault: what is restored from one is restored from the other. */
beforeAll(async () => {
  vault = await newTestVault();
  secrets = ownerSecrets(vault);
  source = bench.makeTree('source', { files: 250, bytes: SOURCE_BYTES });
  await preparePlace(bench.at('staging'));
  point = pointName(await perform(stagingTask(vault, bench, source, { packBytesMax: 4 * MIB }), vault.secrets));
  packs = objectsIn(bench.at('staging'), 'packs').map((name) => path.relative(bench.at('staging'), name));
});
afterAll(() => bench.close());

let targets = 0;
function restoreTask(options: Partial<RestoreTask> = {}): RestoreTask {
  targets += 1;
  return {
    kind: 'restore',
    time: '2026-11-23T03:00:00.000Z',
    vaultId: vault.vaultId,
    vault: { url: `file://${bench.at('staging')}` },
    point,
    paths: [],
    include: [],
    to: bench.at(`target-${targets}`),
    conflict: 'skip',
    stateDirectory: bench.at('owner-state'),
    threads: 3,
    ...options,
  };
}

/** Where `source` comes back. */
function restored({ to }: RestoreTask, ...names: string[]): string {
  return path.join(to, source, ...names);
}

describe('a restore', () => {
  test('puts everything back that a file system holds', async () => {
    const task = restoreTask();
    const result = await perform(task, secrets);
    expect(result).toMatchObject({ mismatchCount: 0, mismatches: [], kept: 0, conflicts: 0 });
    expect(differences(source, restored(task))).toBe('');
    expect(rsyncDifferences(source, restored(task))).toBe('');
    expect(readdirSync(bench.at('owner-state', 'restores')).filter((name) => !name.endsWith('.lock'))).toEqual([]);
  });

  test('writes in batches while it plans, and is as exact', async () => {
    const steps = new Set<string>();
    const task = restoreTask({ batchPieces: 32 });
    const result = await perform(task, secrets, { onProgress: ({ step }) => steps.add(step) });
    expect(result).toMatchObject({ mismatchCount: 0, kept: 0, conflicts: 0 });
    expect(differences(source, restored(task))).toBe('');
    expect(rsyncDifferences(source, restored(task))).toBe('');
    expect(steps).toContain('restore');
  });

  test('of a path brings that path and no other', async () => {
    const task = restoreTask({ paths: [`${source}/odd/crowd`, `${source}/odd/one-again`] });
    const result = await perform(task, secrets);
    expect(result).toMatchObject({ mismatchCount: 0, files: 1501 });
    expect(differences(`${source}/odd/crowd`, restored(task, 'odd', 'crowd'))).toBe('');
    expect(readdirSync(restored(task, 'odd')).sort()).toEqual(['crowd', 'one-again']);
    expect(readdirSync(restored(task))).toEqual(['odd']);
  });

  test('of a path that is not in the point says so, and names no path', async () => {
    const failed = perform(restoreTask({ paths: [source, `${source}/nothing`] }), secrets);
    await expect(failed).rejects.toMatchObject({ code: 'NotFound', message: 'path 2 of 2 is not in this point' });
  });

  test('takes only what globs include, and makes no directory for nothing', async () => {
    const task = restoreTask({ include: ['c000?', 'empty dir'] });
    expect(await perform(task, secrets)).toMatchObject({ files: 10, mismatchCount: 0 });
    expect(readdirSync(restored(task)).sort()).toEqual(['odd']);
    expect(readdirSync(restored(task, 'odd')).sort()).toEqual(['crowd', 'empty dir']);
  });

  test('once more keeps all that is there, and reads no pack', async () => {
    const task = restoreTask();
    const { files } = await perform(task, secrets);
    const inode = statSync(restored(task, 'odd', 'edge-262145')).ino;
    const again = await perform(task, secrets);
    expect(again).toMatchObject({ files, kept: files, conflicts: 0, bytes: 0, mismatchCount: 0 });
    expect(statSync(restored(task, 'odd', 'edge-262145')).ino).toBe(inode);
    expect(differences(source, restored(task))).toBe('');
  });

  test('finds bytes that were changed behind the right size and time', async () => {
    const task = restoreTask({ conflict: 'overwrite', paths: [`${source}/odd`] });
    await perform(task, secrets);
    const victim = restored(task, 'odd', 'edge-2097153');
    const { atime, mtime, mtimeMs } = statSync(victim);
    const fd = openSync(victim, 'r+');
    writeSync(fd, Buffer.from('x'), 0, 1, 1_000_000);
    utimesSync(victim, atime, mtime);
    spawnSync('touch', ['-r', `${source}/odd/edge-2097153`, victim]);
    expect(statSync(victim).mtimeMs).toBeCloseTo(mtimeMs, 0);
    expect(await perform(task, secrets)).toMatchObject({ mismatchCount: 0, conflicts: 0 });
    expect(differences(`${source}/odd`, restored(task, 'odd'))).toBe('');
  });
});

describe('what is in the way', () => {
  async function occupied(conflict: RestoreTask['conflict']): Promise<RestoreTask> {
    const task = restoreTask({ conflict, paths: [`${source}/odd`] });
    mkdirSync(restored(task, 'odd', 'link'), { recursive: true });
    writeFileSync(restored(task, 'odd', 'one'), 'mine');
    writeFileSync(restored(task, 'odd', 'crowd'), 'mine too');
    return task;
  }

  test('stays when it is to be skipped', async () => {
    const task = await occupied('skip');
    expect(await perform(task, secrets)).toMatchObject({ conflicts: 3, mismatchCount: 0 });
    expect(readFileSync(restored(task, 'odd', 'one'), 'utf8')).toBe('mine');
    expect(readFileSync(restored(task, 'odd', 'crowd'), 'utf8')).toBe('mine too');
    expect(readFileSync(restored(task, 'odd', 'one-again'), 'utf8')).toBe('1');
  });

  test('goes when it is to be overwritten, but for directories', async () => {
    const task = await occupied('overwrite');
    const result = await perform(task, secrets);
    expect(result).toMatchObject({ conflicts: 0, mismatchCount: 1 });
    expect(result.mismatches.map(({ path: raw, reason }) => [Buffer.from(raw, 'base64').toString(), reason])).toEqual([
      [path.join(source, 'odd', 'link').slice(1), 'EISDIR'],
    ]);
    rmSync(restored(task, 'odd', 'link'), { recursive: true });
    await perform(task, secrets);
    expect(differences(`${source}/odd`, restored(task, 'odd'))).toBe('');
  });

  test('gets what is restored beside it when that is to be renamed, and only once', async () => {
    const task = await occupied('rename');
    expect(await perform(task, secrets)).toMatchObject({ conflicts: 0, mismatchCount: 0 });
    expect(await perform(task, secrets)).toMatchObject({ conflicts: 0, mismatchCount: 0 });
    expect(readFileSync(restored(task, 'odd', 'one'), 'utf8')).toBe('mine');
    expect(readFileSync(restored(task, 'odd', 'one.restored'), 'utf8')).toBe('1');
    expect(lstatSync(restored(task, 'odd', 'link.restored')).isSymbolicLink()).toBe(true);
    expect(differences(`${source}/odd/crowd`, restored(task, 'odd', 'crowd.restored'))).toBe('');
    expect(existsSync(restored(task, 'odd', 'one.restored-2'))).toBe(false);
  });
});

describe('an interrupted restore', () => {
  test('killed again and again while it plans and writes, goes on, and is exact', async () => {
    const task = restoreTask({ bytesPerSecondMax: 6 * MIB, batchPieces: 64 });
    for (const percent of [0, 1, 5, 20, 20]) {
      const killer = new AbortController();
      const attempt = perform(task, secrets, {
        signal: killer.signal,
        onProgress: ({ step, bytesDone, bytesTotal = SOURCE_BYTES }) => {
          if (step === 'restore' && bytesDone * 100 >= bytesTotal * percent) killer.abort(new Error('killed'));
        },
      });
      await expect(attempt).rejects.toThrow('killed');
    }
    const result = await perform({ ...task, bytesPerSecondMax: 1000 * MIB }, secrets);
    expect(result).toMatchObject({ mismatchCount: 0, conflicts: 0 });
    expect(result.kept).toBeGreaterThan(0);
    expect(differences(source, restored(task))).toBe('');
  });

  test('a big file that was begun is not begun again', async () => {
    const big = bench.at('big');
    mkdirSync(big);
    writeFileSync(path.join(big, 'image'), randomBytes(64 * MIB));
    const made = await perform(stagingTask(vault, bench, big, { packBytesMax: 4 * MIB }), vault.secrets);
    const task = restoreTask({ point: pointName(made), bytesPerSecondMax: 30 * MIB });
    const killer = new AbortController();
    const attempt = perform(task, secrets, {
      signal: killer.signal,
      onProgress: ({ step, bytesDone }) =>
        step === 'restore' && bytesDone > 32 * MIB && killer.abort(new Error('killed')),
    });
    await expect(attempt).rejects.toThrow('killed');
    const result = await perform({ ...task, bytesPerSecondMax: 1000 * MIB }, secrets);
    expect(result.bytes).toBeLessThan(40 * MIB);
    expect(differences(big, path.join(task.to, big))).toBe('');
  });
});

describe('a damaged vault', () => {
  /** A copy of staging to damage. */
  function copyOfVault(): string {
    targets += 1;
    const copy = bench.at(`vault-${targets}`);
    spawnSync('cp', ['-a', bench.at('staging'), copy]);
    return copy;
  }

  test('a missing pack costs the files in it, and they are named', async () => {
    const copy = copyOfVault();
    const pack = path.join(copy, packs[0] ?? '');
    rmSync(pack);
    const task = restoreTask({ vault: { url: `file://${copy}` } });
    const result = await perform(task, secrets);
    expect(result.mismatchCount).toBeGreaterThan(0);
    const lost = new Set(result.mismatches.map(({ path: raw }) => `/${Buffer.from(raw, 'base64').toString('latin1')}`));
    expect(result.mismatches.every(({ reason }) => /missing/.test(reason))).toBe(true);
    for (const name of lost) expect(existsSync(path.join(task.to, name))).toBe(false);
    expect(notRestored(task)).toBe(result.mismatchCount);
  });

  test('names of one file are lost for one reason', async () => {
    const copy = copyOfVault();
    rmSync(path.join(copy, 'packs'), { recursive: true });
    const paths = ['one', 'one-again', 'far'].map((name) => `${source}/odd/${name}`);
    const { mismatches } = await perform(restoreTask({ vault: { url: `file://${copy}` }, paths }), secrets);
    expect(mismatches.map(({ reason }) => reason)).toEqual(Array(3).fill('a pack is missing or damaged'));
  });

  test('a flipped bit in a pack costs the files it touches, and never comes out', async () => {
    const copy = copyOfVault();
    const pack = path.join(copy, packs[1] ?? '');
    const bytes = readFileSync(pack);
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 16, bytes.length >> 1);
    chmodSync(pack, 0o600);
    writeFileSync(pack, bytes);
    const task = restoreTask({ vault: { url: `file://${copy}` } });
    const result = await perform(task, secrets);
    expect(result.mismatchCount).toBeGreaterThan(0);
    expect(result.mismatches.every(({ reason }) => /damaged/.test(reason))).toBe(true);
    const judged = differences(source, restored(task));
    expect(judged).not.toContain(': bytes');
    expect(notRestored(task)).toBe(result.mismatchCount);
    expect(leftBegun(task.to)).toEqual([]);
  });

  test('without its index it is restored from the tables of its packs', async () => {
    const copy = copyOfVault();
    rmSync(path.join(copy, 'index'), { recursive: true });
    const task = restoreTask({ vault: { url: `file://${copy}` }, paths: [`${source}/odd`] });
    expect(await perform(task, secrets)).toMatchObject({ mismatchCount: 0 });
    expect(differences(`${source}/odd`, restored(task, 'odd'))).toBe('');
  });

  test('an index that lies about where chunks lie brings no wrong byte out', async () => {
    const copy = copyOfVault();
    const task = restoreTask({ vault: { url: `file://${copy}` }, point: await pointWithLyingIndex(copy) });
    const result = await perform(task, secrets);
    expect(result.mismatchCount).toBeGreaterThan(0);
    const judged = spawnSync('diff', ['-rq', '--no-dereference', source, restored(task)], { encoding: 'latin1' });
    expect(judged.stdout).toContain('Only in');
    expect(judged.stdout.split('\n').filter((line) => line.endsWith(' differ'))).toEqual([]);
    expect(leftBegun(task.to)).toEqual([]);
  });

  test('an index that a machine of another domain signed is refused', async () => {
    const copy = copyOfVault();
    const owner = deriveOwner(vault.master);
    const seed = newSigningSeed();
    const identity = { role: 'machine', id: 'lab', domain: 'lab', publicKey: publicKeyOf(seed) } as const;
    const trust = trustOf(vault.credentials);
    const stranger = signerFrom(seed, certify(owner, identity, vault.vaultId), trust);
    const task = restoreTask({ vault: { url: `file://${copy}` }, point: await pointWithLyingIndex(copy, stranger) });
    await expect(perform(task, secrets)).rejects.toMatchObject({ code: 'Tampered' });
  });

  test('a point whose name or bytes are not right is refused', async () => {
    const copy = copyOfVault();
    const bytes = readFileSync(path.join(copy, point));
    bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200);
    writeFileSync(path.join(copy, point), bytes);
    await expect(perform(restoreTask({ vault: { url: `file://${copy}` } }), secrets)).rejects.toMatchObject({
      code: 'Corrupt',
    });
  });

  test('another owner opens nothing', async () => {
    const stranger = await newTestVault();
    await expect(perform(restoreTask(), ownerSecrets(stranger))).rejects.toMatchObject({ code: 'Tampered' });
  });
});

/** The machine itself signs a point whose index has the places of neighbouring chunks of one frame exchanged. */
async function pointWithLyingIndex(place: string, indexSigner = signerOf(vault.credentials)): Promise<string> {
  const trust = trustOf(vault.credentials);
  const by = { signer: signerOf(vault.credentials), trust };
  const { indexKey } = deriveDomain(vault.master, vault.machine);
  const opened = openPoint(readFileSync(path.join(place, point)), { trust });
  const sessionKey = await openSession(opened.head.wrap, vault.restoreIdentity);
  const { set } = openPackSet(readFileSync(path.join(place, packSetName(opened.head.packSet))), { trust });
  const objects = await Promise.all(
    membersOf(set).map(async (object) => {
      if (object.kind !== 'index') return object;
      const part = openIndexPart(readFileSync(path.join(place, indexName(object.name))), { trust, indexKey });
      const kinds = part.packs.map(({ kind }) => kind);
      const bytes = signIndexPart(
        { ...part, entries: exchanged(Buffer.from(part.entries), kinds) },
        { trust, signer: indexSigner, indexKey },
      );
      const name = digestOf(bytes);
      writeFileSync(path.join(place, indexName(name)), bytes);
      return { kind: 'index', name, length: bytes.length } as const;
    }),
  );
  const packSet = signPackSet({ full: objects }, by);
  writeFileSync(path.join(place, packSetName(digestOf(packSet))), packSet);
  const head = { ...opened.head, packSet: digestOf(packSet) };
  const signed = signPoint(head, openPointBody(opened, sessionKey), { ...by, sessionKey });
  const name = nameOfPoint(head.machine, head.sequence, digestOf(signed));
  writeFileSync(path.join(place, name), signed);
  return name;
}

/** Entries of data packs, pairwise, each with the other's place. */
function exchanged(entries: Buffer, kinds: readonly string[]): Buffer {
  const places = entriesOf(entries).filter((entry) => kinds[entry.readUInt32LE(20)] === 'pack');
  for (let at = 0; at + 1 < places.length; at += 2) {
    const [one, other] = [places[at], places[at + 1]];
    const held = Buffer.from(one?.subarray(20) ?? []);
    one?.set(other?.subarray(20) ?? [], 20);
    other?.set(held, 20);
  }
  return entries;
}

function entriesOf(entries: Buffer): Buffer[] {
  const views: Buffer[] = [];
  for (let at = 0; at < entries.length; at += INDEX_ENTRY_BYTES)
    views.push(entries.subarray(at, at + INDEX_ENTRY_BYTES));
  return views;
}

function objectsIn(place: string, kind: string): string[] {
  const folder = path.join(place, kind);
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => path.join(folder, name))
    .filter((name) => statSync(name).isFile())
    .sort();
}

/** How many names the restored tree has less; find goes where paths are longer than PATH_MAX. */
function notRestored(task: RestoreTask): number {
  const count = (folder: string): number =>
    spawnSync('find', [folder, '!', '-type', 'd', '-printf', '.'], { encoding: 'utf8' }).stdout.length;
  return count(source) - count(restored(task));
}

/** Files under temporary names. */
function leftBegun(folder: string): string[] {
  return spawnSync('find', [folder, '-name', '.seedship-*'], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
}

/** rsync's word on it, where there is one. */
function rsyncDifferences(left: string, right: string): string {
  const words = ['-nacHAX', '--modify-window=-1', '--delete', '--itemize-changes', `${left}/`, `${right}/`];
  const judged = spawnSync('rsync', words, { encoding: 'utf8' });
  if (judged.error) return '';
  const deep = /deep-\d\d-|cannot (?:stat|opendir)|File name too long|some files.*code 23|skipping file deletion/;
  return `${judged.stdout}\n${judged.stderr}`
    .split('\n')
    .filter((line) => line !== '' && !deep.test(line))
    .join('\n');
}
