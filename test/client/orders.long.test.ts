/** What is asked of a job, and what is done with one, by the commands a person types, on real servers. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SCHEMAS } from '../../client/output-schemas.ts';
import { connectClient } from '../../host/connections.ts';
import { loadSettings } from '../../host/settings.ts';
import { Embedded, makeTree, type Typed } from '../harness/embedded.ts';

const system = new Embedded('orders');
const source = system.at('source');

beforeAll(async () => {
  await makeTree(source, '--files', '60', '--bytes', '4000000');
  writeFileSync(path.join(source, 'incompressible'), randomBytes(90e6)); // no object of 64 MiB holds it all
  await system.start();
}, 120_000);
afterAll(() => system.close(), 60_000);

async function typed(...words: string[]): Promise<Typed> {
  const answer = await system.must(...words);
  for (const { schema, data } of answer.lines) {
    const kind = schema?.replace(/^seedship\.(.*)\/v1$/, '$1');
    if (kind !== undefined) expect([kind, SCHEMAS[kind]?.safeParse(data).error?.issues ?? []]).toEqual([kind, []]);
  }
  return answer;
}

/** A command that is refused: its code, and what it says to type next. */
async function refused(...words: string[]): Promise<{ exit: number; code: string; hint: string; message: string }> {
  const { status, lines } = await system.type(...words);
  const { code = '', hint = '', message = '' } = Object(lines.at(-1));
  return { exit: status, code, hint, message };
}

function data(answer: Typed): Record<string, unknown> {
  return Object(answer.data);
}

const start = (job: string, ...more: string[]) => ['job', 'start', job, '--protection', 'docs', ...more];
const staging = () => ['--staging', system.at('staging')];

