import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { type StartedChild, startChild } from '../../pipeline/child.ts';
import type { BackupTask, Progress } from '../../pipeline/child-tasks.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { newTestVault, perform, stagingTask, type TestVault, Workbench } from './fixture.ts';

let vault: TestVault;
let slowly: BackupTask;
let runs = 0;
const bench = new Workbench('child');
beforeAll(async () => {
  vault = await newTestVault();
  await preparePlace(bench.at('staging'));
  const source = bench.makeDirectory('source');
  for (let number = 0; number < 64; number++)
    writeFileSync(path.join(source, `${number}`), Buffer.alloc(1 * MIB, number));
  slowly = stagingTask(vault, bench, source, { bytesPerSecondMax: 1 * MIB });
});
afterAll(() => bench.close());

/** A backup of a minute, of a run of its own. */
function slowTask(): BackupTask {
  runs += 1;
  return { ...slowly, run: `slow-${runs}` };
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function isGone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 100 && isAlive(pid); tries++) await sleep(50);
  return !isAlive(pid);
}

describe('a child', () => {
  test('is gone when the promise of an aborted task has settled', async () => {
    const killer = new AbortController();
    let pid = 0;
    const attempt = perform(slowTask(), vault.secrets, {
      signal: killer.signal,
      onStart: (started) => {
        pid = started;
      },
      onProgress: () => killer.abort(new Error('cancelled')),
    });
    await expect(attempt).rejects.toThrow('cancelled');
    expect(isAlive(pid)).toBe(false);
  });

  test('that shall be idle is behind all others at disk and processor', async () => {
    const killer = new AbortController();
    let classes = '';
    let pid = 0;
    const attempt = perform(slowTask(), vault.secrets, {
      signal: killer.signal,
      idle: true,
      onStart: (started) => {
        pid = started;
      },
      onProgress: () => {
        const disk = execFileSync('ionice', ['-p', `${pid}`], { encoding: 'utf8' });
        classes = `${disk.trim()} ${readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ')[16]}`;
        killer.abort(new Error('seen'));
      },
    });
    await expect(attempt).rejects.toThrow('seen');
    expect([classes, isAlive(pid)]).toEqual(['idle 19', false]);
  });

  test('killed by someone else is a failure by name', async () => {
    const attempt = perform(slowTask(), vault.secrets, {
      onStart: (pid) => setTimeout(() => process.kill(pid, 'SIGKILL'), 300),
    });
    await expect(attempt).rejects.toMatchObject({ code: 'ChildDied' });
  });

  test('brings its failure code, and no file name', async () => {
    const broken: BackupTask = {
      ...slowTask(),
      to: { kind: 'staging', place: { url: `file://${bench.at('unmounted')}` } },
    };
    const error: unknown = await perform(broken, vault.secrets).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'Unreachable' });
    expect(String(error)).not.toContain('unmounted');
  });

  test('tells what it has done while it does it', async () => {
    const heard: Progress[] = [];
    const killer = new AbortController();
    const attempt = perform({ ...slowTask(), bytesPerSecondMax: 8 * MIB }, vault.secrets, {
      signal: killer.signal,
      onProgress: (progress) => heard.push(progress) > 3 && killer.abort(new Error('enough')),
    });
    await expect(attempt).rejects.toThrow('enough');
    expect(heard.at(-1)?.filesDone).toBeGreaterThan(0);
  });

  test('has no secret in its arguments or environment, and dies with its parent', async () => {
    const module = new URL('../../dist/pipeline/child.js', import.meta.url).href;
    const code = `
      const { runChild } = await import(${JSON.stringify(module)});
      const { task, secrets } = JSON.parse(process.env.ORDER);
      let child = 0;
      await runChild(task, { secrets, onProgress: () => console.log(child), log() {},
        signal: new AbortController().signal, onStart: (pid) => { child = pid; } });`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', code], {
      env: { ORDER: JSON.stringify({ task: slowTask(), secrets: vault.secrets }) },
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
    });
    const pid = Number.parseInt(String(await new Promise((resolve) => parent.stdout.once('data', resolve))), 10);
    const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1') + readFileSync(`/proc/${pid}/environ`, 'latin1');
    expect(words).not.toContain(vault.secrets.credentials?.slice(100, 140));
    expect(isAlive(pid)).toBe(true);
    process.kill(pid, 'SIGSTOP'); // as good as a long system call: it hears nothing of its stdin
    parent.kill('SIGKILL');
    expect(await isGone(pid)).toBe(true);
  });

  test('that is stopped for good is killed by the next attempt of its run', async () => {
    let first = 0;
    const slow = slowTask();
    const stopped = perform(slow, vault.secrets, {
      onStart: (pid) => {
        first = pid;
      },
    }).catch((error: unknown) => error);
    await sleep(1000);
    process.kill(first, 'SIGSTOP');
    const { bytesPerSecondMax: _, ...quick } = slow;
    await expect(perform(quick, vault.secrets)).resolves.toMatchObject({ files: 64 });
    expect(await stopped).toMatchObject({ code: 'ChildDied' });
  });
});

describe('a child that was started before its order', () => {
  async function whoDid(started: StartedChild): Promise<number> {
    let pid = 0;
    const { bytesPerSecondMax: _, ...quick } = slowTask();
    const onStart = (by: number): void => {
      pid = by;
    };
    await perform(quick, vault.secrets, { started, onStart });
    return pid;
  }

  test('does it', async () => {
    const started = startChild(slowTask(), {});
    await sleep(500);
    expect(await whoDid(started)).toBe(started.pid);
  });

  test('and has ended meanwhile is not waited for', async () => {
    const started = startChild(slowTask(), {});
    process.kill(started.pid ?? 0, 'SIGKILL');
    await once(started, 'exit');
    expect(await whoDid(started)).not.toBe(started.pid);
  });

  test('and never gets one does not keep its parent, and ends with it', async () => {
    const module = new URL('../../dist/pipeline/child.js', import.meta.url).href;
    const code = `
      const { startChild } = await import(${JSON.stringify(module)});
      console.log(startChild({ kind: 'restore' }, {}).pid);`;
    const words = ['--input-type=module', '-e', code];
    const pid = Number(execFileSync(process.execPath, words, { encoding: 'utf8', timeout: 10_000 }));
    expect(pid).toBeGreaterThan(1);
    expect(await isGone(pid)).toBe(true);
  });
});
