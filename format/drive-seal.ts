/**
 * One file of a drive, sealed as a STREAM of segments: a drive found in the street is noise.
 *
 *   prelude    6    'SSDO'
 *   salt       32   random, one a file
 *   segments        each: ciphertext (1 MiB; the last one 1 byte to 1 MiB) ‖ tag (16)
 *
 *   key        of the drive and epoch, with the salt and the file's use (see key-tree.ts)
 *   nonce      segment number (u32) ‖ 7 zero bytes ‖ 1 for the last segment, else 0
 *   bound      prelude ‖ salt ‖ the file's place on the drive, UTF-8
 *   places     objects/NNN/NNNNNN.<epoch> (number of the object, and its thousands), manifest,
 *              journal.<epoch>
 *
 * An empty file is one empty last segment. The mark of the last segment finds a cut at a segment's
 * edge; the place finds two files that were swapped.
 */
import { OBJECTS_MAX } from '../domain/drive.ts';
import { CorruptError, PRELUDE_BYTES, Reader, Writer } from './cursor.ts';
import { newSalt, objectKey } from './key-tree.ts';
import { openBytes, SALT_BYTES, sealBytes, TAG_BYTES } from './seal.ts';

export const SEGMENT_BYTES = 1 << 20;
/** A pack is at most 64 MiB, and so is an index part; their envelopes add less than this. */
export const DRIVE_FILE_BYTES_MAX = 65 << 20;
export const MANIFEST_PLACE = 'manifest';
const HEAD_BYTES = PRELUDE_BYTES + SALT_BYTES;

export interface DriveFileAt {
  readonly driveKey: Uint8Array; // 32 bytes, of the file's epoch
  readonly place: string;
}

/** Where object `number` (0 to 999,999) lies on a drive. */
export function objectPlace(number: number, epoch: number): string {
  if (!Number.isInteger(number) || number < 0 || number >= OBJECTS_MAX)
    throw new RangeError(`drive-seal: object ${number}`);
  const digits = String(number).padStart(6, '0');
  return `objects/${digits.slice(0, 3)}/${digits}.${epoch}`;
}

/** Where the journal of an epoch lies on a drive. */
export function journalPlace(epoch: number): string {
  return `journal.${epoch}`;
}

/** Bytes of a file on the drive that holds so many bytes. */
export function sealedFileBytes(plainBytes: number): number {
  return HEAD_BYTES + plainBytes + TAG_BYTES * Math.max(1, Math.ceil(plainBytes / SEGMENT_BYTES));
}

/** The most bytes that one step of sealing adds. */
export const SEALED_PART_BYTES_MAX = HEAD_BYTES + SEGMENT_BYTES + TAG_BYTES;

/** Seals a file for its place on a drive, part by part: head and first segment, then a segment each. */
export class DriveSealing {
  readonly #plain: Uint8Array;
  readonly #head: Buffer;
  readonly #bound: Buffer;
  readonly #key: Uint8Array;
  #number = 0;

  constructor(plain: Uint8Array, { driveKey, place }: DriveFileAt) {
    if (plain.length > DRIVE_FILE_BYTES_MAX) throw new RangeError(`drive-seal: ${plain.length} bytes in one file`);
    const salt = newSalt();
    this.#plain = plain;
    this.#head = new Writer().prelude('SSDO').bytes(salt).finish();
    this.#bound = Buffer.concat([this.#head, Buffer.from(place)]);
    this.#key = objectKey(driveKey, salt, useOf(place));
  }

  get isDone(): boolean {
    return this.#number * SEGMENT_BYTES >= Math.max(1, this.#plain.length);
  }

  /** Seals the next part into the beginning of `room`, which has SEALED_PART_BYTES_MAX: that beginning. */
  next(room: Buffer): Buffer {
    const from = this.#number * SEGMENT_BYTES;
    const segment = this.#plain.subarray(from, from + SEGMENT_BYTES);
    const head = this.#number === 0 ? this.#head.copy(room) : 0;
    const part = room.subarray(0, head + segment.length + TAG_BYTES);
    const last = from + segment.length === this.#plain.length;
    sealBytes(this.#key, segment, this.#bound, { nonce: nonce(this.#number, last), into: part.subarray(head) });
    this.#number += 1;
    return part;
  }
}

/** Seals a file for its place on a drive. */
export function sealDriveFile(plain: Uint8Array, at: DriveFileAt): Buffer {
  const sealing = new DriveSealing(plain, at);
  const sealed = Buffer.allocUnsafe(sealedFileBytes(plain.length));
  for (let done = 0; !sealing.isDone; ) done += sealing.next(sealed.subarray(done)).length;
  return sealed;
}

/** Opens a file of a drive segment by segment, as it is read. */
export class DriveOpening {
  readonly #at: DriveFileAt;
  readonly #segments: number;
  readonly #plain: Buffer;
  #key: Uint8Array | undefined;
  #bound = Buffer.alloc(0);
  #number = 0;
  #failure: unknown;

