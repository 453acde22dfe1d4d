/**
 * One writer for a medium: a drive, a staging location, a machine's catalog. The lock is the kernel's
 * (flock) and ends with its holder; the file, 0600, says who that is, so that a new attempt can end one
 * that hangs instead of waiting for it:
 *
 *   1  take the lock; taken, write pid and start time into the file
 *   2  held by another: read who, end that process if it is still that one, and try again
 *   3  after 30 s (its pid means nothing here, or it sleeps in the kernel on a dead disk): LockHeld
 *
 * A holder that works for another run is not ended: that run is as good as this one, and goes first (Busy).
 * A start time comes with every pid: numbers are given again, and a stranger must not be ended. Who
 * lets go takes its name out first.
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, Failure } from '../domain/failure.ts';
import { SECOND } from '../domain/units.ts';
import { tryLock } from './system-calls.ts';

const PATIENCE_MS = 30 * SECOND;
const POLL_MS = 20;
const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;

export interface MediumLock {
  release(): void;
}

interface Holder {
  readonly pid: number;
  readonly started: string;
  readonly run: string;
}

/**
 * Takes the lock in `file`, made when it is not there, and ends whoever holds it.
 * @param run whom the holder works for; only a holder of the same run is ended
 * @throws Failure `LockHeld` when the holder does not go; `Busy` when it works for another run
 */
export async function lockMedium(file: string, patienceMs: number = PATIENCE_MS, run = ''): Promise<MediumLock> {
  const fd = openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    const deadline = performance.now() + patienceMs;
    while (!tryLock(fd)) {
      const holder = readHolder(file);
      if (holder && holder.run !== run && startTime(holder.pid) === holder.started)
        throw new Failure('Busy', 'another run is at work on this medium');
      if (holder) end(holder);
      if (performance.now() > deadline)
        throw new Failure('LockHeld', 'another process holds the medium', {
          why: holder ? `process ${holder.pid} does not end` : 'its holder is not of this machine',
        });
      await sleep(POLL_MS);
    }
    ftruncateSync(fd, 0);
    writeSync(fd, JSON.stringify({ pid: process.pid, started: startTime(process.pid), run }), 0);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return {
    release: () => {
      ftruncateSync(fd, 0);
      closeSync(fd);
    },
  };
}

/** `undefined` while it has not written its name yet. */
function readHolder(file: string): Holder | undefined {
  const text = readFileSync(file, 'utf8');
  const [, pid, started = '', run = ''] = /^\{"pid":(\d+),"started":"(\d+)","run":"([^"\\]*)"\}$/.exec(text) ?? [];
  return pid === undefined ? undefined : { pid: Number(pid), started, run };
}

function end({ pid, started }: Holder): void {
  if (pid === process.pid || startTime(pid) !== started) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== 'ESRCH' && errno !== 'EPERM') throw error; // gone meanwhile, or another user's: it may still end
  }
}

/** Ticks since the machine started; '' when there is no such process. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''; // field 22; its name may hold anything
  } catch {
    return '';
  }
}
