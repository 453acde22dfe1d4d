/**
 * What this host is told, and by whom. The first that speaks is heard:
 *
 *   flag · SEEDSHIP_<FLAG> · ./seedship.toml · $XDG_CONFIG_HOME/seedship/seedship.toml ·
 *   /etc/seedship/seedship.toml · embedded.json of the state directory (`seedship up`) · default
 *
 * Temporal's own variables count as the environment, its own file as one more file behind ours. A
 * file's keys are the flags' names. A place or a destination is taken whole from the first that has it.
 */
import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type ClientConfigProfile, loadClientConfigProfile } from '@temporalio/envconfig';
import { parse as parseToml } from 'smol-toml';
import { z } from 'zod';
import { Failure } from '../domain/failure.ts';
import { NAME_RULES } from '../domain/names.ts';
import { NOTICE_KINDS } from '../domain/news.ts';
import { STALL_MS, TIMEOUTS } from '../domain/site.ts';
import { parseTimetable, type Timetable } from '../domain/timetable.ts';
import { GIB, MIB, parseSize, SECOND } from '../domain/units.ts';

const SPOOL_DEFAULT = 2 * GIB;
const EMBEDDED_FILE = 'embedded.json';

const name = z.string().regex(NAME_RULES.host.pattern, { error: `is not ${NAME_RULES.host.says}` });
const count = z.coerce.number().int().min(1).max(1024);
const seconds = z.coerce.number().positive().max(86_400);
const size = z.union([z.number().int().nonnegative(), z.string()]).transform((given, context) => {
  const bytes = typeof given === 'number' ? given : parseSize(given);
  if (bytes !== undefined) return bytes;
  context.addIssue({ code: 'custom', message: 'is no size like 64MiB' });
  return z.NEVER;
});
const packSize = size.refine((bytes) => bytes >= MIB && bytes <= 64 * MIB, { error: 'is not from 1MiB to 64MiB' });
const timetable = z.string().refine((text) => parseTimetable(text) !== undefined, {
  error: 'is not like 10MiB, or 08:00,512KiB 18:00,off',
});

const SCALARS = z.strictObject({
  'state-dir': z.string(),
  'cache-dir': z.string(),
  'data-dir': z.string(),
  host: name,
  vault: name.optional(),
  machine: name.optional(),
  'temporal-address': z.string(),
  'temporal-namespace': z.string(),
  'ui-url': z.url().optional(),
  'heartbeat-seconds': seconds,
  'stall-seconds': seconds,
  threads: count.optional(),
  bays: count,
  'spool-size': size,
  throttle: size.optional(),
  bwlimit: timetable.optional(),
  io: z.enum(['normal', 'idle']),
  'pack-size': packSize.optional(),
  'passphrase-file': z.string().optional(),
  'passphrase-command': z.string().optional(),
  'passphrase-fd': z.coerce.number().int().min(3).max(1024).optional(),
  'code-file': z.string().optional(),
  location: z.string().optional(),
  'keep-finished-days': count.optional(),
});
type Scalar = keyof typeof SCALARS.shape;
const SCALAR_NAMES: readonly Scalar[] = SCALARS.keyof().options;

/** Who of a vault's parties an S3 identity belongs to. */
export const ROLES = ['owner', 'machine', 'copy', 'datacenter', 'vault', 'control', 'operator'] as const;
export type PlaceRole = (typeof ROLES)[number];

