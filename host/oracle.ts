/**
 * Who judges a restore: programs that are not ours, where they are there, and a comparer that shares
 * no code with the backup. Each reports on its own; exact means that none saw a difference.
 *
 *   rsync      names, bytes, links, hard links, owners, modes, ACLs, xattrs, times to the nanosecond
 *   getfacl, getfattr   ACLs and xattrs, when rsync is not there
 *   comparer   always: also holes and paths longer than PATH_MAX, which rsync does not judge
 *
 * The comparer walks by descriptors (/proc/self/fd/N/NAME), so depth has no limit but that of open
 * files. Node cannot ask where a file's holes are, only how many blocks it takes: a hole that was
 * filled, or made, shows there. Extended attributes are not its business.
 */
import { spawn } from 'node:child_process';
import {
  type BigIntStats,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import path from 'node:path';
import { errnoOf } from '../domain/failure.ts';
import { KIB, MIB } from '../domain/units.ts';

/** Told one by one up to here; the count goes on. */
const DIFFERENCES_MAX = 50;
const PIECE_BYTES = 1 * MIB;
/** File systems round to blocks of their own, and keep lists of extents among a file's blocks. */
const BLOCKS_SLACK_BYTES = 128 * KIB;
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW;

export interface Verdict {
  readonly judge: string;
  /** The command line, where it is a program. */
  readonly command?: string;
  readonly count: number;
  /** The first ones. */
  readonly differences: readonly string[];
}

interface Trees {
  readonly original: string;
  readonly restored: string;
}

/** Asks every judge this machine has. `searchPath` is as in `PATH`. */
export async function judgeTrees(trees: Trees, searchPath: string): Promise<Verdict[]> {
  const has = (program: string) =>
    searchPath.split(path.delimiter).some((folder) => isFile(path.join(folder, program)));
  if (has('rsync')) return [await askRsync(trees), compareTrees(trees)];
  const dumpers = DUMPERS.filter(([program]) => has(program));
  const dumps = await Promise.all(dumpers.map((dumper) => compareDumps(trees, dumper)));
  return [...dumps, compareTrees(trees)];
}

/** Of paths it is not made for; the comparer judges them. */
const RSYNC_MAY_SAY =
  /File name too long|overly[- ]long|skipping file deletion|rsync error: some files\/attrs .*code 23/;

async function askRsync({ original, restored }: Trees): Promise<Verdict> {
  const words = ['-nacHAX', '--modify-window=-1', '--delete', '--itemize-changes'];
  const { lines, errors, ended } = await run('rsync', [...words, `${original}/`, `${restored}/`], '/');
  const trouble = errors.filter((line) => !RSYNC_MAY_SAY.test(line));
  const silent = ended !== 0 && errors.length === 0 ? [`rsync ended with ${ended}`] : [];
  return verdict('rsync', [...lines, ...trouble, ...silent], `rsync ${words.join(' ')} ORIGINAL/ RESTORED/`);
}

/** Both print paths relative to where they stand, and follow no links. */
const DUMPERS: readonly (readonly [string, ...string[]])[] = [
  ['getfattr', '-R', '-h', '-d', '-m', '-', '-e', 'hex', '.'],
  ['getfacl', '-R', '-P', '-n', '-p', '.'],
];

async function compareDumps({ original, restored }: Trees, [program, ...words]: readonly [string, ...string[]]) {
  const [left, right] = await Promise.all([original, restored].map((tree) => run(program, words, tree)));
  const entries = (lines: readonly string[] = []) => new Set(`\n${lines.join('\n')}`.split('\n# file: '));
  const [before, after] = [entries(left?.lines), entries(right?.lines)];
  const differences = [
    ...[...before].filter((entry) => !after.has(entry)),
    ...[...after].filter((entry) => !before.has(entry)),
  ];
  return verdict(program, differences, [program, ...words].join(' '));
}

interface Said {
  readonly lines: readonly string[];
  readonly errors: readonly string[];
  readonly ended: number | string;
}

function run(program: string, words: readonly string[], cwd: string): Promise<Said> {
  const child = spawn(program, [...words], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, errors] = [linesOf(child.stdout), linesOf(child.stderr)];
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ lines: out(), errors: errors(), ended: code ?? String(signal) }));
  });
}

/** Names may be no text: a byte a character. */
function linesOf(stream: NodeJS.ReadableStream): () => string[] {
  let text = '';
  stream.setEncoding('latin1');
  stream.on('data', (more) => {
    text += more;
  });
  return () => text.split('\n').filter((line) => line !== '');
}

/** Entry by entry, to the last byte and nanosecond. */
export function compareTrees({ original, restored }: Trees): Verdict {
  const comparison = new Comparison();
  const flags = constants.O_RDONLY | constants.O_DIRECTORY;
  withOpen([Buffer.from(original), Buffer.from(restored)], flags, ([left = -1, right = -1]) =>
    comparison.folders(left, right, Buffer.alloc(0)),
  );
  return verdict('comparer', comparison.differences);
}

