/**
 * A place that is a directory. Objects are plain files under their names, first made in `.making/`,
 * so that a copy of the directory by any tool is a copy of the place. Names that start with a dot are
 * not objects.
 *
 * A share that is not mounted must not fill the system disk, nor look like a place that lost all it
 * had: `.making/` is made once, by `preparePlace`, nothing is written without it, and a folder that is
 * missing or empty is Unreachable, not a place without objects.
 */
import { constants, type Dirent } from 'node:fs';
import { open, readdir, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf, Failure, type FailureCode } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import { CorruptError } from '../format/cursor.ts';
import { digestOf } from '../format/digest.ts';
import { makeDirectoryDurable, removeLeftovers, syncDirectory, type Written, writeDurable } from './durable-file.ts';
import type { ByteRange, ObjectStore, StoredName } from './object-store.ts';
import { checkObjectName } from './places.ts';

const MAKING = '.making';
const STATS_AT_ONCE = 64;

const CODES: Readonly<Record<string, FailureCode>> = {
  ENOENT: 'NotFound',
  ENOTDIR: 'NotFound',
  ENOSPC: 'SpaceExhausted',
  EDQUOT: 'SpaceExhausted',
  EACCES: 'StorageRefused',
  EPERM: 'StorageRefused',
  EROFS: 'StorageRefused',
  ELOOP: 'StorageRefused',
};

/** An errno of a place as the failure it is; whatever else may happen to a disk or a share passes by itself. */
export function placeFailure(error: unknown): unknown {
  const errno = errnoOf(error);
  if (errno === '' || error instanceof Failure) return error;
  const code = CODES[errno] ?? 'Unreachable';
  return new Failure(code, `the place answers ${errno}`, {
    why: errno,
    ...(code === 'StorageRefused' && { next: 'give this site’s user its rights there, then resolve with retry' }),
    cause: error,
  });
}

export class DirectoryStore implements ObjectStore {
  readonly url: string;
  /** Where it lies on this host. */
  readonly folder: string;
  readonly #known = new Set<string>();

  constructor(url: string, folder: string) {
    this.url = url;
    this.folder = folder;
  }

