/**
 * A whole system for one test, on real parts: Temporal's server, an S3 server with an identity a role,
 * a vault with its records, and every site as a worker process of its own, all below one directory.
 * What a person would type is done here through the same doors: records, requests, updates.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Progress } from '../../domain/receipt.ts';
import type { DatacenterRecord, JobRecord, ProtectionRecord } from '../../domain/record.ts';
import { type JobStatus, type SeedingRequest, seedingId } from '../../domain/seeding-job.ts';
import type { Credentials } from '../../format/credentials.ts';
import { deriveDomain, deriveOwner, newMaster } from '../../format/key-tree.ts';
import { sealItems } from '../../format/protection-items.ts';
import { newAgeIdentity } from '../../format/session.ts';
import { certify, newSigningSeed, newVaultId, ownerSigner, publicKeyOf } from '../../format/signature.ts';
import { connectClient, type TemporalClient } from '../../host/connections.ts';
import { findTemporal, serverSearch } from '../../host/server-programs.ts';
import { NAMESPACE, startTemporal, type TemporalServer } from '../../host/servers.ts';
import { type Embedded, embeddedFile, loadSettings, type Settings } from '../../host/settings.ts';
import { prepareBucket } from '../../store/bucket.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { openState } from '../../store/machine-state.ts';
import { type ObjectStore, openStore } from '../../store/object-store.ts';
import { appendRecord } from '../../store/records.ts';
import { PARTIES, type Party, startTestS3, type TestS3 } from './s3.ts';

export const VAULT = 'main';
export const MACHINE = 'hq';
export const REGION = 'eu-west';
export const HOST = 'bench';
const SITES = {
  ...{ control: 'control', copy: `copy.${HOST}` },
  ...{ dock: `dock.${REGION}.${HOST}`, vault: `vault.${VAULT}` },
} as const;
export const KINDS = ['control', 'source', 'copy', 'dock', 'vault'] as const;
export type Kind = (typeof KINDS)[number];
export type Uids = Readonly<Record<Kind, number>>;
const PARTY_OF: Readonly<Record<Kind, Party>> = {
  ...{ control: 'control', source: 'machine', copy: 'copy', dock: 'datacenter', vault: 'vault' },
};

/** Who reads staging: the machine, which fills it, and the copy host. */
const STAGING_GROUP = 61_100;

/** The words before a command that make it run as a kind's user. */
export function asUser(kind: Kind, uid: number): string[] {
  const groups = kind === 'source' || kind === 'copy' ? [`--groups=${STAGING_GROUP}`] : ['--clear-groups'];
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, ...groups];
}

function shareByGroup(folder: string, uid: number, group: number): void {
  execFileSync('install', ['-d', '-m', '2770', '-o', `${uid}`, '-g', `${group}`, folder]);
}

/** Now all below `folder` is that user's, and closed to others. */
export function handOver(folder: string, uid: number): void {
  execFileSync('chown', ['-R', `${uid}:${uid}`, folder]);
  chmodSync(folder, 0o700);
}

