/** What is said to a job as a whole while it runs: changed, sent elsewhere, paused, given more time. */
import { Failure } from '../domain/failure.ts';
import { driveLabel, parseName } from '../domain/names.ts';
import type { JobRecord } from '../domain/record.ts';
import { JOB_ACTS } from '../domain/seeding-job.ts';
import { DAY } from '../domain/units.ts';
import { connectClient } from '../host/connections.ts';
import { appendRecord, readDatacenter, readRecord } from '../store/records.ts';
import * as definitions from '../workflows/definitions.ts';
import type { Invocation } from './invocation.ts';
import { act, findJob, jobStatus } from './job-acts.ts';
import { copyHostsOf, type JobOrder, keptOrder, orderFrom, type Sealed, sealOrder } from './job-order.ts';
import { containerOf } from './job-start.ts';
import { needs } from './job-view.ts';
import { type Door, enterVault } from './vault-door.ts';

/** `job edit NAME` */
export async function editJob(call: Invocation): Promise<undefined> {
  const job = parseName('job', call.word(0));
  const door = enterVault(call);
  const typed = orderFrom(call);
  const copyHosts = copyHostsSaid(call, typed);
  const more = copyHosts === undefined || Object.keys(typed).some((key) => key !== 'copy-host');
  const sealed = more ? await sealAgain(call, door, job) : undefined;
  const changed = { ...(sealed && { details: sealed.details }), ...(copyHosts && { copyHosts }) };
  const { status } = await act(call, job, definitions.edit, changed);
  if (sealed) await keepSealed(door, job, sealed);
  call.print.result('job-change', { job, act: 'edit', ...changed }, () => [
    ...(sealed ? [`Job ${job}: ${comesBack(sealed)}.`] : []),
    ...(copyHosts ? [`Job ${job}: its drives are prepared at ${copyHosts.join(', ') || 'any host'}.`] : []),
    `Next: ${needs(status)}`,
  ]);
  return undefined;
}

/** What else was ordered is on the computer it was typed at: hosts alone are changed from any. */
async function sealAgain(call: Invocation, door: Door, job: string): Promise<Sealed> {
  const { order } = await orderNow(call, door, job);
  const { request } = await standing(call, job);
  return sealOrder(door, await readDatacenter(door.store, request.region, door.trust), order);
}

function comesBack({ returns, details }: Sealed): string {
  return returns ? `drives come back with ${details.returnCarrier}` : 'no drive comes back';
}

/** None means any host again. @throws Failure `Usage` */
function copyHostsSaid(call: Invocation, typed: JobOrder): readonly string[] | undefined {
  const named = copyHostsOf(typed);
  if (!call.is('any-copy-host')) return named;
  if (call.list('copy-host').length === 0) return [];
  throw new Failure('Usage', '--any-copy-host and --copy-host contradict each other');
}

/** `job redirect NAME --datacenter REGION` */
export async function redirectJob(call: Invocation): Promise<undefined> {
  const job = parseName('job', call.word(0));
  const door = enterVault(call);
  const { order } = await orderNow(call, door, job);
  const datacenter = await readDatacenter(door.store, call.needed('datacenter'), door.trust);
  if (datacenter.instead !== undefined)
    throw new Failure('WrongState', `datacenter ${datacenter.region} is closed`, {
      next: `add --datacenter ${datacenter.instead}`,
    });
  const sealed = await sealOrder(door, datacenter, order);
  const { region } = datacenter;
  const landing = await containerOf(call, door, { region, job, given: call.text('container') });
  const { details } = sealed;
  const { result, status } = await act(call, job, definitions.redirect, { region, landing, details });
  await keepSealed(door, job, sealed);
  call.print.result('job-change', { job, act: 'redirect', region, landing, left: result.left }, () => [
    `Job ${job} goes to ${region} now: ${datacenter.address.join(', ')}.`,
    ...(result.left.length > 0 ? [`To be prepared anew: ${result.left.map(driveLabel).join(', ')}.`] : []),
    JOB_ACTS.redirect.does,
    `Next: ${needs(status)}`,
  ]);
  return undefined;
}

