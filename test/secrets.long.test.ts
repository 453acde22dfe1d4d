/**
 * What must not be where anyone but the owner looks: in Temporal's database, in logs, on drives, and in
 * what the vault's bucket holds. After a journey with what goes wrong on the way, everything secret is
 * looked for in every form; what was planted in a workflow's input is found by the same search.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { JobStatus } from '../domain/seeding-job.ts';
import { digestOf } from '../format/digest.ts';
import { openSlot, slotKind } from '../format/key-slot.ts';
import { deriveDomain, deriveOwner } from '../format/key-tree.ts';
import { openPoint } from '../format/recovery-point.ts';
import { openSession } from '../format/session.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { storageAccess } from '../host/secrets.ts';
import { loadSettings, type Settings } from '../host/settings.ts';
import { openState } from '../store/machine-state.ts';
import { type ObjectStore, openStore } from '../store/object-store.ts';
import { DRIVE_KEYS, POINTS, parsePointName, SLOTS } from '../store/places.ts';
import { Embedded } from './harness/embedded.ts';
import { contentsOf, findAll, formsOf, type Needle, textNeedles } from './harness/needles.ts';

const VALUES = fileURLToPath(new URL('./harness/sqlite_values.py', import.meta.url));
const PASSPHRASE = 'correct horse battery staple'; // the harness's
const WRONG = 'correct horse battery stapler, mistyped';
const CONTACT = 'Ada Lovelace, +44 20 7946 0958';
const RETURN_TO = '12 St James’s Square, London SW1Y 4JH';
const FILES = ['Salaries 2031.ods', 'Übernahmevertrag Müller.docx', 'a "quoted" name.txt', 'minutes-of-the-board.md'];
const FOLDER = 'Personnel (confidential)';
/** Nothing else in the world is called so. */
const mark = randomBytes(6).toString('hex');
const canary = `canary-${randomBytes(12).toString('hex')}`;

/**
 * Files of the machine state that hold secrets or paths by design. Each is for its host alone; each path
 * is what workflows only name.
 */
const BY_DESIGN = [
  'credentials/', // what the host is registered as: signing seeds, the machine's put key
  'datacenters/', // the identity that opens drive keys
  'secrets/', // keys of the embedded S3 server…
  'servers/s3/identities.json', // …as the server reads them…
  'embedded.json', // …and as commands do
  'places/', // name → address
  'items/', // protection → paths
  'drives/', // drive → path
  'requests/', // what a person asked for, with its paths
  'catalog/', // the last backup's tree: names of files
  'restores/', // where a restore that was cut short goes on: names of files
];

const system = new Embedded('secrets', { SEEDSHIP_PACK_SIZE: '1MiB' });
const source = system.at(`source-${mark}`);
const staging = system.at(`stage-${mark}`);
const drive = system.at(`drive-${mark}`);
/** As root the drive is a file system of its own, and what is on its medium beside the files is looked through, too. */
const medium = system.at('medium');
const IS_ROOT = process.getuid?.() === 0;
const asRoot = IS_ROOT ? test : test.skip;
if (!IS_ROOT) process.stderr.write('SKIPPED: the bytes of a drive’s medium, since only root can mount\n');
const back = system.at(`back-${mark}`);
let needles: Needle[] = [];
/** Where vault, landing and storage are. */
let addresses: Needle[] = [];
/** The machine state as it is when all is done and the servers still run; and Temporal's values, when they do not. */
let state: Map<string, Buffer>;
let values: Buffer;
let temporal: TemporalClient;

beforeAll(async () => {
  mkdirSync(path.join(source, FOLDER), { recursive: true });
  mkdirSync(drive);
  if (IS_ROOT) mountMedium();
  for (const name of FILES) writeFileSync(path.join(source, FOLDER, name), randomBytes(900_000));
  writeFileSync(system.at('wrong'), `${WRONG}\n`);
  await system.start();
  await system.setUp(source);
  temporal = await connectClient(settings());
  await journey();
  await plant();
  needles = [...(await keyNeedles()), ...textsOf()];
  addresses = addressesOf();
  state = contentsOf(system.state);
  await temporal.close();
  await system.stop();
  values = execFileSync('python3', [VALUES, path.join(system.state, 'servers/temporal/temporal.sqlite')], {
    maxBuffer: 1 << 30,
  });
}, 400_000);
afterAll(async () => {
  await system.stop();
  if (IS_ROOT) for (const folder of [drive, medium]) spawnSync('umount', ['--lazy', folder]);
  await system.close();
}, 60_000);

