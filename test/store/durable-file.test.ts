/**
 * Fault model: the process is killed between any two system calls; the disk is full; the file system
 * takes no direct writes. Whether bytes reach the medium cannot be seen from here, so strace counts
 * what asks for it. A loop image with a small file system is used where root allows one.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DirectoryStore, preparePlace } from '../../store/directory-store.ts';
import {
  appendDurable,
  DirectWriter,
  makeDirectoryDurable,
  openLog,
  removeLeftovers,
  writeDurable,
} from '../../store/durable-file.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-durable-'));
afterAll(() => {
  execFileSync('rm', ['-rf', dir]);
});
const inDir = (...parts: string[]) => path.join(dir, ...parts);
/** A missing program skips its tests here, and fails them where everything has to be proved. */
const present = (program: string) => Boolean(process.env.SEEDSHIP_CI) || spawnSync('which', [program]).status === 0;
const module_ = JSON.stringify(path.resolve('dist/store/durable-file.js'));

describe('a durable file', () => {
  test('is there whole, private, and alone', async () => {
    mkdirSync(inDir('one'));
    expect(await writeDurable(inDir('one', 'file'), Buffer.from('bytes'))).toBe('created');
    expect(readFileSync(inDir('one', 'file'), 'utf8')).toBe('bytes');
    expect(statSync(inDir('one', 'file')).mode & 0o777).toBe(0o600);
    expect(readdirSync(inDir('one'))).toEqual(['file']);
  });

  test('below a directory that a group shares, is the group’s too, whatever the umask', async () => {
    const shared = inDir('shared');
    mkdirSync(shared);
    chmodSync(shared, 0o2770);
    const folder = path.join(shared, 'packs', '00');
    await makeDirectoryDurable(folder);
    await writeDurable(path.join(folder, 'a'), Buffer.from('a'));
    const modes = ['packs', 'packs/00', 'packs/00/a'].map((name) => statSync(path.join(shared, name)).mode & 0o7777);
    expect(modes).toEqual([0o2770, 0o2770, 0o660]);
  });

  test('a name that is taken is not given again, and keeps its inode', async () => {
    const { ino } = statSync(inDir('one', 'file'));
    expect(await writeDurable(inDir('one', 'file'), Buffer.from('others'))).toBe('exists');
    expect(readFileSync(inDir('one', 'file'), 'utf8')).toBe('bytes');
    expect(statSync(inDir('one', 'file')).ino).toBe(ino);
    expect(readdirSync(inDir('one'))).toEqual(['file']);
  });

  test('what killed writers left is no file, and is swept when nobody can be writing it any more', async () => {
    mkdirSync(inDir('left'));
    const old = inDir('left', '.123-0-abc-1.writing');
    const young = inDir('left', '.124-0-abc-1.writing');
    for (const file of [old, young, inDir('left', '.profile')]) writeFileSync(file, 'half');
    utimesSync(old, 1, 1);
    expect(await removeLeftovers(inDir('left'), 60_000)).toBe(1);
    expect(readdirSync(inDir('left')).sort()).toEqual(['.124-0-abc-1.writing', '.profile']);
    expect(await removeLeftovers(inDir('left'))).toBe(1);
    expect(readdirSync(inDir('left'))).toEqual(['.profile']);
  });

  test('a log grows at its end and can be read anywhere', () => {
    const fd = openLog(inDir('log'));
    appendDurable(fd, Buffer.from('one'));
    closeSync(fd);
    const again = openLog(inDir('log'));
    appendDurable(again, Buffer.from('two'));
    closeSync(again);
    expect(readFileSync(inDir('log'), 'utf8')).toBe('onetwo');
    expect(statSync(inDir('log')).mode & 0o777).toBe(0o600);
  });
});

describe('a file written directly', () => {
  const sizes = [0, 1, 4095, 4096, 4097, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, (5 << 20) + 12_345];

  test.each(sizes)('of %i bytes is what was appended, in pieces of any size', async (size) => {
    const bytes = Buffer.alloc(size, 'seedship ');
    const writer = new DirectWriter();
    for (const piece of [1_000_003, 4096, 3_000_000]) {
      await writer.begin(dir);
      for (let at = 0; at < size; at += piece) await writer.append(bytes.subarray(at, at + piece));
      expect(writer.length).toBe(size);
      const file = inDir(`direct-${size}-${piece}`);
      expect(await writer.finish(file)).toBe('created');
      expect(readFileSync(file).equals(bytes)).toBe(true);
    }
  });

  test('a name that is taken is not given again; abandoned, nothing is left', async () => {
    mkdirSync(inDir('direct'));
    const writer = new DirectWriter();
    for (const expected of ['created', 'exists']) {
      await writer.begin(inDir('direct'));
      await writer.append(Buffer.from(expected));
      expect(await writer.finish(inDir('direct', 'file'))).toBe(expected);
    }
    expect(readFileSync(inDir('direct', 'file'), 'utf8')).toBe('created');
    await writer.begin(inDir('direct'));
    await writer.append(Buffer.alloc(5 << 20));
    await writer.abandon();
    await writer.abandon();
    expect(readdirSync(inDir('direct'))).toEqual(['file']);
  });

  test('where direct writes are not to be had, it is written all the same', async () => {
    if (!existsSync('/dev/shm')) return;
    const shm = mkdtempSync('/dev/shm/seedship-');
    try {
      const writer = new DirectWriter();
      await writer.begin(shm);
      await writer.append(Buffer.alloc(3 << 20, 'x'));
      expect(await writer.finish(path.join(shm, 'file'))).toBe('created');
      expect(statSync(path.join(shm, 'file')).size).toBe(3 << 20);
    } finally {
      rmSync(shm, { recursive: true });
    }
  });
});

