/**
 * What the vault has of a spool, or what drives may take from a limited staging: an object may leave only
 * after its record here is on the medium. A backup that is tried again knows these packs by their tables,
 * without holding them.
 *
 *   record   length of the body u32 ‖ body ‖ first 8 bytes of the body's SHA-256
 *   body     object (37, see stored-object.ts) ‖ pack header (bytes16) ‖ sealed table (bytes32)
 *
 * Appended and fsynced one by one; a torn tail is dropped. The file goes when the catalog knows all
 * that is in it.
 */
import { CorruptError, Reader, Writer } from '../format/cursor.ts';
import { sha256 } from '../format/digest.ts';
import {
  decodePackHeader,
  type FrameRow,
  HEADER_BYTES_MAX,
  openSealedTable,
  type ReadAt,
  TRAILER_BYTES,
} from '../format/pack.ts';
import { readObject, type StoredObject, writeObject } from '../format/stored-object.ts';
import { appendDurable, openLog } from '../store/durable-file.ts';
import { ScratchFile } from '../store/scratch-file.ts';

const CHECK_BYTES = 8;
const BODY_BYTES_MAX = 64 * 1024 * 1024;
const logs = new Map<string, number>();

/** What stands at the two ends of a pack. */
export interface PackEnds {
  readonly headerBytes: Uint8Array;
  readonly sealedTable: Uint8Array;
}

/**
 * The ends of a pack, read by `readAt`, whose bytes are `length`.
 * @throws CorruptError when it is none
 */
export function readPackEnds(readAt: ReadAt, length: number): PackEnds {
  const { headerBytes } = decodePackHeader(readAt(0, Math.min(length, HEADER_BYTES_MAX)));
  const end = length - TRAILER_BYTES;
  const tableBytes = new Reader(readAt(end, TRAILER_BYTES), 'pack').u32();
  if (tableBytes > end) throw new CorruptError('pack: the table runs past the front');
  return { headerBytes, sealedTable: readAt(end - tableBytes, tableBytes) };
}

/** Records that `object` may leave; on return the record is on the medium. */
export function acknowledge(journal: string, object: StoredObject, { headerBytes, sealedTable }: PackEnds): void {
  const writer = new Writer(4096);
  writeObject(writer, object);
  const body = writer.bytes16(headerBytes).bytes32(sealedTable).finish();
  const record = new Writer(body.length + 16).u32(body.length).bytes(body).bytes(sha256(body).subarray(0, CHECK_BYTES));
  const log = logs.get(journal) ?? openLog(journal);
  logs.set(journal, log);
  appendDurable(log, record.finish());
}

export interface AcknowledgedPack {
  readonly object: StoredObject;
  readonly frames: readonly FrameRow[];
}

/** All that was acknowledged, oldest first; nothing when there is no journal. */
export function* acknowledgedPacks(journal: string, indexKey: Uint8Array): Generator<AcknowledgedPack> {
  let file: ScratchFile;
  try {
    file = ScratchFile.open(journal);
  } catch {
    return;
  }
  try {
    for (let at = 0; at + 4 <= file.length; ) {
      const length = file.read(at, 4).readUInt32LE();
      if (length > BODY_BYTES_MAX || at + 4 + length + CHECK_BYTES > file.length) return;
      const body = file.read(at + 4, length);
      const check = file.read(at + 4 + length, CHECK_BYTES);
      if (!sha256(body).subarray(0, CHECK_BYTES).equals(check)) return;
      yield decode(body, indexKey);
      at += 4 + length + CHECK_BYTES;
    }
  } finally {
    file.close();
  }
}

function decode(body: Buffer, indexKey: Uint8Array): AcknowledgedPack {
  const reader = new Reader(body, 'spool journal');
  const object = readObject(reader);
  const { header, headerBytes } = decodePackHeader(reader.bytes16());
  const frames = openSealedTable({ header, headerBytes, sealed: reader.bytes32() }, indexKey);
  const last = frames.at(-1);
  if (!last || last.offset + last.sealedBytes > object.length) throw new CorruptError('spool journal: not its pack');
  return { object, frames };
}
