/** Trees are made with the system's own tools (touch, mkfifo, python), so that nothing of ours judges itself. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import {
  attributesAt,
  dataRanges,
  listNames,
  openSource,
  readAt,
  readLink,
  statusAt,
  statusOf,
} from '../../store/source-tree.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-source-'));
afterAll(() => {
  execFileSync('rm', ['-rf', dir]);
});
const at = (...parts: string[]) => Buffer.from(path.join(dir, ...parts));
const python = (script: string) => execFileSync('python3', ['-c', script, dir], { encoding: 'utf8' });

/** An ACL as the kernel keeps it: the owner, one more user, group, mask and others may read. */
const ACL = `
import struct
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', tag, perm, who) for tag, perm, who in
    [(1, 6, 0xffffffff), (2, 4, 12345), (4, 4, 0xffffffff), (16, 4, 0xffffffff), (32, 4, 0xffffffff)])`;

describe('a status', () => {
  test.each([
    ['1960-01-01T00:00:00.123456789Z', -315_619_199_876_543_211n],
    ['1969-12-31T23:59:59.999999999Z', -1n],
    ['1970-01-01T00:00:00.000000001Z', 1n],
    ['2038-01-19T03:14:08.000000007Z', 2_147_483_648_000_000_007n],
    ['2300-01-01T00:00:00.999999999Z', 10_413_792_000_999_999_999n],
  ])('keeps %s to the nanosecond', (time, ns) => {
    writeFileSync(at('timed'), '');
    execFileSync('touch', ['-m', '-d', time, at('timed').toString()]);
    expect(statusAt(at('timed')).mtimeNs).toBe(ns);
  });

  test('tells what kind of thing it is, and never follows a link', () => {
    mkdirSync(at('kinds'));
    python(`
import os, sys, socket
os.chdir(sys.argv[1] + '/kinds')
open('file', 'w').write('four'); os.chmod('file', 0o6751)
os.mkdir('directory'); os.symlink('file', 'symlink'); os.mkfifo('fifo')
socket.socket(socket.AF_UNIX).bind('socket')`);
    const types = listNames(at('kinds')).map(String).sort();
    expect(types.map((name) => statusAt(at('kinds', name)).type)).toEqual(types);
    expect(statusAt(at('kinds', 'file'))).toMatchObject({ mode: 0o6751, size: 4, links: 1, rdev: 0n });
    expect(readLink(at('kinds', 'symlink')).toString()).toBe('file');
  });

  test('of an open file is the same as of its name', () => {
    writeFileSync(at('same'), 'bytes');
    const fd = openSource(at('same'));
    expect(statusOf(fd)).toEqual(statusAt(at('same')));
    closeSync(fd);
  });
});

