/** What lsblk, blkid and smartctl print, old versions and lying bridges included, and who is asked for root. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parseDevices, parseProbe, parseSmart, readWear, runTool } from '../../store/block-device.ts';

const said = (name: string): string => readFileSync(`test/disks/${name}.json`, 'utf8');

describe('devices', () => {
  test('are read with what is mounted from inside of them', () => {
    const [usb, system, rom] = parseDevices(said('lsblk-2.38'));
    expect(usb).toMatchObject({
      path: '/dev/sdb',
      type: 'disk',
      tran: 'usb',
      model: 'Elements 25A3',
      size: 8001563222016,
    });
    expect(system?.children?.[1]?.children?.[0]).toMatchObject({
      type: 'crypt',
      mountpoints: ['/', '/var/lib/docker'],
    });
    expect(rom?.type).toBe('rom');
  });

  test('are the same from an lsblk that writes everything as text', () => {
    const [disk] = parseDevices(said('lsblk-2.31'));
    expect(disk).toMatchObject({ 'maj:min': '8:0', size: 4000787030016, ro: false, serial: 'ZFN0ABCD' });
    expect(disk?.children?.[0]).toMatchObject({ mountpoint: '[SWAP]', ro: true });
  });

  test('of an lsblk that prints something else are an error with a name', () => {
    expect(() => parseDevices('{"blockdevices":[{"name":"sda"}]}')).toThrow('lsblk prints something');
    expect(() => parseDevices('lsblk: unknown option')).toThrow('lsblk prints something');
  });
});

describe('a disk asked for itself', () => {
  test.each([
    [
      'smart-usb-sata',
      {
        serial: 'WD-CA1H7K2K',
        model: 'WDC WD80EFZZ-68BTXN0',
        ownInterface: 'sata',
        wear: { health: 'ok', reallocated: 0, pending: 0 },
      },
    ],
    [
      'smart-worn',
      { serial: 'ZFN0ABCD', model: 'ST4000DM004-2CV104', ownInterface: 'sata', wear: { health: 'worn', pending: 16 } },
    ],
    [
      'smart-failing',
      {
        serial: 'WD-WCC6Y4ABCDEF',
        model: 'WDC WD10EZEX-08WN4A0',
        ownInterface: 'sata',
        wear: { health: 'failing', reallocated: 1988 },
      },
    ],
    ['smart-usb-unknown', { wear: { health: 'unknown' } }],
    ['smart-usb-scsi', { serial: 'DD56419883891', model: 'Generic External USB3.0', wear: { health: 'unknown' } }],
    [
      'smart-nvme',
      {
        serial: 'S5GXNX0T123456A',
        model: 'Samsung SSD 980 PRO 1TB',
        ownInterface: 'nvme',
        wear: { health: 'ok', pending: 0 },
      },
    ],
    [
      'smart-sas',
      { serial: 'ZA18WXYZ0000R8', model: 'SEAGATE ST8000NM0075', ownInterface: 'sas', wear: { health: 'ok' } },
    ],
  ])('answers through %s', (name, answer) => expect(parseSmart(said(name))).toEqual(answer));

  test('tells the defects that a SAS disk has grown', () => {
    const grown = JSON.stringify({ ...JSON.parse(said('smart-sas')), scsi_grown_defect_list: 7 });
    expect(parseSmart(grown).wear).toEqual({ health: 'ok', reallocated: 7 });
  });

  test('that answers nothing, or is none, is as good as one nobody can ask', async () => {
    expect(await readWear('/dev/null')).toEqual({ health: 'unknown' });
    expect(await readWear('/nowhere')).toEqual({ health: 'unknown' });
  });
});

describe('a probe', () => {
  test('gives each value with its blanks', () => {
    const found = parseProbe('DEVNAME=/dev/sdb1\nLABEL=My\\ old\\ Backup\nUUID=5E2A\nTYPE=ntfs\n\n');
    expect([...found]).toEqual([
      ['DEVNAME', '/dev/sdb1'],
      ['LABEL', 'My old Backup'],
      ['UUID', '5E2A'],
      ['TYPE', 'ntfs'],
    ]);
  });
});

describe('a program', () => {
  test('that is not installed is named with the package it comes in', async () => {
    await expect(runTool('mkfs.none-such', [])).rejects.toMatchObject({
      code: 'Configuration',
      message: 'the program mkfs.none-such is not installed',
    });
  });

  test('says what it does while it does it, a step of a line at a time', async () => {
    const steps: string[] = [];
    const { exit } = await runTool('printf', ['tables: 1/2\\b\\b\\b2/2\\ndone\\n'], {
      onLine: (line) => steps.push(line),
    });
    expect([exit, steps]).toEqual([0, ['tables: 1/2', '2/2', 'done']]);
  });
});
