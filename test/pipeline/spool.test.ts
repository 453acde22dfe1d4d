import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { digestOf } from '../../format/digest.ts';
import type { BackupTask, DrainTask } from '../../pipeline/child-tasks.ts';
import { acknowledge, acknowledgedPacks, readPackEnds } from '../../pipeline/spool-journal.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { INDEXES, packSetName } from '../../store/places.ts';
import {
  anotherMachine,
  newTestVault,
  packsIn,
  perform,
  pointName,
  stagingTask,
  type TestVault,
  Workbench,
} from './fixture.ts';

const BYTES_MAX = 40 * MIB;
let vault: TestVault;
const bench = new Workbench('spool');
beforeAll(async () => {
  vault = await newTestVault();
  await preparePlace(bench.at('vault'));
});
afterAll(() => bench.close());

function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0, word = seed; at + 4 <= length; at += 4) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(word, at);
  }
  return bytes;
}

function spoolTask(source: string, options: Partial<BackupTask> = {}): BackupTask {
  const to = { kind: 'spool', directory: bench.at('spool'), bytesMax: BYTES_MAX } as const;
  return stagingTask(vault, bench, source, { to, packBytesMax: 2 * MIB, ...options });
}

function drainTask({ run, step, time, vaultId, machine, protection, stateDirectory }: BackupTask): DrainTask {
  const to = { url: `file://${bench.at('vault')}` };
  const rest = { directory: bench.at('spool'), to, stageStep: step, machine, protection, stateDirectory };
  return { kind: 'transfer', mode: 'drain', run, step: 'send', time, vaultId, ...rest };
}

function spoolBytes(): number {
  let bytes = 0;
  for (const name of packsIn(bench.at('spool')).keys())
    if (existsSync(bench.at('spool', name))) bytes += readFileSync(bench.at('spool', name)).length;
  return bytes;
}

describe('a backup through a spool', () => {
  test('waits while the spool is full, and ends when the mover has made room; nothing is sent twice', async () => {
    const source = bench.makeDirectory('source');
    for (let number = 0; number < 100; number++) writeFileSync(path.join(source, `${number}`), noise(1 * MIB, number));
    const task = spoolTask(source, { to: { kind: 'spool', directory: bench.at('spool'), bytesMax: 10 * MIB } });
    let settled = false;
    const backup = perform(task, vault.secrets).finally(() => {
      settled = true;
    });
    let most = 0;
    for (let looks = 0; looks < 20; looks++) {
      await sleep(100);
      most = Math.max(most, spoolBytes());
    }
    expect(settled).toBe(false);
    const [result, drained] = await Promise.all([backup, perform(drainTask(task), vault.secrets)]);
    expect(most).toBeLessThan(60 * MIB);
    expect(drained.objects).toBe(result.addedObjects);
    expect(packsIn(bench.at('spool')).size).toBe(0);
    expect(packsIn(bench.at('vault')).size).toBe(result.addedObjects);
  });

  test('has its point stated, index and set with it, by a mover that is asked to, once', async () => {
    const source = bench.makeDirectory('claimed');
    writeFileSync(path.join(source, 'file'), noise(3 * MIB, 41));
    const task = spoolTask(source, { protection: 'claimed' });
    const drain = drainTask(task);
    const result = await perform(task, vault.secrets);
    const point = bench.at('vault', pointName(result));
    expect((await perform(drain, vault.secrets)).stated).toBeUndefined();
    expect(existsSync(point)).toBe(false);
    const claimed = await perform({ ...drain, step: 'send-again', claim: true }, vault.secrets);
    expect(claimed.stated).toBe(true);
    expect(existsSync(point)).toBe(true);
    expect(existsSync(bench.at('vault', packSetName(result.packSet)))).toBe(true);
    expect(readdirSync(bench.at('vault', INDEXES)).length).toBeGreaterThan(0);
    const again = await perform({ ...drain, step: 'send-again', claim: true }, vault.secrets);
    expect(again).toEqual(claimed);
  });

  test('killed half way it sends what is missing, and nothing that the vault has', async () => {
    const source = bench.makeDirectory('second');
    for (let number = 0; number < 30; number++)
      writeFileSync(path.join(source, `${number}`), noise(1 * MIB, 500 + number));
    const task = spoolTask(source, { protection: 'second', bytesPerSecondMax: 8 * MIB });
    const [killer, stopper] = [new AbortController(), new AbortController()];
    const drain = perform(drainTask(task), vault.secrets, { signal: stopper.signal });
    const before = packsIn(bench.at('vault'));
    const backup = perform(task, vault.secrets, {
      signal: killer.signal,
      onProgress: () => packsIn(bench.at('vault')).size > before.size + 4 && killer.abort(new Error('killed')),
    });
    await expect(backup).rejects.toThrow('killed');
    await sleep(500);
    stopper.abort(new Error('stopped'));
    await expect(drain).rejects.toThrow('stopped');
    const sent = packsIn(bench.at('vault'));
    const { bytesPerSecondMax: _, ...unbounded } = task;
    const [result] = await Promise.all([perform(unbounded, vault.secrets), perform(drainTask(task), vault.secrets)]);
    expect(result.resumedObjects).toBeGreaterThan(4);
    const after = packsIn(bench.at('vault'));
    for (const [name, identity] of sent) expect(after.get(name)).toBe(identity);
    expect(after.size - before.size).toBe(result.resumedObjects + result.addedObjects);
    expect(result.readBytes).toBe(30 * MIB);
    expect(result.resumedObjects + result.addedObjects).toBeLessThan(15 + 10);
  });
});

