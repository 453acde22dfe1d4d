/**
 * Following work that Temporal does: asks where it stands, draws the heartbeats of what is under way,
 * and ends when it is reached, needs a person, or the follower has had enough. Ctrl-C detaches: the
 * workflow goes on, and the exit code says so.
 */
import { EXIT, Failure } from '../domain/failure.ts';
import { SECOND } from '../domain/units.ts';
import type { TemporalClient } from '../host/connections.ts';
import { workflowPage } from '../host/settings.ts';
import { EventWatch } from './event-watch.ts';
import type { Invocation } from './invocation.ts';
import { failingLine, underWay } from './under-way.ts';

/** Between two looks, when nothing happens: each costs worker and server more than the bar that it moves is worth. */
const LOOK_MS = SECOND / 2;
/** A server that restarts is back in seconds; a follower need not end for that. */
const PATIENCE_MS = 60 * SECOND;

export type Verdict = { readonly done: true; readonly exit?: number } | { readonly done: false };

export interface Followed {
  readonly workflowId: string;
  /** Looks once; says whether following is over. */
  look(): Promise<Verdict>;
}

/** The page of a workflow in the Web UI, where its address is known. */
export function uiPage({ settings }: Invocation, workflowId: string): string | undefined {
  return workflowPage(settings, workflowId);
}

/** `--no-wait`: the work goes on by itself; a script needs its id. */
export function handOver(call: Invocation, work: { readonly workflowId: string }): undefined {
  const page = uiPage(call, work.workflowId);
  call.print.result('work', { ...work, ...(page && { uiUrl: page }) }, () => [work.workflowId]);
  return undefined;
}

/** Looks again and again; returns the exit code. @throws Failure `TimedOut` after `--timeout` */
export async function follow(call: Invocation, temporal: TemporalClient, work: Followed): Promise<number> {
  const detached = new AbortController();
  const detach = (): void => detached.abort();
  process.once('SIGINT', detach);
  const seconds = Number(call.text('timeout') ?? Number.POSITIVE_INFINITY);
  if (!(seconds >= 0)) throw new Failure('Usage', '--timeout is no number of seconds');
  const deadline = Date.now() + seconds * SECOND;
  let lost = 0;
  const events = new EventWatch(temporal, work.workflowId);
  const told = new Set<string>(); // a step that fails the same way again is no news
  try {
    while (!detached.signal.aborted) {
      try {
        const verdict = await work.look();
        if (verdict.done) return verdict.exit ?? EXIT.ok;
        const { progress, failing } = await underWay(temporal, work.workflowId);
        call.print.progress(progress);
        for (const one of failing) {
          const text = `${one.workflowId} ${one.step} ${one.code} ${one.message}`;
          if (!told.has(text)) call.print.event('failing', failingLine(one), one);
          told.add(text);
        }
        lost = 0;
      } catch (error) {
        if (!(error instanceof Failure) || error.code !== 'Unreachable') throw error;
        lost ||= Date.now();
        if (Date.now() - lost > PATIENCE_MS) throw error;
      }
      if (Date.now() >= deadline) throw timedOut(call, work.workflowId);
      await events.pause(LOOK_MS, detached.signal);
    }
  } finally {
    events.close();
    process.off('SIGINT', detach);
  }
  const page = uiPage(call, work.workflowId);
  call.print.event('detached', `Detached. ${work.workflowId} goes on.${page ? ` ${page}` : ''}`, {
    workflowId: work.workflowId,
  });
  return EXIT.interrupted;
}

function timedOut(call: Invocation, workflowId: string): Failure {
  const failure = new Failure('TimedOut', `${workflowId} has not got there yet`, {
    why: 'the time to follow it is over; the workflow goes on',
    next: 'the same command goes on following',
  });
  return Object.assign(failure, { workflowId, uiUrl: uiPage(call, workflowId) });
}
