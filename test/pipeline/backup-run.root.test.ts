/** Needs root: the backup itself runs as nobody, who may not read everything. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { openPoint, openPointBody } from '../../format/recovery-point.ts';
import { openSession } from '../../format/session.ts';
import type { BackupResult, BackupTask } from '../../pipeline/child-tasks.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { newTestVault, ownerSecrets, perform, pointName, stagingTask, type TestVault, Workbench } from './fixture.ts';

const NOBODY = 65_534;
const bench = new Workbench('unreadable');
afterAll(() => bench.close());

function performAsNobody(task: BackupTask, vault: TestVault): BackupResult {
  const module = new URL('../../dist/pipeline/child.js', import.meta.url).href;
  const code = `
    const { runChild } = await import(${JSON.stringify(module)});
    const { task, secrets } = JSON.parse(process.env.ORDER);
    const result = await runChild(task, { secrets, onProgress() {}, log: console.error,
      signal: new AbortController().signal });
    console.log(JSON.stringify(result));`;
  const words = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', process.execPath, '--input-type=module'];
  const run = spawnSync('setpriv', [...words, '-e', code], {
    encoding: 'utf8',
    env: { ORDER: JSON.stringify({ task, secrets: vault.secrets }) },
  });
  if (run.status !== 0) throw new Error(run.stderr);
  return JSON.parse(run.stdout);
}

/** As the owner reads it. */
async function openedPoint(vault: TestVault, result: BackupResult, staging = bench.at('staging')) {
  const bytes = readFileSync(path.join(staging, pointName(result)));
  const point = openPoint(bytes, { trust: { vaultId: vault.vaultId, ownerPublic: vault.ownerPublic } });
  return { body: openPointBody(point, await openSession(point.head.wrap, vault.restoreIdentity)) };
}

describe('a backup by someone who may not read everything', () => {
  test('leaves out what it may not read, lists it with the reason, and keeps the rest', async () => {
    const vault = await newTestVault();
    chmodSync(bench.directory, 0o755);
    const source = bench.makeDirectory('source');
    mkdirSync(path.join(source, 'closed'));
    writeFileSync(path.join(source, 'closed', 'inside'), 'x');
    writeFileSync(path.join(source, 'open'), 'to all');
    writeFileSync(path.join(source, 'secret'), 'to root');
    chmodSync(path.join(source, 'secret'), 0o600);
    chmodSync(path.join(source, 'closed'), 0o700);
    for (const place of ['staging', 'state']) {
      await preparePlace(bench.at(place));
      for (const folder of [bench.at(place), bench.at(place, '.making')]) chownSync(folder, NOBODY, NOBODY);
    }
    const result = performAsNobody(stagingTask(vault, bench, source), vault);
    expect(result).toMatchObject({ files: 1, skippedFiles: 2 });
    const { body } = await openedPoint(vault, result);
    expect(body.skippedPaths.map(({ path: bytes, reason }) => [Buffer.from(bytes).toString(), reason])).toEqual([
      [path.join(source, 'closed'), 'EACCES'],
      [path.join(source, 'secret'), 'EACCES'],
    ]);
    const to = bench.at('restored');
    const restored = await perform(
      {
        kind: 'restore',
        time: '2026-11-23T03:00:00.000Z',
        vaultId: vault.vaultId,
        vault: { url: `file://${bench.at('staging')}` },
        point: pointName(result),
        paths: [],
        include: [],
        to,
        conflict: 'skip',
        stateDirectory: bench.at('owner'),
      },
      ownerSecrets(vault),
    );
    expect(restored.files).toBe(1);
  });
});

describe('a file with more attributes than a record holds', () => {
  /** ext4 that keeps large attributes in inodes of their own: any user may make some megabytes of them. */
  function mountedImage(): string {
    const folder = bench.makeDirectory('mounted');
    const image = bench.at('image');
    execFileSync('truncate', ['-s', '64M', image]);
    execFileSync('mkfs.ext4', ['-q', '-F', '-O', 'ea_inode', image]);
    execFileSync('mount', ['-o', 'loop', image, folder]);
    return folder;
  }

  test('is kept without them, listed at every backup, and stops nothing', async () => {
    const vault = await newTestVault();
    const source = mountedImage();
    try {
      for (const [name, values] of Object.entries({ some: 15, many: 40 })) {
        writeFileSync(path.join(source, name), name);
        for (let at = 0; at < values; at++)
          execFileSync('setfattr', ['-n', `user.a${at}`, '-v', 'x'.repeat(60_000), path.join(source, name)]);
      }
      for (const run of [1, 2]) {
        const staging = bench.at(`attributes-${run}`);
        await preparePlace(staging);
        const to = { kind: 'staging', place: { url: `file://${staging}` } } as const;
        const stateDirectory = bench.at('attributes-state');
        const result = await perform(stagingTask(vault, bench, source, { to, stateDirectory }), vault.secrets);
        expect(result.skippedFiles).toBe(1);
        const { body } = await openedPoint(vault, result, staging);
        expect(body.skippedPaths.map(({ path: bytes, reason }) => [Buffer.from(bytes).toString(), reason])).toEqual([
          [path.join(source, 'many'), 'attributes: E2BIG'],
        ]);
      }
    } finally {
      execFileSync('umount', ['--lazy', source]);
    }
  });
});
