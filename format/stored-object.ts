/**
 * How a pack, a tree pack or an index part is named wherever objects are listed: in pack sets,
 * repairs, removals, manifests, journals and copy logs.
 *
 *   kind     u8     1 pack, 2 tree, 3 index, 4 pack-set, 5 point
 *   name     32     SHA-256 of the object's bytes
 *   length   u32    its bytes
 *
 * A list is sorted by name, and holds no name twice. Kinds 4 and 5 occur in removals only.
 */
import type { Digest } from '../domain/names.ts';
import type { Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, digestBytes, toDigest } from './digest.ts';

const KINDS = ['pack', 'tree', 'index', 'pack-set', 'point'] as const;
export type StoredKind = (typeof KINDS)[number];
/** What is large and may travel on a drive; the rest always goes over the line. */
export type CarriedKind = 'pack' | 'tree' | 'index';

export interface StoredObject<Kind extends StoredKind = CarriedKind> {
  readonly kind: Kind;
  readonly name: Digest;
  readonly length: number; // bytes
}

export const STORED_OBJECT_BYTES = 1 + DIGEST_BYTES + 4;

/** Writes the 37 bytes of one object. */
export function writeObject(writer: Writer, { kind, name, length }: StoredObject<StoredKind>): void {
  writer
    .u8(KINDS.indexOf(kind) + 1)
    .bytes(digestBytes(name))
    .u32(length);
}

/** Reads one object of any kind. @throws CorruptError */
export function readAnyObject(reader: Reader): StoredObject<StoredKind> {
  const kind = KINDS[reader.u8() - 1];
  if (kind === undefined) throw reader.corrupt('unknown kind of object');
  return { kind, name: toDigest(reader.bytes(DIGEST_BYTES)), length: reader.u32() };
}

/** Reads one object that may travel: a pack, a tree pack or an index part. @throws CorruptError */
export function readObject(reader: Reader): StoredObject {
  const { kind, name, length } = readAnyObject(reader);
  if (kind === 'pack-set' || kind === 'point') throw reader.corrupt(`a ${kind} where none may be`);
  return { kind, name, length };
}

/** Writes a count (u32) and so many objects, sorted by name. @throws RangeError for a name that occurs twice */
export function writeObjects(writer: Writer, objects: readonly StoredObject<StoredKind>[]): void {
  const sorted = [...objects].sort(byName);
  writer.u32(sorted.length);
  sorted.forEach((object, at) => {
    if (object.name === sorted[at - 1]?.name) throw new RangeError('stored-object: a name occurs twice');
    writeObject(writer, object);
  });
}

/** Reads a count and so many objects, each by `read`. @throws CorruptError when they are not sorted */
export function readObjects<Kind extends StoredKind>(
  reader: Reader,
  read: (reader: Reader) => StoredObject<Kind>,
): StoredObject<Kind>[] {
  const count = reader.u32();
  const objects: StoredObject<Kind>[] = [];
  for (let at = 0; at < count; at++) {
    const object = read(reader);
    const before = objects.at(-1);
    if (before && object.name <= before.name) throw reader.corrupt('objects are not sorted by name');
    objects.push(object);
  }
  return objects;
}

/** The order of every list: by name, as bytes. */
export function byName(a: { readonly name: Digest }, b: { readonly name: Digest }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
