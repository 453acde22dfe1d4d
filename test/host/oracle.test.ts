import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { compareTrees, judgeTrees } from '../../host/oracle.ts';

let dir: string;
let trees: { original: string; restored: string };
const PATH = process.env.PATH ?? '';
const MISSING = ['setfattr', 'getfattr', 'getfacl'].filter((program) => !existsSync(`/usr/bin/${program}`));

if (MISSING.length > 0 && process.env.SEEDSHIP_CI) throw new Error(`not on this machine: ${MISSING.join(', ')}`);
if (MISSING.length > 0) process.stderr.write(`SKIPPED: judges of attributes, without ${MISSING.join(', ')}\n`);
const withAttributes = MISSING.length > 0 ? test.skip : test;

beforeEach(() => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'seedship-oracle-'));
  trees = { original: path.join(dir, 'a'), restored: path.join(dir, 'b') };
});
afterEach(() => void execFileSync('rm', ['-rf', dir])); // Node's own rmSync ends at PATH_MAX

function copy(): void {
  execFileSync('cp', ['-a', '--sparse=auto', trees.original, trees.restored]);
}

describe('the judges', () => {
  test('find nothing where a tree of everything was copied by a program that keeps it', async () => {
    const maker = fileURLToPath(new URL('../harness/make_tree.py', import.meta.url));
    execFileSync('python3', [maker, trees.original, '--seed', '7', '--files', '60', '--bytes', '3000000']);
    execFileSync('sh', ['-c', `rm -r ${trees.original}/odd/deep-*`]); // cp ends at PATH_MAX
    copy();
    const verdicts = await judgeTrees(trees, PATH);
    expect(verdicts.map(({ judge, differences }) => [judge, differences])).toContainEqual(['comparer', []]);
    expect(verdicts.every(({ count }) => count === 0)).toBe(true);
  });

  const spoil: [string, RegExp, () => void][] = [
    ['a changed byte', /bytes differ/, () => writeFileSync(`${trees.restored}/file`, 'Text')],
    ['a longer file', /size was 4, is 5/, () => appendFileSync(`${trees.restored}/file`, '!')],
    ['a missing file', /is not there/, () => unlinkSync(`${trees.restored}/file`)],
    ['a file too many', /was not there/, () => writeFileSync(`${trees.restored}/more`, '')],
    ['another mode', /mode was/, () => chmodSync(`${trees.restored}/file`, 0o600)],
    ['another time', /mtimeNs was/, () => utimesSync(`${trees.restored}/file`, 5, 5)],
    [
      'a broken hard link',
      /is linked to/,
      () => {
        unlinkSync(`${trees.restored}/twin`);
        writeFileSync(`${trees.restored}/twin`, 'text');
      },
    ],
    [
      'another link target',
      /leads to there/,
      () => {
        unlinkSync(`${trees.restored}/link`);
        symlinkSync('there', `${trees.restored}/link`);
      },
    ],
    ['a filled hole', /its holes differ/, () => writeFileSync(`${trees.restored}/sparse`, Buffer.alloc(2 << 20))],
  ];
  test.each(spoil)('%s is found', (_, how, harm) => {
    mkdirSync(trees.original);
    writeFileSync(`${trees.original}/file`, 'text');
    linkSync(`${trees.original}/file`, `${trees.original}/twin`);
    symlinkSync('here', `${trees.original}/link`);
    writeFileSync(`${trees.original}/sparse`, '');
    truncateSync(`${trees.original}/sparse`, 2 << 20);
    copy();
    expect(compareTrees(trees).count).toBe(0);
    harm();
    expect(compareTrees(trees).differences.join('\n')).toMatch(how);
  });

  test('paths longer than PATH_MAX are judged to the end', () => {
    const deep = `import os,sys
for top in sys.argv[1:]:
  os.makedirs(top); fd = os.open(top, os.O_RDONLY)
  for _ in range(25):
    os.mkdir('d' * 250, dir_fd=fd); fd = os.open('d' * 250, os.O_RDONLY, dir_fd=fd)
  out = os.open('end', os.O_WRONLY | os.O_CREAT, dir_fd=fd); os.write(out, top[-1].encode())
`;
    execFileSync('python3', ['-c', deep, trees.original, trees.restored]);
    expect(compareTrees(trees).differences.some((line) => /d\/end: bytes differ/.test(line))).toBe(true);
  });

  withAttributes('without rsync, ACLs and extended attributes are judged by their own programs', async () => {
    mkdirSync(trees.original);
    writeFileSync(`${trees.original}/file`, 'text');
    copy();
    execFileSync('setfattr', ['-n', 'user.mark', '-v', 'x', `${trees.restored}/file`]);
    const bin = path.join(dir, 'bin');
    mkdirSync(bin);
    for (const program of ['getfattr', 'getfacl']) symlinkSync(`/usr/bin/${program}`, path.join(bin, program));
    const verdicts = await judgeTrees(trees, bin);
    expect(verdicts.map(({ judge, count }) => [judge, count > 0])).toEqual([
      ['getfattr', true],
      ['getfacl', false],
      ['comparer', false],
    ]);
  });
});