(present('strace') ? describe : describe.skip)('what is asked of the medium (strace)', () => {
  /** System calls of a script, in order, with what they are about. */
  function calls(script: string): string[] {
    const log = inDir('strace.log');
    const traced = [
      'fsync',
      'fdatasync',
      'link',
      'linkat',
      'unlink',
      'unlinkat',
      'mkdir',
      'pwrite64',
      'write',
      'ftruncate',
    ];
    const words = ['-f', '-y', '-e', `trace=${traced.join(',')}`, '-o', log];
    const node = [process.execPath, '--input-type=module', '-e', script];
    const { status, stderr } = spawnSync('strace', [...words, ...node], { encoding: 'utf8' });
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const lines = readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes(inDir('traced')));
    return lines
      .filter((line) => !line.includes('resumed'))
      .map((line) => {
        const call = /^\d+ +(\w+)\(/.exec(line)?.[1]?.replace(/at$/, '') ?? '';
        return `${call} ${line.includes('.writing') ? 'first name' : line.includes('/file') ? 'file' : 'directory'}`;
      });
  }

  beforeAll(() => mkdirSync(inDir('traced')));

  test('a durable file: bytes, then fsync, then the name, then the directory', () => {
    const file = JSON.stringify(inDir('traced', 'file'));
    const script = `import { writeDurable } from ${module_}; await writeDurable(${file}, Buffer.from('bytes'));`;
    const created = calls(script);
    expect(created).toEqual([
      expect.stringMatching(/^(pwrite64|write) first name$/),
      'fsync first name',
      'link first name',
      'unlink first name',
      'fsync directory',
    ]);
    const taken = calls(script);
    expect(taken.slice(1)).toEqual(created.slice(1)); // the winner may not have come to the directory yet
  });

  test('a file written directly: the same, after its length', () => {
    const file = JSON.stringify(inDir('traced', 'file-2'));
    const made = calls(`import { DirectWriter } from ${module_}; const writer = new DirectWriter();
      await writer.begin(${JSON.stringify(inDir('traced'))}); await writer.append(Buffer.alloc(3 << 20));
      await writer.finish(${file});`);
    const kinds = made.filter((call) => !call.startsWith('pwrite64'));
    expect(made.length).toBeGreaterThan(kinds.length);
    expect(kinds).toEqual([
      'ftruncate first name',
      'fsync first name',
      'link first name',
      'unlink first name',
      'fsync directory',
    ]);
  });

  test('a log is flushed with every record, and its name once', () => {
    const file = JSON.stringify(inDir('traced', 'file.log'));
    const made = calls(`import { appendDurable, openLog } from ${module_}; const fd = openLog(${file});
      appendDurable(fd, Buffer.from('one')); appendDurable(fd, Buffer.from('two'));`);
    expect(made).toEqual(['fsync directory', 'write file', 'fdatasync file', 'write file', 'fdatasync file']);
  });

  test('a directory made is flushed in the one above it, all the way', () => {
    const deep = JSON.stringify(inDir('traced', 'a', 'b', 'c'));
    const made = calls(`import { makeDirectoryDurable } from ${module_}; await makeDirectoryDurable(${deep});`);
    expect(made.filter((call) => call.startsWith('fsync')).length).toBe(3);
    const top = JSON.stringify(inDir('traced'));
    const again = calls(
      `import { makeDirectoryDurable } from ${module_}; await makeDirectoryDurable(${deep}, ${top});`,
    );
    expect(again.filter((call) => call.startsWith('fsync')).length).toBe(3); // its maker may have been killed
  });
});

const root = process.getuid?.() === 0 && present('mkfs.ext4') && present('losetup');
(root ? describe : describe.skip)('a full disk', () => {
  const mount = inDir('mount');

  beforeAll(() => {
    execFileSync('truncate', ['-s', '24M', inDir('image')]);
    execFileSync('mkfs.ext4', ['-q', '-O', '^has_journal', inDir('image')]);
    mkdirSync(mount);
    execFileSync('mount', ['-o', 'loop', inDir('image'), mount]);
  });
  afterAll(() => {
    execFileSync('umount', [mount]);
  });

  test('is SpaceExhausted, leaves nothing half, and takes what still fits', async () => {
    await preparePlace(mount);
    const store = new DirectoryStore(`file://${mount}`, mount);
    const size = 4 << 20;
    let stored = 0;
    const put = () => store.put(`packs/${stored}`, Buffer.alloc(size, stored));
    while (stored < 10 && (await put().catch((error: unknown) => error)) === 'created') stored += 1;
    expect(stored).toBeGreaterThan(2);
    expect(stored).toBeLessThan(10);
    await expect(put()).rejects.toMatchObject({ code: 'SpaceExhausted' });
    const found: string[] = [];
    for await (const { name, length } of store.list('')) {
      found.push(name);
      expect(length).toBe(size);
    }
    expect(found.length).toBe(stored);
    expect(readdirSync(path.join(mount, '.making'))).toEqual([]);
    expect(await store.put('receipts/run/step', Buffer.from('small'))).toBe('created');
  });

  test('stops a file written directly, and nothing of it stays', async () => {
    const writer = new DirectWriter();
    await writer.begin(path.join(mount, '.making'));
    const fill = async () => {
      for (let at = 0; at < 40; at += 1) await writer.append(Buffer.alloc(1 << 20));
      await writer.finish(path.join(mount, 'big'));
    };
    await expect(fill()).rejects.toMatchObject({ code: 'ENOSPC' });
    await writer.abandon();
    expect(readdirSync(path.join(mount, '.making'))).toEqual([]);
    expect(existsSync(path.join(mount, 'big'))).toBe(false);
    await makeDirectoryDurable(path.join(mount, 'again'));
  });
});
