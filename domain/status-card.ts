/**
 * What a person sees of a job in Temporal's pages and in `job show`: one sentence, who must act, and
 * the command to type next. Pure: from the status alone.
 */
import type { Attention } from './attention.ts';
import { atCopyHosts } from './copy-hosts.ts';
import type { DriveState } from './drive.ts';
import { countObjects } from './drive.ts';
import type { JobStatus, WaitsFor } from './seeding-job.ts';
import { siteOf } from './site.ts';
import { formatSize } from './units.ts';

type Before = Omit<JobStatus, 'waitsFor'>;

/** What the job waits for, in one sentence, with the command to type next. */
export function waitsFor(status: Before): WaitsFor {
  const { job, region } = status.request;
  const asked = status.attention[0];
  if (asked && (status.state === 'Attention' || status.state === 'Cancelling'))
    return {
      what: sentence(asked),
      who: asked.clearsItself ? 'the host named' : 'a person',
      command: answerTo(asked, job),
    };
  if (status.state === 'Paused')
    return { what: 'it is paused: no bytes move', who: 'a person', command: `seedship job resume ${job}` };
  if (status.state === 'Cancelling') return nobody('what was begun is undone');
  switch (status.stage) {
    case 'Staging':
      return staging(status);
    case 'Preparing':
    case 'Shipping':
    case 'Ingesting':
      return travelling(status);
    case 'Copying':
      return nobody('landing is copied to the vault');
    case 'Returning':
      return {
        what: 'the point is restorable; drives wait to be sent back',
        who: `the desk of ${region}`,
        command: `seedship drive return --job ${job} --carrier CARRIER --tracking NUMBER`,
      };
    case 'Protected':
      return nobody('nothing: the point is restorable');
    case 'Closed':
    case 'Cancelled':
      return nobody('nothing: the job has ended');
  }
}

/** A limited staging is emptied onto drives while it is filled. */
function staging({ request, drives }: Before): WaitsFor {
  const { job, stagedBytesMax } = request;
  if (stagedBytesMax === undefined) return nobody('the initial backup is written to staging');
  const filling = drives.find(({ state }) => state === 'Specified');
  if (filling) return nobody(`the initial backup is written to staging, and from there to drive ${filling.id}`);
  const { where, who } = atCopyHosts(request);
  const limit = formatSize(stagedBytesMax);
  return {
    what: `the initial backup is staged, at most ${limit} at a time: a drive${where} takes it from there`,
    who,
    command: `seedship drive prepare DEVICE|DIR --job ${job}`,
  };
}

/** What went wrong, with which drive, and where. */
export function sentence({ message, drive, queue, clearsItself }: Attention): string {
  const { site, name } = siteOf(queue ?? '');
  const where = queue === undefined || clearsItself ? '' : `, at ${site} ${name}`.trimEnd();
  return `${drive === undefined ? '' : `drive ${drive}: `}${message}${where}`;
}

/** What to type when the hint is followed; other ways out are the attention's choices. */
function answerTo({ id, code, step, queue = '', drive, choices }: Attention, job: string): string {
  switch (code) {
    case 'HostOffline':
      return `seedship worker run ${siteOf(queue).site}`;
    case 'ShipmentLate':
      return `seedship job ship ${job} --carrier CARRIER --tracking NUMBER`;
    case 'DriveForeign':
    case 'DriveOutdated':
      return `seedship drive attach DEVICE|DIR --job ${job}`;
    case 'DriveMissing':
      if (step.startsWith(`ingest-${drive}`)) return `seedship drive attach DEVICE|DIR --job ${job}`;
      return resolveWith(choices.find((choice) => choice !== 'wait'));
    default:
      return resolveWith(choices[0]);
  }
  function resolveWith(choice = 'abort'): string {
    return `seedship job resolve ${job} --attention ${id} --choice ${choice}`;
  }
}