/** `job pause NAME [--drive ID]` */
export function pauseJob(call: Invocation): Promise<undefined> {
  return hold(call, 'pause');
}

/** `job resume NAME [--drive ID]` */
export function resumeJob(call: Invocation): Promise<undefined> {
  return hold(call, 'resume');
}

async function hold(call: Invocation, name: 'pause' | 'resume'): Promise<undefined> {
  const job = parseName('job', call.word(0));
  const update = name === 'pause' ? definitions.pause : definitions.resume;
  const id = call.text('drive');
  const drive = id === undefined ? undefined : parseName('drive', id.toUpperCase());
  const { status } = await act(call, job, update, drive === undefined ? {} : { drive });
  const what = drive === undefined ? `Job ${job}` : `Drive ${driveLabel(drive)}`;
  call.print.result('job-change', { job, act: name, drive, held: status.held ?? [] }, () => [
    `${what} ${name === 'pause' ? 'is paused' : 'goes on'}: ${JOB_ACTS[name].does}.`,
    `Next: ${name === 'pause' ? `seedship job resume ${job}` : needs(status)}`,
  ]);
  return undefined;
}

/** `job extend NAME --until DATE` */
export async function extendJob(call: Invocation): Promise<undefined> {
  const job = parseName('job', call.word(0));
  const until = instantOf(call.needed('until'));
  const { status } = await act(call, job, definitions.extend, { until });
  call.print.result('job-change', { job, act: 'extend', until }, () => [
    `Job ${job}: nobody is asked before ${until}.`,
    `Next: ${needs(status)}`,
  ]);
  return undefined;
}

/** `2027-01-31` is the end of that day here; an instant is itself; `10d` is from now. */
export function instantOf(text: string, now = new Date()): string {
  const [, days] = /^(\d{1,3})d$/.exec(text) ?? [];
  if (days !== undefined) return new Date(now.getTime() + Number(days) * DAY).toISOString();
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? new Date(`${text}T23:59:59`) : new Date(text);
  if (!Number.isNaN(at.getTime())) return at.toISOString();
  throw new Failure('Usage', `${JSON.stringify(text)} is no date`, { why: 'a date is 2027-01-31, an instant or 10d' });
}

/** What this computer kept of the order, under what is typed now. */
async function orderNow(call: Invocation, door: Door, job: string): Promise<{ order: JobOrder }> {
  const { request } = await standing(call, job);
  const typed = orderFrom(call);
  const kept = keptOrder(door.state, request.details);
  const { return: _, 'return-carrier': __, 'return-account': ___, 'return-to': ____, ...rest } = kept;
  const replaced =
    typed.return !== undefined ? rest : typed['return-carrier'] !== undefined ? { ...kept, return: '' } : kept;
  const merged = Object.entries({ ...replaced, ...typed }).filter(([, value]) => value !== '');
  return { order: Object.fromEntries(merged) };
}

async function standing(call: Invocation, job: string) {
  const temporal = await connectClient(call.settings);
  try {
    return await jobStatus(temporal, await findJob(call, temporal, job));
  } finally {
    await temporal.close();
  }
}

/** The workflow knows the digest already: what was sealed follows it into the record. */
async function keepSealed({ store, hand, credentials, trust }: Door, job: string, { sealed }: Sealed): Promise<void> {
  const record = await readRecord<JobRecord>(store, { kind: 'job', id: job }, trust);
  if (!record || record.body.sealed === sealed) return;
  const stamp = { at: new Date().toISOString(), by: credentials.id };
  await appendRecord<JobRecord>(
    store,
    { kind: 'job', id: job },
    (before) => {
      if (!before) return undefined;
      const { sealed: _, ...rest } = before;
      return { ...rest, ...(sealed && { sealed }), ...stamp };
    },
    hand,
  );
}
