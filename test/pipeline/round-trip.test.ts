/**
 * What was backed up comes back, to the nanosecond, the hole and the attribute: trees made and judged
 * by programs that are not ours.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  cpSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import type { BackupResult, BackupTask } from '../../pipeline/child-tasks.ts';
import { preparePlace } from '../../store/directory-store.ts';
import {
  differences,
  newTestVault,
  ownerSecrets,
  perform,
  pointName,
  rsyncWouldDo,
  stagingTask,
  type TestVault,
  Workbench,
} from './fixture.ts';

let vault: TestVault;
const bench = new Workbench('round-trip');
beforeAll(async () => {
  vault = await newTestVault();
});
afterAll(() => bench.close());

let runs = 0;

async function backUp(source: string, options: Partial<BackupTask> = {}) {
  runs += 1;
  const staging = bench.at(`staging-${runs}`);
  await preparePlace(staging);
  const to = { kind: 'staging', place: { url: `file://${staging}` } } as const;
  const task = stagingTask(vault, bench, source, { to, stateDirectory: bench.at(`state-${runs}`), ...options });
  return { task, staging, result: await perform(task, vault.secrets) };
}

/** Restores all of a point from a place that is as good as a vault. */
async function restore(place: string, backup: BackupResult) {
  runs += 1;
  const to = bench.at(`restored-${runs}`);
  const task = {
    kind: 'restore',
    time: '2026-11-23T03:00:00.000Z',
    vaultId: vault.vaultId,
    vault: { url: `file://${place}` },
    point: pointName(backup),
    paths: [],
    include: [],
    to,
    conflict: 'skip',
    stateDirectory: bench.at('owner'),
    threads: 2,
  } as const;
  return { to, result: await perform(task, ownerSecrets(vault)) };
}

/** Lays `more` over `place`, as transfers into one vault do. */
function addTo(place: string, more: string): void {
  cpSync(more, place, { recursive: true, force: false });
}

