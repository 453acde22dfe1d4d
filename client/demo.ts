/**
 * `seedship demo`: the whole journey on this machine, on real files, by the commands a person types.
 *
 *   1 an embedded system of its own; a vault, a machine, a protection whose schedule fires in minutes
 *   2 staging, two drives, a parcel, the dock, the vault; an incremental while the seed travels
 *   3 files change, the schedule fires, the newest point becomes restorable
 *   4 staging, drives, landing and machine state are deleted; the owner restores from the vault alone
 *   5 judges that are not ours compare; exit 0 only if nothing differs
 *
 * All of it lies in one folder, which goes away at the end; so do all processes and mounts.
 */
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EXIT, Failure } from '../domain/failure.ts';
import type { PresentPoint } from '../domain/record.ts';
import { seedingId } from '../domain/seeding-job.ts';
import { formatDuration, formatSize, MIB, MINUTE, SECOND } from '../domain/units.ts';
import { newSalt } from '../format/key-tree.ts';
import { connectClient } from '../host/connections.ts';
import {
  changeFiles,
  copyTree,
  destroyDrive,
  hasOwnMounts,
  mountDrive,
  namesIn,
  removeFolder,
  withOwnMounts,
} from '../host/demo-ground.ts';
import { judgeTrees } from '../host/oracle.ts';
import { readGivenFile } from '../host/secrets.ts';
import { embeddedFile, loadSettings } from '../host/settings.ts';
import { makeDirectoryDurable, replaceDurable } from '../store/durable-file.ts';
import { landingPlace } from './datacenters.ts';
import { Invocation } from './invocation.ts';
import { jobStatus } from './job-acts.ts';
import { readPoints } from './points.ts';
import { columns } from './print.ts';
import { type EmbeddedSystem, startEmbedded } from './up.ts';
import { enterVault, openPlace } from './vault-door.ts';

const [VAULT, REGION, MACHINE, PROTECTION, JOB] = ['demo', 'home', 'demo-machine', 'files', 'demo-1'];
/** Minutes from the start at which the schedule may fire: whichever comes next when it is wanted. */
const FIRES_AT = [1, 2, 3, 5, 8, 13];
const FIRE_PATIENCE_MS = 8 * MINUTE;
/** What stays of the machine's state when the machine is lost: the servers are not its own. */
const NOT_THE_MACHINES = ['servers', 'logs', 'secrets', 'embedded.json', 'up.lock'];

interface StageRow {
  readonly stage: string;
  readonly seconds: number;
  readonly bytes: number;
}

/** `demo` */
export async function demo(call: Invocation): Promise<number> {
  const { environment } = call.settings;
  if (!hasOwnMounts(environment)) {
    const exit = await withOwnMounts(process.argv.slice(1), environment);
    if (exit !== undefined) return exit;
  }
  const stopped = new AbortController();
  const stop = (): void => stopped.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  const show = new Demo(call, stopped.signal);
  try {
    return await show.run();
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
    call.print.talk('Interrupted; cleaning up.');
    return EXIT.interrupted;
  } finally {
    await show.clean();
  }
}

class Demo {
  readonly #call: Invocation;
  readonly #stopped: AbortSignal;
  readonly #root: string;
  readonly #state: string;
  readonly #rows: StageRow[] = [];
  readonly #drives: { image: string; folder: string }[] = [];
  #system: EmbeddedSystem | undefined;
  #serving: NodeJS.Timeout | undefined;
  #stateInUse: string;

  constructor(call: Invocation, stopped: AbortSignal) {
    this.#call = call;
    this.#stopped = stopped;
    this.#root = path.join(call.settings.dataDirectory, `demo-${newSalt().toString('hex').slice(0, 8)}`);
    this.#state = path.join(this.#root, 'machine-state');
    this.#stateInUse = this.#state;
  }

  async run(): Promise<number> {
    const source = this.#at('source');
    await this.#timed('Copy of the source', () => this.#copySource(source));
    await this.#timed('Servers', () => this.#start());
    await this.#setUp(source);
    await this.#journey(source);
    await this.#schedule(source);
    const exact = await this.#loseAndRestore(source);
    this.#summary(exact);
    if (this.#call.is('keep') && exact) await this.#keep();
    return exact ? EXIT.ok : EXIT.integrity;
  }

  /** Ends every process, unmounts every drive, removes the folder. */
  async clean(): Promise<void> {
    clearInterval(this.#serving);
    await this.#system?.close();
    for (const { image, folder } of this.#drives) await destroyDrive(image, folder);
    removeFolder(this.#root);
  }

  async #copySource(source: string): Promise<number> {
    await makeDirectoryDurable(this.#root);
    const from = this.#call.text('source') ?? fileURLToPath(new URL('../../node_modules', import.meta.url));
    this.#call.print.talk(`Protects a copy of ${from}`);
    await copyTree(path.resolve(from), source);
    return 0;
  }

  async #start(): Promise<number> {
    this.#system = await startEmbedded(this.#invocation(this.#state));
    this.#call.print.event('ready', `Web UI: ${this.#system.uiUrl}`, this.#system.addresses);
    this.#serving = setInterval(() => void this.#system?.serveSites().catch(() => {}), SECOND / 2);
    return 0;
  }

  async #setUp(source: string): Promise<void> {
    const [passphrase, words] = [this.#at('passphrase'), this.#at('words')];
    await replaceDurable(passphrase, Buffer.from(`${newSalt().toString('base64')}\n`));
    await this.#type(
      'vault',
      'create',
      VAULT,
      '--region',
      REGION,
      '--passphrase-file',
      passphrase,
      '--words-out',
      words,
    );
    await this.#type('key', 'verify-words', '--words-file', words);
    const file = this.#at('machine.cred');
    const code = this.#at('code');
    await this.#type(
      'vault',
      'credentials',
      '--machine',
      MACHINE,
      '--out',
      file,
      '--code-out',
      code,
      '--passphrase-file',
      passphrase,
    );
    await this.#type('agent', 'register', '--credentials', file, '--code-file', code);
    await this.#type(
      'protection',
      'create',
      PROTECTION,
      '--item',
      source,
      '--schedule',
      soonSchedule(),
      '--timezone',
      'UTC',
      '--initial',
      'offline',
    );
  }

