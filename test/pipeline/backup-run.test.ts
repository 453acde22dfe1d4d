import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import type { BackupTask } from '../../pipeline/child-tasks.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { newTestVault, packsIn, perform, stagingTask, type TestVault, Workbench } from './fixture.ts';

let vault: TestVault;
const bench = new Workbench('backup');
let source: string;
beforeAll(async () => {
  vault = await newTestVault();
  source = bench.makeTree('source');
});
afterAll(() => bench.close());

let places = 0;
/** The directories on the way to an item may have new times, and then new records. */
const WAY_BYTES_MAX = 32 * 1024;

/** A backup into a staging location of its own, with a state of its own. */
async function freshTask(options: Partial<BackupTask> = {}): Promise<{ task: BackupTask; staging: string }> {
  places += 1;
  const staging = bench.at(`staging-${places}`);
  await preparePlace(staging);
  const to = { kind: 'staging', place: { url: `file://${staging}` } } as const;
  return {
    task: stagingTask(vault, bench, source, { to, stateDirectory: bench.at(`state-${places}`), ...options }),
    staging,
  };
}

/** The same machine's next backup over the line, into a spool that nobody drains. */
function spoolTask({ stateDirectory }: BackupTask, options: Partial<BackupTask> = {}): BackupTask {
  places += 1;
  const to = { kind: 'spool', directory: bench.at(`spool-${places}`), bytesMax: 10_000 * MIB } as const;
  return stagingTask(vault, bench, source, { to, stateDirectory, ...options });
}

describe('a backup into staging', () => {
  test('every pack is named by its bytes, and a second attempt of the run returns the first receipt', async () => {
    const { task, staging } = await freshTask();
    const result = await perform(task, vault.secrets);
    expect(result.point).toMatchObject({ machine: 'hq', protection: 'home', sequence: 1, kind: 'initial' });
    expect(result.files).toBeGreaterThan(200);
    const packs = packsIn(staging);
    expect(packs.size).toBe(result.addedObjects);
    for (const name of packs.keys())
      expect(
        createHash('sha256')
          .update(readFileSync(path.join(staging, name)))
          .digest('hex'),
      ).toBe(path.basename(name));
    expect(await perform(task, vault.secrets)).toEqual(result);
    expect(packsIn(staging)).toEqual(packs);
  });

  test('a receipt whose packs are gone is not believed', async () => {
    const { task, staging } = await freshTask();
    await perform(task, vault.secrets);
    const [first = ''] = packsIn(staging).keys();
    rmSync(path.join(staging, first));
    await expect(perform(task, vault.secrets)).rejects.toMatchObject({ code: 'Corrupt' });
  });

  test('killed at any moment it goes on at the next pack, and writes none twice', async () => {
    const { task, staging } = await freshTask({ packBytesMax: 1 * MIB, bytesPerSecondMax: 40 * MIB });
    let before = packsIn(staging);
    let kills = 0;
    for (let target = 2; kills < 6; target += 3) {
      const killer = new AbortController();
      const attempt = perform(task, vault.secrets, {
        signal: killer.signal,
        onProgress: () => packsIn(staging).size >= target && killer.abort(new Error('killed')),
      });
      await expect(attempt).rejects.toThrow('killed');
      kills += 1;
      const after = packsIn(staging);
      for (const [name, identity] of before) expect(after.get(name)).toBe(identity);
      before = after;
    }
    const { bytesPerSecondMax: _, ...unbounded } = task;
    const result = await perform(unbounded, vault.secrets);
    const after = packsIn(staging);
    for (const [name, identity] of before) expect(after.get(name)).toBe(identity);
    expect(result.resumedObjects).toBe(before.size);
    expect(result.resumedObjects + result.addedObjects).toBe(after.size);
    const undisturbed = await freshTask({ packBytesMax: 1 * MIB });
    const smooth = await perform(undisturbed.task, vault.secrets);
    expect(after.size).toBeLessThanOrEqual(smooth.addedObjects + 3 * (kills + 1));
    expect(result.files).toBe(smooth.files);
  });

  test('thousands of files of a few bytes are more chunks than a frame takes, and no fewer files', async () => {
    const tiny = bench.at('tiny');
    mkdirSync(tiny);
    for (let n = 0; n < 20_000; n++) writeFileSync(path.join(tiny, `${n}`), `${n}`);
    const { task } = await freshTask();
    const result = await perform({ ...task, items: [tiny] }, vault.secrets);
    expect([result.files, result.skippedFiles]).toEqual([20_000, 0]);
  });

  test('what globs exclude is not in it', async () => {
    const { task } = await freshTask();
    const all = await perform(task, vault.secrets);
    const { task: partly } = await freshTask({ excludes: ['odd', `${source}/**/*-1*`] });
    const some = await perform(partly, vault.secrets);
    expect(some.files).toBeLessThan(all.files);
    expect(some.files).toBeGreaterThan(0);
    expect(some.skippedFiles).toBe(0);
  });

  test('where it writes is not in it, nor what the kernel shows of itself', async () => {
    const { task: inside } = await freshTask({ items: [bench.directory, '/proc'] });
    const result = await perform(inside, vault.secrets);
    expect(result.skippedFiles).toBe(0);
    const again = await perform({ ...inside, run: 'inside-again' }, vault.secrets);
    expect(again.files - result.files).toBeLessThan(5);
  });

  test('an item that is not there is a reason to fail when it is the only one, and else a loss', async () => {
    const { task } = await freshTask({ items: [bench.at('nothing')] });
    await expect(perform(task, vault.secrets)).rejects.toMatchObject({ code: 'SourceUnreadable' });
    const { task: two } = await freshTask({ items: [bench.at('nothing'), source] });
    expect(await perform(two, vault.secrets)).toMatchObject({ skippedFiles: 1 });
  });
});

