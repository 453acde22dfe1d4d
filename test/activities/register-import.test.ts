import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { attempt } from '../../activities/attempt.ts';
import type { HostValues } from '../../activities/open-site.ts';
import { recording } from '../../activities/register-import.ts';
import type { PreparedDrive } from '../../domain/receipt.ts';
import type { Act, DatacenterRecord, JobRecord, JobState, Ledger } from '../../domain/record.ts';
import type { RecordSteps } from '../../domain/request.ts';
import { signActRequest } from '../../format/act-request.ts';
import { digestOf } from '../../format/digest.ts';
import { deriveOwner, newMaster } from '../../format/key-tree.ts';
import {
  certify,
  newSigningSeed,
  newVaultId,
  ownerSigner,
  publicKeyOf,
  signBody,
  signerFrom,
} from '../../format/signature.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { openState } from '../../store/machine-state.ts';
import { type ObjectStore, openStore } from '../../store/object-store.ts';
import { driveKeyName, packSetName, recordName, requestName } from '../../store/places.ts';
import { appendRecord, type Hand, readRecord } from '../../store/records.ts';

const DRIVE = '7F3A00000000C0DE';
const owner = deriveOwner(newMaster());
const vaultId = newVaultId();
const hand = { signer: ownerSigner(owner), trust: { vaultId, ownerPublic: owner.publicKey } };
const stamp = { at: '2026-11-23T02:00:00.000Z', by: 'owner' };
const packSetBytes = Buffer.from('a signed list');
const packSet = digestOf(packSetBytes);
const wraps = [Buffer.from('wrap of epoch 1'), Buffer.from('wrap of epoch 2')];

let dir: string;
let values: HostValues;
let vault: ObjectStore;
let siteHand: Hand;
let landing: ObjectStore;

beforeEach(async () => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'seedship-register-'));
  const url = (name: string) => `file://${dir}/${name}`;
  for (const place of ['vault', 'landing']) await preparePlace(path.join(dir, place));
  [vault, landing] = [openStore(url('vault')), openStore(url('landing'))];
  const seed = newSigningSeed();
  const identity = { role: 'site', id: 'vault.main', publicKey: publicKeyOf(seed) } as const;
  siteHand = { signer: signerFrom(seed, certify(owner, identity, vaultId), hand.trust), trust: hand.trust };
  await openState(path.join(dir, 'state')).addCredentials({
    ...{ role: 'site', id: 'vault.main', site: 'vault.main', seed, validUntil: '2099-01-01T00:00:00Z' },
    vault: { name: 'main', id: vaultId, url: url('vault') },
    ownerPublic: owner.publicKey,
    restoreRecipient: await owner.restoreRecipient(),
    certificate: certify(owner, identity, vaultId),
  });
  values = {
    ...{
      stateDirectory: path.join(dir, 'state'),
      host: 'bench',
      places: { landing: url('landing'), staging: url('staging'), unmounted: url('unmounted') },
    },
    ...{
      accessTo: () => undefined,
      threads: 1,
      bytesPerSecondMax: undefined,
      packBytesMax: undefined,
      spoolBytesMax: 1,
      stallMs: 1000,
    },
  };
  const order = {
    ...{ vault: 'main', machine: 'hq', protection: 'files', job: 'hq-1', region: 'eu-west', heartbeatMs: 5000 },
    ...{ staging: 's', landing: 'landing', schedule: 'daily 02:00', timezone: 'UTC', returns: false, startedBy: 'x' },
  };
  const job: JobRecord = { ...stamp, name: 'hq-1', order };
  await appendRecord(vault, { kind: 'job', id: 'hq-1' }, job, hand);
  const datacenter: DatacenterRecord = {
    ...{ ...stamp, region: 'eu-west', address: ['Dock 4'], carriers: [], driveBytesMax: 1, recipient: 'age1' },
    ...{ asks: { contact: false, returnTo: false }, publicKey: '' },
  };
  await appendRecord(vault, { kind: 'datacenter', id: 'eu-west' }, datacenter, hand);
  await vault.put(packSetName(packSet), packSetBytes);
  for (const [at, wrap] of wraps.entries()) await landing.put(driveKeyName(DRIVE, at + 1), wrap);
});
afterEach(() => rmSync(dir, { recursive: true }));

