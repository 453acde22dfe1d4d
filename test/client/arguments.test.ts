/** What is typed wrong is refused with three lines, the right exit code, and what to type instead. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { COMMANDS, LATER_FLAGS } from '../../client/command-tree.ts';
import { CHOICES } from '../../domain/attention.ts';
import { FAILURES } from '../../domain/failure.ts';
import { NAME_RULES, parseName } from '../../domain/names.ts';
import { VERSION } from '../../domain/version.ts';

const root = mkdtempSync(path.join(os.tmpdir(), 'seedship-arguments-'));
afterAll(() => rmSync(root, { recursive: true }));

function type(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['dist/client/main.js', ...words], {
    encoding: 'utf8',
    env: { ...process.env, SEEDSHIP_STATE_DIR: root, HOME: root },
  });
}

describe('command line', () => {
  test.each([
    [['nonsense'], 2],
    [['job'], 2],
    [['job', 'start'], 2],
    [['job', 'show', 'j1', '--no-such-flag'], 2],
    [['vault', 'create', 'Bad_Name', '--region', 'home'], 2],
    [['parcel', 'list'], 6],
    [['point', 'list'], 6],
    [['vault', 'show'], 6],
    [['help', 'nothing'], 8],
    [['schema', 'nothing'], 8],
    [['worker', 'run', 'owner'], 2],
    [['agent', 'register', '--credentials', 'absent.cred', '--code-file', 'absent'], 8],
    [['job', 'list', '--temporal-address', '127.0.0.1:1'], 5],
  ])('%j ends with %i, in three lines', (words, exit) => {
    const { status, stdout, stderr } = type(...words);
    expect([status, stdout]).toEqual([exit, '']);
    expect(stderr).toMatch(/^error\[(\w+)\]: .+\nwhy: .+\nnext: .+\n$/);
    expect(Object.keys(FAILURES)).toContain(/error\[(\w+)\]/.exec(stderr)?.[1]);
  });

  test('the same as JSON is one object on stdout', () => {
    const { status, stdout, stderr } = type('point', 'list', '--json');
    expect([status, stderr]).toEqual([6, '']);
    expect(JSON.parse(stdout)).toMatchObject({ type: 'error', code: 'WrongState', exit: 6, hint: expect.any(String) });
  });

  test.each(COMMANDS.map(({ path: words }) => words))('`%s --help` begins with three examples of itself', (words) => {
    const { status, stdout } = type(...words.split(' '), '--help');
    expect(status).toBe(0);
    const [head, ...examples] = stdout.split('\n').slice(0, 4);
    expect(head).toBe('Examples:');
    for (const line of examples) expect(line).toMatch(/^ {2}(SEEDSHIP_\w+=\S+ )?seedship /);
  });

  const nouns = [
    ...new Set(COMMANDS.flatMap(({ path: words }) => (words.includes(' ') ? words.split(' ').slice(0, 1) : []))),
  ];
  test.each(nouns)('`%s --help` begins with three examples of its verbs', (noun) => {
    const [head, ...examples] = type(noun, '--help').stdout.split('\n').slice(0, 4);
    expect(head).toBe('Examples:');
    for (const line of examples) expect(line).toContain('seedship ');
  });

  test('what can be left alone can be asked for: --wait goes wherever --no-wait goes', () => {
    const waiting = COMMANDS.filter(({ flags = [] }) => flags.some(([flag]) => flag === '--no-wait'));
    expect(waiting.length).toBeGreaterThan(3);
    for (const { path: words } of waiting) {
      const { stderr } = type(...words.split(' '), 'word', '--wait', '--no-wait', '--wait', '--timeout', '1');
      expect([words, stderr]).toEqual([words, expect.not.stringContaining('unknown option')]);
    }
  });

  test.each(LATER_FLAGS)('%s is known to come later', (entry) => {
    const [noun = '', verb = '', flags = ''] = entry.split(' ');
    const spec = COMMANDS.find(({ path: words }) => words === `${noun} ${verb}`);
    expect(spec?.path).toBe(`${noun} ${verb}`);
    for (const flag of flags.split('|')) {
      expect(spec?.flags?.map(([one]) => one.split(' ')[0]) ?? []).not.toContain(flag);
      const { status, stderr } = type(noun, verb, 'word', flag);
      expect([status, stderr]).toEqual([2, expect.stringContaining('a later release')]);
      expect(type('--help').stdout).toContain(flag);
    }
  });

  test('every example names a command of the tree', () => {
    const known = COMMANDS.map(({ path: words }) => words);
    for (const { examples } of COMMANDS)
      for (const line of examples) {
        const words = line
          .replace(/^SEEDSHIP_\S+ /, '')
          .split(' ')
          .slice(1);
        const found =
          known.includes(words.slice(0, 2).join(' ')) || known.includes(words[0] ?? '') || words[0] === '--version';
        expect([line, found]).toEqual([line, true]);
      }
  });

  test('`seedship --help` is there before one notices', () => {
    const times = [1, 2, 3, 4, 5].map(() => {
      const began = process.hrtime.bigint();
      execFileSync(process.execPath, ['dist/client/main.js', '--help']);
      return Number(process.hrtime.bigint() - began) / 1e6;
    });
    const bare = [1, 2, 3, 4, 5].map(() => {
      const began = process.hrtime.bigint();
      execFileSync(process.execPath, ['-e', '0']);
      return Number(process.hrtime.bigint() - began) / 1e6;
    });
    // as a ratio to Node's own start on this machine, since a timed test would measure the machine: 150 ms where Node takes 40
    expect(Math.min(...times) / Math.min(...bare)).toBeLessThan(4);
  });

  test('the version is the package’s', () => {
    expect(JSON.parse(readFileSync('package.json', 'utf8')).version).toBe(VERSION);
    expect(type('--version').stdout.trim()).toBe(VERSION);
  });
});

describe('README', () => {
  const readme = readFileSync('README.md', 'utf8');

  test('names only commands and flags that exist', () => {
    const lines = [...readme.matchAll(/(?:^|`)seedship ([^`\n]+)/gm)].map(([, line = '']) => line);
    expect(lines.length).toBeGreaterThan(15);
    for (const line of lines) {
      const words = line.split(' ');
      const spec = COMMANDS.find(({ path: one }) => one === words.slice(0, 2).join(' ') || one === words[0]);
      expect([line, spec?.path]).toEqual([line, expect.any(String)]);
      for (const flag of words.filter((word) => word.startsWith('--') && word !== '--json'))
        expect([line, spec?.flags?.map(([one]) => one.split(' ')[0])]).toEqual([line, expect.arrayContaining([flag])]);
    }
  });

  test('answers a stopped worker by starting it: `HostOffline` clears itself, and takes no retry', () => {
    const [, section = ''] = /## A stuck job[^\n]*\n([\s\S]*?)\n## /.exec(readme) ?? [];
    const [, recipe = ''] = /```\n([\s\S]*?)```/.exec(section) ?? [];
    expect(recipe).toContain('seedship worker run dock');
    expect(recipe).not.toContain('resolve');
    const choices = [...readme.matchAll(/--choice (\w+)/g)].map(([, choice = '']) => choice);
    expect(choices.filter((choice) => !(choice in CHOICES))).toEqual([]);
  });

  test('its two commands are package scripts', () => {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
    for (const [, , script = ''] of readme.matchAll(/npm (run )?(\w[\w:]*)/g))
      if (script !== 'packages') expect(scripts).toHaveProperty(script);
  });

  test('links lead somewhere', () => {
    for (const [, link = ''] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g))
      expect(() => readFileSync(link.endsWith('/') ? `${link}README.md` : link)).not.toThrow();
  });

  test('is at most 120 lines', () => expect(readme.split('\n').length).toBeLessThanOrEqual(120));
});

describe('names', () => {
  test.each([
    ['vault', 'ab', true],
    ['vault', 'a', false],
    ['vault', '1ab', false],
    ['vault', 'a_b', false],
    ['vault', 'x'.repeat(50), true],
    ['vault', 'x'.repeat(51), false],
    ['job', 'hq_2026-a', true],
    ['job', 'HQ', false],
    ['job', 'with space', false],
    ['job', '9lives', false],
    ['drive', '7F3A00000000C0DE', true],
    ['drive', '7f3a', false],
  ] as const)('%s name %j: %p', (kind, text, allowed) => {
    const parse = (): string => parseName(kind, text);
    if (allowed) expect(parse()).toBe(text);
    else expect(parse).toThrow(`${kind} name`);
    expect(NAME_RULES[kind].says).toMatch(/\w/);
  });
});
