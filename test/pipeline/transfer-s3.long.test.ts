/**
 * The way of a seed on a real S3 server, each party under an identity of its own that can do its part
 * and nothing else.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { attempt } from '../../activities/attempt.ts';
import { observingVault } from '../../activities/observe-vault.ts';
import type { HostValues } from '../../activities/open-site.ts';
import { MIB } from '../../domain/units.ts';
import { decodeCredentials } from '../../format/credentials.ts';
import { openPoint } from '../../format/recovery-point.ts';
import { type AgeIdentity, newAgeIdentity } from '../../format/session.ts';
import type {
  BackupResult,
  BackupTask,
  ChildSecrets,
  IngestTask,
  PrepareTask,
  RestoreTask,
  SendTask,
} from '../../pipeline/child-tasks.ts';
import { prepareBucket } from '../../store/bucket.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { openState } from '../../store/machine-state.ts';
import { openStore } from '../../store/object-store.ts';
import { packSetName } from '../../store/places.ts';
import { connect } from '../../store/s3-store.ts';
import { PARTIES, type Party, startTestS3, type TestS3 } from '../harness/s3.ts';
import {
  differences,
  newTestVault,
  ownerSecrets,
  perform,
  pointName,
  siteSecrets,
  stagingTask,
  type TestVault,
  Workbench,
} from './fixture.ts';

const VAULT = 's3://transfer-vault/main';
const LANDING = 's3://transfer-landing/landing';
const bench = new Workbench('R-transfer-s3');
let s3: TestS3;
let vault: TestVault;
let datacenter: AgeIdentity;
let source: string;
let staged: BackupResult;

beforeAll(async () => {
  s3 = await startTestS3();
  const identities = Object.fromEntries(PARTIES.filter((party) => party !== 'owner').map((party) => [party, [party]]));
  await prepareBucket({ kind: 'vault', url: VAULT, access: s3.access('owner'), identities });
  await prepareBucket({ kind: 'landing', url: LANDING, access: s3.access('owner'), identities });
  vault = await newTestVault();
  datacenter = await newAgeIdentity();
  source = bench.makeTree('source', { files: 200, bytes: 24_000_000 });
  await preparePlace(bench.at('staging'));
  staged = await perform(stagingTask(vault, bench, source, { packBytesMax: 1 * MIB }), vault.secrets);
}, 120_000);
afterAll(async () => {
  await s3?.stop();
  bench.close();
});

/** What a party is told: who it is, and its key to the storage. */
function as(party: Party, secrets: ChildSecrets): ChildSecrets {
  const { endpoint = '', ...access } = s3.access(party);
  return { ...secrets, access: { storage: { endpoint, ...access } } };
}

const common = () => ({ time: '2026-11-23T03:00:00.000Z', vaultId: vault.vaultId });
const at = (url: string) => ({ url, access: 'storage' });
const drive = () => ({ path: bench.at('drive'), id: '7F3A00000000AAAA' });

function transfer(step: string) {
  return { ...common(), kind: 'transfer', run: 'seed-run', step, packSet: staged.packSet } as const;
}

function send(step: string, options: Partial<SendTask>): SendTask {
  const staging = { url: `file://${bench.at('staging')}` };
  return { ...transfer(step), mode: 'send', from: staging, to: at(VAULT), what: 'objects', ...options };
}

async function restored(options: Partial<RestoreTask> = {}): Promise<string> {
  const to = bench.at(`restored-${readdirSync(bench.directory).length}`);
  const task: RestoreTask = {
    ...common(),
    kind: 'restore',
    vault: at(VAULT),
    point: pointName(staged),
    paths: [],
    include: [],
    to,
    conflict: 'skip',
    stateDirectory: bench.at('owner-state'),
    ...options,
  };
  expect(await perform(task, as('owner', ownerSecrets(vault)))).toMatchObject({ mismatchCount: 0 });
  return differences(source, path.join(to, source));
}

/** As someone would who has stolen the machine's key to the storage. */
async function overwrite(party: Party, name: string): Promise<void> {
  const { sdk, client } = await connect(s3.access(party));
  await client.send(
    new sdk.PutObjectCommand({ Bucket: 'transfer-vault', Key: `main/${name}`, Body: Buffer.from('junk') }),
  );
}

/** The vault worker looks, and signs what it saw. */
async function look(url: string): Promise<void> {
  const { credentials = '' } = siteSecrets(vault, 'vault.test');
  const known = decodeCredentials(Buffer.from(credentials, 'base64'));
  const { endpoint, ...access } = s3.access('vault');
  const stateDirectory = bench.at('vault-worker');
  await openState(stateDirectory).addCredentials({ ...known, vault: { name: 'test', id: vault.vaultId, url } });
  const values: HostValues = {
    ...{ stateDirectory, host: 'bench', places: {}, threads: 1, spoolBytesMax: 1, stallMs: 10_000 },
    ...{ bytesPerSecondMax: undefined, packBytesMax: undefined },
    accessTo: () => ({ endpoint: endpoint ?? '', ...access }),
  };
  const environment = new MockActivityEnvironment({}, { interceptors: [attempt] });
  await environment.run(() => observingVault(values).observeVault({ vault: 'test', run: 'look' }));
}

