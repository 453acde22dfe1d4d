/**
 * A recovery point: one backup of one machine, as a claim. It is restorable once all objects of its
 * pack set are there (pack-set.ts, complete). Signed (kind 'point', see signature.ts) by the machine
 * and stored as `points/<machine>/<sequence>-<digest>`. The signed body:
 *
 *   prelude        6        'SSPT'
 *   machine        text8    the signer's id, again
 *   domain         text8    the signer's, again: derives the keys of tables and indexes
 *   protection     text8
 *   sequence       u32      1, 2, … over all points of the machine: a gap shows
 *   predecessor    u8 0, or u8 1 ‖ digest (32) of the point before
 *   time           i64      ms since 1970, UTC, of the run
 *   run            text8
 *   kind           u8       1 initial, 2 incremental
 *   base           u8 0, or u8 1 ‖ digest (32) of the point whose trees it was compared with
 *   pack set       32       digest
 *   recipient id   16       whose identity opens the wrap
 *   wrap           bytes16  the session's (session.ts)
 *   salt           32
 *   sealed         bytes32  key: HKDF(session key, salt, 'point'); bound: the body up to here
 *
 *   sealed body    root (32): id of the record of `/`, which holds the way to the items and them ‖
 *                  items (u16, then bytes16 each: absolute paths) ‖
 *                  files (u64) ‖ directories (u64) ‖ bytes (u64) ‖ skipped (u64) ‖ changed (u64) ‖
 *                  list (u32, then path (bytes32) ‖ reason (text8) each)
 *
 * `skipped` counts what could not be read, and the list names the first of it; `changed` counts
 * files that went on changing while they were read.
 */
import type { Digest } from '../domain/names.ts';
import { Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, digestBytes, toDigest } from './digest.ts';
import { newSalt, pointKey } from './key-tree.ts';
import { openBytes, SALT_BYTES, sealBytes } from './seal.ts';
import { checkWrap, RECIPIENT_ID_BYTES } from './session.ts';
import { type Identity, openSigned, type Signer, signBody, TamperedError, type Trust } from './signature.ts';

const KINDS = ['initial', 'incremental'] as const;
const LABEL_DIGITS = 4;

export interface PointHead {
  readonly machine: string;
  readonly domain: string;
  readonly protection: string;
  readonly sequence: number;
  readonly predecessor: Digest | undefined;
  /** ms since 1970, UTC. */
  readonly time: number;
  readonly run: string;
  readonly kind: (typeof KINDS)[number];
  readonly base: Digest | undefined;
  readonly packSet: Digest;
  readonly recipientId: Uint8Array; // 16 bytes
  readonly wrap: Uint8Array;
}

export interface SkippedPath {
  readonly path: Uint8Array;
  readonly reason: string;
}

export interface PointBody {
  readonly root: Uint8Array; // 32 bytes
  readonly items: readonly Uint8Array[];
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
  readonly skipped: number;
  readonly changed: number;
  readonly skippedPaths: readonly SkippedPath[];
}

/** A point as it was read; its body stays sealed until `openPointBody`. */
export interface OpenedPoint {
  readonly head: PointHead;
  readonly signer: Identity;
  readonly salt: Uint8Array;
  readonly bound: Buffer;
  readonly sealed: Buffer;
}

/** Writes, seals and signs a point. */
export function signPoint(
  head: PointHead,
  body: PointBody,
  by: { readonly signer: Signer; readonly trust: Trust; readonly sessionKey: Uint8Array },
): Buffer {
  const salt = newSalt();
  const writer = new Writer(4096)
    .prelude('SSPT')
    .text8(head.machine)
    .text8(head.domain)
    .text8(head.protection)
    .u32(head.sequence);
  writeOptional(writer, head.predecessor);
  writer
    .i64big(BigInt(head.time))
    .text8(head.run)
    .u8(KINDS.indexOf(head.kind) + 1);
  writeOptional(writer, head.base);
  writer.bytes(digestBytes(head.packSet)).bytes(head.recipientId).bytes16(head.wrap).bytes(salt);
  const bound = Buffer.from(writer.finish());
  writer.bytes32(sealBytes(pointKey(by.sessionKey, salt), encodeBody(body), bound));
  return signBody('point', writer.finish(), by);
}

/** What the name of a point says of it. */
interface PointPlace {
  readonly machine: string;
  readonly sequence: number;
}