function call<N extends keyof RecordSteps>(step: N, request: Parameters<RecordSteps[N]>[0]) {
  const steps: Record<string, (request: never) => Promise<unknown>> = { ...recording(values) };
  const environment = new MockActivityEnvironment({}, { interceptors: [attempt] });
  return environment.run(async () => steps[step]?.(request as never));
}

const jobRecord = () => readRecord<JobRecord>(vault, { kind: 'job', id: 'hq-1' }, hand.trust);
const drive: PreparedDrive = {
  ...{ run: 'r', step: 'prepare', receipt: digestOf(Buffer.from('receipt')), drive: DRIVE, host: 'bench', epoch: 2 },
  ...{ manifest: digestOf(Buffer.from('manifest')), wraps: wraps.map((wrap) => digestOf(wrap)) },
  ...{ ranges: [{ from: 0, to: 3 }], objects: 3, bytes: 30 },
};
const names = { vault: 'main', run: 'r', job: 'hq-1', region: 'eu-west', landing: 'landing' };
const request = { ...names, step: 'register-1', packSet, drives: [drive] };

describe('registering an import', () => {
  test('names address and manifests in the record, and lays out what the dock and the vault need', async () => {
    await call('registerImport', request);
    const record = await jobRecord();
    expect(record?.signer).toMatchObject({ role: 'site', id: 'vault.main' });
    expect(record?.body.imports).toMatchObject([
      { address: ['Dock 4'], packSet, drives: [{ drive: DRIVE, epoch: 2, manifest: drive.manifest }] },
    ]);
    expect(record?.body.order.job).toBe('hq-1');
    expect((await landing.get(packSetName(packSet))).equals(packSetBytes)).toBe(true);
    for (const [at, wrap] of wraps.entries())
      expect((await vault.get(driveKeyName(DRIVE, at + 1))).equals(wrap)).toBe(true);
  });

  test('a second attempt adds no revision', async () => {
    const first = await call('registerImport', request);
    expect(await call('registerImport', request)).toEqual(first);
    expect((await jobRecord())?.revision).toBe(2);
  });

  test('a wrap that is not the one the drive was prepared with asks a person', async () => {
    const wrong = { ...drive, wraps: [digestOf(Buffer.from('another')), ...drive.wraps.slice(1)] };
    const failure: unknown = await call('registerImport', { ...request, drives: [wrong] }).catch((error) => error);
    expect(failure).toBeInstanceOf(ApplicationFailure);
    expect(failure).toMatchObject({ type: 'Corrupt', nonRetryable: true });
    expect((await jobRecord())?.revision).toBe(1);
  });

  test('an address that is not the owner’s word is not believed', async () => {
    const ref = { kind: 'datacenter', id: 'eu-west' } as const;
    const entry = await readRecord<DatacenterRecord>(vault, ref, hand.trust);
    const body = { ...entry?.body, address: ['Thief Lane 1'], recipient: 'age1thief' };
    const text = JSON.stringify({ revision: 2, predecessor: entry?.digest, body });
    const place = recordName(ref.kind, ref.id, 2);
    await vault.put(place, signBody('record', Buffer.from(text), { ...siteHand, place }));
    await call('registerImport', request);
    expect((await jobRecord())?.body.imports?.[0]?.address).toEqual(['Dock 4']);
  });

  test('a job that the vault does not know is refused', async () => {
    await expect(call('registerImport', { ...request, job: 'nobodys' })).rejects.toMatchObject({ type: 'NotFound' });
  });
});

