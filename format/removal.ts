/**
 * A removal: which points were withdrawn, and which objects are marked to be deleted (a tombstone).
 * Signed (kind 'removal', see signature.ts), named by its digest. It needs no key: roots are the
 * signed pack sets. A point that a removal names leaves a gap in its machine's sequence that is no
 * alarm. The signed body:
 *
 *   prelude      6      'SSRM'
 *   at           text8  ISO 8601, UTC; for people: the grace is counted by the store's clock
 *   points       u32, then each, sorted by machine (by bytes), then sequence:
 *     machine    text8
 *     sequence   u32
 *     name       32     digest of the point
 *   objects      u32, then 37 each, sorted by name (see stored-object.ts): what is marked
 */
import type { Digest } from '../domain/names.ts';
import { Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, digestBytes, toDigest } from './digest.ts';
import { type Identity, openSigned, type Signer, signBody, type Trust } from './signature.ts';
import { readAnyObject, readObjects, type StoredKind, type StoredObject, writeObjects } from './stored-object.ts';

export interface RemovedPoint {
  readonly machine: string;
  readonly sequence: number;
  readonly name: Digest;
}

export interface Removal {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly points: readonly RemovedPoint[];
  readonly objects: readonly StoredObject<StoredKind>[];
}

/** Writes and signs a removal. @throws RangeError when a point or an object occurs twice */
export function signRemoval(removal: Removal, by: { readonly signer: Signer; readonly trust: Trust }): Buffer {
  const points = [...removal.points].sort(byMachine);
  const writer = new Writer().prelude('SSRM').text8(removal.at).u32(points.length);
  points.forEach((point, at) => {
    const before = points[at - 1];
    if (before && byMachine(before, point) === 0) throw new RangeError('removal: a point occurs twice');
    writer.text8(point.machine).u32(point.sequence).bytes(digestBytes(point.name));
  });
  writeObjects(writer, removal.objects);
  return signBody('removal', writer.finish(), by);
}

/**
 * Opens a removal.
 * @throws CorruptError when it is not the bytes of its name, or damaged; TamperedError when its
 *   signature does not hold
 */
export function openRemoval(
  bytes: Uint8Array,
  expected: { readonly trust: Trust; readonly name?: Digest },
): { removal: Removal; signer: Identity } {
  const { body, signer } = openSigned(bytes, { ...expected, kind: 'removal' });
  const reader = new Reader(body, 'removal');
  reader.prelude('SSRM');
  const at = reader.text8();
  if (Number.isNaN(Date.parse(at))) throw reader.corrupt('has no time');
  const points = readPoints(reader);
  const objects = readObjects(reader, readAnyObject);
  reader.done();
  return { removal: { at, points, objects }, signer };
}

function readPoints(reader: Reader): RemovedPoint[] {
  const count = reader.u32();
  const points: RemovedPoint[] = [];
  for (let at = 0; at < count; at++) {
    const point = { machine: reader.text8(), sequence: reader.u32(), name: toDigest(reader.bytes(DIGEST_BYTES)) };
    const before = points.at(-1);
    if (before && byMachine(before, point) >= 0) throw reader.corrupt('points are not sorted');
    points.push(point);
  }
  return points;
}

function byMachine(a: RemovedPoint, b: RemovedPoint): number {
  return Buffer.compare(Buffer.from(a.machine), Buffer.from(b.machine)) || a.sequence - b.sequence;
}
