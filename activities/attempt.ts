/**
 * Around every attempt of every activity, and the only place where errors change their kind:
 *
 * - An attempt that was cancelled, paused, reset or handed back ends with the signal's own reason.
 *   The AbortErrors that Node and the AWS SDK throw instead would be reported as a cancellation
 *   nobody asked for, and the activity would stand as started until its heartbeat times out.
 * - A Failure or CorruptError becomes an ApplicationFailure of the same name; the table in
 *   domain/failure.ts says whether Temporal tries again or a person is asked.
 * - What reaches a history or a log names no file and no secret: of a system call only its errno,
 *   of a stack only our own lines, and those in the log alone.
 */
import { ApplicationFailure, CompleteAsyncError, type Context } from '@temporalio/activity';
import { isGrpcServiceError } from '@temporalio/client';
import type { ActivityInboundCallsInterceptor, ActivityInterceptors } from '@temporalio/worker';
import { errnoFailure, errnoOf, FAILURES, Failure, isFailureCode } from '../domain/failure.ts';

/** What an ApplicationFailure carries besides its message and type. */
export interface FailureDetails {
  readonly why: string;
  readonly next: string;
  readonly detail?: string;
}

export function attempt(context: Context): ActivityInterceptors {
  const inbound: ActivityInboundCallsInterceptor = {
    async execute(input, next) {
      const begun = performance.now();
      const seconds = () => Math.round((performance.now() - begun) / 100) / 10;
      const ended = context.metricMeter.createCounter('seedship_attempts', 'attempts', 'Attempts, by how they ended');
      context.log.info('attempt begins');
      try {
        const result = await next(input);
        ended.add(1, { outcome: 'done' });
        context.log.info('attempt done', { seconds: seconds() });
        return result;
      } catch (error) {
        if (error instanceof CompleteAsyncError) throw error;
        if (context.cancellationSignal.aborted) {
          ended.add(1, { outcome: 'stopped' });
          context.log.info('attempt stopped', { seconds: seconds() });
          throw context.cancellationSignal.reason;
        }
        const failure = asApplicationFailure(error);
        ended.add(1, { outcome: failure.type ?? 'Unexpected' });
        if (failure !== error)
          context.log.warn('attempt failed', { code: failure.type, seconds: seconds(), trail: trailOf(error) });
        throw failure;
      }
    },
  };
  return { inbound };
}

/** What is an ApplicationFailure already passes as it is: a wait that is not over is one. */
export function asApplicationFailure(error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  const { code, message, why, next, detail } = asFailure(error);
  const details: FailureDetails = { why, next, ...(detail === undefined ? {} : { detail }) };
  const failure = ApplicationFailure.create({
    message,
    type: code,
    nonRetryable: FAILURES[code].cure !== 'retry',
    details: [details],
  });
  failure.stack = ''; // it would stand in the history
  return failure;
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const name = error instanceof Error ? error.name : '';
  if (name === 'CorruptError') return new Failure('Corrupt', messageOf(error));
  if (name === 'TamperedError') return new Failure('Tampered', messageOf(error));
  if (isFailureCode(name)) return new Failure(name, messageOf(error));
  if (isGrpcServiceError(error)) return new Failure('Unreachable', `Temporal answered with gRPC code ${error.code}`);
  const errno = errnoOf(error);
  const known = errnoFailure(errno);
  if (known) return known;
  if (errno !== '') return new Failure('Unexpected', `a system call failed with ${errno}`);
  const why = OUR_MISTAKES.has(name) ? `: ${messageOf(error)}` : '';
  return new Failure('Unexpected', `a step ended in an unexpected ${name || 'way'}${why}`);
}

/** Without an errno they speak of our code only; a SyntaxError would quote what it could not parse. */
const OUR_MISTAKES: ReadonlySet<string> = new Set(['TypeError', 'RangeError', 'ReferenceError']);

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : '';
}

/** Where in our code it happened, without the message. */
function trailOf(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const lines = stack.split('\n').filter((line) => line.trimStart().startsWith('at '));
  return lines.map((line) => line.trim()).join(' < ');
}
