/**
 * What may happen to a worker in the middle of a step, on real parts. Fault model: SIGTERM, SIGKILL of
 * worker or child, a child that stands still. After each the step goes on, and packs are not sealed again.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { seedingId } from '../../domain/seeding-job.ts';
import { MIB } from '../../domain/units.ts';
import { SmallSystem, VAULT } from '../harness/small-system.ts';
import { packsIn } from '../pipeline/fixture.ts';

const STALL_SECONDS = 4;
let system: SmallSystem;
let jobs = 0;
let job = '';

beforeAll(async () => {
  system = await SmallSystem.start({ throttle: '30MiB', threads: '1', 'stall-seconds': String(STALL_SECONDS) });
  system.startWorkers(['control', 'vault']);
}, 120_000);
afterAll(async () => {
  await system?.stop();
}, 60_000);

/** Every test stages a folder of its own, that no pack holds yet: the first is full after two seconds of four. */
beforeEach(async () => {
  jobs += 1;
  job = `hq-${jobs}`;
  mkdirSync(system.at(job));
  for (const name of ['a', 'b']) writeFileSync(system.at(job, name), randomBytes(60 * MIB));
  await system.protect(`files-${jobs}`, [system.at(job)]);
}, 60_000);

afterEach(() => system.stopWorkers('source'));

async function stagingBegins(): Promise<number> {
  const begun = packsIn(system.at('staging')).size; // of the tests before
  const worker = system.startWorker('source');
  await system.startJob(job, `files-${jobs}`);
  const id = seedingId({ vault: VAULT, job });
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50)) {
    const progress = (await system.pending(id)).get('stageBackup')?.progress;
    if (progress && progress.bytesDone > 20 * MIB && packsIn(system.at('staging')).size > begun) return worker.pid ?? 0;
  }
  throw new Error(`staging never began: ${system.log('source')}`);
}

/** The data process below a worker. */
function childOf(worker: number): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const child = pids.find((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ')[0]) === worker && command.includes('child-entry');
    } catch {
      return false;
    }
  });
  if (child === undefined) throw new Error('the worker has no child');
  return Number(child);
}

function isGone(pid: number): boolean {
  try {
    return / [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

async function until(holds: () => boolean, ms: number): Promise<void> {
  for (const end = Date.now() + ms; !holds(); await sleep(50)) if (Date.now() > end) throw new Error('it never held');
}

/** Staged in the end, with what was finished before left as it was. */
async function goesOn(before: Map<string, string>): Promise<void> {
  const { staged } = await system.until(job, ({ stage }) => stage === 'Preparing', 120_000);
  expect([staged?.files, staged?.skippedFiles]).toEqual([2, 0]);
  const after = packsIn(system.at('staging'));
  for (const [name, identity] of before) expect([name, after.get(name)]).toEqual([name, identity]);
  await system.say(job, 'cancel', { by: 'test' });
}

describe('a worker in the middle of staging', () => {
  test('told to stop, kills its child, hands the step back, and the next goes on where it was', async () => {
    const worker = await stagingBegins();
    const child = childOf(worker);
    process.kill(worker, 'SIGTERM');
    await until(() => isGone(worker) && isGone(child), 10_000);
    const before = packsIn(system.at('staging'));
    system.startWorker('source');
    await goesOn(before);
  }, 180_000);

  test('killed, takes its child along, and the next goes on after one silent heartbeat', async () => {
    const worker = await stagingBegins();
    const child = childOf(worker);
    process.kill(worker, 'SIGKILL');
    await until(() => isGone(child), 5_000);
    const before = packsIn(system.at('staging'));
    system.startWorker('source');
    await goesOn(before);
  }, 180_000);

  test('whose child is killed, goes on with another', async () => {
    const worker = await stagingBegins();
    const before = packsIn(system.at('staging'));
    process.kill(childOf(worker), 'SIGKILL');
    await goesOn(before);
  }, 180_000);

  test('whose child stands still, ends it as stalled, and goes on with another', async () => {
    const worker = await stagingBegins();
    const child = childOf(worker);
    process.kill(child, 'SIGSTOP');
    const before = packsIn(system.at('staging'));
    await until(() => isGone(child), (STALL_SECONDS + 10) * 1000);
    await goesOn(before);
  }, 180_000);
});

test('a worker that froze past its heartbeat and thaws beside its successor does no harm', async () => {
  const worker = await stagingBegins();
  const child = childOf(worker);
  process.kill(worker, 'SIGSTOP');
  process.kill(child, 'SIGSTOP'); // one host that hangs as a whole
  const before = packsIn(system.at('staging'));
  system.startWorker('source');
  await until(() => isGone(child), 60_000); // the successor's child took the lock from it
  process.kill(worker, 'SIGCONT');
  await goesOn(before);
  expect(isGone(worker)).toBe(false);
}, 180_000);

test('the Temporal server is killed and comes back: the step goes on by itself', async () => {
  const worker = await stagingBegins();
  const before = packsIn(system.at('staging'));
  await system.killTemporal(3_000);
  await goesOn(before);
  expect(isGone(worker)).toBe(false);
}, 180_000);

test('no log of these workers holds a file name', () => {
  const logs = ['source', 'vault', 'control'] as const;
  for (const kind of logs) {
    expect(statSync(system.at(`${kind}.log`)).size).toBeGreaterThan(0);
    expect(system.log(kind)).not.toContain(system.at('hq-1'));
  }
});
