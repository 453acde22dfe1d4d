/** A staging location that is smaller than the seed: packs leave it for drives while others are made. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { NO_SET } from '../../format/drive-manifest.ts';
import { type AgeIdentity, newAgeIdentity } from '../../format/session.ts';
import type {
  BackupResult,
  BackupTask,
  ChildSecrets,
  DriveAt,
  IngestTask,
  PrepareTask,
  RestoreTask,
  SendTask,
  TransferResult,
} from '../../pipeline/child-tasks.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { packSetName } from '../../store/places.ts';
import {
  differences,
  furnishVault,
  newTestVault,
  ownerSecrets,
  packsIn,
  perform,
  pointName,
  restoreByReader,
  siteSecrets,
  stagingTask,
  type TestVault,
  Workbench,
} from './fixture.ts';

const LIMIT = 8 * MIB;
const OPEN_END = 1_000_000;

let vault: TestVault;
let datacenter: AgeIdentity;
let copySite: ChildSecrets;
let source: string;
let round = 0;
const bench = new Workbench('limited');
const step = { time: '2026-11-23T03:00:00.000Z' };

beforeAll(async () => {
  vault = await newTestVault();
  datacenter = await newAgeIdentity();
  copySite = siteSecrets(vault, 'copy.attic');
  source = bench.makeTree('source', { files: 200, bytes: 48_000_000 });
});
beforeEach(async () => {
  round += 1;
  for (const name of ['staging', 'landing', 'vault']) await preparePlace(at(name));
});
afterAll(() => bench.close());

/** Of this test alone. */
function at(name: string): string {
  return bench.at(`${name}-${round}`);
}

const urlOf = (name: string) => ({ url: `file://${at(name)}` });

function backupTask(options: Partial<BackupTask> = {}): BackupTask {
  return stagingTask(vault, bench, source, {
    run: `seed-${round}`,
    to: { kind: 'staging', place: urlOf('staging'), bytesMax: LIMIT },
    stateDirectory: at('state'),
    packBytesMax: 1 * MIB,
    ...options,
  });
}

function drive(number: number, capacityBytes: number): DriveAt {
  const folder = at(`drive-${number}`);
  mkdirSync(folder, { recursive: true });
  return { path: folder, id: `7F3A00000000${`${round}`.padStart(2, '0')}0${number}`, capacityBytes };
}

function prepareTask(to: DriveAt, from: number, options: Partial<PrepareTask> = {}): PrepareTask {
  return {
    ...step,
    ...{ kind: 'transfer', mode: 'prepare', run: `seed-${round}`, step: `prepare-${to.id}`, stageStep: 'stage' },
    ...{ vaultId: vault.vaultId, packSet: NO_SET, job: 'hq-2026', from: urlOf('staging'), drive: to },
    ranges: [{ from, to: OPEN_END }],
    datacenterRecipient: datacenter.recipient,
    ...{ keysTo: [urlOf('landing')], stateDirectory: at('copy-state') },
    ...options,
  };
}

function ingestTask(of: DriveAt, packSet: string, { manifest = NO_SET, epoch = 0 }: TransferResult): IngestTask {
  return {
    ...step,
    ...{ kind: 'transfer', mode: 'ingest', run: `seed-${round}`, step: `ingest-${of.id}`, vaultId: vault.vaultId },
    ...{ packSet: packSet as typeof NO_SET, job: 'hq-2026', drive: of, manifest, epoch },
    ...{ to: urlOf('landing'), stateDirectory: at('dock-state') },
  };
}

function sendTask(options: Partial<SendTask>): SendTask {
  const of = { run: `seed-${round}`, vaultId: vault.vaultId, packSet: NO_SET, to: urlOf('vault') };
  const all = { mode: 'copy', what: 'objects', from: urlOf('landing'), step: 'copy' } as const;
  return { ...step, kind: 'transfer', ...of, ...all, ...options };
}

/** Bytes of data packs that lie in staging now. */
function stagedBytes(): number {
  let bytes = 0;
  for (const name of readdirSync(at('staging'), { recursive: true, encoding: 'utf8' }))
    if (/^packs\/..\/[0-9a-f]{64}$/.test(name))
      bytes += statSync(path.join(at('staging'), name), { throwIfNoEntry: false })?.size ?? 0;
  return bytes;
}

/** The most that lay in staging while `work` ran. */
async function mostStaged<T>(work: Promise<T>): Promise<{ result: T; bytes: number }> {
  let bytes = 0;
  const timer = setInterval(() => {
    bytes = Math.max(bytes, stagedBytes());
  }, 20);
  try {
    return { result: await work, bytes };
  } finally {
    clearInterval(timer);
  }
}

