/** `job start`: everything that is asked of a job, asked once, checked, and written down before it begins. */
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { WorkflowExecutionAlreadyStartedError, WorkflowIdReusePolicy } from '@temporalio/client';
import { withCopyHosts } from '../domain/copy-hosts.ts';
import { parseContainer } from '../domain/datacenter.ts';
import { Failure } from '../domain/failure.ts';
import { NAME_RULES, parseName } from '../domain/names.ts';
import type { Checkpoint, DatacenterRecord, JobRecord, ProtectionRecord } from '../domain/record.ts';
import { type SeedingRequest, seedingId } from '../domain/seeding-job.ts';
import { queueOf } from '../domain/site.ts';
import { checkStagingSpace, stagingNeeds } from '../domain/staging-space.ts';
import { formatSize } from '../domain/units.ts';
import { digestOf } from '../format/digest.ts';
import { openItems } from '../format/protection-items.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { preparePlace } from '../store/directory-store.ts';
import type { MachineState } from '../store/machine-state.ts';
import { requestName } from '../store/places.ts';
import { appendRecord, findRecord, readDatacenter, readRecords } from '../store/records.ts';
import { boundOfTrees, freeBytesOf, measureTrees } from '../store/tree-measure.ts';
import { landingPlace, nearestFirst } from './datacenters.ts';
import { handOver, uiPage } from './follow.ts';
import type { Invocation } from './invocation.ts';
import {
  copyHostsOf,
  type JobOrder,
  orderFrom,
  type Sealed,
  sealOrder,
  stagingLimitOf,
  timersOf,
} from './job-order.ts';
import { watch } from './jobs.ts';
import { askOrder, terminalAsker } from './order-wizard.ts';
import { readProtection } from './protections.ts';
import { needProvedWords } from './recovery-words.ts';
import { type Door, enterVault, openPlace } from './vault-door.ts';

/** `job start [NAME]` */
export async function startJob(call: Invocation): Promise<number | undefined> {
  if (call.word(0) === '' && !canAsk(call))
    throw new Failure('Usage', 'the job has no name', { next: 'seedship job start NAME' });
  const door = enterVault(call, ['machine']);
  await needProvedWords(door);
  const { job, order } = await wholeOrder(call, door);
  const body = await readProtection(door, required(order, 'protection'));
  if (body.initial !== 'offline')
    throw new Failure('WrongState', `protection ${body.name} sends its initial backup over the line`, {
      next: `seedship backup now ${body.name}`,
    });
  const datacenter = await datacenterOf(call, door, order);
  const { details, returns, sealed } = await sealOrder(door, datacenter, order);
  const [timers, copyHosts] = [timersOf(order), copyHostsOf(order)];
  const stagedBytesMax = stagingLimitOf(order);
  const { vault, id: machine } = { vault: door.credentials.vault.name, id: door.credentials.id };
  const before = await findRecord<JobRecord>(door.store, { kind: 'job', id: job }, door.trust);
  if (!before && !call.isOff('space-check'))
    await checkSpace(call, door, body, { given: required(order, 'staging'), stagedBytesMax });
  const ordered: SeedingRequest = {
    ...{ vault, machine, protection: body.name, job },
    ...{ region: datacenter.region, staging: await stagingPlace(call, door, job, required(order, 'staging')), returns },
    landing: await containerOf(call, door, { region: datacenter.region, job, given: order.container }),
    ...{ schedule: body.schedule, timezone: body.timezone, startedBy: machine },
    heartbeatMs: call.settings.heartbeatMs,
    details,
    ...(stagedBytesMax !== undefined && { stagedBytesMax }),
    ...(timers && { timers }),
  };
  const request = withCopyHosts(ordered, copyHosts ?? []);
  const temporal = await connectClient(call.settings);
  try {
    await begin(door, temporal, request, sealed);
    const workflowId = seedingId(request);
    const page = uiPage(call, workflowId);
    call.print.event('started', `Job ${job} has begun.${page ? ` ${page}` : ''}`, { workflowId, uiUrl: page });
    if (call.isOff('wait')) return handOver(call, { workflowId });
    return await watch(call, temporal, workflowId, 'Preparing');
  } finally {
    await temporal.close();
  }
}

