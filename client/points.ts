/** `point …`: recovery points as the vault worker saw them, and, unlocked, what lies in them. */
import { EXIT, Failure } from '../domain/failure.ts';
import type { PresenceRecord, PresentPoint } from '../domain/record.ts';
import { formatSize } from '../domain/units.ts';
import { deriveDomain } from '../format/key-tree.ts';
import { openPoint, openPointBody, type PointBody, type PointHead } from '../format/recovery-point.ts';
import { openSession } from '../format/session.ts';
import type { TreeEntry } from '../format/tree.ts';
import { parsePointName } from '../store/places.ts';
import { readRecord } from '../store/records.ts';
import type { Invocation } from './invocation.ts';
import { PointTree } from './point-tree.ts';
import { type PointWait, pointState, pointWaits } from './point-waits.ts';
import { columns, localTime, nameText, pairs } from './print.ts';
import { type Door, enterVault, type Unlocked, unlockVault } from './vault-door.ts';

/** `point list` */
export async function listPoints(call: Invocation): Promise<undefined> {
  const door = enterVault(call);
  const points = await readPoints(door);
  const waits = await pointWaits(door, points);
  const rows = points.map((point) => ({ ...point, ...waitOf(waits, point) }));
  call.print.result('point-list', rows, () =>
    points.length === 0
      ? ['No point yet. Next: seedship backup now PROTECTION, or seedship job start NAME']
      : columns(
          ['POINT', 'PROTECTION', 'TIME', 'KIND', 'STATE'],
          points.map((point) => [
            ...[point.label, point.protection, localTime(point.time), point.kind],
            pointState(point, waits.get(point.name)),
          ]),
        ),
  );
  return undefined;
}

/** Newest first, as the vault worker last saw them. */
export async function readPoints({
  store,
  trust,
  credentials,
}: Pick<Door, 'store' | 'trust' | 'credentials'>): Promise<PresentPoint[]> {
  const presence = await readRecord<PresenceRecord>(store, { kind: 'presence', id: credentials.vault.name }, trust);
  return [...(presence?.body.points ?? [])].sort((a, b) => b.time.localeCompare(a.time) || b.sequence - a.sequence);
}

function waitOf(waits: ReadonlyMap<string, PointWait>, { name }: PresentPoint): { waitsFor?: PointWait } {
  const wait = waits.get(name);
  return wait ? { waitsFor: wait } : {};
}

/** A point by its label, a prefix of it, or `latest`. @throws Failure `NotFound`, `Usage` when several fit */
export function pickPoint(points: readonly PresentPoint[], wanted: string, machine?: string): PresentPoint {
  const mine = machine === undefined ? points : points.filter((point) => point.machine === machine);
  const fitting =
    wanted === 'latest'
      ? mine.filter(({ restorable }) => restorable).slice(0, 1)
      : mine.filter(({ label, name }) => label === wanted || name === wanted);
  const [found] = fitting;
  if (fitting.length > 1)
    throw new Failure('Usage', `${wanted} could be one of several points`, { next: `add --machine ${found?.machine}` });
  if (found) return found;
  throw new Failure('NotFound', `there is no point ${wanted}`, { next: 'seedship point list' });
}

/** `point show POINT` */
export async function showPoint(call: Invocation): Promise<number | undefined> {
  const door = enterVault(call);
  const points = await readPoints(door);
  const point = pickPoint(points, call.word(0), call.settings.machine);
  const { passphraseFile, passphraseCommand, passphraseFd } = call.settings;
  const unlock = passphraseFile ?? passphraseCommand ?? passphraseFd ?? call.text('words-file');
  const body = unlock === undefined ? undefined : (await openBody(await unlockVault(call), point.name)).body;
  const skippedPaths = body?.skippedPaths ?? [];
  const skipped = skippedPaths.map(({ path, reason }) => ({ path: Buffer.from(path).toString(), reason }));
  const counts = body && {
    files: body.files,
    directories: body.directories,
    bytes: body.bytes,
    skipped: body.skipped,
    changed: body.changed,
  };
  const waits = await pointWaits(door, points);
  call.print.result(
    'point',
    { ...point, ...waitOf(waits, point), ...counts, ...(body && { skippedPaths: skipped }) },
    () => [
      ...pairs([
        ['point', point.label],
        ['machine', point.machine],
        ['protection', point.protection],
        ['time', localTime(point.time)],
        ['kind', point.kind],
        ['state', pointState(point, waits.get(point.name))],
        ...(body
          ? ([
              ['files', `${body.files.toLocaleString('en')}, ${formatSize(body.bytes)}`],
              ['skipped', String(body.skipped)],
            ] as const)
          : []),
      ]),
      ...skippedPaths.map(({ path, reason }) => `  ${reason}  ${nameText(path)}`),
    ],
  );
  return point.restorable ? undefined : EXIT.losses;
}

/** A point's head and body. @throws Failure `NotFound`, CorruptError */
export async function openBody(vault: Unlocked, name: string): Promise<{ head: PointHead; body: PointBody }> {
  const digest = parsePointName(name)?.digest;
  if (digest === undefined) throw new Failure('NotFound', 'this is no name of a point');
  const point = openPoint(await vault.store.getExact(name, digest), { trust: vault.trust, name: digest });
  const session = await openSession(Buffer.from(point.head.wrap), vault.owner.restoreIdentity);
  return { head: point.head, body: openPointBody(point, session) };
}

/** `point ls POINT[:PATH]` */
export async function lsPoint(call: Invocation): Promise<undefined> {
  const [label = '', ...rest] = call.word(0).split(':');
  const door = enterVault(call);
  const point = pickPoint(await readPoints(door), label, call.settings.machine);
  const vault = await unlockVault(call);
  const { head, body } = await openBody(vault, point.name);
  const { indexKey } = deriveDomain(vault.master, head.domain);
  const tree = await PointTree.open(vault, { head, root: body.root, indexKey });
  const entries = await tree.list(rest.join(':') || '/');
  const rows = entries.map((entry) => ({
    name: Buffer.from(entry.name).toString(),
    type: entry.type,
    mode: entry.mode.toString(8).padStart(4, '0'),
    uid: entry.uid,
    gid: entry.gid,
    size: entry.type === 'file' ? entry.size : 0,
    modified: new Date(Number(entry.mtimeNs / 1_000_000n)).toISOString(),
  }));
  const shown = entries.map(({ name }) => nameText(name));
  call.print.result('entry-list', rows, () =>
    rows.map(
      ({ mode, size, modified }, at) =>
        `${letter(entries[at])}${mode}  ${formatSize(size).padStart(10)}  ${localTime(modified)}  ${shown[at]}`,
    ),
  );
  return undefined;
}

function letter(entry: TreeEntry | undefined): string {
  return { file: '-', directory: 'd', symlink: 'l', block: 'b', char: 'c', fifo: 'p', socket: 's' }[
    entry?.type ?? 'file'
  ];
}
