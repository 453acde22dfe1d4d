/** Every reason not to write to a disk, and what makes it another one than was confirmed. */
import { describe, expect, test } from '@jest/globals';
import {
  claimedDrive,
  type Disk,
  describeContents,
  describeRates,
  isTelling,
  type RefusalRule,
  refusals,
  sameDisk,
  wearWarning,
  worsened,
} from '../../domain/disk.ts';
import { MIB, TIB } from '../../domain/units.ts';

const disk: Disk = {
  ...{ device: '/dev/sdc', number: '8:32', sequence: '17', model: 'WDC WD80EFZZ', serial: 'WD-CA1H7K2K' },
  ...{ sizeBytes: 8e12, bus: 'usb', ownInterface: 'sata', readOnly: false, health: 'ok' },
  holds: [
    { device: '/dev/sdc', type: 'gpt', sizeBytes: 8e12, uuid: 'a7' },
    { device: '/dev/sdc1', type: 'ntfs', label: 'Backup2019', sizeBytes: 8e12, uuid: '5E2A' },
  ],
  ...{ mountedAt: [], inUse: false, carries: [] },
};
const rules = { among: [disk], bytesMin: 100 * MIB, bytesMax: 8e12, interfaces: ['sata'] };

describe('a disk', () => {
  test('that nothing speaks against may be erased, whatever it is plugged into', () => {
    expect(refusals(disk, rules)).toEqual([]);
    expect(describeContents(disk)).toBe('ntfs "Backup2019"');
  });

  test('is told with what is used of it, where that is known', () => {
    const [table, old] = disk.holds;
    const part = { device: '/dev/sdc2', type: 'ext4', sizeBytes: TIB };
    const holds = [...(table && old ? [table, { ...old, usedBytes: 3.1e12 }] : []), part];
    expect(describeContents({ ...disk, holds })).toBe('ntfs "Backup2019", 3.1 TB used; ext4');
  });

  test.each<[RefusalRule, string, Partial<Disk>]>([
    ['mounted', 'mounted', { mountedAt: ['/media/usb'], inUse: true }],
    ['in-use', 'part of an array', { inUse: true }],
    ['system', 'what the machine runs from', { carries: ['system'] }],
    ['staging', 'staging', { carries: ['staging'] }],
    ['source', 'the source', { carries: ['source'] }],
    ['state', 'our own state', { carries: ['state'] }],
    ['read-only', 'write-protected', { readOnly: true }],
    ['too-small', 'too small', { sizeBytes: 99 * MIB }],
    ['too-large', 'over the limit of the datacenter', { sizeBytes: 9 * TIB }],
    ['interface', 'of an interface the datacenter has not', { ownInterface: 'sas' }],
    ['failing', 'failing', { health: 'failing' }],
    ['serial', 'without a serial number', { serial: '' }],
    ['serial', 'behind a bridge that says zeros', { serial: '000000000000' }],
    ['locked', 'locked by LUKS', { holds: [{ device: '/dev/sdc1', type: 'crypto_LUKS', sizeBytes: 1 }] }],
    ['locked', 'locked by BitLocker', { holds: [{ device: '/dev/sdc1', type: 'BitLocker', sizeBytes: 1 }] }],
  ])('is refused (%s) when %s', (rule, _, change) => {
    expect(refusals({ ...disk, ...change }, rules).map((refusal) => refusal.rule)).toEqual([rule]);
  });

  test('is refused when another one has its serial number, by name of the other', () => {
    const among = [disk, { ...disk, device: '/dev/sdd', number: '8:48' }];
    expect(refusals(disk, { ...rules, among })).toEqual([
      { rule: 'serial', says: '/dev/sdd has the same serial number WD-CA1H7K2K' },
    ]);
  });

  test('whose own interface is hidden by its bridge is not refused for it', () => {
    const { ownInterface: _, ...hidden } = disk;
    expect(refusals(hidden, rules)).toEqual([]);
  });

  test.each<[string, Partial<Disk>]>([
    ['another serial number', { serial: 'WD-CA1H7K2L' }],
    ['another size', { sizeBytes: 8e12 - 512 }],
    ['another place in the order of arrival', { sequence: '18' }],
    ['another number', { number: '8:48' }],
    ['something else on it', { holds: disk.holds.slice(0, 1) }],
    ['another file system on it', { holds: disk.holds.map((one) => ({ ...one, uuid: 'other' })) }],
  ])('with %s is not the one that was confirmed', (_, change) => {
    expect(sameDisk(disk, { ...disk, ...change })).toBe(false);
    expect(sameDisk(disk, { ...disk, health: 'worn', mountedAt: [] })).toBe(true);
  });

  test('claims to be a drive by the name of its partition alone', () => {
    const named = (partitionName: string): Disk => ({ ...disk, holds: [{ ...disk.holds[1], partitionName } as never] });
    expect(claimedDrive(named('SEEDSHIP-7F3A00112233AABB'))).toBe('7F3A00112233AABB');
    expect(claimedDrive(named('SEEDSHIP-7f3a00112233aabb'))).toBeUndefined();
    expect(claimedDrive(disk)).toBeUndefined();
  });
});

test.each([
  '',
  'AB1',
  '0000000000',
  '00000000000000000001'.slice(0, 12),
  '123456789ABC',
  '0123456789ABCDEF',
  'ABCDEF',
  'DD56419883891',
  'FFFFFFFF',
])('the serial number %p tells nothing', (serial) => expect(isTelling(serial)).toBe(false));
test.each(['WD-CA1H7K2K', 'ZFN0ABCD', 'S5GXNX0T123456A', '2021ABCD0001', '12345'])(
  'the serial number %p tells a disk apart',
  (serial) => expect(isTelling(serial)).toBe(true),
);

describe('a disk that was filled', () => {
  test.each([
    [{ health: 'ok' }, { health: 'failing' }, { failing: true }, 'it says itself that it is failing (SMART)'],
    [
      { health: 'worn', reallocated: 8, pending: 1 },
      { health: 'worn', reallocated: 11, pending: 3 },
      { reallocated: 3, pending: 2 },
      'it has 3 more replaced sectors, it has 2 more sectors that it could not read (SMART)',
    ],
    [{ health: 'failing', pending: 9 }, { health: 'failing', pending: 9 }, {}, undefined],
    [{ health: 'worn', pending: 9 }, { health: 'ok', pending: 0, reallocated: 9 }, {}, undefined], // was not told before
    [{ health: 'ok', pending: 0 }, { health: 'unknown' }, {}, undefined],
  ] as const)('from %j to %j', (before, after, found, warning) => {
    expect(worsened(before, after)).toEqual(found);
    expect(wearWarning(worsened(before, after))).toBe(warning);
  });

  test('says its rates as its maker would', () => {
    expect(describeRates({ writtenPerSecond: 142_000_000, readPerSecond: 98_700_000 })).toBe(
      'written at 142.0 MB/s, read back at 98.7 MB/s',
    );
    expect(describeRates({ pending: 1 })).toBe('');
  });
});