class Comparison {
  readonly differences: string[] = [];
  /** First path seen of each inode, on either side: hard links must lead to the same one. */
  readonly #linked = [new Map<string, string>(), new Map<string, string>()] as const;
  readonly #pieces = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)] as const;

  folders(left: number, right: number, where: Buffer): void {
    const [before, after] = [namesIn(left), namesIn(right)];
    for (const [key, name] of before) if (!after.has(key)) this.#differ(joined(where, name), 'is not there');
    for (const [key, name] of after) if (!before.has(key)) this.#differ(joined(where, name), 'was not there');
    for (const [key, name] of before)
      if (after.has(key)) this.#entries(under(left, name), under(right, name), joined(where, name));
  }

  #entries(left: Buffer, right: Buffer, where: Buffer): void {
    const [a, b] = [lstatSync(left, { bigint: true }), lstatSync(right, { bigint: true })];
    for (const field of ['mode', 'uid', 'gid', 'mtimeNs', 'rdev'] as const)
      if (a[field] !== b[field]) this.#differ(where, `${field} was ${a[field]}, is ${b[field]}`);
    if (!a.isDirectory()) this.#links(a, b, where);
    if (a.isSymbolicLink() && b.isSymbolicLink()) this.#targets(left, right, where);
    if (a.isDirectory() && b.isDirectory())
      withOpen([left, right], OPEN_FLAGS | constants.O_DIRECTORY, ([x = -1, y = -1]) => this.folders(x, y, where));
    if (a.isFile() && b.isFile()) this.#files({ left, right, a, b, where });
  }

  #links(a: BigIntStats, b: BigIntStats, where: Buffer): void {
    if (a.nlink < 2n && b.nlink < 2n) return;
    const [was, is] = [a, b].map(({ dev, ino }, side) => {
      const seen = this.#linked[side === 0 ? 0 : 1];
      const first = seen.get(`${dev}:${ino}`) ?? where.toString('latin1');
      seen.set(`${dev}:${ino}`, first);
      return first;
    });
    if (was !== is) this.#differ(where, `was linked to ${was}, is linked to ${is}`);
  }

  #targets(left: Buffer, right: Buffer, where: Buffer): void {
    const [was, is] = [left, right].map((link) => readlinkSync(link, { encoding: 'buffer' }).toString('latin1'));
    if (was !== is) this.#differ(where, `led to ${was}, leads to ${is}`);
  }

  #files(pair: { left: Buffer; right: Buffer; a: BigIntStats; b: BigIntStats; where: Buffer }): void {
    const { left, right, a, b, where } = pair;
    if (a.size !== b.size) {
      this.#differ(where, `size was ${a.size}, is ${b.size}`);
      return;
    }
    const apart = withOpen([left, right], OPEN_FLAGS, ([x = -1, y = -1]) => this.#firstDifference(x, y));
    if (apart !== undefined) this.#differ(where, `bytes differ within 1 MiB after ${apart}`);
    const blocks = Math.abs(Number(a.blocks - b.blocks)) * 512;
    if (a.dev === b.dev && blocks > BLOCKS_SLACK_BYTES + Number(a.size) / 100)
      this.#differ(where, `took ${a.blocks} blocks, takes ${b.blocks}: its holes differ`);
  }

  #firstDifference(left: number, right: number): number | undefined {
    const [one, other] = this.#pieces;
    for (let at = 0; ; at += PIECE_BYTES) {
      const [was, is] = [readSync(left, one, 0, PIECE_BYTES, at), readSync(right, other, 0, PIECE_BYTES, at)];
      if (was !== is || !one.subarray(0, was).equals(other.subarray(0, is))) return at;
      if (was < PIECE_BYTES) return undefined;
    }
  }

  #differ(where: Buffer, how: string): void {
    this.differences.push(`${where.toString('latin1')}: ${how}`);
  }
}

function verdict(judge: string, differences: readonly string[], command?: string): Verdict {
  const told = differences.slice(0, DIFFERENCES_MAX);
  return { judge, count: differences.length, differences: told, ...(command === undefined ? {} : { command }) };
}

function withOpen<T>(paths: readonly Buffer[], flags: number, use: (fds: readonly number[]) => T): T {
  const fds: number[] = [];
  try {
    for (const file of paths) fds.push(openSync(file, flags));
    return use(fds);
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

function namesIn(fd: number): Map<string, Buffer> {
  const names = readdirSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' });
  return new Map(names.map((name) => [name.toString('latin1'), name]));
}

function under(fd: number, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name]);
}

function joined(where: Buffer, name: Buffer): Buffer {
  return where.length === 0 ? name : Buffer.concat([where, Buffer.from('/'), name]);
}

function isFile(file: string): boolean {
  try {
    return lstatSync(file).isFile() || lstatSync(file).isSymbolicLink();
  } catch (error) {
    if (errnoOf(error) !== '') return false;
    throw error;
  }
}
