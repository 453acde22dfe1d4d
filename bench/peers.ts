/**
 * The backup programs we are measured beside, each with its own defaults: a repository a round on the same
 * disk. Passphrases, settings and caches lie in the bench's folder, so that nothing of the user's own is read
 * or written.
 *
 *   kopia   compresses nothing unless it is told to: zstd, as its own documentation recommends
 *   borg    wants its key's place named: in the repository, with BLAKE2b
 */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Environment, Programs } from './programs.ts';

const PASSPHRASE = 'correct horse battery staple';

/** Where one program has its things in a round. */
interface Ground {
  readonly repository: string;
  /** Its folder for everything else, of all rounds. */
  readonly folder: string;
  readonly corpus: string;
}

interface Peer {
  readonly name: string;
  /** Prints its version in the first line. */
  readonly version: readonly string[];
  /** How it is had where it is missing. */
  readonly cure: string;
  environment(folder: string): Environment;
  create(ground: Ground): readonly (readonly string[])[];
  /** @param time so many backups went before */
  backup(ground: Ground, time: number): readonly string[];
  restore(ground: Ground, to: string, time: number): readonly string[];
}

const restic: Peer = {
  name: 'restic',
  version: ['restic', 'version'],
  cure: 'apt-get install -y restic',
  environment: (folder) => ({ RESTIC_PASSWORD: PASSPHRASE, RESTIC_CACHE_DIR: path.join(folder, 'cache') }),
  create: ({ repository }) => [['restic', '-r', repository, 'init']],
  backup: ({ repository, corpus }) => ['restic', '-r', repository, 'backup', corpus],
  restore: ({ repository }, to) => ['restic', '-r', repository, 'restore', 'latest', '--target', to],
};

const rustic: Peer = {
  name: 'rustic',
  version: ['rustic', '--version'],
  cure: 'cargo install rustic-rs --locked (24 minutes of two cores)',
  environment: (folder) => ({ RUSTIC_PASSWORD: PASSPHRASE, HOME: folder, XDG_CACHE_HOME: path.join(folder, 'cache') }),
  create: ({ repository }) => [['rustic', '-r', repository, 'init']],
  backup: ({ repository, corpus }) => ['rustic', '-r', repository, 'backup', corpus],
  restore: ({ repository }, to) => ['rustic', '-r', repository, 'restore', 'latest', to],
};

const kopia: Peer = {
  name: 'kopia',
  version: ['kopia', '--version'],
  cure: 'its release, on PATH',
  environment: (folder) => ({
    KOPIA_PASSWORD: PASSPHRASE,
    KOPIA_CHECK_FOR_UPDATES: 'false',
    KOPIA_CONFIG_PATH: path.join(folder, 'repository.config'),
    KOPIA_CACHE_DIRECTORY: path.join(folder, 'cache'),
    KOPIA_LOG_DIR: path.join(folder, 'log'),
  }),
  create: ({ repository }) => [
    ['kopia', 'repository', 'create', 'filesystem', '--path', repository],
    ['kopia', 'policy', 'set', '--global', '--compression=zstd'],
  ],
  backup: ({ corpus }) => ['kopia', '--no-progress', 'snapshot', 'create', corpus],
  restore: ({ corpus }, to) => [
    'kopia',
    '--no-progress',
    'snapshot',
    'restore',
    corpus,
    path.join(to, corpus),
    '--snapshot-time=latest',
  ],
};

const borg: Peer = {
  name: 'borg',
  version: ['borg', '--version'],
  cure: 'pip install borgbackup, with libacl1-dev, libxxhash-dev, liblz4-dev, libzstd-dev, libssl-dev and pkg-config',
  environment: (folder) => ({ BORG_PASSPHRASE: PASSPHRASE, BORG_BASE_DIR: folder }),
  create: ({ repository }) => [['borg', 'init', '--encryption', 'repokey-blake2', repository]],
  backup: ({ repository, corpus }, time) => ['borg', 'create', `${repository}::${time}`, corpus],
  restore: ({ repository }, to, time) => [
    ...['sh', '-c', 'mkdir -p "$1" && cd "$1" && exec borg extract "$2"', 'sh'],
    ...[to, `${repository}::${time}`],
  ],
};

export const PEERS: readonly Peer[] = [restic, kopia, rustic, borg];

/** One of them in the bench. */
export class PeerSide {
  readonly tool: string;
  readonly pids: readonly number[] = [];
  readonly #peer: Peer;
  readonly #folder: string;
  readonly #corpus: string;
  readonly #programs: Programs;
  #backups = 0;

  constructor(peer: Peer, folder: string, { corpus, programs }: { corpus: string; programs: Programs }) {
    this.tool = peer.name;
    [this.#peer, this.#folder, this.#corpus, this.#programs] = [peer, folder, corpus, programs];
  }

  get environment(): Environment {
    return { ...process.env, ...this.#peer.environment(this.#folder) };
  }

  async begin(round: number): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true });
    mkdirSync(this.#folder, { recursive: true });
    this.#backups = 0;
    for (const command of this.#peer.create(this.#ground(round))) await this.#programs.must(command, this.environment);
  }

  firstBackup(round: number): readonly string[] {
    return this.again(round);
  }

  again(round: number): readonly string[] {
    this.#backups += 1;
    return this.#peer.backup(this.#ground(round), this.#backups);
  }

  restore(round: number, to: string): readonly string[] {
    return this.#peer.restore(this.#ground(round), to, this.#backups);
  }

  /** The folder whose bytes are what it stored. */
  stored(round: number): string {
    return this.#ground(round).repository;
  }

  /** The folder that a restore reads. */
  kept(round: number): string {
    return this.stored(round);
  }

  /** What a round has no more use for. */
  forget(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #ground(round: number): Ground {
    const repository = path.join(this.#folder, `repository-${round}`);
    return { repository, folder: this.#folder, corpus: this.#corpus };
  }
}
