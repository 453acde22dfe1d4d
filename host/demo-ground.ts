/**
 * What the demo stands on: a copy of a real folder, and drives that are file systems of their own.
 *
 * As root a drive is an ext4 image behind a loop device, mounted in a mount namespace that only the
 * demo sees: when the demo ends, however it ends, the kernel takes mounts and loop devices with it.
 * Without root, or where namespaces are forbidden, a drive is a folder with a limit.
 */
import { execFile, spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { errnoOf, Failure } from '../domain/failure.ts';
import { MINUTE } from '../domain/units.ts';

const run = promisify(execFile);
const COPY_MS = 10 * MINUTE;
const TOOL_MS = 2 * MINUTE;
const MARK = 'SEEDSHIP_OWN_MOUNTS';

/** Whether this process may mount, in a namespace of its own. */
export function hasOwnMounts(environment: Readonly<Record<string, string | undefined>>): boolean {
  return environment[MARK] === '1';
}

/**
 * Runs this very command again in a mount namespace of its own; its exit code, or `undefined` where
 * that cannot be: not root, or forbidden.
 */
export async function withOwnMounts(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<number | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const namespace = ['--mount', '--propagation', 'private', '--kill-child=KILL', '--fork'];
  const usable = await run('setpriv', ['--pdeathsig', 'KILL', '--', 'unshare', ...namespace, 'mkfs.ext4', '-V'], {
    timeout: TOOL_MS,
  }).catch(() => undefined);
  if (!usable) return undefined;
  // unshare dies with this process, its child with it, and the namespace with that
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'unshare', ...namespace, process.execPath, ...words], {
    stdio: 'inherit',
    env: { ...environment, [MARK]: '1' },
  });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  const ignore = (): void => {}; // Ctrl-C reaches the child by itself
  process.on('SIGINT', ignore).on('SIGTERM', pass);
  try {
    return await new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 130)));
  } finally {
    process.off('SIGINT', ignore).off('SIGTERM', pass);
  }
}

/** Copies a folder with everything a file has. @throws Failure `NotFound`, `SpaceExhausted` */
export async function copyTree(from: string, to: string): Promise<void> {
  if (!existsSync(from)) throw new Failure('NotFound', `${from} is not there`, { next: 'name another --source' });
  mkdirSync(path.dirname(to), { recursive: true });
  await run('cp', ['-a', '--reflink=auto', `${from}/.`, to], { timeout: COPY_MS }).catch((cause: unknown) => {
    const { stderr = '' }: { stderr?: string } = Object(cause);
    const why = stderr.split('\n')[0]?.slice(-200) || errnoOf(cause);
    throw new Failure('SourceUnreadable', 'the source could not be copied', {
      why,
      next: 'name another --source',
      cause,
    });
  });
}

/** Makes an ext4 drive of `bytes` and mounts it at `folder`. */
export async function mountDrive(image: string, folder: string, bytes: number): Promise<void> {
  writeFileSync(image, '');
  truncateSync(image, bytes);
  mkdirSync(folder, { recursive: true });
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', image], { timeout: TOOL_MS });
  await run('mount', ['-o', 'loop,nodev,nosuid,noexec', image, folder], { timeout: TOOL_MS });
}

/** Takes a drive away for good. */
export async function destroyDrive(image: string, folder: string): Promise<void> {
  if (existsSync(image)) {
    await run('umount', ['--lazy', folder], { timeout: TOOL_MS }).catch(() => {}); // it may never have been mounted
    unlinkSync(image);
  }
  rmSync(folder, { recursive: true, force: true });
}

/** Removes a folder and all below it. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** Names in a folder. */
export function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Changes a few files as a day's work would: appends, a new file, one removed, one renamed. */
export function changeFiles(folder: string, day: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(md|txt|json)$/.test(name) && statSync(path.join(folder, name)).isFile())
    .sort()
    .slice(0, 25);
  for (const name of files) appendFileSync(path.join(folder, name), `\nchanged on ${day}\n`);
  writeFileSync(path.join(folder, `new-${day}.txt`), `written on ${day}\n`.repeat(1000));
  const [victim] = files.slice(-1);
  if (victim !== undefined) unlinkSync(path.join(folder, victim));
  return files.length + 1;
}
