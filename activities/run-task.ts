/**
 * Hands a task to a child process and stands watch: the worker's event loop only heartbeats.
 *
 * A heartbeat carries the newest progress and goes out while there is any: a child that makes none
 * for the stall limit is killed and the attempt is `Stalled`, however alive its process is. Between
 * two signs of progress heartbeats go on, since cancellation comes back with them. A child that waits
 * on purpose counts its looks (pipeline/waiting.ts), and they are progress.
 */
import { Context } from '@temporalio/activity';
import { Failure } from '../domain/failure.ts';
import type { Progress } from '../domain/receipt.ts';
import { SECOND } from '../domain/units.ts';
import { type ChildOptions, runChild } from '../pipeline/child.ts';
import type { ChildSecrets, ChildTask, ResultOf } from '../pipeline/child-tasks.ts';

/** Often enough for a bar that moves; the SDK lets through one in two seconds. */
const BEAT_MS = 1 * SECOND;

/**
 * Runs one task as the current activity.
 * @param stallMs how long the child may make no progress
 * @param extraCa a file of certificates it trusts besides the usual ones
 * @param idle whether it takes only what others leave of disk and processor
 * @param started the process that does it, where one waits already
 * @param heard told of all progress
 * @throws what the child answered; `Stalled`; the cancellation's reason
 */
export async function runTask<T extends ChildTask>(
  task: T,
  secrets: ChildSecrets,
  {
    stallMs,
    extraCa,
    idle,
    started,
  }: { readonly stallMs: number } & Pick<ChildOptions, 'extraCa' | 'idle' | 'started'>,
  heard: (progress: Progress) => void = () => {},
): Promise<ResultOf<T>> {
  const context = Context.current();
  const stall = new AbortController();
  let progress: Progress = { step: 'starting', bytesDone: 0, objectsDone: 0 };
  let movedAt = performance.now();
  const beat = (): void => {
    if (performance.now() - movedAt < stallMs) context.heartbeat(progress);
    else stall.abort(new Failure('Stalled', `no progress for ${Math.round(stallMs / SECOND)} s`));
  };
  beat();
  const beating = setInterval(beat, Math.min(BEAT_MS, stallMs / 2));
  try {
    return await runChild(task, {
      secrets,
      ...{ extraCa, idle, started },
      signal: AbortSignal.any([context.cancellationSignal, stall.signal]),
      onProgress(news) {
        if (JSON.stringify(news) !== JSON.stringify(progress)) movedAt = performance.now();
        progress = news;
        heard(news);
      },
      log: (line) => context.log.warn('child', { line }),
    });
  } finally {
    clearInterval(beating);
  }
}
