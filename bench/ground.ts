/**
 * What every bench begins with: the folder, the versions of all that takes part, the machine; and what it ends
 * with: its tables.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { GIB } from '../domain/units.ts';
import { findTemporal, serverSearch } from '../host/server-programs.ts';
import type { Programs } from './programs.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Machine {
  readonly processor: string;
  readonly processors: number;
  readonly memoryGib: number;
}

export interface Conditions {
  readonly at: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
}

export interface Versions {
  readonly versions: Readonly<Record<string, string>>;
  /** What is not there, and how it is had. */
  readonly missing: readonly string[];
}

export interface CorpusOrder {
  readonly work: string;
  readonly bytes: number;
  /** Small files, and nothing else; 0 for a mixed folder. */
  readonly small: number;
  say(line: string): void;
}

/** The folder that is backed up; what is known of it. One that was made before is used again. */
export async function makeCorpus({ work, bytes, small, say }: CorpusOrder, programs: Programs): Promise<unknown> {
  const [folder, told] = [path.join(work, 'corpus'), path.join(work, 'corpus.json')];
  if (existsSync(told) && existsSync(folder)) {
    const known: { asked?: number; files?: number } = JSON.parse(readFileSync(told, 'utf8'));
    if (small > 0 ? known.files === small : known.asked === bytes) return known;
  }
  rmSync(told, { force: true }); // it must not speak of a folder that is half made
  say(`making a folder of ${small > 0 ? `${small} small files` : `${bytes} bytes`}`);
  const what = small > 0 ? ['--files', String(small)] : ['--bytes', String(bytes)];
  await programs.must(['python3', path.join(ROOT, 'bench', 'make_corpus.py'), folder, ...what]);
  return JSON.parse(readFileSync(told, 'utf8'));
}

/** Of ours, and of the others by name. */
export async function versionsOf(
  programs: Programs,
  others: Readonly<Record<string, { readonly version: readonly string[]; readonly cure: string }>>,
): Promise<Versions> {
  const temporal = await findTemporal(serverSearch(process.env));
  const asked: Record<string, string | undefined> = {
    seedship: await versionOf(programs, process.execPath, path.join(ROOT, 'dist/client/main.js'), 'version'),
    commit: await versionOf(programs, 'git', '-C', ROOT, 'describe', '--always', '--dirty'),
    temporal: await versionOf(programs, temporal, '--version'),
    rsync: await versionOf(programs, 'rsync', '--version'),
    kernel: os.release(),
  };
  const missing = asked.rsync ? [] : ['rsync is not on PATH, so no restore is compared: apt-get install -y rsync'];
  for (const [name, { version, cure }] of Object.entries(others)) {
    asked[name] = await versionOf(programs, ...version);
    if (asked[name] === undefined) missing.push(`${name} is not on PATH, so we are not compared with it: ${cure}`);
  }
  const versions = Object.entries(asked).flatMap(([name, version]) => (version ? [[name, version]] : []));
  return { versions: Object.fromEntries(versions), missing };
}

export function onMachine(): Machine {
  const [first] = os.cpus();
  const memoryGib = Math.round(os.totalmem() / GIB);
  return { processor: first?.model.trim() ?? 'unknown', processors: os.availableParallelism(), memoryGib };
}

/** When, on what and with what it was measured: the first line below a table's title. */
export function conditionsLine({ at, machine, versions }: Conditions): string {
  const { processors, processor, memoryGib } = machine;
  const told = Object.entries(versions).map(([name, version]) => `${name}: ${version}`);
  return `${at} · ${processors} × ${processor}, ${memoryGib} GiB · ${told.join(' · ')}`;
}

/** Keeps the report as JSON and as a page, and prints the page. */
export function writeResults({ out, name }: { out: string; name: string }, report: object, page: string): void {
  mkdirSync(out, { recursive: true });
  writeFileSync(path.join(out, `${name}.json`), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(path.join(out, `${name}.md`), page);
  process.stdout.write(page);
}

/** The first line of what a program says of its version; absent when it is not there. */
async function versionOf(programs: Programs, ...command: string[]): Promise<string | undefined> {
  const ended = await programs.run(command).catch(() => undefined);
  return ended?.status === 0 ? ended.stdout.split('\n')[0]?.trim() : undefined;
}
