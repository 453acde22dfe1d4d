/** Files whose bytes come through nbdkit and its filters, to put loop devices on: disks that fail as disks do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { descendants } from './embedded.ts';
import { run } from './loop-disk.ts';

const served: { readonly process: ChildProcess; readonly folder: string }[] = [];

/** @returns a file of the name `disk` in a new folder */
export async function serveImage(folder: string, readOnly: boolean, ...words: string[]): Promise<string> {
  mkdirSync(folder);
  const flags = readOnly ? ['-r'] : [];
  const server = ['[', 'nbdkit', '--exit-with-parent', ...flags, ...words, ']'];
  served.push({ process: spawn('nbdfuse', [...flags, `${folder}/disk`, ...server], { stdio: 'ignore' }), folder });
  for (let tries = 0; tries < 100 && !existsSync(`${folder}/disk`); tries++) await sleep(100);
  return `${folder}/disk`;
}

/** After the loop devices on them are gone. */
export function releaseServed(): void {
  for (const one of served.splice(0)) {
    run('umount', one.folder);
    one.process.kill();
  }
}

/** The power fails: what a filter had not handed on yet is gone. The loop device on it must be let go first. */
export function cutServed(file: string): void {
  const at = served.findIndex(({ folder }) => `${folder}/disk` === file);
  const [one] = served.splice(at, 1);
  if (at < 0 || !one?.process.pid) throw new Error(`${file} is not served`);
  for (const { pid } of descendants(one.process.pid)) process.kill(pid, 'SIGKILL');
  one.process.kill('SIGKILL');
  run('umount', '--lazy', one.folder);
}

/** A map as ddrescue leaves one: `+` was read, `-` could not be. @param bad byte ranges, sorted */
export function badSectors(bad: readonly (readonly [from: number, to: number])[], bytes: number): string {
  const rows = ['0x0 ? 1'];
  let at = 0;
  const row = (to: number, mark: string): void => {
    if (to > at) rows.push(`0x${at.toString(16)} 0x${(to - at).toString(16)} ${mark}`);
    at = to;
  };
  for (const [from, to] of bad) {
    row(from, '+');
    row(to, '-');
  }
  row(bytes, '+');
  return `${rows.join('\n')}\n`;
}