/** Whether somebody is there to be asked. */
function canAsk({ print }: Invocation): boolean {
  return !print.json && process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Flags and file; what they leave open is asked at the terminal, where there is one. */
async function wholeOrder(call: Invocation, door: Door): Promise<{ job: string; order: JobOrder }> {
  const typed = call.word(0);
  const order = orderFrom(call);
  const whole = typed !== '' && order.protection !== undefined && order.staging !== undefined;
  if (whole || !canAsk(call)) return { job: parseName('job', typed), order };
  const asker = await terminalAsker();
  const protections = await offlineProtections(call, door);
  const datacenters = await nearestFirst(call, door);
  const answered = await askOrder(asker, { job: typed, order, protections, datacenters });
  return { job: parseName('job', answered.job), order: answered.order };
}

/** Whoever may list them: a machine alone may not. */
async function offlineProtections(call: Invocation, { credentials }: Door): Promise<string[]> {
  const { store, trust } = enterVault(call);
  const found: string[] = [];
  for await (const { id, body } of readRecords<ProtectionRecord>(store, 'protection', trust)) {
    const mine = body.machines.includes(credentials.id) && body.state !== 'removed';
    if (mine && body.initial === 'offline') found.push(id);
  }
  return found;
}

async function begin(door: Door, temporal: TemporalClient, request: SeedingRequest, sealed: Sealed['sealed']) {
  const at = new Date().toISOString();
  const body: JobRecord = { name: request.job, order: request, ...(sealed && { sealed }), at, by: door.credentials.id };
  let again: JobRecord | undefined;
  await appendRecord<JobRecord>(
    door.store,
    { kind: 'job', id: request.job },
    (before) => {
      again = before;
      if (!before) return body;
      if (sameOrder(before.order) === sameOrder(request)) return undefined;
      throw new Failure('WrongState', `there is a job ${request.job} already`, {
        why: 'it was ordered otherwise',
        next: `seedship job show ${request.job}, or seedship job edit ${request.job}`,
      });
    },
    door.hand,
  );
  if (again?.state && !(await isKnown(temporal, seedingId(request))))
    throw new Failure('WrongState', `the job ${request.job} had begun, and Temporal has forgotten it`, {
      next: `seedship job adopt ${request.job}`,
    });
  await startSeeding(temporal, again?.order ?? request);
}

/** The same command twice is the same work; what is sealed anew each time does not tell it apart. */
function sameOrder({ details: _, timers: __, heartbeatMs: ___, ...order }: SeedingRequest): string {
  return JSON.stringify(Object.entries(order).sort());
}

/** Whether Temporal has a job's history, ended or not. */
export async function isKnown(temporal: TemporalClient, workflowId: string): Promise<boolean> {
  try {
    await temporal.call(() => temporal.client.workflow.getHandle(workflowId).describe());
    return true;
  } catch (error) {
    if (/not ?found/i.test(String(error)) || (error instanceof Failure && error.code === 'NotFound')) return false;
    throw error;
  }
}

/** Starts a job's workflow, from the beginning or from where its record says it stood. */
export async function startSeeding(
  temporal: TemporalClient,
  request: SeedingRequest,
  before?: Checkpoint,
): Promise<'started' | 'runs'> {
  const policies = WorkflowIdReusePolicy;
  try {
    await temporal.call(() =>
      temporal.client.workflow.start('seeding', {
        workflowId: seedingId(request),
        taskQueue: queueOf.control,
        args: before ? [request, before] : [request],
        workflowIdReusePolicy: before ? policies.ALLOW_DUPLICATE_FAILED_ONLY : policies.REJECT_DUPLICATE,
        staticSummary: `Seed ${request.protection} of ${request.machine} to ${request.vault}, by drive`,
        staticDetails: aboutJob(request),
      }),
    );
    return 'started';
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return 'runs';
    throw error;
  }
}

/** For whoever opens its page and has never seen Seedship, whether a worker runs or not. */
function aboutJob({ job, region }: SeedingRequest): string {
  return [
    `The first full backup of a machine travels by drive to ${region}; this workflow waits with it for weeks.`,
    'Nothing is lost by waiting, and nothing is ever deleted for lateness.',
    '',
    'Current details say what it waits for, and what to type. While they cannot be read, no control worker runs:',
    '',
    '    seedship worker run control',
    '',
    'Search attributes show stage, drives and every open decision without it. To decide on this page, send the update',
    '`resolve` with the JSON that its description shows. On a host of the vault:',
    '',
    `    seedship job show ${job}`,
  ].join('\n');
}

/** The one that was named, or the only one; a closed one names who stands in for it. */
async function datacenterOf(call: Invocation, door: Door, order: JobOrder): Promise<DatacenterRecord> {
  const chosen =
    order.datacenter === undefined
      ? await onlyDatacenter(call, door)
      : await readDatacenter(door.store, order.datacenter, door.trust);
  if (chosen.instead === undefined) return chosen;
  throw new Failure('WrongState', `datacenter ${chosen.region} is closed`, {
    why: `parcels go to ${chosen.instead}`,
    next: `add --datacenter ${chosen.instead}`,
  });
}

async function onlyDatacenter(call: Invocation, door: Door): Promise<DatacenterRecord> {
  const all = await nearestFirst(call, door);
  const [only] = all;
  if (only && all.length === 1) return only;
  throw new Failure('Usage', 'which datacenter?', {
    why:
      all.length === 0
        ? 'the vault knows none'
        : `it knows ${all.map((one) => one.region).join(', ')}, the nearest first`,
    next: only ? `add --datacenter ${only.region}` : 'seedship datacenter create REGION',
  });
}

/** A folder is given a name of its own, since workflows carry no paths. */
async function stagingPlace(call: Invocation, { state }: Door, job: string, given: string): Promise<string> {
  if (stagingUrl(call, state, given) !== undefined) return given;
  const folder = path.resolve(given);
  const name = parseName('place', `staging-${job.replaceAll('_', '-')}`);
  await bindPlace(state, name, pathToFileURL(folder).href, job);
  await preparePlace(folder);
  return name;
}

/** Of a place that this host knows by its name. */
function stagingUrl(call: Invocation, state: MachineState, given: string): string | undefined {
  const isName = NAME_RULES.place.pattern.test(given);
  return isName ? (call.settings.places[given] ?? state.placeUrl(given)) : undefined;
}

/** Whether staging holds the initial backup, even where nothing compresses. @throws Failure `WrongState` */
async function checkSpace(
  call: Invocation,
  { state, credentials }: Door,
  body: ProtectionRecord,
  { given, stagedBytesMax }: { readonly given: string; readonly stagedBytesMax: number | undefined },
) {
  const url = stagingUrl(call, state, given) ?? pathToFileURL(path.resolve(given)).href;
  const { putKey } = credentials;
  if (!url.startsWith('file:') || putKey?.domain !== body.domain) return;
  const folder = fileURLToPath(url);
  const { indexKey } = putKey;
  const { items } = openItems(Buffer.from(body.sealed, 'base64'), { indexKey, protection: body.name });
  await preparePlace(folder);
  const free = freeBytesOf(folder);
  const bound = boundOfTrees(items);
  if (bound && stagingNeeds(bound, stagedBytesMax) <= free) return;
  const show = ({ bytes, entries }: { bytes: number; entries: number }) =>
    call.print.talk(`Measuring: ${formatSize(bytes)} in ${entries.toLocaleString('en')} files and folders so far`);
  const [needed, staged] = [await measureTrees(items, show), await measureTrees([folder])];
  checkStagingSpace(needed, free, { stagedBytes: staged.bytes, stagedBytesMax });
}

/** The landing container by a name every host resolves for itself; proved to be there and to take what is put. */
export async function containerOf(
  call: Invocation,
  { state }: Door,
  { region, job, given }: { readonly region: string; readonly job: string; readonly given?: string | undefined },
): Promise<string> {
  const usual = landingPlace(region);
  const container = given === undefined ? undefined : parseContainer(given);
  const url = container ?? state.placeUrl(usual);
  const isOperator = state.listCredentials().some(({ role }) => role === 'operator');
  if (url !== undefined && (isOperator || container !== undefined)) await proveContainer(call, url);
  if (container === undefined || state.placeUrl(usual) === container) return usual;
  const name = parseName('place', `landing-${job.replaceAll('_', '-')}-${region}`.slice(0, 50));
  await bindPlace(state, name, container, job);
  return name;
}

/** Where it is asked of an operator: a machine has no part in a landing container. Drives prove it again. */
async function proveContainer(call: Invocation, url: string): Promise<void> {
  const probe = Buffer.from('{"probe":"landing"}');
  const digest = digestOf(probe);
  try {
    await openPlace(call, url, 'operator').put(requestName(digest), probe, { digest });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.code === 'Configuration') return call.print.talk('No key for the container here: drives will prove it.');
    const failure = error.code === 'NotFound' || error.code === 'StorageRefused' ? 'WrongState' : error.code;
    throw new Failure(failure, `the container ${url} does not take what this computer puts there`, {
      why: error.why || error.message,
      next: 'seedship datacenter show REGION, or name another --container',
      cause: error,
    });
  }
}

/** A place is bound once: a job that runs must not find another folder under its name. */
async function bindPlace(state: MachineState, name: string, url: string, job: string): Promise<void> {
  const bound = state.placeUrl(name);
  if (bound === url) return;
  if (bound !== undefined)
    throw new Failure('WrongState', `the job ${job} uses another place already`, {
      why: `${name} is ${bound}`,
      next: `seedship job show ${job}`,
    });
  await state.setPlace(name, url);
}

function required(order: JobOrder, key: 'protection' | 'staging'): string {
  const value = order[key];
  if (value !== undefined) return value;
  throw new Failure('Usage', `--${key} is missing`, {
    why: 'this command needs it',
    next: 'add it, put it into a file for --from, or type the command at a terminal without it',
  });
}