describe('neither keys, words, names, paths nor addresses', () => {
  test('are in Temporal’s database', () => {
    expect(database().size).toBeGreaterThanOrEqual(2);
    expect(findAll([...needles, ...addresses], database())).toEqual([]);
  });

  test('are in a log', () => {
    const logs = new Map([...state].filter(([name]) => /^logs\/|^servers\/[^/]+\/log$/.test(name)));
    expect([...logs.keys()]).toEqual(expect.arrayContaining(['logs/worker-copy.log', 'logs/worker-source.log']));
    expect(findAll(needles, logs)).toEqual([]);
    const workers = [...logs].filter(([name]) => name.startsWith('logs/worker-')); // a server's own log tells its address
    expect(findAll(addresses, new Map(workers))).toEqual([]);
  });

  test('are on a drive, or in staging', () => {
    const [onDrive, staged] = [contentsOf(drive), contentsOf(staging)];
    expect([onDrive.size > 3, staged.size > 3]).toEqual([true, true]);
    expect(findAll([...needles, ...addresses], onDrive)).toEqual([]);
    expect(findAll([...needles, ...addresses], staged)).toEqual([]);
  });

  asRoot('are anywhere on the medium of a drive, its file system’s own blocks and what was deleted among it', () => {
    expect(findAll([...needles, ...addresses], mediumBytes())).toEqual([]);
  });

  test('are in what else the machine keeps, the bucket’s volumes among it, but where that is their place', () => {
    const rest = [...state].filter(([name]) => !BY_DESIGN.some((own) => name.startsWith(own)));
    expect(findAll(needles, new Map(rest))).toEqual([]);
  });
});

test('what is secret by design is closed to other users', () => {
  expect(statSync(system.state).mode & 0o077).toBe(0);
  for (const own of ['secrets/s3-identities', 'embedded.json', 'servers/s3/identities.json', 'credentials/main.hq'])
    expect([own, statSync(path.join(system.state, own)).mode & 0o077]).toEqual([own, 0]);
});

describe('the search', () => {
  test('finds what is planted in the input of a workflow, in every form', () => {
    const found = findAll([{ what: 'canary', bytes: Buffer.from(canary) }], database());
    for (const form of formsOf({ what: 'canary', bytes: Buffer.from(canary) }).keys())
      expect(found).toContain(`canary, ${form}, in its values`);
    expect(found).toContain('canary, raw, in servers/temporal/temporal.sqlite');
    expect(findAll([{ what: 'far', bytes: Buffer.from(`${canary}-far`) }], database())).not.toEqual([]);
  });

  asRoot('finds on the medium of a drive what was deleted from it', () => {
    const found = findAll([{ what: 'canary', bytes: Buffer.from(canary) }], mediumBytes());
    expect([contentsOf(drive).has('deleted'), found]).toEqual([false, ['canary, raw, in the medium']]);
  });

  test('finds addresses where hosts keep them', () => {
    const kept = [...state].filter(([name]) => name.startsWith('places/') || name === 'embedded.json');
    const found = findAll(addresses, new Map(kept)).join();
    for (const { what } of addresses.filter((one) => !one.what.startsWith('vault'))) expect(found).toContain(what);
  });

  test.each(BY_DESIGN.filter((own) => own !== 'restores/'))('finds what %s holds by design', (own) => {
    const there = new Map([...state].filter(([name]) => name.startsWith(own)));
    expect(findAll(needles, there)).not.toEqual([]);
  });
});

