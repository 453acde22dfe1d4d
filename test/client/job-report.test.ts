import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { checkReport, type JobReport, makeReport, readSigned } from '../../client/job-report.ts';
import { reportIn, reportPage } from '../../client/report-page.ts';
import type { Attention } from '../../domain/attention.ts';
import type { Digest } from '../../domain/names.ts';
import type { JobRecord, JobState } from '../../domain/record.ts';
import type { DriveStatus, SeedingRequest } from '../../domain/seeding-job.ts';
import { signActRequest } from '../../format/act-request.ts';
import { signCopyLog } from '../../format/copy-log.ts';
import { digestOf } from '../../format/digest.ts';
import { deriveOwner } from '../../format/key-tree.ts';
import { digestOfText, openReportSeal, sealReport } from '../../format/report-seal.ts';
import { certify, newSigningSeed, publicKeyOf, signBody, signerFrom } from '../../format/signature.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { type ObjectStore, openStore } from '../../store/object-store.ts';
import { copyLogName, recordName, requestName } from '../../store/places.ts';
import { appendRecord } from '../../store/records.ts';
import { byMachine, bySite, signer, trust } from '../format/parties.ts';

const JOB = 'hq-2026';
const [GOOD, BAD, GONE] = ['7F3A00000000C0DE', '9B1C00000000C0DE', '11AA00000000C0DE'] as const;
const folder = mkdtempSync(path.join(tmpdir(), 'seedship-report-'));
const byVault = { signer: signer('site', 'vault.main'), trust };
const byOperator = { signer: signer('operator', 'ann'), trust };
let store: ObjectStore;
let report: JobReport;
let page: string;

