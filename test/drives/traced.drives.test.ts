/** A whole `drive prepare`, watched from outside: which devices any of its processes opened and wrote to. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { joinAsCopyHost } from '../harness/copy-host.ts';
import { Embedded, makeTree } from '../harness/embedded.ts';
import { LoopDisk, releaseDisks } from '../harness/loop-disk.ts';

/** All that can write to a device or change its table, and what would go unseen. */
const CALLS = [
  ...['open', 'openat', 'openat2', 'write', 'writev', 'pwrite64', 'pwritev', 'pwritev2', 'fallocate', 'ioctl'],
  ...['copy_file_range', 'sendfile', 'splice', 'io_uring_setup', 'mount', 'fsconfig', 'execve'],
];
const CHANGES = /^\d+ +(?:write|writev|pwrite64|pwritev|pwritev2|fallocate|copy_file_range|sendfile|splice)\(/;
const OPENS = /^\d+ +open(?:at2?)?\(.*O_(?:RDWR|WRONLY)/;
const TABLES = /^\d+ +ioctl\(.*BLK(?:DISCARD|SECDISCARD|ZEROOUT|PG|RRPART|ROSET)/;
const QUESTION_MS = 60_000;
const system = new Embedded('traced', { SEEDSHIP_PACK_SIZE: '1MiB' });
const source = system.at('source');
const attic = new Embedded('attic', { SEEDSHIP_PACK_SIZE: '1MiB', SEEDSHIP_HOST: 'attic' });
const disk = (serial: string) => new LoopDisk({ bytes: 400 * MIB, serial });

beforeAll(async () => {
  await makeTree(source, '--files', '100', '--bytes', '20000000');
  await system.start();
  await system.setUp(source);
  await system.must('job', 'start', 'j4', '--protection', 'docs', '--staging', system.at('staging'));
  const stop = await joinAsCopyHost(attic, system);
  await stop(); // another one is started, and traced
}, 240_000);
afterAll(async () => {
  await attic.close();
  await system.close();
  releaseDisks();
}, 60_000);

const tracing = (file: string) => [
  ...['strace', '-D', '-f', '-q', '-yy', '-s', '64', '--seccomp-bpf', '-e', 'signal=none'],
  ...['-e', `trace=${CALLS.join(',')}`, '-o', file],
];

/** The lines of a trace, once the process it is of has ended. */
async function traced(file: string): Promise<string[]> {
  for (let tries = 0; tries < 100; tries += 1) {
    const lines = readFileSync(file, 'utf8').split('\n');
    const [pid = '-'] = lines[0]?.split(' ') ?? [];
    if (lines.some((line) => line.startsWith(`${pid} `) && line.includes('+++ '))) return lines;
    await sleep(200);
  }
  throw new Error(`${file} has no end`);
}

/** The devices, by number, of the calls of one kind. */
function devices(lines: readonly string[], kind: RegExp): string[] {
  const calls = lines.filter((line) => kind.test(line));
  return [...new Set(calls.flatMap((line) => [...line.matchAll(/<block (\d+:\d+)>/g)].map(([, at = '']) => at)))];
}

describe('preparing a drive', () => {
  test('opens and writes no device but the one that was named, in client, worker and filling child', async () => {
    const named = disk('NAMED-1');
    const decoys = [disk('DECOY-1'), disk('DECOY-2')];
    const before = decoys.map((decoy) => decoy.state());
    const [client, worker] = [system.at('client.trace'), system.at('worker.trace')];
    attic.through = tracing(worker);
    const stop = attic.stay('worker', 'run', 'copy');
    attic.through = tracing(client);
    const words = ['--job', 'j4', '--confirm-serial', 'NAMED-1', '--staging', system.at('staging')];
    const { data } = await attic.must('drive', 'prepare', named.device, ...words, '--capacity', '8MB');
    attic.through = [];
    expect(Object(data)).toMatchObject({ state: 'Prepared', host: 'attic' });
    await stop();
    const folder = `/sys/dev/block/${named.number}/${path.basename(named.device)}p1/dev`;
    const mine = [named.number, readFileSync(folder, 'utf8').trim()].sort();
    const [byClient, byWorker] = [await traced(client), await traced(worker)];
    expect(devices(byClient, CHANGES).sort()).toEqual(mine);
    expect(devices(byClient, OPENS).filter((at) => !mine.includes(at))).toEqual([]);
    expect(devices(byWorker, CHANGES)).toEqual([]); // it writes to a file system that it has mounted
    expect(devices(byWorker, OPENS)).toEqual([]);
    for (const lines of [byClient, byWorker]) {
      expect(devices(lines, TABLES).filter((at) => !mine.includes(at))).toEqual([]);
      expect(lines.filter((line) => line.includes('io_uring_setup('))).toEqual([]); // nothing is written unseen
    }
    const [main] = byWorker[0]?.split(' ') ?? [];
    const filling = byWorker.find((line) => CHANGES.test(line) && /\/objects\/000\/000000\.1>/.test(line));
    expect(filling?.split(' ')[0]).not.toBe(main);
    expect(filling).toBeDefined();
    expect(decoys.map((decoy) => decoy.state())).toEqual(before);
  }, 240_000);
});

describe('two copy hosts that want the last objects', () => {
  test('get them once: the other disk is not touched, though its serial number was typed', async () => {
    const [slow, quick, late] = [disk('SLOW-1'), disk('QUICK-1'), disk('LATE-1')];
    const before = [slow.state(), late.state()];
    const asked = askedFor(attic, ['drive', 'prepare', slow.device, '--job', 'j4']);
    await asked.question;
    const serial = ['--confirm-serial', 'QUICK-1'];
    const { data } = await system.must('drive', 'prepare', quick.device, '--job', 'j4', ...serial, '--no-wait');
    expect(Object(data)).toMatchObject({ objects: expect.any(Number) });
    const words = ['--job', 'j4', '--confirm-serial', 'LATE-1'];
    const refused = await attic.type('drive', 'prepare', late.device, ...words); // the quick one is being written
    expect(refused.lines.at(-1)).toMatchObject({ code: 'WrongState', message: 'no object waits for a drive' });
    const { status, shown } = await asked.answer('SLOW-1');
    expect([status, shown]).toEqual([6, expect.stringContaining('no object waits for a drive')]);
    expect([slow.state(), late.state()]).toEqual(before);
  }, 240_000);
});

describe('a staging location of two jobs', () => {
  test('names both, and touches no disk until one is chosen', async () => {
    for (const job of ['j5', 'j6']) {
      const [folder, protection] = [system.at(`source-of-${job}`), `items-of-${job}`];
      await makeTree(folder, '--files', '10', '--bytes', '1000000');
      await system.must('protection', 'create', protection, '--item', folder, '--initial', 'offline');
      await system.must('job', 'start', job, '--protection', protection, '--staging', system.at('staging'));
      await system.must('job', 'watch', job, '--until', 'Preparing');
    }
    const chosen = disk('CHOSEN-1');
    const before = chosen.state();
    const words = [
      'drive',
      'prepare',
      chosen.device,
      '--confirm-serial',
      'CHOSEN-1',
      '--staging',
      system.at('staging'),
    ];
    const refused = await system.type(...words);
    expect([refused.status, refused.lines.at(-1)]).toMatchObject([
      2,
      { code: 'Usage', message: expect.stringMatching(/^several jobs wait for a drive: (j5, j6|j6, j5)$/) },
    ]);
    expect(chosen.state()).toEqual(before);
    expect(Object((await system.must(...words, '--job', 'j5')).data)).toMatchObject({ state: 'Prepared' });
    const filled = chosen.state();
    expect((await system.type(...words, '--job', 'j6')).lines.at(-1)).toMatchObject({
      ...{ code: 'WrongState', message: expect.stringMatching(/ of the job j5$/) },
      hint: `seedship drive erase ${chosen.device} --job j5, then the same command`,
    });
    expect(chosen.state()).toEqual(filled);
  }, 240_000);
});

interface Asked {
  /** Resolves when the question for the serial number is on the terminal. */
  readonly question: Promise<void>;
  answer(text: string): Promise<{ readonly status: number; readonly shown: string }>;
}

/** A command at a terminal, where somebody takes their time. */
function askedFor(host: Embedded, words: readonly string[]): Asked {
  const main = fileURLToPath(new URL('../../dist/client/main.js', import.meta.url));
  const line = [process.execPath, main, ...words].map((word) => `'${word}'`).join(' ');
  const command = `stty rows 40 columns 160; exec ${line}`;
  const child: ChildProcess = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: host.root,
    env: host.environment,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let shown = '';
  const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
  const question = new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (text: Buffer) => {
      shown += text;
      if (shown.includes('Type the serial')) resolve();
    });
    child.once('close', () => reject(new Error(`it asked nothing: ${shown}`)));
    setTimeout(() => child.kill(), QUESTION_MS).unref();
  });
  return {
    question,
    async answer(text) {
      child.stdin?.write(`${text}\r`);
      return { status: await ended, shown };
    },
  };
}
