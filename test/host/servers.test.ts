/**
 * The real servers, killed and started again. What they keep is proved by the journey's kills; here:
 * that they come up prepared, side by side, on loopback only, and are never left behind.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Connection } from '@temporalio/client';
import { findServer, findTemporal, findWeed, type ServerSearch, serverSearch } from '../../host/server-programs.ts';
import { NAMESPACE, SEARCH_ATTRIBUTES, startS3, startTemporal } from '../../host/servers.ts';

let dir = '';
let temporal = '';
let weed = '';

beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'seedship-servers-'));
  temporal = await findTemporal(serverSearch(process.env));
  weed = await findWeed(serverSearch(process.env));
}, 300_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const cmdline = (pid: number) =>
  existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '';

/** Addresses a process listens on, from the kernel's own tables. */
function listening(pid: number): string[] {
  const sockets = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1] ?? ''),
  );
  return ['tcp', 'tcp6'].flatMap((table) => {
    const rows = readFileSync(`/proc/${pid}/net/${table}`, 'utf8').trim().split('\n').slice(1);
    const fields = rows.map((row) => row.trim().split(/\s+/));
    const ours = fields.filter(([, , , state, , , , , , inode = '']) => state === '0A' && sockets.has(inode));
    return ours.map(([, local = '']) => `${table} ${local}`);
  });
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return ''; // closed meanwhile
  }
}

const LOOPBACK_V4 = /^tcp 0100007F:/;

describe('finding a program', () => {
  const none: ServerSearch = { path: '', cache: '/nonexistent', install: false };

  function plant(folder: string, name: string, says: string): string {
    mkdirSync(path.join(dir, folder), { recursive: true });
    const file = path.join(dir, folder, name);
    writeFileSync(file, `#!/bin/sh\necho '${says}'\n`, { mode: 0o755 });
    return file;
  }

  test('the given path goes before everything, and is refused rather than replaced', async () => {
    const given = plant('given', 'temporal', 'anything');
    expect(await findServer('temporal', { ...none, given })).toBe(given);
    await expect(findServer('temporal', { ...none, given: '/nowhere' })).rejects.toMatchObject({
      code: 'Configuration',
    });
  });

  test('one on PATH is taken when it is new enough', async () => {
    plant('old', 'temporal', 'temporal version 1.8.2 (Server 1.31.2, UI 2.50.1)');
    plant('other', 'temporal', 'a watch for joggers');
    const fit = plant('new', 'temporal', 'temporal version 1.9.0 (Server 1.32.0, UI 2.54.1)');
    const folders = ['old', 'other', 'new'].map((folder) => path.join(dir, folder));
    expect(await findServer('temporal', { ...none, path: folders.join(':') })).toBe(fit);
    expect(await findServer('temporal', { ...none, path: folders.slice(0, 2).join(':') })).toBeUndefined();
  });

  test('the cache is where XDG says, or in the home folder', () => {
    expect(serverSearch({ XDG_CACHE_HOME: '/c', HOME: '/h' }).cache).toBe('/c/seedship/servers');
    expect(serverSearch({ HOME: '/h' }).cache).toBe('/h/.cache/seedship/servers');
  });
});

async function keptDays(address: string): Promise<number> {
  const connection = await Connection.connect({ address });
  const { config } = await connection.workflowService.describeNamespace({ namespace: NAMESPACE });
  await connection.close();
  return Number(config?.workflowExecutionRetentionTtl?.seconds) / 86_400;
}

describe('the Temporal server', () => {
  test('has the namespace with its retention and search attributes, also after kill -9', async () => {
    const plan = { program: temporal, dir: path.join(dir, 'temporal') };
    const first = await startTemporal(plan);
    expect(await keptDays(first.address)).toBe(90);
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    const second = await startTemporal({ ...plan, keepFinishedDays: 30 });
    try {
      expect(second.address).toBe(first.address);
      const connection = await Connection.connect({ address: second.address });
      expect(await keptDays(second.address)).toBe(30); // it was told otherwise since
      const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: NAMESPACE });
      expect(Object.keys(customAttributes ?? {}).sort()).toEqual(Object.keys(SEARCH_ATTRIBUTES).sort());
      await connection.close();
      expect((await fetch(second.uiUrl)).status).toBe(200);
      for (const address of listening(second.pid)) expect(address).toMatch(LOOPBACK_V4);
    } finally {
      await second.stop();
    }
    expect(cmdline(second.pid)).toBe('');
  });

  test('a leftover on the same folder is ended before its data are opened again', async () => {
    const plan = { program: temporal, dir: path.join(dir, 'leftover') };
    const left = await startTemporal(plan);
    const second = await startTemporal(plan);
    await left.exited;
    await second.stop();
    expect(cmdline(left.pid)).toBe('');
  });
});

describe('the S3 server', () => {
  const identities = [{ name: 'owner', accessKeyId: 'OWNER', secretAccessKey: 'owner-secret', owner: true }];

  test('two at once share nothing, listen on loopback only, and report nothing home', async () => {
    const both = await Promise.all(
      ['one', 'two'].map((name) => startS3({ program: weed, dir: path.join(dir, name), identities })),
    );
    try {
      const addresses = both.flatMap(({ pid }) => listening(pid));
      expect(addresses.length).toBe(16);
      expect(new Set(addresses).size).toBe(16);
      for (const address of addresses) expect(address).toMatch(LOOPBACK_V4);
      for (const { pid } of both) expect(cmdline(pid)).toContain('-master.telemetry=false');
      expect(statSync(path.join(dir, 'one')).mode & 0o077).toBe(0);
      expect(statSync(path.join(dir, 'one', 'identities.json')).mode & 0o077).toBe(0);
    } finally {
      await Promise.all(both.map((server) => server.stop()));
    }
  });

  test('a taken port that was asked for is refused', async () => {
    const server = await startS3({ program: weed, dir: path.join(dir, 'first'), identities });
    try {
      const port = Number(new URL(server.endpoint).port);
      await expect(startS3({ program: weed, dir: path.join(dir, 'second'), identities, port })).rejects.toMatchObject({
        code: 'Unreachable',
      });
    } finally {
      await server.stop();
    }
  });

  test('it dies with the process that started it', async () => {
    const script = `
      import { startS3 } from ${JSON.stringify(path.resolve('dist/host/servers.js'))};
      const { pid } = await startS3(${JSON.stringify({ program: weed, dir: path.join(dir, 'orphan'), identities })});
      console.log(pid);
      process.kill(process.pid, 'SIGKILL');`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    const pid = Number(stdout);
    expect(pid).toBeGreaterThan(0);
    for (let waited = 0; waited < 5000 && cmdline(pid) !== ''; waited += 50) await sleep(50);
    expect(cmdline(pid)).toBe('');
  });
});
