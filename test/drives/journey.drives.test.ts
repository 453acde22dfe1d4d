/** The journey on disks: erased after asking, filled, dirtied on the way, read at the dock without a write. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SCHEMAS } from '../../client/output-schemas.ts';
import { MIB } from '../../domain/units.ts';
import { compareTrees, Embedded, makeTree } from '../harness/embedded.ts';
import { hashOf, LoopDisk, releaseDisks, run } from '../harness/loop-disk.ts';

const system = new Embedded('disks', { SEEDSHIP_PACK_SIZE: '1MiB' });
const source = system.at('source');
const disks: Record<string, LoopDisk> = {};
const FIRST = ['--confirm-serial', 'FIRST-1001'];

beforeAll(async () => {
  await makeTree(source, '--files', '200', '--bytes', '60000000');
  await system.start();
  await system.setUp(source);
  const order = [
    '--protection',
    'docs',
    '--staging',
    system.at('staging'),
    '--return-to',
    'Ann & Sons, Harbour Road 1',
  ];
  await system.must('job', 'start', 'j1', ...order, '--return', 'none');
  Object.assign(disks, {
    first: new LoopDisk({ bytes: 400 * MIB, serial: 'FIRST-1001' }),
    second: new LoopDisk({ bytes: 400 * MIB, serial: 'SECOND-1002' }),
    nameless: new LoopDisk({ bytes: 400 * MIB }),
    decoy: new LoopDisk({ bytes: 400 * MIB, serial: 'DECOY-1003' }),
  });
  execFileSync('mkfs.ext4', ['-q', '-L', 'family', disk('decoy').device]);
}, 240_000);
afterAll(async () => {
  await system.close();
  releaseDisks();
}, 60_000);

function disk(name: string): LoopDisk {
  const found = disks[name];
  if (!found) throw new Error(`no disk ${name}`);
  return found;
}

interface Listed {
  readonly drive: string;
  readonly folder: string;
  readonly there: boolean;
  readonly disk?: { readonly refused: { readonly rule: string }[]; readonly holds: string };
}

async function listed(): Promise<Listed[]> {
  const { data } = await system.must('drive', 'list');
  expect(SCHEMAS['drive-list']?.safeParse(data).error?.issues ?? []).toEqual([]);
  return data as Listed[];
}

const prepare = (name: string, ...flags: string[]) =>
  system.type('drive', 'prepare', disk(name).device, '--job', 'j1', ...flags);

describe('a disk at the copy host', () => {
  test('is listed with what it holds, and why it would not be taken', async () => {
    const rows = await listed();
    const of = (device: string) => rows.find(({ folder }) => folder === device)?.disk;
    expect(of(disk('decoy').device)).toMatchObject({
      holds: expect.stringMatching(/^ext4 "family", [\d.]+ kB used$/),
      refused: [],
    });
    const rules = rows.flatMap((row) => row.disk?.refused.map(({ rule }) => rule) ?? []);
    expect(rules).toEqual(expect.arrayContaining(['system', 'source', 'staging', 'state'])); // all on the same one
  });

  test('is not taken when the datacenter has no bay for it, formatted by its owner or not', async () => {
    const { device } = disk('decoy');
    const limit = (size: string) =>
      system.must('datacenter', 'edit', 'home', '--drive-max', size, ...system.passphrase);
    await limit('300MB');
    const row = (await listed()).find(({ folder }) => folder === device);
    expect(row?.disk?.refused.map(({ rule }) => rule)).toEqual(['too-large']);
    for (const flags of [['--no-format'], ['--confirm-serial', 'DECOY-1003']])
      expect((await prepare('decoy', ...flags)).lines.at(-1)).toMatchObject({
        code: 'WrongState',
        message: expect.stringContaining('the datacenter takes up to'),
      });
    await limit('64TB');
  });

  test('is not erased by --yes, by a wrong serial number, or by a dry run, which says each command', async () => {
    const { device } = disk('first');
    const before = disk('first').state();
    expect((await prepare('first', '--yes')).lines.at(-1)).toMatchObject({ code: 'Usage', exit: 2 });
    expect((await prepare('first', '--confirm-serial', 'SECOND-1002')).status).toBe(2);
    const plan = await prepare('first', '--dry-run');
    expect(plan.status).toBe(0);
    const { commands, drive } = Object(plan.data);
    expect(commands).toEqual([
      expect.stringMatching(new RegExp(`^printf 'label: gpt.*SEEDSHIP-${drive}.*\\| sfdisk .* ${device}$`)),
      `partx --update ${device}`,
      expect.stringMatching(new RegExp(`^mkfs\\.ext4 .*-L SEEDSHIP-${drive.slice(0, 4)} ${device}p1$`)),
    ]);
    expect(disk('first').state()).toEqual(before);
    mkdirSync(system.at('folder'));
    const folder = await system.must('drive', 'prepare', system.at('folder'), '--job', 'j1', '--dry-run');
    expect([Object(folder.data).commands, readdirSync(system.at('folder'))]).toEqual([[], []]);
    expect(Object((await system.must('job', 'show', 'j1')).data).drives).toEqual([]);
    const { stderr } = await system.run('drive', 'prepare', disk('decoy').device, '--job', 'j1', '--dry-run');
    expect(stderr).toMatch(/holds +ext4 "family", [\d.]+ kB used {3}<- will be erased/);
  });

  test('of the serial number of another, or with a mounted partition, is refused and not touched', async () => {
    const twins = ['TWIN-42', 'TWIN-42'].map((serial) => new LoopDisk({ bytes: 400 * MIB, serial }));
    const held = new LoopDisk({ bytes: 400 * MIB, serial: 'HELD-1' });
    run('sh', '-c', 'echo , | sfdisk --quiet --no-reread --label gpt "$1"; partx --update "$1"', 'sh', held.device);
    const folder = system.at('held');
    mkdirSync(folder);
    run('mkfs.ext4', '-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', `${held.device}p1`);
    run('mount', `${held.device}p1`, folder);
    run('sync', '--file-system', folder);
    const decoys = [...twins, held, disk('decoy'), disk('first'), disk('second'), disk('nameless')];
    const before = decoys.map((decoy) => decoy.state());
    for (const [{ device }, serial, says] of [
      [twins[0], 'TWIN-42', 'has the same serial number'],
      [twins[1], 'TWIN-42', 'has the same serial number'],
      [held, 'HELD-1', 'mounted at'],
    ] as [LoopDisk, string, string][]) {
      const refused = await system.type('drive', 'prepare', device, '--job', 'j1', '--confirm-serial', serial);
      expect(refused.lines.at(-1)).toMatchObject({ code: 'WrongState', message: expect.stringContaining(says) });
    }
    expect(decoys.map((decoy) => decoy.state())).toEqual(before);
    run('umount', folder);
    for (const one of [...twins, held]) one.release();
  });

  test('is not touched for a staging location that is not the one of the job', async () => {
    const before = disk('first').state();
    mkdirSync(system.at('foreign'));
    cpSync(system.at('staging'), system.at('older'), { recursive: true }); // it holds all but the set of this job
    for (const set of readdirSync(system.at('older/pack-sets'))) rmSync(system.at('older/pack-sets', set));
    for (const folder of [system.at('foreign'), system.at('source'), system.at('older')]) {
      const refused = await prepare('first', '--confirm-serial', 'FIRST-1001', '--staging', folder);
      expect(refused.lines.at(-1)).toMatchObject({ code: 'WrongState', message: expect.stringContaining('staging') });
    }
    expect(disk('first').state()).toEqual(before);
  });

  test('without a serial number is not erased, but taken as its owner formatted it', async () => {
    const { device } = disk('nameless');
    const refused = await prepare('nameless', '--confirm-serial', '');
    expect(refused.lines.at(-1)).toMatchObject({ code: 'WrongState', hint: expect.stringContaining('--no-format') });
    expect(disk('nameless').writes()).toBe(0);
    execFileSync('mkfs.ext4', ['-q', device]);
    renameSync(system.at('staging'), system.at('share')); // this host sees it elsewhere from now on
    const before = disk('nameless').state();
    const plan = await prepare('nameless', '--no-format', '--staging', system.at('share'), '--dry-run');
    expect([plan.status, Object(plan.data).commands, disk('nameless').state()]).toEqual([0, [], before]);
    const first = await prepare('nameless', '--no-format', '--staging', system.at('share'), '--capacity', '4MB');
    expect([first.status, Object(first.data).state]).toEqual([0, 'Prepared']);
    const known = await prepare('nameless', '--dry-run');
    expect([known.status, Object(known.data)]).toMatchObject([0, { drive: Object(first.data).id, commands: [] }]);
  }, 120_000);

  test('is filled, the next one with the rest, and no other disk is touched', async () => {
    const decoy = disk('decoy').state();
    const first = await prepare('first', '--confirm-serial', 'FIRST-1001', '--capacity', '8MB');
    expect([first.status, Object(first.data).state, first.stderr]).toEqual([0, 'Prepared', '']);
    expect(first.lines.filter(({ type }) => type === 'event').length).toBeGreaterThan(3);
    const second = await prepare('second', '--confirm-serial', 'SECOND-1002', '--file-system', 'xfs');
    const rates = { readPerSecond: expect.any(Number) }; // it may be written too soon for a rate
    expect([second.status, Object(second.data)]).toMatchObject([0, { state: 'Prepared', disk: rates }]);
    const { drives } = Object((await system.must('job', 'show', 'j1')).data);
    expect(drives.map(({ registered }: { registered?: boolean }) => registered)).toEqual([true, true, true]);
    expect([Object(first.data).shipTo, Object(second.data)]).toMatchObject([
      undefined, // there was more to prepare
      { shipTo: expect.arrayContaining(['Job j1']), uiUrl: expect.stringContaining('/workflows/seed') },
    ]);
    expect(readFileSync(Object(second.data).label, 'utf8')).toContain('>Ann &amp; Sons<');
    expect(disk('decoy').state()).toEqual(decoy);
    const rows = await listed();
    expect(rows.filter(({ drive }) => drive !== '').map(({ there }) => there)).toEqual([true, true, true]);
  }, 240_000);

  test('that is a drive is verified without a key, by us and by sha256sum', async () => {
    for (const name of ['first', 'second']) {
      const { data } = await system.must('drive', 'verify', disk(name).device, '--job', 'j1');
      expect(SCHEMAS['drive-verdict']?.safeParse(data).error?.issues ?? []).toEqual([]);
      expect(Object(data)).toMatchObject({ bad: 0, files: expect.any(Number) });
      const folder = system.at(`checked-${name}`);
      mkdirSync(folder);
      run('mount', '-o', 'ro', `${disk(name).device}p1`, folder);
      execFileSync('sha256sum', ['--strict', '--quiet', '--check', 'SHA256SUMS'], { cwd: folder });
      run('umount', folder);
    }
  });

  test('that is a drive has a page to print', async () => {
    const file = system.at('label.html');
    const { data } = await system.must('drive', 'label', disk('first').device, '--job', 'j1', '--out', file);
    const { drive, page } = Object(data);
    expect(page).toBe(file);
    expect(readFileSync(file, 'utf8')).toContain(`>Drive ${drive}<`);
    expect(readFileSync(`${system.state}/labels/${drive}.html`, 'utf8')).toContain('>Job j1<');
  });

  test('that carries a drive of the job is not erased again: the same command is the same work', async () => {
    const hash = disk('first').sha256();
    const again = await prepare('first', '--confirm-serial', 'FIRST-1001');
    expect([again.status, Object(again.data).state]).toEqual([0, 'Prepared']);
    expect(disk('first').sha256()).toBe(hash);
  });
});

describe('a disk at the dock', () => {
  test('whose journals are dirty gives all it carries, and leaves as it came', async () => {
    await system.must('job', 'ship', 'j1', '--carrier', 'dhl', '--tracking', 'JD014600003RU');
    const drives = (await listed()).filter(({ drive }) => drive !== '');
    const words = ['JD014600003RU', '--out', system.at('slip.html'), '--return-to', 'Ann & Sons'];
    const { data } = await system.must('parcel', 'slip', ...words);
    expect(SCHEMAS['parcel-slip']?.safeParse(data).error?.issues ?? []).toEqual([]);
    const slip = readFileSync(system.at('slip.html'), 'utf8');
    for (const { drive } of drives) expect(slip).toContain(`>${drive}`);
    expect(slip).toContain('>Ann &amp; Sons<');
    await system.must('drive', 'receive', '--job', 'j1', ...drives.flatMap(({ drive }) => ['--drive', drive]));
    const hashes: Record<string, string> = {};
    for (const name of ['first', 'second', 'nameless']) {
      const { device, image } = disk(name);
      dirty(name === 'nameless' ? device : `${device}p1`);
      hashes[name] = hashOf(image);
      const taken = await system.must('drive', 'attach', device, '--job', 'j1');
      expect(Object(taken.data).state).toBe('Completed');
      expect(hashOf(image)).toBe(hashes[name]);
    }
    await system.must('job', 'watch', 'j1', '--until', 'Protected');
  }, 240_000);

  test('gave the whole point: it is restored exactly', async () => {
    await until(async () => Object((await system.must('point', 'list')).data)[0].restorable === true);
    await system.must('restore', 'latest', '--to', system.at('back'), ...system.passphrase);
    expect(await compareTrees(source, `${system.at('back')}${source}`)).toBe('');
  }, 120_000);

  test('of which one byte changed is found out, and the file named', async () => {
    const folder = system.at('changed');
    mkdirSync(folder);
    run('mount', `${disk('first').device}p1`, folder);
    const [place = ''] = readdirSync(`${folder}/objects/000`).sort();
    const fd = openSync(`${folder}/objects/000/${place}`, 'r+');
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, 5000);
    writeSync(fd, Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, 5000);
    closeSync(fd);
    run('umount', folder);
    const answer = await system.type('drive', 'verify', disk('first').device);
    expect([answer.status, Object(answer.data).named]).toEqual([
      7,
      [{ place: `objects/000/${place}`, fault: 'altered' }],
    ]);
  });

  test('that is mounted, or is none of ours, is refused', async () => {
    const folder = system.at('mounted');
    mkdirSync(folder);
    run('mount', disk('decoy').device, folder);
    const attach = () => system.type('drive', 'attach', disk('decoy').device, '--job', 'j1');
    expect((await attach()).lines.at(-1)).toMatchObject({
      code: 'WrongState',
      hint: expect.stringContaining('umount'),
    });
    run('umount', folder);
    expect((await attach()).lines.at(-1)).toMatchObject({ code: 'DriveForeign' });
  });
});

describe('a disk that came back', () => {
  const erase = (name: string, ...flags: string[]) =>
    system.type('drive', 'erase', disk(name).device, '--job', 'j1', ...flags);
  const keysOf = (drive: string) => {
    const folder = system.at('share', 'keys/drives', drive);
    return existsSync(folder) ? readdirSync(folder) : [];
  };

  test('is not erased by another serial number, by none, or as another job’s', async () => {
    const { device } = disk('first');
    const before = disk('first').sha256();
    expect((await erase('first')).lines.at(-1)).toMatchObject({ code: 'Usage', exit: 2 });
    expect((await erase('first', '--confirm-serial', 'SECOND-1002')).status).toBe(2);
    const plan = await erase('first', '--dry-run');
    expect([plan.status, Object(plan.data).at]).toEqual([0, device]);
    expect((await erase('decoy', '--confirm-serial', 'DECOY-1003')).lines.at(-1)).toMatchObject({
      code: 'DriveForeign',
    });
    expect(disk('first').sha256()).toBe(before);
  });

  test('loses its keys, then its ends, and the story of the job says so', async () => {
    const decoy = disk('decoy').sha256();
    const rows = await listed();
    const { drive = '' } = rows.find(({ folder }) => folder === disk('first').device) ?? {};
    expect(keysOf(drive)).toHaveLength(1);
    const { data } = await system.must('drive', 'erase', disk('first').device, '--job', 'j1', ...FIRST);
    expect(SCHEMAS.erased?.safeParse(data).error?.issues ?? []).toEqual([]);
    expect(Object(data)).toMatchObject({
      drive,
      serial: 'FIRST-1001',
      full: false,
      unwritable: 0,
      stagedKeysGone: true,
    });
    expect(Object(data).sentSerial).toBeUndefined(); // the serial number was recorded when it was prepared
    expect(keysOf(drive)).toEqual([]);
    const head = readFileSync(disk('first').image).subarray(0, 64 * MIB);
    expect(head.every((byte) => byte === 0)).toBe(true);
    const story = await system.must('job', 'events', 'j1', '--drive', drive);
    expect(JSON.stringify(story.data)).toContain('(FIRST-1001) erased at');
    expect((await listed()).some((row) => row.drive === drive)).toBe(false);
    expect(disk('decoy').sha256()).toBe(decoy);
  }, 120_000);

  test('is overwritten from end to end on wish, readable or not', async () => {
    const { device, image } = disk('second');
    const [{ drive = '' } = {}] = (await listed()).filter(({ folder }) => folder === device);
    execFileSync('dd', ['if=/dev/urandom', `of=${device}p1`, 'bs=1M', 'count=2', 'conv=nocreat,fsync'], {
      stdio: 'pipe',
    });
    const flags = ['--full', '--confirm-serial', 'SECOND-1002'];
    const { data } = await system.must('drive', 'erase', device, '--job', 'j1', ...flags);
    expect(Object(data)).toMatchObject({ drive, full: true, bytes: 400 * MIB });
    expect(readFileSync(image).every((byte) => byte === 0)).toBe(true);
  }, 120_000);
});

/** A power cut while something else was written to it: its journal has what its file system has not. */
function dirty(partition: string): void {
  const folder = system.at(`dirty-${partition.replaceAll('/', '-')}`);
  mkdirSync(folder);
  run('mount', partition, folder);
  execFileSync('sh', ['-c', `echo seen >"$1/autorun.inf" && xfs_io -x -c 'shutdown -f' "$1"`, 'sh', folder]);
  run('umount', folder);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 30 && !(await holds()); tries += 1) await new Promise((wait) => setTimeout(wait, 1000));
}
