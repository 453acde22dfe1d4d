/** The sums of a drive, as sha256sum reads them too. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { digestOf } from '../../format/digest.ts';
import { decodeSums, encodeSums, SUM_BYTES } from '../../format/drive-sums.ts';

const sealed = digestOf(Buffer.from('sealed'));
const sums = [
  { place: 'objects/000/000000.1', sealed },
  { place: 'objects/999/999999.123456', sealed: digestOf(Buffer.from('other')) },
  { place: 'journal.1', sealed },
  { place: 'manifest', sealed },
];

describe('sums of a drive', () => {
  test('come back as they were written, in no more bytes than was reckoned', () => {
    const bytes = encodeSums(sums);
    expect(decodeSums(bytes)).toEqual(sums);
    expect(bytes.length).toBeLessThanOrEqual(sums.length * SUM_BYTES);
  });

  test('are checked by a program that knows nothing of us', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'seedship-sums-'));
    mkdirSync(path.join(folder, 'objects/000'), { recursive: true });
    writeFileSync(path.join(folder, 'objects/000/000000.1'), 'sealed');
    writeFileSync(path.join(folder, 'SHA256SUMS'), encodeSums(sums.slice(0, 1)));
    const check = () =>
      execFileSync('sha256sum', ['--strict', '--check', 'SHA256SUMS'], { cwd: folder, stdio: 'pipe' });
    expect(check().toString()).toBe('objects/000/000000.1: OK\n');
    writeFileSync(path.join(folder, 'objects/000/000000.1'), 'sealeD');
    expect(check).toThrow();
    rmSync(folder, { recursive: true });
  });

  test.each([
    ['nothing', ''],
    ['a line without end', `${sealed}  manifest`],
    ['a place of no drive', `${sealed}  ../../etc/passwd\n`],
    ['an object in a folder of others', `${sealed}  objects/001/000000.1\n`],
    ['a digest in capitals', `${sealed.toUpperCase()}  manifest\n`],
    ['a place twice', `${sealed}  manifest\n${sealed}  manifest\n`],
    ['an empty line', `${sealed}  manifest\n\n`],
  ])('with %s are refused', (_, text) => expect(() => decodeSums(Buffer.from(text))).toThrow('drive sums'));
});
