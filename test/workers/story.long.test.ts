/**
 * What is left of a job when it is over, on real parts: who was told, what its record tells, what a
 * report is worth, and that landing and staging are emptied only on a proof. One of its two drives is
 * damaged on the way; a second job has its own objects in the same landing and the same staging.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { storageAccess } from '../../host/secrets.ts';
import { type ObjectStore, openStore } from '../../store/object-store.ts';
import { type MailSink, startMailSink, startWebSink, type WebSink } from '../harness/sinks.ts';
import { HOST, REGION, SmallSystem } from '../harness/small-system.ts';

const [GOOD, BAD, OTHER] = ['7F3A00000000C0DE', '9B1C00000000C0DE', '11AA00000000C0DE'] as const;
let system: SmallSystem;
let web: WebSink;
let mail: MailSink;
/** The object that the damaged drive has lost. */
let lost: number;
/** The packs of the second job, in staging. */
let labs: string[];

beforeAll(async () => {
  [web, mail] = await Promise.all([startWebSink(), startMailSink()]);
  system = await SmallSystem.start({ 'pack-size': '1MiB' });
  const config = system.at('.config/seedship');
  mkdirSync(config, { recursive: true });
  writeFileSync(system.at('hook.secret'), `whsec_${randomBytes(32).toString('base64')}`);
  writeFileSync(
    path.join(config, 'seedship.toml'),
    [
      ...['[notify.oncall]', `webhook = "${web.url}"`, `secret-file = "${system.at('hook.secret')}"`],
      ...['[notify.ops]', `smtp = "${mail.url}"`, 'from = "a@example.org"', 'to = ["b@example.org"]'],
      'on = ["attention"]',
    ].join('\n'),
  );
  for (const folder of ['home', 'lab']) {
    mkdirSync(system.at(folder));
    writeFileSync(system.at(folder, 'secret-plan.bin'), randomBytes(6 * MIB));
  }
  await system.protect('files', [system.at('home')]);
  await system.protect('lab', [system.at('lab')]);
  system.startWorkers();
}, 120_000);
afterAll(async () => {
  await Promise.all([system?.stop(), web?.stop(), mail?.stop()]);
}, 60_000);

const type = (...words: string[]) => system.type(...words);

async function staged(job: string, protection: string): Promise<number> {
  await system.startJob(job, protection);
  const status = await system.until(job, ({ stage }) => stage === 'Preparing', 120_000);
  return status.staged?.objects ?? 0;
}

async function prepare(job: string, drive: string, capacityBytes = 1e12): Promise<void> {
  await system.attachDirectory(drive);
  await system.say(job, 'prepareDrive', { drive, host: HOST, capacityBytes, by: 'ann' });
  await system.until(job, ({ drives }) => drives.some(({ id, state }) => id === drive && state === 'Prepared'));
}

async function travel(job: string, tracking: string, drives: readonly string[]): Promise<void> {
  await system.until(job, ({ drives: all }) => all.every(({ registered }) => registered === true));
  await system.say(job, 'ship', { carrier: 'other', tracking, by: 'ann' });
  await system.say(job, 'receive', { drives, by: 'desk' });
}

async function until(holds: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  for (const end = Date.now() + ms; !(await holds()); await new Promise((resolve) => setTimeout(resolve, 200)))
    if (Date.now() > end) throw new Error('it never came to that');
}

async function packsIn(store: ObjectStore): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of store.list('packs/')) names.push(name);
  return names;
}

function stagedPacks(): string[] {
  const entries = readdirSync(system.at('staging/packs'), { recursive: true, withFileTypes: true });
  return entries
    .filter((one) => one.isFile())
    .map(({ name }) => name)
    .sort();
}

const landing = () => openStore(system.landingUrl, storageAccess(system.settings, system.landingUrl, 'owner'));

