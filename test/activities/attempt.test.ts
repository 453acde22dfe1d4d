import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import { ActivityCancellationDetails } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { attempt } from '../../activities/attempt.ts';
import { FAILURES, Failure, type FailureCode } from '../../domain/failure.ts';
import { CorruptError } from '../../format/cursor.ts';

const lines: string[] = [];
const logger = new DefaultLogger('DEBUG', ({ message, meta }) => lines.push(`${message} ${JSON.stringify(meta)}`));

function environment(): MockActivityEnvironment {
  return new MockActivityEnvironment({}, { interceptors: [attempt], logger });
}

async function failureOf(step: () => Promise<unknown>): Promise<ApplicationFailure> {
  const error: unknown = await environment()
    .run(step)
    .catch((caught: unknown) => caught);
  if (error instanceof ApplicationFailure) return error;
  throw new Error('it did not fail as an application');
}

describe('an attempt', () => {
  const codes = Object.keys(FAILURES).filter((code): code is FailureCode => code in FAILURES);

  test.each(codes)('%s keeps its name, and is tried again only when that helps', async (code) => {
    const failure = await failureOf(async () => {
      throw new Failure(code, 'it happened', { why: 'because', next: 'do this' });
    });
    expect(failure).toMatchObject({
      type: code,
      message: 'it happened',
      details: [{ why: 'because', next: 'do this' }],
    });
    expect(failure.nonRetryable).toBe(FAILURES[code].cure !== 'retry');
  });

  test('bytes that are not what they should be ask a person', async () => {
    const failure = await failureOf(async () => {
      throw new CorruptError('pack: table runs past the end');
    });
    expect(failure).toMatchObject({ type: 'Corrupt', message: 'pack: table runs past the end', nonRetryable: true });
  });

  test('neither history nor log learns a file name from a system call', async () => {
    lines.length = 0;
    const failure = await failureOf(async () => readFileSync('/none/secret-name'));
    expect(failure).toMatchObject({
      type: 'Unexpected',
      nonRetryable: false,
      message: expect.stringContaining('ENOENT'),
    });
    expect(failure.stack).toBe('');
    expect(lines.filter((line) => line.startsWith('attempt')).join()).not.toContain('secret-name');
  });

  test('a wait that is not over passes as it is', async () => {
    const waiting = ApplicationFailure.create({ type: 'Waiting', message: 'not yet' });
    await expect(
      environment().run(async () => {
        throw waiting;
      }),
    ).rejects.toBe(waiting);
  });

  test.each([
    ['cancelled', new ActivityCancellationDetails({ cancelRequested: true })],
    ['paused', new ActivityCancellationDetails({ paused: true })],
    ['handed back', new ActivityCancellationDetails({ workerShutdown: true })],
  ])('%s ends with the reason it was given, not with the AbortError of what was interrupted', async (_, details) => {
    const env = environment();
    const running = env.run(async () => {
      await sleep(60_000, undefined, { signal: Context.current().cancellationSignal });
    });
    setTimeout(() => env.cancel('CANCELLED', details), 10);
    await expect(running).rejects.toBeInstanceOf(CancelledFailure);
  });

  test('an error that merely coincides with a cancellation does not hide it', async () => {
    const env = environment();
    const running = env.run(async () => {
      await Context.current().cancelled.catch(() => {});
      throw new Failure('Unreachable', 'the connection was cut');
    });
    setTimeout(() => env.cancel('CANCELLED'), 10);
    await expect(running).rejects.toBeInstanceOf(CancelledFailure);
  });
});
