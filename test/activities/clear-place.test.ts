import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { clearing, planning, proving } from '../../activities/clear-place.ts';
import type { HostValues } from '../../activities/open-site.ts';
import type { Digest } from '../../domain/names.ts';
import type { JobRecord } from '../../domain/record.ts';
import type { ClearRequest } from '../../domain/request.ts';
import type { Credentials } from '../../format/credentials.ts';
import { digestOf } from '../../format/digest.ts';
import { deriveDomain, deriveOwner, newMaster } from '../../format/key-tree.ts';
import { signPackSet } from '../../format/pack-set.ts';
import { certify, newSigningSeed, newVaultId, ownerSigner, publicKeyOf, signerFrom } from '../../format/signature.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { openState } from '../../store/machine-state.ts';
import { type ObjectStore, openStore } from '../../store/object-store.ts';
import { driveKeyName, packName, packSetName } from '../../store/places.ts';
import { appendRecord, readRecord } from '../../store/records.ts';

const DRIVE = '7F3A00000000C0DE';
const master = newMaster();
const owner = deriveOwner(master);
const vaultId = newVaultId();
const trust = { vaultId, ownerPublic: owner.publicKey };
const packs = ['ours', 'shared', 'theirs'].map((text) => Buffer.from(text));
const [OURS = Buffer.alloc(0), SHARED = OURS, THEIRS = OURS] = packs;

let dir: string;
let values: HostValues;
let stores: Record<'vault' | 'landing' | 'staging', ObjectStore>;
let mine: Digest;
let other: Digest;

function credentials(role: 'site' | 'machine', id: string): Omit<Credentials, 'restoreRecipient'> {
  const seed = newSigningSeed();
  const identity = { role, id, publicKey: publicKeyOf(seed), ...(role === 'machine' ? { domain: id } : {}) };
  return {
    ...{ role, id, seed, validUntil: '2099-01-01T00:00:00Z', ownerPublic: owner.publicKey },
    vault: { name: 'main', id: vaultId, url: `file://${dir}/vault` },
    certificate: certify(owner, identity, vaultId),
    ...(role === 'machine' ? { putKey: deriveDomain(master, id) } : { site: id }),
  };
}

beforeEach(async () => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'seedship-clear-'));
  const at = async (name: string) => {
    await preparePlace(path.join(dir, name));
    return openStore(`file://${dir}/${name}`);
  };
  stores = { vault: await at('vault'), landing: await at('landing'), staging: await at('staging') };
  const restoreRecipient = await owner.restoreRecipient();
  const machine = credentials('machine', 'hq');
  const state = openState(path.join(dir, 'state'));
  await state.addCredentials({ ...machine, restoreRecipient });
  await state.addCredentials({ ...credentials('site', 'vault.main'), restoreRecipient });
  const url = (name: string) => `file://${dir}/${name}`;
  values = {
    ...{ stateDirectory: path.join(dir, 'state'), host: 'bench', accessTo: () => undefined, threads: 1 },
    places: { landing: url('landing'), staging: url('staging') },
    ...{ bytesPerSecondMax: undefined, packBytesMax: undefined, spoolBytesMax: 1, stallMs: 1000 },
  };
  const signer = signerFrom(machine.seed, machine.certificate, trust);
  const setOf = (members: readonly Buffer[]) => {
    const full = members.map((bytes) => ({ kind: 'pack' as const, name: digestOf(bytes), length: bytes.length }));
    full.sort((a, b) => (a.name < b.name ? -1 : 1));
    return signPackSet({ full }, { signer, trust });
  };
  const sets = [setOf([OURS, SHARED]), setOf([SHARED, THEIRS])];
  [mine = digestOf(OURS), other = mine] = sets.map((bytes) => digestOf(bytes));
  for (const place of Object.values(stores)) {
    for (const bytes of packs) await place.put(packName(digestOf(bytes)), bytes);
    for (const bytes of sets) await place.put(packSetName(digestOf(bytes)), bytes);
    await place.put(driveKeyName(DRIVE, 1), Buffer.from('wrap'));
  }
});
afterEach(() => rmSync(dir, { recursive: true }));

function request(place: string, keep: readonly Digest[]): ClearRequest {
  return { vault: 'main', run: 'r', step: 's', machine: 'hq', place, packSet: mine, keep, drives: [DRIVE] };
}

function run<T>(work: () => Promise<T>): Promise<T> {
  return new MockActivityEnvironment().run(work);
}

async function left(store: ObjectStore): Promise<string[]> {
  const found = await Promise.all(
    packs.map(async (bytes) => ((await store.head(packName(digestOf(bytes)))) ? [bytes.toString()] : [])),
  );
  return found.flat();
}

describe('clearing a place', () => {
  test('takes out what is of the set, keeps what another job needs, and touches no other place', async () => {
    const { landing, staging, vault } = stores;
    const { clearLanding } = proving(values);
    expect(await run(() => clearLanding(request('landing', [other])))).toBe(1);
    expect(await left(landing)).toEqual(['shared', 'theirs']);
    expect([await left(staging), await left(vault)]).toEqual([packs.map(String), packs.map(String)]);
    expect(await landing.head(packSetName(mine))).toBeUndefined();
    expect(await landing.head(packSetName(other))).toBeDefined();
    expect(await landing.head(driveKeyName(DRIVE, 1))).toBeUndefined();
    expect(await vault.head(driveKeyName(DRIVE, 1))).toBeDefined();
  });

  test('a second time removes nothing more, and fails at nothing', async () => {
    const { clearStaging } = clearing(values);
    expect(await run(() => clearStaging(request('staging', [])))).toBe(2);
    expect(await left(stores.staging)).toEqual(['theirs']);
    expect(await run(() => clearStaging(request('staging', [])))).toBe(0);
  });
});

test('what was removed, and on which proof, is written once', async () => {
  const order = {
    ...{ vault: 'main', machine: 'hq', protection: 'files', job: 'hq-1', region: 'eu-west', heartbeatMs: 5000 },
    ...{ staging: 'staging', landing: 'landing', schedule: 'daily 02:00', timezone: 'UTC', returns: false },
    startedBy: 'x',
  };
  const job: JobRecord = { at: '2026-11-23T02:00:00.000Z', by: 'owner', name: 'hq-1', order };
  const ref = { kind: 'job', id: 'hq-1' } as const;
  await appendRecord(stores.vault, ref, job, { signer: ownerSigner(owner), trust });
  const { keepCleanup, planCleanup } = planning(values);
  expect(await run(() => planCleanup({ vault: 'main', job: 'hq-1' }))).toMatchObject({
    refused: expect.stringContaining('not complete'),
  });
  const proof = { run: 'r', step: 'proof', receipt: mine };
  const kept = { vault: 'main', job: 'hq-1', by: 'ann', proof, objects: 2, bytes: 10, removed: 3 };
  for (const _ of [1, 2]) await run(() => keepCleanup(kept));
  const record = await readRecord<JobRecord>(stores.vault, ref, trust);
  expect([record?.revision, record?.signer.id]).toEqual([2, 'vault.main']);
  expect(record?.body.cleaned).toMatchObject({ by: 'ann', proof, objects: 2, removed: 3 });
});
