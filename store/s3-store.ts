/**
 * A place that is an S3 prefix.
 *
 * - Bodies are Buffers, never streams: some servers store the framing of a stream as if it were data.
 * - Each PUT carries the SHA-256 of its bytes, which the server checks, and `If-None-Match: *`.
 * - What comes back is measured against its length here: a connection cut short looks like an end.
 * - Where a bucket keeps versions, an overwritten object is still found by its digest.
 * - A lost answer is asked for again by the SDK, so `exists` may mean: by us, a moment ago.
 *
 * One PUT an object, at most 64 MiB; no multipart uploads, so none is ever left half done.
 */
import { Readable } from 'node:stream';
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import { errnoOf, Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import { MIB, SECOND } from '../domain/units.ts';
import { CorruptError } from '../format/cursor.ts';
import { Digesting, digestBytes, digestOf } from '../format/digest.ts';
import type { Written } from './durable-file.ts';
import type { ByteRange, ObjectStore, S3Access, StoredName } from './object-store.ts';
import { checkObjectName } from './places.ts';
import { HiddenVersionsError, httpStatus, isAbsent, storageFailure } from './s3-failure.ts';

/** Nothing of ours comes near it: memory is not the server's to spend. */
const OBJECT_BYTES_MAX = 256 * MIB;
const CONNECT_MS = 5 * SECOND;
/** Without a byte either way: a slow line takes its time, a dead one does not answer. */
const SILENCE_MS = 60 * SECOND;
const SOCKETS_MAX = 64;
const ATTEMPTS_MAX = 3;
/** Another writer of the same name is busy: ask again, it takes as long as one upload. */
const CONFLICTS_MAX = 20;
const CONFLICT_WAIT_MS = 250;
/** Of one name: whoever may write can bury the true version under others, but not for ever. */
const VERSIONS_MAX = 1000;

export interface Bucket {
  readonly bucket: string;
  /** Empty, or ends with a slash. */
  readonly prefix: string;
  readonly access: S3Access;
}

interface Reading {
  readonly range?: ByteRange | undefined;
  readonly version?: string;
  /** Where the bytes may lie, if it is large enough. */
  readonly room?: Buffer | undefined;
  /** Is given them as they arrive. */
  readonly heard?: (piece: Uint8Array) => void;
}

type Sdk = typeof import('@aws-sdk/client-s3');

let muted = false;

/** The SDK's word about coming Node versions is ours to act on, not an operator's. */
function muteVersionWarning(): void {
  if (muted) return;
  muted = true;
  const others = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name === 'NodeVersionSupportWarning' || /NodeVersionSupportWarning/.test(warning.message)) return;
    for (const listener of others) listener(warning);
  });
}

