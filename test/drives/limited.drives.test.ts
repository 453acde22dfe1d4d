/**
 * Staging is a third of the seed: three drives from two copy hosts take packs while others are made. One is
 * destroyed, one has a band of sectors that cannot be read: what they carried is read from the source again.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
const LIMIT = 27_000_000;
const system = new Embedded('limited', { SEEDSHIP_PACK_SIZE: '1MiB' });
/** The other copy host: its own state, its own name, its own credentials; it sees staging elsewhere. */
const attic = new Embedded('limited-attic', { SEEDSHIP_PACK_SIZE: '1MiB', SEEDSHIP_HOST: 'attic' });
const source = system.at('source');
let most = 0;
let watching: NodeJS.Timeout;

beforeAll(async () => {
  await makeTree(source, '--files', '400', '--bytes', '30000000', '--plain');
  run('sh', '-c', 'rm -rf "$1"/odd/deep-*', 'sh', source); // longer than rsync can name
  writeFileSync(path.join(source, 'noise'), randomBytes(60 * MIB));
  await system.start();
  await system.setUp(source);
  await joinAsCopyHost(attic, system);
  run('mkdir', system.at('staging'), attic.at('share'));
  run('mount', '--bind', system.at('staging'), attic.at('share'));
  watching = setInterval(() => {
    most = Math.max(most, stagedBytes());
  }, 50);
}, 240_000);
afterAll(async () => {
  clearInterval(watching);
  releaseDisks();
  releaseServed();
  await attic.stop();
  run('umount', attic.at('share'));
  await attic.close();
  await system.close();
}, 60_000);

/** Of packs in staging now. */
function stagedBytes(): number {
  const names = readdirSync(system.at('staging'), { recursive: true, encoding: 'utf8' });
  const packs = names.filter((name) => /^packs\/..\/[0-9a-f]{64}$/.test(name));
  const sizes = packs.map((name) => statSync(system.at('staging', name), { throwIfNoEntry: false })?.size ?? 0);
  return sizes.reduce((sum, size) => sum + size, 0);
}

interface Shown {
  readonly stage: string;
  readonly point?: { readonly label: string };
  readonly drives: {
    readonly id: string;
    readonly state: string;
    readonly host: string;
    readonly bytes: number;
    readonly ranges: { readonly from: number; readonly to: number }[];
  }[];
  readonly staged?: { readonly objects: number; readonly sealedBytes: number };
  readonly attention: { readonly id: string; readonly code: string; readonly message: string }[];
}

async function shown(): Promise<Shown> {
  return Object((await system.must('job', 'show', 'j3')).data);
}

const count = (ranges: Shown['drives'][number]['ranges']) => ranges.reduce((sum, { from, to }) => sum + to - from, 0);

async function prepare(host: Embedded, loop: LoopDisk, serial: string, ...flags: string[]): Promise<string> {
  const staging = host === attic ? ['--staging', attic.at('share')] : [];
  const words = ['drive', 'prepare', loop.device, '--job', 'j3', '--confirm-serial', serial, ...staging, ...flags];
  const { data } = await host.must(...words);
  expect(Object(data).state).toBe('Prepared');
  return Object(data).id;
}

describe('a job whose staging is a third of its seed', () => {
  const carried = new Map<string, number>();

  test('fills three drives one after the other, and never holds more than its limit', async () => {
    const loops = ['ONE-1', 'TWO-2', 'THREE-3'].map((serial) => new LoopDisk({ bytes: DISK, serial }));
    const [one, two, three] = loops as [LoopDisk, LoopDisk, LoopDisk];
    const order = ['--protection', 'docs', '--staging', system.at('staging'), '--staging-limit', `${LIMIT}`];
    await system.must('job', 'start', 'j3', ...order, '--no-wait');
    await until(async () => stagedBytes() > 0);
    const filling = prepare(system, one, 'ONE-1', '--capacity', '30MB');
    await until(({ drives }) => drives.some(({ state }) => state === 'Specified'));
    const refused = await attic.type('drive', 'prepare', two.device, '--job', 'j3', '--staging', attic.at('share'));
    expect([refused.status, refused.lines.at(-1)]).toMatchObject([
      6,
      { code: 'WrongState', message: expect.stringContaining('is being filled') },
    ]);
    const first = await filling;
    expect((await shown()).stage).toBe('Staging');
    const second = await prepare(attic, two, 'TWO-2', '--capacity', '30MB');
    const third = await prepare(system, three, 'THREE-3');
    const { drives, staged } = await until(({ stage }) => stage === 'Shipping');
    expect(drives.map(({ host }) => host).sort()).toEqual(['attic', 'test-host', 'test-host']);
    expect(drives.reduce((sum, { ranges }) => sum + count(ranges), 0)).toBe(staged?.objects);
    expect(staged?.sealedBytes).toBeGreaterThan(3 * LIMIT);
    expect(most).toBeGreaterThan(LIMIT / 3);
    expect(most).toBeLessThanOrEqual(LIMIT);
    for (const { id, ranges } of drives) carried.set(id, count(ranges));
    await system.must('job', 'ship', 'j3', '--carrier', 'dhl', '--tracking', 'JD014600003RU');
    three.release();
    rmSync(three.image); // destroyed on the way
    const worn = await wornDisk(two, { serial: 'TWO-2', folder: system.at('.') });
    const opened = await system.type('drive', 'receive', '--job', 'j3', '--drive', first, '--drive', second);
    expect([opened.status, Object(opened.data).missing]).toEqual([3, [third]]);
    await system.must('job', 'resolve', 'j3', '--choice', 'replace'); // on no drive: staging has it no more
    await system.must('drive', 'attach', one.device, '--job', 'j3');
    await system.must('drive', 'attach', worn.device, '--job', 'j3', '--no-wait');
    const asked = await until(({ attention }) => attention.length > 0);
    expect(asked.attention[0]).toMatchObject({ message: expect.stringContaining('could not be taken') });
    const unread = Number(/^(\d+) of its/.exec(asked.attention[0]?.message ?? '')?.[1]);
    await system.must('job', 'resolve', 'j3', '--choice', 'send');
    await system.must('job', 'watch', 'j3', '--until', 'Protected');
    const lost = drives.find(({ id }) => id === third);
    const told = `${(carried.get(third) ?? 0) + unread} of ${staged?.objects} objects`;
    const bytes = `${lost?.bytes} bytes of the lost drive and ${unread} unreadable objects, of ${staged?.sealedBytes}`;
    process.stderr.write(`read again from the source: ${told}: ${bytes}; at most ${most} bytes in staging\n`);
  }, 400_000);

  test('gave the whole point: rsync finds nothing to do', async () => {
    for (let tries = 0; tries < 30 && !(await isRestorable()); tries += 1) await sleep(1000);
    await system.must('restore', (await shown()).point?.label ?? '', '--to', system.at('back'), ...system.passphrase);
    const back = `${system.at('back')}${source}`;
    expect([await compareTrees(source, back), rsyncWouldDo(source, back)]).toEqual(['', '']);
  }, 120_000);
});

async function isRestorable(): Promise<boolean> {
  const points: { restorable: boolean }[] = (await system.must('point', 'list')).data as never;
  return points.every(({ restorable }) => restorable);
}

async function until(holds: (job: Shown) => boolean | Promise<boolean>): Promise<Shown> {
  for (let tries = 0; tries < 90; tries += 1) {
    const job = await shown();
    if (await holds(job)) return job;
    await sleep(1000);
  }
  throw new Error(`it stays at ${JSON.stringify(await shown())}`);
}
