/**
 * `seedship up`: Temporal, an S3 server and a worker process for each site, in one supervised tree.
 * What it leaves in `embedded.json` tells the commands of this state directory where everything is.
 * Sites come up as they are registered; Ctrl-C ends all of it, and nothing is lost.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { queueOf, type SiteKind, siteOf } from '../domain/site.ts';
import { SECOND } from '../domain/units.ts';
import { newSalt } from '../format/key-tree.ts';
import { findTemporal, findWeed, serverSearch } from '../host/server-programs.ts';
import { NAMESPACE, type S3Identity, startS3, startTemporal } from '../host/servers.ts';
import { type Embedded, embeddedFile, ROLES, type Settings } from '../host/settings.ts';
import { processPart, Supervisor } from '../host/supervisor.ts';
import { makeDirectoryDurable, replaceDurable } from '../store/durable-file.ts';
import { openState } from '../store/machine-state.ts';
import { WORKER_STOP_MS } from '../workers/run-worker.ts';
import { SITE_KINDS } from '../workers/sites.ts';
import type { Invocation } from './invocation.ts';

const LOOK_MS = 1 * SECOND;
const IDENTITIES = 's3-identities';

/** `seedship up` */
export async function up(call: Invocation): Promise<undefined> {
  const stopped = new AbortController();
  const stop = (): void => stopped.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  const embedded = await startEmbedded(call);
  try {
    call.print.event(
      'ready',
      `Temporal ${embedded.address}  ·  S3 ${embedded.endpoint}  ·  Web UI ${embedded.uiUrl}`,
      embedded.addresses,
    );
    call.print.talk('Next, in another terminal: seedship vault create NAME   ·   Ctrl-C ends it');
    while (!stopped.signal.aborted) {
      await embedded.serveSites();
      await sleep(LOOK_MS, undefined, { signal: stopped.signal }).catch(() => {});
    }
  } finally {
    await embedded.close();
  }
  return undefined;
}

export interface EmbeddedSystem {
  readonly address: string;
  readonly endpoint: string;
  readonly uiUrl: string;
  readonly addresses: { readonly temporal: string; readonly s3: string; readonly uiUrl: string };
  /** Starts a worker for each kind of site registered since the last look. */
  serveSites(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the servers and the control worker. @throws Failure `WrongState` when it runs already */
export async function startEmbedded(call: Invocation): Promise<EmbeddedSystem> {
  const { settings, print } = call;
  const { stateDirectory, dataDirectory } = settings;
  const data =
    settings.environment.SEEDSHIP_STATE_DIR || call.text('state-dir')
      ? path.join(stateDirectory, 'servers')
      : dataDirectory;
  for (const folder of [stateDirectory, data]) await makeDirectoryDurable(folder);
  const supervisor = new Supervisor(stateDirectory, ({ part, event, why }) => {
    if (event !== 'started')
      print.event(event, `${part} ${event}${why ? `: ${why}` : ''}; it is started again`, { part });
  });
  try {
    const search = serverSearch(settings.environment);
    const identities = await s3Identities(settings);
    let [address, uiUrl, endpoint] = ['', '', ''];
    await supervisor.keep({
      name: 'temporal',
      start: async () => {
        const server = await startTemporal({
          program: await findTemporal(search),
          dir: path.join(data, 'temporal'),
          keepFinishedDays: settings.keepFinishedDays,
        });
        [address, uiUrl] = [server.address, server.uiUrl];
        return server;
      },
    });
    await supervisor.keep({
      name: 's3',
      start: async () => {
        const server = await startS3({ program: await findWeed(search), dir: path.join(data, 's3'), identities });
        endpoint = server.endpoint;
        return server;
      },
    });
    await writeEmbedded(settings, { address, uiUrl, endpoint }, identities);
    const served = new Map<SiteKind, string>();
    const serve = async (kind: SiteKind, queues: string): Promise<void> => {
      if (served.get(kind) === queues) return;
      const part = workerPart(settings, kind);
      if (served.has(kind)) await supervisor.drop(part.name); // it read its registrations when it began
      served.set(kind, queues);
      await supervisor.keep(part);
    };
    await serve('control', '');
    return {
      ...{ address, endpoint, uiUrl },
      addresses: { temporal: address, s3: endpoint, uiUrl },
      serveSites: async () => {
        for (const [kind, queues] of registeredQueues(settings)) await serve(kind, queues);
      },
      close: () => supervisor.close(),
    };
  } catch (error) {
    await supervisor.close();
    throw error;
  }
}

/** The queues of each kind of site this computer is registered for, as one text. */
function registeredQueues({ stateDirectory }: Settings): Map<SiteKind, string> {
  const queues = openState(stateDirectory)
    .listCredentials()
    .map(({ role, id, site = '' }) => (role === 'machine' ? queueOf.source(id) : site));
  const found = new Map<SiteKind, string>();
  for (const kind of SITE_KINDS) {
    const mine = queues.filter((queue) => siteOf(queue).site === kind);
    // the desk does no step by itself
    if (mine.length > 0 && kind !== 'control' && kind !== 'datacenter') found.set(kind, mine.sort().join(' '));
  }
  return found;
}

function workerPart(settings: Settings, kind: SiteKind) {
  const { stateDirectory, environment } = settings;
  return processPart({
    name: `worker-${kind}`,
    program: process.execPath,
    words: [fileURLToPath(new URL('./main.js', import.meta.url)), 'worker', 'run', kind],
    environment: { ...environment, SEEDSHIP_STATE_DIR: stateDirectory, SEEDSHIP_HOST: settings.host },
    logs: path.join(stateDirectory, 'logs'),
    graceMs: WORKER_STOP_MS,
  });
}

/** One S3 user a role, made once: a restart must not lock anyone out. */
async function s3Identities({ stateDirectory }: Settings): Promise<S3Identity[]> {
  const state = openState(stateDirectory);
  const known = state.secretText(IDENTITIES);
  if (known !== undefined) return JSON.parse(known);
  const made = ROLES.map((role) => ({
    name: role,
    accessKeyId: `${role}-${newSalt().toString('hex').slice(0, 12)}`,
    secretAccessKey: newSalt().toString('hex'),
    ...(role === 'owner' && { owner: true }),
  }));
  await state.setSecretText(IDENTITIES, JSON.stringify(made));
  return made;
}

async function writeEmbedded(
  { stateDirectory }: Settings,
  { address, uiUrl, endpoint }: { address: string; uiUrl: string; endpoint: string },
  identities: readonly S3Identity[],
): Promise<void> {
  const roles = identities.map(({ name, accessKeyId, secretAccessKey }) => [
    name,
    { 'access-key-id': accessKeyId, 'secret-access-key': secretAccessKey },
  ]);
  const embedded: Embedded = {
    pid: process.pid,
    'temporal-address': address,
    'temporal-namespace': NAMESPACE,
    'ui-url': uiUrl,
    destinations: { embedded: { url: 's3://', endpoint, region: 'us-east-1', roles: Object.fromEntries(roles) } },
  };
  await replaceDurable(embeddedFile(stateDirectory), Buffer.from(JSON.stringify(embedded)));
}