describe('withdrawing an import', () => {
  const withdraw = { ...names, step: 'withdraw', drives: [DRIVE] };

  test('deletes the keys of its drives in landing and vault, and says so in the record', async () => {
    await call('registerImport', request);
    for (let attempts = 0; attempts < 2; attempts += 1)
      await call('withdrawImport', { ...withdraw, undo: ['import-job', 'drive-keys'] });
    for (const place of [landing, vault]) expect(await place.head(driveKeyName(DRIVE, 1))).toBeUndefined();
    expect((await jobRecord())?.body.imports?.[0]?.withdrawn?.by).toBe('vault.main');
    expect((await jobRecord())?.revision).toBe(3);
  });

  test('deletes them in staging too where this host reaches it, and goes on where it does not', async () => {
    await call('registerImport', request);
    const url = `file://${dir}/staging`;
    const undo = ['drive-keys', 'import-job'] as const;
    for (const staging of ['unknown', 'unmounted'])
      await call('withdrawImport', { ...withdraw, staging, undo: ['drive-keys'] });
    await preparePlace(path.join(dir, 'staging'));
    await openStore(url).put(driveKeyName(DRIVE, 1), Buffer.from('wrap of epoch 1'));
    await openStore(url).put(driveKeyName('7F3A0000000000FF', 1), Buffer.from("another drive's"));
    await call('withdrawImport', { ...withdraw, staging: 'staging', undo });
    expect(await openStore(url).head(driveKeyName(DRIVE, 1))).toBeUndefined();
    expect(await openStore(url).head(driveKeyName('7F3A0000000000FF', 1))).toBeDefined();
    expect((await jobRecord())?.body.imports?.[0]?.withdrawn?.by).toBe('vault.main');
  });

  test('says on the way how far it is: emptying may take longer than any one request', async () => {
    const heard: unknown[] = [];
    const environment = new MockActivityEnvironment({}, { interceptors: [attempt] });
    environment.on('heartbeat', (details) => heard.push(details));
    const { withdrawImport } = recording(values);
    await environment.run(() => withdrawImport({ ...withdraw, undo: ['drive-keys'] }));
    expect(heard).toContainEqual({ step: 'withdraw', bytesDone: 0, objectsDone: 2 });
    environment.cancel();
    await expect(environment.run(() => withdrawImport({ ...withdraw, undo: ['landing'] }))).rejects.toThrow();
  });

  test('does what it is asked, no more', async () => {
    await call('registerImport', request);
    await call('withdrawImport', { ...withdraw, undo: ['import-job'] });
    expect(await landing.head(driveKeyName(DRIVE, 1))).toBeDefined();
  });
});

describe('keeping the record', () => {
  const state = (sequence: number, run = 'r'): JobState => ({
    ...{ sequence, run, stage: 'Shipping', importJob: 'Shipping' },
    ...{ drives: [], parcels: [], attention: [], acts: [] },
  });
  const keep = (sequence: number, run?: string) =>
    call('keepRecord', { vault: 'main', kind: 'job', id: 'hq-1', sequence, state: state(sequence, run) });

  test('never goes back, and beside an import loses neither', async () => {
    await Promise.all([keep(2), call('registerImport', request)]);
    await keep(1);
    await keep(2);
    const record = await jobRecord();
    expect([record?.revision, record?.body.state?.sequence, record?.body.imports?.length]).toEqual([3, 2, 1]);
  });

  test('holds each act against the request it names, wherever that was laid down', async () => {
    const at = '2026-11-23T10:00:00.000Z';
    const asked = { carrier: 'dhl', tracking: '3318810025', by: siteHand.signer.id };
    const lay = async (place: ObjectStore, more: object = {}) => {
      const workflowId = 'seed/main/hq-1';
      const bytes = signActRequest({ workflowId, act: 'ship', at, asked, ...more }, siteHand);
      const name = digestOf(bytes);
      await place.put(requestName(name), bytes, { digest: name });
      return name;
    };
    const [kept, laid, other] = [
      await lay(vault),
      await lay(landing, { at: stamp.at }),
      await lay(landing, { act: 'edit' }),
    ];
    const act = { at, by: siteHand.signer.id, act: 'ship', says: 'dhl 3318810025', asked } as const;
    const acts: Act[] = [
      { ...act, request: kept },
      { ...act, request: laid },
      { ...act, request: other },
      { ...act, request: kept, asked: { ...asked, tracking: '1' } },
      { ...act, request: packSet },
      { at, by: 'ann', act: 'pause', says: 'the job' },
    ];
    const ledger = { job: { landing: 'landing' } } as unknown as Ledger;
    const written = { ...state(1), acts, ledger };
    await call('keepRecord', { vault: 'main', kind: 'job', id: 'hq-1', sequence: 1, state: written });
    const recorded = (await jobRecord())?.body.state?.acts ?? [];
    expect(recorded.map(({ signedBy, doubt }) => signedBy ?? doubt)).toEqual([
      'site vault.main',
      'site vault.main',
      'it asks for edit',
      'it asks for something else',
      'it is not there',
      undefined,
    ]);
    expect(recorded.some((one) => 'asked' in one)).toBe(false);
    expect(await vault.head(requestName(laid))).toBeDefined();
    expect(await vault.head(requestName(other))).toBeUndefined();
  });

  test('a job begun again counts anew', async () => {
    await keep(7);
    await keep(1, 'another run');
    expect((await jobRecord())?.body.state).toMatchObject({ sequence: 1, run: 'another run' });
  });
});
