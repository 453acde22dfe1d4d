/** What an owner does without any server: a vault in a folder, its words, and the files it gives out. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../client/command-tree.ts';
import { FAILURES } from '../../domain/failure.ts';

const root = mkdtempSync(path.join(os.tmpdir(), 'seedship-owner-'));
const at = (name: string): string => path.join(root, name);
const vault = pathToFileURL(at('vault')).href;
afterAll(() => rmSync(root, { recursive: true }));

/** Types a command on one of two computers, without a terminal. */
function type(computer: string, ...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['dist/client/main.js', ...words], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: root, SEEDSHIP_STATE_DIR: at(computer), SEEDSHIP_HOST: computer },
  });
}

function secret(name: string, text: string): string {
  writeFileSync(at(name), `${text}\n`, { mode: 0o600 });
  return at(name);
}

const passphrase = ['--passphrase-file', secret('passphrase', 'correct horse battery staple')];
const create = ['vault', 'create', 'main', '--region', 'lab', '--destination', vault];

describe('a vault', () => {
  test('is not made when nobody could see its recovery words', () => {
    const { status, stderr } = type('desk', ...create, ...passphrase);
    expect([status, stderr]).toEqual([2, expect.stringContaining('--words-out FILE')]);
    expect(existsSync(at('vault/config'))).toBe(false);
  });

  test('never writes its words where a log may take them, with --json neither', () => {
    const { status, stdout, stderr } = type('desk', ...create, ...passphrase, '--json');
    expect([status, stderr, JSON.parse(stdout)]).toMatchObject([2, '', { hint: 'add --words-out FILE' }]);
    expect(existsSync(at('vault/config'))).toBe(false);
  });

  test('is not made with a passphrase of less than 16 characters', () => {
    const short = ['--passphrase-file', secret('short', 'fifteen letters')];
    const { status, stderr } = type('desk', ...create, ...short, '--words-out', at('words-of-none'));
    expect([status, stderr]).toEqual([2, expect.stringContaining('16 characters')]);
    expect(existsSync(at('vault/config'))).toBe(false);
  });

  test('is made once; its words lie in a file of one’s own', () => {
    const nonsense = [...create, ...passphrase, '--redundancy', 'double', '--words-out', at('words')];
    expect(type('desk', ...nonsense).status).toBe(2);
    const zone = [...create, ...passphrase, '--redundancy', 'zone', '--words-out', at('words')];
    expect(type('desk', ...zone).status).toBe(0);
    expect(JSON.parse(type('desk', 'vault', 'show', '--json').stdout).data).toMatchObject({
      ...{ name: 'main', region: 'lab', redundancy: 'zone' },
    });
    expect(readFileSync(at('words'), 'utf8').trim().split(' ')).toHaveLength(24);
    expect(statSync(at('words')).mode & 0o777).toBe(0o600);
    expect(type('desk', ...create, ...passphrase, '--words-out', at('other')).status).toBe(6);
  });

  test('opens on another computer by its words, and by no others', () => {
    expect(type('elsewhere', 'vault', 'open', vault, '--words-file', at('words')).status).toBe(0);
    const others = secret('others', `${'abandon '.repeat(23)}art`);
    expect(type('elsewhere', 'vault', 'open', vault, '--words-file', others).status).toBe(12);
  });

  test('keeps its old words when the new ones cannot be shown', () => {
    expect(type('desk', 'key', 'words', ...passphrase, '--words-out', at('words')).status).toBe(6);
    expect(type('elsewhere', 'vault', 'open', vault, '--words-file', at('words')).status).toBe(0);
  });

  test('forgets its old words when it has new ones', () => {
    expect(type('desk', 'key', 'words', ...passphrase, '--words-out', at('new-words')).status).toBe(0);
    expect(type('elsewhere', 'vault', 'open', vault, '--words-file', at('new-words')).status).toBe(0);
    expect(type('elsewhere', 'vault', 'open', vault, '--words-file', at('words')).status).toBe(12);
  });
});

describe('credentials', () => {
  const issue = (...words: string[]) => type('desk', 'vault', 'credentials', ...words, ...passphrase);

  test('make a computer a machine, with the code that was shown and no other', () => {
    const out = ['--out', at('hq.cred'), '--code-out', at('code')];
    expect(issue('--machine', 'hq', ...out).status).toBe(0);
    const register = ['agent', 'register', '--credentials', at('hq.cred'), '--code-file'];
    expect(type('hq', ...register, secret('wrong', 'AAAA-BBBB-CCCC-DDDD')).status).toBe(12);
    expect(type('hq', ...register, at('code')).status).toBe(0);
    expect(JSON.parse(type('hq', 'agent', 'show', '--json').stdout).data).toMatchObject([
      { role: 'machine', id: 'hq' },
    ]);
    expect(JSON.parse(type('desk', 'agent', 'list', '--json').stdout).data).toMatchObject([
      { name: 'hq', state: 'registered', domain: 'hq' },
    ]);
  });

  test('of an older file are refused, the newest ones are taken twice', () => {
    for (const file of ['older', 'newer'])
      expect(issue('--machine', 'lab', '--out', at(`${file}.cred`), '--code-out', at(`${file}.code`)).status).toBe(0);
    const register = (file: string) =>
      type('lab', 'agent', 'register', '--credentials', at(`${file}.cred`), '--code-file', at(`${file}.code`));
    expect([register('older').status, register('older').stderr]).toEqual([6, expect.stringContaining('newer')]);
    expect(type('lab', 'agent', 'show', '--json').stdout).not.toContain('machine');
    for (const file of ['newer', 'newer']) expect(register(file).status).toBe(0);
    expect(register('older').status).toBe(6);
  });

  test('let a network protection begin only when the newest words were proved', () => {
    const protect = ['protection', 'create', 'docs', '--item', root, '--initial', 'network'];
    const unreachable = ['--temporal-address', '127.0.0.1:1'];
    const refused = type('lab', ...protect, ...unreachable);
    expect([refused.status, refused.stderr]).toEqual([6, expect.stringContaining('next: seedship key verify-words')]);
    expect(type('desk', 'key', 'verify-words', '--words-file', at('new-words')).status).toBe(0);
    expect(type('lab', ...protect, ...unreachable).status).toBe(5);
    expect(type('desk', 'key', 'words', ...passphrase, '--words-out', at('newest-words')).status).toBe(0);
    expect(type('lab', ...protect, ...unreachable).status).toBe(6);
  });

  test.each([
    [['--machine', 'a', '--operator', 'b'], 2],
    [['--site', 'source.hq'], 2],
    [['--site', 'nonsense'], 2],
    [['--machine', 'Not A Name'], 2],
  ])('%j are refused', (words, exit) => {
    expect(issue(...words, '--out', at('refused.cred')).status).toBe(exit);
    expect(existsSync(at('refused.cred'))).toBe(false);
  });
});

describe('hints', () => {
  const known = new Set(COMMANDS.map(({ path: words }) => words));

  test.each(Object.entries(FAILURES))('what helps against %s is in this release', (_code, { hint }) => {
    for (const [, noun = '', verb = ''] of hint.matchAll(/seedship ([a-z-]+) ?([a-z-]*)/g))
      expect([hint, known.has(noun) || known.has(`${noun} ${verb}`)]).toEqual([hint, true]);
  });
});
