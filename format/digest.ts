/**
 * SHA-256 (FIPS 180-4), the name of everything named by its bytes: 32 bytes inside formats, 64
 * lower-case hex digits in object names, records and receipts. The only maker of a `Digest`.
 */
import { createHash, hash } from 'node:crypto';
import { type Digest, isDigest } from '../domain/names.ts';
import { CorruptError } from './cursor.ts';

export const DIGEST_BYTES = 32;

/** The 32 bytes. In one call: half the cost of an object for each small file. */
export function sha256(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer');
}

/** The name of `bytes`. */
export function digestOf(bytes: Uint8Array): Digest {
  return toDigest(sha256(bytes));
}

/** Reads a name from its 32 bytes. @throws CorruptError for any other length */
export function toDigest(bytes: Uint8Array): Digest {
  if (bytes.length !== DIGEST_BYTES) throw new CorruptError(`digest: ${bytes.length} bytes, not ${DIGEST_BYTES}`);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
  if (!isDigest(text)) throw new CorruptError('digest: not 64 hex digits');
  return text;
}

/** The 32 bytes of a name. */
export function digestBytes(digest: Digest): Buffer {
  return Buffer.from(digest, 'hex');
}

/** A digest taken piece by piece: for what is larger than memory should hold. */
export class Digesting {
  readonly #hash = createHash('sha256');

  update(bytes: Uint8Array): this {
    this.#hash.update(bytes);
    return this;
  }

  /** The name of all that was added; the object is spent. */
  digest(): Digest {
    return toDigest(this.#hash.digest());
  }
}
