/**
 * A pack: what is stored and carried. At most 64 MiB, one PUT; named by the SHA-256 of its bytes.
 *
 *   header    prelude 'SSPK' (6) ‖ kind (u8: 1 data, 2 tree) ‖ recipient id (16) ‖ salt (32) ‖
 *             session wrap (bytes16, see session.ts)
 *   frames    one behind the other (frame.ts), sealed under HKDF(session key, salt, 'pack')
 *   table     sealed under HKDF(index key, salt, 'table'), bound to the header (seal.ts)
 *   trailer   length of the sealed table (u32) ‖ 'KPSS'
 *
 *   table     count of frames (u32), and for each:
 *             flags (u8: 1 zstd, 2 padding) ‖ sealed bytes (u32) ‖ plain bytes (u32) ‖
 *             count of chunks (u32), and for each: id (32) ‖ bytes (u32)
 *
 * The chunks of a frame are its plain bytes from left to right; a raw frame takes 16 bytes more than
 * it holds, one of zstd fewer than that. A pack closed below 63 MiB ends
 * with one padding frame of zeros, which brings the whole pack to a Padmé length (Nikitin et al.,
 * PETS 2019): at most 12 % longer, and its length says little.
 *
 * A machine opens the tables of its own packs and so can resume; it cannot open a frame of a pack
 * that another session sealed. The owner opens everything.
 */
import { CorruptError, Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES } from './digest.ts';
import {
  FRAME_BYTES_MAX,
  type FrameOpener,
  type FrameSealer,
  type Packing,
  type PackSeal,
  packSeal,
  sealPayload,
} from './frame.ts';
import { newSalt, packKey, tableKey } from './key-tree.ts';
import { openBytes, SALT_BYTES, sealBytes, TAG_BYTES } from './seal.ts';
import { checkWrap, RECIPIENT_ID_BYTES } from './session.ts';

export const PACK_BYTES_MAX = 64 * 1024 * 1024;
/** A pack at least this long is closed as it is. */
export const PACK_BYTES_FULL = 63 * 1024 * 1024;
/**
 * More chunks close a pack early. Tables are held open as rows: so many take 15 MB, whatever a hostile
 * machine claims; and an index names a frame, which has a chunk at least, in 16 bits.
 */
export const PACK_CHUNKS_MAX = 64 * 1024;
/** And so many a frame, so that packs of the tiniest files fill up. */
export const FRAME_CHUNKS_MAX = 8 * 1024;
/** Prelude, kind, ids and a wrap for at most two recipients, with room. */
export const HEADER_BYTES_MAX = 8 * 1024;
const MAGIC = 'SSPK';
const END_MAGIC = 'KPSS';
export const TRAILER_BYTES = 8;
const FRAME_ROW_BYTES = 13;
const CHUNK_ROW_BYTES = DIGEST_BYTES + 4;
const KINDS = ['data', 'tree'] as const;
const ZSTD = 1;
const PADDING = 2;

export type PackKind = (typeof KINDS)[number];

export interface PackHeader {
  readonly kind: PackKind;
  readonly recipientId: Uint8Array; // 16 bytes
  readonly salt: Uint8Array; // 32 bytes
  readonly wrap: Uint8Array;
}

export interface ChunkEntry {
  readonly id: Uint8Array; // 32 bytes
  readonly length: number; // plain bytes
}

export interface FrameRow {
  readonly packing: Packing;
  readonly padding: boolean;
  /** Where it begins in the pack. */
  readonly offset: number;
  readonly sealedBytes: number;
  readonly plainBytes: number;
  readonly chunks: readonly ChunkEntry[];
}

export interface PackTable {
  readonly header: PackHeader;
  /** The header's bytes: what frames and table are bound to. */
  readonly headerBytes: Buffer;
  readonly frames: readonly FrameRow[];
}

/** Encodes a header. */
export function encodePackHeader({ kind, recipientId, salt, wrap }: PackHeader): Buffer {
  return new Writer(wrap.length + 64)
    .prelude(MAGIC)
    .u8(KINDS.indexOf(kind) + 1)
    .bytes(recipientId)
    .bytes(salt)
    .bytes16(wrap)
    .finish();
}

/**
 * Decodes the header at the front of `bytes`; what follows it is not looked at.
 * @throws CorruptError
 */
export function decodePackHeader(bytes: Uint8Array): { header: PackHeader; headerBytes: Buffer } {
  const reader = new Reader(bytes, 'pack');
  reader.prelude(MAGIC);
  const kind = KINDS[reader.u8() - 1];
  if (kind === undefined) throw reader.corrupt('unknown kind');
  const header = {
    kind,
    recipientId: reader.bytes(RECIPIENT_ID_BYTES),
    salt: reader.bytes(SALT_BYTES),
    wrap: reader.bytes16(),
  };
  checkWrap(header.wrap, 1);
  return { header, headerBytes: Buffer.from(bytes.subarray(0, reader.position)) };
}

/** What a run seals its packs with. */
export interface PackKeys {
  readonly sessionKey: Uint8Array;
  readonly wrap: Uint8Array;
  readonly recipientId: Uint8Array;
  readonly indexKey: Uint8Array;
}

