/**
 * Two GiB in 100,000 files through the whole journey and back, by what a person types. Judged by three that
 * share no code with the backup: rsync, a comparer in another language, and the stand-alone reader, which
 * restores once more from a directory copy of the vault, cut off from every network. Memory is bounded.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ProcessWatch, withParents } from '../../bench/process-watch.ts';
import { GIB, MIB } from '../../domain/units.ts';
import { readEmbedded } from '../../host/settings.ts';
import { type ObjectStore, openStore } from '../../store/object-store.ts';
import { compareTrees, Embedded, makeTree } from '../harness/embedded.ts';

const READER = fileURLToPath(new URL('../../doc/reader/read-vault.mjs', import.meta.url));
const BYTES = 2 * GIB;
const FILES = 100_000;
/** For one command, on a busy machine. */
const COMMAND_MS = 600_000;
/** A worker with one child. */
const MEMORY_MAX = 512 * MIB;
/** The tree has one path longer than PATH_MAX, which rsync cannot judge; compare_trees.py does. */
const RSYNC_CANNOT =
  /File name too long|filename overflows|overly[- ]long|skipping file deletion|some files\/attrs were not transferred/;

const system = new Embedded('two-gib', {}, COMMAND_MS);
const source = system.at('source');
const watch = new ProcessWatch(() => [process.pid]);
const times: string[] = [];

beforeAll(async () => {
  await timed('make the tree', () => makeTree(source, '--files', String(FILES), '--bytes', String(BYTES)));
  await system.start();
  await system.setUp(source);
}, 600_000);

afterAll(async () => {
  const pairs = withParents(watch.stop(), 'child-entry.js');
  process.stderr.write(`${['stage                      seconds', ...times, ...peaks(pairs)].join('\n')}\n`);
  await system.close();
}, 120_000);

async function timed<T>(stage: string, act: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  const result = await act();
  times.push(`${stage.padEnd(26)} ${((performance.now() - begun) / 1000).toFixed(1).padStart(7)}`);
  return result;
}

function peaks(pairs: ReturnType<typeof withParents>): string[] {
  const rows = pairs.map(({ command, parentBytes, childBytes }) => {
    const site = /worker run (\w+)/.exec(command)?.[1] ?? 'owner (restore)';
    return `${site.padEnd(18)}${mib(parentBytes)}${mib(childBytes)}${mib(parentBytes + childBytes)}`;
  });
  return ['peak MiB            worker  child   both', ...rows];
}

function mib(bytes: number): string {
  return String(Math.round(bytes / MIB)).padStart(8);
}

/** A program that is not ours: its exit code and what it said. */
function ask(program: string, ...words: string[]): Promise<{ status: number | null; lines: string[] }> {
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('latin1').on('data', (text) => {
      said += text;
    });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, lines: said.split('\n').filter(Boolean) }));
  });
}

/** What rsync would change to make the restored tree the source, but for what it cannot reach. */
async function rsyncDifferences(restored: string): Promise<string[]> {
  const words = ['-nacHAX', '--modify-window=-1', '--delete', '--itemize-changes', `${source}/`, `${restored}/`];
  const { lines } = await ask('rsync', ...words);
  const [told, differences] = [(line: string) => RSYNC_CANNOT.test(line), (line: string) => !RSYNC_CANNOT.test(line)];
  expect(lines.filter(told).length).toBeGreaterThan(0); // else it judged nothing, or the tree lost its long path
  return lines.filter(differences);
}

/** The bucket as its owner reads it, object by object. */
function vaultAsOwner(): ObjectStore {
  const server = readEmbedded(system.state)?.destinations?.embedded;
  const keys = server?.roles?.owner;
  if (!server?.endpoint || !keys) throw new Error('embedded.json names no owner');
  return openStore('s3://seedship-main', {
    endpoint: server.endpoint,
    region: server.region ?? 'us-east-1',
    accessKeyId: keys['access-key-id'],
    secretAccessKey: keys['secret-access-key'],
  });
}

async function copyVault(folder: string): Promise<void> {
  const vault = vaultAsOwner();
  for await (const { name } of vault.list('')) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, await vault.get(name));
  }
}

