/** Who may prepare drives of a job, and how that is said. */
import { describe, expect, test } from '@jest/globals';
import { atCopyHosts, checkCopyHost, mayPrepare, parseCopyHosts, withCopyHosts } from '../../domain/copy-hosts.ts';
import { DRIVES_MAX } from '../../domain/drive.ts';
import { EXIT, FAILURES, Failure } from '../../domain/failure.ts';
import type { SeedingRequest } from '../../domain/seeding-job.ts';

const JOB: SeedingRequest = {
  ...{ vault: 'safe', machine: 'hq', protection: 'files', job: 'hq-2026', region: 'eu-west', staging: 'shelf' },
  ...{ landing: 'box', schedule: 'daily 02:00', timezone: 'UTC', returns: false, startedBy: 'ann', heartbeatMs: 5000 },
};

describe('hosts that are named', () => {
  test('are the same order however they were typed, and each is a host', () => {
    expect(parseCopyHosts(['copy2', 'attic', 'copy2'])).toEqual(['attic', 'copy2']);
    expect(parseCopyHosts([])).toEqual([]);
    expect(() => parseCopyHosts(['Not A Host'])).toThrow(/host name/);
    const many = Array.from({ length: DRIVES_MAX + 1 }, (_, at) => `copy${at}`);
    expect(parseCopyHosts(many.slice(1))).toHaveLength(DRIVES_MAX);
    expect(() => parseCopyHosts(many)).toThrow(/at most 64 copy hosts/);
  });

  test('may prepare drives, and another is told who may and what lets it too', () => {
    const named = withCopyHosts(JOB, ['attic', 'copy2']);
    expect([mayPrepare(named, 'attic'), mayPrepare(named, 'copy3')]).toEqual([true, false]);
    expect(() => checkCopyHost(named, 'copy2')).not.toThrow();
    let refused: unknown;
    try {
      checkCopyHost(named, 'copy3');
    } catch (error) {
      refused = error;
    }
    expect(refused).toBeInstanceOf(Failure);
    expect(refused).toMatchObject({
      code: 'WrongState',
      message: 'the host copy3 may not prepare drives of the job hq-2026',
      why: 'its order names attic or copy2',
      next: 'seedship job edit hq-2026 --copy-host attic --copy-host copy2 --copy-host copy3',
    });
    expect(FAILURES.WrongState.exit).toBe(EXIT.wrongState);
  });

  test('none are named: any host may, as in an order that never named one', () => {
    const free = withCopyHosts(withCopyHosts(JOB, ['attic']), []);
    expect(free).toEqual(JOB);
    expect(mayPrepare(free, 'copy3')).toBe(true);
    expect(() => checkCopyHost(free, 'copy3')).not.toThrow();
  });
});

test.each([
  [undefined, '', 'a person at a copy host'],
  [['attic'], ' at attic', 'a person at attic'],
  [['a', 'b', 'c', 'd'], ' at a, b, c or d', 'a person at a, b, c or d'],
  [['a', 'b', 'c', 'd', 'e'], ' at a, b, c or another named host', 'a person at a, b, c or another named host'],
] as const)('of %j: %j', (copyHosts, where, who) =>
  expect(atCopyHosts(copyHosts ? { copyHosts } : {})).toEqual({ where, who }),
);