/**
 * Puts one pack together. It owns no file: the pieces it returns are to be written in order, and
 * stand until the next call. Each frame is opened and compared before its piece is returned.
 */
export class PackBuilder {
  readonly header: Buffer;
  readonly salt: Buffer;
  readonly #seal: PackSeal;
  readonly #indexKey: Uint8Array;
  readonly #frames: FrameRow[] = [];
  #bytes: number;
  #chunks = 0;

  constructor(kind: PackKind, { sessionKey, wrap, recipientId, indexKey }: PackKeys) {
    this.salt = newSalt();
    this.header = encodePackHeader({ kind, recipientId, salt: this.salt, wrap });
    this.#seal = packSeal(packKey(sessionKey, this.salt), this.header);
    this.#indexKey = indexKey;
    this.#bytes = this.header.length;
  }

  /** Bytes of header and frames so far. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#frames.length === 0;
  }

  /** Whether a frame of `plainBytes` with `chunks` chunks still fits, padding and table included. */
  fits(plainBytes: number, chunks: number): boolean {
    if (this.#chunks + chunks > PACK_CHUNKS_MAX) return false;
    const after = this.#bytes + plainBytes + TAG_BYTES + this.#tailBytes(1, chunks);
    return padded(after + FRAME_ROW_BYTES + TAG_BYTES + 1) <= PACK_BYTES_MAX;
  }

  /**
   * Compresses, seals and verifies one frame; returns the piece to write, in `into`.
   * @param into at least `SEALED_BYTES_MAX`
   * @throws CorruptError when what was sealed does not open to the same bytes: memory or library at fault;
   *   RangeError for more chunks than a frame or a pack holds
   */
  add(
    plain: Uint8Array,
    chunks: readonly ChunkEntry[],
    { sealer, opener, into }: { sealer: FrameSealer; opener: FrameOpener; into: Uint8Array },
  ): Uint8Array {
    const number = this.#frames.length;
    if (chunks.length > FRAME_CHUNKS_MAX || this.#chunks + chunks.length > PACK_CHUNKS_MAX)
      throw new RangeError(`pack: ${chunks.length} chunks more than it holds`);
    const { packing, sealed } = sealer.seal(plain, this.#seal, number, into);
    const opened = opener.open(sealed, this.#seal, number, { packing, plainBytes: plain.length });
    if (Buffer.compare(opened, plain) !== 0)
      throw new CorruptError(`frame ${number}: opens to other bytes than were sealed`);
    this.#push({ packing, padding: false, plainBytes: plain.length, chunks }, sealed.length);
    return sealed;
  }

  /** The pieces that end the pack: padding where it is due, table, trailer. The builder is spent. */
  finish(): Buffer[] {
    const pieces: Buffer[] = [];
    const before = this.#bytes + this.#tailBytes(0, 0);
    if (before < PACK_BYTES_FULL) {
      const least = before + FRAME_ROW_BYTES + TAG_BYTES + 1;
      const zeros = Buffer.alloc(padded(least) - least + 1);
      const into = Buffer.alloc(zeros.length + TAG_BYTES);
      pieces.push(Buffer.from(sealPayload(zeros, this.#seal, this.#frames.length, into)));
      this.#push({ packing: 'raw', padding: true, plainBytes: zeros.length, chunks: [] }, into.length);
    }
    const table = sealBytes(tableKey(this.#indexKey, this.salt), encodeRows(this.#frames), this.header);
    pieces.push(table, new Writer(TRAILER_BYTES).u32(table.length).text(END_MAGIC).finish());
    return pieces;
  }

  /** The head and table of the pack as they would be read back; for a journal of what is acknowledged. */
  get frames(): readonly FrameRow[] {
    return this.#frames;
  }

  #push(row: Omit<FrameRow, 'offset' | 'sealedBytes'>, sealedBytes: number): void {
    this.#frames.push({ ...row, offset: this.#bytes, sealedBytes });
    this.#bytes += sealedBytes;
    this.#chunks += row.chunks.length;
  }

  /** Sealed table and trailer, with so many more frames and chunks. */
  #tailBytes(frames: number, chunks: number): number {
    const rows = (this.#frames.length + frames) * FRAME_ROW_BYTES + (this.#chunks + chunks) * CHUNK_ROW_BYTES;
    return 4 + rows + TAG_BYTES + TRAILER_BYTES;
  }
}

/** Reads `length` bytes of a pack from `offset`; fewer at its end. */
export type ReadAt = (offset: number, length: number) => Uint8Array;

/**
 * Opens a pack's table, reading its ends only.
 * @param packBytes the pack's length
 * @throws CorruptError when it is cut short, altered, or sealed in another domain
 */
export function openPackTable(readAt: ReadAt, packBytes: number, indexKey: Uint8Array): PackTable {
  if (packBytes > PACK_BYTES_MAX) throw new CorruptError(`pack: ${packBytes} bytes are more than a pack holds`);
  const { header, headerBytes } = decodePackHeader(readAt(0, Math.min(packBytes, HEADER_BYTES_MAX)));
  const tableEnd = packBytes - TRAILER_BYTES;
  if (tableEnd < headerBytes.length) throw new CorruptError('pack: ends too early');
  const trailer = new Reader(readAt(tableEnd, TRAILER_BYTES), 'pack');
  const tableBytes = trailer.u32();
  if (trailer.text(4) !== END_MAGIC) throw new CorruptError('pack: has no end');
  const tableStart = tableEnd - tableBytes;
  if (tableStart < headerBytes.length) throw new CorruptError('pack: the table runs past the front');
  const rows = openSealedTable({ header, headerBytes, sealed: readAt(tableStart, tableBytes) }, indexKey);
  const last = rows.at(-1);
  if ((last ? last.offset + last.sealedBytes : headerBytes.length) !== tableStart)
    throw new CorruptError('pack: the table does not account for all frames');
  if (last?.padding ? padded(packBytes) !== packBytes : packBytes < PACK_BYTES_FULL)
    throw new CorruptError('pack: not padded as it should be');
  return { header, headerBytes, frames: rows };
}

/**
 * The same from a header and a sealed table that were kept apart from their pack.
 * @throws CorruptError
 */
export function openSealedTable(
  { header, headerBytes, sealed }: { header: PackHeader; headerBytes: Uint8Array; sealed: Uint8Array },
  indexKey: Uint8Array,
): FrameRow[] {
  return decodeRows(openBytes(tableKey(indexKey, header.salt), sealed, headerBytes, 'pack table'), headerBytes.length);
}

/** What opens the frames of a pack whose session key was unwrapped. */
export function packSealOf({ header, headerBytes }: PackTable, sessionKey: Uint8Array): PackSeal {
  return packSeal(packKey(sessionKey, header.salt), headerBytes);
}

/** The Padmé length of `length`: the next one whose low bits are zero, 5 or 6 leading bits kept. */
export function padded(length: number): number {
  const exponent = Math.floor(Math.log2(length));
  const mantissa = Math.floor(Math.log2(exponent)) + 1;
  const step = 2 ** Math.max(0, exponent - mantissa);
  return Math.ceil(length / step) * step;
}

function encodeRows(frames: readonly FrameRow[]): Buffer {
  const chunks = frames.reduce((sum, frame) => sum + frame.chunks.length, 0);
  const writer = new Writer(4 + frames.length * FRAME_ROW_BYTES + chunks * CHUNK_ROW_BYTES).u32(frames.length);
  for (const { packing, padding, sealedBytes, plainBytes, chunks: held } of frames) {
    writer
      .u8((packing === 'zstd' ? ZSTD : 0) | (padding ? PADDING : 0))
      .u32(sealedBytes)
      .u32(plainBytes)
      .u32(held.length);
    for (const { id, length } of held) writer.bytes(id).u32(length);
  }
  return writer.finish();
}

function decodeRows(bytes: Uint8Array, firstOffset: number): FrameRow[] {
  const reader = new Reader(bytes, 'pack table');
  const frames: FrameRow[] = [];
  const count = reader.u32();
  if (count * FRAME_ROW_BYTES > reader.remaining) throw reader.corrupt('ends too early');
  for (let [offset, chunks] = [firstOffset, 0]; frames.length < count; ) {
    const frame = decodeRow(reader, offset, PACK_CHUNKS_MAX - chunks);
    chunks += frame.chunks.length;
    if (frame.padding && frames.length !== count - 1) throw reader.corrupt('padding in the middle');
    frames.push(frame);
    offset += frame.sealedBytes;
  }
  reader.done();
  return frames;
}

function decodeRow(reader: Reader, offset: number, chunksMax: number): FrameRow {
  const flags = reader.u8();
  if (flags > PADDING) throw reader.corrupt('unknown flags');
  const padding = flags === PADDING;
  const [sealedBytes, plainBytes, count] = [reader.u32(), reader.u32(), reader.u32()];
  const payloadBytes = sealedBytes - TAG_BYTES;
  if (plainBytes === 0 || plainBytes > FRAME_BYTES_MAX || payloadBytes <= 0)
    throw reader.corrupt(`a frame of ${plainBytes} bytes`);
  if (flags & ZSTD ? payloadBytes >= plainBytes : payloadBytes !== plainBytes)
    throw reader.corrupt(`a frame of ${plainBytes} bytes that takes ${sealedBytes}`);
  if (count * CHUNK_ROW_BYTES > reader.remaining) throw reader.corrupt('ends too early');
  if (count > chunksMax) throw reader.corrupt('more chunks than a pack holds');
  const chunks: ChunkEntry[] = [];
  let held = 0;
  for (let at = 0; at < count; at++) {
    const chunk = { id: reader.bytes(DIGEST_BYTES), length: reader.u32() };
    if (chunk.length === 0) throw reader.corrupt('an empty chunk');
    held += chunk.length;
    chunks.push(chunk);
  }
  if (held !== (padding ? 0 : plainBytes)) throw reader.corrupt('chunks do not fill their frame');
  return { packing: flags & ZSTD ? 'zstd' : 'raw', padding, offset, sealedBytes, plainBytes, chunks };
}