const KEY_PAIR = { 'access-key-id': z.string(), 'secret-access-key': z.string() };
const PLACE = z.strictObject({
  url: z.string().regex(/^(file:\/\/\/|s3:\/\/)/, { error: 'is neither file:/// nor s3://' }),
});
const DESTINATION = z.strictObject({
  /** Every place whose address begins so is reached this way; the longest wins. */
  url: z.string().startsWith('s3://'),
  endpoint: z.url().optional(),
  region: z.string().optional(),
  profile: z.string().optional(),
  'access-key-id': z.string().optional(),
  'secret-access-key': z.string().optional(),
  roles: z.partialRecord(z.enum(ROLES), z.strictObject(KEY_PAIR)).optional(),
});
const MAIL_ADDRESS = z.string().regex(/^[^\s<>@]+@[^\s<>@]+$/, { error: 'is no mail address' });
const NOTIFY = z
  .strictObject({
    webhook: z.url({ protocol: /^https?$/, error: 'is no http:// or https:// address' }).optional(),
    smtp: z
      .string()
      .regex(/^smtps?:\/\/[^@/\s]+$/, { error: 'is no smtp://host:port; the account goes into `user`' })
      .optional(),
    user: z.string().optional(),
    from: MAIL_ADDRESS.optional(),
    to: z.array(MAIL_ADDRESS).min(1).optional(),
    /** Holds the webhook's key, or the password of `user`. */
    'secret-file': z.string().optional(),
    /** PEM: who vouches for a mail server's certificate. */
    'ca-file': z.string().optional(),
    on: z.array(z.enum(NOTICE_KINDS)).optional(),
  })
  .refine(({ webhook, smtp }) => (webhook === undefined) !== (smtp === undefined), {
    error: 'has not one of webhook and smtp',
  })
  .refine(({ webhook, 'secret-file': file }) => webhook === undefined || file !== undefined, {
    error: 'has no secret-file: a webhook is signed',
  })
  .refine(({ smtp, from, to }) => smtp === undefined || (from !== undefined && to !== undefined), {
    error: 'lacks from or to',
  })
  .refine(({ user, 'secret-file': file }) => user === undefined || file !== undefined, {
    error: 'has a user, and no secret-file',
  });
const TABLES = {
  places: z.record(name, PLACE).optional(),
  destinations: z.record(name, DESTINATION).optional(),
  notify: z.record(name, NOTIFY).optional(),
};
const FILE = SCALARS.omit({ 'state-dir': true }).partial().extend(TABLES);
const EMBEDDED = z.strictObject({
  pid: z.number().int(),
  'temporal-address': z.string(),
  'temporal-namespace': z.string(),
  'ui-url': z.url(),
  ...TABLES,
});

export type Destination = z.infer<typeof DESTINATION>;
export type NotifyEntry = z.infer<typeof NOTIFY>;
/** What `seedship up` leaves for the commands of its state directory; it holds secrets: mode 0600. */
export type Embedded = z.infer<typeof EMBEDDED>;

export interface SettingRow {
  readonly key: string;
  /** Secrets are shown as `(set)`. */
  readonly value: string;
  /** `--host`, `SEEDSHIP_HOST`, a file's path, `embedded`, `default`. */
  readonly origin: string;
}

