/**
 * The journey on real parts, as the workers do it: staging, two drives, a parcel, the dock, the vault;
 * one incremental backup while the drives travel. Judged by the presence record the vault worker signs.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { JobRecord, PresenceRecord } from '../../domain/record.ts';
import { backupId } from '../../domain/seeding-job.ts';
import { MIB } from '../../domain/units.ts';
import { readRecord } from '../../store/records.ts';
import { differences, presence, restoreNewest } from '../harness/restoring.ts';
import { HOST, MACHINE, REGION, SmallSystem, VAULT } from '../harness/small-system.ts';

const DRIVES = ['7F3A00000000C0DE', '7F3A00000000C0DF'];
let system: SmallSystem;

beforeAll(async () => {
  system = await SmallSystem.start();
  mkdirSync(system.at('home/docs'), { recursive: true });
  for (let n = 0; n < 40; n += 1) writeFileSync(system.at(`home/docs/${n}.txt`), `file ${n}\n`.repeat(500 * n));
  writeFileSync(system.at('home/big'), randomBytes(150 * MIB)); // three packs: one for the small drive
  await system.protect('files', [system.at('home')]);
}, 120_000);
afterAll(async () => {
  await system?.stop();
}, 60_000);

describe('a journey', () => {
  test('carries a folder to a restorable point by drives, and keeps it protected on the way', async () => {
    system.startWorkers();
    await system.startJob('hq-1', 'files');
    const staged = await system.until('hq-1', ({ stage }) => stage === 'Preparing', 120_000);
    expect(staged.staged?.files).toBe(41);

    for (const drive of DRIVES) {
      await system.attachDirectory(drive);
      const capacityBytes = drive === DRIVES[0] ? 70 * MIB : 1e12;
      await system.say('hq-1', 'prepareDrive', { drive, host: HOST, capacityBytes, by: 'test' });
      await system.until('hq-1', ({ drives }) => drives.some(({ id, state }) => id === drive && state === 'Prepared'));
    }
    await system.until('hq-1', ({ stage }) => stage === 'Shipping');
    await system.say('hq-1', 'ship', { carrier: 'ups', tracking: '1Z999AA10123456784', by: 'test' });

    writeFileSync(system.at('home/docs/new.txt'), 'while the seed travels');
    const backup = system.client.workflow.getHandle(backupId(VAULT, MACHINE, 'files'));
    await system.client.workflow.start('backup', {
      taskQueue: 'control',
      workflowId: backup.workflowId,
      args: [{ vault: VAULT, machine: MACHINE, protection: 'files', heartbeatMs: 5000 }],
    });
    const { point } = await backup.result();
    expect(point).toMatchObject({ kind: 'incremental', sequence: 2 });

    await system.say('hq-1', 'receive', { drives: DRIVES, by: 'desk' });
    for (const drive of DRIVES) await system.say('hq-1', 'attach', { drive, region: REGION, host: HOST, by: 'desk' });
    await system.until('hq-1', ({ stage }) => stage === 'Protected', 120_000);

    let seen: PresenceRecord | undefined;
    for (let n = 0; n < 100 && !seen?.points.every((one) => one.restorable); n += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      seen = await presence(system);
    }
    expect(seen?.points.map((one) => [one.kind, one.restorable, one.missing])).toEqual([
      ['initial', true, 0],
      ['incremental', true, 0],
    ]);
    const trust = { vaultId: system.vaultId, ownerPublic: system.owner.publicKey };
    const job = await readRecord<JobRecord>(system.vault, { kind: 'job', id: 'hq-1' }, trust);
    expect(job?.body.imports?.[0]?.drives.map((one) => one.drive).sort()).toEqual(DRIVES);
  }, 400_000);

  test('comes back exact on the owner’s side, with staging, drives and machine state gone', async () => {
    renameSync(system.at('home'), system.at('kept'));
    for (const gone of ['staging', 'drives', 'state/catalog', 'state/spool'])
      rmSync(system.at(gone), { recursive: true, force: true });
    const done = await restoreNewest(system, system.at('back'));
    expect([done.files, done.skippedFiles]).toEqual([42, 0]);
    expect(await differences(system.at('kept'), system.at('back'), system.at('home'))).toEqual([]);
  }, 120_000);
});