  async put(name: string, bytes: Uint8Array, { digest }: { readonly digest?: Digest } = {}): Promise<Written> {
    const file = this.fileOf(name);
    if (digest !== undefined && digestOf(bytes) !== digest)
      throw new CorruptError('object: not the bytes of its digest');
    return this.#tried(async () => {
      await this.prepareFolder(path.dirname(file));
      return writeDurable(file, bytes, this.makingFolder);
    });
  }

  get(name: string, range?: ByteRange): Promise<Buffer> {
    return this.#read(name, range);
  }

  #read(name: string, range?: ByteRange, room = range?.into): Promise<Buffer> {
    const file = this.fileOf(name);
    return this.#tried(async () => {
      const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        const { size } = await handle.stat();
        const { offset, length } = range ?? { offset: 0, length: size };
        if (offset + length > size) throw new CorruptError('object: shorter than it should be');
        const bytes = room && room.length >= length ? room.subarray(0, length) : Buffer.allocUnsafe(length);
        for (let done = 0; done < length; ) {
          const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
          if (bytesRead === 0) throw new CorruptError('object: shorter than it should be');
          done += bytesRead;
        }
        return bytes;
      } finally {
        await handle.close();
      }
    });
  }

  getExact(name: string, digest: Digest, room?: Buffer): Promise<Buffer> {
    return this.getFitting(name, (bytes) => digestOf(bytes) === digest, room);
  }

  async getFitting(name: string, fits: (bytes: Buffer) => boolean, room?: Buffer): Promise<Buffer> {
    const bytes = await this.#read(name, undefined, room);
    if (!fits(bytes)) throw new CorruptError('object: not the bytes it should be');
    return bytes;
  }

  head(name: string): Promise<{ readonly length: number } | undefined> {
    const file = this.fileOf(name);
    return this.#tried(async () => {
      const found = await stat(file).catch((error: unknown) => this.#absent(error));
      return found?.isFile() ? { length: found.size } : undefined;
    });
  }

  async *list(prefix: string): AsyncGenerator<StoredName> {
    if (await this.#gone()) throw notThere();
    yield* this.#listFolder('', prefix);
  }

  async remove(name: string): Promise<void> {
    const file = this.fileOf(name);
    await this.#tried(async () => {
      const found = await unlink(file).then(
        () => true,
        (error: unknown) => this.#absent(error),
      );
      if (found) await syncDirectory(path.dirname(file));
    });
  }

  /** The file of an object. @throws CorruptError for a name that is none */
  fileOf(name: string): string {
    return path.join(this.folder, checkObjectName(name));
  }

  /** Where objects are made before they have their names; for those who write files themselves. */
  get makingFolder(): string {
    return path.join(this.folder, MAKING);
  }

  /** Makes the folder of an object, durably. @throws an errno error; ENOENT when the place is not prepared */
  async prepareFolder(folder: string): Promise<void> {
    if (this.#known.has(folder)) return;
    await stat(this.makingFolder);
    await makeDirectoryDurable(folder, this.folder);
    this.#known.add(folder);
  }

  /** Removes what killed writers left, untouched for `untouchedMs`. @returns how many */
  sweep(untouchedMs: number): Promise<number> {
    return this.#tried(async () => removeLeftovers(this.makingFolder, untouchedMs));
  }

  async *#listFolder(folder: string, prefix: string): AsyncGenerator<StoredName> {
    const entries = await this.#tried(() => this.#entries(folder));
    const wanted = entries.filter((entry) => overlap(`${folder}${entry.name}`, entry.isDirectory(), prefix));
    wanted.sort((a, b) => Buffer.compare(sortKey(a), sortKey(b)));
    for (let at = 0; at < wanted.length; at += STATS_AT_ONCE) {
      const some = wanted.slice(at, at + STATS_AT_ONCE);
      const stats = await this.#tried(() => Promise.all(some.map((entry) => this.#statFile(folder, entry))));
      for (const [index, entry] of some.entries()) {
        const found = stats[index];
        const name = `${folder}${entry.name}`;
        if (entry.isDirectory()) yield* this.#listFolder(`${name}/`, prefix);
        else if (found) yield { name, length: found.size, modified: found.mtime };
      }
    }
  }

  async #entries(folder: string): Promise<Dirent[]> {
    try {
      const all = await readdir(path.join(this.folder, folder), { withFileTypes: true });
      return all.filter((entry) => !entry.name.startsWith('.') && (entry.isFile() || entry.isDirectory()));
    } catch (error) {
      if (folder !== '' && CODES[errnoOf(error)] === 'NotFound') return []; // removed while it was listed
      throw error;
    }
  }

  /** `undefined` for a directory, and for a file that was removed since. */
  async #statFile(folder: string, entry: Dirent) {
    if (!entry.isFile()) return undefined;
    return stat(path.join(this.folder, folder, entry.name)).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    });
  }

  async #tried<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw CODES[errnoOf(error)] === 'NotFound' && (await this.#gone()) ? notThere() : placeFailure(error);
    }
  }

  /** Lets a missing object pass as `undefined`, if the place itself is there. */
  async #absent(error: unknown): Promise<undefined> {
    if (CODES[errnoOf(error)] !== 'NotFound' || (await this.#gone())) throw error;
    return undefined;
  }

  async #gone(): Promise<boolean> {
    return (await readdir(this.folder).catch(() => [])).length === 0;
  }
}

function notThere(): Failure {
  return new Failure('Unreachable', 'the place is not there', {
    why: 'its folder is missing or empty: is it mounted?',
  });
}

/** Whether a folder is there and is a place, mounted if it is a share. */
export async function isPlace(folder: string): Promise<boolean> {
  return (await readdir(folder).catch((): string[] => [])).includes(MAKING);
}

/** Makes a folder a place that objects can be put in, durably; one that already is stays as it is. 0700. */
export async function preparePlace(folder: string): Promise<void> {
  try {
    await makeDirectoryDurable(path.join(folder, MAKING));
  } catch (error) {
    throw placeFailure(error);
  }
}

/** Whether a name starts with the prefix, or a directory may hold one that does. */
function overlap(name: string, isDirectory: boolean, prefix: string): boolean {
  if (name.startsWith(prefix)) return true;
  return isDirectory && prefix.startsWith(`${name}/`);
}

/** A directory sorts as its names do, with the slash: the order of an S3 listing. */
function sortKey(entry: Dirent): Buffer {
  return Buffer.from(entry.isDirectory() ? `${entry.name}/` : entry.name);
}