/** Drives overlap on their way: what somebody can do now comes first. */
function travelling(status: Before): WaitsFor {
  const { job, region } = status.request;
  const by = status.deadline === undefined ? {} : { by: status.deadline };
  if (status.free.length > 0) {
    const { where, who } = atCopyHosts(status.request);
    const what = `${countObjects(status.free)} objects wait for a drive${where}`;
    return { what, who, command: `seedship drive prepare DEVICE|DIR --job ${job}` };
  }
  if (has(status, 'Received', 'Faulted'))
    return {
      what: `received drives wait to be attached: ${ids(status, 'Received', 'Faulted')}`,
      who: `a dock host of ${region}`,
      command: `seedship drive attach DEVICE|DIR --job ${job}`,
    };
  const specified = status.drives.filter(({ state }) => state === 'Specified');
  if (specified.some(({ offline }) => !offline)) return nobody('drives are written');
  const [planned] = specified;
  if (planned)
    return {
      what: `drive ${planned.id} is written by its plan file; its journal waits to be added`,
      who: `a person at the copy host ${planned.host}`,
      command: `seedship job add-journal ${planned.id}.journal`,
    };
  if (status.drives.some(({ state, registered }) => state === 'Prepared' && !registered))
    return nobody('drives are registered with the import job');
  if (has(status, 'Prepared'))
    return {
      what: 'prepared drives wait to be shipped',
      who: 'a person at the source',
      command: `seedship job ship ${job} --carrier CARRIER --tracking NUMBER`,
      ...by,
    };
  if (has(status, 'Shipped', 'NeverReceived'))
    return {
      what: 'drives are on their way',
      who: `the desk of ${region}`,
      command: `seedship drive receive --job ${job} --drive ${ids(status, 'Shipped', 'NeverReceived')}`,
      ...by,
    };
  return nobody('drives are copied into landing');
}

function nobody(what: string): WaitsFor {
  return { what, who: 'nobody', command: '' };
}

function has(status: Before, ...states: readonly DriveState[]): boolean {
  return status.drives.some(({ state }) => states.includes(state));
}

function ids(status: Before, ...states: readonly DriveState[]): string {
  const found = status.drives.filter(({ state }) => states.includes(state)).map(({ id }) => id);
  return found.join(' ');
}

/** Markdown for the workflow's current details. What is to be typed is set as code: prose makes one dash of two. */
export function statusCard(status: JobStatus): string {
  const { waitsFor: wait, request, staged } = status;
  const lines = [
    `**${status.stage}** · ${status.state} · import job ${status.importJob}`,
    '',
    `Waits for: ${wait.what}${wait.by === undefined ? '' : `, by ${toTheMinute(wait.by)}`} — ${wait.who} acts.`,
  ];
  if (wait.command !== '') lines.push('', `    ${wait.command}`);
  for (const { id, code, detail, message, hint, choices } of status.attention)
    lines.push('', `- **${[id, code, detail].join(' ').trim()}**: ${decision({ message, hint, choices })}`);
  if (staged)
    lines.push('', `Seed of ${request.machine}: ${staged.objects} objects, ${formatSize(staged.sealedBytes)}.`);
  if (status.drives.length > 0) lines.push('');
  for (const { id, state, host, bytes, tracking } of status.drives) {
    const parcel = tracking === undefined ? '' : `, parcel ${tracking}`;
    lines.push(`- drive ${id}: **${state}**, ${formatSize(bytes)}, host ${host}${parcel}`);
  }
  return lines.join('\n');
}

/** What a child of a job is about, for whoever opens its page, whether a worker runs or not. */
export function aboutLeg(
  leg: 'prepare' | 'ingest' | 'shipping',
  job: string,
  at: { drive?: string; host?: string } = {},
) {
  const { drive = '', host = '' } = at;
  const site = leg === 'prepare' ? 'copy' : leg === 'ingest' ? 'dock' : 'control';
  const says = {
    prepare: `Drive ${drive} of the job ${job} is filled at the copy host ${host}, and all of it is read back.`,
    ingest: `Drive ${drive} of the job ${job} is at the dock ${host}: what it carries is copied into landing.`,
    shipping: `Drives of the job ${job} are with people and carriers. This reminds, and asks when they are late.`,
  };
  return [
    says[leg],
    'Nothing is lost by waiting, and what was done is not done again. People are asked on the page of the job.',
    '',
    `    seedship job show ${job}`,
    `    seedship worker run ${site}`,
    '',
    `The second, ${host === '' ? 'anywhere' : `on ${host}`}, when nothing moves and no worker is shown for it.`,
  ].join('\n');
}

function decision({ message, hint, choices }: Pick<Attention, 'message' | 'hint' | 'choices'>): string {
  return `${message}. ${asCode(hint)}. Choices: ${choices.join(', ')}`;
}

function asCode(hint: string): string {
  return hint.replace(/(?<!`)\bseedship [a-z][^`;,]*/g, '`$&`');
}

/** `2026-12-07 06:40 UTC` */
function toTheMinute(iso: string): string {
  return `${iso.slice(0, 16).replace('T', ' ')} UTC`;
}
