/**
 * The stand-alone reader of doc/reader, in a process of its own, on a directory copy of a vault that real
 * backups made. It judges restores elsewhere; here it is shown that it restores everything, and is strict.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Digest } from '../domain/names.ts';
import { digestOf, toDigest } from '../format/digest.ts';
import { newWords, sealSlot } from '../format/key-slot.ts';
import { deriveDomain, deriveOwner } from '../format/key-tree.ts';
import { openPackTable } from '../format/pack.ts';
import { signRemoval } from '../format/removal.ts';
import { signRepair } from '../format/repair.ts';
import { ownerSigner } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import { signVaultConfig } from '../format/vault-config.ts';
import type { BackupResult } from '../pipeline/child-tasks.ts';
import { preparePlace } from '../store/directory-store.ts';
import { repairName, tombstoneName } from '../store/places.ts';
import {
  differences,
  newTestVault,
  perform,
  pointName,
  stagingTask,
  type TestVault,
  Workbench,
} from './pipeline/fixture.ts';

const READER = fileURLToPath(new URL('../doc/reader/read-vault.mjs', import.meta.url));
const PASSPHRASE = 'korrekt Pferd Batterie Klammer é';
const words = newWords();
const bench = new Workbench('reader');
let vault: TestVault;
let source: string;
let first: BackupResult;
let second: BackupResult;

function byOwner() {
  const owner = deriveOwner(vault.master);
  return { signer: ownerSigner(owner), trust: { vaultId: vault.vaultId, ownerPublic: owner.publicKey } };
}

/** What `vault create` writes. */
function furnish(folder: string): void {
  const { vaultId: id, master } = vault;
  const config = { id, name: 'test', region: 'eu-west', redundancy: 'local', created: '2026-11-23T00:00:00Z' };
  for (const known of ['config', 'keys']) rmSync(path.join(folder, known), { recursive: true, force: true });
  writeFileSync(path.join(folder, 'config'), signVaultConfig(config, byOwner()));
  mkdirSync(path.join(folder, 'keys/slots'), { recursive: true });
  const slots = {
    passphrase: { kind: 'passphrase', passphrase: PASSPHRASE },
    words: { kind: 'words', words },
  } as const;
  for (const [name, secret] of Object.entries(slots))
    writeFileSync(path.join(folder, 'keys/slots', name), sealSlot(secret, master));
}

/** Lays what a transfer would bring into `folder`; files are shared, so spoil them by `spoil` alone. */
function lay(from: string, folder: string): void {
  const copied = spawnSync('cp', ['-alT', from, folder], { encoding: 'utf8' });
  if (copied.status !== 0) throw new Error(copied.stderr);
}

async function backUp(place: string, state: string) {
  await preparePlace(place);
  const to = { kind: 'staging', place: { url: `file://${place}` } } as const;
  return perform(stagingTask(vault, bench, source, { to, stateDirectory: state }), vault.secrets);
}

beforeAll(async () => {
  vault = await newTestVault();
  source = bench.makeTree('source', { seed: 3, files: 300, bytes: 24_000_000 });
  first = await backUp(bench.at('staging'), bench.at('state'));
  writeFileSync(path.join(source, 'odd', 'empty'), 'not so empty any more');
  writeFileSync(path.join(source, 'new file'), 'made while the seed travelled');
  const to = { kind: 'spool', directory: bench.at('spool'), bytesMax: 2 ** 30 } as const;
  second = await perform(stagingTask(vault, bench, source, { to }), vault.secrets);
  lay(bench.at('staging'), bench.at('vault'));
  lay(bench.at('spool'), bench.at('vault'));
  furnish(bench.at('vault'));
  writeFileSync(bench.at('passphrase'), `${PASSPHRASE.normalize('NFD')}\n`);
  writeFileSync(bench.at('words'), `${words.toUpperCase().replaceAll(' ', '\n')}\n`);
});
afterAll(() => bench.close());

let numbers = 0;
const fresh = (name: string): string => bench.at(`${name}-${++numbers}`);

/** A vault to be spoiled. */
function copy(): string {
  const folder = fresh('vault');
  lay(bench.at('vault'), folder);
  return folder;
}

/** Puts other bytes under a name. */
function spoil(folder: string, name: string, alter: (bytes: Buffer) => Uint8Array): void {
  const bytes = alter(readFileSync(path.join(folder, name)));
  rmSync(path.join(folder, name));
  writeFileSync(path.join(folder, name), bytes);
}

