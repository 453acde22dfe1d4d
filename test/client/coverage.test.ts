/** doc/coverage.md promises nothing that is not there: each row's command is in the tree, and its test is a file. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../client/command-tree.ts';
import { DRIVE_REFUSALS, OBJECT_CODES } from '../../domain/copy-code.ts';

const text = readFileSync('doc/coverage.md', 'utf8');
const lines = text.split('\n');
const rows = lines
  .filter((line) => /^\| F\d/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, rule = '', says = '', command = '', tests = '']) => ({ rule, says, command, tests: tests.split(', ') }));

describe('coverage', () => {
  test('has rows', () => expect(rows.length).toBeGreaterThan(15));

  test.each(rows)('$rule is done by commands of the tree, and shown by tests', ({ command, tests }) => {
    const named = [...command.matchAll(/`([^`]+)`/g)].map(([, words = '']) => words.split(' '));
    expect(named.length).toBeGreaterThan(0);
    for (const [noun, verb, ...flags] of named) {
      const spec = COMMANDS.find(({ path }) => path === `${noun} ${verb}` || path === noun);
      expect([noun, verb, spec?.path]).toEqual([noun, verb, expect.any(String)]);
      for (const flag of flags) expect(spec?.flags?.map(([one]) => one.split(' ')[0])).toContain(flag);
    }
    expect(tests.filter((file) => !/^test\/.+\.test\.ts$/.test(file) || !existsSync(file))).toEqual([]);
  });

  test('names no rule twice', () => {
    const rules = rows.flatMap(({ rule }) => rule.split(', '));
    expect(rules).toEqual([...new Set(rules)]);
  });
});

/** `F8–F10` is three rules. */
function each(rule: string): string[] {
  const [, from, to] = /^F(\d+)–F(\d+)$/.exec(rule) ?? [];
  if (from === undefined || to === undefined) return [rule];
  return Array.from({ length: Number(to) - Number(from) + 1 }, (_, at) => `F${Number(from) + at}`);
}

describe('a finished part', () => {
  const first = lines.filter((line) => line.startsWith('| ')).map((line) => line.split('|')[1]?.trim() ?? '');
  const named = new Set(first.flatMap((cell) => cell.split(', ').flatMap(each)));

  test.each([
    ['the workflow of the first seed', Array.from({ length: 61 }, (_, at) => `F${at + 1}`)],
    ['the job, parcels and the datacenter', [...'ABCDEFGHIJK'].map((letter) => `2${letter}`)],
  ])('leaves no rule out: %s', (_, rules) => expect(rules.filter((rule) => !named.has(rule))).toEqual([]));

  test('names a test for each row of the states, by its file and its title', () => {
    const section = text.slice(text.indexOf('## The job'), text.indexOf('## Copy-log codes'));
    const shown = [...section.matchAll(/\| (test\/\S+\.test\.ts): ([^|]+) \|$/gm)];
    expect(shown.length).toBeGreaterThan(15);
    for (const [, file = '', title = ''] of shown)
      expect([file, title, readFileSync(file, 'utf8').includes(title)]).toEqual([file, title, true]);
  });
});

/** As the field's logs have them, for a drive and for what is on it. */
const FIELD_CODES = [
  ...['Completed', 'CompletedWithWarnings', 'CompletedWithErrors', 'DiskNotFound', 'VolumeNotNtfs'],
  ...['DiskOperationFailed', 'BitLockerVolumeNotFound', 'BitLockerNotActivated', 'BitLockerProtectorNotFound'],
  ...['BitLockerKeyInvalid', 'BitLockerUnlockVolumeFailed', 'BitLockerFailed', 'ManifestNameInvalid'],
  ...['ManifestNameTooLong', 'ManifestNotFound', 'ManifestAccessDenied', 'ManifestCorrupted', 'ManifestFormatInvalid'],
  ...['ManifestDriveIdMismatch', 'ReadManifestFailed', 'BlobListFormatInvalid', 'BlobRequestForbidden'],
  ...['InternalError', 'FileNameInvalid', 'FileNameTooLong', 'FileNotFound', 'FileAccessDenied', 'BlobRequestFailed'],
  ...['RenameFailed', 'BlobUnexpectedChange', 'LeasePresent', 'IOFailed', 'Failed', 'Created', 'Renamed', 'Skipped'],
  ...['Overwritten', 'Cancelled', 'Committed', 'Uncommitted', 'Corrupted', 'FileUnexpectedEnd', 'BlobUnexpectedEnd'],
  ...['XmlReadFailed', 'XmlWriteFailed'],
];

describe('a code of the field', () => {
  const table = text
    .slice(text.indexOf('## Copy-log codes'))
    .split('\n')
    .filter((line) => /^\| [A-Z]/.test(line))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  const sayings = (code: string) =>
    table.filter(([, codes = '']) => new RegExp(`\\b${code}\\b`).test(codes)).map(([, , here = '']) => here);

  test.each(FIELD_CODES)('%s is raised here, or it is said why it cannot occur', (code) =>
    expect(sayings(code).filter((here) => here.length > 10 || here.includes('all taken'))).not.toEqual([]),
  );

  test.each([...DRIVE_REFUSALS, ...Object.values(OBJECT_CODES).map(({ code }) => code)])(
    '%s stands in our logs, and is not said to be impossible',
    (code) => expect(sayings(code).some((here) => !here.startsWith('cannot occur'))).toBe(true),
  );
});
