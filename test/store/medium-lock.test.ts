import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { lockMedium } from '../../store/medium-lock.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-lock-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const inDir = (name: string) => path.join(dir, name);

/** Another process that takes the lock, says so, and does nothing more. */
async function holder(file: string): Promise<ChildProcess> {
  const script = `
    import { lockMedium } from ${JSON.stringify(path.resolve('dist/store/medium-lock.js'))};
    globalThis.lock = await lockMedium(${JSON.stringify(file)});
    console.log('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

const ended = (child: ChildProcess) => new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));

describe('a medium', () => {
  test('is held until it is let go, by one at a time; its file is private', async () => {
    const file = inDir('free');
    const first = await lockMedium(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid });
    await expect(lockMedium(file, 50)).rejects.toMatchObject({ code: 'LockHeld' });
    first.release();
    expect(readFileSync(file, 'utf8')).toBe('');
    (await lockMedium(file, 50)).release();
  });

  test('whoever holds it is ended by the next attempt, also when it was stopped', async () => {
    const file = inDir('held');
    for (const stop of [false, true]) {
      const child = await holder(file);
      if (stop) process.kill(child.pid ?? 0, 'SIGSTOP');
      const gone = ended(child);
      const lock = await lockMedium(file);
      expect(await gone).toBe('SIGKILL');
      lock.release();
    }
  });

  test('of a holder nobody here knows it is attention, not for ever', async () => {
    const file = inDir('foreign');
    for (const says of ['', 'garbage', '{"pid":999999,"started":"1","run":""}']) {
      writeFileSync(file, says);
      const child = spawn('flock', [file, 'sleep', '60'], { detached: true });
      while (tryNow(file)) await new Promise((resolve) => setTimeout(resolve, 10));
      await expect(lockMedium(file, 100)).rejects.toMatchObject({ code: 'LockHeld' });
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    }
  });

  test('a stranger that has the holder’s number by now is left alone', async () => {
    const file = inDir('reused');
    const stranger = spawn('sleep', ['60']);
    writeFileSync(file, JSON.stringify({ pid: stranger.pid, started: '1', run: '' }));
    const child = spawn('flock', [file, 'sleep', '60'], { detached: true });
    while (tryNow(file)) await new Promise((resolve) => setTimeout(resolve, 10));
    await expect(lockMedium(file, 100)).rejects.toMatchObject({ code: 'LockHeld' });
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    stranger.kill('SIGKILL');
  });

  test('a holder that works for another run goes first, and is not ended', async () => {
    const file = inDir('busy');
    const child = await holder(file);
    await expect(lockMedium(file, 50, 'another run')).rejects.toMatchObject({ code: 'Busy' });
    expect(child.exitCode ?? child.signalCode).toBeNull();
    child.kill('SIGKILL');
    await ended(child);
    (await lockMedium(file, 50, 'another run')).release();
  });

  test('a link in the place of its file is refused', async () => {
    execFileSync('ln', ['-s', inDir('elsewhere'), inDir('planted')]);
    await expect(lockMedium(inDir('planted'), 50)).rejects.toMatchObject({ code: 'ELOOP' });
  });
});

function tryNow(file: string): boolean {
  try {
    execFileSync('flock', ['-n', file, 'true']);
    return true;
  } catch {
    return false;
  }
}
