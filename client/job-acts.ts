/** What people say to a job: an update, checked by the workflow, refused with the legal choices. */

import { setTimeout } from 'node:timers/promises';
import { QueryNotRegisteredError } from '@temporalio/client';
import type { UpdateDefinition } from '@temporalio/common';
import { Failure } from '../domain/failure.ts';
import { type Digest, parseName } from '../domain/names.ts';
import { type JobStatus, seedingId } from '../domain/seeding-job.ts';
import { MINUTE } from '../domain/units.ts';
import { signActRequest } from '../format/act-request.ts';
import { digestOf } from '../format/digest.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { requestName } from '../store/places.ts';
import { status as statusQuery } from '../workflows/definitions.ts';
import type { Invocation } from './invocation.ts';
import { asFailure } from './print.ts';
import { type Door, enterVault, openPlace, roleOf } from './vault-door.ts';

/** Of ten seconds each: Temporal takes that long to see that a worker has let a question fall. */
const STATUS_TRIES = 3;

/**
 * Temporal answers a query from events that the workflow has yet to take up, and an update that
 * comes along with them is judged before them: it may be refused for a state that is over. Asked
 * again, it is judged after them.
 */
const SETTLING_MS = 500;

interface Signed {
  readonly by: string;
  readonly request?: Digest;
}

/** Where a job stands. @throws Failure `Unreachable` when no control worker answers */
export async function jobStatus(temporal: TemporalClient, workflowId: string): Promise<JobStatus> {
  try {
    return await temporal.call(() => temporal.client.workflow.getHandle(workflowId).query(statusQuery));
  } catch (error) {
    if (error instanceof QueryNotRegisteredError) throw new Failure('Unreachable', 'the job has only just begun');
    const failure = asFailure(error);
    if (failure.code !== 'Unreachable') throw failure;
    throw new Failure('Unreachable', `nobody answers for ${workflowId}`, {
      why: 'no control worker is running, or it is busy',
      next: 'seedship worker run control',
      cause: error,
    });
  }
}

/** What was said is done: an answer that is late, or lost on its way, must not look as if it were not. */
async function statusAfter(temporal: TemporalClient, workflowId: string): Promise<JobStatus> {
  for (let tries = 1; ; tries += 1)
    try {
      return await jobStatus(temporal, workflowId);
    } catch (error) {
      if (tries === STATUS_TRIES || !(error instanceof Failure) || error.code !== 'Unreachable') throw error;
    }
}

/** The workflow of a job by its name. @throws Failure `NotFound` */
export async function findJob(call: Invocation, temporal: TemporalClient, name: string): Promise<string> {
  const job = parseName('job', name);
  const { vault } = enterVault(call).credentials;
  const workflowId = seedingId({ vault: vault.name, job });
  try {
    await temporal.call(() => temporal.client.workflow.getHandle(workflowId).describe());
    return workflowId;
  } catch (error) {
    if (asFailure(error).code !== 'NotFound' && !/not ?found/i.test(String(error))) throw error;
    throw new Failure('NotFound', `there is no job ${job} in the vault ${vault.name}`, {
      next: 'seedship job list',
      cause: error,
    });
  }
}

/** Where the job of that name stands. @throws Failure `NotFound`, `Unreachable` */
export async function statusOf(call: Invocation, job: string): Promise<JobStatus> {
  const temporal = await connectClient(call.settings);
  try {
    return await jobStatus(temporal, await findJob(call, temporal, job));
  } finally {
    await temporal.close();
  }
}

/** Jobs of the vault that are under way and answer. */
export async function runningJobs(call: Invocation, temporal: TemporalClient): Promise<JobStatus[]> {
  const { name } = enterVault(call).credentials.vault;
  const query = `WorkflowType = "seeding" AND ExecutionStatus = "Running" AND SeedshipVault = "${name}"`;
  const found: JobStatus[] = [];
  for await (const { workflowId } of temporal.client.workflow.list({ query })) {
    const one = await jobStatus(temporal, workflowId).catch(() => undefined);
    if (one) found.push(one);
  }
  return found;
}

interface Laid {
  readonly request: Digest;
  readonly signed: Buffer;
  /** The job's, by name. */
  readonly landing: () => Promise<string>;
}

/** Where this computer may add: to the vault, or, of a desk, dock or copy host, to landing. */
async function layDown(call: Invocation, door: Door, { request, signed, landing }: Laid): Promise<void> {
  const role = roleOf(door.credentials);
  const atLanding = role === 'copy' || role === 'datacenter';
  const store = atLanding ? openPlace(call, placeUrl(call, door, await landing()), role) : door.store;
  await store.put(requestName(request), signed, { digest: request });
}

function placeUrl(call: Invocation, { state }: Door, place: string): string {
  const url = call.settings.places[place] ?? state.placeUrl(place);
  if (url !== undefined) return url;
  throw new Failure('Configuration', `this host does not know where the place ${place} is`, {
    why: 'what is done here is signed, and laid down there',
    next: `set [places.${place}] url in seedship.toml`,
  });
}

/** Nobody hears what is said to a job that has ended. @throws Failure `WrongState` */
async function checkRunning(temporal: TemporalClient, workflowId: string, job: string): Promise<void> {
  const { status } = await temporal.call(() => temporal.client.workflow.getHandle(workflowId).describe());
  if (status.name === 'RUNNING') return;
  throw new Failure('WrongState', `the job ${job} has ended`, {
    why: status.name === 'COMPLETED' ? 'its journey is over' : `it ended as ${status.name.toLowerCase()}`,
    next: `seedship job show ${job}`,
  });
}

/** Sends an update, says who, and returns its answer with where the job stands then. */
export async function act<Answer, Act extends Signed>(
  call: Invocation,
  job: string,
  update: UpdateDefinition<Answer, [Act]>,
  what: Omit<Act, 'by' | 'request'>,
): Promise<{ result: Answer; status: JobStatus; workflowId: string }> {
  const door = enterVault(call);
  const temporal = await connectClient(call.settings);
  try {
    const workflowId = await findJob(call, temporal, job);
    const handle = temporal.client.workflow.getHandle(workflowId);
    await checkRunning(temporal, workflowId, job);
    const asked = { ...what, by: door.credentials.id };
    const signed = signActRequest(
      { workflowId, act: update.name, at: new Date().toISOString(), asked: { ...asked } },
      door.hand,
    );
    const request = digestOf(signed);
    const landing = async () => (await jobStatus(temporal, workflowId)).request.landing;
    await layDown(call, door, { request, signed, landing });
    const args: [Act] = [{ ...asked, request } as Act];
    const options = { args, updateId: request };
    const ask = () => temporal.call(() => handle.executeUpdate(update, options), MINUTE);
    const result = await ask().catch(async (error) => {
      if (asFailure(error).code !== 'WrongState') {
        await checkRunning(temporal, workflowId, job); // it may have ended meanwhile
        throw error;
      }
      await setTimeout(SETTLING_MS);
      return ask();
    });
    return { result, status: await statusAfter(temporal, workflowId), workflowId };
  } finally {
    await temporal.close();
  }
}