describe('a seed and its storage', () => {
  test('drive, landing and vault, each party with its own key: what comes back is exact', async () => {
    mkdirSync(bench.at('drive'));
    const prepare: PrepareTask = {
      ...transfer('prepare'),
      mode: 'prepare',
      job: 'hq-2026',
      from: { url: `file://${bench.at('staging')}` },
      drive: drive(),
      ranges: [{ from: 0, to: staged.objects }],
      datacenterRecipient: datacenter.recipient,
      keysTo: [at(LANDING)],
      stateDirectory: bench.at('copy-state'),
    };
    const prepared = await perform(prepare, as('copy', siteSecrets(vault, 'copy.attic')));
    const set = await openStore(`file://${bench.at('staging')}`).get(packSetName(staged.packSet));
    await openStore(LANDING, s3.access('vault')).put(packSetName(staged.packSet), set); // as registerImport does
    const ingest: IngestTask = {
      ...transfer('ingest'),
      mode: 'ingest',
      job: 'hq-2026',
      drive: drive(),
      manifest: prepared.manifest ?? staged.packSet,
      epoch: prepared.epoch ?? 0,
      to: at(LANDING),
      stateDirectory: bench.at('dock-state'),
    };
    const dock = { ...siteSecrets(vault, 'dock.eu-west.bay1'), datacenterIdentity: datacenter.identity };
    expect(await perform(ingest, as('datacenter', dock))).toMatchObject({ objects: staged.objects, damaged: 0 });
    const state = send('state', { what: 'claim', point: pointName(staged) });
    expect(await perform(state, as('machine', vault.secrets))).toMatchObject({ missing: 0, damaged: 0 });
    const copy = send('copy', { mode: 'copy', from: at(LANDING) });
    expect(await perform(copy, as('vault', siteSecrets(vault, 'vault.main')))).toMatchObject({
      missing: 0,
      damaged: 0,
    });
    expect(await restored()).toBe('');
  });

  test('whoever overwrites packs, trees, index, point and receipts does no harm', async () => {
    const names: string[] = [];
    for await (const { name } of openStore(VAULT, s3.access('owner')).list('')) names.push(name);
    expect(names.length).toBeGreaterThan(staged.objects);
    for (const name of names) await overwrite('machine', name).catch(() => overwrite('owner', name));
    expect(await restored()).toBe('');
    const copy = send('copy-again', { mode: 'copy', from: at(LANDING) });
    expect(await perform(copy, as('vault', siteSecrets(vault, 'vault.main')))).toMatchObject({
      objects: 0,
      present: staged.objects,
      damaged: 0,
    });
  });

  test('a machine that may not look sends again only what was under way', async () => {
    const empty = 's3://transfer-vault/second';
    const identities = Object.fromEntries(
      PARTIES.filter((party) => party !== 'owner').map((party) => [party, [party]]),
    );
    await prepareBucket({ kind: 'vault', url: empty, access: s3.access('owner'), identities });
    spawnSync('cp', ['-a', bench.at('staging'), bench.at('resent')]);
    const from = { url: `file://${bench.at('resent')}` };
    const task = send('resend', { from, to: at(empty), stateDirectory: bench.at('state'), bytesPerSecondMax: 6 * MIB });
    const killer = new AbortController();
    const attempt = perform(task, as('machine', vault.secrets), {
      signal: killer.signal,
      onProgress: ({ objectsDone }) => objectsDone > staged.objects / 2 && killer.abort(new Error('killed')),
    });
    await expect(attempt).rejects.toThrow('killed');
    const versions = await versionsIn('second/');
    for (const version of versions) rmSync(bench.at('resent', version.replace(/^second\/(\S+) .*/, '$1')));
    const result = await perform({ ...task, bytesPerSecondMax: 1000 * MIB }, as('machine', vault.secrets));
    expect(result.missing).toBeLessThanOrEqual(3); // were under way: sent, not yet noted
    expect(result.objects + result.present + result.missing).toBe(staged.objects);
    const after = await versionsIn('second/');
    for (const version of versions) expect(after).toContain(version);
    expect(new Set(after.map((version) => version.split(' ')[0])).size).toBe(after.length);
  });

  test('a machine that lost its catalog goes on from what the vault worker saw, and sends nothing again', async () => {
    const url = 's3://transfer-vault/third';
    const identities = Object.fromEntries(
      PARTIES.filter((party) => party !== 'owner').map((party) => [party, [party]]),
    );
    await prepareBucket({ kind: 'vault', url, access: s3.access('owner'), identities });
    const spool = (name: string): BackupTask =>
      stagingTask(vault, bench, source, {
        to: { kind: 'spool', directory: bench.at(`spool-${name}`), bytesMax: 1024 * MIB },
        stateDirectory: bench.at(`state-${name}`),
        vault: at(url),
      });
    const machine = as('machine', vault.secrets);
    const unseen = await perform(spool('unseen'), machine);
    expect(unseen.point).toMatchObject({ sequence: 1, kind: 'initial' }); // nobody has looked yet
    await perform(send('all', { what: 'all', to: at(url), point: pointName(staged) }), machine);
    await look(url);
    const result = await perform(spool('lost'), machine);
    expect(result.point).toMatchObject({ sequence: 2, kind: 'incremental' });
    expect(result.rereadBytes).toBe(unseen.rereadBytes);
    expect(result.addedBytes).toBeLessThan(0.1 * MIB);
    const bytes = await openStore(`file://${bench.at('spool-lost')}`).get(pointName(result));
    const { head } = openPoint(bytes, { trust: { vaultId: vault.vaultId, ownerPublic: vault.ownerPublic } });
    expect(head).toMatchObject({ predecessor: staged.point.digest, base: staged.point.digest });
  });
});

/** Every version of every pack and tree: name and version id. */
async function versionsIn(prefix: string): Promise<string[]> {
  const { sdk, client } = await connect(s3.access('owner'));
  const listed = await client.send(new sdk.ListObjectVersionsCommand({ Bucket: 'transfer-vault', Prefix: prefix }));
  return (listed.Versions ?? [])
    .filter(({ Key = '' }) => /\/(packs|trees)\//.test(Key))
    .map(({ Key, VersionId }) => `${Key} ${VersionId}`);
}
