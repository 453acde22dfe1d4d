/**
 * What Temporal keeps of a journey of eight drives, on real parts: counted over the job and its children, for
 * a seed and for one of ten times its bytes. Bytes leave no events: only what people and drives do leaves some.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { childId, seedingId } from '../../domain/seeding-job.ts';
import { HOST, REGION, SmallSystem, VAULT } from '../harness/small-system.ts';

const EVENTS_MAX = 1000;
const FILE_BYTES = 250_000;
const DRIVES = Array.from({ length: 8 }, (_, at) => `${at}E0000000000C0DE`);
/** Of its share of the seed, what each drive has room for, and one pack at least: the last one takes the rest. */
const ROOM = 1.05;
const ROOM_MIN = 3_400_000;
/**
 * What does the work, and what people do. How often a worker is woken, upkeep is asked for, or changes are told in
 * one notice, one page or one revision of the record, depends on what comes together.
 */
const WORK =
  /^(activityTaskScheduled (stageBackup|statePoint|prepareDrive|registerImport|ingestDrive|sendPacks|startSchedule)|workflowExecutionUpdate\w+)$/;
/** What that may add: three events each time that a worker is woken. */
const BY_CHANCE_MAX = 100;
let system: SmallSystem;

beforeAll(async () => {
  system = await SmallSystem.start({ 'pack-size': '1MiB' });
  system.startWorkers();
}, 120_000);
afterAll(() => system?.stop(), 60_000);

/** One drive after the other, as one person would; resolves with the counts of events by kind, when all is over. */
async function journey(job: string, bytes: number): Promise<Map<string, number>> {
  mkdirSync(system.at(job));
  for (let file = 0; file < bytes / FILE_BYTES; file += 1)
    writeFileSync(system.at(job, `${file}`), randomBytes(FILE_BYTES));
  await system.protect(job, [system.at(job)]);
  await system.startJob(job, job);
  const { staged } = await system.until(job, ({ stage }) => stage === 'Preparing', 120_000);
  const drives = DRIVES.map((drive) => `${drive.slice(0, -1)}${job.length}`);
  const room = Math.max(ROOM_MIN, Math.ceil(((staged?.sealedBytes ?? 0) / drives.length) * ROOM));
  for (const [at, drive] of drives.entries()) {
    await system.attachDirectory(drive);
    const capacityBytes = at === drives.length - 1 ? 1e12 : room;
    await system.say(job, 'prepareDrive', { drive, host: HOST, capacityBytes, by: 'ann' });
    await system.until(job, (now) => now.drives.some(({ id, state }) => id === drive && state === 'Prepared'));
  }
  const ready = await system.until(job, (now) => now.drives.every(({ registered }) => registered === true));
  expect(ready.drives.map(({ id, objects }) => [id, objects > 0])).toEqual(drives.map((id) => [id, true]));
  await system.say(job, 'ship', { carrier: 'other', tracking: `1Z-${job}`, by: 'ann' });
  await system.say(job, 'receive', { drives, by: 'desk' });
  for (const drive of drives) {
    await system.say(job, 'attach', { drive, region: REGION, host: HOST, by: 'desk' });
    await system.until(job, (now) => now.drives.some(({ id, state }) => id === drive && state === 'Completed'));
  }
  await system.until(job, ({ stage }) => stage === 'Protected', 120_000);
  const parent = seedingId({ vault: VAULT, job });
  await system.client.workflow.getHandle(parent).result();
  const children = drives.flatMap((drive) => [childId.prepare(parent, drive), childId.ingest(parent, drive)]);
  return eventsOf([parent, childId.shipping(parent), ...children]);
}

async function eventsOf(workflowIds: readonly string[]): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const workflowId of workflowIds) {
    const { events } = await system.client.workflow.getHandle(workflowId).fetchHistory();
    for (const event of events ?? []) {
      const fields = Object.entries(event).filter(([name, value]) => name.endsWith('EventAttributes') && value);
      const [name = '', attributes] = fields[0] ?? [];
      const step: string = Object(attributes).activityType?.name ?? '';
      const kind = [name.replace('EventAttributes', ''), step].filter(Boolean).join(' ');
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
  }
  return counts;
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((all, count) => all + count, 0);
}

const workOf = (counts: ReadonlyMap<string, number>) => new Map([...counts].filter(([kind]) => WORK.test(kind)).sort());

test('a job of eight drives leaves fewer than 1,000 events, and ten times its bytes leave no more', async () => {
  const small = await journey('small', 24_000_000);
  const tenfold = await journey('tenfold', 240_000_000);
  process.stderr.write(`events: ${sum(small)}, and ${sum(tenfold)} of ten times the bytes\n`);
  for (const counts of [small, tenfold]) expect(sum(counts)).toBeLessThan(EVENTS_MAX);
  expect(workOf(tenfold)).toEqual(workOf(small));
  expect(Math.abs(sum(tenfold) - sum(small))).toBeLessThan(BY_CHANCE_MAX);
  expect(workOf(small).get('activityTaskScheduled ingestDrive')).toBe(DRIVES.length);
}, 400_000);