  async #journey(source: string): Promise<void> {
    await this.#timed('1 Staging', async () => {
      await this.#type('job', 'start', JOB, '--protection', PROTECTION, '--staging', this.#at('staging'));
      return (await this.#job()).staged?.sealedBytes ?? 0;
    });
    await this.#timed('2 Preparing two drives', () => this.#prepare());
    await this.#timed('3–4 Import job, parcel', async () => {
      await this.#type('job', 'ship', JOB, '--carrier', 'other', '--tracking', `DEMO${Date.now()}`);
      return 0;
    });
    await this.#timed('  Incremental while the seed travels', async () => {
      changeFiles(source, 'travel-day');
      await this.#type('backup', 'now', PROTECTION);
      return 0;
    });
    const drives = (await this.#job()).drives.map(({ id }) => id);
    await this.#timed('5 Receiving, ingesting', async () => {
      await this.#type('drive', 'receive', '--job', JOB, ...drives.flatMap((id) => ['--drive', id]));
      for (const { folder } of this.#drives.slice(-drives.length))
        await this.#type('drive', 'attach', folder, '--job', JOB);
      return (await this.#job()).drives.reduce((sum, { bytes }) => sum + bytes, 0);
    });
    await this.#timed('6 Copying to the vault', async () => {
      await this.#type('job', 'watch', JOB, '--until', 'Protected');
      return (await this.#job()).staged?.sealedBytes ?? 0;
    });
  }

  /** The first drive is too small for all, so that there are two; a tiny source may fit on one. */
  async #prepare(): Promise<number> {
    const bytes = (await this.#job()).staged?.sealedBytes ?? 0;
    for (const size of [Math.ceil(bytes * 0.6) + MIB, bytes * 2 + 64 * MIB]) {
      if ((await this.#job()).free.length === 0) break;
      const number = this.#drives.length + 1;
      const drive = { image: this.#at(`drive-${number}.img`), folder: this.#at(`drive-${number}`) };
      if (hasOwnMounts(this.#call.settings.environment))
        await mountDrive(drive.image, drive.folder, Math.ceil(size * 1.1) + 64 * MIB);
      else await makeDirectoryDurable(drive.folder);
      this.#drives.push(drive);
      await this.#type('drive', 'prepare', drive.folder, '--job', JOB, '--capacity', String(size));
    }
    return (await this.#job()).drives.reduce((sum, one) => sum + one.bytes, 0);
  }

  /** Files change; the schedule, not a person, backs them up. */
  async #schedule(source: string): Promise<void> {
    await this.#timed('7 Scheduled incremental', async () => {
      changeFiles(source, 'next-day');
      const changedAt = Date.now();
      this.#call.print.talk('Files have changed; waiting for the schedule to fire …');
      const deadline = changedAt + FIRE_PATIENCE_MS;
      for (let point: PresentPoint | undefined; !point; point = await this.#restorableSince(changedAt)) {
        if (Date.now() > deadline)
          throw new Failure('TimedOut', 'the schedule did not bring a restorable point in time');
        await sleep(SECOND, undefined, { signal: this.#stopped });
      }
      await this.#type('point', 'list');
      return 0;
    });
  }

  async #restorableSince(since: number): Promise<PresentPoint | undefined> {
    const points = await readPoints(enterVault(this.#invocation(this.#state)));
    return points.find(({ restorable, time }) => restorable && Date.parse(time) >= since);
  }

  async #loseAndRestore(source: string): Promise<boolean> {
    const url = enterVault(this.#invocation(this.#state)).credentials.vault.url;
    await this.#timed('Losing staging, drives, landing, machine', async () => {
      await this.#emptyLanding();
      for (const { image, folder } of this.#drives.splice(0)) await destroyDrive(image, folder);
      removeFolder(this.#at('staging'));
      for (const name of namesIn(this.#state))
        if (!NOT_THE_MACHINES.includes(name)) removeFolder(path.join(this.#state, name));
      return 0;
    });
    this.#stateInUse = this.#at('owner-state');
    await makeDirectoryDurable(this.#stateInUse);
    await replaceDurable(embeddedFile(this.#stateInUse), readGivenFile('address file', embeddedFile(this.#state)));
    const passphrase = this.#at('passphrase');
    const to = this.#at('restored');
    await this.#type('vault', 'open', url, '--passphrase-file', passphrase);
    await this.#timed('Restore', async () => {
      await this.#type('restore', 'latest', '--to', to, '--passphrase-file', passphrase);
      return 0;
    });
    return await this.#judge(source, path.join(to, source));
  }

  async #emptyLanding(): Promise<void> {
    const call = this.#invocation(this.#state);
    const url = enterVault(call).state.placeUrl(landingPlace(REGION)) ?? '';
    const landing = openPlace(call, url, 'owner');
    for await (const { name } of landing.list('')) await landing.remove(name);
  }

  async #judge(original: string, restored: string): Promise<boolean> {
    const verdicts = await judgeTrees({ original, restored }, this.#call.settings.environment.PATH ?? '');
    for (const { judge, command, count, differences } of verdicts) {
      this.#call.print.event('verdict', `${judge}: ${count === 0 ? 'no difference' : `${count} differences`}`, {
        judge,
        command,
        count,
      });
      for (const line of differences) this.#call.print.talk(`  ${line}`);
    }
    return verdicts.length > 0 && verdicts.every(({ count }) => count === 0);
  }

  #summary(exact: boolean): void {
    const { print } = this.#call;
    const stages = this.#rows;
    print.result('demo', { exact, stages, uiUrl: this.#system?.uiUrl }, () => [
      '',
      ...columns(
        ['STAGE', 'TIME', 'BYTES'],
        stages.map(({ stage, seconds, bytes }) => [
          stage,
          formatDuration(seconds * SECOND),
          bytes > 0 ? formatSize(bytes) : '-',
        ]),
      ),
      '',
      exact
        ? 'The restored folder is exactly the protected one.'
        : 'The restored folder DIFFERS from the protected one.',
      `Web UI: ${this.#system?.uiUrl} (while this runs; --keep leaves it running)`,
      'To go on with files of your own: seedship up, then seedship vault create NAME',
    ]);
  }

  async #keep(): Promise<void> {
    this.#call.print.talk(
      `Keeps running until Ctrl-C. In another terminal: export SEEDSHIP_STATE_DIR=${this.#stateInUse}`,
    );
    await sleep(2 ** 31 - 1, undefined, { signal: this.#stopped }).catch(() => {});
  }

  /** Runs a command as if a person had typed it. @throws Failure when it does not end with 0 */
  async #type(...words: string[]): Promise<void> {
    this.#stopped.throwIfAborted();
    this.#call.print.talk(
      `$ seedship ${words.map((word) => (/^[\w./:=,@+-]+$/.test(word) ? word : JSON.stringify(word))).join(' ')}`,
    );
    const common = [
      '--state-dir',
      this.#stateInUse,
      '--host',
      'demo-host',
      ...(this.#call.print.json ? ['--json'] : []),
    ];
    const exit = await this.#call.type([...words, ...common]);
    if (exit === EXIT.interrupted) throw new Failure('Aborted', 'interrupted');
    const tooSmall = exit === EXIT.failed && words[1] === 'prepare' && this.#drives.length === 1;
    if (exit !== EXIT.ok && exit !== EXIT.losses && !tooSmall)
      throw new Failure('Aborted', `seedship ${words.slice(0, 2).join(' ')} ended with ${exit}`, {
        next: 'see its own words above',
      });
  }

  async #timed(stage: string, work: () => Promise<number>): Promise<void> {
    this.#stopped.throwIfAborted();
    this.#call.print.event('stage', `\n── ${stage.trim()}`, { stage });
    const began = performance.now();
    const bytes = await work();
    this.#rows.push({ stage, seconds: Math.round((performance.now() - began) / 100) / 10, bytes });
  }

  async #job() {
    const temporal = await connectClient(this.#invocation(this.#state).settings);
    try {
      return await jobStatus(temporal, seedingId({ vault: VAULT, job: JOB }));
    } finally {
      await temporal.close();
    }
  }

  #invocation(stateDirectory: string): Invocation {
    const settings = loadSettings({
      flags: { 'state-dir': stateDirectory, host: 'demo-host' },
      directory: os.tmpdir(),
    });
    return new Invocation({
      words: [],
      flags: { 'state-dir': stateDirectory },
      settings,
      print: this.#call.print,
      type: this.#call.type,
    });
  }

  #at(name: string): string {
    return path.join(this.#root, name);
  }
}

function soonSchedule(): string {
  const times = FIRES_AT.map((minutes) => new Date(Date.now() + minutes * MINUTE).toISOString().slice(11, 16));
  return `daily ${[...new Set(times)].sort().join(',')}`;
}
