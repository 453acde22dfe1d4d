/** Three drives from two copy hosts: one is destroyed, one has a band of sectors that cannot be read. */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { joinAsCopyHost } from '../harness/copy-host.ts';
import { compareTrees, Embedded, makeTree } from '../harness/embedded.ts';
import { LoopDisk, releaseDisks, run } from '../harness/loop-disk.ts';
import { releaseServed } from '../harness/served-disk.ts';
import { wornDisk } from '../harness/worn-disk.ts';
import { rsyncWouldDo } from '../pipeline/fixture.ts';

const DISK = 240 * MIB;
const system = new Embedded('three', { SEEDSHIP_PACK_SIZE: '1MiB' });
/** The other copy host: its own state, its own name, its own credentials; it sees staging elsewhere. */
const attic = new Embedded('attic', { SEEDSHIP_PACK_SIZE: '1MiB', SEEDSHIP_HOST: 'attic' });
const source = system.at('source');
let atticWorker: () => Promise<void>;

beforeAll(async () => {
  await makeTree(source, '--files', '400', '--bytes', '30000000', '--plain');
  run('sh', '-c', 'rm -rf "$1"/odd/deep-*', 'sh', source); // longer than rsync can name
  writeFileSync(path.join(source, 'noise'), randomBytes(60 * MIB));
  await system.start();
  await system.setUp(source);
  atticWorker = await joinAsCopyHost(attic, system);
  await system.must('job', 'start', 'j3', '--protection', 'docs', '--staging', system.at('staging'));
  run('mkdir', attic.at('share'));
  run('mount', '--bind', system.at('staging'), attic.at('share'));
}, 240_000);
afterAll(async () => {
  releaseDisks();
  releaseServed();
  await attic.stop();
  run('umount', attic.at('share'));
  await attic.close();
  await system.close();
}, 60_000);

interface Shown {
  readonly free: { readonly from: number; readonly to: number }[];
  readonly drives: {
    readonly id: string;
    readonly state: string;
    readonly host: string;
    readonly registered?: boolean;
    readonly ranges: { readonly from: number; readonly to: number }[];
  }[];
  readonly staged: { readonly objects: number; readonly sealedBytes: number };
  readonly attention: { readonly id: string; readonly code: string; readonly message: string }[];
}

async function shown(): Promise<Shown> {
  return Object((await system.must('job', 'show', 'j3')).data);
}

/** What each drive was given, by its receipt. */
const sealedBytes = new Map<string, number>();
const count = (ranges: Shown['free']) => ranges.reduce((sum, { from, to }) => sum + to - from, 0);

async function prepare(host: Embedded, loop: LoopDisk, serial: string, ...flags: string[]): Promise<string> {
  const staging = host === attic ? ['--staging', attic.at('share')] : [];
  const words = ['drive', 'prepare', loop.device, '--confirm-serial', serial, ...staging, ...flags];
  const { data } = await host.must(...words);
  expect(Object(data).state).toBe('Prepared');
  sealedBytes.set(Object(data).id, Object(data).bytes);
  return Object(data).id;
}