/** Bytes that repeat nowhere; the same for the same length. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0, word = length; at + 4 <= length; at += 4) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(word, at);
  }
  return bytes;
}

describe('a round trip', () => {
  test('brings back everything file systems hold', async () => {
    const source = bench.makeTree('everything', { seed: 11, files: 400, bytes: 40_000_000 });
    const { staging, result } = await backUp(source);
    expect(result.skippedFiles).toBe(0);
    const { to } = await restore(staging, result);
    expect(differences(source, path.join(to, source))).toBe('');
    const short = bench.makeTree('short', { seed: 12, files: 60, bytes: 2_000_000 });
    spawnSync('rm', ['-rf', path.join(short, 'odd')]); // rsync itself fails on paths past PATH_MAX
    const other = await backUp(short);
    const back = await restore(other.staging, other.result);
    expect(rsyncWouldDo(short, path.join(back.to, short))).toBe('');
  });

  test('brings back files of every length around the bounds of chunks, batches and segments', async () => {
    const source = bench.makeDirectory('lengths');
    const KIB256 = 256 * 1024;
    const lengths = [0, 1, KIB256 - 1, KIB256, KIB256 + 1, 2 * MIB, 10 * MIB, 16 * MIB - 1, 16 * MIB, 24 * MIB + 5];
    for (const length of lengths) writeFileSync(path.join(source, `${length}`), noise(length));
    const { staging, result } = await backUp(source);
    expect(result).toMatchObject({ files: lengths.length, skippedFiles: 0 });
    const { to } = await restore(staging, result);
    for (const length of lengths)
      expect(readFileSync(path.join(to, source, `${length}`)).equals(noise(length))).toBe(true);
    expect(differences(source, path.join(to, source))).toBe('');
  });

  test('of a disk image with holes stores the data and brings back the holes', async () => {
    const source = bench.makeDirectory('sparse');
    const image = openSync(path.join(source, 'image'), 'w');
    for (const at of [0, 70 * MIB, 200 * MIB]) writeSync(image, Buffer.alloc(1 * MIB, at % 251), 0, 1 * MIB, at);
    closeSync(image);
    const { staging, result } = await backUp(source);
    expect(result.addedBytes).toBeLessThan(1 * MIB);
    const { to } = await restore(staging, result);
    expect(differences(source, path.join(to, source))).toBe('');
    expect(statSync(path.join(to, source, 'image')).blocks).toBeLessThan(20_000);
  });

  test('an incremental backup on top of the first brings back the newer state', async () => {
    const source = bench.makeTree('growing', { seed: 21, files: 200, bytes: 8_000_000 });
    const first = await backUp(source);
    const spool = bench.at('spool-growing');
    appendFileSync(path.join(source, 'fresh'), 'made after the first backup\n'.repeat(1000));
    spawnSync('sh', [
      '-c',
      `find ${source} -type f -size +2k | head -20 | while read f; do echo changed >> "$f"; done`,
    ]);
    spawnSync('sh', ['-c', `find ${source} -type f | tail -5 | while read f; do rm "$f"; done`]);
    const task = stagingTask(vault, bench, source, {
      to: { kind: 'spool', directory: spool, bytesMax: 10_000 * MIB },
      stateDirectory: first.task.stateDirectory,
    });
    const second = await perform(task, vault.secrets);
    expect(second.point.kind).toBe('incremental');
    addTo(first.staging, spool);
    const { to } = await restore(first.staging, second);
    expect(differences(source, path.join(to, source))).toBe('');
  });

  test('a pack that was altered is found out, and no byte of it is restored', async () => {
    const source = bench.makeDirectory('altered');
    writeFileSync(path.join(source, 'file'), noise(100_000));
    const { staging, result: backup } = await backUp(source);
    const pack = spawnSync('find', [path.join(staging, 'packs'), '-type', 'f'], { encoding: 'utf8' }).stdout.trim();
    const bytes = readFileSync(pack);
    bytes.writeUInt8(bytes.readUInt8(5000) ^ 1, 5000);
    rmSync(pack);
    writeFileSync(pack, bytes);
    const { result, to } = await restore(staging, backup);
    expect(result.mismatchCount).toBeGreaterThan(0);
    expect(differences(source, path.join(to, source))).not.toBe('');
  });

  test('of files that change and vanish while it runs keeps what there was, and says what it cannot vouch for', async () => {
    const source = bench.makeDirectory('restless');
    for (let number = 0; number < 400; number++)
      writeFileSync(path.join(source, `file-${String(number).padStart(3, '0')}`), noise(50_000 + number));
    writeFileSync(path.join(source, 'a-log'), noise(8 * MIB)); // long to read: the writer gets its turn
    const writer = spawn('sh', ['-c', `while :; do echo "one more line" >> ${path.join(source, 'a-log')}; done`]);
    const remover = setTimeout(() => {
      for (let number = 200; number < 400; number++) rmSync(path.join(source, `file-${number}`));
    }, 1000);
    try {
      const { staging, result } = await backUp(source, { bytesPerSecondMax: 4 * MIB });
      expect(result).toMatchObject({ skippedFiles: 0, changedWhileRead: 1 });
      expect(result.files).toBeGreaterThanOrEqual(201);
      expect(result.files).toBeLessThan(401);
      const { to, result: restored } = await restore(staging, result);
      expect(restored.mismatchCount).toBe(0);
      for (let number = 0; number < 200; number++) {
        const name = `file-${String(number).padStart(3, '0')}`;
        expect(readFileSync(path.join(to, source, name)).equals(noise(50_000 + number))).toBe(true);
      }
      const log = readFileSync(path.join(to, source, 'a-log'));
      expect(readFileSync(path.join(source, 'a-log')).subarray(0, log.length).equals(log)).toBe(true);
    } finally {
      clearTimeout(remover);
      writer.kill('SIGKILL');
    }
  });
});
