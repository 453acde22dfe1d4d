/**
 * One job with everything that goes wrong in the mail, on real parts: eight drives from the copy hosts of
 * two sites, in three parcels. One drive is missing, one is extra, one is corrupt, one tracking number was
 * mistyped; workers are killed on the way. What people do is typed, so that it is signed.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { JobReport } from '../../client/job-report.ts';
import { seedingId } from '../../domain/seeding-job.ts';
import { MIB } from '../../domain/units.ts';
import { makeTree } from '../harness/embedded.ts';
import { differences, presence, restoreNewest } from '../harness/restoring.ts';
import { HOST, REGION, SmallSystem, VAULT } from '../harness/small-system.ts';

const JOB = 'hq-2026';
const ANNEX = 'annex';
const DRIVES = Array.from({ length: 8 }, (_, at) => `${at}A0000000000C0DE`);
const [MISSING, CORRUPT] = [DRIVES[5] ?? '', DRIVES[1] ?? ''];
const PARCELS = [DRIVES.slice(0, 3), DRIVES.slice(3, 6), DRIVES.slice(6)];
const [FIRST, SECOND, MISTYPED, THIRD] = [
  '1Z999AA10123456784',
  '3318810025',
  '1Z5R89390357567172',
  '1Z5R89390357567127',
];
const STRAY = 'WD-STRAY-1';
let system: SmallSystem;

beforeAll(async () => {
  system = await SmallSystem.start({ 'pack-size': '1MiB' });
  await makeTree(system.at('home'), '--files', '120', '--bytes', '26000000');
  execFileSync('sh', ['-c', 'rm -rf odd/deep-*'], { cwd: system.at('home') }); // longer than rsync can judge
  await system.addCopyHost(ANNEX);
  await system.protect('files', [system.at('home')]);
}, 120_000);
afterAll(() => system?.stop(), 60_000);

/** Typed, and ended as it should. */
async function typed(expected: number, ...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await system.type(...words);
  if (status !== expected) throw new Error(`seedship ${words.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return stdout;
}

/** Killed in the middle of whatever it does, and there again. */
function kill(
  kind: Parameters<SmallSystem['startWorker']>[0],
  worker: { kill(signal: 'SIGKILL'): boolean },
  host = HOST,
) {
  worker.kill('SIGKILL');
  return system.startWorker(kind, host);
}

describe('eight drives of two sites in three parcels', () => {
  test('come to a restorable point, whatever is missing, strange, corrupt or mistyped', async () => {
    let [control, dock] = [system.startWorker('control'), system.startWorker('dock')];
    system.startWorkers(['source', 'vault', 'copy']);
    const annex = system.startWorker('copy', ANNEX);
    await system.startJob(JOB, 'files');
    const { staged } = await system.until(JOB, ({ stage }) => stage === 'Preparing', 120_000);
    expect(staged?.objects).toBeGreaterThan(16);

    for (const [at, drive] of DRIVES.entries()) {
      const host = at < 4 ? HOST : ANNEX;
      await system.attachDirectory(drive, host);
      if (at === 4) annex.kill('SIGKILL');
      if (at === 7) {
        system.startWorker('copy', ANNEX);
        control = kill('control', control);
        // the last one takes what did not fit the others
        await system.until(JOB, ({ drives }) => drives.every(({ state }) => state === 'Prepared'), 90_000);
      }
      const capacityBytes = at === 7 ? 1e12 : 2.5 * MIB;
      await system.say(JOB, 'prepareDrive', { drive, host, capacityBytes, by: 'ann' });
    }
    const ready = await system.until(
      JOB,
      ({ drives }) => drives.every(({ registered }) => registered === true),
      90_000,
    );
    expect(ready.drives.map(({ id, objects }) => [id, objects > 0])).toEqual(DRIVES.map((id) => [id, true]));

    const ship = (number: string, carrier: string, drives: readonly string[], ...more: string[]) =>
      typed(0, 'job', 'ship', JOB, '--carrier', carrier, '--tracking', number, '--drives', drives.join(','), ...more);
    await ship(FIRST, 'ups', PARCELS[0] ?? []);
    await ship(SECOND, 'dhl', PARCELS[1] ?? []);
    await ship(MISTYPED, 'ups', PARCELS[2] ?? [], '--unchecked');
    await typed(0, 'parcel', 'amend', MISTYPED, '--to', THIRD);

    corruptManifest();
    await typed(3, 'drive', 'receive', '--job', JOB, '--drive', [...(PARCELS[0] ?? []), STRAY].join(','));
    const here = DRIVES.slice(3, 5);
    await typed(3, 'drive', 'receive', '--job', JOB, '--drive', here.join(',')); // one is not in it
    await typed(3, 'parcel', 'received', THIRD); // still missing
    for (const drive of DRIVES.filter((one) => one !== MISSING))
      await system.say(JOB, 'attach', { drive, region: REGION, host: HOST, by: 'desk' });
    dock = kill('dock', dock);

    const both = await system.until(JOB, ({ attention }) => attention.length === 2, 90_000);
    const about = (drive: string) => both.attention.find((one) => one.drive === drive);
    expect([about(MISSING)?.code, about(CORRUPT)?.detail]).toEqual(['DriveMissing', 'ManifestCorrupted']);
    const several = await system.type('job', 'resolve', JOB, '--choice', 'send');
    expect([several.status, several.stderr]).toEqual([6, expect.stringContaining('attention')]);
    await typed(0, 'job', 'resolve', JOB, '--attention', about(CORRUPT)?.id ?? '', '--choice', 'send');
    const one = await system.until(JOB, ({ attention }) => attention.length === 1);
    expect([one.attention[0]?.id, one.stage]).toEqual([about(MISSING)?.id, 'Shipping']);
    control = kill('control', control);
    await typed(0, 'job', 'resolve', JOB, '--attention', about(MISSING)?.id ?? '', '--choice', 'send');
    const done = await system.until(JOB, ({ stage }) => stage === 'Protected', 90_000);
    expect(done.importJob).toBe('Closed'); // two were lost
    const history = await system.client.workflow.getHandle(seedingId({ vault: VAULT, job: JOB })).fetchHistory();
    expect(history.events?.length).toBeLessThan(1000);
  }, 400_000);

  test('are told of in a report that names each, and says whose word each decision was', async () => {
    const file = system.at('report.json');
    await typed(0, 'job', 'report', JOB, '--out', file);
    expect(await typed(0, 'job', 'report', JOB, '--verify', file)).toContain('It holds');
    const report: JobReport = JSON.parse(readFileSync(file, 'utf8'));
    const drives = new Map(report.drives.map(({ drive, state, code }) => [drive, [state, code]]));
    expect(drives.get(MISSING)).toEqual(['Lost', 'DriveMissing']);
    expect(drives.get(CORRUPT)).toEqual(['Lost', 'ManifestCorrupted']);
    expect(drives.get(STRAY)?.[0]).toBe('Extra');
    const whole = DRIVES.filter((drive) => drive !== MISSING && drive !== CORRUPT);
    expect(whole.map((drive) => drives.get(drive))).toEqual(whole.map(() => ['Completed', 'Completed']));
    expect(new Set(report.drives.slice(0, 8).map(({ host }) => host))).toEqual(new Set([HOST, ANNEX]));
    expect(report.parcels).toMatchObject([
      { tracking: FIRST, carrier: 'ups', drives: PARCELS[0] },
      { tracking: SECOND, carrier: 'dhl', drives: PARCELS[1] },
      { tracking: THIRD, was: [MISTYPED], drives: PARCELS[2] },
    ]);
    const said = report.lines.filter(({ where }) => where === 'machine hq').map(({ what }) => what);
    for (const what of [`amendParcel: ${MISTYPED} is ${THIRD}`, `${STRAY} (of no job)`, `drive-${MISSING}: send`])
      expect(said).toContainEqual(expect.stringContaining(what));
    expect(report.lines.filter(({ what }) => what.startsWith('resolve: '))).toHaveLength(2);
    expect(report.requests.length).toBe(said.length);
  }, 60_000);

  test('give the folder back exactly, with staging and all drives gone', async () => {
    for (let tries = 0; tries < 100 && !(await presence(system))?.points.every((one) => one.restorable); tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 200));
    expect((await presence(system))?.points.map((one) => [one.restorable, one.missing])).toEqual([[true, 0]]);
    renameSync(system.at('home'), system.at('kept'));
    for (const gone of ['staging', 'drives']) rmSync(system.at(gone), { recursive: true });
    expect((await restoreNewest(system, system.at('back'))).skippedFiles).toBe(0);
    expect(await differences(system.at('kept'), system.at('back'), system.at('home'))).toEqual([]);
  }, 120_000);
});

/** One bit, in the list of what the drive holds. */
function corruptManifest(): void {
  const folder = system.at('drives', CORRUPT);
  expect(readdirSync(folder)).toContain('manifest');
  const bytes = readFileSync(`${folder}/manifest`);
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  writeFileSync(`${folder}/manifest`, bytes);
}