describe('names', () => {
  test('are bytes, whether they are text or not', () => {
    python(`
import os, sys
os.mkdir(os.fsencode(sys.argv[1]) + b'/raw')
for name in [b'\\xff\\xfe', b'new\\nline', b'caf\\xe9', b'x' * 255]:
    open(os.fsencode(sys.argv[1]) + b'/raw/' + name, 'w').close()`);
    const names = listNames(at('raw'));
    expect(names.map((name) => name.toString('latin1')).sort()).toEqual(
      ['\xff\xfe', 'new\nline', 'caf\xe9', 'x'.repeat(255)].sort(),
    );
    for (const name of names) expect(statusAt(Buffer.concat([at('raw'), Buffer.from('/'), name])).type).toBe('file');
  });

  test.each([15, 16, 17, 40])('%i directories of 250 bytes deep, past PATH_MAX, everything can be read', (depth) => {
    python(`
import os, sys
os.makedirs(sys.argv[1] + '/deep-${depth}'); os.chdir(sys.argv[1] + '/deep-${depth}')
for level in range(${depth}):
    os.mkdir('d' * 250); os.chdir('d' * 250)
open('file', 'w').write('far away'); os.symlink('elsewhere', 'symlink'); os.setxattr('file', 'user.note', b'deep')`);
    const deep = Buffer.concat([at(`deep-${depth}`), Buffer.from(`/${'d'.repeat(250)}`.repeat(depth))]);
    const file = Buffer.concat([deep, Buffer.from('/file')]);
    expect(listNames(deep).map(String).sort()).toEqual(['file', 'symlink']);
    expect(statusAt(file)).toMatchObject({ type: 'file', size: 8 });
    expect(readLink(Buffer.concat([deep, Buffer.from('/symlink')])).toString()).toBe('elsewhere');
    expect(attributesAt(file).map(({ value }) => value.toString())).toEqual(['deep']);
    const fd = openSource(file);
    const into = Buffer.alloc(20);
    expect(into.subarray(0, readAt(fd, into, 0)).toString()).toBe('far away');
    closeSync(fd);
  });

  test('what is not there is ENOENT, at any depth', () => {
    expect(() => statusAt(at('nothing'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    const far = Buffer.concat([at('nothing'), Buffer.from(`/${'d'.repeat(250)}`.repeat(40))]);
    expect(() => statusAt(far)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    const wide = Buffer.concat([at(), Buffer.from(`/${'d'.repeat(10_000)}`), Buffer.from('/x')]);
    expect(() => statusAt(wide)).toThrow(expect.objectContaining({ code: 'ENAMETOOLONG' }));
  });
});

describe('attributes', () => {
  test('come sorted with every byte, ACLs too; none is none', () => {
    writeFileSync(at('plain'), '');
    writeFileSync(at('rich'), '');
    expect(attributesAt(at('plain'))).toEqual([]);
    python(`${ACL}
import os, sys
os.setxattr(sys.argv[1] + '/rich', 'user.z', bytes(range(256)))
os.setxattr(sys.argv[1] + '/rich', 'user.a', b'')
os.setxattr(sys.argv[1] + '/rich', 'system.posix_acl_access', acl)`);
    const attributes = attributesAt(at('rich'));
    expect(attributes.map(({ name }) => name.toString())).toEqual(['system.posix_acl_access', 'user.a', 'user.z']);
    expect(attributes.at(1)?.value).toEqual(Buffer.alloc(0));
    expect(attributes.at(2)?.value).toEqual(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
  });

  test('of a link are its own, not its target’s', () => {
    symlinkSync('rich', at('to-rich'));
    expect(attributesAt(at('to-rich'))).toEqual([]);
  });
});

describe('holes', () => {
  function ranges(script: string) {
    const file = at('sparse');
    rmSync(file, { force: true });
    python(`
import sys
with open(sys.argv[1] + '/sparse', 'wb') as f:
${script.replace(/^/gm, '    ')}`);
    const fd = openSource(file);
    const found = dataRanges(fd, statusOf(fd));
    closeSync(fd);
    return found;
  }
  const MIB = 1 << 20;

  test('an empty file has no data', () => expect(ranges('pass')).toEqual([]));
  test('a full file is one range', () => expect(ranges('f.write(b"x" * 100001)')).toEqual([[0, 100_001]]));
  test('nothing but a hole is no range', () => expect(ranges(`f.truncate(${MIB})`)).toEqual([]));
  test('holes at the start, in the middle and at the end are left out', () => {
    const script = `f.seek(${MIB}); f.write(b"x" * 4096); f.seek(${3 * MIB}); f.write(b"y" * 8192); f.truncate(${5 * MIB})`;
    expect(ranges(script)).toEqual([
      [MIB, MIB + 4096],
      [3 * MIB, 3 * MIB + 8192],
    ]);
  });
  test('the last data may end within a block', () => {
    expect(ranges(`f.seek(${MIB}); f.write(b"x")`)).toEqual([[MIB, MIB + 1]]);
  });
});

describe('opening', () => {
  test('a link in the place of a file is refused, a fifo does not block', () => {
    symlinkSync('/etc/passwd', at('planted'));
    execFileSync('mkfifo', [at('pipe').toString()]);
    expect(() => openSource(at('planted'))).toThrow(expect.objectContaining({ code: 'ELOOP' }));
    const fd = openSource(at('pipe'));
    expect(statusOf(fd).type).toBe('fifo');
    closeSync(fd);
  });

  test('reading leaves the access time alone', () => {
    writeFileSync(at('read'), 'x'.repeat(5000));
    execFileSync('touch', ['-a', '-d', '2001-02-03T04:05:06Z', at('read').toString()]);
    const fd = openSource(at('read'));
    expect(readAt(fd, Buffer.alloc(6000), 0)).toBe(5000);
    closeSync(fd);
    expect(execFileSync('stat', ['-c', '%X', at('read').toString()], { encoding: 'utf8' }).trim()).toBe('981173106');
  });
});
