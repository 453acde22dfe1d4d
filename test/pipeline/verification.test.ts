/** Verification cannot be switched off by accident: builds that damage what they write, and who notices. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { newAgeIdentity } from '../../format/session.ts';
import type { runChild } from '../../pipeline/child.ts';
import type { BackupTask, ChildSecrets, DriveAt, RestoreTask } from '../../pipeline/child-tasks.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { packSetName } from '../../store/places.ts';
import { type Fault, mutant } from '../harness/mutant.ts';
import {
  newTestVault,
  ownerSecrets,
  perform,
  pointName,
  siteSecrets,
  stagingTask,
  type TestVault,
  Workbench,
} from './fixture.ts';

const time = '2026-11-23T03:00:00.000Z';
const bench = new Workbench('seedship-verification');
let vault: TestVault;
let source: string;

/** One bit, after zstd and before the cipher. */
const FLIPPED: Fault = ['format/frame.js', /(?=const packing = squeezed)/, 'this.#squeezed[squeezed >> 1] ^= 4;'];
const UNOPENED: Fault = ['format/pack.js', /const opened = opener\.open\([^;]+;/, 'const opened = plain;'];
const AFTERWARDS: Fault = [
  'pipeline/drive-fill.js',
  'await this.#readBack();',
  `await this.#readBack();
   const fs = await import('node:fs');
   const file = this.#parts.task.drive.path + '/' + objectPlace(1, epoch.number);
   const bytes = fs.readFileSync(file);
   bytes[1000] ^= 4;
   fs.chmodSync(file, 0o600);
   fs.writeFileSync(file, bytes);`,
];

beforeAll(async () => {
  vault = await newTestVault();
  source = bench.makeTree('source', { files: 40, bytes: 4_000_000 });
  await preparePlace(bench.at('staging'));
}, 60_000);
afterAll(() => bench.close());

async function staging(name: string): Promise<BackupTask> {
  await preparePlace(bench.at(name));
  const [to, stateDirectory] = [
    { kind: 'staging', place: { url: `file://${bench.at(name)}` } },
    bench.at(`of-${name}`),
  ];
  return stagingTask(vault, bench, source, { to: to as BackupTask['to'], stateDirectory, packBytesMax: 1 * MIB });
}

function through(run: typeof runChild, secrets: ChildSecrets) {
  return { run, options: { secrets, onProgress: () => {}, signal: new AbortController().signal, log: () => {} } };
}

const statements = (place: string): string[] =>
  ['points', 'pack-sets', 'receipts'].filter(
    (name) => existsSync(bench.at(place, name)) && readdirSync(bench.at(place, name)).length > 0,
  );

describe('one bit flipped between compression and sealing', () => {
  test('ends the backup: nothing is stated', async () => {
    const { run, options } = through(await mutant(bench.at('flipped'), FLIPPED), vault.secrets);
    await expect(run(await staging('flipped-staging'), options)).rejects.toThrow(/frame 0/);
    expect(statements('flipped-staging')).toEqual([]);
  }, 60_000);

  test('would go into the vault unseen, were frames not opened again', async () => {
    const { run, options } = through(await mutant(bench.at('blind'), FLIPPED, UNOPENED), vault.secrets);
    const staged = await run(await staging('blind-staging'), options);
    expect(statements('blind-staging')).toEqual(['points', 'pack-sets', 'receipts']);
    const task: RestoreTask = {
      ...{ kind: 'restore', time, vaultId: vault.vaultId, vault: { url: `file://${bench.at('blind-staging')}` } },
      ...{ point: pointName(staged), paths: [], include: [], to: bench.at('back'), conflict: 'skip' },
      stateDirectory: bench.at('owner-state'),
    };
    const { mismatchCount } = await perform(task, ownerSecrets(vault));
    expect(mismatchCount).toBeGreaterThan(0);
  }, 60_000);
});

describe('one object of a drive that changes after it was read back', () => {
  test('is refused at the dock by number; all others land', async () => {
    const staged = await perform(await staging('staging'), vault.secrets);
    const landing = bench.at('landing');
    await preparePlace(landing);
    mkdirSync(path.join(landing, 'pack-sets'), { recursive: true });
    const set = packSetName(staged.packSet);
    writeFileSync(path.join(landing, set), readFileSync(bench.at('staging', set)));
    mkdirSync(bench.at('drive'));
    const drive: DriveAt = { path: bench.at('drive'), id: '7F3A000000000001' };
    const datacenter = await newAgeIdentity();
    const { run, options } = through(
      await mutant(bench.at('afterwards'), AFTERWARDS),
      siteSecrets(vault, 'copy.attic'),
    );
    const about = { kind: 'transfer', run: 'seed-run', time, vaultId: vault.vaultId, packSet: staged.packSet } as const;
    const prepared = await run(
      {
        ...about,
        ...{ mode: 'prepare', step: 'prepare', job: 'hq-2026', from: { url: `file://${bench.at('staging')}` }, drive },
        ...{ ranges: [{ from: 0, to: staged.objects }], datacenterRecipient: datacenter.recipient },
        ...{ keysTo: [{ url: `file://${landing}` }], stateDirectory: bench.at('copy-state') },
      },
      options,
    );
    const { manifest = staged.packSet, epoch = 0 } = prepared;
    const taken = await perform(
      {
        ...about,
        ...{ mode: 'ingest', step: 'ingest', job: 'hq-2026', drive, manifest, epoch },
        ...{ to: { url: `file://${landing}` }, stateDirectory: bench.at('dock-state') },
      },
      { ...siteSecrets(vault, 'dock.eu-west.bay1'), datacenterIdentity: datacenter.identity },
    );
    expect(taken).toMatchObject({ objects: staged.objects - 1, damaged: 1, missingRanges: [{ from: 1, to: 2 }] });
  }, 60_000);
});
