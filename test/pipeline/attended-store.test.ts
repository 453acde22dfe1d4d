import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB, SECOND } from '../../domain/units.ts';
import type { BackupResult, ChildSecrets, Progress, SendTask } from '../../pipeline/child-tasks.ts';
import { prepareBucket } from '../../store/bucket.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { startLine } from '../harness/line.ts';
import { startTestS3, type TestS3 } from '../harness/s3.ts';
import { newTestVault, perform, stagingTask, type TestVault, Workbench } from './fixture.ts';

const VAULT = 's3://attended-vault/main';
const bench = new Workbench('attended');
let s3: TestS3;
let vault: TestVault;
let staged: BackupResult;
beforeAll(async () => {
  s3 = await startTestS3();
  await prepareBucket({ kind: 'vault', url: VAULT, access: s3.access('owner'), identities: { machine: ['machine'] } });
  vault = await newTestVault();
  const source = bench.makeTree('source', { files: 3, bytes: 5 * MIB });
  await preparePlace(bench.at('staging'));
  staged = await perform(stagingTask(vault, bench, source), vault.secrets);
}, 60_000);
afterAll(async () => {
  await s3?.stop();
  bench.close();
});

const send = (step: string): SendTask => ({
  ...{ kind: 'transfer', mode: 'send', run: 'line', step, time: '2026-11-23T03:00:00.000Z', vaultId: vault.vaultId },
  ...{ what: 'objects', packSet: staged.packSet, from: { url: `file://${bench.at('staging')}` } },
  to: { url: VAULT, access: 'storage' },
});

const over = (endpoint: string): ChildSecrets => ({
  ...vault.secrets,
  access: { storage: { ...s3.access('owner'), endpoint } },
});

describe('a bucket at the far end of a line', () => {
  test('tells of its looks while one object takes its time, so that it is not held for standing still', async () => {
    const line = await startLine(s3.server.endpoint, { bytesPerSecond: 0.8 * MIB });
    const told: { at: number; progress: Progress }[] = [];
    try {
      await perform(send('slowly'), over(line.endpoint), {
        onProgress: (progress) => told.push({ at: performance.now(), progress }),
      });
    } finally {
      await line.stop();
    }
    expect(told.at(-1)?.progress.waits).toBeGreaterThan(1);
    const gaps = told.slice(1).map(({ at }, index) => at - (told[index]?.at ?? 0));
    expect(Math.max(...gaps)).toBeLessThan(4 * SECOND);
  }, 60_000);

  test('is trusted under an authority of one’s own when the worker was told of its certificate', async () => {
    const line = await startLine(s3.server.endpoint, { tls: true });
    try {
      await expect(perform(send('distrusted'), over(line.endpoint))).rejects.toMatchObject({ code: 'Unreachable' });
      const result = await perform(send('trusted'), over(line.endpoint), { extraCa: line.certificate });
      expect(result).toMatchObject({ kind: 'transfer', missing: 0, damaged: 0 });
    } finally {
      await line.stop();
    }
  }, 60_000);
});
