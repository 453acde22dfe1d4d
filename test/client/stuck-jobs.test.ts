import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../client/command-tree.ts';
import { CHOICES } from '../../domain/attention.ts';
import { DRIVE_REFUSALS } from '../../domain/copy-code.ts';
import { isFailureCode } from '../../domain/failure.ts';

const text = readFileSync('doc/stuck-jobs.md', 'utf8');

/** Each `seedship …` of the text: the words up to what a person fills in. */
const typed = [...text.matchAll(/seedship ((?:[a-z]+ ?)+)([^`\n]*)/g)].map(([, words = '', rest = '']) => ({
  words: words.trim(),
  flags: [...(rest.split(/ {2,}/)[0] ?? '').matchAll(/--([a-z-]+)/g)].map(([, flag = '']) => flag),
}));

describe('doc/stuck-jobs.md', () => {
  test('walks through ten', () => {
    expect(text.match(/^## \d+\. /gm)).toHaveLength(10);
  });

  test.each(typed)('names a command that there is: $words $flags', ({ words, flags }) => {
    const spec = COMMANDS.find(({ path }) => words === path || words.startsWith(`${path} `));
    expect(spec?.path).toBeDefined();
    const known = (spec?.flags ?? []).map(([flag]) => /--([a-z-]+)/.exec(flag)?.[1]);
    expect(flags.filter((flag) => !known.includes(flag))).toEqual([]);
  });

  test('names codes and choices that there are', () => {
    const codes = [...text.matchAll(/\[([A-Z][A-Za-z]+)\]/g)].map(([, code = '']) => code);
    expect(codes.length).toBeGreaterThan(10);
    expect(codes.filter((code) => !isFailureCode(code))).toEqual([]);
    const choices = [...text.matchAll(/--choice ([a-z]+)/g)].map(([, choice = '']) => choice);
    expect(choices.filter((choice) => !Object.hasOwn(CHOICES, choice))).toEqual([]);
    const details = [...text.matchAll(/^\| `([A-Za-z]+)`/gm)].map(([, code = '']) => code);
    const refusals: readonly string[] = DRIVE_REFUSALS;
    expect(details.filter((code) => !refusals.includes(code))).toEqual([]);
  });
});