/** Drives to landing, landing to the vault, the vault to files: what differs from the source. */
async function travelled(made: BackupResult, drives: readonly (readonly [DriveAt, TransferResult])[]) {
  const dock = { ...siteSecrets(vault, 'dock.eu-west.bay1'), datacenterIdentity: datacenter.identity };
  const name = packSetName(made.packSet);
  mkdirSync(path.join(at('landing'), 'pack-sets'), { recursive: true });
  writeFileSync(path.join(at('landing'), name), readFileSync(path.join(at('staging'), name)));
  for (const [one, prepared] of drives) {
    const taken = await perform(ingestTask(one, made.packSet, prepared), dock);
    expect(taken).toMatchObject({ objects: prepared.objects, missing: 0, damaged: 0 });
  }
  const sent = await perform(sendTask({ packSet: made.packSet }), copySite);
  expect(sent).toMatchObject({ missing: 0 });
  const claim = { mode: 'send', what: 'claim', step: 'state', from: urlOf('staging') } as const;
  await perform(sendTask({ ...claim, packSet: made.packSet, point: pointName(made) }), vault.secrets);
  const to = at('restored');
  const task: RestoreTask = {
    ...step,
    ...{ kind: 'restore', vaultId: vault.vaultId, vault: urlOf('vault'), point: pointName(made), to },
    ...{ paths: [], include: [], conflict: 'skip', stateDirectory: at('owner-state') },
  };
  expect(await perform(task, ownerSecrets(vault))).toMatchObject({ mismatchCount: 0 });
  const judge = { folder: at('vault'), words: at('words'), to: at('by-reader') };
  furnishVault(vault, judge);
  expect(restoreByReader(judge, pointName(made))).toEqual({ status: 0, stderr: '' });
  return differences(source, path.join(to, source)) + differences(source, path.join(judge.to, source));
}

const endOf = ({ ranges = [] }: TransferResult) => Math.max(0, ...ranges.map(({ to }) => to));

describe('a limited staging', () => {
  test('never holds more than its limit, and two drives carry all of the seed', async () => {
    const [first, second] = [drive(1, 12_000_000), drive(2, 80_000_000)];
    const fill = async () => {
      const one = await perform(prepareTask(first, 0), copySite);
      return [one, await perform(prepareTask(second, endOf(one)), copySite)] as const;
    };
    const both = Promise.all([perform(backupTask(), vault.secrets), fill()]);
    const { result, bytes } = await mostStaged(both);
    const [made, [one, two]] = result;
    expect(made.sealedBytes).toBeGreaterThan(2.4 * LIMIT);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(LIMIT);
    expect([one.ranges, two.ranges]).toEqual([[{ from: 0, to: endOf(one) }], [{ from: endOf(one), to: made.objects }]]);
    expect(stagedBytes()).toBe(0);
    expect(
      await travelled(made, [
        [first, one],
        [second, two],
      ]),
    ).toBe('');
  });

  test('killed again and again on both sides, nothing that left it is made twice', async () => {
    const only = drive(1, 80_000_000);
    const backup = backupTask({ bytesPerSecondMax: 8 * MIB });
    const fill = prepareTask(only, 0);
    const killedAt = async (objects: number) => {
      const killer = new AbortController();
      const { signal } = killer;
      const onProgress = ({ objectsDone }: { objectsDone: number }) => {
        if (objectsDone >= objects) killer.abort(new Error('killed'));
      };
      const both = [perform(backup, vault.secrets, { signal }), perform(fill, copySite, { signal, onProgress })];
      for (const one of await Promise.allSettled(both)) expect(String(Object(one).reason)).toContain('killed');
    };
    await killedAt(3);
    await killedAt(8);
    const [made, filled] = await Promise.all([perform(backupTask(), vault.secrets), perform(fill, copySite)]);
    expect(made.resumedObjects).toBeGreaterThanOrEqual(4);
    expect(filled).toMatchObject({ objects: made.objects, missing: 0, ranges: [{ from: 0, to: made.objects }] });
    expect(await travelled(made, [[only, filled]])).toBe('');
  });

  test('what left it on a drive that was given up is named, and the rest goes on', async () => {
    const [lost, other] = [drive(1, 80_000_000), drive(2, 80_000_000)];
    const backup = perform(backupTask(), vault.secrets);
    const killer = new AbortController();
    const watched = {
      signal: killer.signal,
      onProgress: ({ objectsDone }: { objectsDone: number }) => {
        if (objectsDone >= 9) killer.abort(new Error('killed'));
      },
    };
    await expect(perform(prepareTask(lost, 0), copySite, watched)).rejects.toThrow('killed');
    const [made, filled] = await Promise.all([backup, perform(prepareTask(other, 0), copySite)]);
    expect(filled.missing).toBeGreaterThan(3);
    expect(filled.missingRanges[0]?.from).toBe(0);
    expect(filled.missing + filled.objects).toBe(made.objects);
  });

  test('without its machine state the backup keeps the numbers of what has left, and seals that again', async () => {
    const only = drive(1, 80_000_000);
    const killer = new AbortController();
    const filling = perform(prepareTask(only, 0), copySite);
    const watched = {
      signal: killer.signal,
      onProgress: ({ objectsDone }: { objectsDone: number }) => {
        if (objectsDone >= 12) killer.abort(new Error('killed'));
      },
    };
    await expect(perform(backupTask(), vault.secrets, watched)).rejects.toThrow('killed');
    rmSync(at('state'), { recursive: true });
    const made = await perform(backupTask(), vault.secrets);
    const filled = await filling;
    expect(filled).toMatchObject({ objects: made.objects, missing: 0 });
    expect(await travelled(made, [[only, filled]])).toBe('');
    expect(packsIn(at('staging')).size).toBeGreaterThan(0); // trees
  });
});
