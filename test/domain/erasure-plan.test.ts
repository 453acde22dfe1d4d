import { describe, expect, test } from '@jest/globals';
import { planErasure } from '../../domain/erasure-plan.ts';
import { jobStory, type SignedRevision } from '../../domain/job-story.ts';
import type { Erased, JobRecord } from '../../domain/record.ts';
import type { DriveStatus, JourneyStage } from '../../domain/seeding-job.ts';
import { digest, JOB } from '../workflows/fake-sites.ts';

const drive = '7F3A00000000C0DE';
const at = '2026-11-23T03:00:00.000Z';

function record(stage: JourneyStage, state: DriveStatus['state'], more: Partial<DriveStatus> = {}): JobRecord {
  const one: DriveStatus = {
    ...{ id: drive, state, host: 'copy1', capacityBytes: 1, ranges: [], objects: 1, bytes: 1, serial: 'WD-1' },
    ...more,
  };
  const about = { sequence: 1, run: 'r', stage, importJob: 'Shipping', parcels: [], attention: [], acts: [] } as const;
  return { at, by: 'ann', name: 'hq-2026', order: JOB, state: { ...about, drives: [one] } };
}

describe('a drive', () => {
  test.each<[JourneyStage, DriveStatus['state']]>([
    ['Preparing', 'Prepared'],
    ['Shipping', 'Shipped'],
    ['Ingesting', 'Completed'],
    ['Copying', 'CompletedMoreInfo'],
  ])('of a job that is %s is not erased while it is %s', (stage, state) => {
    expect(planErasure(record(stage, state), drive).refused).toContain('may still be needed');
  });

  test.each<[JourneyStage, DriveStatus['state']]>([
    ['Returning', 'Completed'],
    ['Protected', 'ShippedBack'],
    ['Cancelled', 'Shipped'],
    ['Shipping', 'Lost'],
    ['Ingesting', 'Extra'],
  ])('of a job that is %s is erased when it is %s, with its keys in every place', (stage, state) => {
    const plan = planErasure(record(stage, state, { landing: 'oldbox' }), drive);
    expect(plan).toEqual({
      ...{ landings: ['oldbox', 'dropbox'], staging: 'shelf', region: 'eu-west', machine: 'hq', serial: 'WD-1' },
    });
  });

  test('of another job, or of none, is not erased for this one', () => {
    expect(planErasure(record('Protected', 'Completed'), '11AA00000000C0DE').refused).toContain('has no drive');
    const foreign = record('Protected', 'Extra', { capacityBytes: 0, ofJob: 'other' });
    expect(planErasure(foreign, drive).refused).toBe('it is of the job other');
  });

  test('that was erased stands in the story of the job, with the serial number it had then', () => {
    const erased: Erased = {
      ...{ at, by: 'ann', run: 'e1', drive, host: 'copy1', serial: 'WD-2', sentSerial: 'WD-1', full: false },
      ...{ bytes: 1 << 27, unwritable: 65536, stagedKeysGone: false },
    };
    const bodies = [
      record('Protected', 'ShippedBack'),
      { ...record('Protected', 'ShippedBack'), erased: [erased] },
      { ...record('Protected', 'ShippedBack'), erased: [{ ...erased, stagedKeysGone: true }] },
    ];
    const revisions = bodies.map((body, number): SignedRevision => {
      return { revision: number + 1, digest: digest(number), signer: { role: 'site', id: 'vault.main' }, body };
    });
    expect(jobStory(revisions).flatMap((line) => (line.drive === drive ? line.what : []))).toEqual([
      'drive SEEDSHIP-7F3A (WD-2, sent as WD-1) erased at copy1: keys deleted in landing and vault; its ends, ' +
        '128.0 MiB, overwritten, 64.0 KiB of it could not be',
      'the keys of drive SEEDSHIP-7F3A are gone from staging too',
    ]);
  });
});
