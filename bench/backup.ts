/**
 * `npm run bench`: first backup, no-change backup, backup of a hundredth that changed, and restore of one folder,
 * by Seedship and by every peer on PATH, in one series that alternates which of them goes first. Tells what it
 * ran and what each took, and writes a table as JSON and Markdown. Everything it makes lies in one folder, which is
 * gone when it ends.
 *
 *   --bytes SIZE   of the folder, 2GiB        --rounds N      3
 *   --small N      a folder of N files of 1 to 8 KiB instead
 *   --cold         nothing of any file is in memory when a command begins (root)
 *   --peers NAMES  only these: restic,borg    --name NAME     of the tables: backup
 *   --out DIR      for the results            --work DIR      for the rest; the folder made is used again if unchanged
 *   --keep         leave everything where it is
 *   --rustic       compile rustic, which takes 24 minutes
 *   --no-install   measure beside what is there already
 *
 * On one core: `taskset -c 0 npm run bench -- --name backup-one-core`.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { GIB, parseSize } from '../domain/units.ts';
import { makeCorpus, onMachine, versionsOf, writeResults } from './ground.ts';
import { installPeers } from './peer-install.ts';
import { PEERS } from './peers.ts';
import { Programs } from './programs.ts';
import { markdown, type Report, rowsOf } from './report.ts';
import { Series } from './series.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const USAGE = `npm run bench -- [--bytes SIZE | --small N] [--rounds N] [--cold] [--peers NAMES] [--name NAME]
                 [--out DIR] [--work DIR] [--keep] [--rustic] [--no-install]`;

interface Order {
  readonly bytes: number;
  /** Small files, and nothing else; 0 for a mixed folder. */
  readonly small: number;
  readonly rounds: number;
  readonly cold: boolean;
  readonly peers: readonly string[];
  readonly name: string;
  readonly out: string;
  readonly work: string;
  readonly isOwnWork: boolean;
  readonly keep: boolean;
  readonly rustic: boolean;
  readonly install: boolean;
}

/** What the command line asks for, `undefined` when it asks for nothing that can be done. */
function orderOf(words: readonly string[]): Order | undefined {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const folder = { bytes: text, small: text, out: text, work: text, keep: flag } as const;
  const options = {
    ...folder,
    'no-install': flag,
    rounds: text,
    cold: flag,
    peers: text,
    name: text,
    rustic: flag,
  } as const;
  try {
    const { values } = parseArgs({ args: [...words], options });
    const bytes = values.bytes === undefined ? 2 * GIB : parseSize(values.bytes);
    const [rounds, small] = [Number(values.rounds ?? 3), Number(values.small ?? 0)];
    const peers = values.peers?.split(',') ?? PEERS.map(({ name }) => name);
    if (bytes === undefined || !Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(small)) return undefined;
    if (peers.some((one) => !PEERS.some(({ name }) => name === one))) return undefined;
    const name = values.name ?? `backup${small > 0 ? `-${small}-small` : ''}${values.cold ? '-cold' : ''}`;
    const isOwnWork = values.work === undefined;
    const work = isOwnWork ? mkdtempSync(path.join(os.tmpdir(), 'seedship-bench-')) : path.resolve(values.work ?? '');
    const out = path.resolve(values.out ?? path.join(ROOT, 'bench', 'results'));
    const [cold, keep, rustic] = [values.cold ?? false, values.keep ?? false, values.rustic ?? false];
    const install = !values['no-install'];
    return { bytes, small, rounds, cold, peers, name, out, work, isOwnWork, keep, rustic, install };
  } catch {
    return undefined;
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function bench(order: Order, programs: Programs): Promise<Report> {
  mkdirSync(order.work, { recursive: true });
  const wanted = PEERS.filter(({ name }) => order.peers.includes(name));
  const names = ['rsync', ...wanted.map(({ name }) => name)];
  if (order.install) await installPeers({ names, long: order.rustic, say }, programs);
  const { versions, missing } = await versionsOf(programs, Object.fromEntries(wanted.map((peer) => [peer.name, peer])));
  for (const [name, version] of Object.entries(versions)) say(`${name.padEnd(10)}${version}`);
  for (const line of missing) say(`missing: ${line}`);
  const corpus = await makeCorpus({ ...order, say }, programs);
  const { rounds, cold } = order;
  const [run, folder] = [path.join(order.work, 'run'), path.join(order.work, 'corpus')];
  const series = new Series({
    ...{ folder: run, corpus: folder, rounds, cold, programs, say },
    peers: order.peers.filter((name) => versions[name] !== undefined),
    reader: path.join(ROOT, 'doc', 'reader', 'read-vault.mjs'),
    async change(round) {
      rmSync(`${folder}.json`, { force: true }); // it is not the folder that was made any more
      await programs.must(['python3', path.join(ROOT, 'bench', 'change_corpus.py'), folder, '--round', String(round)]);
    },
  });
  const measured = await series.run();
  const conditions = [...(cold ? ['cold cache'] : []), ...(os.availableParallelism() === 1 ? ['one core'] : [])];
  const at = new Date().toISOString();
  return {
    at,
    machine: onMachine(),
    versions,
    missing,
    corpus,
    rounds,
    conditions: conditions.join(', '),
    ...measured,
  };
}

function write(report: Report, { out, name }: Order): void {
  writeResults({ out, name }, report, markdown(report));
  say(`written: ${path.join(out, `${name}.json`)} and ${name}.md`);
}

function cleanUp({ work, isOwnWork, keep }: Order): void {
  if (keep) say(`kept: ${work}`);
  else rmSync(isOwnWork ? work : path.join(work, 'run'), { recursive: true, force: true, maxRetries: 3 });
}

async function main(): Promise<number> {
  const order = orderOf(process.argv.slice(2));
  if (!order) {
    say(USAGE);
    return 2;
  }
  const programs = new Programs();
  let interrupted = false;
  const end = async (): Promise<void> => {
    if (interrupted) return;
    interrupted = true;
    say('ending what runs');
    await programs.stop();
    cleanUp(order);
    process.exit(130);
  };
  process.on('SIGINT', end).on('SIGTERM', end).on('SIGHUP', end);
  try {
    const report = await bench(order, programs);
    write(report, order);
    return rowsOf(report).some((row) => row.void) ? 1 : 0;
  } catch (error) {
    if (!interrupted) say(`${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    if (interrupted) await new Promise(() => {}); // `end` has the last word
    await programs.stop();
    cleanUp(order);
  }
}

process.exitCode = await main();
