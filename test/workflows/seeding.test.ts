import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { childId, seedingId } from '../../domain/seeding-job.ts';
import * as say from '../../workflows/definitions.ts';
import {
  asks,
  atStage,
  DRIVES,
  decide,
  digest,
  dock,
  driveIn,
  eventsOf,
  JOB,
  OBJECTS,
  openSkippingServer,
  openStage,
  POINT,
  prepare,
  refusal,
  type Stage,
  send,
  startJob,
  take,
  travelled,
  until,
} from './fake-sites.ts';

const MENDED = {
  ...{ receipt: digest(9), point: POINT, packSet: digest(2), objects: 4, sealedBytes: 400 },
  ...{ readBytes: 800, files: 7, skippedFiles: 0 },
};
let stage: Stage;
const [FIRST, SECOND, THIRD] = DRIVES;

beforeAll(async () => {
  stage = await openStage(await openSkippingServer());
}, 120_000);
afterAll(() => stage?.close(), 180_000);
beforeEach(() => stage.sites.reset());

describe('a journey', () => {
  test('goes from staging to a restorable point, drive by drive', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'plain');
    await until(handle, () => sites.asked('startSchedule').length === 1);
    expect((await prepare(handle, FIRST, OBJECTS / 2)).objects).toBe(OBJECTS / 2);
    expect((await prepare(handle, SECOND)).objects).toBe(OBJECTS / 2);
    await until(handle, (status) => status.waitsFor.what.includes('shipped'));
    await send(handle);
    await take(handle, FIRST, SECOND);
    for (const drive of [FIRST, SECOND]) await dock(handle, drive);
    expect(await handle.result()).toMatchObject({ objects: OBJECTS, drives: 2, lostDrives: 0 });
    const status = await handle.query(say.status);
    expect([status.stage, status.state, status.importJob]).toEqual(['Protected', 'Done', 'Completed']);
    const around = new Set(['observeHost', 'keepRecord', 'observeVault', 'startNotice', 'announce', 'sendNotice']);
    expect(sites.calls.map(({ step }) => step).filter((step) => !around.has(step))).toEqual([
      'stageBackup',
      'statePoint',
      'startSchedule',
      'prepareDrive',
      'prepareDrive',
      'registerImport',
      'ingestDrive',
      'ingestDrive',
      'sendPacks',
    ]);
  });

  test('states the point and lets the schedule go before any drive is there', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'bridging');
    await until(handle, (status) => status.stage === 'Preparing' && sites.asked('startSchedule').length > 0);
    expect(sites.asked('statePoint')).toHaveLength(1);
    expect(sites.asked('startSchedule')).toMatchObject([{ protection: JOB.protection, paused: false }]);
    await handle.terminate();
  });

  test('a drive that is being written is nobody’s to call damaged; one that was is received after all', async () => {
    const { sites } = stage;
    let write = () => {};
    const writing = new Promise<void>((resolve) => {
      write = resolve;
    });
    const handle = await startJob(stage, 'not-yet');
    await until(handle, atStage('Preparing'));
    sites.behaviour.prepareDrive = async ({ run, step, drive, host, ranges }) => {
      await writing;
      const made = { epoch: 1, manifest: digest(4), wraps: [digest(5)], objects: OBJECTS, bytes: 1 };
      return { run, step, drive, host, receipt: digest(9), ranges, ...made };
    };
    await prepare(handle, FIRST);
    const damaged = { drives: [FIRST], found: 'damaged', by: 'desk' } as const;
    const refused = await refusal(handle.executeUpdate(say.reportDrives, { args: [damaged] }));
    expect([refused.code, refused.message]).toEqual(['WrongState', expect.stringContaining('is Specified')]);
    write();
    await until(handle, driveIn(FIRST, 'Prepared'));
    await until(handle, atStage('Shipping'));
    await send(handle);
    await take(handle, FIRST);
    await handle.executeUpdate(say.reportDrives, { args: [damaged] });
    await until(handle, asks('DriveFailed'));
    await take(handle, FIRST); // the desk has looked again
    const status = await until(handle, (now) => now.attention.length === 0);
    expect(status.drives[0]?.state).toBe('Received');
    await handle.terminate();
  });

  test('sends parcels only with carriers that the datacenter lets in, amended ones too', async () => {
    const details = { contact: false, returnTo: false, returnCarrier: 'none', carriers: ['ups', 'dhl'] };
    const handle = await startJob(stage, 'gate', { details });
    await until(handle, atStage('Preparing'));
    await prepare(handle, FIRST);
    await until(handle, atStage('Shipping'));
    const gls = { carrier: 'gls', tracking: '12345678901', by: 'ann' };
    const refused = await refusal(handle.executeUpdate(say.ship, { args: [gls] }));
    expect([refused.code, refused.message]).toEqual(['Usage', expect.stringMatching(/parcels of gls.*ups, dhl/)]);
    await handle.executeUpdate(say.ship, { args: [{ carrier: 'dhl', tracking: '3318810025', by: 'ann' }] });
    const act = { tracking: '3318810025', to: '12345678901', carrier: 'gls', by: 'ann' };
    expect((await refusal(handle.executeUpdate(say.amendParcel, { args: [act] }))).code).toBe('Usage');
    await handle.executeUpdate(say.amendParcel, { args: [{ ...act, unchecked: true }] }); // the desk let it in
    expect((await handle.query(say.status)).parcels).toMatchObject([{ carrier: 'gls', was: ['3318810025'] }]);
    const { searchAttributes } = await handle.describe(); // read without any worker
    expect(searchAttributes).toMatchObject({ SeedshipParcels: ['12345678901'], SeedshipDrives: [FIRST] });
    const leg = await stage.client.workflow.getHandle(childId.prepare(handle.workflowId, FIRST)).describe();
    expect(leg.searchAttributes).toMatchObject({ SeedshipDrives: [FIRST] });
    await handle.terminate();
  });

  test('every object is given to exactly one drive, and what did not fit goes on the next', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'full');
    await until(handle, atStage('Preparing'));
    sites.behaviour.prepareDrive = async ({ run, step, drive, host, ranges }) => {
      const [first] = ranges;
      const carried = drive === FIRST && first ? [{ from: first.from, to: first.from + 30 }] : ranges;
      const bytes = { objects: 30, bytes: 30_000, epoch: 2, manifest: digest(8), wraps: [digest(8)] };
      return { run, step, drive, host, receipt: digest(8), ranges: carried, ...bytes };
    };
    await prepare(handle, FIRST);
    const status = await until(handle, driveIn(FIRST, 'Prepared'));
    expect(status.stage).toBe('Preparing');
    expect(status.free).toEqual([{ from: 30, to: OBJECTS }]);
    expect(status.waitsFor.command).toBe('seedship drive prepare DEVICE|DIR --job full');
    expect((await prepare(handle, SECOND)).ranges).toEqual([{ from: 30, to: OBJECTS }]);
    await until(handle, atStage('Shipping'));
    await handle.terminate();
  });

  test('of a limited staging: drives are filled one after the other while it is staged, and know its end', async () => {
    const { sites } = stage;
    let finish = () => {};
    const staged = new Promise<void>((resolve) => {
      finish = resolve;
    });
    sites.behaviour.stageBackup = async ({ run, step }) => {
      await staged;
      return { ...MENDED, run, step, objects: OBJECTS, sealedBytes: OBJECTS * 1000 };
    };
    sites.behaviour.prepareDrive = async ({ run, step, drive, host, ranges, stageStep }) => {
      expect(stageStep).toBe('stage');
      if (drive === SECOND) await staged;
      const from = ranges[0]?.from ?? 0;
      const carried = drive === FIRST ? [{ from, to: 30 }] : [{ from: from + 10, to: OBJECTS }];
      const gone = drive === FIRST ? {} : { missingRanges: [{ from, to: from + 10 }] };
      const bytes = { objects: 30, bytes: 30_000, epoch: 1, manifest: digest(8), wraps: [digest(8)] };
      return { run, step, drive, host, receipt: digest(8), ranges: carried, ...bytes, ...gone };
    };
    const handle = await startJob(stage, 'limited', { stagedBytesMax: 1_000_000 });
    await until(handle, () => sites.asked('stageBackup').length === 1);
    expect(sites.asked('stageBackup')).toMatchObject([{ stagedBytesMax: 1_000_000 }]);
    const waiting = await until(handle, atStage('Staging'));
    expect([waiting.free, waiting.waitsFor.command]).toEqual([[], 'seedship drive prepare DEVICE|DIR --job limited']);
    await prepare(handle, FIRST);
    await until(handle, driveIn(FIRST, 'Prepared'));
    await prepare(handle, SECOND);
    expect(await refusal(prepare(handle, THIRD))).toMatchObject({ message: expect.stringContaining('being filled') });
    finish();
    const known = await until(handle, driveIn(SECOND, 'Prepared'));
    expect(known.drives.map(({ ranges }) => ranges)).toEqual([[{ from: 0, to: 30 }], [{ from: 40, to: OBJECTS }]]);
    await until(handle, atStage('Shipping'));
    await send(handle);
    await take(handle, FIRST, SECOND);
    for (const drive of [FIRST, SECOND]) await dock(handle, drive);
    await handle.result();
    const [sent] = sites.asked('sendPacks'); // what had left on a drive that was given up
    expect(sent).toMatchObject({ from: { kind: 'staging' }, ranges: [{ from: 30, to: 40 }] });
  });

  test('a drive is copied while another still travels', async () => {
    const handle = await startJob(stage, 'overlap');
    await until(handle, atStage('Preparing'));
    await prepare(handle, FIRST, OBJECTS / 2);
    await prepare(handle, SECOND);
    await until(handle, atStage('Shipping'));
    await send(handle, '1ZA1', [FIRST]);
    await send(handle, '1ZA2', [SECOND]);
    await take(handle, FIRST);
    await dock(handle, FIRST);
    const status = await until(handle, driveIn(FIRST, 'Completed'));
    expect([status.stage, status.importJob]).toEqual(['Shipping', 'Transferring']);
    await take(handle, SECOND);
    await dock(handle, SECOND);
    expect(await handle.result()).toMatchObject({ drives: 2 });
  });

  test('what is missing after copying is sent over the line, and only that', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'missing');
    await travelled(handle);
    const missingRanges = [{ from: 10, to: 13 }];
    let copies = 0;
    sites.behaviour.sendPacks = async ({ run, step, from }) => {
      if (from.kind === 'landing') copies += 1;
      const missing = from.kind === 'landing' && copies === 1 ? 3 : 0;
      const counts = { objects: OBJECTS - missing, bytes: 1, missing };
      return { run, step, receipt: digest(8), ...counts, missingRanges: missing > 0 ? missingRanges : [] };
    };
    await dock(handle, FIRST);
    const status = await until(handle, asks('PacksMissing'));
    expect(status.attention[0]?.message).toContain('3 of the seed');
    await decide(handle, 'send');
    await handle.result();
    const sent = sites.calls.filter(({ step, queue }) => step === 'sendPacks' && queue.startsWith('source'));
    expect(sent.map(({ request }) => request)).toMatchObject([{ ranges: missingRanges }]);
  });

  test('what staging has no more is read and sealed again, stated with its repair, and not asked for any more', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'mended');
    await travelled(handle);
    const missingRanges = [{ from: 10, to: 13 }];
    const lost = { objects: OBJECTS - 3, bytes: 1, missing: 3, missingRanges };
    sites.behaviour.sendPacks = async ({ run, step, from }) =>
      from.kind === 'spool'
        ? { run, step, receipt: digest(8), objects: 4, bytes: 1, missing: 0, missingRanges: [] }
        : { run, step, receipt: digest(8), ...lost };
    const repair = digest(21);
    await dock(handle, FIRST);
    await until(handle, asks('PacksMissing'));
    const before = sites.calls.length;
    sites.behaviour.stageBackup = async ({ run, step }) => ({ run, step, ...MENDED, repair, goneChunks: 0 });
    await decide(handle, 'send');
    await handle.result();
    const asked = sites.calls.slice(before).filter(({ queue }) => queue.startsWith('source'));
    expect(asked.map(({ step }) => step).sort()).toEqual(['sendPacks', 'sendPacks', 'stageBackup', 'statePoint']);
    const of = (name: string) => asked.find(({ step }) => step === name)?.request;
    expect(of('stageBackup')).toMatchObject({ to: { kind: 'spool' }, lost: { ranges: missingRanges } });
    expect(of('statePoint')).toMatchObject({ repair, from: { kind: 'spool' } });
  });

  test('what is given up is told to the vault, but for the records of directories, which are sent', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'given-up');
    await travelled(handle);
    const missingRanges = [{ from: 10, to: 13 }];
    sites.behaviour.sendPacks = async ({ run, step, from }) =>
      from.kind === 'landing'
        ? { run, step, receipt: digest(8), objects: OBJECTS - 3, bytes: 1, missing: 3, missingRanges }
        : { run, step, receipt: digest(8), objects: 1, bytes: 1, missing: 0, missingRanges: [] };
    await dock(handle, FIRST);
    await until(handle, asks('PacksMissing'));
    const before = sites.calls.length;
    await decide(handle, 'drop');
    expect(await handle.result()).toMatchObject({ droppedObjects: 3 });
    const asked = sites.calls.slice(before);
    expect(asked.filter(({ step }) => step === 'giveUp')).toMatchObject([{ request: { ranges: missingRanges } }]);
    const sent = asked.filter(({ step, queue }) => step === 'sendPacks' && queue.startsWith('source'));
    expect(sent).toMatchObject([{ request: { ranges: missingRanges, treesOnly: true } }]);
  });

  test('records of directories that staging has no more are sealed again, and no file is read for it', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'given-up-trees');
    await travelled(handle);
    const missingRanges = [{ from: 10, to: 13 }];
    const trees = [{ from: 11, to: 12 }];
    const lost = { objects: OBJECTS - 3, bytes: 1, missing: 3, missingRanges };
    sites.behaviour.sendPacks = async ({ run, step, from }) => {
      if (from.kind === 'landing') return { run, step, receipt: digest(8), ...lost };
      const ranges = from.kind === 'staging' ? trees : [];
      return { run, step, receipt: digest(8), objects: 1, bytes: 1, missing: ranges.length, missingRanges: ranges };
    };
    const repair = digest(21);
    await dock(handle, FIRST);
    await until(handle, asks('PacksMissing'));
    const before = sites.calls.length;
    sites.behaviour.stageBackup = async ({ run, step }) => ({ run, step, ...MENDED, repair, goneChunks: 0 });
    await decide(handle, 'drop');
    expect(await handle.result()).toMatchObject({ droppedObjects: 3 });
    const asked = sites.calls.slice(before);
    const of = (name: string) => asked.filter(({ step }) => step === name).map(({ request }) => request);
    expect(of('stageBackup')).toMatchObject([{ to: { kind: 'spool' }, lost: { ranges: trees, treesOnly: true } }]);
    expect(of('statePoint')).toMatchObject([{ repair }]);
    expect(of('giveUp')).toMatchObject([{ ranges: missingRanges }]);
  });

  test('drives that go back are waited for, and the point does not wait for them', async () => {
    const handle = await startJob(stage, 'returning', { returns: true });
    await travelled(handle);
    await dock(handle, FIRST);
    const status = await until(handle, atStage('Returning'));
    expect(status.importJob).toBe('Packaging');
    expect(await refusal(handle.executeUpdate(say.cancel, { args: [{ by: 'ann' }] }))).toMatchObject({
      code: 'WrongState',
    });
    await handle.executeUpdate(say.returnDrives, {
      args: [{ drives: [FIRST], carrier: 'dhl', tracking: 'BACK1', by: 'desk' }],
    });
    await handle.result();
  });
});

