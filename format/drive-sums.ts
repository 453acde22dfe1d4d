/**
 * What lies on a drive, for anyone who holds it: no key is needed to see whether it is whole.
 *
 *   SHA256SUMS   text, a line a file, objects first, in the order of their places:
 *                64 hex digits of the file's SHA-256 as it lies there ‖ two blanks ‖ its place ‖ LF
 *
 * `sha256sum --check SHA256SUMS` on the mounted drive says the same as `seedship drive verify`. It tells
 * damage, not forgery: whether the drive is the one that was shipped is told by its manifest's digest.
 */
import type { Digest } from '../domain/names.ts';
import { isDigest } from '../domain/names.ts';
import { CorruptError } from './cursor.ts';

export const SUMS_PLACE = 'SHA256SUMS';
/** A million objects. */
export const SUMS_BYTES_MAX = 100 << 20;
/** Of a line, at most. */
export const SUM_BYTES = 96;
const LINE = /^([0-9a-f]{64}) {2}(objects\/(\d{3})\/\3\d{3}\.[1-9]\d{0,5}|manifest|journal\.[1-9]\d{0,5})$/;

export interface DriveSum {
  readonly place: string;
  readonly sealed: Digest;
}

/** The file, from what was written. */
export function encodeSums(sums: readonly DriveSum[]): Buffer {
  return Buffer.from(sums.map(({ sealed, place }) => `${sealed}  ${place}\n`).join(''));
}

/** What the file names. @throws CorruptError for any line of another form, a place named twice, or none at all */
export function decodeSums(bytes: Uint8Array): DriveSum[] {
  if (bytes.length > SUMS_BYTES_MAX) throw new CorruptError('drive sums: too long');
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1').split('\n');
  if (lines.pop() !== '' || lines.length === 0) throw new CorruptError('drive sums: cut off');
  const seen = new Set<string>();
  return lines.map((line) => {
    const [, sealed = '', place = ''] = LINE.exec(line) ?? [];
    if (!isDigest(sealed)) throw new CorruptError('drive sums: a line of another form');
    if (seen.size === seen.add(place).size) throw new CorruptError('drive sums: a place is named twice');
    return { sealed, place };
  });
}
