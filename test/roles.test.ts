/**
 * Who may do what where, on the real S3 server, with the identities that `seedship up` makes for its
 * sites. Asked past our own code, by plain requests: a thief of a key does not use our store.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ROLES, readEmbedded } from '../host/settings.ts';
import type { S3Access } from '../store/object-store.ts';
import { connect } from '../store/s3-store.ts';
import { compareTrees, Embedded } from './harness/embedded.ts';

const VAULT = 'seedship-main';
const LANDING = 'seedship-landing-home';
const NOBODY = 'nobody';
const SITES = [...ROLES.filter((role) => role !== 'owner'), NOBODY];

const system = new Embedded('roles', { SEEDSHIP_PACK_SIZE: '1MiB' });
const source = system.at('source');
const clients = new Map<string, { readonly sdk: typeof import('@aws-sdk/client-s3'); readonly client: S3Client }>();

beforeAll(async () => {
  mkdirSync(`${source}/folder`, { recursive: true });
  writeFileSync(`${source}/noise`, randomBytes(2_500_000));
  writeFileSync(`${source}/folder/text`, 'some text');
  await system.start();
  await system.setUp(source);
  for (const role of [...ROLES, NOBODY]) clients.set(role, await connect(accessOf(role)));
}, 120_000);
afterAll(async () => {
  for (const { client } of clients.values()) client.destroy();
  await system.close();
}, 60_000);

function accessOf(role: string): S3Access {
  const { endpoint = '', roles = {} } = readEmbedded(system.state)?.destinations?.embedded ?? {};
  const keys = Object.entries(roles).find(([name]) => name === role)?.[1];
  return {
    ...{ endpoint, region: 'us-east-1' },
    accessKeyId: keys?.['access-key-id'] ?? 'nobody',
    secretAccessKey: keys?.['secret-access-key'] ?? 'guessed',
  };
}

function as(role: string) {
  const found = clients.get(role);
  if (!found) throw new Error(`no client for ${role}`);
  return found;
}

/** Whether the server let it pass; only its refusal counts as no. */
async function passes(request: Promise<unknown>): Promise<boolean> {
  try {
    await request;
    return true;
  } catch (error) {
    expect(Object(error).$metadata).toMatchObject({ httpStatusCode: 403 });
    return false;
  }
}

function put(role: string, Bucket: string, Key: string, bytes: Uint8Array) {
  const { sdk, client } = as(role);
  return client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: Buffer.from(bytes) }));
}

