import { errnoFailure, errnoOf, Failure, type FailureCode } from '../domain/failure.ts';
import { CorruptError } from '../format/cursor.ts';

/** A failure as it crosses from a thread to the child, and from the child to its parent. */
export interface FailureMessage {
  readonly code: FailureCode;
  readonly message: string;
  readonly why: string;
  readonly next: string;
  readonly detail?: string;
}

/** Whatever was thrown, with a code of domain/failure.ts and without a file name: an errno's message has one. */
export function failureMessage(error: unknown): FailureMessage {
  const { code, message, why, next, detail } = asFailure(error);
  return { code, message, why, next, ...(detail === undefined ? {} : { detail }) };
}

/** The other way round. */
export function failureFrom({ code, message, ...texts }: FailureMessage): Failure {
  return new Failure(code, message, texts);
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof CorruptError) return new Failure(codeOfBytes(error), error.message);
  const errno = errnoOf(error);
  const known = errnoFailure(errno);
  if (known) return known;
  if (/^E[A-Z0-9]+$/.test(errno)) return new Failure('Unexpected', `a system call failed with ${errno}`);
  return new Failure('Unexpected', error instanceof Error ? error.message : 'something that is no error was thrown');
}

function codeOfBytes(error: CorruptError): FailureCode {
  return error.name === 'TamperedError' ? 'Tampered' : 'Corrupt';
}
