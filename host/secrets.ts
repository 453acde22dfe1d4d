/**
 * Where secrets come from: an open descriptor, a file, a command, a prompt; the first that is given.
 * Never a flag's value: other users of the machine read command lines.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { errnoOf, Failure } from '../domain/failure.ts';
import { MINUTE } from '../domain/units.ts';
import type { Destination, Environment, PlaceRole, Settings } from './settings.ts';

const COMMAND_MS = 2 * MINUTE; // it may ask a person, or a token that wants a touch
const SECRET_BYTES_MAX = 4096;

export interface SecretSources {
  /** `passphrase`, `one-time code`: what a person is told is missing. */
  readonly what: string;
  readonly fd?: number | undefined;
  readonly file?: string | undefined;
  readonly command?: string | undefined;
  /** Asks at the terminal; absent where there is none. */
  readonly prompt?: (() => Promise<string>) | undefined;
}

/**
 * The secret without its line end.
 * @throws Failure `Usage` when nobody gives one, `Configuration` when the one who should cannot
 */
export async function readSecret({ what, fd, file, command, prompt }: SecretSources): Promise<string> {
  if (fd !== undefined) return fromFile(what, fd, `descriptor ${fd}`);
  if (file !== undefined) return fromFile(what, file, 'the file that should hold it');
  if (command !== undefined) return fromCommand(what, command);
  if (prompt) return checked(what, await prompt(), 'the terminal');
  throw new Failure('Usage', `no ${what} was given`, {
    why: 'there is no terminal to ask at',
    next: 'give it by a file, a command or an open descriptor: seedship help environment',
  });
}

/** The owner's passphrase, from where the settings say, or from whoever sits at the terminal. */
export function readPassphrase(settings: Settings, prompt?: () => Promise<string>): Promise<string> {
  const { passphraseFd: fd, passphraseFile: file, passphraseCommand: command } = settings;
  return readSecret({ what: 'passphrase', fd, file, command, prompt });
}

/** A file a person named, whole. @throws Failure `NotFound` when it cannot be read */
export function readGivenFile(what: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new Failure('NotFound', `the ${what} cannot be read`, { why: `${file}: ${errnoOf(cause)}`, cause });
  }
}

function fromFile(what: string, source: number | string, named: string): string {
  try {
    return checked(what, readFileSync(source, 'utf8'), named);
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    throw new Failure('Configuration', `the ${what} cannot be read from ${named}`, { why: errnoOf(cause) });
  }
}

async function fromCommand(what: string, command: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('/bin/sh', ['-c', command], { timeout: COMMAND_MS });
    return checked(what, stdout, 'the command');
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    const why = `it ended with ${errnoOf(cause)}`;
    throw new Failure('Configuration', `the command that gives the ${what} failed`, { why });
  }
}

function checked(what: string, text: string, named: string): string {
  const secret = text.replace(/\r?\n$/, '');
  if (secret !== '' && secret.length <= SECRET_BYTES_MAX) return secret;
  throw new Failure('Configuration', `${named} holds no ${what}`, { why: secret === '' ? 'it is empty' : 'too long' });
}

/** As store/s3-store wants it. */
export interface StorageAccess {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/**
 * How this host, acting as `role`, reaches a place: the keys of the destination whose address begins
 * the place's, for the role, else for all; else its profile's; else `AWS_*`. `undefined` for a directory.
 * @param endpointOfVault as the credentials file has it; a destination's own goes before
 * @throws Failure `Configuration` when nothing gives keys
 */
export function storageAccess(
  settings: Settings,
  url: string,
  role: PlaceRole,
  endpointOfVault?: string,
): StorageAccess | undefined {
  if (!url.startsWith('s3://')) return undefined;
  const { environment } = settings;
  const destination = destinationOf(settings.destinations, url);
  const profile = readProfile(environment, destination?.profile ?? environment.AWS_PROFILE ?? 'default');
  const keys =
    pair(destination?.roles?.[role]) ??
    pair(destination) ??
    (destination?.profile === undefined ? environmentPair(environment) : undefined) ??
    profilePair(profile);
  if (!keys)
    throw new Failure('Configuration', `no storage key for the role ${role} is set`, {
      next: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or [destinations.NAME] in seedship.toml',
    });
  const region = destination?.region ?? environment.AWS_REGION ?? profile.region ?? 'us-east-1';
  const endpoint =
    destination?.endpoint ??
    endpointOfVault ??
    environment.AWS_ENDPOINT_URL_S3 ??
    environment.AWS_ENDPOINT_URL ??
    profile.endpoint_url ??
    `https://s3.${region}.amazonaws.com`;
  return { endpoint, region, ...keys };
}

function destinationOf(destinations: Readonly<Record<string, Destination>>, url: string): Destination | undefined {
  return Object.values(destinations)
    .filter((destination) => url.startsWith(destination.url))
    .sort((one, other) => other.url.length - one.url.length)[0];
}

type Keys = Pick<StorageAccess, 'accessKeyId' | 'secretAccessKey'>;

function pair(from: Pick<Destination, 'access-key-id' | 'secret-access-key'> | undefined): Keys | undefined {
  const { 'access-key-id': accessKeyId, 'secret-access-key': secretAccessKey } = from ?? {};
  return accessKeyId !== undefined && secretAccessKey !== undefined ? { accessKeyId, secretAccessKey } : undefined;
}

function environmentPair({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }: Environment): Keys | undefined {
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) return undefined;
  return { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY };
}

function profilePair({ aws_access_key_id, aws_secret_access_key }: Profile): Keys | undefined {
  if (aws_access_key_id === undefined || aws_secret_access_key === undefined) return undefined;
  return { accessKeyId: aws_access_key_id, secretAccessKey: aws_secret_access_key };
}

type Profile = Readonly<Record<string, string>>;

/** Static keys and the region of a profile; what a profile may do besides (roles, SSO) is not supported. */
function readProfile(environment: Environment, name: string): Profile {
  const folder = path.join(environment.HOME || '/', '.aws');
  const config = environment.AWS_CONFIG_FILE ?? path.join(folder, 'config');
  const credentials = environment.AWS_SHARED_CREDENTIALS_FILE ?? path.join(folder, 'credentials');
  const section = name === 'default' ? name : `profile ${name}`;
  return { ...readSection(config, section), ...readSection(credentials, name) };
}

function readSection(file: string, wanted: string): Profile {
  if (!existsSync(file)) return {};
  const values: Record<string, string> = {};
  let section = '';
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const header = /^\s*\[\s*([^\]]+?)\s*\]/.exec(line);
    if (header) section = header[1] ?? '';
    const entry = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (entry && section === wanted) values[entry[1] ?? ''] = entry[2] ?? '';
  }
  return values;
}
