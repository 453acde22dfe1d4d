/** Every act in every stage of a job, on the real server: what is refused leaves the history as long as it was. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { type JobStatus, type JourneyStage, seedingId } from '../../domain/seeding-job.ts';
import {
  asks,
  atStage,
  attention,
  DRIVES,
  decide,
  digest,
  dock,
  driveIn,
  eventsOf,
  eventsSince,
  JOB,
  openRealStage,
  prepare,
  refusal,
  type Stage,
  send,
  shippable,
  startJob,
  take,
} from './fake-sites.ts';

const TRIES = 6;
let stage: Stage;
const [FIRST, SECOND] = DRIVES;
const idOf = (job: string) => seedingId({ vault: JOB.vault, job });

beforeAll(async () => {
  stage = await openRealStage({ cached: 0 });
}, 120_000);
/** A worker waits for its activities before it ends. */
const held: (() => void)[] = [];
const never = () => new Promise<never>((_, reject) => held.push(() => reject(new Error('the test is over'))));

afterAll(async () => {
  for (const release of held) release();
  await stage?.close();
}, 180_000);
beforeEach(() => stage.sites.reset());

/** Asks now and then: without a cache each question replays the whole job. */
async function until(handle: WorkflowHandle, holds: (status: JobStatus) => boolean): Promise<JobStatus> {
  for (const end = Date.now() + 40_000; ; await new Promise((resolve) => setTimeout(resolve, 250))) {
    const status: JobStatus = await handle.query('status');
    if (holds(status)) return status;
    if (Date.now() > end)
      throw new Error(`it stays at ${JSON.stringify([status.stage, status.drives, status.attention])}`);
  }
}

const by = 'ann';
const details = { contact: true, returnTo: true, returnCarrier: 'dhl' };

/** Each act once, in a form that is right where it is legal at all. */
const ACTS = {
  prepareDrive: { drive: SECOND, host: 'copy1', capacityBytes: 1e9 },
  addJournal: {
    drive: SECOND,
    receipt: {
      ...{ run: 'r', step: `prepare-${SECOND}`, receipt: digest(70), drive: SECOND, host: 'copy1', epoch: 1 },
      ...{ manifest: digest(71), wraps: [digest(72)], ranges: [{ from: 0, to: 1 }], objects: 1, bytes: 1000 },
    },
  },
  ship: { carrier: 'other', tracking: '1ZA1' },
  amendParcel: { tracking: '1Z99', to: '1Z98' },
  loseParcel: { tracking: '1Z99', choice: 'send' },
  receive: { drives: [FIRST] },
  'reportDrives missing': { drives: [FIRST], found: 'missing' },
  'reportDrives damaged': { drives: [FIRST], found: 'damaged' },
  'reportDrives lost': { drives: [FIRST], found: 'lost', choice: 'send' },
  attach: { drive: FIRST, region: JOB.region, host: 'dock1' },
  returnDrives: { drives: [FIRST], carrier: 'dhl', tracking: 'BACK1' },
  resolve: { choice: 'retry' },
  cancel: {},
  edit: { details },
  redirect: { region: 'eu-north', landing: 'landing-eu-north' },
  pause: {},
  resume: {},
  extend: { until: '2027-06-01T00:00:00Z' },
} as const;
type ActName = keyof typeof ACTS;
const NAMES = Object.keys(ACTS) as ActName[];

/**
 * What may be done in each stage, and in what lies across the stages, in an order in which all of it may. All
 * else is refused. Paused is a job on its way; Attention one whose drive was damaged, and is asked about;
 * Cancelling one whose undoing needs a person, too.
 */
type Column = Exclude<JourneyStage, 'Protected' | 'Closed' | 'Cancelled'> | 'Paused' | 'Attention' | 'Cancelling';
const LEGAL: Record<Column, readonly ActName[]> = {
  Staging: ['edit', 'redirect', 'pause', 'resume', 'cancel'],
  Preparing: ['edit', 'prepareDrive', 'redirect', 'pause', 'resume', 'cancel'],
  Shipping: [
    ...(['extend', 'amendParcel', 'redirect', 'pause', 'resume', 'receive'] as const),
    ...(['reportDrives missing', 'reportDrives damaged', 'reportDrives lost', 'cancel'] as const),
  ],
  Ingesting: [
    ...(['amendParcel', 'redirect', 'pause', 'resume'] as const),
    ...(['reportDrives damaged', 'attach', 'cancel'] as const),
  ],
  Copying: ['amendParcel', 'returnDrives', 'pause', 'resume', 'cancel'],
  Returning: ['amendParcel', 'returnDrives'],
  Paused: [
    ...(['extend', 'amendParcel', 'redirect', 'receive', 'reportDrives missing'] as const),
    ...(['reportDrives damaged', 'reportDrives lost', 'resume', 'cancel'] as const),
  ],
  Attention: ['amendParcel', 'redirect', 'pause', 'resume', 'resolve', 'cancel'],
  Cancelling: ['resolve'],
};

/** Acts that a stage takes, but not after those before them in its list. */
const ALSO: Partial<Record<Column, readonly ActName[]>> = {
  Preparing: ['addJournal'],
  Shipping: ['loseParcel'],
  Ingesting: ['reportDrives missing', 'reportDrives lost', 'receive'],
  Paused: ['loseParcel'],
  Attention: ['attach', 'receive', 'returnDrives', 'reportDrives lost'],
};

function say(handle: WorkflowHandle, name: ActName): Promise<unknown> {
  const [update = ''] = name.split(' ');
  return handle.executeUpdate(update, { args: [{ ...ACTS[name], by }] });
}

