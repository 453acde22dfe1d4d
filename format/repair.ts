/**
 * A repair: which other objects stand in for lost ones, and which chunks are gone for good. Signed
 * (kind 'repair', see signature.ts), named by its digest, never changed. The signed body:
 *
 *   prelude       6      'SSRP'
 *   lost          u32, then each, sorted by the name of what is lost:
 *     object      37     what is lost (see stored-object.ts)
 *     stand-ins   u32, then 37 each, sorted by name; none when all it held is elsewhere or gone
 *   gone          u32    number of chunks that nobody has any more; when it is not 0:
 *     salt        32     random
 *     sealed      the chunk ids, 32 each, sorted (see seal.ts); key: gone key (index key, salt);
 *                 bound: the body before it
 *
 * Chunk ids are digests of plaintext and so never stand in clear; which packs a point needs does.
 */
import type { Digest } from '../domain/names.ts';
import { CorruptError, Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, digestBytes, toDigest } from './digest.ts';
import { goneKey, newSalt } from './key-tree.ts';
import { openBytes, SALT_BYTES, sealBytes } from './seal.ts';
import { type Identity, openSigned, type Signer, signBody, type Trust } from './signature.ts';
import { byName, readObject, readObjects, type StoredObject, writeObject, writeObjects } from './stored-object.ts';

export interface Replacement {
  readonly lost: StoredObject;
  readonly by: readonly StoredObject[];
}

export interface Repair {
  readonly replacements: readonly Replacement[];
  /** How many chunks are gone; `openGone` says which. */
  readonly goneChunks: number;
}

/** A repair as it was read, with what a holder of the index key may look into. */
export interface OpenedRepair extends Repair {
  readonly signer: Identity;
  readonly body: Buffer;
}

/** Writes and signs a repair; chunks that are `gone` are sealed for the domain that owned them. */
export function signRepair(
  replacements: readonly Replacement[],
  gone: { readonly chunks: readonly Digest[]; readonly indexKey: Uint8Array } | undefined,
  by: { readonly signer: Signer; readonly trust: Trust },
): Buffer {
  const writer = new Writer().prelude('SSRP');
  const sorted = [...replacements].sort((a, b) => byName(a.lost, b.lost));
  writer.u32(sorted.length);
  for (const { lost, by: standIns } of sorted) {
    writeObject(writer, lost);
    writeObjects(writer, standIns);
  }
  const chunks = [...(gone?.chunks ?? [])].sort();
  writer.u32(chunks.length);
  if (gone && chunks.length > 0) {
    const salt = newSalt();
    const bound = Buffer.from(writer.bytes(salt).finish());
    writer.bytes(sealBytes(goneKey(gone.indexKey, salt), Buffer.concat(chunks.map(digestBytes)), bound));
  }
  return signBody('repair', writer.finish(), by);
}

/**
 * Opens a repair; what is gone stays sealed.
 * @throws CorruptError when it is not the bytes of its name, or damaged; TamperedError when its
 *   signature does not hold
 */
export function openRepair(
  bytes: Uint8Array,
  expected: { readonly trust: Trust; readonly name?: Digest },
): OpenedRepair {
  const { body, signer } = openSigned(bytes, { ...expected, kind: 'repair' });
  const reader = new Reader(body, 'repair');
  const { replacements, goneChunks } = readClear(reader);
  if (goneChunks > 0) {
    reader.bytes(SALT_BYTES);
    reader.rest();
  }
  reader.done();
  return { replacements, goneChunks, signer, body };
}

/**
 * The ids of the chunks that are gone for good.
 * @throws CorruptError when the index key is another domain's
 */
export function openGone({ body, goneChunks }: OpenedRepair, indexKey: Uint8Array): Digest[] {
  if (goneChunks === 0) return [];
  const reader = new Reader(body, 'repair');
  readClear(reader);
  const key = goneKey(indexKey, reader.bytes(SALT_BYTES));
  const bound = body.subarray(0, reader.position);
  const ids = openBytes(key, reader.rest(), bound, 'repair');
  if (ids.length !== goneChunks * DIGEST_BYTES) throw new CorruptError(`repair: not the ${goneChunks} chunks it says`);
  return Array.from({ length: goneChunks }, (_, at) =>
    toDigest(ids.subarray(at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES)),
  );
}

function readClear(reader: Reader): Repair {
  reader.prelude('SSRP');
  const count = reader.u32();
  const replacements: Replacement[] = [];
  for (let at = 0; at < count; at++) {
    const lost = readObject(reader);
    const before = replacements.at(-1)?.lost;
    if (before && lost.name <= before.name) throw reader.corrupt('lost objects are not sorted by name');
    replacements.push({ lost, by: readObjects(reader, readObject) });
  }
  return { replacements, goneChunks: reader.u32() };
}
