/** What a drive's errno errors mean to whoever uses it. */
import { errnoOf, Failure } from '../domain/failure.ts';

/** Whether an error says that there is no room left. */
export function isFull(error: unknown): boolean {
  return errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT';
}

/** Calls it. @throws Failure as `driveFailure` makes it */
export function tried<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw driveFailure(error);
  }
}

/** `DriveMissing` or `DriveFailed` for an errno error; what is none, or says that a drive is full, as it is. */
export function driveFailure(error: unknown): unknown {
  const errno = errnoOf(error);
  if (error instanceof Failure || errno === '' || isFull(error)) return error;
  if (errno === 'ENOENT' || errno === 'ENOTDIR') return new Failure('DriveMissing', 'the drive is not attached');
  return new Failure('DriveFailed', `the drive answers ${errno}`, { cause: error });
}
