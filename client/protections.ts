/** `protection …`: what of this machine is backed up, when, and how long it is kept. */
import path from 'node:path';
import { Failure } from '../domain/failure.ts';
import { parseName } from '../domain/names.ts';
import { calendarsOf, formatSchedule, parseSchedule, parseTimezone } from '../domain/protection.ts';
import type { ProtectionRecord } from '../domain/record.ts';
import type { BackupRequest } from '../domain/request.ts';
import { type Keep, parseKeep } from '../domain/retention.ts';
import { backupId, scheduleId } from '../domain/seeding-job.ts';
import { queueOf } from '../domain/site.ts';
import { DAY } from '../domain/units.ts';
import { openItems, sealItems } from '../format/protection-items.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { appendRecord, readRecord, readRecords } from '../store/records.ts';
import type { Invocation } from './invocation.ts';
import { columns, localTime, pairs } from './print.ts';
import { needProvedWords } from './recovery-words.ts';
import { type Door, enterVault } from './vault-door.ts';

const KEEP_DEFAULT = 'daily=30,weekly=12,monthly=24,yearly=10';
/** As activities/start-schedule.ts knows a pause of its own. */
const PAUSE_NOTE = 'waits for the initial backup';

/** `protection create NAME` */
export async function createProtection(call: Invocation): Promise<undefined> {
  const name = parseName('protection', call.word(0));
  const items = call.list('item').map((item) => path.resolve(item));
  if (items.length === 0) throw new Failure('Usage', '--item is missing', { why: 'a protection protects something' });
  const initial = initialOf(call.needed('initial'));
  const schedule = formatSchedule(parseSchedule(call.text('schedule') ?? 'daily 02:00'));
  const timezone = parseTimezone(call.text('timezone') ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
  const keep: Keep = parseKeep(call.text('keep') ?? KEEP_DEFAULT);
  const door = enterVault(call, ['machine']);
  const { id: machine, putKey } = door.credentials;
  if (!putKey) throw new Failure('Configuration', 'the credentials of this machine hold no put key');
  if (initial === 'network') await needProvedWords(door); // its schedule begins at once; offline, `job start` asks
  const sealed = sealItems(
    { items, excludes: call.list('exclude') },
    { indexKey: putKey.indexKey, protection: name },
  ).toString('base64');
  const body: ProtectionRecord = {
    ...{ name, machines: [machine], domain: putKey.domain, schedule, timezone, keep, initial, sealed },
    state: initial === 'offline' ? 'waiting-for-seed' : 'active',
    at: new Date().toISOString(),
    by: machine,
  };
  const clash = (before: ProtectionRecord | undefined): ProtectionRecord => {
    if (!before || before.state === 'removed') return body;
    throw new Failure('WrongState', `there is a protection ${name} already`, {
      next: `seedship protection show ${name}`,
    });
  };
  const temporal = await connectClient(call.settings);
  try {
    await appendRecord<ProtectionRecord>(door.store, { kind: 'protection', id: name }, clash, door.hand);
    await door.state.setItems(door.credentials.vault.name, name, items);
    await createSchedule(call, temporal, door, body);
  } finally {
    await temporal.close();
  }
  const next =
    initial === 'offline'
      ? `seedship job start NAME --protection ${name} --staging DIR`
      : `seedship backup now ${name}`;
  call.print.result('protection', { ...plain(body), items, next }, () => [
    `Protection ${name}: ${items.length} ${items.length === 1 ? 'item' : 'items'}, ${schedule} (${timezone}).`,
    initial === 'offline'
      ? 'Scheduled backups begin when the initial backup is staged.'
      : 'Scheduled backups begin now.',
    `Next: ${next}`,
  ]);
  return undefined;
}

/** @param seeded its initial backup is staged, so that backups over the line may begin */
export async function createSchedule(
  call: Invocation,
  temporal: TemporalClient,
  door: Door,
  body: ProtectionRecord,
  { seeded = false }: { readonly seeded?: boolean } = {},
): Promise<void> {
  const { name: vault } = door.credentials.vault;
  const machine = body.machines[0] ?? door.credentials.id;
  const protection = body.name;
  const backup: BackupRequest = { vault, machine, protection, heartbeatMs: call.settings.heartbeatMs };
  await temporal.call(() =>
    temporal.client.schedule.create({
      scheduleId: scheduleId(vault, machine, protection),
      spec: { calendars: calendarsOf(parseSchedule(body.schedule)), timezone: body.timezone },
      action: {
        type: 'startWorkflow',
        workflowType: 'backup',
        workflowId: backupId(vault, machine, protection),
        taskQueue: queueOf.control,
        args: [backup],
      },
      policies: { overlap: 'SKIP', catchupWindow: DAY },
      state: body.initial === 'offline' && !seeded ? { paused: true, note: PAUSE_NOTE } : {},
    }),
  );
}

/** `protection list` */
export async function listProtections(call: Invocation): Promise<undefined> {
  const rows = (await readProtections(call)).map(plain);
  call.print.result('protection-list', rows, () =>
    rows.length === 0
      ? ['No protection yet. Next: seedship protection create NAME --item PATH --initial offline']
      : columns(
          ['PROTECTION', 'MACHINES', 'SCHEDULE', 'INITIAL', 'STATE'],
          rows.map(({ name, machines, schedule, initial, state }) => [
            name,
            machines.join(','),
            schedule,
            initial,
            state,
          ]),
        ),
  );
  return undefined;
}

async function readProtections(call: Invocation): Promise<ProtectionRecord[]> {
  const { store, trust } = enterVault(call);
  const found: ProtectionRecord[] = [];
  for await (const { body } of readRecords<ProtectionRecord>(store, 'protection', trust)) found.push(body);
  return found;
}

/** `protection show NAME` */
export async function showProtection(call: Invocation): Promise<undefined> {
  const name = call.word(0);
  const door = enterVault(call, ['machine', 'operator']);
  const body = await readProtection(door, name);
  const { putKey } = door.credentials;
  const mine = putKey?.domain === body.domain;
  const items = mine
    ? openItems(Buffer.from(body.sealed, 'base64'), { indexKey: putKey.indexKey, protection: name })
    : undefined;
  const next = await nextRun(call, door, body);
  call.print.result('protection', { ...plain(body), ...items, nextRun: next }, () =>
    pairs([
      ['protection', name],
      ['machines', body.machines.join(', ')],
      ['items', items ? items.items.join(', ') : 'sealed: only its machine and the owner see them'],
      ['excludes', items?.excludes.join(', ') ?? ''],
      ['schedule', `${body.schedule} (${body.timezone})`],
      ['initial', body.initial],
      ['next run', next ?? 'paused'],
    ]),
  );
  return undefined;
}

/** @throws Failure `NotFound` */
export async function readProtection({ store, trust }: Door, name: string): Promise<ProtectionRecord> {
  const record = await readRecord<ProtectionRecord>(store, { kind: 'protection', id: name }, trust);
  if (record && record.body.state !== 'removed') return record.body;
  throw new Failure('NotFound', `the vault knows no protection ${name}`, { next: 'seedship protection list' });
}

async function nextRun(call: Invocation, { credentials }: Door, { name, machines }: ProtectionRecord) {
  const temporal = await connectClient(call.settings);
  try {
    const handle = temporal.client.schedule.getHandle(scheduleId(credentials.vault.name, machines[0] ?? '', name));
    const { state, info } = await temporal.call(() => handle.describe());
    const next = info.nextActionTimes[0];
    return state.paused || !next ? undefined : localTime(next.toISOString());
  } finally {
    await temporal.close();
  }
}

/** `protection pause NAME` */
export function pauseProtection(call: Invocation): Promise<undefined> {
  return setPaused(call, true);
}

/** `protection resume NAME` */
export function resumeProtection(call: Invocation): Promise<undefined> {
  return setPaused(call, false);
}

async function setPaused(call: Invocation, paused: boolean): Promise<undefined> {
  const name = call.word(0);
  const door = enterVault(call, ['machine', 'operator']);
  const { machines } = await readProtection(door, name);
  const temporal = await connectClient(call.settings);
  try {
    const handle = temporal.client.schedule.getHandle(scheduleId(door.credentials.vault.name, machines[0] ?? '', name));
    const { state } = await temporal.call(() => handle.describe());
    if (!paused && state.paused && state.note === PAUSE_NOTE)
      throw new Failure('WrongState', `protection ${name} waits for its initial backup`, { next: 'seedship job list' });
    const note = `by ${door.credentials.id}`;
    await temporal.call(() => (paused ? handle.pause(note) : handle.unpause(note)));
  } finally {
    await temporal.close();
  }
  call.print.result('protection', { name, paused }, () => [`Protection ${name} is ${paused ? 'paused' : 'active'}.`]);
  return undefined;
}

function plain({ sealed: _, ...rest }: ProtectionRecord) {
  return rest;
}

function initialOf(text: string): 'offline' | 'network' {
  if (text === 'offline' || text === 'network') return text;
  throw new Failure('Usage', `--initial ${text} is not known`, { why: 'it is offline (by drive) or network' });
}
