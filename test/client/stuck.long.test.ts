/**
 * What goes wrong on the way, and what the operator sees and types then: on a small folder, with
 * every fault put there and taken away again.
 */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SCHEMAS } from '../../client/output-schemas.ts';
import { Embedded, type Typed } from '../harness/embedded.ts';

const system = new Embedded('stuck');
const source = system.at('source');
/** Nobody can write here, not even root. */
const NOWHERE = '/sys/kernel';

beforeAll(async () => {
  mkdirSync(source);
  writeFileSync(`${source}/one`, 'one '.repeat(500_000));
  await system.start();
  await system.setUp(source);
}, 180_000);
afterAll(() => system.close(), 60_000);

async function typed(...words: string[]): Promise<Typed> {
  const answer = await system.must(...words);
  for (const { schema, data } of answer.lines)
    if (schema) expect(SCHEMAS[schema.slice('seedship.'.length, -'/v1'.length)]?.safeParse(data).success).toBe(true);
  return answer;
}

function redirect(link: string, folder: string): void {
  rmSync(link, { recursive: true, force: true });
  symlinkSync(folder, link);
}

/** Types until the answer is as wished. */
async function until(holds: (answer: Typed) => boolean, ...words: string[]): Promise<Typed> {
  for (let tries = 0; ; tries += 1) {
    const answer = await typed(...words);
    if (holds(answer) || tries > 30) return answer;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

interface Failed {
  readonly failing: readonly { readonly step: string; readonly attempt: number; readonly code: string }[];
}
const fails = ({ data }: Typed) => [data as Failed | Failed[]].flat().some(({ failing }) => failing.length > 0);

/** The lines of an error as a person reads them. */
const errorOf = ({ stderr }: { stderr: string }) => stderr.slice(stderr.indexOf('error[')).trimEnd().split('\n');

const isRestorable = ({ data }: Typed) => (data as { restorable: boolean }[]).some((point) => point.restorable);

describe('a job that fails and is tried again', () => {
  const start = ['job', 'start', 'j1', '--protection', 'docs', '--staging', system.at('staging')];
  const catalog = `${system.state}/catalog`;
  const journals = `${system.state}/journals`;
  const drive = system.at('drive');
  const prepare = ['drive', 'prepare', drive, '--job', 'j1'];
  const attach = ['drive', 'attach', drive, '--job', 'j1'];

  test('shows attempt and last failure, since no gate hears of them', async () => {
    writeFileSync(catalog, 'a file where a folder belongs');
    const begun = await typed(...start, '--no-wait');
    expect(begun.lines.at(-1)).toMatchObject({ type: 'result', data: { workflowId: 'seed/main/j1' } });
    const [job] = (await until(fails, 'job', 'list')).data as Failed[];
    expect(job?.failing).toMatchObject([{ step: 'stageBackup', code: 'Unexpected' }]);
    const says = /stage backup is tried again \(attempt \d+\): Unexpected: a system call failed with ENOTDIR/;
    for (const words of [['list'], ['show', 'j1']]) expect((await system.run('job', ...words)).stdout).toMatch(says);
    const followed = await system.type('backup', 'now', 'docs', '--timeout', '5');
    expect(followed.lines).toContainEqual(expect.objectContaining({ event: 'failing', code: 'Unexpected' }));
    expect(followed.lines.at(-1)).toMatchObject({ code: 'TimedOut', exit: 10, workflowId: 'seed/main/j1' });
  }, 240_000);

  test('is what `backup now` follows while its seed is staged', async () => {
    const handed = await typed('backup', 'now', 'docs', '--no-wait');
    expect(handed.lines.at(-1)).toMatchObject({ type: 'result', data: { workflowId: 'seed/main/j1' } });
    const { stdout } = await system.once(() => rmSync(catalog), 'backup', 'now', 'docs', '--json');
    const { data } = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
    expect(data).toMatchObject({ stage: 'Preparing', request: { job: 'j1' }, staged: { readBytes: 2_000_000 } });
    expect(Object(data).staged.sealedBytes).toBeLessThan(100_000); // compressed before it was staged
  }, 240_000);

  test('has its drive written once, however often the command is given', async () => {
    mkdirSync(drive);
    writeFileSync(journals, 'a file where a folder belongs');
    expect((await typed(...prepare, '--no-wait')).lines.at(-1)).toMatchObject({
      type: 'result',
      data: { workflowId: expect.stringContaining('/prepare/') },
    });
    const again = await system.run(...prepare, '--timeout', '1');
    expect([again.status, errorOf(again)]).toEqual([
      10,
      [expect.stringMatching(/^error/), expect.stringMatching(/^why: .*http:/), expect.stringMatching(/^next/)],
    ]);
    rmSync(journals);
    expect((await typed(...prepare)).data).toMatchObject({ state: 'Prepared' });
    expect((await typed(...prepare)).data).toMatchObject({ state: 'Prepared' });
  }, 240_000);

  test('names the drive that its point waits for', async () => {
    await typed('backup', 'now', 'docs'); // on top of the seed: it waits for the same drive
    const { lines } = await typed('job', 'show', 'j1');
    const [{ id } = { id: '' }] = Object(lines.at(-1)?.data).drives;
    const wait = { job: 'j1', drives: [id.slice(0, 4)] };
    const asWished = ({ data }: Typed) => {
      const waits = (data as { waitsFor?: object }[]).map(({ waitsFor }) => JSON.stringify(waitsFor));
      return waits.length > 1 && waits.every((one) => one === JSON.stringify(wait));
    };
    const { data } = await until(asWished, 'point', 'list');
    expect(Object(data).length).toBeGreaterThan(1);
    for (const point of data as { waitsFor?: object }[]) expect(point.waitsFor).toEqual(wait);
    const says = `packs on drive ${id.slice(0, 4)} (job j1)`;
    expect((await system.run('point', 'list')).stdout).toContain(says);
  }, 240_000);

  test('has its drive read once, however often the command is given', async () => {
    const drives = (await typed('drive', 'list')).data as { drive: string }[];
    await typed('job', 'ship', 'j1', '--carrier', 'dhl', '--tracking', 'JD014600003RU');
    await typed('drive', 'receive', '--job', 'j1', '--drive', drives[0]?.drive ?? '');
    await typed(...attach, '--no-wait');
    expect((await typed(...attach)).data).toMatchObject({ state: 'Completed' });
    await until(isRestorable, 'point', 'list');
  }, 240_000);
});

describe('recovery words made anew', () => {
  test('must be proved before the first backup of a protection', async () => {
    await typed('protection', 'create', 'net', '--item', source, '--initial', 'network', '--timezone', 'UTC');
    await typed('key', 'words', '--words-out', system.at('new-words'), ...system.passphrase);
    const refused = await system.type('backup', 'now', 'net');
    expect(refused.lines.at(-1)).toMatchObject({ exit: 6, hint: 'seedship key verify-words' });
    await typed('key', 'verify-words', '--words-file', system.at('new-words'));
    await typed('backup', 'now', 'net');
  }, 240_000);
});

describe('a restore that asked', () => {
  test('goes on when its reason is gone and the same command is given again', async () => {
    redirect(system.at('to'), NOWHERE);
    const restore = ['restore', 'latest', '--to', system.at('to', 'back'), ...system.passphrase];
    const refused = await system.type(...restore);
    expect([refused.status, refused.lines.at(-1)]).toMatchObject([4, { code: 'NotAllowed' }]);
    mkdirSync(system.at('writable'));
    redirect(system.at('to'), system.at('writable'));
    expect((await typed(...restore)).data).toMatchObject({ files: 1, skippedFiles: 0 });
  }, 240_000);
});

describe('a backup that asks', () => {
  const spool = `${system.state}/spool`;

  test('says so with the command that answers it, and goes on when it is typed', async () => {
    redirect(spool, NOWHERE);
    const asked = await system.type('backup', 'now', 'net');
    expect(asked.status).toBe(6);
    const { workflowId: run } = Object(asked.data);
    const rows = (await typed('backup', 'list')).data as { run: string; attention: { id: string; code: string }[] }[];
    expect(rows[0]).toMatchObject({ run, attention: [{ code: 'StorageRefused' }, {}] });
    const shown = (await system.run('backup', 'show', run)).stdout;
    const [, command = ''] = /seedship (backup resolve .*)$/m.exec(shown) ?? [];
    expect((await system.run('backup', 'list')).stdout).toContain(command);
    expect((await system.run('job', 'list')).stdout).toMatch(
      new RegExp(`^${run} needs: .*${command.replaceAll(/[.+]/g, '.')}$`, 'm'),
    );
    expect((await system.type('backup', 'resolve', run, '--choice', 'send')).status).toBe(6);
    rmSync(spool);
    expect((await system.run(...command.split(' '))).status).toBe(0);
    for (const { id } of (rows[0]?.attention ?? []).slice(1))
      await typed('backup', 'resolve', run, '--attention', id, '--choice', 'retry');
    expect(Object((await typed('backup', 'now', 'net')).data)).toHaveProperty('point');
    expect((await system.run('job', 'list')).stdout).not.toContain('needs: ');
  }, 240_000);

  test('is answered only where it is: not in another vault, and not when nothing asks', async () => {
    expect((await system.type('backup', 'resolve', 'seed/main/j1', '--choice', 'retry')).status).toBe(8);
    const [{ run } = { run: '' }] = (await typed('backup', 'list')).data as { run: string }[];
    expect((await system.type('backup', 'resolve', run, '--choice', 'retry')).status).not.toBe(0);
  });
});
