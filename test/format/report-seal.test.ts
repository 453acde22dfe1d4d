import { describe, expect, test } from '@jest/globals';
import { digestOfText, openReportSeal, type ReportSeal, sealReport } from '../../format/report-seal.ts';
import { signBody } from '../../format/signature.ts';
import { survivors } from './fault.ts';
import { byMachine, bySite, trust } from './parties.ts';

const SEAL: ReportSeal = {
  job: 'hq-2026',
  revisions: 9,
  newest: digestOfText('the ninth'),
  content: digestOfText('{}'),
  page: digestOfText('<html>'),
};

describe('the seal of a report', () => {
  test('opens as it was signed, with a page and without', () => {
    const { page, ...plain } = SEAL;
    expect(openReportSeal(sealReport(SEAL, byMachine), trust)).toMatchObject({
      seal: { ...plain, page },
      signer: { id: byMachine.signer.id },
    });
    expect(openReportSeal(sealReport(plain, bySite), trust).seal).toEqual(plain);
  });

  test('survives no flipped bit and no cut', () => {
    const bytes = sealReport(SEAL, byMachine);
    expect(survivors(bytes, (altered) => openReportSeal(altered, trust), ['CorruptError', 'TamperedError'])).toEqual(
      [],
    );
  });

  test('is of one kind only', () => {
    const { page: _, ...plain } = SEAL;
    const bytes = sealReport(plain, byMachine);
    const body = Buffer.from(bytes.subarray(bytes.indexOf('SSJR'), bytes.length - 64));
    expect(body.readUInt8(body.length - 33)).toBe(0);
    body.writeUInt8(2, body.length - 33);
    expect(() => openReportSeal(signBody('report', body, byMachine), trust)).toThrow('unknown kind');
  });
});
