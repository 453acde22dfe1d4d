/** What an S3 server says, as the failure it is. Its texts are left out: they name buckets, keys and hosts. */
import { errnoOf, Failure, type FailureCode } from '../domain/failure.ts';
import { CorruptError } from '../format/cursor.ts';

const DAMAGED = new Set(['BadDigest', 'InvalidDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch']);
const FULL = new Set([
  'QuotaExceeded',
  'InsufficientStorage',
  'StorageFull',
  'XMinioStorageFull',
  'EntityQuotaExceeded',
]);
/** What an operator can correct, told apart. */
const REFUSALS: Readonly<Record<string, string>> = {
  SignatureDoesNotMatch: 'the S3 server refuses: the secret of the storage key is wrong',
  InvalidAccessKeyId: 'the S3 server refuses: it does not know the storage key',
  RequestTimeTooSkewed: 'the S3 server refuses: the clock of this machine is wrong',
};
/** A wrong clock looks like a wrong secret, but is cured elsewhere. */
const CLOCK = 'RequestTimeTooSkewed';

/** What is there does not fit, and whether an older version does may not be looked up. Told as corruption. */
export class HiddenVersionsError extends CorruptError {}

/** An error of the SDK as a Failure or a CorruptError; what is already one passes. */
export function storageFailure(error: unknown): Failure | CorruptError {
  if (error instanceof Failure || error instanceof CorruptError) return error;
  const { name, status } = describe(error);
  if (DAMAGED.has(name)) return new CorruptError('object: not the bytes of its digest');
  const why = status === undefined ? errnoOf(error) || name : `${name} (${status})`;
  const [code, message]: [FailureCode, string] = judge(name, status);
  const next = name === CLOCK ? { next: 'set the clock of this machine' } : {};
  return new Failure(code, message, { why, cause: error, ...next });
}

function judge(name: string, status: number | undefined): [FailureCode, string] {
  if (status === undefined) return ['Unreachable', 'the S3 server does not answer'];
  if (FULL.has(name) || status === 507) return ['SpaceExhausted', 'the S3 server has no room left'];
  if (name === 'NoSuchBucket') return ['StorageRefused', 'the bucket is not there'];
  if (status === 404) return ['NotFound', 'the object is not there'];
  if (status === 408 || status === 429 || status >= 500) return ['Unreachable', 'the S3 server is not able to serve'];
  return ['StorageRefused', REFUSALS[name] ?? 'the S3 server refuses this storage key'];
}

/** Whether a failure says that the object is not there. */
export function isAbsent(error: unknown): boolean {
  return error instanceof Failure && error.code === 'NotFound';
}

function describe(error: unknown): { name: string; status: number | undefined } {
  if (typeof error !== 'object' || error === null) return { name: 'Unknown', status: undefined };
  const name = 'name' in error ? String(error.name) : 'Unknown';
  return { name, status: httpStatus(error) };
}

/** The HTTP status an error of the SDK came with; `undefined` when no answer came. */
export function httpStatus(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  const { $metadata } = error;
  if (typeof $metadata !== 'object' || $metadata === null || !('httpStatusCode' in $metadata)) return undefined;
  return typeof $metadata.httpStatusCode === 'number' ? $metadata.httpStatusCode : undefined;
}