export interface Settings {
  readonly stateDirectory: string;
  readonly cacheDirectory: string;
  readonly dataDirectory: string;
  /** Of this host, over restarts; its hostname when nothing else is said. */
  readonly host: string;
  readonly vault: string | undefined;
  readonly machine: string | undefined;
  readonly heartbeatMs: number;
  readonly stallMs: number;
  readonly threads: number | undefined;
  readonly bays: number;
  readonly keepFinishedDays: number | undefined;
  readonly spoolBytes: number;
  /** Bytes a second a step may move. */
  readonly throttle: number | undefined;
  /** Bytes a second that may cross a line, by the clock. */
  readonly bwlimit: Timetable | undefined;
  /** Idle: data processes take what others leave of disk and processor. */
  readonly io: 'normal' | 'idle';
  /** At which a pack is closed; the format's own limit when absent. */
  readonly packBytes: number | undefined;
  readonly passphraseFile: string | undefined;
  readonly passphraseCommand: string | undefined;
  readonly passphraseFd: number | undefined;
  readonly codeFile: string | undefined;
  /** Where this host is, `52.37,4.89`: the nearest datacenter is suggested. */
  readonly location: string | undefined;
  readonly temporal: ClientConfigProfile & { readonly address: string; readonly namespace: string };
  readonly uiUrl: string | undefined;
  readonly places: Readonly<Record<string, string>>;
  readonly destinations: Readonly<Record<string, Destination>>;
  /** Whom this host's control worker tells. */
  readonly notify: Readonly<Record<string, NotifyEntry>>;
  readonly embedded: Embedded | undefined;
  /** The process's own, for what is neither ours nor Temporal's: PATH, AWS_*, NO_COLOR. */
  readonly environment: Environment;
  readonly rows: readonly SettingRow[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface SettingSources {
  /** By flag name without dashes; an absent flag is `undefined`. */
  readonly flags?: Readonly<Partial<Record<Scalar, string | undefined>>>;
  readonly environment?: Environment;
  /** Where `./seedship.toml` is looked for. */
  readonly directory?: string;
  readonly systemFile?: string;
}

interface Layer {
  readonly origin: (key: string) => string;
  readonly values: Readonly<Record<string, unknown>>;
}

/**
 * Reads everything once.
 * @throws Failure `Configuration` naming the key and where it stands
 */
export function loadSettings(sources: SettingSources = {}): Settings {
  const environment = sources.environment ?? process.env;
  const asked: Layer[] = [
    { origin: (key) => `--${key}`, values: sources.flags ?? {} },
    { origin: variableOf, values: fromEnvironment(environment) },
  ];
  const files = settingFiles(environment, sources).flatMap(readLayer);
  const fallback: Layer = { origin: () => 'default', values: defaults(environment) };
  const stateDirectory = path.resolve(String(first([...asked, fallback], 'state-dir')?.value));
  const embedded = readEmbedded(stateDirectory);
  const profile = temporalProfile(environment);
  const layers = [...asked, ...temporalLayers(environment, profile, files), embeddedLayer(embedded), fallback];
  const found = new Map(SCALAR_NAMES.map((key) => [key, first(layers, key)]));
  const scalars = checked(SCALARS, Object.fromEntries([...found].map(([key, at]) => [key, at?.value])), (key) =>
    String(first(layers, key)?.origin),
  );
  const places = wholeEntries(layers, 'places', PLACE);
  const destinations = wholeEntries(layers, 'destinations', DESTINATION);
  const notify = wholeEntries(layers, 'notify', NOTIFY);
  return {
    stateDirectory,
    cacheDirectory: path.resolve(scalars['cache-dir']),
    dataDirectory: path.resolve(scalars['data-dir']),
    host: scalars.host,
    vault: scalars.vault,
    machine: scalars.machine,
    heartbeatMs: scalars['heartbeat-seconds'] * SECOND,
    stallMs: scalars['stall-seconds'] * SECOND,
    threads: scalars.threads,
    bays: scalars.bays,
    keepFinishedDays: scalars['keep-finished-days'],
    spoolBytes: scalars['spool-size'],
    throttle: scalars.throttle || undefined,
    bwlimit: parseTimetable(scalars.bwlimit ?? 'off'),
    io: scalars.io,
    packBytes: scalars['pack-size'],
    passphraseFile: scalars['passphrase-file'],
    passphraseCommand: scalars['passphrase-command'],
    passphraseFd: scalars['passphrase-fd'],
    codeFile: scalars['code-file'],
    location: scalars.location,
    temporal: { ...profile, address: scalars['temporal-address'], namespace: scalars['temporal-namespace'] },
    uiUrl: scalars['ui-url'],
    places: Object.fromEntries(Object.entries(places.values).map(([key, { url }]) => [key, url])),
    destinations: destinations.values,
    notify: notify.values,
    embedded,
    environment,
    rows: [...scalarRows(found), ...places.rows, ...destinations.rows, ...notify.rows],
  };
}

/** Absent when nothing runs embedded here; a file that is torn or of another release counts as absent. */
export function readEmbedded(stateDirectory: string): Embedded | undefined {
  const file = embeddedFile(stateDirectory);
  if (!existsSync(file)) return undefined;
  try {
    return EMBEDDED.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data;
  } catch {
    return undefined;
  }
}

export function embeddedFile(stateDirectory: string): string {
  return path.join(stateDirectory, EMBEDDED_FILE);
}

/** The page of a workflow in the Web UI, where its address is known. */
export function workflowPage({ uiUrl, temporal }: Settings, workflowId: string): string | undefined {
  if (uiUrl === undefined) return undefined;
  return `${uiUrl}/namespaces/${temporal.namespace}/workflows/${encodeURIComponent(workflowId)}`;
}

/** The files looked for, nearest first, whether they are there or not. */
export function settingFiles(environment: Environment, { directory, systemFile }: SettingSources = {}): string[] {
  return [
    path.join(directory ?? process.cwd(), 'seedship.toml'),
    path.join(xdg(environment, 'XDG_CONFIG_HOME', '.config'), 'seedship.toml'),
    systemFile ?? '/etc/seedship/seedship.toml',
  ];
}

function readLayer(file: string): Layer[] {
  if (!existsSync(file)) return [];
  let values: unknown;
  try {
    values = parseToml(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new Failure('Configuration', `${file} cannot be read as TOML`, { next: `correct ${file}`, cause });
  }
  return [{ origin: () => file, values: checked(FILE, values, () => file) }];
}

function defaults(environment: Environment): Partial<Record<Scalar, unknown>> {
  return {
    'state-dir': xdg(environment, 'XDG_STATE_HOME', '.local/state'),
    'cache-dir': xdg(environment, 'XDG_CACHE_HOME', '.cache'),
    'data-dir': xdg(environment, 'XDG_DATA_HOME', '.local/share'),
    host: hostName(),
    'temporal-address': 'localhost:7233',
    'temporal-namespace': 'seedship',
    'heartbeat-seconds': TIMEOUTS.heartbeatMs / SECOND,
    'stall-seconds': STALL_MS / SECOND,
    bays: 2,
    'spool-size': SPOOL_DEFAULT,
    io: 'normal',
  };
}

/** A hostname as NAME_RULES wants one: `Box_7.lan` is `box-7-lan`. */
function hostName(): string {
  const plain = os
    .hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-');
  const led = /^[a-z]/.test(plain) ? plain : `host-${plain}`;
  return led.slice(0, 50).replace(/-+$/, '').padEnd(2, '0');
}

function xdg(environment: Environment, variable: string, underHome: string): string {
  const home = environment.HOME || os.homedir();
  return path.join(environment[variable] || path.join(home, underHome), 'seedship');
}

function variableOf(key: string): string {
  return `SEEDSHIP_${key.replaceAll('-', '_').toUpperCase()}`;
}

function fromEnvironment(environment: Environment): Record<string, unknown> {
  return Object.fromEntries(SCALAR_NAMES.map((key) => [key, environment[variableOf(key)] || undefined]));
}

function temporalProfile(environment: Environment): ClientConfigProfile {
  try {
    return loadClientConfigProfile({ overrideEnvVars: present(environment) });
  } catch (cause) {
    throw new Failure('Configuration', 'temporal.toml cannot be used', { next: 'temporal config list', cause });
  }
}

function temporalLayers(environment: Environment, profile: ClientConfigProfile, files: Layer[]): Layer[] {
  const keys = { 'temporal-address': 'TEMPORAL_ADDRESS', 'temporal-namespace': 'TEMPORAL_NAMESPACE' } as const;
  const spoken = Object.entries(keys).map(([key, variable]) => [key, environment[variable] || undefined]);
  const variables: Layer = {
    origin: (key) => (key === 'temporal-address' ? keys['temporal-address'] : keys['temporal-namespace']),
    values: Object.fromEntries(spoken),
  };
  const own: Layer = {
    origin: () => 'temporal.toml',
    values: { 'temporal-address': profile.address, 'temporal-namespace': profile.namespace },
  };
  return [variables, ...files, own];
}

function embeddedLayer(embedded: Embedded | undefined): Layer {
  return { origin: () => 'embedded', values: embedded ?? {} };
}

function first(layers: readonly Layer[], key: string): { value: unknown; origin: string } | undefined {
  const layer = layers.find(({ values }) => values[key] !== undefined);
  return layer && { value: layer.values[key], origin: layer.origin(key) };
}

function wholeEntries<S extends z.ZodType>(layers: readonly Layer[], table: string, schema: S) {
  const values: Record<string, z.infer<S>> = {};
  const rows: SettingRow[] = [];
  for (const { values: layer, origin } of layers)
    for (const [key, entry] of Object.entries<unknown>(Object(layer[table]))) {
      if (Object.hasOwn(values, key)) continue;
      values[key] = checked(schema, entry, () => origin(table));
      rows.push({ key: `${table}.${key}`, value: JSON.stringify(entry, hideSecrets), origin: origin(table) });
    }
  return { values, rows };
}

function hideSecrets(key: string, value: unknown): unknown {
  return key === 'secret-access-key' ? '(set)' : value;
}

function scalarRows(found: ReadonlyMap<Scalar, { value: unknown; origin: string } | undefined>): SettingRow[] {
  return [...found].flatMap(([key, at]) => (at ? [{ key, value: String(at.value), origin: at.origin }] : []));
}

function checked<S extends z.ZodType>(schema: S, values: unknown, originOf: (key: string) => string): z.infer<S> {
  const { success, data, error } = schema.safeParse(values);
  if (success) return data;
  const [issue] = error.issues;
  const key = issue?.path.join('.') || 'settings';
  const why = issue?.code === 'unrecognized_keys' ? `${issue.keys.join(', ')}: no such key` : (issue?.message ?? '');
  throw new Failure('Configuration', `${key} in ${originOf(String(issue?.path[0] ?? ''))} cannot be used`, { why });
}

function present(environment: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}
