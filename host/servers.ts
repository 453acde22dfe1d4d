/**
 * The two servers of the embedded system, on loopback only, each port chosen: Temporal's development
 * server, and SeaweedFS as the S3 server. Killed at any moment and started again on the same folder,
 * both go on with what they had.
 *
 * SeaweedFS runs as `server`, not as `mini`, which keeps an administration port open whatever one
 * says. Its telemetry is off. S3 is the only door that asks who one is, so the inner ones are locked
 * with keys made at each start; its internal RPC on loopback stays open to other users of this
 * machine (doc/design.md says so). Objects are flushed before they are acknowledged, its own index
 * of names is not: after a power cut the newest names may be gone, and their packs are sent again.
 */
import { execFile } from 'node:child_process';
import { readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { KEEP_FINISHED_MS } from '../domain/shipment.ts';
import { DAY, HOUR, MIB, SECOND } from '../domain/units.ts';
import { LOOPBACK, type Ports, type RunningServer, startServer } from './server-process.ts';

export const NAMESPACE = 'seedship';

/** What lists and the Web UI can ask for (doc/design.md, "Temporal"). */
export const SEARCH_ATTRIBUTES = {
  SeedshipStage: 'Keyword',
  SeedshipState: 'Keyword',
  SeedshipVault: 'Keyword',
  SeedshipMachine: 'Keyword',
  SeedshipRegion: 'Keyword',
  SeedshipDrives: 'KeywordList',
  SeedshipParcels: 'KeywordList', // the third; a visibility store on SQL has room for three
  SeedshipAttention: 'KeywordList',
  SeedshipDeadline: 'Datetime',
} as const;

const COMMAND_MS = 20 * SECOND;
const run = promisify(execFile);

export interface TemporalPlan {
  readonly program: string;
  readonly dir: string;
  readonly port?: number;
  readonly uiPort?: number;
  /** How long lists keep what has ended; a job's record in the vault stays. Ninety days when absent. */
  readonly keepFinishedDays?: number | undefined;
}

export interface TemporalServer extends RunningServer {
  readonly address: string;
  readonly uiUrl: string;
}

/** Resolves when the namespace answers with its retention and search attributes. */
export async function startTemporal(plan: TemporalPlan): Promise<TemporalServer> {
  const { program, dir, port, uiPort, keepFinishedDays } = plan;
  const keepFinishedMs = keepFinishedDays === undefined ? KEEP_FINISHED_MS : keepFinishedDays * DAY;
  const database = path.join(dir, 'temporal.sqlite');
  const address = ({ api }: Ports) => `${LOOPBACK}:${api}`;
  const server = await startServer({
    title: 'Temporal',
    program,
    dir,
    stopMs: 10 * SECOND,
    ports: ['api', 'ui', 'http', 'metrics'],
    fixed: { ...(port && { api: port }), ...(uiPort && { ui: uiPort }) },
    env: {},
    words: (ports) => [
      ...['server', 'start-dev', '--ip', LOOPBACK, '--db-filename', database, '--log-level', 'error'],
      ...['--port', `${ports.api}`, '--ui-port', `${ports.ui}`, '--ui-disable-news-fetch'],
      ...['--http-port', `${ports.http}`, '--metrics-port', `${ports.metrics}`, '--namespace', NAMESPACE],
      // Believed only while the database is new; what an older one lacks is added later.
      ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
    ],
    ready: async (ports) => {
      try {
        await prepareNamespace({ program, address: address(ports), dir, keepFinishedMs });
        return true;
      } catch {
        return false; // not listening yet, or its caches have not seen the namespace yet
      }
    },
  });
  return { ...server, address: address(server.ports), uiUrl: `http://${LOOPBACK}:${server.ports.ui}` };
}

interface NamespacePlan extends Pick<TemporalPlan, 'program' | 'dir'> {
  readonly address: string;
  readonly keepFinishedMs: number;
}

/** Gives the namespace its retention and search attributes, as far as it lacks them. */
async function prepareNamespace(at: NamespacePlan): Promise<void> {
  const operator = async (...words: string[]): Promise<string> => {
    const call = ['operator', ...words, '--namespace', NAMESPACE, '--address', at.address, '--output', 'json'];
    return (await run(at.program, call, { env: { HOME: at.dir }, timeout: COMMAND_MS })).stdout;
  };
  const { config } = JSON.parse(await operator('namespace', 'describe'));
  if (config?.workflowExecutionRetentionTtl !== `${at.keepFinishedMs / SECOND}s`)
    await operator('namespace', 'update', '--retention', `${at.keepFinishedMs / HOUR}h`);
  const { customAttributes } = JSON.parse(await operator('search-attribute', 'list'));
  const missing = Object.entries(SEARCH_ATTRIBUTES).filter(([name]) => !(name in (customAttributes ?? {})));
  if (missing.length === 0) return;
  await operator('search-attribute', 'create', ...missing.flatMap(([name, type]) => ['--name', name, '--type', type]));
  await sleep(SECOND); // they are listed before every part of the server has seen them
}

export interface S3Identity {
  readonly name: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** An owner may do everything; any other may do what bucket policies grant it by name. */
  readonly owner?: boolean;
}

export interface S3Plan {
  readonly program: string;
  readonly dir: string;
  readonly identities: readonly S3Identity[];
  readonly port?: number;
}

export interface S3Server extends RunningServer {
  readonly endpoint: string;
  /** Replaces the identities of the running server. */
  setIdentities(identities: readonly S3Identity[]): Promise<void>;
}

const S3_PORTS = ['s3', 's3Grpc', 'master', 'masterGrpc', 'volume', 'volumeGrpc', 'filer', 'filerGrpc'] as const;
const VOLUME_BYTES_MAX = 1024 * MIB;
const VOLUME_BYTES_MIN = 64 * MIB;

/** Resolves when objects can be written. */
export async function startS3({ program, dir, identities, port }: S3Plan): Promise<S3Server> {
  const env = lockedDoors();
  const configuration = path.join(dir, 'identities.json');
  const server = await startServer({
    title: 'S3',
    program,
    dir,
    stopMs: 2 * SECOND, // its volumes close at once, then its own parts wait 15 s for each other
    ports: S3_PORTS,
    fixed: port === undefined ? {} : { s3: port },
    env,
    words: (ports) => {
      writeIdentities(configuration, identities);
      return weedWords(dir, ports, configuration);
    },
    ready: async (ports) => (await writable(ports)) && flushed(program, dir, ports, env),
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    for (const number of Object.values(server.ports))
      for (const part of ['master', 'volume', 'filer', 's3'])
        rmSync(`/tmp/seaweedfs-${part}-grpc-${number}.sock`, { force: true }); // it leaves them behind
  };
  const setIdentities = async (now: readonly S3Identity[]): Promise<void> => {
    writeIdentities(configuration, now);
    process.kill(server.pid, 'SIGHUP');
  };
  return {
    pid: server.pid,
    exited: server.exited,
    stop,
    endpoint: `http://${LOOPBACK}:${server.ports.s3}`,
    setIdentities,
  };
}

function weedWords(dir: string, ports: Ports, configuration: string): string[] {
  const switches = {
    dir: dir,
    ip: LOOPBACK,
    'ip.bind': LOOPBACK,
    'master.telemetry': false,
    'master.peers': 'none',
    'master.resumeState': false, // else no object can be written for 15 s after a restart; volumes say what there is
    'master.volumeSizeLimitMB': volumeBytes(dir) / MIB,
    'master.port': ports.master,
    'master.port.grpc': ports.masterGrpc,
    'volume.max': 0, // as many as the disk holds
    'volume.preStopSeconds': 0,
    'volume.port': ports.volume,
    'volume.port.grpc': ports.volumeGrpc,
    filer: true,
    'filer.port': ports.filer,
    'filer.port.grpc': ports.filerGrpc,
    'filer.localSocket': path.join(dir, 'filer.sock'),
    s3: true,
    's3.port': ports.s3,
    's3.port.grpc': ports.s3Grpc,
    's3.port.iceberg': 0,
    's3.port.lance': 0,
    's3.localSocket': path.join(dir, 's3.sock'),
    's3.config': configuration,
    's3.autoCreateBucket': false,
  };
  return ['-logtostderr', '-v=-1', 'server', ...Object.entries(switches).map(([name, value]) => `-${name}=${value}`)];
}

/** Small on a small disk: each bucket needs a few of them, and a volume that cannot grow takes no object. */
function volumeBytes(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  const hundredth = Math.floor((bavail * bsize) / 100 / MIB) * MIB;
  return Math.min(VOLUME_BYTES_MAX, Math.max(VOLUME_BYTES_MIN, hundredth));
}

function lockedDoors(): Record<string, string> {
  return {
    WEED_JWT_SIGNING_KEY: newKey(),
    WEED_JWT_SIGNING_READ_KEY: newKey(),
    WEED_JWT_FILER_SIGNING_KEY: newKey(),
    WEED_JWT_FILER_SIGNING_READ_KEY: newKey(),
    WEED_MASTER_VOLUME_GROWTH_COPY_1: '2',
  };
}

function newKey(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('hex');
}

/** A policy of a bucket is what lets an identity in; only the owner may do everything by himself. */
function writeIdentities(file: string, identities: readonly S3Identity[]): void {
  const entries = identities.map(({ name, accessKeyId, secretAccessKey, owner }) => ({
    name,
    credentials: [{ accessKey: accessKeyId, secretKey: secretAccessKey }],
    actions: owner ? ['Admin'] : [],
  }));
  writeFileSync(`${file}.new`, JSON.stringify({ identities: entries }), { mode: 0o600 });
  renameSync(`${file}.new`, file); // read at a signal: never half a file
}

async function writable(ports: Ports): Promise<boolean> {
  try {
    const status = await fetch(`http://${LOOPBACK}:${ports.master}/dir/status`);
    const room = /"Max":\s*[1-9]/.test(await status.text());
    await fetch(`http://${LOOPBACK}:${ports.s3}/`);
    return room;
  } catch {
    return false;
  }
}

/** Once for a folder: the server keeps the rule. */
async function flushed(program: string, dir: string, ports: Ports, env: Record<string, string>): Promise<boolean> {
  const file = path.join(dir, 'flushed');
  const words = ['-logtostderr', '-v=-1', 'shell', `-master=${LOOPBACK}:${ports.master}.${ports.masterGrpc}`];
  try {
    readFileSync(file);
    return true;
  } catch {
    const shell = run(program, words, { env: { HOME: dir, ...env }, timeout: COMMAND_MS });
    shell.child.stdin?.end('fs.configure -locationPrefix=/buckets/ -fsync -apply\n');
    const applied = await shell.then(
      ({ stdout }) => /"fsync":\s*true/.test(stdout),
      () => false,
    );
    if (applied) writeFileSync(file, '');
    return applied;
  }
}
