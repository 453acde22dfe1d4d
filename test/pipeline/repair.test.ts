/** Objects that nobody has any more are read and sealed again; a signed repair says what stands for what. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { trustOf } from '../../format/credentials.ts';
import { digestOf } from '../../format/digest.ts';
import { openGone, openRepair, signRepair } from '../../format/repair.ts';
import type { BackupResult, BackupTask, RestoreTask } from '../../pipeline/child-tasks.ts';
import { listObjects, placeOf } from '../../pipeline/object-list.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { openStore } from '../../store/object-store.ts';
import { repairName } from '../../store/places.ts';
import {
  byOwner,
  differences,
  furnishVault,
  newTestVault,
  ownerSecrets,
  perform,
  pointName,
  restoreByReader,
  rsyncWouldDo,
  stagingTask,
  type TestVault,
  Workbench,
} from './fixture.ts';

const bench = new Workbench('repair');
let vault: TestVault;
let source: string;
let first: BackupResult;
let lost: number[];

beforeAll(async () => {
  vault = await newTestVault();
  source = bench.makeTree('source', { files: 250, bytes: 24_000_000 });
  writeFileSync(path.join(source, 'odd/alone'), randomBytes(24 * MIB)); // in twelve packs at least
  await preparePlace(bench.at('staging'));
  first = await perform(stagingTask(vault, bench, source, { packBytesMax: 2 * MIB }), vault.secrets);
  renameSync(bench.at('staging'), bench.at('vault')); // the same layout; nothing of it is at the source any more
  mkdirSync(bench.at('away'));
  lost = (await listed()).flatMap(({ kind }, at) => (kind === 'tree' || (kind === 'pack' && at % 3 === 0) ? [at] : []));
  await lose(lost);
  furnishVault(vault, { folder: bench.at('vault'), words: bench.at('words') });
}, 60_000);
afterAll(() => bench.close());

const listed = () => listObjects([openStore(`file://${bench.at('vault')}`)], first.packSet, trustOf(vault.credentials));

async function lose(places: readonly number[]): Promise<void> {
  const set = await listed();
  for (const object of places.flatMap((at) => set[at] ?? []))
    renameSync(bench.at('vault', placeOf(object)), bench.at('away', object.name));
}

/** As a job does it: sealed again, moved to the vault, stated there. */
async function mend(name: string, places: readonly number[]): Promise<BackupResult> {
  const [spool, to] = [bench.at(`spool-${name}`), { url: `file://${bench.at('vault')}` }];
  const task: BackupTask = stagingTask(vault, bench, source, {
    ...{ to: { kind: 'spool', directory: spool, bytesMax: 500 * MIB }, packBytesMax: 2 * MIB, vault: to },
    ...{
      step: `mend-${name}`,
      lost: { packSet: first.packSet, ranges: places.map((at) => ({ from: at, to: at + 1 })) },
    },
  });
  const { run, step, time, vaultId, machine, protection, stateDirectory } = task;
  const base = { kind: 'transfer', run, time, vaultId, to } as const;
  const drain = { directory: spool, stageStep: step, machine, protection, stateDirectory };
  const [made] = await Promise.all([
    perform(task, vault.secrets),
    perform({ ...base, mode: 'drain', step: `${step}-send`, ...drain }, vault.secrets),
  ]);
  const claim = { mode: 'send', what: 'claim', from: { url: `file://${spool}` }, packSet: made.packSet } as const;
  const repair = made.repair && { repair: made.repair };
  await perform({ ...base, ...claim, step: `${step}-state`, point: pointName(made), ...repair }, vault.secrets);
  return made;
}

function read({ repair: name }: BackupResult) {
  if (name === undefined) throw new Error('no repair was made');
  return openRepair(readFileSync(bench.at('vault', repairName(name))), { trust: trustOf(vault.credentials), name });
}

async function restore(target: string, result: BackupResult) {
  const task: RestoreTask = {
    ...{ kind: 'restore', time: '2026-11-23T03:00:00.000Z', vaultId: vault.vaultId, point: pointName(result) },
    ...{ vault: { url: `file://${bench.at('vault')}` }, paths: [], include: [], conflict: 'skip', threads: 2 },
    ...{ to: bench.at(target), stateDirectory: bench.at('owner-state') },
  };
  const { mismatches, mismatchCount: count } = await perform(task, ownerSecrets(vault));
  const named = mismatches.map(({ path: at, reason }) => `${Buffer.from(at, 'base64')}: ${reason}`);
  return { named, count, back: path.join(bench.at(target), source) };
}