/** From the folder to a restore, with a wrong passphrase, and steps that fail with a path in their mouths. */
async function journey(): Promise<void> {
  const must = (...words: string[]) => system.must(...words);
  const wrong = await system.type('restore', 'latest', '--to', back, '--passphrase-file', system.at('wrong'));
  expect(wrong.status).toBe(12);
  const returns = ['--contact', CONTACT, '--return-to', RETURN_TO, '--return-carrier', 'dhl'];
  await must('job', 'start', 'j1', '--protection', 'docs', '--staging', staging, ...returns);
  await must('job', 'pause', 'j1'); // the command looks at staging itself: it fails once the drive is taken
  await must('drive', 'prepare', drive, '--job', 'j1', '--no-wait');
  renameSync(staging, `${staging}-away`);
  symlinkSync(staging, staging); // a loop: what the system says of it names it
  await must('job', 'resume', 'j1');
  await until('asks a person', ({ attention }) => attention.length > 0);
  rmSync(staging);
  renameSync(`${staging}-away`, staging);
  await until('goes on', async ({ stage, attention }) => {
    for (const { id } of attention) await system.type('job', 'resolve', 'j1', '--attention', id, '--choice', 'retry');
    return stage === 'Shipping';
  });
  await must('job', 'ship', 'j1', '--carrier', 'dhl', '--tracking', 'JD014600003RU');
  const listed = (await must('drive', 'list')).data as { drive: string }[];
  const prepared = listed.find((one) => one.drive !== '');
  await must('drive', 'receive', '--job', 'j1', '--drive', prepared?.drive ?? '');
  await must('drive', 'attach', drive, '--job', 'j1');
  await until('lets its drives go', ({ stage }) => stage === 'Returning');
  await must('restore', 'latest', '--to', back, ...system.passphrase);
}

async function until(what: string, holds: (job: JobStatus) => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 120_000; Date.now() < end; await sleep(500))
    if (await holds((await system.must('job', 'show', 'j1')).data as JobStatus)) return;
  throw new Error(`the job never ${what}`);
}

/** A control in the input of a workflow that nobody serves, in every form that is looked for. */
async function plant(): Promise<void> {
  const around = (shift: number) => Buffer.concat([Buffer.alloc(shift, 'z'), Buffer.from(canary), Buffer.from('zz')]);
  const hex = Buffer.from(canary).toString('hex');
  const input = {
    plain: canary,
    hex: [hex, hex.toUpperCase()],
    base64: [0, 1, 2].map((shift) => around(shift).toString('base64')),
    far: `${'far into a long value '.repeat(2000)}${canary}-far`,
  };
  const workflowId = `control-${mark}`;
  await temporal.client.workflow.start('control', { taskQueue: 'nobody', workflowId, args: [input] });
}

function settings(): Settings {
  const flags = { 'state-dir': system.state };
  return loadSettings({ flags, environment: { HOME: system.root }, directory: system.root });
}

/** With the embedded owner's S3 identity. */
function open(url: string): ObjectStore {
  return openStore(url, storageAccess(settings(), url, 'owner'));
}

async function bytesBelow(store: ObjectStore, prefix: string): Promise<{ name: string; bytes: Buffer }[]> {
  const found: { name: string; bytes: Buffer }[] = [];
  for await (const { name } of store.list(prefix)) found.push({ name, bytes: await store.get(name) });
  return found;
}

