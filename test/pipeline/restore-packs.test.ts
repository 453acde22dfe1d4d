import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, expect, jest, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { RestorePool } from '../../pipeline/restore-pool.ts';
import { runRestore } from '../../pipeline/restore-run.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { differences, newTestVault, ownerSecrets, perform, pointName, stagingTask, Workbench } from './fixture.ts';

const THREADS = 3;
const bench = new Workbench('R-packs');
afterAll(() => bench.close());

test('threads that have no pack of their own help with one that is left, and what they write is exact', async () => {
  const vault = await newTestVault();
  const source = bench.at('source');
  mkdirSync(source);
  writeFileSync(`${source}/big`, randomBytes(20 * MIB));
  for (let number = 0; number < 200; number += 1) writeFileSync(`${source}/small-${number}`, randomBytes(40_000));
  await preparePlace(bench.at('staging'));
  const point = pointName(await perform(stagingTask(vault, bench, source, { threads: 1 }), vault.secrets));
  const send = jest.spyOn(RestorePool.prototype, 'send');

  const restored = await runRestore(
    {
      kind: 'restore',
      time: '2026-11-23T03:00:00.000Z',
      vaultId: vault.vaultId,
      vault: { url: `file://${bench.at('staging')}` },
      point,
      paths: [],
      include: [],
      to: bench.at('target'),
      conflict: 'skip',
      stateDirectory: bench.at('owner-state'),
      threads: THREADS,
    },
    ownerSecrets(vault),
    () => {},
  );

  const threads = new Set(send.mock.calls.map(([thread]) => thread));
  expect([...threads].toSorted()).toEqual([0, 1, 2]);
  expect(restored).toMatchObject({ files: 201, mismatchCount: 0 });
  expect(differences(source, `${bench.at('target')}${source}`)).toBe('');
});