/** Its step does not end by itself, whenever it begins. */
function stayAt(wanted: string): void {
  if (wanted === 'Staging') stage.sites.behaviour.stageBackup = never;
  if (wanted === 'Copying') stage.sites.behaviour.sendPacks = never;
  if (wanted === 'Cancelling') stage.sites.behaviour.withdrawImport = () => Promise.reject(attention('StorageRefused'));
}

/** A job whose one drive carries all, at the beginning of a stage, with nothing more to come by itself. */
async function jobAt(wanted: string, job: string): Promise<WorkflowHandle> {
  const { sites } = stage;
  stayAt(wanted);
  const handle = await startJob(stage, job, { returns: true, details });
  if (wanted === 'Staging') return handle;
  await until(handle, (status) => status.stage === 'Preparing' && sites.asked('startSchedule').length > 0);
  if (wanted === 'Preparing') return handle;
  await prepare(handle, FIRST);
  await until(handle, shippable(FIRST));
  await send(handle);
  if (wanted === 'Shipping') return handle;
  if (wanted === 'Paused') {
    await say(handle, 'pause');
    return handle;
  }
  if (wanted === 'Cancelling') {
    await say(handle, 'cancel');
    await until(handle, (status) => status.state === 'Cancelling' && asks('StorageRefused')(status));
    return handle;
  }
  await take(handle, FIRST);
  await until(handle, atStage('Ingesting'));
  if (wanted === 'Ingesting') return handle;
  if (wanted === 'Attention') {
    await say(handle, 'reportDrives damaged');
    await until(handle, (status) => status.state === 'Attention' && asks('DriveFailed')(status));
    return handle;
  }
  await dock(handle, FIRST);
  await until(handle, driveIn(FIRST, 'Completed'));
  await until(handle, atStage(wanted));
  return handle;
}

/** Until nothing was added for two seconds: notices have ended, records are written. */
async function settled(job: string): Promise<number> {
  let [before, quiet] = [-1, 0];
  while (quiet < 4) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = await eventsOf(stage, idOf(job));
    quiet = now === before && now > 3 ? quiet + 1 : 0;
    before = now;
  }
  return before;
}

async function refuse(handle: WorkflowHandle, name: ActName): Promise<void> {
  const { code } = await refusal(say(handle, name)).catch((error) => Promise.reject(new Error(`${name}: ${error}`)));
  expect([name, code]).toEqual([name, expect.stringMatching(/^(WrongState|NotFound|Usage)$/)]);
}

/**
 * The acts among `names` that leave something in a history by being refused. The server keeps an empty
 * task when it told a worker ten events of other things as well, or when the worker was slow: an act that
 * left no more than that is tried again, and is clean when it left nothing once.
 */
async function leaving(job: string, handle: WorkflowHandle, names: readonly ActName[]): Promise<string[]> {
  let left = names;
  const seen = new Set<string>();
  for (let tries = 1; left.length > 0 && tries <= TRIES; tries += 1) {
    let before = await settled(job);
    const again: ActName[] = [];
    for (const name of left) {
      await refuse(handle, name);
      const kinds = await eventsSince(stage, idOf(job), before);
      for (const kind of kinds) if (!kind.startsWith('workflowTask')) seen.add(`${name}: ${kind}`);
      if (kinds.length > 0) again.push(name);
      before += kinds.length;
    }
    left = again;
  }
  return [...seen, ...left];
}

describe.each(Object.entries(LEGAL))('in %s', (wanted, legal) => {
  const job = `matrix-${wanted.toLowerCase()}`;
  const also: readonly ActName[] = Object.entries(ALSO).find(([name]) => name === wanted)?.[1] ?? [];

  test('what is not legal is refused, and leaves the history as long as it was', async () => {
    const handle = await jobAt(wanted, job);
    const refused = NAMES.filter((name) => !legal.includes(name) && !also.includes(name));
    expect(await leaving(job, handle, refused)).toEqual([]);
  }, 90_000);

  test('what is legal is taken', async () => {
    stayAt(wanted); // paused and resumed, the step begins again
    const handle = stage.client.workflow.getHandle(idOf(job));
    for (const name of legal) {
      const taken = await say(handle, name).then(
        () => name,
        (error) => `${name}: ${error.cause ?? error}`,
      );
      expect(taken).toBe(name);
      if (name === 'reportDrives damaged') await decide(handle, 'retry').catch(() => {}); // is asked about
    }
    await handle.terminate().catch(() => {}); // some have ended it
  }, 90_000);
});

test.each(Object.entries(ALSO).flatMap(([wanted, names]) => names.map((name) => [wanted, name] as const)))(
  'in %s %s is taken too',
  async (wanted, name) => {
    const handle = await jobAt(wanted, `also-${name.replaceAll(/\W/g, '-').toLowerCase()}`);
    if (wanted === 'Ingesting' && name === 'receive') await say(handle, 'reportDrives missing');
    if (name === 'addJournal') {
      await refuse(handle, name); // no drive waits for one
      await handle.executeUpdate('prepareDrive', { args: [{ ...ACTS.prepareDrive, offline: true, by }] });
    }
    await say(handle, name);
    if (name === 'addJournal') await refuse(handle, name); // the drive is written
    await handle.terminate();
  },
  60_000,
);

test('a job that has ended takes nothing', async () => {
  const handle = await jobAt('Returning', 'matrix-ended');
  await say(handle, 'returnDrives');
  await handle.result();
  for (const name of NAMES) await expect(say(handle, name)).rejects.toThrow();
}, 60_000);