beforeAll(async () => {
  await preparePlace(folder);
  store = openStore(pathToFileURL(folder).href);
  await tellJourney();
  const source = { store, vaultName: 'main', job: JOB, hand: byOperator };
  const signed = await readSigned(source);
  report = makeReport(source, signed, 'data');
  page = reportPage(makeReport(source, signed, 'page'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const day = (number: number) => `2026-11-${String(number).padStart(2, '0')}T08:00:00.000Z`;

function drive(id: string, state: DriveStatus['state'], more: Partial<DriveStatus> = {}): DriveStatus {
  const shape = { capacityBytes: 8e12, ranges: [{ from: 0, to: 3 }], objects: 3, bytes: 3_000_000 };
  return { id, state, host: 'copy1', ...shape, ...more };
}

/** Two revisions by people's computers, four by the vault worker; one drive is missing, one is damaged. */
async function tellJourney(): Promise<void> {
  const order: SeedingRequest = {
    ...{ vault: 'main', machine: 'hq', protection: 'files', job: JOB, region: 'eu-west', staging: 's', landing: 'l' },
    ...{ schedule: 'daily 02:00', timezone: 'UTC', returns: false, startedBy: 'hq', heartbeatMs: 5000 },
  };
  const ref = { kind: 'job', id: JOB } as const;
  const first: JobRecord = { name: JOB, order, at: day(1), by: 'hq' };
  await appendRecord(store, ref, first, byMachine);
  const objects = [
    { number: 0, kind: 'pack', name: digestOfText('a'), length: 10, outcome: 'taken' },
    { number: 1, kind: 'pack', name: digestOfText('b'), length: 10, outcome: 'altered' },
    { number: 2, kind: 'tree', name: digestOfText('c'), length: 10, outcome: 'short' },
  ] as const;
  const log = signCopyLog({ drive: BAD, job: JOB, manifest: digestOfText('m'), objects }, bySite);
  const copyLog: Digest = digestOf(log);
  await store.put(copyLogName(copyLog), log);
  const asked = { attention: 'a1', choice: 'send', by: 'ann' };
  const typed = signActRequest({ workflowId: `seed/main/${JOB}`, act: 'resolve', at: day(10), asked }, byOperator);
  const request = digestOf(typed);
  await store.put(requestName(request), typed);
  const missing: Attention = {
    ...{ id: 'a1', code: 'DriveMissing', step: `missing-${GONE}`, drive: GONE, choices: ['wait', 'send', 'abort'] },
    ...{ message: 'a drive was not in its parcel', hint: 'look for it', since: day(9) },
  };
  const parcel = { carrier: 'dhl', tracking: '1Z77', drives: [GOOD, BAD, GONE], shippedAt: day(4), by: 'ann' } as const;
  const states: Omit<JobState, 'sequence' | 'run'>[] = [
    {
      ...{ stage: 'Preparing', importJob: 'Creating', drives: [], parcels: [], attention: [] },
      acts: [{ at: day(1), by: 'hq', act: 'start', says: JOB }],
    },
    {
      ...{ stage: 'Shipping', importJob: 'Shipping', attention: [] },
      drives: [drive(GOOD, 'Shipped'), drive(BAD, 'Shipped'), drive(GONE, 'Shipped')],
      parcels: [{ ...parcel, state: 'Shipped' }],
      acts: [{ at: day(4), by: 'ann', act: 'ship', says: '1Z77' }],
    },
    {
      ...{ stage: 'Shipping', importJob: 'Shipping', attention: [missing] },
      drives: [drive(GOOD, 'Received'), drive(BAD, 'Received'), drive(GONE, 'NeverReceived')],
      parcels: [{ ...parcel, state: 'Received' }],
      acts: [{ at: day(9), by: 'desk', act: 'receive', says: `${GOOD} ${BAD}` }],
    },
    {
      ...{ stage: 'Protected', importJob: 'Closed', attention: [] },
      drives: [
        drive(GOOD, 'Completed', { host: 'bay1', refused: 0 }),
        drive(BAD, 'CompletedMoreInfo', { host: 'bay2', refused: 2, copyLog }),
        drive(GONE, 'Lost', { ranges: [] }),
      ],
      parcels: [{ ...parcel, state: 'Received' }],
      acts: [
        { at: day(10), by: 'ann', act: 'resolve', says: `missing-${GONE}: send`, request, signedBy: 'operator ann' },
      ],
    },
  ];
  for (const [at, state] of states.entries())
    await appendRecord<JobRecord>(
      store,
      ref,
      (before = first) => ({
        ...{ ...before, at: day(2 + at * 3), by: 'vault.main' },
        state: { ...state, run: 'seed-run', sequence: at + 1 },
      }),
      byVault,
    );
}

/** A report whose seal was made anew over what stands in it, as the one who sealed it could. */
function resealed(altered: JobReport, by = byOperator): JobReport {
  const newest = Buffer.from(altered.revisions.at(-1)?.signed ?? '', 'base64');
  const blank = { ...altered, seal: '' };
  const content = digestOfText(JSON.stringify(blank));
  const seal = { job: JOB, revisions: altered.revisions.length, newest: digestOf(newest), content };
  return { ...blank, seal: sealReport(seal, by).toString('base64') };
}

describe('the story of a job', () => {
  test('says who did what, where and when, and whose signature holds for it', () => {
    const told = report.lines.map(({ at, who, where, what }) => `${at.slice(8, 10)} ${who} | ${where} | ${what}`);
    expect(told[0]).toBe('01 hq | machine hq | ordered: files of hq, to eu-west; drives are not sent back');
    expect(told).toContain('04 ann | site vault.main | ship: 1Z77');
    expect(told).toContain(
      '08 vault.main | site vault.main | parcel 1Z77 (dhl) Received: SEEDSHIP-7F3A, SEEDSHIP-9B1C, SEEDSHIP-11AA',
    );
    expect(told).toContain(
      '09 vault.main | site vault.main | attention a1, DriveMissing: a drive was not in its parcel',
    );
    expect(told).toContain(`10 ann | operator ann | resolve: missing-${GONE}: send`); // typed where she is registered
  });

  test('names each drive by a code: what was whole, what was refused, what never came', () => {
    const codes = report.drives.map(({ label, state, code, codes }) => [label, state, code, codes]);
    expect(codes).toEqual([
      ['SEEDSHIP-7F3A', 'Completed', '-', {}],
      [
        'SEEDSHIP-9B1C',
        'CompletedMoreInfo',
        'CompletedWithErrors',
        { Completed: 1, Corrupted: 1, FileUnexpectedEnd: 1 },
      ],
      ['SEEDSHIP-11AA', 'Lost', 'DriveMissing', {}],
    ]);
    expect(report.drives[1]?.refused.map(({ number, code }) => [number, code])).toEqual([
      [1, 'Corrupted'],
      [2, 'FileUnexpectedEnd'],
    ]);
  });
});

describe('a report', () => {
  test('holds where a revision was taken by what nobody of the vault signed, and its story says so', async () => {
    const job = 'hq-noise';
    const at = { kind: 'job', id: job } as const;
    const order: JobRecord = { name: job, order: Object({ protection: 'files', machine: 'hq' }), at: day(1), by: 'hq' };
    await appendRecord(store, at, order, byMachine);
    for (const revision of [2, 3]) await store.put(recordName('job', job, revision), Buffer.from('noise'));
    await appendRecord(store, at, { ...order, at: day(3), by: 'vault.main' }, byVault);
    const signed = await readSigned({ store, job, hand: byOperator });
    const noisy = makeReport({ store, vaultName: 'main', job, hand: byOperator }, signed, 'data');
    expect(checkReport(noisy, trust)).toEqual([]);
    expect(noisy.lines.map(({ revision, where, code }) => [revision, where, code])).toEqual([
      [1, 'machine hq', undefined],
      [3, 'site vault.main', 'Tampered'],
    ]);
    expect(noisy.lines[1]?.what).toMatch('revisions 2 to 3 were passed over');
  });

  test('that nobody touched holds, as data, as a page, and however its JSON is laid out', () => {
    expect(checkReport(report, trust)).toEqual([]);
    expect(checkReport(JSON.parse(JSON.stringify(report, null, 2)), trust)).toEqual([]);
    expect(checkReport(JSON.parse(reportIn(page) ?? ''), trust, page)).toEqual([]);
  });

  test.each<[string, (lines: JobReport['lines']) => JobReport['lines'], string]>([
    ['altered', (lines) => lines.with(3, { ...(lines[3] ?? Object()), who: 'mallory' }), 'line 4 is not what'],
    ['dropped', (lines) => lines.toSpliced(3, 1), 'line 4 is missing'],
    ['added', (lines) => lines.toSpliced(3, 0, { ...(lines[3] ?? Object()), what: 'all well' }), 'line 4 is not what'],
    ['moved', (lines) => [...lines.slice(0, 3), ...lines.slice(3, 5).reverse(), ...lines.slice(5)], 'line 4 is not in'],
    ['cut off', (lines) => lines.slice(0, -2), 'is missing'],
  ])('with a line %s is found out, by line, even if who sealed it did it', (_, change, finding) => {
    const altered = { ...report, lines: change(report.lines) };
    expect(checkReport(altered, trust).join('\n')).toContain('the report is not what was sealed');
    expect(checkReport(resealed(altered), trust)).not.toEqual([]);
    expect(checkReport(resealed(altered), trust).join('\n')).toContain(finding);
  });

  test('with a table that says otherwise than the signed logs is found out', () => {
    const drives = report.drives.map((one) => ({ ...one, code: 'Completed', codes: { Completed: 3 }, refused: [] }));
    expect(checkReport(resealed({ ...report, drives }), trust)).toEqual([
      'drives: not what the signed revisions and copy logs tell',
    ]);
  });

  test('whose last revision was cut off, with all its lines, is found out by the seal', async () => {
    const fewer = await readSigned({ store, job: JOB, hand: byOperator });
    const cut = { ...fewer, revisions: fewer.revisions.slice(0, -1), logs: [] };
    const made = makeReport({ store, vaultName: 'main', job: JOB, hand: byOperator }, cut, 'data');
    const found = checkReport({ ...made, made: report.made, seal: report.seal }, trust);
    expect(found.join('\n')).toContain('cut off: 5 revisions were sealed, 4 are here');
  });

  test.each<[string, (all: JobReport['revisions']) => JobReport['revisions'], string]>([
    ['dropped', (all) => all.toSpliced(2, 1), 'revision 4 is not built on the one before it'],
    ['swapped', (all) => [all[1], all[0], ...all.slice(2)].flatMap((one) => one ?? []), 'revision 1 stands behind 2'],
    ['renumbered', (all) => all.toSpliced(2, 1).map((one, at) => ({ ...one, revision: at + 1 })), 'revision 3: '],
  ])('with a revision %s is found out', (_, change, finding) => {
    const altered = resealed({ ...report, revisions: change(report.revisions) });
    expect(checkReport(altered, trust).join('\n')).toContain(finding);
  });

  test('with a revision that a party of the vault signed, but built on nothing, is found out', () => {
    const body = JSON.stringify({ revision: 3, predecessor: null, body: { name: JOB } });
    const place = recordName('job', JOB, 3);
    const forged = signBody('record', Buffer.from(body), { ...byVault, place }).toString('base64');
    const found = checkReport(
      resealed({ ...report, revisions: report.revisions.with(2, { revision: 3, signed: forged }) }),
      trust,
    );
    expect(found).toContain('revision 3 is not built on the one before it');
    expect(found).toContain('revision 4 is not built on the one before it');
  });

  test('with a revision altered in any one byte is found out', () => {
    const whole = Buffer.from(report.revisions[2]?.signed ?? '', 'base64');
    for (let at = 0; at < whole.length; at += 37) {
      const altered = Buffer.from(whole);
      altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
      const revisions = report.revisions.with(2, { revision: 3, signed: altered.toString('base64') });
      expect(
        checkReport(resealed({ ...report, revisions }), trust).some((found) => found.startsWith('revision 3')),
      ).toBe(true);
    }
  });

  test('without what a person signed, or with what somebody else did, is found out', () => {
    const [own] = report.requests;
    expect(own).toBeDefined();
    const at = `request of resolve at ${day(10)}: `;
    expect(checkReport(resealed({ ...report, requests: [] }), trust)).toEqual([`${at}it is missing`]);
    const said = { workflowId: `seed/main/${JOB}`, act: 'resolve', at: day(10), asked: { choice: 'retry', by: 'ann' } };
    const other = signActRequest(said, byVault).toString('base64');
    const requests = report.requests.map((one) => ({ ...one, signed: other }));
    expect(checkReport(resealed({ ...report, requests }), trust)).toEqual([`${at}request: not the bytes of its name`]);
  });

  test('with a revision or a seal signed by another key is found out', () => {
    const stranger = deriveOwner(new Uint8Array(32).fill(2));
    const seed = newSigningSeed();
    const identity = { role: 'site', id: 'vault.main', publicKey: publicKeyOf(seed) } as const;
    const theirs = { vaultId: trust.vaultId, ownerPublic: stranger.publicKey };
    const other = { signer: signerFrom(seed, certify(stranger, identity, trust.vaultId), theirs), trust };
    const body = JSON.stringify({ revision: 5, predecessor: null, body: {} });
    const forged = signBody('record', Buffer.from(body), { ...other, place: recordName('job', JOB, 5) });
    const revisions = report.revisions.with(4, { revision: 5, signed: forged.toString('base64') });
    expect(checkReport(resealed({ ...report, revisions }), trust).join('\n')).toContain(
      'revision 5: certificate: not signed by the owner of this vault',
    );
    expect(checkReport(resealed(report, other), trust)).toEqual([
      'seal: certificate: not signed by the owner of this vault',
    ]);
    expect(() => openReportSeal(Buffer.from(report.seal, 'base64'), theirs)).toThrow('not signed by the owner');
  });

  test('as a page is found out when only what people see was altered', () => {
    const altered = page.replace('attention a1, DriveMissing', 'attention a1, settled');
    expect(altered).not.toBe(page);
    expect(checkReport(JSON.parse(reportIn(altered) ?? ''), trust, altered)).toEqual([
      'the page is not what was sealed',
    ]);
    expect(checkReport(JSON.parse(reportIn(page) ?? ''), trust)).toEqual(['taken out of a page']);
    expect(checkReport(report, trust, page)).toEqual(['the page was put around it afterwards']);
  });

  test('as a page runs nothing, loads nothing, and shows markup in names as text', () => {
    const marked = { ...report, job: '<img src=x onerror=alert(1)>' };
    expect(reportPage(marked)).not.toContain('<img');
    expect(page.match(/<script/g)).toHaveLength(1);
    expect(page).not.toMatch(/\b(src|href)=|https?:|@import|url\(/);
    expect(page).toContain('CompletedWithErrors');
  });
});
