/**
 * What source-tree reads, target-tree puts back: judged by a comparer that knows neither. Then the
 * attacks: links planted on the way, hostile names, files that are there already.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import {
  attributesAt,
  closeSource,
  dataRanges,
  listNames,
  openSource,
  readAt,
  readLink,
  statusAt,
} from '../../store/source-tree.ts';
import { type Attributes, finishFile, type Loss } from '../../store/target-attributes.ts';
import { writeAt } from '../../store/target-file.ts';
import { closeTarget, setLength, TargetTree } from '../../store/target-tree.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-target-'));
const root = process.getuid?.() === 0;
afterAll(() => {
  execFileSync('rm', ['-rf', dir]);
});
const SLASH = Buffer.from('/');
const join = (...parts: Buffer[]) =>
  Buffer.concat(parts.flatMap((part, at) => (at > 0 && parts[at - 1]?.length ? [SLASH, part] : [part])));
const ERRNO = (code: string) => expect.objectContaining({ code });

/** What files made in a folder inherit: one more user may read. */
const DEFAULT_ACL = `
import os, struct, sys
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', tag, perm, who) for tag, perm, who in
    [(1, 7, 0xffffffff), (2, 7, 12345), (4, 5, 0xffffffff), (16, 7, 0xffffffff), (32, 5, 0xffffffff)])
os.setxattr(sys.argv[1], 'system.posix_acl_default', acl)`;

function fresh(name: string): string {
  const folder = path.join(dir, name);
  mkdirSync(folder);
  return folder;
}

/** A backup and a restore without anything between them. */
function copy(from: Buffer, tree: TargetTree): Loss[] {
  const seen = new Map<string, Buffer>();
  const losses: Loss[] = [];
  const visit = (relative: Buffer): void => {
    for (const name of listNames(join(from, relative))) {
      const here = join(relative, name);
      const source = join(from, here);
      const status = statusAt(source);
      const attributes: Attributes = { ...status, attributes: attributesAt(source) };
      const group = `${status.device}:${status.inode}`;
      const first = status.type === 'directory' ? undefined : seen.get(group);
      if (first) {
        tree.link(first, here);
        continue;
      }
      if (status.links > 1) seen.set(group, here);
      switch (status.type) {
        case 'directory':
          tree.makeDirectory(here);
          visit(here);
          losses.push(...tree.finishDirectory(here, attributes));
          break;
        case 'file': {
          const input = openSource(source);
          const output = tree.createFile(here);
          for (const [start, end] of dataRanges(input, status)) {
            const bytes = Buffer.alloc(end - start);
            writeAt(output, bytes.subarray(0, readAt(input, bytes, start)), start);
          }
          setLength(output, status.size);
          losses.push(...finishFile(output, attributes));
          closeTarget(output);
          closeSource(input);
          break;
        }
        case 'symlink':
          tree.makeSymlink(readLink(source), here);
          losses.push(...tree.finishOther(here, attributes));
          break;
        case 'fifo':
          tree.makeFifo(here);
          losses.push(...tree.finishOther(here, attributes));
          break;
        case 'socket':
          break;
        default:
          tree.makeDevice(here, status.type, status.rdev);
          losses.push(...tree.finishOther(here, attributes));
      }
    }
  };
  visit(Buffer.alloc(0));
  losses.push(...tree.finishDirectory(Buffer.alloc(0), { ...statusAt(from), attributes: attributesAt(from) }));
  return losses;
}

describe('a tree', () => {
  test('that holds everything Linux holds comes back exactly', () => {
    const from = path.join(dir, 'everything');
    const to = fresh('everything-back');
    const plain = root ? [] : ['--plain'];
    execFileSync('python3', ['test/harness/make_tree.py', from, '--files', '200', '--bytes', '4000000', ...plain]);
    const tree = new TargetTree(to);
    expect(copy(Buffer.from(from), tree)).toEqual([]);
    tree.sync();
    tree.close();
    const { stdout, status } = spawnSync('python3', ['test/harness/compare_trees.py', from, to], { encoding: 'utf8' });
    expect({ stdout, status }).toEqual({
      stdout: expect.stringMatching(/^\d{3,} entries, 0 differences\n$/),
      status: 0,
    });
  });

  test('leaves no descriptor open', () => {
    const before = readdirSync('/proc/self/fd').length;
    const tree = new TargetTree(fresh('descriptors'));
    for (let at = 0; at < 300; at += 1) {
      const deep = Buffer.from(`${at}/a/b/c`);
      for (let end = deep.indexOf('/'); end > 0; end = deep.indexOf('/', end + 1))
        tree.makeDirectory(deep.subarray(0, end));
      tree.makeSymlink(Buffer.from('x'), deep);
      expect(readdirSync('/proc/self/fd').length).toBeLessThan(before + 140);
    }
    tree.close();
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });

  test('a default ACL of where it goes does not stick to what is restored', () => {
    const to = fresh('inheriting');
    execFileSync('python3', ['-c', DEFAULT_ACL, to]);
    const tree = new TargetTree(to);
    const name = Buffer.from('file');
    const fd = tree.createFile(name);
    const attributes = { ...statusAt(Buffer.from(to)), mode: 0o640, attributes: [] };
    expect(finishFile(fd, attributes)).toEqual([]);
    closeTarget(fd);
    tree.makeDirectory(Buffer.from('folder'));
    tree.finishDirectory(Buffer.from('folder'), { ...attributes, mode: 0o2750 });
    tree.close();
    expect(attributesAt(Buffer.from(path.join(to, 'file')))).toEqual([]);
    expect(attributesAt(Buffer.from(path.join(to, 'folder')))).toEqual([]);
    expect(statusAt(Buffer.from(path.join(to, 'file'))).mode).toBe(0o640);
    expect(statusAt(Buffer.from(path.join(to, 'folder'))).mode).toBe(0o2750);
  });
});

