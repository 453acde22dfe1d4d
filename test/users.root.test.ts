/**
 * Needs root: the journey with each kind of worker as a user of its own, with keys of its own, and a
 * drive that changes hands with its parcel. What one may not read is asked past our code, as that user.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { PresenceRecord } from '../domain/record.ts';
import { MIB } from '../domain/units.ts';
import { readRecord } from '../store/records.ts';
import { asUser, HOST, handOver, KINDS, type Kind, REGION, SmallSystem, VAULT } from './harness/small-system.ts';

const UIDS = { control: 61_001, source: 61_002, copy: 61_003, dock: 61_004, vault: 61_005 } as const;
const DRIVE = '7F3A00000000C0DE';
let system: SmallSystem;

beforeAll(async () => {
  system = await SmallSystem.start({}, UIDS);
  mkdirSync(system.at('home'));
  writeFileSync(system.at('home/secret'), randomBytes(3 * MIB));
  handOver(system.at('home'), UIDS.source);
  await system.protect('files', [system.at('home')]);
}, 120_000);
afterAll(() => system?.stop(), 60_000);

/** Which kinds of worker, as the users they are, may read something below a folder. */
function readers(folder: string): Kind[] {
  return KINDS.filter((kind) => {
    const [program = '', ...words] = asUser(kind, UIDS[kind]);
    const looked = spawnSync(program, [...words, 'find', folder, '-type', 'f', '-readable'], { encoding: 'utf8' });
    return looked.stdout.trim() !== '';
  });
}

async function restorable(): Promise<boolean[]> {
  const trust = { vaultId: system.vaultId, ownerPublic: system.owner.publicKey };
  const record = await readRecord<PresenceRecord>(system.vault, { kind: 'presence', id: VAULT }, trust);
  return record?.body.points.map((point) => point.restorable) ?? [];
}

test('each site does its part as a user of its own, who cannot open the others’ places', async () => {
  system.startWorkers();
  await system.startJob('hq-1', 'files');
  await system.until('hq-1', ({ stage }) => stage === 'Preparing', 60_000);
  await system.attachDirectory(DRIVE);
  await system.say('hq-1', 'prepareDrive', { drive: DRIVE, host: HOST, capacityBytes: 1e12, by: 'test' });
  await system.until('hq-1', ({ stage }) => stage === 'Shipping');
  await system.say('hq-1', 'ship', { carrier: 'ups', tracking: '1Z999AA10123456784', by: 'test' });

  const drive = system.at('drives', DRIVE);
  expect(readers(system.at('staging'))).toEqual(['source', 'copy']);
  expect(readers(drive)).toEqual(['copy']);
  handOver(drive, UIDS.dock);
  await system.say('hq-1', 'receive', { drives: [DRIVE], by: 'desk' });
  await system.say('hq-1', 'attach', { drive: DRIVE, region: REGION, host: HOST, by: 'desk' });
  await system.until('hq-1', ({ stage }) => stage === 'Protected', 60_000);
  for (let tries = 0; tries < 100 && !(await restorable())[0]; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 200));
  expect(await restorable()).toEqual([true]);

  expect(readers(drive)).toEqual(['dock']);
  expect(readers(system.at('home'))).toEqual(['source']);
  for (const kind of KINDS) expect([kind, readers(system.stateOf(kind))]).toEqual([kind, [kind]]);
  expect(readers(system.at('state'))).toEqual([]); // the operator's
}, 240_000);
