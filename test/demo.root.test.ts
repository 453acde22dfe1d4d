/** Ctrl-C at any moment of the demo leaves no process, no mount, no loop device and no folder behind. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';

const root = mkdtempSync(path.join(os.tmpdir(), 'seedship-demo-test-'));
const source = path.resolve('node_modules/@aws-sdk');
afterAll(() => void execFileSync('rm', ['-rf', root]));

/** Moments, by what the demo says when it has come there. */
const MOMENTS = ['── Servers', '── 1 Staging', 'drive prepare', '── 5 Receiving', '── 7 Scheduled'];

interface Interrupted {
  readonly code: number | null;
  readonly told: string;
}

/** Runs the demo in a process group of its own, as a terminal does, and interrupts the whole group. */
function interruptAt(moment: string, data: string): Promise<Interrupted> {
  const demo = spawn(process.execPath, ['dist/client/main.js', 'demo', '--source', source], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, XDG_DATA_HOME: data, XDG_STATE_HOME: data, XDG_CONFIG_HOME: data },
  });
  let told = '';
  const hear = (chunk: Buffer): void => {
    const before = told.includes(moment);
    told += chunk.toString();
    if (!before && told.includes(moment)) setTimeout(() => process.kill(-(demo.pid ?? 0), 'SIGINT'), 700);
  };
  demo.stdout.on('data', hear);
  demo.stderr.on('data', hear);
  return new Promise((resolve) => demo.once('exit', (code) => resolve({ code, told })));
}

/** Every process whose command line or environment names the folder. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const said = readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8');
        return said.includes(folder) ? [said.replaceAll('\0', ' ').slice(0, 200)] : [];
      } catch {
        return []; // it ended while it was looked at
      }
    });
}

describe('demo', () => {
  test.each(MOMENTS)(
    'interrupted at “%s” leaves nothing behind',
    async (moment) => {
      const data = mkdtempSync(path.join(root, 'data-'));
      const { code, told } = await interruptAt(moment, data);
      expect([code, told.includes(moment), code === 130 ? '' : told.slice(-2000)]).toEqual([130, true, '']);
      expect(processesOf(data)).toEqual([]);
      expect(readFileSync('/proc/mounts', 'utf8')).not.toContain(data);
      expect(execFileSync('losetup', ['--list', '--output', 'BACK-FILE'], { encoding: 'utf8' })).not.toContain(data);
      expect(readdirSync(path.join(data, 'seedship'))).toEqual([]);
    },
    300_000,
  );

  test('killed with -9 it leaves no process and no mount either', async () => {
    const data = mkdtempSync(path.join(root, 'data-'));
    const demo = spawn(process.execPath, ['dist/client/main.js', 'demo', '--source', source], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, XDG_DATA_HOME: data, XDG_STATE_HOME: data, XDG_CONFIG_HOME: data },
    });
    let told = '';
    await new Promise<void>((resolve) => {
      const hear = (chunk: Buffer): void => {
        told += chunk.toString();
        if (told.includes('Drive SEEDSHIP-')) resolve();
      };
      demo.stdout.on('data', hear);
      demo.stderr.on('data', hear);
      demo.once('exit', () => resolve());
    });
    expect(told).toContain('Drive SEEDSHIP-');
    demo.kill('SIGKILL');
    for (let tries = 0; tries < 50 && processesOf(data).length > 0; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 200));
    expect(processesOf(data)).toEqual([]);
    expect(readFileSync('/proc/mounts', 'utf8')).not.toContain(data);
  }, 300_000);
});