describe('what is there already', () => {
  const to = fresh('there');
  const tree = new TargetTree(to);
  afterAll(() => tree.close());
  const name = (text: string) => Buffer.from(text);

  test('is never written into: everything is made new or not at all', () => {
    writeFileSync(path.join(to, 'taken'), 'mine');
    expect(() => tree.createFile(name('taken'))).toThrow(ERRNO('EEXIST'));
    expect(() => tree.makeSymlink(name('x'), name('taken'))).toThrow(ERRNO('EEXIST'));
    expect(() => tree.makeFifo(name('taken'))).toThrow(ERRNO('EEXIST'));
    expect(() => tree.makeDirectory(name('taken'))).toThrow(ERRNO('EEXIST'));
    writeFileSync(path.join(to, 'other'), 'other');
    expect(() => tree.link(name('other'), name('taken'))).toThrow(ERRNO('EEXIST'));
    expect(readFileSync(path.join(to, 'taken'), 'utf8')).toBe('mine');
  });

  test('a directory is used as it is, a link to one is not a directory', () => {
    expect(tree.makeDirectory(name('folder'))).toBe('created');
    expect(tree.makeDirectory(name('folder'))).toBe('exists');
    symlinkSync('folder', path.join(to, 'to-folder'));
    expect(() => tree.makeDirectory(name('to-folder'))).toThrow(ERRNO('EEXIST'));
  });

  test('is replaced by a file that was made whole beside it; a link itself, a directory not', () => {
    for (const taken of ['taken', 'to-folder']) {
      const beside = tree.freshBeside(name(taken));
      const fd = tree.createFile(beside);
      writeAt(fd, Buffer.from('new'), 0);
      closeTarget(fd);
      tree.replace(beside, name(taken));
      expect(readFileSync(path.join(to, taken), 'utf8')).toBe('new');
      expect(lstatSync(path.join(to, taken)).isFile()).toBe(true);
    }
    expect(tree.freshBeside(name('folder/deep')).toString()).toMatch(/^folder\/\.seedship-/);
    const beside = tree.freshBeside(name('folder'));
    const fd = tree.createFile(beside);
    closeTarget(fd);
    expect(() => tree.replace(beside, name('folder'))).toThrow(ERRNO('EISDIR'));
    tree.remove(beside);
    tree.makeFifo(name('folder/before'));
    tree.remove(name('folder/before'));
    tree.remove(name('folder'));
    expect(tree.status(name('folder'))).toBeUndefined();
    expect(tree.makeDirectory(name('folder'))).toBe('created');
    tree.makeFifo(name('folder/again')); // not in the directory that was removed
    expect(tree.list(name('folder')).map(String)).toEqual(['again']);
  });
});

