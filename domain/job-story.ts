/**
 * The story of a job, told from the signed revisions of its record and from nothing else: who did
 * what, where, and when. The same revisions always tell the same lines, so whoever holds them can tell
 * whether a line was altered, left out, or moved.
 *
 *   1 what people did stands in the revisions as acts, with their own time
 *   2 what changed between a revision and the one before is a line of the one who signed it
 *   3 so is a number that was passed over
 */
import type { Attention } from './attention.ts';
import { describeRates, wearWarning } from './disk.ts';
import type { Digest } from './names.ts';
import { driveLabel } from './names.ts';
import type { Erased, ImportRecord, JobRecord, JobState } from './record.ts';
import type { DriveStatus } from './seeding-job.ts';
import type { Parcel } from './shipment.ts';
import { formatSize } from './units.ts';

export interface SignedRevision {
  readonly revision: number;
  readonly digest: Digest;
  readonly signer: { readonly role: string; readonly id: string };
  readonly body: JobRecord;
}

export interface StoryLine {
  /** ISO, UTC. */
  readonly at: string;
  readonly who: string;
  /** The party whose signature holds for it: `site vault.main`. */
  readonly where: string;
  readonly what: string;
  /** The revision it is read from. */
  readonly revision: number;
  readonly drive?: string;
  readonly parcel?: string;
  /** Of an attention, or of the copy log. */
  readonly code?: string;
}

/** `where` when it is not the party that signed the revision. */
type Told = Omit<StoryLine, 'where' | 'revision'> & { readonly where?: string };

/** All lines, oldest revision first; within one in order of time. */
export function jobStory(revisions: readonly SignedRevision[]): StoryLine[] {
  const lines: StoryLine[] = [];
  let before: JobRecord | undefined;
  let last = 0;
  for (const { revision, signer, body } of revisions) {
    const where = `${signer.role} ${signer.id}`;
    if (revision > last + 1) lines.push(passedOver(last + 1, revision - 1, { at: body.at, who: body.by, where }));
    last = revision;
    const told = before === undefined ? [ordered(body)] : changes(before, body);
    const sorted = told.map((line, at) => ({ line, at })).sort((a, b) => compare(a.line.at, b.line.at) || a.at - b.at);
    lines.push(...sorted.map(({ line }) => ({ ...line, where: line.where ?? where, revision })));
    before = body;
  }
  return lines;
}

/** Numbers of a record that were taken by what no party of the vault signed for them, as whoever met them tells. */
export function passedOver(from: number, to: number, teller: Pick<StoryLine, 'at' | 'who' | 'where'>): StoryLine {
  const which = from === to ? `revision ${from} was` : `revisions ${from} to ${to} were`;
  const what = `${which} passed over: not signed by who may, or not built on the one before`;
  return { ...teller, what, revision: to, code: 'Tampered' };
}

/** What of a story is about one drive. */
export function driveStory(lines: readonly StoryLine[], drive: string): StoryLine[] {
  return lines.filter((line) => line.drive === drive);
}

function ordered({ at, by, order }: JobRecord): Told {
  const { protection, machine, region, returns } = order;
  const back = returns ? 'drives come back' : 'drives are not sent back';
  return { at, who: by, what: `ordered: ${protection} of ${machine}, to ${region}; ${back}` };
}

function changes(before: JobRecord, after: JobRecord): Told[] {
  const { at, by } = after;
  const told: Told[] = [];
  const say = (what: string, more: Partial<Told> = {}) => told.push({ at, who: by, what, ...more });
  for (const entry of (after.imports ?? []).slice(before.imports?.length ?? 0)) say(registered(entry));
  for (const [place, entry] of (before.imports ?? []).entries()) {
    const withdrawn = after.imports?.[place]?.withdrawn;
    if (withdrawn && !entry.withdrawn) say('import job withdrawn', { at: withdrawn.at, who: withdrawn.by });
  }
  if (after.sealed !== before.sealed) say('contact and return address written');
  const cleaned = after.cleaned;
  if (cleaned && JSON.stringify(cleaned) !== JSON.stringify(before.cleaned)) {
    const { objects, bytes, removed } = cleaned;
    const proof = `${objects} objects, ${formatSize(bytes)}, read back from the vault and right`;
    say(`cleaned up: ${proof}; ${removed} removed from landing and staging`, { at: cleaned.at, who: cleaned.by });
  }
  for (const entry of after.erased ?? []) {
    const known = before.erased?.find(({ run }) => run === entry.run);
    if (JSON.stringify(known) === JSON.stringify(entry)) continue;
    const what = known ? `the keys of drive ${driveLabel(entry.drive)} are gone from staging too` : erasedText(entry);
    say(what, { at: entry.at, who: entry.by, drive: entry.drive });
  }
  if (after.state && after.state !== before.state) told.push(...stateChanges(before.state, after.state, { at, by }));
  return told;
}