/**
 * Opens a point's head.
 * @param expected.name its digest, and `expected.place` the rest of its name
 * @throws CorruptError when it is not the bytes of its name, or damaged; TamperedError when its
 *   signature does not hold, another machine signed it, or it is of another domain or place
 */
export function openPoint(
  bytes: Uint8Array,
  expected: { readonly trust: Trust; readonly name?: Digest; readonly place?: PointPlace },
): OpenedPoint {
  const { trust, name, place } = expected;
  const { body, signer } = openSigned(bytes, { kind: 'point', trust, ...(name === undefined ? {} : { name }) });
  const reader = new Reader(body, 'point');
  reader.prelude('SSPT');
  const head = readHead(reader);
  if (head.machine !== signer.id) throw new TamperedError(`point: of ${head.machine}, signed by ${signer.id}`);
  if (head.domain !== signer.domain) throw new TamperedError("point: of a domain that is not its signer's");
  if (place && (place.machine !== head.machine || place.sequence !== head.sequence))
    throw new TamperedError('point: lies under another name than its own');
  const salt = reader.bytes(SALT_BYTES);
  const bound = body.subarray(0, reader.position);
  const sealed = reader.bytes32();
  reader.done();
  return { head, signer, salt, bound, sealed };
}

/** Opens a point's body. @throws CorruptError when the session key is another's */
export function openPointBody({ salt, bound, sealed }: OpenedPoint, sessionKey: Uint8Array): PointBody {
  return decodeBody(openBytes(pointKey(sessionKey, salt), sealed, bound, 'point'));
}

/** `hq-0001-77ab`: protection, sequence and the first digits of the digest. */
export function pointLabel(
  { protection, sequence }: Pick<PointHead, 'protection' | 'sequence'>,
  digest: Digest,
): string {
  return `${protection}-${String(sequence).padStart(4, '0')}-${digest.slice(0, LABEL_DIGITS)}`;
}

function readHead(reader: Reader): PointHead {
  const [machine, domain, protection] = [reader.text8(), reader.text8(), reader.text8()];
  const sequence = reader.u32();
  const predecessor = readOptional(reader);
  const time = Number(reader.i64big());
  if (!Number.isSafeInteger(time)) throw reader.corrupt('a time that is none');
  const run = reader.text8();
  const kind = KINDS[reader.u8() - 1];
  if (kind === undefined) throw reader.corrupt('unknown kind');
  const base = readOptional(reader);
  const packSet = toDigest(reader.bytes(DIGEST_BYTES));
  const recipientId = reader.bytes(RECIPIENT_ID_BYTES);
  const wrap = reader.bytes16();
  checkWrap(wrap, 1);
  return { machine, domain, protection, sequence, predecessor, time, run, kind, base, packSet, recipientId, wrap };
}

function encodeBody(body: PointBody): Buffer {
  const writer = new Writer(4096).bytes(body.root).u16(body.items.length);
  for (const item of body.items) writer.bytes16(item);
  writer.u64(body.files).u64(body.directories).u64(body.bytes).u64(body.skipped).u64(body.changed);
  writer.u32(body.skippedPaths.length);
  for (const { path, reason } of body.skippedPaths) writer.bytes32(path).text8(reason);
  return writer.finish();
}

function decodeBody(bytes: Uint8Array): PointBody {
  const reader = new Reader(bytes, 'point body');
  const root = reader.bytes(DIGEST_BYTES);
  const items: Uint8Array[] = [];
  for (let left = reader.u16(); left > 0; left--) items.push(reader.bytes16());
  const [files, directories, size] = [reader.u64(), reader.u64(), reader.u64()];
  const [skipped, changed] = [reader.u64(), reader.u64()];
  const skippedPaths: SkippedPath[] = [];
  for (let left = reader.u32(); left > 0; left--) skippedPaths.push({ path: reader.bytes32(), reason: reader.text8() });
  reader.done();
  return { root, items, files, directories, bytes: size, skipped, changed, skippedPaths };
}

function writeOptional(writer: Writer, digest: Digest | undefined): void {
  writer.u8(digest ? 1 : 0);
  if (digest) writer.bytes(digestBytes(digest));
}

function readOptional(reader: Reader): Digest | undefined {
  const there = reader.u8();
  if (there > 1) throw reader.corrupt('neither there nor not');
  return there === 1 ? toDigest(reader.bytes(DIGEST_BYTES)) : undefined;
}