describe('an attack', () => {
  const outside = fresh('outside');
  const to = fresh('inside');
  const tree = new TargetTree(to);
  afterAll(() => tree.close());
  symlinkSync(outside, path.join(to, 'way-out'));
  symlinkSync(path.join(outside, 'new'), path.join(to, 'dangling'));
  const attributes = { mode: 0o777, uid: 0, gid: 0, mtimeNs: 0n, attributes: [] };

  test('by a link on the way ends there, whatever is asked', () => {
    const through = Buffer.from('way-out/file');
    const refused = /^(ELOOP|ENOTDIR)/;
    writeFileSync(path.join(outside, 'file'), 'untouched');
    for (const work of [
      () => tree.createFile(through),
      () => tree.makeDirectory(through),
      () => tree.makeFifo(through),
      () => tree.makeSymlink(Buffer.from('x'), through),
      () => tree.remove(through),
      () => tree.status(through),
      () => tree.list(Buffer.from('way-out')),
      () => tree.finishOther(through, attributes),
      () => tree.finishDirectory(Buffer.from('way-out'), attributes),
      () => tree.link(through, Buffer.from('inner')),
      () => tree.replace(through, Buffer.from('inner')),
    ])
      expect(work).toThrow(refused);
    expect(readdirSync(outside)).toEqual(['file']);
    expect(readFileSync(path.join(outside, 'file'), 'utf8')).toBe('untouched');
  });

  test('by a dangling link in a file’s place makes nothing elsewhere', () => {
    expect(() => tree.createFile(Buffer.from('dangling'))).toThrow(ERRNO('EEXIST'));
    expect(existsSync(path.join(outside, 'new'))).toBe(false);
  });

  test('attributes meant for a link do not reach its target', () => {
    const before = statusAt(Buffer.from(outside));
    tree.makeSymlink(Buffer.from(outside), Buffer.from('harmless'));
    tree.finishOther(Buffer.from('harmless'), { ...attributes, uid: before.uid, gid: before.gid, mtimeNs: 1n });
    expect(statusAt(Buffer.from(outside))).toEqual(before);
    expect(statusAt(Buffer.from(path.join(to, 'harmless'))).mtimeNs).toBe(1n);
  });

  test.each(['', '.', '..', 'a/../b', 'a//b', '/a', 'a/', '../a', 'a\0b', './a'])('the name %j is refused', (text) => {
    const name = Buffer.from(text);
    for (const work of [
      () => tree.createFile(name),
      () => tree.makeDirectory(name),
      () => tree.makeSymlink(name, name),
      () => tree.remove(name),
    ])
      expect(work).toThrow('tree: a name that leaves its directory');
    expect(readlinkSync(path.join(to, 'way-out'))).toBe(outside);
  });

  test.each(['', '.', '..', '/a', 'a/', '../a', 'a/..', 'a\0b'])(
    'the name %j is refused where others were made',
    (text) => {
      tree.makeDirectory(Buffer.from('near'));
      const first = Buffer.from('near/first');
      tree.makeFifo(first);
      expect(() => tree.makeFifo(Buffer.from(`near/${text}`))).toThrow('tree: a name that leaves its directory');
      tree.remove(first);
      expect(tree.list(Buffer.from('near'))).toEqual([]);
    },
  );
});

(root ? describe : describe.skip)('without root’s rights', () => {
  function asNobody<T>(work: () => T): T {
    process.setegid?.(65_534);
    process.seteuid?.(65_534);
    try {
      return work();
    } finally {
      process.seteuid?.(0);
      process.setegid?.(0);
    }
  }

  test('a lost owner is said, and takes set-user-id with it', () => {
    const to = fresh('nobody');
    execFileSync('chown', ['65534:65534', to]);
    execFileSync('chmod', ['755', dir]);
    const attributes = {
      mode: 0o6755,
      uid: 0,
      gid: 0,
      mtimeNs: -1n,
      attributes: [{ name: Buffer.from('user.note'), value: Buffer.from('kept') }],
    };
    const losses = asNobody(() => {
      const tree = new TargetTree(to);
      const fd = tree.createFile(Buffer.from('file'));
      const lost = finishFile(fd, attributes);
      closeTarget(fd);
      tree.close();
      return lost;
    });
    expect(losses).toEqual([{ what: 'owner', reason: 'EPERM' }]);
    const file = Buffer.from(path.join(to, 'file'));
    expect(statusAt(file)).toMatchObject({ mode: 0o755, uid: 65_534, mtimeNs: -1n });
    expect(attributesAt(file).map(({ value }) => value.toString())).toEqual(['kept']);
  });

  test('a read-only file and folder of one’s own come back with their attributes', () => {
    const to = fresh('read-only');
    execFileSync('chown', ['65534:65534', to]);
    const attributes = {
      mode: 0o400,
      uid: 65_534,
      gid: 65_534,
      mtimeNs: 5n,
      attributes: [{ name: Buffer.from('user.note'), value: Buffer.from('kept') }],
    };
    asNobody(() => {
      const tree = new TargetTree(to);
      const fd = tree.createFile(Buffer.from('file'));
      expect(finishFile(fd, attributes)).toEqual([]);
      closeTarget(fd);
      tree.makeDirectory(Buffer.from('folder'));
      expect(tree.finishDirectory(Buffer.from('folder'), { ...attributes, mode: 0o500 })).toEqual([]);
      tree.close();
    });
    expect(statusAt(Buffer.from(path.join(to, 'file')))).toMatchObject({ mode: 0o400, mtimeNs: 5n });
    expect(statusAt(Buffer.from(path.join(to, 'folder')))).toMatchObject({ mode: 0o500, mtimeNs: 5n });
  });

  test('what may not be read is EACCES, and the rest goes on', () => {
    const from = fresh('unreadable');
    writeFileSync(path.join(from, 'secret'), 'x', { mode: 0o600 });
    mkdirSync(path.join(from, 'closed'), { mode: 0o700 });
    asNobody(() => {
      expect(() => openSource(Buffer.from(path.join(from, 'secret')))).toThrow(ERRNO('EACCES'));
      expect(() => listNames(Buffer.from(path.join(from, 'closed')))).toThrow(ERRNO('EACCES'));
      expect(statusAt(Buffer.from(path.join(from, 'secret'))).size).toBe(1);
    });
  });
});
