/** install.mjs on a machine that lacks something, and two of them at once; its whole way is walked by .ci/run. */
import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-install-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function clone(name: string): string {
  const folder = path.join(dir, name);
  mkdirSync(folder);
  for (const file of ['install.mjs', 'package.json', 'package-lock.json', 'tsconfig.build.json'])
    copyFileSync(file, path.join(folder, file));
  return folder;
}

describe('a fresh clone', () => {
  test('on a bare machine says all that is missing, and how to get it', () => {
    const bin = path.join(dir, 'bin');
    mkdirSync(bin);
    symlinkSync(process.execPath, path.join(bin, 'node'));
    const words = { cwd: clone('bare'), env: { PATH: bin, HOME: dir }, encoding: 'utf8' } as const;
    const { status, stderr } = spawnSync(process.execPath, ['install.mjs'], words);
    expect(status).toBe(1);
    for (const name of ['python3', 'pip', 'make', 'g++'])
      expect(stderr).toMatch(new RegExp(`^ {2}${name.replaceAll('+', '\\+')} `, 'm'));
    expect(stderr).toContain('apt-get install -y --no-install-recommends python3 python3-pip make g++');
    expect(stderr).not.toContain('    at ');
  });

  test('without packages is not built, and says what to run', () => {
    const cwd = clone('empty');
    mkdirSync(path.join(cwd, 'domain'));
    writeFileSync(path.join(cwd, 'domain', 'units.ts'), '');
    const { status, stderr } = spawnSync(process.execPath, ['install.mjs', '--build'], { cwd, encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toContain('node install.mjs');
  });
});

describe('the lock', () => {
  const folder = clone('locked');
  const log = path.join(folder, 'log');
  const script = `
    import { appendFileSync } from 'node:fs';
    import { lock } from './install.mjs';
    for (let round = 0; round < 5; round += 1) {
      const unlock = await lock();
      appendFileSync('log', 'in ');
      await new Promise((resolve) => setTimeout(resolve, 20));
      appendFileSync('log', 'out ');
      unlock();
    }`;
  const locking = (text: string) =>
    spawn(process.execPath, ['--input-type=module', '-e', text], { cwd: folder, stdio: 'ignore' });
  const ended = (child: ReturnType<typeof locking>) => new Promise((resolve) => child.once('exit', resolve));

  test('is held by one process at a time', async () => {
    expect(await Promise.all([1, 2, 3].map(() => ended(locking(script))))).toEqual([0, 0, 0]);
    expect(readFileSync(log, 'utf8')).toBe('in out '.repeat(15));
  });

  test('of a process that was killed is free', async () => {
    writeFileSync(log, '');
    const holder = locking(`import { lock } from './install.mjs'; await lock();
      (await import('node:fs')).writeFileSync('held', ''); setInterval(() => {}, 1000);`);
    while (!existsSync(path.join(folder, 'held'))) await new Promise((resolve) => setTimeout(resolve, 20));
    holder.kill('SIGKILL');
    await ended(holder);
    expect(await ended(locking(script))).toBe(0);
    expect(readFileSync(log, 'utf8')).toBe('in out '.repeat(5));
  });
});
