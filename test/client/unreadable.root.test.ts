/**
 * Needs root, to give it up: every process of the system is held to the permissions of files, as a user is.
 * What it may not read is left out, named with the reason to whoever holds the passphrase, and told by
 * exit 3; once it may be read, the next backup has it.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { compareTrees, Embedded, type Typed } from '../harness/embedded.ts';

const TEST_MS = 120_000;
const SOMEBODY = 65_534;
/** Root without the two rights that pass over permissions, in whatever it starts. */
const HELD = ['setpriv', '--bounding-set', '-dac_override,-dac_read_search', '--inh-caps', '-all'];
const system = new Embedded('unreadable');
const source = system.at('source');
const [CLOSED, SECRET] = [`${source}/closed`, `${source}/secret`];
let point = '';

beforeAll(async () => {
  mkdirSync(CLOSED, { recursive: true });
  writeFileSync(`${source}/open`, 'to all '.repeat(1000));
  writeFileSync(`${CLOSED}/inside`, 'within');
  writeFileSync(SECRET, 'to one user '.repeat(1000));
  for (const [file, mode] of [[CLOSED, 0o700] as const, [SECRET, 0o600] as const]) {
    chmodSync(file, mode);
    chownSync(file, SOMEBODY, SOMEBODY);
  }
  system.through = HELD;
  await system.start();
  await system.setUp(source);
}, TEST_MS);
afterAll(() => system.close(), 60_000);

async function restorable(label: string): Promise<Typed> {
  for (let tries = 0; ; tries += 1) {
    const shown = await system.type('point', 'show', label, ...system.passphrase);
    if (shown.status === 0 || tries > 60) return shown;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** Files that rsync would have to send, to make the right one as the left. */
function missingByRsync(left: string, right: string): string[] {
  const words = ['-nacHAX', '--delete', '--itemize-changes', `${left}/`, `${right}/`];
  const { stdout } = spawnSync('rsync', words, { encoding: 'utf8' });
  const lines = stdout.split('\n').filter((line) => line !== '' && !/^(cd|\.d)/.test(line));
  return lines.map((line) => line.slice(line.indexOf(' ') + 1)).sort();
}

describe('files that may not be read', () => {
  test(
    'are losses of a job’s staging: exit 3, and the job says how many',
    async () => {
      const start = ['job', 'start', 'j1', '--protection', 'docs', '--staging', system.at('staging')];
      const { status, data } = await system.type(...start);
      expect([status, Object(data).staged]).toMatchObject([3, { files: 1, skippedFiles: 2 }]);
      expect((await system.run('job', 'show', 'j1')).stdout).toMatch(/^skipped +2 files could not be read$/m);
    },
    TEST_MS,
  );

  test(
    'are losses of a backup over the line, which says what shows them: each by its path and its reason',
    async () => {
      await system.must('protection', 'create', 'online', '--item', source, '--initial', 'network');
      const { status, stdout } = await system.run('backup', 'now', 'online');
      const [, command = ''] = /2 could not be read: seedship (point show (\S+))$/m.exec(stdout) ?? [];
      expect([status, command]).toEqual([3, expect.stringMatching(/^point show /)]);
      point = command.split(' ').at(-1) ?? '';
      const shown = await restorable(point);
      expect([shown.status, Object(shown.data).skippedPaths]).toEqual([
        0,
        [
          { path: CLOSED, reason: 'EACCES' },
          { path: SECRET, reason: 'EACCES' },
        ],
      ]);
      const lines = (await system.run(...command.split(' '), ...system.passphrase)).stdout;
      expect(lines).toContain(`EACCES  ${SECRET}\n`);
    },
    TEST_MS,
  );

  test(
    'do not keep the rest from coming back; once they may be read, the next backup has them',
    async () => {
      const to = system.at('back');
      await system.must('restore', point, '--to', to, ...system.passphrase);
      expect(missingByRsync(source, `${to}${source}`)).toEqual(['closed/inside', 'secret']);
      for (const file of [CLOSED, SECRET]) chownSync(file, 0, 0);
      const { data } = await system.must('backup', 'now', 'online');
      const { label } = Object(data).point;
      await restorable(label);
      const again = system.at('again');
      await system.must('restore', label, '--to', again, ...system.passphrase);
      expect(await compareTrees(source, `${again}${source}`)).toBe('');
    },
    TEST_MS,
  );
});