/** Every key that a process of this journey held, and the texts they come from. */
async function keyNeedles(): Promise<Needle[]> {
  const state = openState(system.state);
  const credentials = state.listCredentials();
  const vault = open(credentials[0]?.vault.url ?? '');
  const slot = (await bytesBelow(vault, SLOTS)).find(({ bytes }) => slotKind(bytes) === 'passphrase');
  const master = await openSlot(slot?.bytes ?? Buffer.alloc(0), { kind: 'passphrase', passphrase: PASSPHRASE });
  const owner = deriveOwner(master);
  const { chunkerKey, indexKey } = deriveDomain(master, 'hq');
  const trust = { vaultId: credentials[0]?.vault.id ?? '', ownerPublic: owner.publicKey };
  const points = (await bytesBelow(vault, POINTS)).map(({ name, bytes }) =>
    openPoint(bytes, { trust, name: parsePointName(name)?.digest ?? digestOf(bytes) }),
  );
  const identity = state.datacenterIdentity('home') ?? '';
  const wraps = await bytesBelow(open(state.placeUrl('landing-home') ?? ''), DRIVE_KEYS);
  const code = readFileSync(system.at('code'), 'utf8').trim();
  expect([points.length > 0, wraps.length > 0]).toEqual([true, true]);
  return [
    { what: 'master key', bytes: master },
    { what: 'owner’s signing seed', bytes: Buffer.from(owner.signing.export({ format: 'jwk' }).d ?? '', 'base64url') },
    { what: 'restore identity', bytes: Buffer.from(owner.restoreIdentity) },
    { what: 'chunker key', bytes: chunkerKey },
    { what: 'index key', bytes: indexKey },
    ...credentials.map(({ id, seed }) => ({ what: `signing seed of ${id}`, bytes: seed })),
    { what: 'datacenter’s identity', bytes: Buffer.from(identity) },
    ...(await Promise.all(
      wraps.map(async ({ bytes }) => ({ what: 'drive key', bytes: await openSession(bytes, identity) })),
    )),
    ...(await Promise.all(
      points.map(async ({ head }) => ({
        what: 'session key',
        bytes: await openSession(Buffer.from(head.wrap), owner.restoreIdentity),
      })),
    )),
    ...textNeedles('one-time code', code),
    ...textNeedles('one-time code without hyphens', code.replaceAll('-', '')),
    ...Object.entries(settings().embedded?.destinations?.embedded?.roles ?? {}).flatMap(([role, keys]) =>
      textNeedles(`S3 secret of ${role}`, keys['secret-access-key']),
    ),
  ];
}

/** A drive with a file system of its own, on which something was written and deleted before it is a drive. */
function mountMedium(): void {
  mkdirSync(medium);
  execFileSync('truncate', ['-s', '16M', system.at('image')]);
  execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', system.at('image')]);
  execFileSync('mount', ['-o', 'loop', system.at('image'), medium]);
  writeFileSync(path.join(medium, 'deleted'), canary);
  execFileSync('sync', ['--file-system', medium]);
  rmSync(path.join(medium, 'deleted'));
  // ext4 notes where it was first written to at: whoever mounts a drive by hand leaves that path on it, and not we
  execFileSync('mount', ['--bind', medium, drive]);
}

function mediumBytes(): Map<string, Buffer> {
  execFileSync('sync', ['--file-system', medium]);
  return new Map([['the medium', readFileSync(system.at('image'))]]);
}

function addressesOf(): Needle[] {
  const state = openState(system.state);
  const endpoint = settings().embedded?.destinations?.embedded?.endpoint ?? '';
  return [
    ...textNeedles('vault’s address', state.listCredentials()[0]?.vault.url ?? ''),
    ...textNeedles('landing’s address', state.placeUrl('landing-home') ?? ''),
    ...textNeedles('storage’s address', new URL(endpoint).host),
  ];
}

/** What people know, and what their files are called. */
function textsOf(): Needle[] {
  const words = readFileSync(system.at('words'), 'utf8').trim().split(/\s+/);
  const threes = words.slice(2).map((_, at) => words.slice(at, at + 3));
  return [
    ...textNeedles('passphrase', PASSPHRASE),
    ...textNeedles('mistyped passphrase', WRONG),
    ...threes.flatMap((three) => [' ', '","', '\n'].map((by) => three.join(by))).map(asWords),
    ...textNeedles('contact', CONTACT),
    ...textNeedles('return address', RETURN_TO),
    ...FILES.flatMap((name) => textNeedles(`name of the file ${name}`, name)),
    ...textNeedles('name of the folder', FOLDER),
    ...[source, staging, drive, back].flatMap((folder) => textNeedles('path', path.basename(folder))),
  ];
}

function asWords(text: string): Needle {
  return { what: 'three recovery words', bytes: Buffer.from(text) };
}

/** Long values lie in pieces in the file, and deleted ones only there: so both are looked through. */
function database(): Map<string, Buffer> {
  const files = [...state].filter(([name]) => /^servers\/temporal\/.*sqlite/.test(name));
  return new Map([...files, ['its values', values]]);
}
