import { describe, expect, test } from '@jest/globals';
import { doubt, planCleanup } from '../../domain/leftovers.ts';
import type { Digest } from '../../domain/names.ts';
import type { JobRecord } from '../../domain/record.ts';
import type { JourneyStage } from '../../domain/seeding-job.ts';

const [OURS, THEIRS] = ['a'.repeat(64) as Digest, 'b'.repeat(64) as Digest];

interface Told {
  readonly stage: JourneyStage;
  readonly packSet?: Digest;
  readonly staging?: string;
  readonly landing?: string;
  readonly machine?: string;
}

function job(
  name: string,
  { stage, packSet, staging = 'shelf', landing = 'dropbox', machine = 'hq' }: Told,
): JobRecord {
  const stamp = { at: '2026-11-20T02:00:00Z', by: 'vault.main' };
  const order = { vault: 'main', machine, protection: 'files', job: name, region: 'eu-west', staging, landing };
  const schedule = { schedule: 'daily 02:00', timezone: 'UTC', returns: false, startedBy: 'hq', heartbeatMs: 5000 };
  const state = { sequence: 1, run: 'r', stage, importJob: 'Completed', parcels: [], attention: [], acts: [] } as const;
  const entry = { ...stamp, run: 'r', step: 's', region: 'eu-west', address: [], landing, packSet: OURS, drives: [] };
  return {
    ...{ ...stamp, name, order: { ...order, ...schedule }, imports: [entry] },
    state: { ...state, drives: [], ...(packSet && { packSet }) },
  };
}

const done = job('done', { stage: 'Protected', packSet: OURS });

describe('what may go after a job', () => {
  test.each<JourneyStage>(['Staging', 'Preparing', 'Shipping', 'Ingesting', 'Copying', 'Cancelled'])(
    'is nothing while it is %s',
    (stage) => {
      const plan = planCleanup(job('j', { stage, packSet: OURS }), []);
      expect([plan.packSet, plan.refused]).toEqual([undefined, `the job is ${stage}: its point is not complete yet`]);
    },
  );

  test.each<JourneyStage>(['Returning', 'Protected', 'Closed'])('is its set, in its places, once it is %s', (stage) => {
    const plan = planCleanup(job('j', { stage, packSet: OURS }), []);
    expect(plan).toMatchObject({ packSet: OURS, landings: ['dropbox'], staging: 'shelf', keep: [] });
    expect(plan.refused).toBeUndefined();
  });

  test('is not what a job under way shares with it', () => {
    const other = { stage: 'Ingesting', packSet: THEIRS, machine: 'lab' } as const;
    expect(planCleanup(done, [job('other', other)]).keep).toEqual([THEIRS]);
    expect(planCleanup(done, [job('other', { ...other, landing: 'elsewhere' })]).keep).toEqual([]);
    expect(planCleanup(done, [job('other', { ...other, stage: 'Protected' })]).keep).toEqual([]);
    const beside = { ...other, machine: 'hq', landing: 'elsewhere' };
    expect(planCleanup(done, [job('other', beside)]).keep).toEqual([THEIRS]);
  });

  test('is nothing while another job is being staged in the same place, whose packs nobody knows yet', () => {
    const plan = planCleanup(done, [job('next', { stage: 'Staging' })]);
    expect([plan.packSet, plan.refused]).toEqual([undefined, 'the job next is still being staged in the same place']);
    expect(planCleanup(done, [job('next', { stage: 'Staging', staging: 'attic' })]).packSet).toBe(OURS);
  });
});

test('a proof does only when every object was right, and there were some', () => {
  const whole = { objects: 9, bytes: 9, missing: 0, damaged: 0 };
  expect(doubt(whole)).toBeUndefined();
  expect(doubt({ ...whole, damaged: 1 })).toBe(
    'the vault lacks 0 objects of the seed, and 1 are not what they should be',
  );
  expect(doubt({ ...whole, missing: 1 })).toContain('lacks 1');
  expect(doubt({ ...whole, objects: 0 })).toBeDefined();
});
