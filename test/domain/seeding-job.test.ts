import { describe, expect, test } from '@jest/globals';
import { CHOICES } from '../../domain/attention.ts';
import { checkDriveSize, checkOrder } from '../../domain/datacenter.ts';
import { EXIT, FAILURES } from '../../domain/failure.ts';
import type { DatacenterRecord } from '../../domain/record.ts';
import { CANCEL_TABLE, JOURNEY_STAGES, type JobStatus, runName } from '../../domain/seeding-job.ts';
import { dataQueue, queueOf, siteOf } from '../../domain/site.ts';
import { statusCard, waitsFor } from '../../domain/status-card.ts';

const REQUEST = {
  ...{ vault: 'safe', machine: 'hq', protection: 'files', job: 'hq-2026', region: 'eu-west' },
  ...{ staging: 'shelf', landing: 'box', schedule: 'daily 02:00', timezone: 'UTC', returns: false },
  ...{ startedBy: 'ann', heartbeatMs: 5000 },
};

const STATUS: Omit<JobStatus, 'waitsFor'> = {
  ...{ workflowId: 'seed/safe/hq-2026', run: 'r', request: REQUEST, stage: 'Shipping', state: 'Running' },
  ...{ importJob: 'Creating', reached: [], free: [], drives: [], parcels: [], attention: [] },
};

function status(more: Partial<JobStatus>): JobStatus {
  const before = Object.assign({ ...STATUS }, more);
  return { ...before, waitsFor: waitsFor(before) };
}

const drive = (id: string, state: JobStatus['drives'][number]['state'], registered = true) => ({
  ...{ id, state, host: 'copy1', capacityBytes: 1, ranges: [], objects: 1, bytes: 1024, registered },
});

describe('a job', () => {
  test('says who must act and what to type, in every stage that waits for a person', () => {
    const said = (more: Partial<JobStatus>) => status(more).waitsFor.command;
    const free = [{ from: 0, to: 9 }];
    expect(said({ stage: 'Preparing', free })).toBe('seedship drive prepare DEVICE|DIR --job hq-2026');
    expect(said({ drives: [drive('A', 'Prepared')] })).toMatch(/^seedship job ship hq-2026 --carrier/);
    expect(said({ drives: [drive('A', 'Shipped'), drive('B', 'NeverReceived')] })).toBe(
      'seedship drive receive --job hq-2026 --drive A B',
    );
    expect(said({ drives: [drive('A', 'Received')] })).toBe('seedship drive attach DEVICE|DIR --job hq-2026');
    expect(said({ stage: 'Returning' })).toMatch(/^seedship drive return --job hq-2026/);
    for (const stage of ['Staging', 'Copying', 'Protected', 'Cancelled'] as const) expect(said({ stage })).toBe('');
  });

  test('waits for nobody while it is cancelled, unless what undoes it asks', () => {
    const drives = [drive('A', 'Prepared')];
    expect(status({ state: 'Cancelling', drives }).waitsFor).toMatchObject({ who: 'nobody', command: '' });
    const attention = [
      {
        ...({ id: 'a1', code: 'StorageRefused', step: 'withdraw', since: '' } as const),
        ...{ message: 'landing is closed', hint: 'open it', choices: ['retry', 'abort'] as const },
      },
    ];
    expect(status({ state: 'Cancelling', drives, attention }).waitsFor).toMatchObject({
      ...{ what: 'landing is closed', command: 'seedship job resolve hq-2026 --attention a1 --choice retry' },
    });
  });

  test('says where a drive may be prepared, when its order names hosts', () => {
    const said = (request: Partial<JobStatus['request']>, more: Partial<JobStatus>) =>
      status({ ...more, request: { ...REQUEST, ...request } }).waitsFor;
    const waiting = { stage: 'Preparing', free: [{ from: 0, to: 9 }] } as const;
    expect(said({}, waiting)).toMatchObject({ what: '9 objects wait for a drive', who: 'a person at a copy host' });
    const copyHosts = ['attic', 'copy2'];
    const where = 'attic or copy2';
    expect(said({ copyHosts }, waiting)).toMatchObject({
      ...{ what: `9 objects wait for a drive at ${where}`, who: `a person at ${where}` },
    });
    const limited = said({ copyHosts, stagedBytesMax: 1 << 30 }, { stage: 'Staging' });
    expect(limited).toMatchObject({
      what: expect.stringContaining(`a drive at ${where}`),
      who: `a person at ${where}`,
    });
  });

  test('asks nobody to ship a drive that is not registered yet', () =>
    expect(status({ drives: [drive('A', 'Prepared', false)] }).waitsFor.command).toBe(''));

  test('puts attention before all else, and shows it on its card', () => {
    const attention = [
      {
        ...({ id: 'a1', code: 'DriveFailed', step: 'prepare-A', drive: 'A', since: '' } as const),
        ...{ message: 'it clicks', hint: 'replace the drive', choices: ['retry', 'replace'] as const },
      },
    ];
    const now = status({ state: 'Attention', attention, drives: [drive('A', 'Specified')] });
    expect(now.waitsFor.command).toBe('seedship job resolve hq-2026 --attention a1 --choice retry');
    expect(statusCard(now)).toContain('**a1 DriveFailed**: it clicks. replace the drive. Choices: retry, replace');
    expect(statusCard(now)).toContain('- drive A: **Specified**, 1.0 KiB, host copy1');
    expect(now.waitsFor.what).toBe('drive A: it clicks');
  });

  test('sets on its card as code what is to be typed', () => {
    const hint = 'look for it; if it turns up: seedship drive receive --job hq-2026 --drive A; or `seedship help`';
    const attention = [
      {
        ...({ id: 'a1', code: 'DriveMissing', step: 'drive-A', since: '' } as const),
        ...{ message: 'gone', hint, choices: ['replace'] as const },
      },
    ];
    expect(statusCard(status({ state: 'Attention', attention }))).toContain(
      'if it turns up: `seedship drive receive --job hq-2026 --drive A`; or `seedship help`. Choices',
    );
  });

  test('can be cancelled until its point is complete, and says what is undone and kept', () => {
    const until = JOURNEY_STAGES.filter((stage) => CANCEL_TABLE[stage] !== undefined);
    expect(until).toEqual(['Staging', 'Preparing', 'Shipping', 'Ingesting', 'Copying']);
    for (const stage of until) expect(CANCEL_TABLE[stage]?.kept).not.toBe('');
  });

  test('names its run by what, when and chance', () =>
    expect(runName('files', '2026-11-20T18:12:33.123Z', '1b4e28ba-2fa1-11d2-883f-0016d3cca427')).toBe(
      'files.20261120T181233Z.1b4e28ba',
    ));
});