describe('a job with a damaged drive', () => {
  test('goes on by a person’s decision, and people are told of it over mail and a signed webhook', async () => {
    expect(await staged('hq-1', 'files')).toBeGreaterThan(4);
    await prepare('hq-1', GOOD, 3 * MIB);
    await prepare('hq-1', BAD);
    const [first = ''] = readdirSync(system.at('drives', BAD, 'objects/000')).sort();
    rmSync(system.at('drives', BAD, 'objects/000', first));
    lost = Number.parseInt(first, 10);
    await travel('hq-1', 'PARCEL-1', [GOOD, BAD]);
    for (const drive of [GOOD, BAD])
      await system.say('hq-1', 'attach', { drive, region: REGION, host: HOST, by: 'desk' });
    const asked = await system.until('hq-1', ({ attention }) => attention.some(({ code }) => code === 'DriveFailed'));
    expect(asked.stage).toBe('Ingesting');
    expect((await type('job', 'show', 'hq-1')).stdout).toMatch(/complete +waiting for [1-9]\d* of \d+ objects/);
    await until(() => mail.mails.some(({ text }) => text.includes('DriveFailed')));
    await until(() => web.hooks.some(({ body }) => body.includes('seedship.attention')));
    const heard = [...web.hooks];
    web.answers.push(...Array.from({ length: 200 }, () => 503)); // nobody hears of the end while the job lives
    await system.say('hq-1', 'resolve', { choice: 'send', by: 'ann' });
    await system.until('hq-1', ({ stage }) => stage === 'Protected', 60_000);
    await system.client.workflow.getHandle('seed/main/hq-1').result();
    web.hooks.length = 0;
    web.answers.length = 0;
    await until(() => web.hooks.some(({ body }) => body.includes('stage Protected')));
    await until(async () => (await type('job', 'show', 'hq-1')).stdout.includes('verified on arrival: restorable'));
    const types = [...heard, ...web.hooks].map(({ body }) => JSON.parse(body).type);
    expect(new Set(types)).toEqual(new Set(['seedship.state', 'seedship.attention']));
    expect(mail.mails.every(({ text }) => text.includes('X-Seedship-Kind: attention'))).toBe(true);
    expect(JSON.stringify([heard, web.hooks, mail.mails])).not.toMatch(/secret-plan|whsec_/);
  }, 240_000);

  test('`notify test` says what each channel did with it, and `notify list` what waits', async () => {
    expect(await type('notify', 'test')).toMatchObject({ status: 0, stdout: 'oncall: delivered\nops: delivered\n' });
    expect((await type('notify', 'test', 'nobody')).status).toBe(8);
    web.answers.push(...Array.from({ length: 50 }, () => 503));
    const failing = await type('notify', 'test', 'oncall');
    expect([failing.status, failing.stdout]).toEqual([5, expect.stringMatching(/^oncall: not delivered after \d/)]);
    expect((await type('notify', 'list')).stdout).toMatch(/waiting\s+oncall \(\d+ attempts\)/);
    web.answers.length = 0;
    await until(async () => (await type('notify', 'list')).stdout === 'All notices are delivered.\n', 60_000);
  }, 120_000);

  test('tells its story, and a report that holds until somebody touches it', async () => {
    const { stdout } = await type('job', 'events', 'hq-1');
    for (const what of [
      'ordered: files of hq',
      'parcel PARCEL-1',
      'attention a1, DriveFailed',
      `unread-${BAD}: send`,
      'Protected',
    ])
      expect(stdout).toContain(what);
    for (const form of ['html', 'json']) {
      const file = system.at(`report.${form}`);
      expect((await type('job', 'report', 'hq-1', '--out', file)).status).toBe(0);
      expect(await type('job', 'report', 'hq-1', '--verify', file)).toMatchObject({
        status: 0,
        stdout: expect.stringContaining('It holds'),
      });
      const text = readFileSync(file, 'utf8');
      expect(text).toContain('CompletedWithErrors');
      writeFileSync(file, text.replace('attention a1, DriveFailed', 'attention a1, all was well'));
      const touched = await type('job', 'report', 'hq-1', '--verify', file);
      expect([touched.status, touched.stdout]).toEqual([7, expect.stringContaining('It does not hold')]);
    }
  }, 120_000);

  test('`drive history` names what was refused; everything on request', async () => {
    const history = await type('drive', 'history', BAD, '--job', 'hq-1');
    expect(history.stdout).toMatch(/SEEDSHIP-9B1C in job hq-1: CompletedWithErrors \(.*FileNotFound 1/);
    const lines = async (...more: string[]) =>
      (await type('drive', 'history', BAD, '--job', 'hq-1', '--copy-log', ...more)).stdout.trim().split('\n');
    const errors = (await lines()).map((line) => JSON.parse(line));
    expect(errors).toMatchObject([{ drive: BAD, number: lost, code: 'FileNotFound' }]);
    const all = (await lines('--verbose')).map((line) => JSON.parse(line).code);
    expect(all.length).toBeGreaterThan(1);
    expect(all.filter((code) => code === 'Completed')).toHaveLength(all.length - 1);
  }, 60_000);
});

describe('`job cleanup`', () => {
  test('refuses while one pack of the vault is corrupted, and removes nothing', async () => {
    const own = new Set(stagedPacks());
    await staged('lab-1', 'lab');
    labs = stagedPacks().filter((name) => !own.has(name));
    expect(labs).not.toEqual([]);
    await prepare('lab-1', OTHER);
    await travel('lab-1', 'PARCEL-2', [OTHER]);
    const before = (await packsIn(landing())).length;
    const [name = ''] = await packsIn(landing());
    const bytes = await system.vault.get(name);
    const altered = Buffer.from(bytes);
    altered.writeUInt8(altered.readUInt8(altered.length >> 1) ^ 1, altered.length >> 1);
    await system.vault.remove(name);
    await system.vault.put(name, altered);
    const refused = await type('job', 'cleanup', 'hq-1');
    expect([refused.status, refused.stderr]).toEqual([7, expect.stringContaining('1 are not what they should be')]);
    expect((await packsIn(landing())).length).toBe(before);
    await system.vault.remove(name);
    await system.vault.put(name, bytes);
    expect((await type('job', 'cleanup', 'lab-1')).status).toBe(6);
  }, 240_000);

  test('shows the proof, then removes this job’s objects, and only these, from landing and staging', async () => {
    const dry = await type('job', 'cleanup', 'hq-1', '--dry-run');
    expect(dry).toMatchObject({ status: 0, stdout: expect.stringContaining('that was a dry run') });
    await system.say('lab-1', 'attach', { drive: OTHER, region: REGION, host: HOST, by: 'desk' });
    await system.until('lab-1', ({ drives }) => drives.every(({ state }) => state === 'Completed'));
    await landing().put(`packs/ff/${'f'.repeat(64)}`, Buffer.from('of nobody here'));
    const { stdout, stderr, status } = await type('job', 'cleanup', 'hq-1');
    expect([status, stderr]).toEqual([0, expect.any(String)]);
    expect(stdout).toMatch(/^Read back from the vault: \d+ objects.*\nProof: receipts\/cleanup-hq-1\S+\/proof, signed/);
    expect(stdout).toMatch(/Removed: [1-9]\d* objects from landing, [1-9]\d* from staging\./);
    const left = new Set((await packsIn(landing())).map((name) => path.basename(name)));
    expect(left.has('f'.repeat(64))).toBe(true);
    expect(stagedPacks()).toEqual(labs);
    await system.until('lab-1', ({ stage }) => stage === 'Protected', 60_000);
    expect((await type('job', 'events', 'hq-1')).stdout).toMatch(/cleaned up: \d+ objects.*read back from the vault/);
    expect(await type('job', 'cleanup', 'lab-1')).toMatchObject({ status: 0 });
    expect(stagedPacks()).toEqual([]);
    expect(await packsIn(landing())).toEqual([`packs/ff/${'f'.repeat(64)}`]);
  }, 240_000);
});
