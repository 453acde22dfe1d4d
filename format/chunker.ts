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
 */
import { sha256 } from './digest.ts';
import { gearScan, SCANNED_AT, type Scan } from './gear-scan.ts';

/** A file up to this length is one chunk; and no cut comes earlier. */
export const WHOLE_FILE_BYTES_MAX = 256 * 1024;
const CHUNK_BYTES_AIMED = 512 * 1024;
export const CHUNK_BYTES_MAX = 2 * 1024 * 1024;
const ENTRIES = 256;
const TABLE_BYTES = ENTRIES * 8;
const STRICT_BITS = 44;
const LOOSE_BITS = 48;

/**
 * The table of a deduplication domain: 2048 bytes.
 * @param chunkerKey 32 bytes
 */
export function gearTable(chunkerKey: Uint8Array): Buffer {
  const table = Buffer.alloc(TABLE_BYTES);
  const input = Buffer.concat([chunkerKey, Buffer.alloc(1)]);
  for (let entry = 0; entry < ENTRIES; entry++) {
    input[chunkerKey.length] = entry;
    table.set(sha256(input).subarray(0, 8), entry * 8);
  }
  return table;
}

/** Cuts what lies in its window, by one table. Holds no state between cuts: segments of a file can be cut apart. */
export class Chunker {
  /** To be filled from its beginning with a file's bytes, from any place in it. */
  readonly window: Buffer;
  readonly #scan: Scan;

  /**
   * @param table 2048 bytes, as `gearTable` makes them
   * @param windowBytes of the window
   * @throws RangeError for a table of another length
   */
  constructor(table: Uint8Array, windowBytes: number) {
    if (table.length !== TABLE_BYTES) throw new RangeError(`chunker: a table of ${table.length} bytes`);
    const { memory, scan } = gearScan(windowBytes);
    new Uint8Array(memory).set(table);
    this.window = Buffer.from(memory, SCANNED_AT, windowBytes);
    this.#scan = scan;
  }

  /**
   * Where the chunk that begins at `start` of the window ends.
   * @param end how far the window is filled; 2 MiB behind `start` or more unless the file ends there
   * @param last whether the file ends at `end`
   * @throws RangeError when more bytes are needed to tell
   */
  cut(start: number, end: number, last: boolean): number {
    const length = end - start;
    if (start < 0 || end > this.window.length) throw new RangeError(`chunker: ${start} to ${end} is not in the window`);
    if (length <= 0 || (length < CHUNK_BYTES_MAX && !last))
      throw new RangeError(`chunker: ${length} bytes do not tell where a chunk ends`);
    if (length <= WHOLE_FILE_BYTES_MAX) return end;
    const middle = Math.min(start + CHUNK_BYTES_AIMED, end);
    const limit = Math.min(start + CHUNK_BYTES_MAX, end);
    return (
      this.#find(start + WHOLE_FILE_BYTES_MAX, middle, STRICT_BITS) ||
      (middle < limit && this.#find(middle, limit, LOOSE_BITS)) ||
      limit
    );
  }

  #find(from: number, to: number, bits: number): number {
    const end = this.#scan(SCANNED_AT + from, SCANNED_AT + to, bits);
    return end === 0 ? 0 : end - SCANNED_AT;
  }
}