async function get(role: string, Bucket: string, Key: string): Promise<Buffer> {
  const { sdk, client } = as(role);
  const { Body } = await client.send(new sdk.GetObjectCommand({ Bucket, Key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

async function list(role: string, Bucket: string, Prefix: string): Promise<string[]> {
  const { sdk, client } = as(role);
  const { Contents = [] } = await client.send(new sdk.ListObjectsV2Command({ Bucket, Prefix }));
  return Contents.map(({ Key = '' }) => Key);
}

/** The object, and each of its versions by its id: hiding it and destroying it are two rights. */
async function remove(role: string, Bucket: string, Key: string): Promise<boolean> {
  const { sdk, client } = as(role);
  const owner = as('owner');
  const { Versions = [] } = await owner.client.send(new owner.sdk.ListObjectVersionsCommand({ Bucket, Prefix: Key }));
  const ids = [undefined, ...Versions.map(({ VersionId }) => VersionId)];
  const done = [];
  for (const VersionId of ids)
    done.push(await passes(client.send(new sdk.DeleteObjectCommand({ Bucket, Key, VersionId }))));
  return done.some(Boolean);
}

async function listVersions(role: string, Bucket: string, Prefix: string): Promise<void> {
  const { sdk, client } = as(role);
  await client.send(new sdk.ListObjectVersionsCommand({ Bucket, Prefix }));
}

/** What one may do below a prefix, as letters: put, get, list versions, list, delete. */
async function rights(role: string, bucket: string, prefix: string): Promise<string> {
  const there = `${prefix}0-there-${role}`;
  await put('owner', bucket, there, Buffer.from('there'));
  const fresh = `${prefix}0-new-${role}`;
  const may = {
    p: await passes(put(role, bucket, fresh, Buffer.from('new'))),
    g: await passes(get(role, bucket, there)),
    v: await passes(listVersions(role, bucket, prefix)),
    l: await passes(list(role, bucket, prefix)),
    d: await remove(role, bucket, there),
  };
  for (const left of [fresh, there]) await remove('owner', bucket, left);
  return Object.entries(may)
    .map(([letter, can]) => (can ? letter : '-'))
    .join('');
}

describe('each site under its own identity', () => {
  /**
   * What the design asks of each: the machine adds and cannot take back; copy hosts hand over drive
   * keys and nothing else; the datacenter works in landing only; the vault's worker carries on and
   * removes; control and operators keep the books.
   */
  const EXPECTED = `
                    machine  copy   datacenter  vault  control  operator  nobody
    vault packs     p----    -----  -----       pgvld  -----    -----     -----
    vault trees     p----    -----  -----       pgvld  -----    -----     -----
    vault points    pgv--    -----  -----       pgvld  -gvl-    -gvl-     -----
    vault slots     -----    -----  -----       pgvld  -----    -----     -----
    vault jobs      pgv--    -----  -----       pgvld  pgvl-    pgvl-     -----
    vault all       -----    -----  -----       pgvld  -----    -----     -----
    landing packs   -----    -----  pgvl-       pgvld  -----    -----     -----
    landing wraps   -----    p----  -gvl-       pgvld  -----    p----     -----
    landing all     -----    -----  -gvl-       pgvld  -----    -----     -----`;

  const PLACES: Record<string, readonly [bucket: string, prefix: string]> = {
    'vault packs': [VAULT, 'packs/00/'],
    'vault trees': [VAULT, 'trees/00/'],
    'vault points': [VAULT, 'points/hq/'],
    'vault slots': [VAULT, 'keys/slots/'],
    'vault jobs': [VAULT, 'records/job/other/'],
    'vault all': [VAULT, ''],
    'landing packs': [LANDING, 'packs/00/'],
    'landing wraps': [LANDING, 'keys/drives/'],
    'landing all': [LANDING, ''],
  };

  test('does its part, and cannot open the others’ places', async () => {
    const rows = [['', ...SITES]];
    for (const [place, [bucket, prefix]] of Object.entries(PLACES)) {
      rows.push([place, ...(await Promise.all(SITES.map((site) => rights(site, bucket, prefix))))]);
    }
    const cells = (table: string) =>
      table
        .trim()
        .split('\n')
        .map((line) => line.trim().split(/ {2,}/).join(' | '));
    const found = rows.map((row) => row.filter(Boolean).join(' | '));
    expect(found).toEqual(cells(EXPECTED));
  }, 60_000);
});

describe('a machine whose key was stolen', () => {
  test('overwrites all that it may, and the restore is exact all the same', async () => {
    await system.must('protection', 'create', 'online', '--item', source, '--initial', 'network');
    await system.must('backup', 'now', 'online');
    await restorable();
    const taken: string[] = [];
    for (const name of await list('owner', VAULT, '')) {
      if (!(await passes(put('machine', VAULT, name, Buffer.from('first'))))) continue;
      await put('machine', VAULT, name, Buffer.from('second'));
      expect((await get('owner', VAULT, name)).toString()).toBe('second');
      taken.push(name);
    }
    expect(new Set(taken.map((name) => name.replace(/^(records\/[^/]+|[^/]+)\/.*$/, '$1')))).toEqual(
      new Set([
        ...['packs', 'trees', 'index', 'pack-sets', 'points', 'receipts'],
        ...['records/machine', 'records/protection'],
      ]),
    );

    await takeNext(taken);
    await system.must('restore', 'latest', '--to', system.at('back'), ...system.passphrase);
    expect(await compareTrees(source, `${system.at('back')}${source}`)).toBe('');
  }, 120_000);

  test('keeps nobody from going on, the machine without a catalog either', async () => {
    const packs = (await list('owner', VAULT, 'packs/')).length;
    rmSync(`${system.state}/catalog`, { recursive: true });
    await system.must('backup', 'now', 'online');
    expect((await system.must('point', 'list')).data).toMatchObject([{ sequence: 2 }, { sequence: 1 }]);
    expect(await list('owner', VAULT, 'packs/')).toHaveLength(packs); // it has found what it sent before

    await system.must('protection', 'create', 'more', '--item', `${source}/folder`, '--initial', 'network');
    const { data } = await system.must('protection', 'list');
    expect(data).toMatchObject([{ name: 'docs' }, { name: 'more' }, { name: 'online' }]);
    await system.must('job', 'start', 'squatted', '--protection', 'docs', '--staging', system.at('staging'));
    const { data: story } = await system.must('job', 'events', 'squatted');
    expect(Object(story)[0]).toMatchObject({ revision: 1, code: 'Tampered' });
    expect(Object(story)[1]).toMatchObject({ revision: 2, where: 'machine hq' });
  }, 120_000);
});

/** The next revision of every record it may add to, and the first ones of some that are not there yet. */
async function takeNext(names: readonly string[]): Promise<void> {
  const newest = new Map<string, number>([
    ['records/protection/more/', 0],
    ['records/job/squatted/', 0],
  ]);
  for (const name of names) {
    const [, record, revision] = /^(records\/.*\/)(\d{8})$/.exec(name) ?? [];
    if (record !== undefined) newest.set(record, Math.max(newest.get(record) ?? 0, Number(revision)));
  }
  expect(newest.size).toBeGreaterThan(4);
  for (const [record, revision] of newest)
    await put('machine', VAULT, `${record}${String(revision + 1).padStart(8, '0')}`, Buffer.from('noise'));
}

/** Upkeep looks at the vault a moment after each change. */
async function restorable(): Promise<void> {
  for (let tries = 0; tries < 60; tries += 1) {
    const points = (await system.must('point', 'list')).data as { restorable: boolean }[];
    if (points.some((point) => point.restorable)) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error('the point is not restorable');
}