function byReader(target: string, result: BackupResult) {
  const at = { folder: bench.at('vault'), words: bench.at('words'), to: bench.at(target) };
  return { ...restoreByReader(at, pointName(result)), back: path.join(at.to, source) };
}

describe('objects that nobody has any more', () => {
  test('are sealed again from the source, and each point is restored exactly, by others too', async () => {
    expect((await restore('before', first)).named).toEqual([': the record of this directory is lost']);
    expect(byReader('before-reader', first).status).toBe(1);
    const mended = await mend('one', lost);
    expect(mended).toMatchObject({ goneChunks: 0, point: { sequence: 2 } });
    for (const result of [first, mended]) {
      const { named, back } = await restore(`to-${result.run}`, result);
      expect([named, differences(source, back), rsyncWouldDo(`${source}/d000`, `${back}/d000`)]).toEqual([[], '', '']);
    }
    const other = byReader('reader', first);
    expect([other.status, differences(source, other.back)]).toEqual([0, '']);
    const names = (await listed()).flatMap(({ name }, at) => (lost.includes(at) ? [name] : []));
    expect(read(mended).replacements.map((one) => one.lost.name)).toEqual(names.sort());
  }, 60_000);

  test('and are not in the source either are said to be gone: a restore names those files, and no other', async () => {
    const more = (await listed()).flatMap(({ kind }, at) => (kind === 'pack' && !lost.includes(at) ? [at] : []));
    await lose(more);
    const file = path.join(source, 'odd/alone');
    renameSync(file, bench.at('deleted'));
    const mended = await mend('two', more);
    const gone = openGone(read(mended), vault.credentials.putKey?.indexKey ?? Buffer.alloc(0));
    expect(gone.length).toBeGreaterThan(3); // the first repair sealed about a third of its chunks again
    expect(mended.goneChunks).toBe(gone.length);
    const { named, back } = await restore('rest', first);
    expect(named).toEqual([expect.stringContaining(file.slice(1))]);
    const other = byReader('rest-reader', first);
    expect([other.status, other.stderr]).toEqual([3, expect.stringContaining('odd/alone')]);
    for (const tree of [back, other.back]) {
      rmSync(path.join(tree, 'odd/alone'), { force: true });
      expect(differences(source, tree)).toMatch(/^b'odd': st_mtime_ns .*\n.* 1 differences\n$/);
      expect(rsyncWouldDo(`${source}/d000`, `${tree}/d000`)).toBe('');
    }
  }, 60_000);

  test('and are given up cost the files that need them, and no other', async () => {
    const set = await listed();
    for (const name of readdirSync(bench.at('away'))) {
      const object = set.find((one) => one.name === name);
      if (object) renameSync(bench.at('away', name), bench.at('vault', placeOf(object)));
    }
    rmSync(bench.at('vault', 'repairs'), { recursive: true });
    mkdirSync(bench.at('vault', 'repairs'));
    expect((await restore('whole-again', first)).named).toEqual([]);
    const given = set.findIndex(({ kind }) => kind === 'pack');
    await lose([given]);
    expect(byReader('damaged', first).status).toBe(1);
    const object = set[given];
    if (!object) throw new Error('a set has packs');
    const bytes = signRepair([{ lost: object, by: [] }], undefined, byOwner(vault));
    writeFileSync(bench.at('vault', repairName(digestOf(bytes))), bytes);
    const { named, count, back } = await restore('without', first);
    const other = byReader('without-reader', first);
    const lines = other.stderr.trim().split('\n');
    const paths = lines.map((line) => line.slice(source.length, line.indexOf(': not restored')));
    expect([other.status, count, named.length]).toEqual([3, paths.length, Math.min(100, paths.length)]);
    const ours = named.map((line) => line.slice(source.length - 1, line.lastIndexOf(': ')));
    const plain = ours.filter((one) => /^[ -~]+$/.test(one)); // the reader shows others escaped
    expect(plain.filter((one) => !paths.includes(one))).toEqual([]);
    for (const tree of [back, other.back]) {
      const missing = rsyncWouldDo(`${source}/d000`, `${tree}/d000`)
        .split('\n')
        .filter((line) => line.startsWith('>f'));
      expect(missing.map((line) => line.split(' ')[1]).sort()).toEqual(
        paths.flatMap((one) => (one.startsWith('/d000/') ? [one.slice('/d000/'.length)] : [])).sort(),
      );
    }
  }, 60_000);
});
