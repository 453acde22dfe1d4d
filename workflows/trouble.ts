/**
 * From what Temporal throws to what a person reads: a code of domain/failure.ts, a sentence, and
 * what helps. Activities name their failures themselves; here the rest gets a name.
 */
import { ActivityFailure, ApplicationFailure, ChildWorkflowFailure, TemporalFailure } from '@temporalio/workflow';
import { Failure, type FailureCode, isFailureCode } from '../domain/failure.ts';
import { siteOf, UNKNOWN_ACTIVITY } from '../domain/site.ts';

export interface Trouble {
  readonly code: FailureCode;
  readonly message: string;
  readonly hint: string;
  readonly detail?: string;
}

/** An error that is no failure of a step is our mistake: thrown on, the task fails and is tried again. */
export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof TemporalFailure)) throw error;
  if (error instanceof ChildWorkflowFailure)
    return { code: 'Aborted', message: 'the step was ended by hand', hint: 'retry starts it again' };
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (!(cause instanceof ApplicationFailure)) return named('Unexpected', cause?.message ?? error.message);
  const { type, message, details } = cause;
  if (type === UNKNOWN_ACTIVITY) return named('AgentTooOld', 'this host does not know the step');
  const code = typeof type === 'string' && isFailureCode(type) ? type : 'Unexpected';
  const { next = '', detail = '' } = textsIn(details?.[0]);
  return { ...named(code, message, next || undefined), ...(detail && { detail }) };
}

/** What a queue without pollers means to a person. */
export function awayTexts(queue: string, offline: 'HostOffline' | 'Locked'): Omit<Trouble, 'code'> {
  const { site, name } = siteOf(queue);
  if (offline === 'Locked')
    return { message: 'the process that held the keys has ended', hint: 'unlock with `seedship restore`' };
  const where = name === '' ? site : `${site} ${name}`;
  return { message: `nobody works for ${where}`, hint: `on that host: seedship worker run ${site}` };
}

function named(code: FailureCode, message: string, hint?: string): Trouble {
  return { code, message, hint: hint ?? new Failure(code, message).next };
}

/** Activities pass `{ why, next, detail }` as the first detail of their failures. */
function textsIn(given: unknown): { readonly next?: string; readonly detail?: string } {
  const { next, detail }: { next?: unknown; detail?: unknown } = Object(given);
  return { ...(typeof next === 'string' && { next }), ...(typeof detail === 'string' && { detail }) };
}