  /**
   * @param length bytes of the sealed file
   * @param room where the result goes, if it is large enough
   * @throws CorruptError when no file has this length
   */
  constructor(length: number, at: DriveFileAt, room: Buffer = Buffer.alloc(0)) {
    if (length > sealedFileBytes(DRIVE_FILE_BYTES_MAX))
      throw new CorruptError('drive file: larger than any that was written');
    this.#at = at;
    this.#segments = Math.ceil((length - HEAD_BYTES) / (SEGMENT_BYTES + TAG_BYTES));
    const plainBytes = length - HEAD_BYTES - this.#segments * TAG_BYTES;
    if (plainBytes < 0 || length !== sealedFileBytes(plainBytes))
      throw new CorruptError('drive file: of no length that is written');
    this.#plain = within(room, plainBytes);
  }

  /**
   * Opens what segments are whole and were not opened yet. What is wrong is told by `finish`.
   * @param sealed the file, as far as it was read
   * @returns what was opened now
   */
  advance(sealed: Uint8Array): Buffer {
    const from = this.#number * SEGMENT_BYTES;
    try {
      if (this.#failure === undefined) this.#open(sealed);
    } catch (error) {
      this.#failure = error;
    }
    return this.#plain.subarray(from, this.#number * SEGMENT_BYTES);
  }

  /** All of it. @throws CorruptError when it is cut, altered, of another drive, epoch or place */
  finish(): Buffer {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#number < this.#segments) throw new CorruptError('drive file: cut short');
    return this.#plain;
  }

  #open(sealed: Uint8Array): void {
    if (sealed.length < HEAD_BYTES) return;
    this.#key ??= this.#begin(sealed.subarray(0, HEAD_BYTES));
    for (; this.#number < this.#segments; this.#number++) {
      const last = this.#number === this.#segments - 1;
      const from = HEAD_BYTES + this.#number * (SEGMENT_BYTES + TAG_BYTES);
      const into = this.#plain.subarray(this.#number * SEGMENT_BYTES, (this.#number + 1) * SEGMENT_BYTES);
      const segment = sealed.subarray(from, from + into.length + TAG_BYTES);
      if (segment.length < into.length + TAG_BYTES) return;
      openBytes(this.#key, segment, this.#bound, 'drive file', { nonce: nonce(this.#number, last), into });
    }
  }

  #begin(head: Uint8Array): Uint8Array {
    const { driveKey, place } = this.#at;
    const reader = new Reader(head, 'drive file');
    reader.prelude('SSDO');
    this.#bound = Buffer.concat([head, Buffer.from(place)]);
    return objectKey(driveKey, reader.bytes(SALT_BYTES), useOf(place));
  }
}

/**
 * Opens a file of a drive; returns nothing unless all of it verifies.
 * @throws CorruptError when it is cut, altered, of another drive, epoch or place
 */
export function openDriveFile(sealed: Uint8Array, at: DriveFileAt): Buffer {
  const opening = new DriveOpening(sealed.length, at);
  opening.advance(sealed);
  return opening.finish();
}

/**
 * Where a file of a drive begins to be wrong: bytes to the first segment that does not open, 0 for the first
 * one and the head before it; where it ends, when it ends too early; where it should end, when more follows.
 * @param sealed the file, as far as it was read
 * @param length bytes it should have
 * @returns undefined when nothing is wrong with its seal
 */
export function firstFault(sealed: Uint8Array, length: number, { driveKey, place }: DriveFileAt): number | undefined {
  if (sealed.length < HEAD_BYTES) return sealed.length;
  const head = new Writer().prelude('SSDO').finish();
  if (head.compare(sealed.subarray(0, PRELUDE_BYTES)) !== 0) return 0;
  const key = objectKey(driveKey, sealed.subarray(PRELUDE_BYTES, HEAD_BYTES), useOf(place));
  const bound = Buffer.concat([sealed.subarray(0, HEAD_BYTES), Buffer.from(place)]);
  for (let [number, at] = [0, HEAD_BYTES]; at < length; number++) {
    const end = Math.min(at + SEGMENT_BYTES + TAG_BYTES, length);
    if (sealed.length < end) return sealed.length;
    try {
      openBytes(key, sealed.subarray(at, end), bound, 'drive file', { nonce: nonce(number, end === length) });
    } catch (error) {
      if (error instanceof CorruptError) return number === 0 ? 0 : at;
      throw error;
    }
    at = end;
  }
  return sealed.length > length ? length : undefined;
}

function within(room: Buffer, bytes: number): Buffer {
  return room.length < bytes ? Buffer.allocUnsafe(bytes) : room.subarray(0, bytes);
}

function useOf(place: string): 'object' | 'manifest' | 'journal' {
  if (place === MANIFEST_PLACE) return 'manifest';
  return place.startsWith('journal.') ? 'journal' : 'object';
}

function nonce(number: number, last: boolean): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(number);
  bytes.writeUInt8(last ? 1 : 0, 11);
  return bytes;
}