describe('an incremental backup', () => {
  test('of nothing new reads no file and adds no data', async () => {
    const { task } = await freshTask();
    const first = await perform(task, vault.secrets);
    await new Promise((resolve) => setTimeout(resolve, 2100)); // what was made less than 2 s before a backup is read again
    const second = await perform(spoolTask(task), vault.secrets);
    expect(second.point).toMatchObject({ sequence: 2, kind: 'incremental' });
    expect(second.files).toBe(first.files);
    const third = await perform(spoolTask(task), vault.secrets);
    expect(third).toMatchObject({ rereadBytes: 0, unchangedFiles: first.files });
    expect(third.addedBytes).toBeLessThan(WAY_BYTES_MAX);
  });

  test('adds what changed, and names the rest by the base', async () => {
    source = bench.makeTree('changing', { seed: 7, files: 120, bytes: 12_000_000 });
    const { task } = await freshTask();
    const first = await perform(task, vault.secrets);
    writeFileSync(path.join(source, 'new.txt'), 'a line that was not there\n'.repeat(100));
    const second = await perform(spoolTask(task), vault.secrets);
    expect(second.files).toBe(first.files + 1);
    expect(second.addedBytes).toBeLessThan(first.addedBytes / 10);
    appendFileSync(path.join(source, 'new.txt'), 'and one more\n');
    const third = await perform(spoolTask(task), vault.secrets);
    expect(third.point.sequence).toBe(3);
    expect(third.objects).toBeGreaterThan(second.objects);
  });

  test('finds what changed behind an old time and the same size, and reads again what is too young to tell', async () => {
    const tricky = bench.makeDirectory('tricky');
    const file = path.join(tricky, 'file');
    writeFileSync(file, 'one');
    const { task } = await freshTask({ items: [tricky] });
    await perform(task, vault.secrets);
    const young = await perform(spoolTask(task, { items: [tricky] }), vault.secrets);
    expect(young).toMatchObject({ rereadBytes: 3, unchangedFiles: 0 });
    await new Promise((resolve) => setTimeout(resolve, 2100));
    await perform(spoolTask(task, { items: [tricky] }), vault.secrets);
    const old = await perform(spoolTask(task, { items: [tricky] }), vault.secrets);
    expect(old).toMatchObject({ rereadBytes: 0, unchangedFiles: 1 });
    spawnSync('cp', ['-p', file, bench.at('old-times')]);
    writeFileSync(file, 'two');
    spawnSync('touch', ['-r', bench.at('old-times'), file]); // to the nanosecond, which Node's own is not
    expect(statSync(file, { bigint: true }).mtimeNs).toBe(statSync(bench.at('old-times'), { bigint: true }).mtimeNs);
    const changed = await perform(spoolTask(task, { items: [tricky] }), vault.secrets);
    expect(changed).toMatchObject({ rereadBytes: 3, unchangedFiles: 0 });
  });

  test('that lost its catalog reads everything again and sends nothing again', async () => {
    const { task, staging } = await freshTask();
    const first = await perform(task, vault.secrets);
    const again = spoolTask(task, { stateDirectory: bench.at('state-lost'), vault: { url: `file://${staging}` } });
    const second = await perform(again, vault.secrets);
    expect(second.point).toMatchObject({ sequence: 2, kind: 'incremental' });
    expect(second.rereadBytes).toBe(first.rereadBytes);
    expect(second.addedBytes).toBeLessThan(WAY_BYTES_MAX);
  });
});