describe('a state directory', () => {
  test('keeps vaults apart, and the machines of one: what one vault has is sent to the next as well', async () => {
    const source = bench.makeDirectory('shared');
    writeFileSync(path.join(source, 'file'), noise(3 * MIB, 77));
    const homes = [vault, await newTestVault(), anotherMachine(vault, 'lab')];
    const sent: number[] = [];
    for (const [at, home] of homes.entries()) {
      await preparePlace(bench.at(`vault-${at}`));
      const to = { kind: 'spool', directory: bench.at(`spool-${at}`), bytesMax: BYTES_MAX } as const;
      const task = stagingTask(home, bench, source, {
        to,
        protection: 'shared',
        stateDirectory: bench.at('one-state'),
      });
      const drain = { ...drainTask(task), directory: to.directory, to: { url: `file://${bench.at(`vault-${at}`)}` } };
      const [made, drained] = await Promise.all([perform(task, home.secrets), perform(drain, home.secrets)]);
      expect(made).toMatchObject({ rereadBytes: 3 * MIB, point: { sequence: 1, kind: 'initial' } });
      expect(packsIn(bench.at(`vault-${at}`)).size).toBe(drained.objects);
      sent.push(drained.bytes);
    }
    expect(Math.min(...sent)).toBeGreaterThan(3 * MIB);
    const again = stagingTask(vault, bench, source, {
      ...{ protection: 'shared', stateDirectory: bench.at('one-state') },
      to: { kind: 'spool', directory: bench.at('spool-0'), bytesMax: BYTES_MAX },
    });
    const [made] = await Promise.all([
      perform(again, vault.secrets),
      perform({ ...drainTask(again), directory: bench.at('spool-0') }, vault.secrets),
    ]);
    expect(made.point).toMatchObject({ sequence: 2, kind: 'incremental' });
    expect(made.addedBytes).toBeLessThan(1 * MIB); // too young to be unchanged, but known
  });
});

describe('a spool journal', () => {
  test('gives back the tables of what it acknowledged, and drops a torn tail', async () => {
    const { putKey } = vault.credentials;
    if (!putKey) throw new Error('a machine has a put key');
    const source = bench.makeDirectory('third');
    writeFileSync(path.join(source, 'file'), noise(300_000, 9));
    await preparePlace(bench.at('staging'));
    await perform(
      stagingTask(vault, bench, source, { protection: 'third', stateDirectory: bench.at('state-third') }),
      vault.secrets,
    );
    const journal = bench.at('journal');
    for (const name of packsIn(bench.at('staging')).keys()) {
      const content = readFileSync(bench.at('staging', name));
      const kind = name.startsWith('packs/') ? 'pack' : 'tree';
      acknowledge(
        journal,
        { kind, name: digestOf(content), length: content.length },
        readPackEnds((at, count) => content.subarray(at, at + count), content.length),
      );
    }
    const whole = [...acknowledgedPacks(journal, putKey.indexKey)];
    expect(whole.length).toBe(packsIn(bench.at('staging')).size);
    const bytes = readFileSync(journal);
    for (const length of [bytes.length - 1, bytes.length - 100, 3, 0]) {
      writeFileSync(bench.at('torn'), bytes.subarray(0, length));
      expect([...acknowledgedPacks(bench.at('torn'), putKey.indexKey)].length).toBe(length > 4 ? whole.length - 1 : 0);
    }
    expect([...acknowledgedPacks(bench.at('no-journal'), putKey.indexKey)]).toEqual([]);
  });
});