function flipped(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes;
}

const middle = (bytes: Buffer): Buffer => flipped(bytes, bytes.length >> 1);

/** The reader, by the words, which take no second to stretch. */
function read(folder: string, ...asked: string[]) {
  return run([READER, folder, '--words-file', bench.at('words'), ...asked]);
}

function run(words: readonly string[], through: readonly string[] = []) {
  const [program = '', ...rest] = [...through, process.execPath, ...words];
  const { status, stdout, stderr } = spawnSync(program, rest, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

function namesUnder(folder: string, prefix: string): string[] {
  const names = readdirSync(path.join(folder, prefix), { recursive: true, withFileTypes: true });
  return names
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
}

function dataPacks(folder: string): StoredObject[] {
  return namesUnder(folder, 'packs').map((name) => {
    const bytes = readFileSync(path.join(folder, name));
    return { kind: 'pack', name: digestOf(bytes), length: bytes.length };
  });
}

function at({ name }: StoredObject): string {
  return `packs/${name.slice(0, 2)}/${name}`;
}

/** As the owner would sign it after the loss of packs. */
function repair(folder: string, lost: readonly StoredObject[], by: readonly StoredObject[], gone: Digest[] = []): void {
  const { indexKey } = deriveDomain(vault.master, vault.machine);
  const replacements = lost.map((object) => ({ lost: object, by }));
  const bytes = signRepair(replacements, { chunks: gone, indexKey }, byOwner());
  mkdirSync(path.join(folder, 'repairs'), { recursive: true });
  writeFileSync(path.join(folder, repairName(digestOf(bytes))), bytes);
}

describe('the stand-alone reader', () => {
  test('imports nothing of ours', () => {
    const text = readFileSync(READER, 'utf8');
    const imported = [...text.matchAll(/^(?:import|export) [^;]*?'([^']+)';$|import\(/gm)].map(([, name]) => name);
    const stock = [
      '@scure/bip39',
      '@scure/bip39/wordlists/english.js',
      'age-encryption',
      'koffi',
      'zstd-napi/binding.js',
    ];
    expect(imported.filter((name) => !name?.startsWith('node:'))).toEqual(stock);
    expect(text).not.toMatch(/\b(require|createRequire)\b/);
  });

  test('lists the points and says which can be restored', () => {
    const { status, stdout, stderr } = read(bench.at('vault'), 'list');
    expect([status, stderr]).toEqual([0, '']);
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(/^home-0001-[0-9a-f]{4} {2}2026-11-23T02:00:00.000Z {2}hq {2}initial {2}complete$/);
    expect(lines[1]).toBe(`  ${pointName(first)}`);
    expect(lines[2]).toMatch(/^home-0002-[0-9a-f]{4} .* incremental {2}complete$/);
  });

  test('restores all that file systems hold, from a full set and a delta, without a network', () => {
    const to = fresh('restored');
    const asked = [READER, bench.at('vault'), '--passphrase-file', bench.at('passphrase')];
    const offline = run(['-e', '0'], ['unshare', '-n']).status === 0 ? ['unshare', '-n'] : [];
    const { status, stderr } = run([...asked, 'restore', pointName(second), to], offline);
    expect([status, stderr]).toEqual([0, '']);
    expect(differences(source, path.join(to, source))).toBe('');
    // rsync itself fails on paths past PATH_MAX, and judges the rest
    const rsync = ['-nacHAX', '--modify-window=-1', '--delete', '--itemize-changes', '--exclude=/odd/deep-00-*'];
    const judged = spawnSync('rsync', [...rsync, `${source}/`, `${path.join(to, source)}/`], { encoding: 'utf8' });
    if (!judged.error) expect(judged.stdout + judged.stderr).toBe('');
  });

  test('restores an older point as it was, by its short name', () => {
    const to = fresh('restored');
    const { status, stdout } = read(bench.at('vault'), 'restore', first.point.label, to);
    expect([status, stdout]).toEqual([0, expect.stringContaining(`${first.point.label}: `)]);
    const back = path.join(to, source);
    expect(readFileSync(path.join(back, 'odd/empty'), 'utf8')).toBe('');
    expect(existsSync(path.join(back, 'new file'))).toBe(false);
    const others = differences(source, back).split('\n').slice(0, -2);
    expect(others.filter((line) => !/^b'(odd\/empty|new file|\.)': /.test(line))).toEqual([]);
  });
});

describe('the stand-alone reader refuses', () => {
  test.each(['packs', 'trees'])('a flipped bit anywhere in one of %s, and names it', (kind) => {
    const [name = ''] = namesUnder(bench.at('staging'), kind);
    const { length } = readFileSync(bench.at('vault', name));
    for (const place of [7, 1000, length >> 1, length - 40]) {
      const folder = copy();
      spoil(folder, name, (bytes) => flipped(bytes, place));
      const to = fresh('restored');
      const { status, stderr } = read(folder, 'restore', first.point.label, to);
      expect([status, stderr]).toEqual([1, `${name}: not the bytes of its name\n`]);
      expect(existsSync(to)).toBe(false);
    }
  });

  test('a pack under the name of another, one cut short, and one that is not there', () => {
    const [one, other] = dataPacks(bench.at('vault'));
    if (!one || !other) throw new Error('the test needs two packs');
    const swapped = copy();
    spoil(swapped, at(one), () => readFileSync(bench.at('vault', at(other))));
    expect(read(swapped, 'restore', second.point.label, fresh('to')).stderr).toContain(`${at(one)}: `);
    const short = copy();
    spoil(short, at(one), (bytes) => bytes.subarray(0, -1));
    expect(read(short, 'restore', second.point.label, fresh('to')).stderr).toContain(`not ${one.length}\n`);
    const without = copy();
    rmSync(path.join(without, at(one)));
    const { status, stderr } = read(without, 'restore', second.point.label, fresh('to'));
    expect([status, stderr]).toEqual([1, `${at(one)}: is not there\n`]);
    expect(read(without, 'list').stdout).toContain(`waits for 1, first ${at(one)}: is not there`);
  });

  test.each(['config', 'keys/slots', 'points', 'pack-sets'])('an altered byte in %s, and names it', (prefix) => {
    const folder = copy();
    const names = prefix === 'config' ? ['config'] : namesUnder(folder, prefix);
    for (const name of names) spoil(folder, name, middle);
    const { status, stderr } = read(folder, 'list');
    expect([status, stderr]).toEqual([1, expect.stringMatching(new RegExp(`^${prefix}`))]);
  });

  test('a point that was given another sequence, or to another machine', () => {
    const folder = copy();
    const later = pointName(second).replace('0000000002', '0000000009');
    renameSync(path.join(folder, pointName(second)), path.join(folder, later));
    expect(read(folder, 'list').stderr).toBe(`${later}: not of the sequence its name says\n`);
    const other = copy();
    renameSync(path.join(other, 'points/hq'), path.join(other, 'points/branch'));
    expect(read(other, 'list').stderr).toContain('not of the machine or domain that signed it');
  });

  test('points of another vault, and another vault that passes for this one', async () => {
    const mine = vault;
    try {
      vault = await newTestVault();
      const folder = copy();
      furnish(folder);
      expect(read(folder, 'list').stderr).toMatch(/^points\/hq\/0000000001-.*: the signature does not hold\n$/);
      const other = copy();
      spoil(other, 'config', () => readFileSync(path.join(folder, 'config')));
      expect(read(other, 'list').stderr).toBe('config: the signature does not hold\n');
    } finally {
      vault = mine;
    }
  });

  test('a wrong passphrase, other words, and a question it does not know', () => {
    const wrong = bench.at('wrong');
    writeFileSync(wrong, 'another passphrase altogether');
    expect(run([READER, bench.at('vault'), '--passphrase-file', wrong, 'list'])).toMatchObject({ status: 1 });
    writeFileSync(wrong, newWords());
    const { status, stderr } = run([READER, bench.at('vault'), '--words-file', wrong, 'list']);
    expect([status, stderr]).toEqual([1, expect.stringContaining('no key slot of this vault is opened by that')]);
    for (const asked of [[], ['restore', 'x'], ['list', 'x'], ['--what', 'list']])
      expect(read(bench.at('vault'), ...asked).status).toBe(2);
    expect(run([READER, bench.at('vault'), 'list']).status).toBe(2);
  });

  test('to restore a point that is not there, and into a directory that is not empty', () => {
    expect(read(bench.at('vault'), 'restore', 'home-0007-0000', fresh('to')).stderr).toBe(
      'there is no point home-0007-0000\n',
    );
    const { status, stderr } = read(bench.at('vault'), 'restore', first.point.label, source);
    expect([status, stderr]).toEqual([1, `${source} is not empty\n`]);
  });
});

const ROOT = process.getuid?.() === 0 && run(['-e', '0'], ['setpriv', '--bounding-set=-chown']).status === 0;

(ROOT ? describe : describe.skip)('the stand-alone reader without the rights of root', () => {
  test('says what it could not set, leaves out the bits that depend on it, and restores the rest', () => {
    const to = fresh('restored');
    const asked = [READER, bench.at('vault'), '--words-file', bench.at('words'), 'restore', second.point.label, to];
    const { status, stderr, stdout } = run(asked, ['setpriv', '--bounding-set=-chown,-mknod']);
    expect(status).toBe(3);
    const lost = stderr.split('\n').filter(Boolean);
    expect(stdout).toContain(` ${lost.length} losses\n`);
    expect(lost).toEqual([
      `${source}/odd/block: a block was not made: EPERM`,
      `${source}/odd/char: a char was not made: EPERM`,
      `${source}/odd/far/one-far: owner was not set: EPERM`, // the first name of a file that has three
      `${source}/odd/link: owner was not set: EPERM`,
    ]);
    const judged = differences(source, path.join(to, source)).split('\n').slice(0, -2);
    const expected =
      /^b'odd\/(one|one-again|far\/one-far|link)': st_[ug]id |^b'odd\/(block|char)': is only in the left/;
    expect(judged.filter((line) => !expected.test(line))).toEqual([]);
  });
});

describe('the stand-alone reader knows what became of a vault:', () => {
  test('a lost pack that others stand in for', async () => {
    await backUp(bench.at('again'), bench.at('another state'));
    const folder = copy();
    const lost = dataPacks(folder);
    for (const object of lost) rmSync(path.join(folder, at(object)));
    lay(bench.at('again', 'packs'), path.join(folder, 'packs'));
    repair(folder, lost, dataPacks(folder));
    expect(read(folder, 'list').stdout.match(/complete\n/g)).toHaveLength(2);
    const to = fresh('restored');
    const { status, stderr } = read(folder, 'restore', second.point.label, to);
    expect([status, stderr]).toEqual([0, '']);
    expect(differences(source, path.join(to, source))).toBe('');
  });

  test('a lost pack whose chunks are gone for good, which costs the files that need them', () => {
    const folder = copy();
    const [lost, ...others] = dataPacks(folder).sort((a, b) => a.length - b.length);
    if (!lost || others.length === 0) throw new Error('one pack is not enough for this');
    const bytes = readFileSync(path.join(folder, at(lost)));
    const { indexKey } = deriveDomain(vault.master, vault.machine);
    const { frames } = openPackTable(
      (offset, length) => bytes.subarray(offset, offset + length),
      bytes.length,
      indexKey,
    );
    rmSync(path.join(folder, at(lost)));
    repair(folder, [lost], others);
    const to = fresh('restored');
    expect(read(folder, 'restore', second.point.label, to)).toMatchObject({ status: 1 }); // nobody said so
    repair(folder, [lost], others, [...new Set(frames.flatMap(({ chunks }) => chunks.map(({ id }) => toDigest(id))))]);
    const after = fresh('restored');
    const { status, stderr } = read(folder, 'restore', second.point.label, after);
    expect(status).toBe(3);
    expect(stderr).toContain('not restored: a repair says that some of it is gone for good');
    const judged = differences(source, path.join(after, source)).split('\n').slice(0, -2);
    expect(judged.length).toBeGreaterThan(0);
    expect(judged.filter((line) => !line.includes('is only in the left'))).toEqual([]);
  });

  test('a gap in the sequence, which a removal excuses', () => {
    const folder = copy();
    rmSync(path.join(folder, pointName(first)));
    expect(read(folder, 'list').stderr).toBe(
      `${pointName(second)}: the point before it is not there, and was not removed\n`,
    );
    const { machine, sequence, digest: name } = first.point;
    const points = [{ machine, sequence, name }];
    const bytes = signRemoval({ at: '2026-12-01T00:00:00Z', points, objects: [] }, byOwner());
    mkdirSync(path.join(folder, 'tombstones'));
    writeFileSync(path.join(folder, tombstoneName(digestOf(bytes))), bytes);
    expect(read(folder, 'list')).toMatchObject({ status: 0, stderr: '' });
    spoil(folder, tombstoneName(digestOf(bytes)), middle);
    expect(read(folder, 'list').stderr).toMatch(/^tombstones\/.*: not the bytes of its name\n$/);
  });
});
