/**
 * The journal of one drive and epoch: which objects are on the medium. It lies on the copy host,
 * append-only; each record is fsynced before the next object begins. Sealed, it is mirrored on the
 * drive at the end.
 *
 *   head      prelude 'SSDJ' (6) ‖ drive id (8) ‖ epoch (u32) ‖ session id (16, random) ‖ job (text8)
 *             ‖ pack set (32) ‖ digest of the epoch's wrap (32) ‖ check (16)
 *   record    number (u32) ‖ object (37, see stored-object.ts) ‖ sealed (32): SHA-256 of the file on
 *             the drive ‖ check (16)
 *   check     the first 16 bytes of SHA-256(the check before ‖ the record without its check);
 *             the head's has no check before it
 *
 * The chain ties a record to its session and to all before it. A power cut can tear the last
 * record only: that tail is dropped, and its object written again. A break anywhere earlier is
 * damage, and is refused.
 */
import { randomBytes } from 'node:crypto';
import type { Digest } from '../domain/names.ts';
import { Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, digestBytes, sha256, toDigest } from './digest.ts';
import { driveIdBytes, readDriveId } from './drive-manifest.ts';
import { readObject, STORED_OBJECT_BYTES, type StoredObject, writeObject } from './stored-object.ts';

const CHECK_BYTES = 16;
const SESSION_BYTES = 16;
export const JOURNAL_RECORD_BYTES = 4 + STORED_OBJECT_BYTES + DIGEST_BYTES + CHECK_BYTES;

export interface JournalHead {
  readonly drive: string;
  /** 1, and one more after every crash. */
  readonly epoch: number;
  readonly job: string;
  readonly packSet: Digest;
  /** Digest of the epoch's wrap. */
  readonly wrap: Digest;
}

export interface JournalObject extends StoredObject {
  readonly number: number;
  readonly sealed: Digest;
}

export interface Journal extends JournalHead {
  /** 32 hex digits. */
  readonly session: string;
  readonly objects: readonly JournalObject[];
  /** Bytes of a torn last record, which the reader dropped. */
  readonly tornBytes: number;
}

/** Makes the bytes to append; the caller writes and fsyncs them, in this order. */
export class JournalWriter {
  /** The first bytes of the file. */
  readonly head: Buffer;
  #check: Uint8Array = new Uint8Array(0);
  #number = -1;

  constructor({ drive, epoch, job, packSet, wrap }: JournalHead, session: Uint8Array = randomBytes(SESSION_BYTES)) {
    const writer = new Writer().prelude('SSDJ').bytes(driveIdBytes(drive)).u32(epoch).bytes(session).text8(job);
    this.head = this.#checked(writer.bytes(digestBytes(packSet)).bytes(digestBytes(wrap)).finish());
  }

  /** The record of an object that is on the medium. @throws RangeError when numbers do not ascend */
  append(object: JournalObject): Buffer {
    if (object.number <= this.#number) throw new RangeError(`journal: object ${object.number} after ${this.#number}`);
    this.#number = object.number;
    const writer = new Writer(JOURNAL_RECORD_BYTES).u32(object.number);
    writeObject(writer, object);
    return this.#checked(writer.bytes(digestBytes(object.sealed)).finish());
  }

  #checked(bytes: Buffer): Buffer {
    this.#check = checkAfter(this.#check, bytes);
    return Buffer.concat([bytes, this.#check]);
  }
}

/**
 * Reads a journal, without a torn last record.
 * @throws CorruptError when it is another drive's or epoch's, or damaged before its last record; a
 *   head that is not whole means that nothing was recorded
 */
export function decodeJournal(
  bytes: Uint8Array,
  expected: { readonly drive: string; readonly epoch: number },
): Journal {
  const reader = new Reader(bytes, 'journal');
  const { head, session, check: first } = readHead(reader);
  if (head.drive !== expected.drive) throw reader.corrupt('of another drive');
  if (head.epoch !== expected.epoch) throw reader.corrupt('of another epoch');
  const objects: JournalObject[] = [];
  let check = first;
  while (reader.remaining >= JOURNAL_RECORD_BYTES) {
    const tornBytes = reader.remaining;
    const record = reader.bytes(JOURNAL_RECORD_BYTES - CHECK_BYTES);
    check = checkAfter(check, record);
    if (!check.equals(reader.bytes(CHECK_BYTES))) {
      if (reader.remaining > 0) throw reader.corrupt(`record ${objects.length} is damaged`);
      return { ...head, session, objects, tornBytes };
    }
    objects.push(readRecord(record, objects.at(-1)?.number ?? -1));
  }
  return { ...head, session, objects, tornBytes: reader.remaining };
}

function readHead(reader: Reader): { head: JournalHead; session: string; check: Buffer } {
  const writer = new Writer();
  reader.prelude('SSDJ');
  const drive = readDriveId(reader);
  const epoch = reader.u32();
  const session = reader.bytes(SESSION_BYTES);
  const job = reader.text8();
  const packSet = toDigest(reader.bytes(DIGEST_BYTES));
  const wrap = toDigest(reader.bytes(DIGEST_BYTES));
  writer.prelude('SSDJ').bytes(driveIdBytes(drive)).u32(epoch).bytes(session).text8(job);
  const check = checkAfter(new Uint8Array(0), writer.bytes(digestBytes(packSet)).bytes(digestBytes(wrap)).finish());
  if (!check.equals(reader.bytes(CHECK_BYTES))) throw reader.corrupt('its head is damaged');
  return { head: { drive, epoch, job, packSet, wrap }, session: session.toString('hex'), check };
}

function readRecord(bytes: Uint8Array, before: number): JournalObject {
  const reader = new Reader(bytes, 'journal');
  const number = reader.u32();
  if (number <= before) throw reader.corrupt('objects are not sorted by number');
  const object = readObject(reader);
  return { number, ...object, sealed: toDigest(reader.bytes(DIGEST_BYTES)) };
}

function checkAfter(before: Uint8Array, bytes: Uint8Array): Buffer {
  return sha256(Buffer.concat([before, bytes])).subarray(0, CHECK_BYTES);
}
