/**
 * Places that hold objects: a staging location, a spool, a landing container, a vault. A directory or
 * an S3 prefix, one contract, proved by one suite over both.
 *
 * - Create-only: a name is given once, whoever asks at the same time; the first whole object stands.
 * - Durable: what `put` answered for survives a power cut, as far as the medium keeps its word.
 * - Nothing half: an object is not seen before all of it is there.
 *
 * Failures are named, and the same everywhere: NotFound · Unreachable (tried again) · StorageRefused
 * (rights, or a secret that is wrong) · SpaceExhausted. CorruptError: the bytes are not those that were
 * promised, or a name is none. A directory promises nothing against its own administrator.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import { DirectoryStore } from './directory-store.ts';
import type { Written } from './durable-file.ts';
import { checkObjectName } from './places.ts';
import { S3Store } from './s3-store.ts';

export interface StoredName {
  readonly name: string;
  readonly length: number;
  /** By the clock of the place. */
  readonly modified: Date;
}

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
  /** Memory that may be used, at least as long: the answer is then a view of its beginning. */
  readonly into?: Buffer;
}

export interface ObjectStore {
  /** The place, as it was opened. */
  readonly url: string;
  /**
   * Gives `name` to these bytes unless it is taken; `exists` says nothing about what took it.
   * @param digest SHA-256 the bytes must have; checked before, and on the way where the place can
   */
  put(name: string, bytes: Uint8Array, options?: { readonly digest?: Digest }): Promise<Written>;
  /** The object, or exactly the range asked for. @throws Failure `NotFound`; CorruptError past its end */
  get(name: string, range?: ByteRange): Promise<Buffer>;
  /**
   * The newest version of the object that has this digest.
   * @param room where it may lie, if it is large enough; a store is free to use memory of its own
   * @throws CorruptError when none has
   */
  getExact(name: string, digest: Digest, room?: Buffer): Promise<Buffer>;
  /** The newest version of the object that `fits`. @throws CorruptError when none does */
  getFitting(name: string, fits: (bytes: Buffer) => boolean): Promise<Buffer>;
  /** `undefined` when it is not there. */
  head(name: string): Promise<{ readonly length: number } | undefined>;
  /** All names that start with `prefix`, in the order of their bytes. */
  list(prefix: string): AsyncIterable<StoredName>;
  /** Removes every version; what is not there counts as removed. */
  remove(name: string): Promise<void>;
}

/** How a site reaches a bucket. */
export interface S3Access {
  /** Absent for Amazon's own. */
  readonly endpoint?: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/**
 * Opens a place by its address: `file:///folder` or `s3://bucket/prefix`. Nothing is touched yet.
 * @throws Failure `Configuration` when the address is none, or a bucket comes without access
 */
export function openStore(url: string, access?: S3Access): ObjectStore {
  const { protocol } = parse(url);
  if (protocol === 'file:') return new DirectoryStore(url, folderOf(url));
  const { bucket, prefix } = bucketOf(url);
  if (!access) throw new Failure('Configuration', 'a bucket needs an access key and a secret');
  return new S3Store(url, { bucket, prefix, access });
}

/** The folder of a `file:` address. @throws Failure `Configuration` */
export function folderOf(url: string): string {
  const address = parse(url);
  if (address.protocol === 'file:' && address.host === '') return path.resolve(fileURLToPath(address));
  throw new Failure('Configuration', 'a folder is addressed as file:///folder');
}

/** Bucket and prefix of an `s3:` address; the prefix ends with a slash, or is empty. @throws Failure `Configuration` */
export function bucketOf(url: string): { bucket: string; prefix: string } {
  const address = parse(url);
  if (address.protocol !== 's3:' || address.host === '')
    throw new Failure('Configuration', 'a place is addressed as s3://bucket/prefix or file:///folder');
  const prefix = address.pathname.replace(/^\/+|\/+$/g, '');
  return { bucket: address.host, prefix: prefix === '' ? '' : `${checkObjectName(prefix)}/` };
}

function parse(url: string): URL {
  if (URL.canParse(url)) return new URL(url);
  throw new Failure('Configuration', 'a place is addressed as s3://bucket/prefix or file:///folder');
}