describe('a job cannot begin', () => {
  test('without a vault, a machine, or proved words: each time it says what cures it', async () => {
    writeFileSync(system.at('passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
    const nobody = await refused(...start('j0', ...staging()));
    expect([nobody.exit, nobody.hint]).toEqual([6, expect.stringMatching(/^seedship vault create NAME/)]);
    await system.must(
      'vault',
      'create',
      'main',
      '--region',
      'home',
      ...system.passphrase,
      '--words-out',
      system.at('words'),
    );
    const stranger = await refused(...start('j0', ...staging()));
    const cure =
      'seedship vault credentials --machine NAME --out FILE, then seedship agent register --credentials FILE';
    expect([stranger.exit, stranger.hint]).toEqual([6, cure]);
    const [file, code] = [system.at('hq.cred'), system.at('code')];
    await system.must(
      'vault',
      'credentials',
      '--machine',
      'hq',
      '--out',
      file,
      '--code-out',
      code,
      ...system.passphrase,
    );
    await system.must('agent', 'register', '--credentials', file, '--code-file', code);
    const unproved = await refused(...start('j0', ...staging()));
    expect([unproved.exit, unproved.hint]).toEqual([6, 'seedship key verify-words']);
    await system.must('key', 'verify-words', '--words-file', system.at('words'));
    const words = ['protection', 'create', 'docs', '--item', source, '--initial', 'offline', '--timezone', 'UTC'];
    await system.must(...words);
    expect((await refused('backup', 'now', 'docs')).hint).toContain('seedship job start NAME --protection docs');
  }, 120_000);

  test('with a name, a container or days that are not allowed', async () => {
    expect((await refused(...start('Upper', ...staging()))).exit).toBe(2);
    expect((await refused(...start('j0', ...staging(), '--container', 's3://Upper'))).message).toContain('container');
    expect((await refused(...start('j0', ...staging(), '--remind-days', '7,3'))).message).toContain('reminders');
    const absent = await refused(...start('j0', ...staging(), '--container', 's3://not-there'));
    expect([absent.exit, absent.code]).toEqual([6, 'WrongState']);
    expect((await refused(...start('j0', ...staging(), '--datacenter', 'nowhere'))).exit).toBe(8);
  });

  test('where the staging location is too small, even if everything would fit compressed', async () => {
    const small = system.at('small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', small]);
    try {
      const answer = await refused(...start('j0', '--staging', small));
      expect([answer.exit, answer.code]).toEqual([6, 'WrongState']);
      expect(answer.hint).toContain('--no-space-check');
    } finally {
      execFileSync('umount', [small]);
    }
  });
});

describe('datacenters', () => {
  test('are listed with all a sender must know, the nearest first', async () => {
    const far = ['--address', 'Pier 1', '--carrier', 'ups', '--carrier', 'dhl', '--asks-contact', '--asks-return'];
    const more = ['--hours', 'mon-fri 8-17', '--instruction', 'write the inbound id on it', '--interface', 'sata'];
    await typed('datacenter', 'create', 'eu-north', ...far, ...more, '--location', '59.3,18.1', ...system.passphrase);
    const again = await refused('datacenter', 'create', 'eu-north', ...system.passphrase);
    expect([again.exit, again.hint]).toEqual([6, 'seedship datacenter edit eu-north']);
    const all = (await typed('datacenter', 'list')).data as { region: string; publicKey: string; landing: object }[];
    expect(all.map(({ region }) => region)).toEqual(['home', 'eu-north']);
    for (const { publicKey, landing } of all) {
      expect(publicKey).toMatch(/^[0-9a-f]{64}$/);
      expect(landing).toHaveProperty('url');
    }
    const shown = await system.run('datacenter', 'show', 'eu-north');
    for (const text of ['Pier 1', 'inbound id', 'mon-fri 8-17', 'ups, dhl', 'sata', 'contact, return address'])
      expect(shown.stdout).toContain(text);
  }, 60_000);

  test('ask for what they need, and one that is closed names who stands in', async () => {
    const there = [...staging(), '--datacenter', 'eu-north'];
    expect((await refused(...start('j0', ...there))).message).toContain('--contact');
    expect((await refused(...start('j0', ...there, '--contact', 'Ann'))).message).toContain('--return-carrier');
    const pigeon = ['--contact', 'Ann', '--return-to', 'HQ', '--return-carrier', 'pigeon'];
    expect((await refused(...start('j0', ...there, ...pigeon))).message).toContain('does not send with');
    await typed('datacenter', 'edit', 'eu-north', '--instead', 'home', ...system.passphrase);
    const closed = await refused(...start('j0', ...there));
    expect([closed.exit, closed.hint]).toEqual([6, 'add --datacenter home']);
    await typed('datacenter', 'edit', 'eu-north', '--open', ...system.passphrase);
    await typed('datacenter', 'edit', 'home', '--carrier', 'ups', '--carrier', 'dhl', ...system.passphrase);
  }, 60_000);
});

/** Everything a history holds, in clear. */
async function historyOf(workflowId: string): Promise<string> {
  const temporal = await connectClient(loadSettings({ environment: system.environment, directory: system.root }));
  try {
    const history = await temporal.client.workflow.getHandle(workflowId).fetchHistory();
    const data = [...JSON.stringify(history).matchAll(/"data":"([^"]+)"/g)];
    return data.map(([, text = '']) => Buffer.from(text, 'base64').toString()).join('\n');
  } finally {
    await temporal.close();
  }
}

const ADDRESS = 'Headquarters, Harbour Road 1';

describe('an order in a file', () => {
  const order = `protection = "docs"
staging = "${system.at('staging')}"
datacenter = "home"
contact = "Ann Example, +31 20 555"
return-to = ["${ADDRESS}", "Rotterdam"]
return-carrier = "dhl"
return-account = "ACC-4711"
remind-days = "1,2"
decide-days = 5
copy-host = ["attic"]
`;

  test('is enough, with a key that is none refused', async () => {
    writeFileSync(system.at('j1.toml'), order);
    writeFileSync(system.at('bad.toml'), `${order}colour = "red"\n`);
    expect((await refused('job', 'start', 'j1', '--from', system.at('bad.toml'))).message).toContain('colour');
    await typed('job', 'start', 'j1', '--from', system.at('j1.toml'));
    const { request } = data(await typed('job', 'show', 'j1'));
    expect(request).toMatchObject({
      timers: { remindMs: [86_400_000, 172_800_000], decideMs: 432_000_000 },
      returns: true,
      details: { contact: true, returnTo: true, returnCarrier: 'dhl' },
      copyHosts: ['attic'],
    });
    expect((await system.run('job', 'list')).stdout).toMatch(
      / objects wait for a drive at attic: seedship drive prepare /,
    );
    await typed('job', 'start', 'j1', '--from', system.at('j1.toml'), '--no-wait'); // the same work
  }, 120_000);

  test('no address is in a history, a list or a log', async () => {
    const history = await historyOf('seed/main/j1');
    expect(history.includes('returnCarrier')).toBe(true);
    const { stdout } = await system.run('job', 'show', 'j1', '--json');
    const logs = execFileSync('sh', ['-c', `cat ${system.state}/logs/*`]).toString();
    for (const secret of ['Headquarters', 'Rotterdam', 'Ann Example', 'ACC-4711'])
      for (const text of [history, stdout, logs]) expect([secret, text.includes(secret)]).toEqual([secret, false]);
  });

  test('is changed until a parcel leaves; what is not said stays', async () => {
    await typed('job', 'edit', 'j1', '--return-carrier', 'ups');
    const { request } = data(await typed('job', 'show', 'j1'));
    expect(request).toMatchObject({ details: { returnTo: true, returnCarrier: 'ups' }, copyHosts: ['attic'] });
  });
});

describe('a copy host', () => {
  test('that the order does not name prepares nothing, and is told what lets it', async () => {
    const folder = system.at('d0');
    mkdirSync(folder);
    const cure = 'seedship job edit j1 --copy-host attic --copy-host test-host';
    for (const more of [['--job', 'j1'], [], ['--job', 'j1', '--dry-run']]) {
      const { exit, code, hint } = await refused('drive', 'prepare', folder, ...more);
      expect([exit, code, hint]).toEqual([6, 'WrongState', cure]);
    }
    expect(readdirSync(folder)).toEqual([]);
    const plan = ['job', 'plan', 'j1', '--drive-size', '8TB', '--out', system.at('plan'), '--copy-host'];
    expect(await refused(...plan, 'cellar')).toMatchObject({ exit: 6, hint: cure.replace('test-host', 'cellar') });
    expect((await refused('job', 'edit', 'j1', '--copy-host', 'a', '--any-copy-host')).exit).toBe(2);
    await typed(...cure.split(' ').slice(1));
    const { request } = data(await typed('job', 'show', 'j1'));
    expect(request).toMatchObject({ copyHosts: ['attic', 'test-host'], details: { returnTo: true } });
    expect((await system.run('job', 'show', 'j1')).stdout).toMatch(/copy hosts +attic, test-host/);
    await typed('job', 'edit', 'j1', '--any-copy-host');
    expect(data(await typed('job', 'show', 'j1')).request).not.toHaveProperty('copyHosts');
    await typed('job', 'edit', 'j1', '--copy-host', 'test-host');
  }, 120_000);
});

describe('the desk', () => {
  test('takes drives by id, by scanned label, and tells what is missing and what is not ours', async () => {
    for (const name of ['d1', 'd2']) mkdirSync(system.at(name));
    await typed('drive', 'prepare', system.at('d1'), '--job', 'j1', '--capacity', '72MB');
    await typed('drive', 'prepare', system.at('d2'), '--job', 'j1');
    const listed = (await typed('drive', 'list')).data as { drive: string; folder: string }[];
    const drives = listed.filter(({ drive }) => drive !== '').sort((a, b) => (a.folder < b.folder ? -1 : 1));
    const [first = '', second = ''] = drives.map(({ drive }) => drive);
    const gate = await refused('job', 'ship', 'j1', '--carrier', 'gls', '--tracking', '12345678901');
    expect([gate.exit, gate.message]).toEqual([2, expect.stringContaining('does not take parcels of gls')]);
    const wrong = await refused('job', 'ship', 'j1', '--carrier', 'ups', '--tracking', '1Z999AA10132456784');
    expect([wrong.exit, wrong.hint]).toEqual([2, 'correct it, or add --unchecked']);
    await typed('job', 'ship', 'j1', '--carrier', 'ups', '--tracking', '1Z999AA10132456784', '--unchecked');
    expect((await refused('job', 'edit', 'j1', '--return', 'none')).exit).toBe(6);
    await typed('parcel', 'amend', '1Z999AA10132456784', '--to', '1Z999AA10123456784');
    const [parcel] = (await typed('parcel', 'list')).data as { tracking: string; was: string[]; link: string }[];
    expect(parcel).toMatchObject({ tracking: '1Z999AA10123456784', was: ['1Z999AA10132456784'] });
    expect(parcel?.link).toContain('ups.com');
    await typed('parcel', 'scan', '1Z999AA10123456784', '--event', 'delivered', '--id', '1');
    const opened = await system.type(
      'drive',
      'receive',
      '--drive',
      `SEEDSHIP-${first.slice(0, 4)}`,
      '--drive',
      'WD-STRAY',
    );
    expect(opened.status).toBe(3);
    expect(opened.data).toMatchObject({
      job: 'j1',
      drives: [first],
      missing: [second],
      extra: [{ drive: 'WD-STRAY' }],
    });
    expect((await system.run('job', 'show', 'j1')).stdout).toContain('a drive was not in its parcel');
    expect(data(await typed('drive', 'receive', '--drive', second))).toMatchObject({ importJob: 'Received' });
    await typed('drive', 'damaged', '--job', 'j1', '--drive', second);
    const { attention } = data(await typed('job', 'show', 'j1'));
    expect(attention).toMatchObject([{ code: 'DriveFailed', choices: ['retry', 'replace', 'send', 'drop', 'abort'] }]);
    await typed('job', 'resolve', 'j1', '--choice', 'retry');
  }, 180_000);

  test('pauses and resumes, and sends back what it has', async () => {
    await typed('job', 'pause', 'j1');
    expect((await refused('job', 'pause', 'j1')).exit).toBe(6);
    await typed('drive', 'attach', system.at('d1'), '--job', 'j1', '--no-wait');
    expect(data(await typed('job', 'show', 'j1'))).toMatchObject({ state: 'Paused', held: ['*'] });
    await typed('job', 'resume', 'j1');
    await typed('drive', 'attach', system.at('d2'), '--job', 'j1');
    await typed('job', 'watch', 'j1', '--until', 'Returning');
    const back = await typed('drive', 'return', '--job', 'j1', '--carrier', 'ups', '--tracking', '1Z5R89390357567127');
    expect(data(back)).toMatchObject({ drives: expect.arrayContaining(['WD-STRAY']) });
    expect(data(back).to).toContain(ADDRESS);
    const ended = data(await typed('job', 'watch', 'j1', '--until', 'Protected'));
    expect(ended).toMatchObject({ importJob: 'Completed' });
  }, 180_000);
});

describe('a job that Temporal has forgotten', () => {
  test('is taken up from its record, and goes on where it was', async () => {
    await typed(...start('j2', '--staging', system.at('staging2'), '--datacenter', 'home'));
    mkdirSync(system.at('d3'));
    await typed('drive', 'prepare', system.at('d3'), '--job', 'j2');
    await typed('job', 'ship', 'j2', '--carrier', 'dhl', '--tracking', '3318810025');
    const { run } = data(await typed('job', 'show', 'j2'));
    expect((await refused('job', 'adopt', 'j2')).exit).toBe(6); // it runs
    await system.stop();
    execFileSync('sh', ['-c', `rm -rf ${system.state}/servers/temporal`]);
    await system.start();
    expect((await refused('job', 'show', 'j2')).exit).toBe(8);
    const lost = await refused(...start('j2', '--staging', system.at('staging2'), '--datacenter', 'home'));
    expect([lost.exit, lost.hint]).toEqual([6, 'seedship job adopt j2']);
    const opened = data(await typed('vault', 'open', 's3://seedship-main', ...system.passphrase));
    expect(opened.rebuilt).toEqual({ schedules: ['docs'], jobs: ['j2'] });
    const again = data(await typed('job', 'show', 'j2'));
    expect(again).toMatchObject({ run, stage: 'Shipping', parcels: [{ tracking: '3318810025', state: 'Shipped' }] });
    await typed('parcel', 'received', '3318810025');
    await typed('drive', 'attach', system.at('d3'), '--job', 'j2');
    await typed('job', 'watch', 'j2', '--until', 'Protected');
    await typed('backup', 'now', 'docs'); // its schedule is there again, and runs
  }, 240_000);
});

describe('at a terminal', () => {
  test('what is not said is asked, and shown before it starts', () => {
    const script = fileURLToPath(new URL('../harness/type_answers.py', import.meta.url));
    const main = path.resolve('dist/client/main.js');
    const words = [process.execPath, main, 'job', 'start', '--no-wait', '--no-space-check'];
    const answers = ['j3', system.at('staging3'), '', '', '', 'y'];
    const { stdout, status } = spawnSync('python3', [script, JSON.stringify(answers), ...words], {
      encoding: 'utf8',
      cwd: system.root,
      env: system.environment as NodeJS.ProcessEnv,
      timeout: 60_000,
    });
    const asked = ['Name of the job', 'Staging folder', 'Which hosts may prepare', 'Where the drives go'];
    for (const text of [...asked, 'Start it?', 'Job j3 has begun']) expect(stdout).toContain(text);
    expect(status).toBe(0);
  }, 90_000);
});
