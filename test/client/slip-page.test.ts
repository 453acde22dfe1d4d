/** The slip of a parcel: what a scanner and a person read from it. */
import { describe, expect, test } from '@jest/globals';
import { type Slip, slipCode, slipHtml, slipSvg } from '../../client/slip-page.ts';
import { readCode } from '../harness/read-code.ts';

const id = (number: number) => `7F3A0000000000${number.toString(16).toUpperCase().padStart(2, '0')}`;
const slip: Slip = {
  ...{ vault: 'main', job: 'hq-2026', region: 'eu-west', carrier: 'dhl', tracking: 'JD014600003RU' },
  drives: [{ id: id(1), serial: 'WD-CA1H7K2K' }, { id: id(2) }],
  to: ['Seedship Datacenter eu-west', 'Dock 4 <north>', 'Job hq-2026'],
  returnTo: ['Ann & Sons', 'Town'],
};

describe('the slip of a parcel', () => {
  test('has a code that a scanner reads back, with the job and each drive in it', () => {
    expect(readCode(slipSvg(slip))).toBe(slipCode(slip));
    expect(slipCode(slip)).toBe(
      'seedship:parcel/JD014600003RU?job=hq-2026&vault=main&region=eu-west&carrier=dhl' +
        '&drives=7F3A000000000001,7F3A000000000002',
    );
  });

  test('says job, parcel, drives, both addresses, and no character of them is markup', () => {
    const html = slipHtml(slip);
    for (const said of [
      ...['Job hq-2026', 'Parcel JD014600003RU', 'Carrier dhl', '2 drives'],
      ...['7F3A000000000001  WD-CA1H7K2K', '7F3A000000000002'],
      ...['Dock 4 &lt;north&gt;', 'Ann &amp; Sons', 'Town'],
    ])
      expect(html).toContain(`>${said}<`);
  });

  test('has lines to write on where no return address is known', () => {
    expect(slipSvg({ ...slip, returnTo: [] })).toContain('stroke=');
    expect(slipSvg(slip)).not.toContain('stroke=');
  });

  test('has room for all drives a job may have, and its code for their ids', () => {
    const drives = Array.from({ length: 64 }, (_, at) => ({ id: id(at), serial: 'S5GXNX0T123456A' }));
    const svg = slipSvg({ ...slip, drives });
    expect(readCode(svg)).toContain(`${id(62)},${id(63)}`);
    const places = [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
    expect(Math.max(...places.map(([x = 0]) => x))).toBeLessThan(148 - 40);
    expect(Math.max(...places.map(([, y = 0]) => y))).toBeLessThan(210 - 2);
    expect(new Set(places.map(String)).size).toBe(places.length);
  });
});