/** Of a command that was typed. */
export interface Answer {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class SmallSystem {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'seedship-system-'));
  readonly master = newMaster();
  readonly owner = deriveOwner(this.master);
  readonly vaultId = newVaultId();
  readonly #workers: { readonly kind: Kind; readonly process: ChildProcess }[] = [];
  readonly #more: Readonly<Record<string, string>>;
  readonly #uids: Uids | undefined;
  #temporal: TemporalServer | undefined;
  #s3: TestS3 | undefined;
  #client: TemporalClient | undefined;

  private constructor(more: Readonly<Record<string, string>>, uids?: Uids) {
    this.#more = more;
    this.#uids = uids;
    if (uids) chmodSync(this.directory, 0o711);
  }

  /**
   * @param flags of every worker, besides the usual ones: `{ throttle: '10MiB' }`
   * @param uids each kind of worker runs as a user of its own, with a state and keys of its own (root
   *   only); staging is shared by a group of the machine and the copy host then
   */
  static async start(flags: Readonly<Record<string, string>> = {}, uids?: Uids): Promise<SmallSystem> {
    const system = new SmallSystem(flags, uids);
    try {
      await system.#startServers();
      await system.#createVault();
      return system;
    } catch (error) {
      await system.stop();
      throw error;
    }
  }

  at(...names: string[]): string {
    return path.join(this.directory, ...names);
  }

  get client(): TemporalClient['client'] {
    if (!this.#client) throw new Error('the system is not started');
    return this.#client.client;
  }

  /** As a worker or a command of this host reads them. */
  get settings(): Settings {
    const flags = this.#flags();
    return loadSettings({
      flags,
      environment: { HOME: this.directory },
      directory: this.directory,
      systemFile: '/none',
    });
  }

  /** The vault as its owner opens it. */
  get vault(): ObjectStore {
    return openStore(this.vaultUrl, this.#s3?.access('owner'));
  }

  readonly vaultUrl = 's3://vault/main';
  readonly landingUrl = 's3://landing/eu-west';

  /** The machine state of the host on which a kind of worker runs: one for all, unless they are users of their own. */
  stateOf(kind: Kind, host = HOST): string {
    if (this.#uids) return this.at(`state-${kind}`);
    return host === HOST ? this.at('state') : this.at(`state-${host}`);
  }

  /** A worker process for one kind of site; its log lies in `<kind>.log`. Another host has a state of its own. */
  startWorker(kind: Kind, host = HOST): ChildProcess {
    const at = (file: string) => fileURLToPath(new URL(`../../dist/${file}`, import.meta.url));
    const script = `
      const { runWorkers } = await import('${at('workers/run-worker.js')}');
      const { sitePlans } = await import('${at('workers/sites.js')}');
      const { loadSettings } = await import('${at('host/settings.js')}');
      const settings = loadSettings({ flags: ${JSON.stringify({ ...this.#flags(this.stateOf(kind, host)), host })} });
      await runWorkers(settings, sitePlans(settings, ['${kind}']));`;
    const log = openSync(this.at(`${kind}.log`), 'a');
    const words = [process.execPath, '--input-type=module', '-e', script];
    const [program = '', ...more] = this.#uids ? [...asUser(kind, this.#uids[kind]), ...words] : words;
    const worker = spawn(program, more, {
      stdio: ['ignore', log, log],
      env: { HOME: this.directory, PATH: process.env.PATH },
    });
    closeSync(log);
    this.#workers.push({ kind, process: worker });
    return worker;
  }

  /** Another site's copy host, which knows the same places. */
  async addCopyHost(host: string): Promise<void> {
    const state = this.stateOf('copy', host);
    mkdirSync(state, { mode: 0o700 });
    copyFileSync(embeddedFile(this.at('state')), embeddedFile(state));
    await openState(state).addCredentials(await this.#credentials('site', `copy.${host}`));
  }

  startWorkers(kinds: readonly Kind[] = KINDS): void {
    for (const kind of kinds) this.startWorker(kind);
  }

  log(kind: Kind): string {
    return readFileSync(this.at(`${kind}.log`), 'utf8');
  }

  /** `protection create`: items sealed for the machine's domain. */
  async protect(protection: string, items: readonly string[]): Promise<void> {
    const { indexKey } = deriveDomain(this.master, MACHINE);
    const body: ProtectionRecord = {
      ...this.#stamp(),
      name: protection,
      machines: [MACHINE],
      domain: MACHINE,
      schedule: 'daily 02:00',
      timezone: 'UTC',
      keep: { daily: 30, weekly: 0, monthly: 0, yearly: 0 },
      initial: 'offline',
      state: 'waiting-for-seed',
      sealed: sealItems({ items, excludes: [] }, { indexKey, protection }).toString('base64'),
    };
    await appendRecord(this.vault, { kind: 'protection', id: protection }, body, this.#hand());
  }

  /** `job start` */
  async startJob(job: string, protection: string, heartbeatMs = 5000): Promise<void> {
    const order: SeedingRequest = {
      ...{ vault: VAULT, machine: MACHINE, protection, job, region: REGION, heartbeatMs },
      ...{ staging: 'staging', landing: 'landing', schedule: 'daily 02:00', timezone: 'UTC' },
      ...{ returns: false, startedBy: 'test' },
    };
    const body: JobRecord = { ...this.#stamp(), name: job, order };
    await appendRecord(this.vault, { kind: 'job', id: job }, body, this.#hand());
    const options = { taskQueue: 'control', workflowId: seedingId(order), args: [order] };
    await this.client.workflow.start('seeding', options);
  }

  /** `drive prepare DIR`: a directory stands for the drive; it is known at the dock under the same path. */
  async attachDirectory(drive: string, host = HOST): Promise<void> {
    const folder = this.at('drives', drive);
    mkdirSync(folder, { recursive: true });
    for (const state of new Set([this.stateOf('copy', host), this.stateOf('dock')]))
      await openState(state).setDrive(drive, folder);
    if (!this.#uids) return;
    for (const kind of ['copy', 'dock'] as const) handOver(this.stateOf(kind), this.#uids[kind]);
    handOver(folder, this.#uids.copy);
  }

  /** As a person at the machine types it. */
  type(...words: string[]): Promise<Answer> {
    const env = { HOME: this.directory, PATH: process.env.PATH, SEEDSHIP_STATE_DIR: this.at('state') };
    const options = { env, cwd: this.directory, timeout: 60_000 };
    const main = fileURLToPath(new URL('../../dist/client/main.js', import.meta.url));
    return new Promise((resolve) =>
      execFile(process.execPath, [main, ...words], options, (error, stdout, stderr) =>
        resolve({ status: Number(error?.code ?? 0), stdout, stderr }),
      ),
    );
  }

  async status(job: string): Promise<JobStatus> {
    return this.#handle(job).query('status');
  }

  async say<T>(job: string, update: string, act: object): Promise<T> {
    return this.#handle(job).executeUpdate(update, { args: [act] });
  }

  /** Waits until the job's status satisfies `holds`; throws with what it was when it does not in time. */
  async until(job: string, holds: (status: JobStatus) => boolean, ms = 60_000): Promise<JobStatus> {
    const deadline = Date.now() + ms;
    for (;;) {
      const status = await this.status(job).catch(() => undefined);
      if (status && holds(status)) return status;
      if (Date.now() > deadline) throw new Error(`it never came to that: ${JSON.stringify(status, null, 1)}`);
      await sleep(200);
    }
  }

  /** What the steps under way last told of themselves, by activity type. */
  async pending(
    workflowId: string,
  ): Promise<Map<string, { attempt: number; progress: Progress | undefined; failure: string }>> {
    const { raw } = await this.client.workflow.getHandle(workflowId).describe();
    return new Map(
      (raw.pendingActivities ?? []).map(({ activityType, attempt, heartbeatDetails, lastFailure }) => {
        const data = heartbeatDetails?.payloads?.[0]?.data;
        const progress: Progress | undefined = data ? JSON.parse(Buffer.from(data).toString()) : undefined;
        const failure = lastFailure?.applicationFailureInfo?.type ?? (lastFailure ? 'TimedOut' : '');
        return [activityType?.name ?? '', { attempt: Number(attempt), progress, failure }];
      }),
    );
  }

  /** The Temporal server is killed, and after `awayMs` it is back where it was. */
  async killTemporal(awayMs: number): Promise<void> {
    process.kill(this.#temporal?.pid ?? 0, 'SIGKILL');
    await this.#temporal?.exited;
    await sleep(awayMs);
    this.#temporal = await startTemporal({
      program: await findTemporal(serverSearch(process.env)),
      dir: this.at('temporal'),
    });
  }

  /** Tells workers to stop, and waits until they have; of one kind, or all. */
  async stopWorkers(kind?: Kind): Promise<void> {
    const meant = this.#workers.filter((one) => kind === undefined || one.kind === kind);
    const living = meant.filter(({ process: { exitCode, signalCode } }) => exitCode === null && signalCode === null);
    const ended = living.map(({ process: worker }) => new Promise((resolve) => worker.once('exit', resolve)));
    for (const { process: worker } of living) worker.kill('SIGTERM');
    await Promise.all(ended);
  }

  async stop(): Promise<void> {
    await this.stopWorkers();
    await this.#client?.close();
    await this.#temporal?.stop();
    await this.#s3?.stop();
    execFileSync('rm', ['-rf', this.directory]); // it may hold paths longer than PATH_MAX, which Node cannot remove
  }

  #flags(stateDirectory = this.at('state')) {
    const usual = { 'state-dir': stateDirectory, host: HOST, 'heartbeat-seconds': '5', threads: '2' };
    return { ...usual, ...this.#more };
  }

  #handle(job: string) {
    return this.client.workflow.getHandle(seedingId({ vault: VAULT, job }));
  }

  async #startServers(): Promise<void> {
    const program = await findTemporal(serverSearch(process.env));
    [this.#temporal, this.#s3] = await Promise.all([
      startTemporal({ program, dir: this.at('temporal') }),
      startTestS3(),
    ]);
    this.#describe(this.at('state'), PARTIES);
    if (this.#uids) for (const kind of KINDS) this.#describe(this.stateOf(kind), [PARTY_OF[kind]]);
    this.#client = await connectClient(this.settings);
  }

  /** What `seedship up` tells a host: where the servers are, and the keys of those who work there. */
  #describe(state: string, parties: readonly Party[]): void {
    if (!this.#temporal || !this.#s3) throw new Error('the servers are not started');
    const s3 = this.#s3;
    mkdirSync(state, { mode: 0o700 });
    const keys = parties.map((party) => {
      const { accessKeyId, secretAccessKey } = s3.access(party);
      return [party, { 'access-key-id': accessKeyId, 'secret-access-key': secretAccessKey }];
    });
    const embedded: Embedded = {
      pid: process.pid,
      'temporal-address': this.#temporal.address,
      'temporal-namespace': NAMESPACE,
      'ui-url': this.#temporal.uiUrl,
      places: { staging: { url: `file://${this.at('staging')}` }, landing: { url: this.landingUrl } },
      destinations: { s3: { url: 's3://', endpoint: s3.server.endpoint, roles: Object.fromEntries(keys) } },
    };
    writeFileSync(embeddedFile(state), JSON.stringify(embedded), { mode: 0o600 });
  }

  async #createVault(): Promise<void> {
    const access = this.#s3?.access('owner');
    if (!access) throw new Error('the S3 server is not started');
    const identities = Object.fromEntries(
      PARTIES.filter((party) => party !== 'owner').map((party) => [party, [party]]),
    );
    await prepareBucket({ kind: 'vault', url: this.vaultUrl, access, identities });
    await prepareBucket({ kind: 'landing', url: this.landingUrl, access, identities });
    if (this.#uids) shareByGroup(this.at('staging'), this.#uids.source, STAGING_GROUP);
    await preparePlace(this.at('staging'));
    const stateAt = (kind: Kind) => openState(this.stateOf(kind));
    for (const kind of ['control', 'copy', 'dock', 'vault'] as const)
      await stateAt(kind).addCredentials(await this.#credentials('site', SITES[kind]));
    await stateAt('source').addCredentials(await this.#credentials('machine', MACHINE));
    const { identity, recipient } = await newAgeIdentity();
    await stateAt('dock').setDatacenterIdentity(REGION, identity);
    const datacenter: DatacenterRecord = {
      ...this.#stamp(),
      ...{ region: REGION, address: ['Dock 4', '1 Harbour Road'], carriers: [], driveBytesMax: 20e12, recipient },
      ...{ asks: { contact: false, returnTo: false }, publicKey: '00'.repeat(32) },
    };
    await appendRecord(this.vault, { kind: 'datacenter', id: REGION }, datacenter, this.#hand());
    if (this.#uids) for (const kind of KINDS) handOver(this.stateOf(kind), this.#uids[kind]);
  }

  async #credentials(role: 'site' | 'machine', id: string): Promise<Credentials> {
    const seed = newSigningSeed();
    const identity = { role, id, publicKey: publicKeyOf(seed), ...(role === 'machine' ? { domain: id } : {}) };
    return {
      ...{ role, id, seed, validUntil: '2099-01-01T00:00:00Z' },
      vault: { name: VAULT, id: this.vaultId, url: this.vaultUrl },
      ownerPublic: this.owner.publicKey,
      restoreRecipient: await this.owner.restoreRecipient(),
      certificate: certify(this.owner, identity, this.vaultId),
      ...(role === 'machine' ? { putKey: deriveDomain(this.master, id) } : { site: id }),
    };
  }

  #hand() {
    return {
      signer: ownerSigner(this.owner),
      trust: { vaultId: this.vaultId, ownerPublic: this.owner.publicKey },
    };
  }

  #stamp() {
    return { at: new Date().toISOString(), by: 'owner' };
  }
}