/** The SDK and a client; loaded when first used, since loading takes a quarter of a second. */
export async function connect(access: S3Access): Promise<{ sdk: Sdk; client: S3Client }> {
  muteVersionWarning();
  const sdk = await import('@aws-sdk/client-s3');
  const agent = { maxSockets: SOCKETS_MAX, keepAlive: true };
  const client = new sdk.S3Client({
    ...(access.endpoint === undefined ? {} : { endpoint: access.endpoint, forcePathStyle: true }),
    region: access.region,
    credentials: { accessKeyId: access.accessKeyId, secretAccessKey: access.secretAccessKey },
    maxAttempts: ATTEMPTS_MAX,
    requestChecksumCalculation: 'WHEN_REQUIRED', // ours is in every PUT, and what is read we check ourselves
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
  return { sdk, client };
}

export class S3Store implements ObjectStore {
  readonly url: string;
  readonly #bucket: Bucket;
  #connected: ReturnType<typeof connect> | undefined;

  constructor(url: string, bucket: Bucket) {
    this.url = url;
    this.#bucket = bucket;
  }

  async put(name: string, bytes: Uint8Array, { digest }: { readonly digest?: Digest } = {}): Promise<Written> {
    const Key = this.#key(name);
    const { sdk, client } = await this.#connect();
    const stated = digest ?? digestOf(bytes);
    const command = new sdk.PutObjectCommand({
      Bucket: this.#bucket.bucket,
      Key,
      Body: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      ContentLength: bytes.length,
      ChecksumSHA256: digestBytes(stated).toString('base64'),
      IfNoneMatch: '*',
    });
    command.middlewareStack.add(
      (next) => (args) => {
        const { headers }: { headers?: Record<string, string> } = Object(args.request);
        if (headers) headers['x-amz-content-sha256'] = stated; // else the body is hashed once more to be signed
        return next(args);
      },
      { step: 'build', name: 'statedDigest' },
    );
    for (let conflicts = 0; ; conflicts += 1) {
      try {
        await client.send(command);
        return 'created';
      } catch (error) {
        const status = httpStatus(error);
        if (status === 412) return 'exists';
        if (status !== 409 || conflicts === CONFLICTS_MAX) throw storageFailure(error);
        await new Promise((resolve) => setTimeout(resolve, CONFLICT_WAIT_MS));
      }
    }
  }

  async get(name: string, range?: ByteRange): Promise<Buffer> {
    if (range?.length === 0) return Buffer.alloc(0); // S3 has no way to say so
    return this.#read(this.#key(name), { range });
  }

  async getExact(name: string, digest: Digest, room?: Buffer): Promise<Buffer> {
    const key = this.#key(name);
    const found = new Digesting();
    const newest = await this.#newest(key, { room, heard: (piece) => found.update(piece) });
    if (newest && found.digest() === digest) return newest;
    return this.#older(key, (bytes) => digestOf(bytes) === digest, newest !== undefined);
  }

  async getFitting(name: string, fits: (bytes: Buffer) => boolean): Promise<Buffer> {
    const key = this.#key(name);
    const newest = await this.#newest(key, {});
    return newest && fits(newest) ? newest : this.#older(key, fits, newest !== undefined);
  }

  async #newest(key: string, reading: Reading): Promise<Buffer | undefined> {
    return this.#read(key, reading).catch((error: unknown) => {
      if (isAbsent(error)) return undefined; // removed, or hidden by a delete marker
      throw error;
    });
  }

  async #older(key: string, fits: (bytes: Buffer) => boolean, isThere: boolean): Promise<Buffer> {
    const older = await this.#olderFitting(key, fits);
    if (Buffer.isBuffer(older)) return older;
    if (!isThere && older !== 'unfit') throw new Failure('NotFound', 'the object is not there');
    if (older === 'hidden')
      throw new HiddenVersionsError('object: not the bytes it should have, and its older versions may not be listed');
    throw new CorruptError('object: no version has the bytes it should have');
  }

  async #olderFitting(key: string, fits: (bytes: Buffer) => boolean): Promise<Buffer | 'none' | 'unfit' | 'hidden'> {
    let found: 'none' | 'unfit' = 'none';
    try {
      for await (const version of this.#versions(key)) {
        const bytes = await this.#read(key, { version });
        if (fits(bytes)) return bytes;
        found = 'unfit';
      }
    } catch (error) {
      if (errnoOf(error) !== 'StorageRefused') throw error;
      return found === 'none' ? 'hidden' : found; // who may not look at versions has seen all he may
    }
    return found;
  }

  async head(name: string): Promise<{ readonly length: number } | undefined> {
    const { sdk, client } = await this.#connect();
    try {
      const command = new sdk.HeadObjectCommand({ Bucket: this.#bucket.bucket, Key: this.#key(name) });
      const { ContentLength } = await client.send(command);
      return { length: ContentLength ?? 0 };
    } catch (error) {
      const failure = storageFailure(error);
      if (isAbsent(failure)) return undefined;
      throw failure;
    }
  }

  async *list(prefix: string): AsyncGenerator<StoredName> {
    const { sdk, client } = await this.#connect();
    let ContinuationToken: string | undefined;
    do {
      const command = new sdk.ListObjectsV2Command({
        Bucket: this.#bucket.bucket,
        Prefix: `${this.#bucket.prefix}${prefix}`,
        ContinuationToken,
      });
      const page = await client.send(command).catch(refuse);
      for (const { Key = '', Size = 0, LastModified = new Date(0) } of page.Contents ?? [])
        yield { name: Key.slice(this.#bucket.prefix.length), length: Size, modified: LastModified };
      ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (ContinuationToken !== undefined);
  }

  async remove(name: string): Promise<void> {
    const Key = this.#key(name);
    const { sdk, client } = await this.#connect();
    const Bucket = this.#bucket.bucket;
    for await (const VersionId of this.#versions(Key, { markers: true }))
      await client.send(new sdk.DeleteObjectCommand({ Bucket, Key, VersionId })).catch(refuse);
  }

  /** Ids of the versions of exactly this key, newest first. */
  async *#versions(key: string, { markers = false } = {}): AsyncGenerator<string> {
    const { sdk, client } = await this.#connect();
    let KeyMarker: string | undefined;
    let VersionIdMarker: string | undefined;
    for (let seen = 0; seen < VERSIONS_MAX; ) {
      const page = await client
        .send(
          new sdk.ListObjectVersionsCommand({ Bucket: this.#bucket.bucket, Prefix: key, KeyMarker, VersionIdMarker }),
        )
        .catch(refuse);
      const entries = [...(page.Versions ?? []), ...(markers ? (page.DeleteMarkers ?? []) : [])];
      for (const { Key, VersionId } of entries) {
        if (Key !== key || VersionId === undefined) continue;
        seen += 1;
        yield VersionId;
      }
      if (!page.IsTruncated || entries.some(({ Key = '' }) => Key > key)) return;
      KeyMarker = page.NextKeyMarker;
      VersionIdMarker = page.NextVersionIdMarker;
    }
  }

  async #read(Key: string, reading: Reading): Promise<Buffer> {
    const { sdk, client } = await this.#connect();
    const { range, version: VersionId } = reading;
    const Range = range && `bytes=${range.offset}-${range.offset + range.length - 1}`;
    try {
      const answer = await client.send(
        new sdk.GetObjectCommand({ Bucket: this.#bucket.bucket, Key, Range, VersionId }),
      );
      return await whole(answer, reading);
    } catch (error) {
      throw httpStatus(error) === 416 ? new CorruptError('object: shorter than it should be') : storageFailure(error);
    }
  }

  #key(name: string): string {
    return `${this.#bucket.prefix}${checkObjectName(name)}`;
  }

  #connect(): ReturnType<typeof connect> {
    this.#connected ??= connect(this.#bucket.access);
    return this.#connected;
  }
}

/**
 * All of a body, which is always read to its end: a socket left half read is lost. Gathered in place:
 * the SDK's own way holds an object three times, and a pack is 64 MiB.
 */
async function whole(
  { Body, ContentLength = 0 }: GetObjectCommandOutput,
  { range, room, heard = () => {} }: Reading,
): Promise<Buffer> {
  if (!(Body instanceof Readable)) throw new Failure('Unreachable', 'the S3 server answered without a body');
  if (ContentLength > OBJECT_BYTES_MAX) throw new CorruptError('object: larger than any that was written');
  const isFitting = room !== undefined && room.length >= ContentLength;
  const bytes = isFitting ? room.subarray(0, ContentLength) : Buffer.allocUnsafeSlow(ContentLength);
  let length = 0;
  for await (const piece of Body) {
    const some: Uint8Array = piece;
    heard(some);
    if (length + some.length <= bytes.length) bytes.set(some, length);
    length += some.length;
  }
  if (length !== ContentLength)
    throw new Failure('Unreachable', 'the S3 server broke off', { why: 'not the bytes it announced' });
  if (range !== undefined && length !== range.length) throw new CorruptError('object: shorter than it should be');
  return bytes;
}

function refuse(error: unknown): never {
  throw storageFailure(error);
}
