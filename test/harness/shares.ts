/**
 * Folders as other hosts see them: exported and mounted again on this one, by NFS and by SMB. What of that
 * this machine has not is told, so that a test can say loudly what it did not try.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from './loop-disk.ts';

const SMB_PORT = 14_450;
const TRIES = 50;

export interface Share {
  readonly kind: 'NFS' | 'SMB';
  /** Why it cannot be tried here. */
  readonly missing: string | undefined;
  /** Mounts `folder` at `at`, which is made; returns what takes it away again. */
  mount(folder: string, at: string): Promise<() => void>;
}

export const SHARES: readonly Share[] = [
  {
    kind: 'NFS',
    missing: lacking(['nfs4', 'nfsd'], ['exportfs', 'rpc.nfsd', 'rpc.mountd', 'mount.nfs4']),
    async mount(folder, at) {
      const exported = `127.0.0.1:${folder}`;
      const server = spawn('rpc.mountd', ['--foreground', '-N', '3'], { stdio: 'ignore' });
      run('exportfs', '-o', 'rw,no_root_squash,no_subtree_check,insecure,fsid=77', exported);
      run('rpc.nfsd', '-N', '3', '2');
      await mounted(at, '-t', 'nfs4', exported);
      return () => {
        run('umount', at);
        run('exportfs', '-u', exported);
        run('rpc.nfsd', '0');
        server.kill();
      };
    },
  },
  {
    kind: 'SMB',
    missing: lacking(['cifs'], ['smbd', 'mount.cifs']),
    async mount(folder, at) {
      const server = serveSmb(folder, `${at}-smb`);
      const options = `port=${SMB_PORT},guest,vers=3.1.1,uid=0,gid=0`;
      await mounted(at, '-t', 'cifs', '-o', options, '//127.0.0.1/staging');
      return () => {
        run('umount', at);
        server.kill();
      };
    },
  },
];

/** Anybody is root in it: it is one machine, and one test. */
function serveSmb(folder: string, own: string): ChildProcess {
  mkdirSync(own);
  const places = ['private dir', 'lock directory', 'state directory', 'cache directory', 'pid directory'];
  const lines = [
    '[global]',
    ...['interfaces = 127.0.0.1', 'bind interfaces only = yes', 'map to guest = bad user', 'guest account = root'],
    ...places.map((place) => `${place} = ${own}`),
    ...['[staging]', `path = ${folder}`, 'read only = no', 'guest ok = yes', 'force user = root'],
  ];
  writeFileSync(`${own}/smb.conf`, `${lines.join('\n')}\n`);
  const words = ['--foreground', '--no-process-group', `--configfile=${own}/smb.conf`, `--port=${SMB_PORT}`];
  return spawn('smbd', words, { stdio: 'ignore' });
}

/** A server takes a moment to answer. */
async function mounted(at: string, ...words: readonly string[]): Promise<void> {
  mkdirSync(at);
  for (let tries = 1; ; tries += 1)
    try {
      run('mount', ...words, at);
      return;
    } catch (error) {
      if (tries === TRIES) throw error;
      await sleep(200);
    }
}

function lacking(fileSystems: readonly string[], programs: readonly string[]): string | undefined {
  for (const name of fileSystems) {
    attempt('modprobe', '--quiet', name);
    const known = readFileSync('/proc/filesystems', 'utf8').split(/\s+/);
    if (!known.includes(name)) return `the kernel has no ${name}`;
  }
  const absent = programs.filter((program) => !attempt('sh', '-c', `command -v ${program}`));
  return absent.length === 0 ? undefined : `${absent.join(', ')} not installed`;
}

function attempt(program: string, ...words: readonly string[]): boolean {
  try {
    run(program, ...words);
    return true;
  } catch {
    return false;
  }
}
