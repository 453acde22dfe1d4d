/**
 * AES-256-GCM in one shot, for what fits in memory.
 *
 *   sealed   ciphertext (as long as the plaintext) ‖ tag (16)
 *   nonce    12 bytes, all zero unless a format says otherwise
 *   key      derived for this one sealing from a fresh salt or a fresh key: a key never seals twice
 *   bound    the associated data; each format says which of its bytes these are
 *
 * The tag is always 16 bytes (Node accepts 4 when it is not told), and no plaintext leaves before
 * it has been verified.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { CorruptError } from './cursor.ts';

export const TAG_BYTES = 16;
export const KEY_BYTES = 32;
export const SALT_BYTES = 32;
const FIRST_NONCE = new Uint8Array(12);
/** Each call returns a buffer of its own: from 128 KiB on malloc maps its memory afresh, dearer than sealing. */
const SLICE_BYTES = 96 * 1024;

export interface Sealing {
  /** 12 bytes; zeros when absent. */
  readonly nonce?: Uint8Array;
  /** Where the result goes, of exactly its length; memory of its own when absent. */
  readonly into?: Uint8Array;
}

/**
 * Seals `plain`; the result is 16 bytes longer.
 * @param bound bytes that must be the same when it is opened
 */
export function sealBytes(
  key: Uint8Array,
  plain: Uint8Array,
  bound: Uint8Array,
  { nonce = FIRST_NONCE, into = Buffer.allocUnsafe(plain.length + TAG_BYTES) }: Sealing = {},
): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(bound);
  const sealed = Buffer.from(into.buffer, into.byteOffset, into.length);
  for (let at = 0; at < plain.length; at += SLICE_BYTES)
    sealed.set(cipher.update(plain.subarray(at, at + SLICE_BYTES)), at);
  cipher.final();
  sealed.set(cipher.getAuthTag(), plain.length);
  return sealed;
}

/**
 * Opens what `sealBytes` sealed.
 * @param unit names the artefact in the error
 * @throws CorruptError when a bit, the key, the nonce or the bound bytes are not those it was sealed with
 */
export function openBytes(
  key: Uint8Array,
  sealed: Uint8Array,
  bound: Uint8Array,
  unit: string,
  { nonce = FIRST_NONCE, into }: Sealing = {},
): Buffer {
  const end = sealed.length - TAG_BYTES;
  if (end < 0) throw new CorruptError(`${unit}: ${sealed.length} bytes hold no seal`);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(bound).setAuthTag(sealed.subarray(end));
  const plain = into ? Buffer.from(into.buffer, into.byteOffset, end) : Buffer.allocUnsafe(end);
  for (let at = 0; at < end; at += SLICE_BYTES)
    plain.set(decipher.update(sealed.subarray(at, Math.min(at + SLICE_BYTES, end))), at);
  try {
    decipher.final();
  } catch (cause) {
    throw new CorruptError(`${unit}: the seal is broken`, { cause });
  }
  return plain;
}
