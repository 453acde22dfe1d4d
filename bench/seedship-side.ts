/**
 * Seedship in the bench: one `seedship up` in a state directory of its own, and the commands a person
 * types. Each round registers a machine of its own, whose keys are new: nothing is deduplicated against
 * the round before.
 *
 * First backup is `job start`, into a staging directory: what it does is what the others' backup does into a
 * repository on the same disk, and it is how a seed begins. The vault is a directory on that disk too, so that
 * the S3 server, which the others have none of, takes no part in what is timed. Between the first and the next
 * backup the seed travels, untimed.
 */
import type { ChildProcess } from 'node:child_process';
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Environment, type Programs, told } from './programs.ts';

const MAIN = fileURLToPath(new URL('../client/main.js', import.meta.url));
const READY_MS = 60_000;
const VAULT = 'bench';

interface Point {
  readonly label: string;
  readonly machine: string;
  readonly restorable: boolean;
}

export class SeedshipSide {
  readonly tool = 'seedship';
  readonly #folder: string;
  readonly #corpus: string;
  readonly #programs: Programs;
  readonly #storage: 'folder' | 's3';
  #up: ChildProcess | undefined;

  /** @param storage where the vault and its landing are: in the side's folder, or on the S3 server of its own */
  constructor(folder: string, corpus: string, programs: Programs, storage: 'folder' | 's3' = 'folder') {
    this.#storage = storage;
    this.#folder = folder;
    this.#corpus = corpus;
    this.#programs = programs;
  }

  at(...names: string[]): string {
    return path.join(this.#folder, ...names);
  }

  get pids(): number[] {
    return this.#up?.pid === undefined ? [] : [this.#up.pid];
  }

  get environment(): Environment {
    return { ...process.env, SEEDSHIP_STATE_DIR: this.at('state'), SEEDSHIP_HOST: 'bench', NO_COLOR: '1' };
  }

  /** @param prefix a program and its words before that of the system, as `taskset -c 0` */
  async start(prefix: readonly string[] = []): Promise<void> {
    mkdirSync(this.#folder, { recursive: true });
    const log = openSync(this.at('up.log'), 'a');
    const up = this.#programs.start([...prefix, ...this.command('up', '--json')], this.environment, [
      'ignore',
      log,
      log,
    ]);
    closeSync(log);
    this.#up = up;
    const said = (): string => readFileSync(this.at('up.log'), 'utf8');
    for (const end = Date.now() + READY_MS; !said().includes('"event":"ready"'); await sleep(200))
      if (Date.now() > end || up.exitCode !== null) throw new Error(`seedship up is not ready: ${said()}`);
    writeFileSync(this.at('passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
    const folder = this.#storage === 'folder' ? ['--destination', pathToFileURL(this.at('vault')).href] : [];
    const words = ['--region', 'home', ...folder, '--words-out', this.at('words')];
    await this.type('vault', 'create', VAULT, ...words, ...this.passphrase);
    await this.type('key', 'verify-words', '--words-file', this.at('words'));
  }

  get passphrase(): string[] {
    return ['--passphrase-file', this.at('passphrase')];
  }

  /** The program and words of a command, as the shell that times it runs them. */
  command(...words: string[]): string[] {
    return [process.execPath, MAIN, ...words];
  }

  /** Types a command that must end with 0, untimed; returns its data. */
  async type(...words: string[]): Promise<unknown> {
    const ended = await this.#programs.run(this.command(...words, '--json'), this.environment);
    appendFileSync(this.at('commands.log'), `[${ended.status}] seedship ${words.join(' ')}\n`);
    if (ended.status !== 0) throw new Error(`seedship ${words.join(' ')} ended with ${ended.status}:\n${told(ended)}`);
    const lines = ended.stdout.split('\n').filter((line) => line.startsWith('{'));
    return lines.map((line) => JSON.parse(line).data).findLast((data) => data !== undefined);
  }

  /** Machine `m<round>` with protection `p<round>` of the corpus. */
  async begin(round: number): Promise<void> {
    const [machine, file, code] = [`m${round}`, this.at(`m${round}.cred`), this.at(`m${round}.code`)];
    await this.type(
      'vault',
      'credentials',
      '--machine',
      machine,
      '--out',
      file,
      '--code-out',
      code,
      ...this.passphrase,
    );
    await this.type('agent', 'register', '--credentials', file, '--code-file', code);
    const items = ['--item', this.#corpus, '--schedule', 'weekly sat 22:00', '--timezone', 'UTC'];
    await this.type('protection', 'create', `p${round}`, '--machine', machine, ...items, '--initial', 'offline');
    await sleep(6000); // the worker of the source begins anew for a new machine
  }

  firstBackup(round: number): string[] {
    const staging = ['--staging', this.at(`staging-${round}`)];
    return this.command('job', 'start', `j${round}`, '--machine', `m${round}`, '--protection', `p${round}`, ...staging);
  }

  again(round: number): string[] {
    return this.command('backup', 'now', `p${round}`, '--machine', `m${round}`);
  }

  restore(round: number, to: string): string[] {
    return this.command('restore', 'latest', '--machine', `m${round}`, '--to', to, ...this.passphrase);
  }

  /**
   * The seed's way from staging into the vault, on one drive.
   * @param elsewhere whether it was staged by a host of its own, whose names of places mean nothing here
   */
  async carry(round: number, elsewhere = false): Promise<void> {
    const [job, drive] = [['--job', `j${round}`], this.at(`drive-${round}`)];
    mkdirSync(drive);
    const staging = elsewhere ? ['--staging', this.stored(round)] : [];
    await this.type('drive', 'prepare', drive, ...job, ...staging);
    await this.type('job', 'ship', `j${round}`, '--carrier', 'dhl', '--tracking', `JD01460000${round}RU`);
    const show: { drives: { id: string }[] } = Object(await this.type('job', 'show', `j${round}`));
    await this.type('drive', 'receive', ...job, ...show.drives.flatMap(({ id }) => ['--drive', id]));
    await this.type('drive', 'attach', drive, ...job);
    await this.type('job', 'watch', `j${round}`, '--until', 'Protected');
    await this.restorable(round, 1);
  }

  /** Waits until the vault worker says that so many points of the machine can be restored; their labels. */
  async restorable(round: number, count: number): Promise<string[]> {
    for (let tries = 0; tries < 120; tries += 1) {
      const points: Point[] = Object(await this.type('point', 'list'));
      const good = points.filter(({ machine, restorable }) => machine === `m${round}` && restorable);
      if (good.length >= count) return good.map(({ label }) => label);
      await sleep(1000);
    }
    throw new Error(`m${round} has not ${count} restorable points after two minutes`);
  }

  /** The folder whose bytes are what the first backup stored. */
  stored(round: number): string {
    return this.at(`staging-${round}`);
  }

  /** The folder that a restore reads. */
  kept(_round: number): string {
    return this.at('vault');
  }

  /** What a round has no more use for. */
  forget(round: number): void {
    for (const name of ['staging', 'drive']) rmSync(this.at(`${name}-${round}`), { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    const up = this.#up;
    this.#up = undefined;
    up?.kill('SIGTERM');
    if (up) await this.#programs.ended(up);
  }
}
