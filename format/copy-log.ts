/**
 * What the datacenter took from a drive and what it refused, object by object; signed by the dock
 * (kind 'copy-log', see signature.ts), named by its digest. The signed body:
 *
 *   prelude      6      'SSCL'
 *   drive id     8
 *   job          text8
 *   manifest     32     digest of the drive's manifest
 *   objects      u32, then 46 each, sorted by number:
 *     number     u32
 *     object     37     kind, name, length (see stored-object.ts)
 *     outcome    u8     1 taken, 2 present (was there already), 3 absent, 4 unreadable, 5 altered
 *                       (not the file the manifest names), 6 broken (its seal or name does not
 *                       hold), 7 foreign (not of the job's signed set), 8 occupied (something
 *                       else has its name in landing), 9 short (the file ends too early)
 *     offset     u32    where in the drive's file it begins to be wrong: 5 altered and 6 broken, the
 *                       segment that does not open (0 for the first, and for the head before it), or
 *                       the end that was written when more follows; 4 unreadable, the first byte that
 *                       did not come; 9 short, where it ends. 0xFFFFFFFF when there is no such place
 */
import type { CopyOutcome } from '../domain/copy-code.ts';
import type { Digest } from '../domain/names.ts';
import { CorruptError, Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, digestBytes, toDigest } from './digest.ts';
import { driveIdBytes, readDriveId } from './drive-manifest.ts';
import { type Identity, openSigned, type Signer, signBody, type Trust } from './signature.ts';
import { readObject, STORED_OBJECT_BYTES, type StoredObject, writeObject } from './stored-object.ts';

/** By number; only ever added to. */
const OUTCOMES: readonly CopyOutcome[] = [
  ...(['taken', 'present', 'absent', 'unreadable', 'altered', 'broken', 'foreign', 'occupied', 'short'] as const),
];

const ENTRY_BYTES = 4 + STORED_OBJECT_BYTES + 1 + 4;
const NOWHERE = 0xffffffff;

export interface CopiedObject extends StoredObject {
  readonly number: number;
  readonly outcome: CopyOutcome;
  /** Bytes into the drive's file, where it begins to be wrong. */
  readonly offset?: number;
}

export interface CopyLog {
  readonly drive: string;
  readonly job: string;
  readonly manifest: Digest;
  /** By number. */
  readonly objects: readonly CopiedObject[];
}

/** Whether the object is in landing now. */
export function isTaken({ outcome }: CopiedObject): boolean {
  return outcome === 'taken' || outcome === 'present';
}

/** Writes and signs a copy log. @throws RangeError when numbers do not ascend */
export function signCopyLog(log: CopyLog, by: { readonly signer: Signer; readonly trust: Trust }): Buffer {
  const writer = new Writer(128 + log.objects.length * ENTRY_BYTES).prelude('SSCL');
  writer.bytes(driveIdBytes(log.drive)).text8(log.job).bytes(digestBytes(log.manifest)).u32(log.objects.length);
  let before = -1;
  for (const object of log.objects) {
    if (object.number <= before) throw new RangeError(`copy-log: object ${object.number} after ${before}`);
    before = object.number;
    writer.u32(object.number);
    writeObject(writer, object);
    writer.u8(OUTCOMES.indexOf(object.outcome) + 1).u32(object.offset ?? NOWHERE);
  }
  return signBody('copy-log', writer.finish(), by);
}

/**
 * Opens a copy log.
 * @throws CorruptError when it is not the bytes of its name, damaged, or of another drive or job;
 *   TamperedError when its signature does not hold
 */
export function openCopyLog(
  bytes: Uint8Array,
  expected: { readonly trust: Trust; readonly name?: Digest; readonly drive: string; readonly job: string },
): { log: CopyLog; signer: Identity } {
  const { body, signer } = openSigned(bytes, { ...expected, kind: 'copy-log' });
  const reader = new Reader(body, 'copy log');
  reader.prelude('SSCL');
  const drive = readDriveId(reader);
  const job = reader.text8();
  if (drive !== expected.drive || job !== expected.job) throw new CorruptError('copy log: of another drive or job');
  const manifest = toDigest(reader.bytes(DIGEST_BYTES));
  const objects = readEntries(reader);
  reader.done();
  return { log: { drive, job, manifest, objects }, signer };
}

function readEntries(reader: Reader): CopiedObject[] {
  const count = reader.u32();
  if (count * ENTRY_BYTES !== reader.remaining) throw reader.corrupt(`not the ${count} objects it says`);
  const objects: CopiedObject[] = [];
  for (let at = 0; at < count; at++) {
    const number = reader.u32();
    const object = readObject(reader);
    const outcome = OUTCOMES[reader.u8() - 1];
    if (outcome === undefined) throw reader.corrupt('unknown outcome');
    if (number <= (objects.at(-1)?.number ?? -1)) throw reader.corrupt('objects are not sorted by number');
    const offset = reader.u32();
    objects.push({ number, ...object, outcome, ...(offset === NOWHERE ? {} : { offset }) });
  }
  return objects;
}
