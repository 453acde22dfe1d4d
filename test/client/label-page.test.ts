/** The page that travels with a drive: what a scanner and a person read from it. */
import { describe, expect, test } from '@jest/globals';
import { type Label, labelCode, labelHtml, labelSvg } from '../../client/label-page.ts';
import { readCode } from '../harness/read-code.ts';

const label: Label = {
  ...{ vault: 'main', job: 'hq-2026', region: 'eu-west', drive: '7F3A00112233AABB', name: 'SEEDSHIP-7F3A' },
  to: ['Seedship Datacenter eu-west', 'Dock 4 <north>', 'Job hq-2026'],
  returnTo: ['Ann & Sons'],
};

describe('the page of a drive', () => {
  test('has a code that a scanner reads back', () => {
    const svg = labelSvg(label);
    expect(readCode(svg)).toBe(labelCode(label));
    expect(labelCode(label)).toBe('seedship:drive/7F3A00112233AABB?job=hq-2026&vault=main&region=eu-west');
  });

  test('says drive, job, both addresses, and no character of them is markup', () => {
    const html = labelHtml(label);
    for (const said of [
      'SEEDSHIP-7F3A',
      'Drive 7F3A00112233AABB',
      'Job hq-2026',
      'Dock 4 &lt;north&gt;',
      'Ann &amp; Sons',
    ])
      expect(html).toContain(`>${said}<`);
  });

  test('has lines to write on where no return address is known', () => {
    expect(labelSvg({ ...label, returnTo: [] })).toContain('stroke=');
    expect(labelSvg(label)).not.toContain('stroke=');
  });
});
