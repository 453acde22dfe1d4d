import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type PartEvent, processPart, Supervisor } from '../../host/supervisor.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'seedship-supervisor-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const WAIT = 'setInterval(() => {}, 1e9)';

function part(name: string, script: string, graceMs = 2000) {
  const words = ['-e', script];
  return processPart({
    name,
    program: process.execPath,
    words,
    environment: {},
    logs: path.join(dir, 'logs'),
    graceMs,
  });
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

async function until(holds: () => boolean, ms = 15_000): Promise<void> {
  for (const end = Date.now() + ms; !holds(); await sleep(20)) if (Date.now() > end) throw new Error('it never held');
}

describe('a supervisor', () => {
  test('starts a part again when it ends by itself', async () => {
    const events: PartEvent[] = [];
    const supervisor = new Supervisor(dir, (event) => events.push(event));
    await supervisor.keep(part('one', WAIT));
    process.kill(events[0]?.pid ?? 0, 'SIGKILL');
    await until(() => events.filter(({ event }) => event === 'started').length === 2);
    expect(events.map(({ event }) => event)).toEqual(['started', 'ended', 'started']);
    await supervisor.close();
    expect(events.every(({ pid }) => pid === undefined || !alive(pid))).toBe(true);
  });

  test('stops its parts in the reverse order of their start', async () => {
    const trace = path.join(dir, 'trace');
    const script = (name: string) =>
      `process.on('SIGTERM', () => { require('fs').appendFileSync('${trace}', '${name} '); process.exit() });${WAIT};
       require('fs').writeFileSync('${dir}/${name}', '')`;
    const supervisor = new Supervisor(dir);
    for (const name of ['server', 'worker']) await supervisor.keep(part(name, script(name)));
    await until(() => existsSync(`${dir}/server`) && existsSync(`${dir}/worker`));
    await supervisor.close();
    expect(readFileSync(trace, 'utf8')).toBe('worker server ');
  });

  test('ends a part by force when its grace is over', async () => {
    const pids: (number | undefined)[] = [];
    const supervisor = new Supervisor(dir, ({ pid }) => pids.push(pid));
    const deaf = `process.on('SIGTERM', () => {});${WAIT};require('fs').writeFileSync('${dir}/deaf', '')`;
    await supervisor.keep(part('deaf', deaf, 300));
    await until(() => existsSync(`${dir}/deaf`));
    await supervisor.close();
    expect(alive(pids[0] ?? 0)).toBe(false);
  });

  test('writes what a part says to a file of its own', async () => {
    const supervisor = new Supervisor(dir);
    await supervisor.keep(part('loud', `console.log('out'); console.error('err');${WAIT}`));
    const file = path.join(dir, 'logs/loud.log');
    await until(() => /out\nerr/.test(readFileSync(file, 'utf8')));
    await supervisor.close();
  });

  test('a second one on the same state directory is refused, and may begin when the first has ended', async () => {
    const first = new Supervisor(dir);
    expect(() => new Supervisor(dir)).toThrow(`already runs on this state directory, as process ${process.pid}`);
    await first.close();
    await new Supervisor(dir).close();
  });

  test('killed with -9, it leaves no process and no lock in the way', async () => {
    const child = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `
        const { Supervisor, processPart } = await import('${fileURLToPath(new URL('../../dist/host/supervisor.js', import.meta.url))}');
        const supervisor = new Supervisor('${dir}', ({ pid }) => console.log(pid));
        const plan = { program: process.execPath, words: ['-e', '${WAIT}'], environment: {}, logs: '${dir}/logs', graceMs: 1000 };
        for (const name of ['a', 'b']) await supervisor.keep(processPart({ ...plan, name }));
      `,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    await until(() => said.trim().split('\n').length === 2);
    const pids = said.trim().split('\n').map(Number);
    expect(pids.every(alive)).toBe(true);
    child.kill('SIGKILL');
    await until(() => !pids.some(alive));
    await new Supervisor(dir).close();
  });

  test('a dead holder that nobody has reaped does not keep the lock', async () => {
    const forks = 'import os, time; pid = os.fork(); pid or os._exit(0); print(pid, flush=True); time.sleep(60)';
    const keeper = spawn('python3', ['-c', forks], { stdio: ['ignore', 'pipe', 'inherit'] }); // a shell may reap
    try {
      const pid = await new Promise<string>((resolve) =>
        keeper.stdout.once('data', (text) => resolve(`${text}`.trim())),
      );
      const fields = (): string[] => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
      await until(() => fields()[2] === 'Z');
      await new Supervisor(dir).close();
      writeFileSync(path.join(dir, 'up.lock', `${pid}-${fields()[21]}`), '');
      await new Supervisor(dir).close();
    } finally {
      keeper.kill();
    }
  });

  test('a dead holder whose number is used again does not keep the lock', async () => {
    const supervisor = new Supervisor(dir);
    await supervisor.close();
    writeFileSync(path.join(dir, 'up.lock', `${process.pid}-1`), '');
    await new Supervisor(dir).close();
  });
});