async function restorable(): Promise<string> {
  for (let tries = 0; tries < 120; tries += 1) {
    const points = (await system.must('point', 'list')).data as { label: string; restorable: boolean }[];
    const [found] = points.filter((point) => point.restorable);
    if (found) return found.label;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  throw new Error('the point did not become restorable in two minutes');
}

describe('2 GiB in 100,000 files', () => {
  let label = '';

  test('travel by drive into the vault', async () => {
    await timed('1 stage', () =>
      system.must('job', 'start', 'big', '--protection', 'docs', '--staging', system.at('staging')),
    );
    for (const name of ['d1', 'd2']) mkdirSync(system.at(name));
    const { staged } = Object((await system.must('job', 'show', 'big')).data);
    const most = String(Math.ceil(staged.sealedBytes * 0.6));
    for (const [at, name] of ['d1', 'd2'].entries())
      await timed(`2 prepare drive ${at + 1}`, () =>
        system.must('drive', 'prepare', system.at(name), '--job', 'big', '--capacity', most),
      );
    await system.must('job', 'ship', 'big', '--carrier', 'dhl', '--tracking', 'JD014600003RU');
    const drives = (await system.must('drive', 'list')).data as { drive: string }[];
    expect(drives).toHaveLength(2);
    await system.must('drive', 'receive', '--job', 'big', ...drives.flatMap(({ drive }) => ['--drive', drive]));
    for (const [at, name] of ['d1', 'd2'].entries())
      await timed(`5 ingest drive ${at + 1}`, () => system.must('drive', 'attach', system.at(name), '--job', 'big'));
    await timed('6 copy into the vault', async () => {
      await system.must('job', 'watch', 'big', '--until', 'Protected');
      label = await restorable();
    });
  }, 900_000);

  test('come back exactly when staging, drives and the catalog are gone', async () => {
    for (const name of ['staging', 'd1', 'd2']) rmSync(system.at(name), { recursive: true });
    for (const name of ['catalog', 'spool']) rmSync(path.join(system.state, name), { recursive: true, force: true });
    const to = system.at('back');
    const done = await timed('8 restore', () => system.must('restore', label, '--to', to, ...system.passphrase));
    expect(Object(done.data).skippedFiles).toBe(0);
    expect(Object(done.data).files).toBeGreaterThanOrEqual(FILES);
    expect(await timed('judge: rsync', () => rsyncDifferences(`${to}${source}`))).toEqual([]);
    expect(await timed('judge: compare_trees.py', () => compareTrees(source, `${to}${source}`))).toBe('');
    await ask('rm', '-rf', to); // it holds a path that Node cannot remove
  }, 900_000);

  test('come back exactly without Seedship and without a network', async () => {
    const [copy, to] = [system.at('vault-copy'), system.at('read')];
    await timed('copy the vault', () => copyVault(copy));
    expect(statSync(path.join(copy, 'config')).isFile()).toBe(true);
    const words = [READER, copy, '--passphrase-file', system.at('passphrase'), 'restore', label, to];
    const read = await timed('stand-alone reader', () =>
      ask(
        'unshare',
        ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
        '-n',
        process.execPath,
        ...words,
      ),
    );
    expect([read.status, read.lines.slice(-5)]).toEqual([0, expect.anything()]);
    expect(await timed('judge: compare_trees.py', () => compareTrees(source, `${to}${source}`))).toBe('');
  }, 900_000);

  test('take no more than 512 MiB, a worker and its child together', () => {
    const pairs = withParents(watch.stop(), 'child-entry.js');
    const sites = new Set(pairs.map(({ command }) => /worker run (\w+)/.exec(command)?.[1] ?? 'owner'));
    expect([...sites].sort()).toEqual(['copy', 'dock', 'owner', 'source', 'vault']);
    for (const { command, parentBytes, childBytes } of pairs)
      expect([command, parentBytes + childBytes <= MEMORY_MAX ? 'within' : mib(parentBytes + childBytes)]).toEqual([
        command,
        'within',
      ]);
  });
});