describe('an act that is not legal', () => {
  test('is refused with what is legal, and leaves no trace in the history', async () => {
    const { sites } = stage;
    const handle = await startJob(stage, 'refusing');
    await until(handle, atStage('Preparing'));
    await prepare(handle, FIRST);
    await until(handle, (status) => status.stage === 'Shipping' && sites.asked('keepRecord').length >= 3);
    const id = seedingId({ vault: JOB.vault, job: 'refusing' });
    await settled(id);
    const before = await eventsOf(stage, id);
    const acts = [
      take(handle, FIRST),
      take(handle, 'FFFF00000000FFFF'),
      dock(handle, FIRST),
      prepare(handle, SECOND),
      prepare(handle, 'not a drive'),
      decide(handle, 'retry'),
      send(handle, 'no'),
      handle.executeUpdate(say.ship, { args: [{ carrier: 'other', tracking: '1Z99', by: '' }] }),
    ];
    const refused = await Promise.all(acts.map(refusal));
    expect(refused.map(({ code }) => code)).toEqual([
      ...['WrongState', 'WrongState', 'WrongState', 'WrongState', 'Usage', 'WrongState', 'Usage', 'Usage'],
    ]);
    expect(refused[0]?.message).toContain(`its drives: ${FIRST} Prepared`);
    const { events } = await handle.fetchHistory();
    expect(events?.slice(before).filter(({ eventType }) => !WORKFLOW_TASK.has(eventType ?? 0))).toEqual([]);
    await handle.terminate();
  });
});

/** This server, unlike the real one (event-budget.test.ts), keeps the empty tasks of refused updates. */
const WORKFLOW_TASK: ReadonlySet<number> = new Set([5, 6, 7]);

/** Until nothing is added any more. */
async function settled(workflowId: string): Promise<void> {
  for (let before = -1, now = 0; before !== now; ) {
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 500));
    now = await eventsOf(stage, workflowId);
  }
}