function erasedText({ drive, host, full, bytes, unwritable, ...more }: Erased): string {
  const { serial, sentSerial, stagedKeysGone } = more;
  const as = serial === undefined ? '' : ` (${serial}${sentSerial === undefined ? '' : `, sent as ${sentSerial}`})`;
  const part = full ? 'all of it' : 'its ends';
  const left = unwritable > 0 ? `, ${formatSize(unwritable)} of it could not be` : '';
  const keys = `keys deleted in landing and vault${stagedKeysGone ? ' and staging' : ''}`;
  const done = `${part}, ${formatSize(bytes)}, overwritten${left}`;
  return `drive ${driveLabel(drive)}${as} erased at ${host}: ${keys}; ${done}`;
}

function registered({ region, drives }: ImportRecord): string {
  const names = drives.map(({ drive }) => driveLabel(drive)).join(', ');
  return `import job registered in ${region}: ${drives.length} drives (${names}), each by its manifest`;
}

function stateChanges(before: JobState | undefined, after: JobState, { at, by }: { at: string; by: string }): Told[] {
  if (before?.run === after.run && before.sequence === after.sequence) return [];
  const told: Told[] = [];
  const say = (what: string, more: Partial<Told> = {}) => told.push({ at, who: by, what, ...more });
  for (const { act, says, at: when, by: who, signedBy, doubt } of after.acts) {
    const doubted = doubt === undefined ? '' : ` (its request does not stand for it: ${doubt})`;
    say(`${act}: ${says}${doubted}`, { at: when, who, ...(signedBy !== undefined && { where: signedBy }) });
  }
  if (after.stage !== before?.stage) say(`stage ${after.stage}`, { at: reachedAt(after) ?? at });
  if (after.importJob !== before?.importJob) say(`import job ${after.importJob}`);
  if (after.point && !before?.point) say(`point ${after.point.label} stated`);
  for (const drive of after.drives) told.push(...driveChanges(same(before?.drives, drive.id), drive, { at, by }));
  for (const drive of before?.drives ?? [])
    if (!same(after.drives, drive.id)) say(`drive ${driveLabel(drive.id)} left out`, { drive: drive.id });
  for (const parcel of after.parcels) told.push(...parcelChanges(before?.parcels ?? [], parcel, { at, by }));
  told.push(...attentionChanges(before?.attention ?? [], after.attention, { at, by }));
  return told;
}

function reachedAt({ stage, ledger }: JobState): string | undefined {
  return ledger?.reached.findLast((one) => one.stage === stage)?.at;
}

function same<T extends { readonly id: string }>(all: readonly T[] | undefined, id: string): T | undefined {
  return all?.find((one) => one.id === id);
}

interface Stamp {
  readonly at: string;
  readonly by: string;
}

function driveChanges(before: DriveStatus | undefined, after: DriveStatus, { at, by }: Stamp): Told[] {
  const { id: drive, state, host, objects, bytes, refused = 0, copyLog, disk = {} } = after;
  if (before?.state === state && before.host === host && before.copyLog === copyLog) return [];
  const carries = objects > 0 ? `, ${objects} objects, ${formatSize(bytes)}` : '';
  const left = refused > 0 ? `, ${refused} refused` : '';
  const log = copyLog !== undefined && copyLog !== before?.copyLog ? `, copy log ${copyLog.slice(0, 12)}` : '';
  const line = { at, who: by, what: `drive ${driveLabel(drive)} ${state} at ${host}${carries}${left}${log}`, drive };
  if (before?.disk !== undefined || after.disk === undefined) return [line];
  const [rates, warning] = [describeRates(disk), wearWarning(disk)];
  const filled = rates === '' ? [] : [{ at, who: by, what: `drive ${driveLabel(drive)} ${rates}`, drive }];
  const worse = `drive ${driveLabel(drive)} became worse while it was filled: ${warning}`;
  return [line, ...filled, ...(warning === undefined ? [] : [{ at, who: by, what: worse, drive }])];
}

function parcelChanges(all: readonly Parcel[], after: Parcel, { at, by }: Stamp): Told[] {
  const { carrier, tracking, state, drives, was = [], back } = after;
  const before = all.find((one) => one.tracking === tracking || was.includes(one.tracking));
  if (before?.state === state && before.tracking === tracking) return [];
  const amended = before && before.tracking !== tracking ? `, until now ${before.tracking},` : '';
  const names = drives.map(driveLabel).join(', ');
  const what = `parcel ${tracking} (${carrier})${amended} ${state}${back ? ', going back' : ''}: ${names}`;
  return [{ at, who: by, what, parcel: tracking }];
}

function attentionChanges(before: readonly Attention[], after: readonly Attention[], { at, by }: Stamp): Told[] {
  const about = ({ drive, parcel, code, detail }: Attention) => ({
    ...(drive === undefined ? {} : { drive }),
    ...(parcel === undefined ? {} : { parcel }),
    code: detail ?? code,
  });
  const opened = after.filter(({ id }) => !same(before, id));
  const closed = before.filter(({ id }) => !same(after, id));
  return [
    ...opened.map((one) => ({
      at: one.since,
      who: by,
      what: `attention ${one.id}, ${one.code}: ${one.message}`,
      ...about(one),
    })),
    ...closed.map((one) => ({ at, who: by, what: `attention ${one.id}, ${one.code}: closed`, ...about(one) })),
  ];
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
