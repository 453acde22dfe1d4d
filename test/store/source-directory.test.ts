/** Compared with what Node's own lstat says of each whole path. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { SourceDirectory, statusKept } from '../../store/source-directory.ts';
import { listNames, statusAt } from '../../store/source-tree.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-directory-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const at = (...parts: string[]) => Buffer.from(path.join(dir, ...parts));
const python = (script: string) => execFileSync('python3', ['-c', script, dir], { encoding: 'utf8' });

describe('a directory', () => {
  test('tells of each name below it what its path tells: kinds, times, sizes, and devices of other file systems', () => {
    mkdirSync(at('told'));
    python(`
import os, sys, socket
os.chdir(sys.argv[1] + '/told')
open('file', 'w').write('four'); os.chmod('file', 0o6751); os.link('file', 'again')
os.mkdir('directory'); os.symlink('nowhere', 'symlink'); os.mkfifo('fifo')
socket.socket(socket.AF_UNIX).bind('socket')
with open('huge', 'w') as huge: huge.truncate(5 << 40)
os.utime('huge', ns=(0, -315619199876543211))
open(b'raw-\\xff\\xfe', 'w').close()
open('n' * 255, 'w').close()`);
    for (const folder of [at('told'), Buffer.from('/dev'), Buffer.from('/')]) {
      const directory = new SourceDirectory(folder);
      for (const name of listNames(folder)) {
        const told = statusAt(Buffer.concat([folder, Buffer.from('/'), name]));
        const { mtimeNs, ctimeNs, size, ...lasting } = statusKept(directory.look(name.toString('latin1')));
        expect(lasting).toMatchObject({ type: told.type, inode: told.inode, device: told.device, rdev: told.rdev });
        if (folder.equals(at('told'))) expect({ mtimeNs, ctimeNs, size, ...lasting }).toEqual(told);
      }
      directory.close();
    }
  });

  test('is no link to one, and says what is not there', () => {
    symlinkSync(at('told'), at('told-link'));
    expect(() => new SourceDirectory(at('told-link'))).toThrow(expect.objectContaining({ code: 'ENOTDIR' }));
    const directory = new SourceDirectory(at('told'));
    const refused = (code: string) => expect.objectContaining({ code });
    expect(() => directory.look('nothing')).toThrow(refused('ENOENT'));
    expect(() => directory.look('n'.repeat(256))).toThrow(refused('ENAMETOOLONG'));
    directory.close();
  });
});
