/** The columns of `job list`, and what a step that fails looks like. */
import { expect, test } from '@jest/globals';
import { jobLines, jobRow, ROW_HEAD } from '../../client/job-view.ts';
import { failingLine, NOTHING } from '../../client/under-way.ts';
import type { JobStatus } from '../../domain/seeding-job.ts';
import { JOB } from '../workflows/fake-sites.ts';

const job: JobStatus = {
  ...{ workflowId: 'seed/safe/hq-2026', run: 'run', request: JOB, stage: 'Preparing', state: 'Running' },
  ...{ importJob: 'Creating', reached: [], free: [], drives: [], parcels: [], attention: [] },
  waitsFor: { what: 'drives are written', who: 'nobody', command: '' },
};
const failing = [
  {
    workflowId: 'seed/safe/hq-2026/prepare/7F3A00000000C0DE',
    ...({ step: 'prepareDrive', attempt: 4, code: 'Unreachable', message: 'the store does not answer' } as const),
  },
];
const cell = (row: readonly string[], title: (typeof ROW_HEAD)[number]) => row[ROW_HEAD.indexOf(title)];

test('a row says how long the slowest step still takes, where that can be told', () => {
  const progress = [{ step: 'prepare', bytesDone: 41, bytesTotal: 100, objectsDone: 1 }];
  const row = jobRow(job, { progress, failing: [], etaMs: 19_560_000 });
  expect([cell(row, 'DONE'), cell(row, 'ETA'), cell(row, 'NEEDS')]).toEqual(['41%', '5h 26m', 'drives are written']);
  expect(cell(jobRow(job, NOTHING), 'ETA')).toBe('-');
});

test('a step that is tried again stands before what the job waits for', () => {
  const says = 'prepare drive 7F3A is tried again (attempt 4): Unreachable: the store does not answer';
  expect(failing.map(failingLine)).toEqual([says]);
  expect(cell(jobRow(job, { progress: [], failing }), 'NEEDS')).toBe(`${says} · drives are written`);
});

test('the page names the hosts that may prepare drives, where the order does', () => {
  const hosts = (request: JobStatus['request']) =>
    jobLines({ ...job, request }, NOTHING, undefined).filter((line) => line.startsWith('copy hosts'));
  expect(hosts(JOB)).toEqual([]);
  expect(hosts({ ...JOB, copyHosts: ['attic', 'copy2'] })).toEqual([expect.stringMatching(/ attic, copy2$/)]);
});

test('a drive whose disk became worse while it was filled is warned of, and one that is as good as it was is not', () => {
  const shape = { state: 'Prepared', host: 'copy1', capacityBytes: 8e12, ranges: [], objects: 3, bytes: 9e6 } as const;
  const drives = [
    { ...shape, id: '7F3A00000000C0DE', disk: { writtenPerSecond: 142e6, pending: 4 } },
    { ...shape, id: '9B1C00000000C0DE', disk: { writtenPerSecond: 142e6 } },
  ];
  expect(jobLines({ ...job, drives }, NOTHING, undefined).filter((line) => line.startsWith('Warning'))).toEqual([
    'Warning: the disk of SEEDSHIP-7F3A became worse: it has 4 more sectors that it could not read (SMART)',
  ]);
});
