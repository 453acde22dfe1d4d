/**
 * Where a file is cut, so that the same bytes are cut alike wherever they lie.
 *
 *   table   256 × u64, little-endian: entry i is the first 8 bytes of SHA-256(chunker key ‖ u8 i)
 *   hash    h = (h << 1) + table[byte] mod 2^64, so it depends on the last 64 bytes only
 *   cut     after the first byte, at least 256 KiB into the chunk, whose hash is
 *             < 2^44  while the chunk is shorter than 512 KiB (20 zero bits: strict)
 *             < 2^48  from there on                            (16 zero bits: loose)
 *           or at 2 MiB, or where the file ends; a rest up to 256 KiB is one chunk
 *
 * The hash is warmed with the 64 bytes before the first place a cut may be, and again at 512 KiB:
 * the bytes before that are skipped, not hashed. A gear hash by FastCDC's rules (Xia et al., 2016),
 * with thresholds for masks. Keying the table is no secrecy by itself (ePrint 2025/532): chunk
 * lengths never stand outside encryption.
 *
 * Numbers of 64 bits are kept as limbs of 30, 30 and 4 bits: the sum of a doubled limb, an entry's and
 * a carry fits an int32, so that carries need no comparison. One in the loop that branches on
 * random bytes would be mispredicted half of the time (three times slower, measured).
 */
import { sha256 } from './digest.ts';

/** A file up to this length is one chunk; and no cut comes earlier. */
export const WHOLE_FILE_BYTES_MAX = 256 * 1024;
const CHUNK_BYTES_AIMED = 512 * 1024;
export const CHUNK_BYTES_MAX = 2 * 1024 * 1024;
const WINDOW_BYTES = 64;
const ENTRIES = 256;
const LIMB_BITS = 30;
const LIMB = 2 ** LIMB_BITS - 1;
const TOP = 15;
const STRICT = LIMB & (-1 << (44 - LIMB_BITS)); // bits of the middle limb that are zero below 2^44
const LOOSE = LIMB & (-1 << (48 - LIMB_BITS));

/** Four numbers an entry: its limbs (bits 0–29, 30–59, 60–63) and 0, beside each other for the cache. */
export interface GearTable {
  readonly limbs: Int32Array;
}

/**
 * The table of a deduplication domain.
 * @param chunkerKey 32 bytes
 */
export function gearTable(chunkerKey: Uint8Array): GearTable {
  const bytes = Buffer.alloc(ENTRIES * 8);
  const input = Buffer.concat([chunkerKey, Buffer.alloc(1)]);
  for (let entry = 0; entry < ENTRIES; entry++) {
    input[chunkerKey.length] = entry;
    bytes.set(sha256(input).subarray(0, 8), entry * 8);
  }
  return gearTableOf(bytes);
}

/**
 * A table from its 2048 bytes.
 * @throws RangeError for another length
 */
export function gearTableOf(bytes: Uint8Array): GearTable {
  if (bytes.length !== ENTRIES * 8) throw new RangeError(`chunker: a table of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const limbs = new Int32Array(ENTRIES * 4);
  for (let entry = 0; entry < ENTRIES; entry++) {
    const value = view.getBigUint64(entry * 8, true);
    limbs[entry * 4] = Number(BigInt.asUintN(LIMB_BITS, value));
    limbs[entry * 4 + 1] = Number(BigInt.asUintN(LIMB_BITS, value >> 30n));
    limbs[entry * 4 + 2] = Number(value >> 60n);
  }
  return { limbs };
}

/** Cuts by one table. Holds no state between cuts: segments of a file can be cut apart. */
export class Chunker {
  readonly #table: GearTable;

  constructor(table: GearTable) {
    this.#table = table;
  }

  /**
   * Where the chunk that begins at `start` ends.
   * @param end how far `bytes` is filled; 2 MiB behind `start` or more unless the file ends there
   * @param last whether the file ends at `end`
   * @throws RangeError when more bytes are needed to tell
   */
  cut(bytes: Uint8Array, start: number, end: number, last: boolean): number {
    const length = end - start;
    if (length <= 0 || (length < CHUNK_BYTES_MAX && !last))
      throw new RangeError(`chunker: ${length} bytes do not tell where a chunk ends`);
    if (length <= WHOLE_FILE_BYTES_MAX) return end;
    const middle = Math.min(start + CHUNK_BYTES_AIMED, end);
    const strict = this.#scan(bytes, start + WHOLE_FILE_BYTES_MAX, middle, STRICT);
    if (strict > 0) return strict;
    const limit = Math.min(start + CHUNK_BYTES_MAX, end);
    return (middle < limit && this.#scan(bytes, middle, limit, LOOSE)) || limit;
  }

  /** Position behind the first byte in [from, to) whose hash has these bits and the top limb zero; 0 for none. */
  #scan(bytes: Uint8Array, from: number, to: number, zero: number): number {
    const { limbs } = this.#table;
    let a = 0;
    let b = 0;
    let c = 0; // its upper 28 bits are what 64-bit numbers drop
    for (let at = from - WINDOW_BYTES; at < from; at++) {
      const entry = (bytes[at] as number) << 2;
      a = (((a & LIMB) << 1) + (limbs[entry] as number)) | 0;
      b = (((b & LIMB) << 1) + (((limbs[entry + 1] as number) + (a >>> LIMB_BITS)) | 0)) | 0;
      c = ((c << 1) + (((limbs[entry + 2] as number) + (b >>> LIMB_BITS)) | 0)) | 0;
    }
    for (let at = from; at < to; at++) {
      const entry = (bytes[at] as number) << 2;
      a = (((a & LIMB) << 1) + (limbs[entry] as number)) | 0;
      b = (((b & LIMB) << 1) + (((limbs[entry + 1] as number) + (a >>> LIMB_BITS)) | 0)) | 0;
      c = ((c << 1) + (((limbs[entry + 2] as number) + (b >>> LIMB_BITS)) | 0)) | 0;
      if ((b & zero) === 0 && (c & TOP) === 0) return at + 1;
    }
    return 0;
  }
}
