import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { HostValues } from '../../activities/open-site.ts';
import { type RestoreOrder, restoring } from '../../activities/restore-files.ts';
import type { RestoredFiles } from '../../domain/receipt.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { openState } from '../../store/machine-state.ts';
import {
  newTestVault,
  ownerSecrets,
  perform,
  pointName,
  stagingTask,
  type TestVault,
  Workbench,
} from '../pipeline/fixture.ts';

const bench = new Workbench('restore-files');
let vault: TestVault;
let point: string;
let source: string;
beforeAll(async () => {
  vault = await newTestVault();
  source = bench.makeDirectory('source');
  for (let number = 0; number < 40; number++) writeFileSync(path.join(source, `${number}`), `file ${number}`);
  await preparePlace(bench.at('staging')); // whole by itself: laid out like a vault
  point = pointName(await perform(stagingTask(vault, bench, source), vault.secrets));
});
afterAll(() => bench.close());

async function restore(run: string): Promise<RestoredFiles> {
  const values: HostValues = {
    ...{ stateDirectory: bench.at('owner'), host: 'bench', places: {}, accessTo: () => undefined, threads: 1 },
    ...{ bytesPerSecondMax: undefined, packBytesMax: undefined, spoolBytesMax: 1, stallMs: 30_000 },
  };
  const to = bench.at('back');
  const order: RestoreOrder = {
    vault: 'test',
    points: [{ point, paths: [] }],
    include: [],
    to,
    conflict: 'overwrite',
  };
  const request = await openState(values.stateDirectory).writeRequest(Buffer.from(JSON.stringify(order)));
  const { owner } = ownerSecrets(vault);
  if (!owner) throw new Error('a vault has an owner');
  const unlocked = { name: 'test', id: vault.vaultId, url: `file://${bench.at('staging')}`, secrets: owner };
  const { restoreFiles } = restoring(values, unlocked);
  return new MockActivityEnvironment().run(() => restoreFiles({ vault: 'test', run, step: 'restore', request }));
}

describe('a restore', () => {
  test('that was done is not done again by another attempt of its run, and is by another run', async () => {
    const first = await restore('restore-r1/one');
    expect(first.files).toBe(40);
    const restored = path.join(bench.at('back'), source);
    expect(existsSync(restored)).toBe(true);
    rmSync(bench.at('back'), { recursive: true });
    mkdirSync(bench.at('back'));
    expect(await restore('restore-r1/one')).toEqual(first);
    expect(existsSync(restored)).toBe(false);
    const { files } = await restore('restore-r1/two');
    expect([files, existsSync(restored)]).toEqual([first.files, true]);
  });
});
