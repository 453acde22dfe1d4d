/** The journey by hand: every command of it, as a script would type them, with its JSON held against its schema. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { compareTrees, Embedded, makeTree, type Typed } from '../harness/embedded.ts';

const system = new Embedded('journey');
const source = system.at('source');

beforeAll(async () => {
  await makeTree(source, '--files', '400', '--bytes', '60000000');
  await system.start();
  await system.setUp(source);
}, 180_000);
afterAll(() => system.close(), 60_000);

const typed = (...words: string[]): Promise<Typed> => system.must(...words);

function field<T>(answer: Typed, name: string): T {
  return Object(answer.data)[name];
}

describe('the journey by hand', () => {
  test('a backup before the seed is staged says what to type instead', async () => {
    const answer = await system.type('backup', 'now', 'docs');
    expect(answer.status).toBe(6);
    expect(answer.lines.at(-1)).toMatchObject({
      type: 'error',
      code: 'WrongState',
      exit: 6,
      hint: expect.stringContaining('job start'),
    });
  });

  test('from a folder to a restorable point, with an incremental while the seed travels', async () => {
    const plan = await typed('job', 'plan', 'docs', '--drive-size', '8TB', '--uplink', '100kbit');
    expect(field<number>(plan, 'drives')).toBe(1);
    expect(field<number>(plan, 'lineMs')).toBeGreaterThan(field<number>(plan, 'copyingMs'));
    await typed('job', 'start', 'j1', '--protection', 'docs', '--staging', system.at('staging'));
    expect(
      (await system.type('job', 'start', 'j1', '--protection', 'docs', '--staging', system.at('staging'), '--no-wait'))
        .status,
    ).toBe(0);
    for (const name of ['d1', 'd2']) {
      mkdirSync(system.at(name));
    }
    const small = await system.type('drive', 'prepare', system.at('d1'), '--job', 'j1', '--capacity', '20kB');
    expect(small.lines.at(-1)).toMatchObject({ type: 'error', code: 'DriveFull' });
    await typed('drive', 'prepare', system.at('d1'), '--job', 'j1', '--capacity', '24MB');
    expect(field<string>(await typed('job', 'show', 'j1'), 'stage')).toBe('Preparing');
    await typed('drive', 'prepare', system.at('d2'), '--job', 'j1');
    await typed('job', 'ship', 'j1', '--carrier', 'dhl', '--tracking', 'JD014600003RU');
    const left = await system.interrupt('job', 'watch', 'j1', '--until', 'Protected', '--json');
    expect([left.status, left.stdout]).toEqual([130, expect.stringContaining('"event":"detached"')]);
    const late = await system.type('job', 'watch', 'j1', '--until', 'Protected', '--timeout', '1');
    expect([late.status, late.lines.at(-1)]).toMatchObject([10, { code: 'TimedOut', workflowId: 'seed/main/j1' }]);
    const waiting = await typed('point', 'list');
    expect(waiting.data).toMatchObject([{ kind: 'initial', restorable: false }]);
    appendFileSync(`${source}/odd/one`, 'changed while the seed travels');
    const run = field<string>(await typed('backup', 'now', 'docs'), 'workflowId');
    await typed('backup', 'show', run);
    expect((await typed('backup', 'list')).data).toHaveLength(1);
    const listed = (await typed('drive', 'list')).data as { drive: string }[];
    const drives = listed.filter(({ drive }) => drive !== ''); // the machine's own disks stand there too
    expect(drives).toHaveLength(2);
    await typed('drive', 'receive', '--job', 'j1', ...drives.flatMap(({ drive }) => ['--drive', drive]));
    for (const name of ['d1', 'd2']) await typed('drive', 'attach', system.at(name), '--job', 'j1');
    await typed('job', 'watch', 'j1', '--until', 'Protected');
    await typed('job', 'list');
    expect((await restorable(2)).map(({ restorable: one }) => one)).toEqual([true, true]);
  }, 360_000);

  test('what lies in a point can be listed, and shown', async () => {
    const listed = await typed('point', 'ls', `latest:${source}/odd`, ...system.passphrase);
    expect((listed.data as { name: string }[]).map(({ name }) => name)).toContain('before-1970');
    const { stdout } = await system.run('point', 'ls', `latest:${source}/odd`, ...system.passphrase);
    const names = stdout.trimEnd().split('\n');
    expect(names).toHaveLength((listed.data as object[]).length); // a name with a new line in it is one line all the same
    for (const name of ['raw-\\xff\\xfe', 'new\\x0aline', 'é'])
      expect(names.filter((line) => line.endsWith(`  ${name}`))).toHaveLength(1);
    const [first] = await restorable(2);
    await typed('point', 'show', String(first?.label), ...system.passphrase);
  });

  test('with staging, drives and machine state gone, the owner restores the newest point exactly', async () => {
    for (const name of ['staging', 'd1', 'd2']) rmSync(system.at(name), { recursive: true });
    rmSync(`${system.state}/catalog`, { recursive: true, force: true });
    rmSync(`${system.state}/spool`, { recursive: true, force: true });
    const done = await typed('restore', 'latest', '--to', system.at('back'), ...system.passphrase);
    expect(field<number>(done, 'skippedFiles')).toBe(0);
    expect(await compareTrees(source, `${system.at('back')}${source}`)).toBe('');
  }, 120_000);

  test('a restore that leaves what stood there says so with exit 3', async () => {
    const theirs = `${system.at('kept')}${source}/odd/one`;
    mkdirSync(path.dirname(theirs), { recursive: true });
    writeFileSync(theirs, 'mine');
    const part = [`latest:${source}/odd/one`, '--to', system.at('kept'), '--conflict', 'skip'];
    const done = await system.type('restore', ...part, ...system.passphrase);
    expect([done.status, field<number>(done, 'skippedFiles')]).toEqual([3, 1]);
    expect(readFileSync(theirs, 'utf8')).toBe('mine');
  }, 120_000);

  test('a wrong passphrase is refused with exit 12, and nothing is restored', async () => {
    writeFileSync(system.at('wrong'), 'correct horse battery stapler\n');
    const answer = await system.type(
      'restore',
      'latest',
      '--to',
      system.at('nowhere'),
      '--passphrase-file',
      system.at('wrong'),
    );
    expect([answer.status, existsSync(system.at('nowhere'))]).toEqual([12, false]);
  });

  test.each([
    ['vault', 'list'],
    ['vault', 'show'],
    ['agent', 'show'],
    ['agent', 'list'],
    ['protection', 'list'],
    ['protection', 'show', 'docs'],
    ['datacenter', 'list'],
    ['datacenter', 'show', 'home'],
    ['config', 'show', '--origin'],
    ['version'],
    ['help', 'states'],
  ])('`%s %s` answers as its schema says', async (...words) => {
    await typed(...words.filter((word) => word !== undefined));
  });

  test('a job that is there already, with another order, is refused', async () => {
    const answer = await system.type('job', 'start', 'j1', '--protection', 'docs', '--staging', system.at('elsewhere'));
    expect([answer.status, answer.lines.at(-1)?.type]).toEqual([6, 'error']);
  });
});

/** Upkeep looks at the vault a moment after each change. */
async function restorable(count: number): Promise<{ label: string; restorable: boolean }[]> {
  for (let tries = 0; ; tries += 1) {
    const points = (await system.must('point', 'list')).data as { label: string; restorable: boolean }[];
    if (points.filter((point) => point.restorable).length >= count || tries > 30) return points;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
