/** Lines of a job's story that tell how a drive was filled. */
import { expect, test } from '@jest/globals';
import { jobStory, type SignedRevision } from '../../domain/job-story.ts';
import type { Digest } from '../../domain/names.ts';
import type { JobRecord } from '../../domain/record.ts';
import type { DriveStatus } from '../../domain/seeding-job.ts';
import { JOB } from '../workflows/fake-sites.ts';

const at = '2026-11-23T08:00:00.000Z';
const id = '7F3A00000000C0DE';

function record(sequence: number, more: Partial<DriveStatus>): JobRecord {
  const drive = { id, host: 'copy1', capacityBytes: 8e12, ranges: [], objects: 3, bytes: 3_000_000 };
  return {
    ...{ name: 'hq-2026', at, by: 'vault.main', order: JOB },
    state: {
      ...{ run: 'r', sequence, stage: 'Preparing', importJob: 'Creating', parcels: [], attention: [], acts: [] },
      drives: [{ state: 'Specified', ...drive, ...more }],
    },
  };
}

test('a drive that is prepared says its rates, and in what its disk became worse, once', () => {
  const disk = { writtenPerSecond: 142e6, readPerSecond: 180e6, reallocated: 8 };
  const bodies = [
    record(1, {}),
    record(2, { state: 'Prepared', disk }),
    record(3, { state: 'Prepared', disk, registered: true }),
    record(4, { state: 'Shipped', disk }),
  ];
  const revisions = bodies.map((body, number): SignedRevision => {
    return { revision: number + 1, digest: 'a'.repeat(64) as Digest, signer: { role: 'site', id: 'vault.main' }, body };
  });
  const [, ...told] = jobStory(revisions).filter((line) => line.drive === id);
  expect(told.map(({ what }) => what)).toEqual([
    'drive SEEDSHIP-7F3A written at 142.0 MB/s, read back at 180.0 MB/s',
    'drive SEEDSHIP-7F3A became worse while it was filled: it has 8 more replaced sectors (SMART)',
    'drive SEEDSHIP-7F3A Shipped at copy1, 3 objects, 2.9 MiB',
  ]);
});