/** The other copy host has lost its line: what it must know is carried there, and what it did is carried back. */
async function prepareByPlan(loop: LoopDisk, serial: string): Promise<string> {
  await atticWorker();
  const embedded = path.join(attic.state, 'embedded.json');
  const addresses = JSON.parse(readFileSync(embedded, 'utf8'));
  writeFileSync(embedded, JSON.stringify({ ...addresses, 'temporal-address': 'localhost:1' }));
  const [plan, journal] = [attic.at('drive.plan'), attic.at('drive.journal')];
  const order = ['--copy-host', 'attic', '--drive-size', '200MB', '--out', plan];
  const { drive, objects } = Object((await system.must('job', 'plan', 'j3', ...order)).data);
  const staging = ['--staging', attic.at('share'), '--out', journal];
  const words = ['drive', 'prepare', loop.device, '--offline', plan, '--confirm-serial', serial, ...staging];
  expect(Object((await attic.must(...words)).data)).toMatchObject({
    ...{ job: 'j3', drive, journal },
    ...{ disk: { readPerSecond: expect.any(Number) }, label: expect.stringContaining(`${drive}.html`) },
  });
  expect((await attic.type('job', 'add-journal', journal)).status).toBe(5); // the line is gone
  const forged = readFileSync(journal, 'utf8').replace(/"receipt":"(.{400})./, '"receipt":"$1A');
  writeFileSync(system.at('forged'), forged);
  expect((await system.type('job', 'add-journal', system.at('forged'))).lines.at(-1)).toMatchObject({
    code: 'Tampered',
  });
  const added = await system.must('job', 'add-journal', journal);
  expect(added.data).toEqual([{ job: 'j3', drive, objects, bytes: expect.any(Number) }]);
  expect((await system.must('job', 'add-journal', journal)).data).toEqual(added.data); // the same command twice
  sealedBytes.set(drive, Object(added.data)[0].bytes);
  await until(({ drives }) =>
    drives.some(({ id, state, registered }) => id === drive && state === 'Prepared' && registered),
  );
  return drive;
}

describe('a job of three drives on two copy hosts', () => {
  test('is completed by sending again only what is missing', async () => {
    const loops = ['ONE-1', 'TWO-2', 'THREE-3', 'FOUR-4'].map((serial) => new LoopDisk({ bytes: DISK, serial }));
    const [one, two, three, four] = loops as [LoopDisk, LoopDisk, LoopDisk, LoopDisk];
    const third = Math.ceil((await until(({ staged: now }) => now !== undefined)).staged.sealedBytes / 3);
    const drives = await Promise.all([
      prepare(system, one, 'ONE-1', '--capacity', `${third}`),
      prepare(attic, two, 'TWO-2', '--capacity', `${third}`),
    ]);
    const { lines } = await system.type('drive', 'prepare', three.device, '--staging', system.at('source'));
    expect(lines.at(-1)).toMatchObject({ code: 'WrongState', message: expect.stringContaining('no job') });
    drives.push(await prepare(system, three, 'THREE-3'));
    const before = await shown();
    expect([before.drives.map(({ host }) => host).sort(), before.free]).toEqual([
      ['attic', 'test-host', 'test-host'],
      [],
    ]);
    const [first = '', second = '', destroyed = ''] = drives;
    await system.must('job', 'ship', 'j3', '--carrier', 'dhl', '--tracking', 'JD014600003RU');
    three.release();
    rmSync(three.image); // destroyed on the way
    const worn = await wornDisk(two, { serial: 'TWO-2', folder: system.at('.') });
    const opened = await system.type('drive', 'receive', '--job', 'j3', '--drive', first, '--drive', second);
    expect([opened.status, Object(opened.data).missing]).toEqual([3, [destroyed]]);
    await system.must('job', 'resolve', 'j3', '--choice', 'replace');
    await system.must('drive', 'attach', one.device, '--job', 'j3');
    const taking = await system.type('drive', 'attach', worn.device, '--job', 'j3', '--no-wait');
    expect(taking.status).toBe(0);
    const asked = await until(({ attention }) => attention.length > 0);
    expect(asked.attention[0]).toMatchObject({
      code: 'DriveFailed',
      message: expect.stringContaining('could not be taken'),
    });
    await system.must('job', 'resolve', 'j3', '--choice', 'replace');
    const { free, drives: now, staged } = await until(({ attention }) => attention.length === 0);
    const carried = count(before.drives.find(({ id }) => id === destroyed)?.ranges ?? []);
    const unread =
      count(before.drives.find(({ id }) => id === second)?.ranges ?? []) -
      count(now.find(({ id }) => id === second)?.ranges ?? []);
    expect(unread).toBeGreaterThan(3);
    expect(count(free)).toBe(carried + unread);
    expect(count(free)).toBeLessThan(staged.objects / 1.5);
    const fourth = await prepareByPlan(four, 'FOUR-4');
    const after = await shown();
    expect(after.drives.find(({ id }) => id === fourth)?.ranges).toEqual(free);
    const again = sealedBytes.get(fourth) ?? 0;
    expect(again).toBeLessThan(staged.sealedBytes / 1.5);
    const told = `${count(free)} of ${staged.objects} objects, ${again} of ${staged.sealedBytes} bytes`;
    process.stderr.write(`sent again: ${told} (${carried} of the lost drive, ${unread} unreadable)\n`);
    await system.must('job', 'ship', 'j3', '--carrier', 'dhl', '--tracking', 'JD014600004RU');
    await system.must('drive', 'receive', '--job', 'j3', '--drive', fourth);
    await system.must('drive', 'attach', four.device, '--job', 'j3');
    await system.must('job', 'watch', 'j3', '--until', 'Protected');
  }, 300_000);

  test('gave the whole point: rsync finds nothing to do', async () => {
    for (let tries = 0; tries < 30 && !(await isRestorable()); tries += 1) await sleep(1000);
    await system.must('restore', 'latest', '--to', system.at('back'), ...system.passphrase);
    const back = `${system.at('back')}${source}`;
    expect([await compareTrees(source, back), rsyncWouldDo(source, back)]).toEqual(['', '']);
  }, 120_000);
});

async function isRestorable(): Promise<boolean> {
  return Object((await system.must('point', 'list')).data)[0].restorable === true;
}

async function until(holds: (job: Shown) => boolean | Promise<boolean>): Promise<Shown> {
  for (let tries = 0; tries < 60; tries += 1) {
    const job = await shown();
    if (await holds(job)) return job;
    await sleep(1000);
  }
  throw new Error(`it stays at ${JSON.stringify(await shown())}`);
}
