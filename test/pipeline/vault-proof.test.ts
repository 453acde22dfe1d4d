import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import type { BackupResult, ChildSecrets, ProveTask } from '../../pipeline/child-tasks.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { newTestVault, packsIn, perform, siteSecrets, stagingTask, type TestVault, Workbench } from './fixture.ts';

let vault: TestVault;
let staged: BackupResult;
let site: ChildSecrets;
const bench = new Workbench('J2-proof');
let run = 0;

beforeAll(async () => {
  vault = await newTestVault();
  site = siteSecrets(vault, 'vault.main');
  await preparePlace(bench.at('vault'));
  const source = bench.makeTree('source', { files: 60, bytes: 6_000_000 });
  const task = stagingTask(vault, bench, source, { packBytesMax: 1 * MIB });
  staged = await perform(
    { ...task, to: { kind: 'staging', place: { url: `file://${bench.at('vault')}` } } },
    vault.secrets,
  );
});
afterAll(() => bench.close());
beforeEach(() => {
  run += 1;
});

function task(): ProveTask {
  return {
    ...{ kind: 'transfer', mode: 'prove', run: `cleanup-${run}`, step: 'proof', time: '2026-11-23T03:00:00.000Z' },
    ...{ vaultId: vault.vaultId, packSet: staged.packSet, from: { url: `file://${bench.at('vault')}` } },
  };
}

/** Some pack's file, spoiled for the time of a test. */
async function spoiled(spoil: (file: string) => void, work: () => Promise<void>): Promise<void> {
  const [name = ''] = packsIn(bench.at('vault')).keys();
  const found = readdirSync(bench.at('vault', 'packs'), { recursive: true, encoding: 'utf8' });
  const file = bench.at('vault', 'packs', found.find((one) => one.endsWith(path.basename(name))) ?? '');
  const before = readFileSync(file);
  spoil(file);
  try {
    await work();
  } finally {
    rmSync(file, { force: true });
    writeFileSync(file, before);
  }
}

function flipBit(file: string): void {
  const bytes = readFileSync(file);
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  rmSync(file);
  writeFileSync(file, bytes);
}

describe('a proof', () => {
  test('counts every object of the set, each read and hashed, and is signed', async () => {
    const proof = await perform(task(), site);
    expect(proof).toMatchObject({ objects: staged.objects, missing: 0, damaged: 0, missingRanges: [] });
    expect(proof.bytes).toBe(staged.sealedBytes);
    expect(readdirSync(bench.at('vault', 'receipts', `cleanup-${run}`))).toEqual(['proof']);
  });

  test.each<[string, (file: string) => void, object]>([
    ['one flipped bit', flipBit, { missing: 0, damaged: 1 }],
    ['a cut end', (file) => truncateSync(file, 1000), { missing: 0, damaged: 1 }],
    ['a pack gone', (file) => rmSync(file), { missing: 1, damaged: 0 }],
  ])('does not hold with %s', async (_, spoil, loss) => {
    await spoiled(spoil, async () => {
      expect(await perform(task(), site)).toMatchObject({ objects: staged.objects - 1, ...loss });
    });
  });

  test('of one run says what it said the first time; another run looks again', async () => {
    const first = task();
    const said = await perform(first, site);
    await spoiled(flipBit, async () => {
      expect(await perform(first, site)).toEqual(said);
      run += 1;
      expect(await perform(task(), site)).toMatchObject({ damaged: 1 });
    });
  });
});
