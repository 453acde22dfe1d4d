/** doc/coverage.md promises nothing that is not there: each row's command is in the tree, and its test is a file. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../client/command-tree.ts';

const rows = readFileSync('doc/coverage.md', 'utf8')
  .split('\n')
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