describe('a queue', () => {
  test.each([
    ['copy.copy1.data', 'copy', 'copy1'],
    ['dock.eu-west.dock1.data', 'dock', 'eu-west.dock1'],
    ['control', 'control', ''],
  ])('%s is site %s of %s', (queue, site, name) => expect(siteOf(queue)).toEqual({ site, name }));

  test('of data is the twin of its site', () =>
    expect(siteOf(dataQueue(queueOf.source('hq')))).toEqual({ site: 'source', name: 'hq' }));
});

describe('a datacenter', () => {
  const entry: DatacenterRecord = {
    ...{ at: '', by: '', region: 'eu-west', address: ['Dock 4'], carriers: ['dhl'], driveBytesMax: 10e12 },
    ...{ asks: { contact: true, returnTo: true }, publicKey: '', recipient: '' },
  };

  test('asks for what it needs, by flag', () => {
    expect(() => checkOrder(entry, {})).toThrow(/asks for --contact/);
    expect(() => checkOrder(entry, { contact: 'a' })).toThrow(/asks for --return-carrier/);
    expect(() => checkOrder(entry, { contact: 'a', returnCarrier: 'dhl' })).toThrow(/asks for --return-to/);
    expect(() => checkOrder(entry, { contact: 'a', returnCarrier: 'ups', returnTo: 'b' })).toThrow(/does not send/);
    expect(checkOrder(entry, { contact: 'a', returnCarrier: 'none' })).toEqual({ returns: false });
    expect(checkOrder(entry, { contact: 'a', returnCarrier: 'dhl', returnTo: 'b' })).toEqual({ returns: true });
  });

  test('that asks for nothing gets nothing', () =>
    expect(checkOrder({ ...entry, asks: { contact: false, returnTo: false } }, {})).toEqual({ returns: false }));

  test('takes no drive that is too large', () => {
    expect(() => checkDriveSize(entry, 10e12)).not.toThrow();
    expect(() => checkDriveSize(entry, 12e12)).toThrow(/12.0 TB/);
  });
});

describe('a failure', () => {
  test('has an exit code of the table and says what helps', () => {
    const exits = new Set<number>(Object.values(EXIT));
    for (const { exit, hint } of Object.values(FAILURES)) {
      expect(exits.has(exit)).toBe(true);
      expect(hint).not.toBe('');
    }
  });

  test('each choice says what it does', () => {
    for (const says of Object.values(CHOICES)) expect(says.length).toBeGreaterThan(10);
  });
});
