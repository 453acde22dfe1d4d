/**
 * A directory that a drive is mounted at, or that stands for one. What lies on it:
 *
 *   SEEDSHIP-DRIVE.json            {"format":0,"drive":"7F3A…"}: nothing about whose it is
 *   objects/NNN/NNNNNN.<epoch>     one sealed object each
 *   journal.<epoch>                mirrored from the copy host, sealed
 *   manifest                       sealed
 *   SHA256SUMS                     of all of these as they lie there, for whoever has no key; written last
 *
 * At the dock nothing on a drive is trusted: only names of this pattern are opened, piece by piece and
 * following no link; only plain files are read, and no more of them than the caller expects; no folder is
 * read past 4,096 names. Reads come from the medium, since a warm cache shows good data while the medium rots.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  fsyncSync,
  lstatSync,
  openSync,
  read,
  type Stats,
  statfsSync,
  write,
} from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { errnoOf, Failure } from '../domain/failure.ts';
import { NAME_RULES } from '../domain/names.ts';
import { CorruptError } from '../format/cursor.ts';
import { SEALED_PART_BYTES_MAX } from '../format/drive-seal.ts';
import { alignedBuffer, SECTOR, wholeSectors } from './direct-memory.ts';
import { driveFailure, isFull, tried } from './drive-failure.ts';
import { openDirect, openPlain, readSectors, readSome } from './drive-file.ts';
import { isEmpty, namesIn } from './drive-folder.ts';
import { DriveWriting } from './drive-writing.ts';
import { writeDurable } from './durable-file.ts';
import { PieceRing } from './piece-file.ts';
import { dropCache, makeDirectoryAt, openAt, unlinkAt } from './system-calls.ts';

export const DRIVE_LABEL_FILE = 'SEEDSHIP-DRIVE.json';
const LABEL_BYTES_MAX = 4096;
const SCRUB_BYTES = 1 << 20;
/** Of one reading step: whoever hears of one works on it while the next is read. */
const PIECE_BYTES = 4 << 20;
/** Memory of what is written: two pieces on their way while one fills. */
const WRITTEN = { count: 3, bytes: PIECE_BYTES, roomBytes: SEALED_PART_BYTES_MAX };
const FORMAT = 0;
const OBJECT_PLACE = /^objects\/(\d{3})\/(\1\d{3})\.([1-9]\d{0,5})$/;
const FILE_PLACE = /^(?:manifest|SHA256SUMS|journal\.[1-9]\d{0,5})$/;
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;

const [readFrom, writeTo, sync] = [promisify(read), promisify(write), promisify(fsync)];

/** Hears of a file's bytes as they are read, each piece and all so far. */
export type Heard = (piece: Buffer, soFar: Buffer) => void;

export interface DriveLocation {
  readonly path: string;
  readonly id: string;
  /** Bytes to use at most; what the file system has when absent. */
  readonly capacityBytes?: number;
}

export interface DriveFile {
  readonly place: string;
  readonly number: number;
  readonly epoch: number;
  readonly length: number; // bytes
}

/**
 * Opens a drive and makes sure that it is the one meant.
 * @param mode `write` labels one that is empty
 * @throws Failure `DriveMissing` when nothing is there, `DriveForeign` when it is another drive, or none
 */
export async function openVolume(at: DriveLocation, mode: 'read' | 'write'): Promise<DriveVolume> {
  const root = tried(() => openSync(at.path, O_RDONLY | O_DIRECTORY));
  try {
    const volume = new DriveVolume(at, root);
    let label = await volume.label();
    if (label === undefined && mode === 'write' && tried(() => isEmpty(at.path))) {
      const text = `${JSON.stringify({ format: FORMAT, drive: at.id })}\n`;
      await writeDurable(path.join(at.path, DRIVE_LABEL_FILE), Buffer.from(text));
      label = at.id;
    }
    if (label !== at.id)
      throw new Failure('DriveForeign', label === undefined ? 'this is no Seedship drive' : 'this is another drive');
    return volume;
  } catch (error) {
    closeSync(root);
    throw error;
  }
}

/** The id of the drive at `path`; `undefined` when there is none. @throws Failure `DriveMissing` */
export async function readDriveLabel(folder: string): Promise<string | undefined> {
  const root = tried(() => openSync(folder, O_RDONLY | O_DIRECTORY));
  try {
    return await new DriveVolume({ path: folder, id: '' }, root).label();
  } finally {
    closeSync(root);
  }
}

/**
 * What a folder is to become, or is, a drive: its id where it has one, and the bytes it has room for.
 * @throws Failure `DriveMissing`; `DriveForeign` when it holds something else
 */
export async function measureVolume(
  folder: string,
): Promise<{ readonly drive: string | undefined; readonly freeBytes: number }> {
  const drive = await readDriveLabel(folder);
  if (drive === undefined && !tried(() => isEmpty(folder)))
    throw new Failure('DriveForeign', 'this is no Seedship drive', { why: 'it holds something else' });
  const { bavail, bsize } = tried(() => statfsSync(folder));
  return { drive, freeBytes: bavail * bsize };
}

export class DriveVolume {
  readonly #at: DriveLocation;
  readonly #root: number;
  #used: number | undefined;
  #ring: PieceRing | undefined;
  /** Objects are up to 64 MiB, one after the other: memory for one is enough. */
  #room: Buffer = Buffer.alloc(0);

  constructor(at: DriveLocation, root: number) {
    this.#at = at;
    this.#root = root;
  }

  /** Bytes that may still be written. */
  freeBytes(): number {
    const { bavail, bsize } = tried(() => statfsSync(this.#at.path));
    const free = bavail * bsize;
    if (this.#at.capacityBytes === undefined) return free;
    this.#used ??= this.list().reduce((sum, { length }) => sum + length, 0);
    return Math.min(free, this.#at.capacityBytes - this.#used);
  }

  /**
   * Begins a file that must not be there yet; none other is filled until it is finished or abandoned.
   * @returns undefined when the drive is full
   * @throws Failure `DriveFailed`
   */
  begin(place: string): DriveWriting | undefined {
    const [folders, name] = split(place);
    const directory = this.#openFolder(folders, true);
    if (directory === undefined) return undefined;
    this.#ring ??= new PieceRing(WRITTEN);
    try {
      return new DriveWriting(directory, name, this.#ring);
    } catch (error) {
      if (isFull(error)) return undefined;
      throw driveFailure(error);
    }
  }

  /** Finishes it, as DriveWriting does, and counts its bytes among those that the drive holds. */
  async finish(file: DriveWriting): Promise<boolean> {
    const bytes = file.length;
    const done = await file.finish();
    if (done && this.#used !== undefined) this.#used += bytes;
    return done;
  }

  /** Writes a whole file; false when the drive is full: nothing is left of it then. @throws Failure `DriveFailed` */
  async write(place: string, bytes: Uint8Array): Promise<boolean> {
    const file = this.begin(place);
    return file !== undefined && (await file.append(bytes)) && (await this.finish(file));
  }

  /**
   * Reads a file from the medium, not from memory. What it returns stands until the next call, which must wait
   * until this one has returned.
   * @param bytesMax what the caller expects at most
   * @param heard is given its bytes in order, each piece while the next is being read; it must not throw
   * @returns undefined when it is not there
   * @throws CorruptError when it is no plain file, or larger; Failure `DriveFailed` when it cannot be read
   */
  async read(place: string, bytesMax: number, heard: Heard = () => {}): Promise<Buffer | undefined> {
    const [folders, name] = split(place);
    return this.#readFile(folders, name, { bytesMax, heard });
  }

  /**
   * As much of a file's beginning as the medium gives, however long it is: for finding where a fault begins.
   * @param bytesMax what is wanted at most
   */
  async readBeginning(place: string, bytesMax: number): Promise<Buffer> {
    const [folders, name] = split(place);
    const directory = this.#openFolder(folders, false);
    if (directory === undefined) return Buffer.alloc(0);
    try {
      const fd = openAt(directory, name, O_RDONLY | O_NONBLOCK);
      try {
        const length = fstatSync(fd).isFile() ? Math.min(fstatSync(fd).size, bytesMax) : 0;
        const bytes = Buffer.alloc(length);
        let done = 0;
        for (let got = 1; done < length && got > 0; done += got) got = await readSome(fd, bytes, done, length - done);
        if (done < length) done += await readSectors(directory, name, bytes.subarray(done), done);
        return bytes.subarray(0, done);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      if (error instanceof Failure || errnoOf(error) === '') throw error;
      return Buffer.alloc(0);
    } finally {
      closeSync(directory);
    }
  }

  /** What the drive says it is; `undefined` when it says nothing that makes sense. */
  async label(): Promise<string | undefined> {
    const bytes = await this.#readFile([], Buffer.from(DRIVE_LABEL_FILE), { bytesMax: LABEL_BYTES_MAX, heard() {} });
    try {
      const said: { format?: unknown; drive?: unknown } = JSON.parse((bytes ?? '{}').toString());
      const { format, drive } = said;
      return format === FORMAT && typeof drive === 'string' && NAME_RULES.drive.pattern.test(drive) ? drive : undefined;
    } catch {
      return undefined;
    }
  }

  /** All objects, whatever wrote them; other names are passed over. @throws Failure `DriveForeign` as namesIn does */
  list(): DriveFile[] {
    const files: DriveFile[] = [];
    for (const folder of this.#names('objects').filter((name) => /^\d{3}$/.test(name)))
      for (const name of this.#names(`objects/${folder}`)) {
        const place = `objects/${folder}/${name}`;
        const [, , number, epoch] = OBJECT_PLACE.exec(place) ?? [];
        if (number === undefined) continue;
        const { size } = tried(() => lstatSync(path.join(this.#at.path, place)));
        files.push({ place, number: Number(number), epoch: Number(epoch), length: size });
      }
    return files;
  }

  /** Journals, manifest and sums that are there. */
  listClosing(): string[] {
    return this.#names('').filter((name) => FILE_PLACE.test(name));
  }

  /**
   * Overwrites a file's first bytes where they lie, and removes it. A link, or a file with another name
   * elsewhere, is only removed.
   * @returns bytes overwritten
   */
  async scrub(place: string, bytesMax: number): Promise<number> {
    const [folders, name] = place === DRIVE_LABEL_FILE ? [[], Buffer.from(place)] : split(place);
    const directory = this.#openFolder(folders, false);
    if (directory === undefined) return 0;
    let done = 0;
    try {
      const fd = openPlain(directory, name);
      try {
        const length = fd === undefined ? 0 : Math.min(fstatSync(fd).size, bytesMax);
        for (const zeros = Buffer.alloc(Math.min(length, SCRUB_BYTES)); fd !== undefined && done < length; )
          done += (await writeTo(fd, zeros, 0, Math.min(zeros.length, length - done), done)).bytesWritten;
        if (fd !== undefined) await sync(fd);
      } finally {
        if (fd !== undefined) closeSync(fd);
      }
      unlinkAt(directory, name);
      fsyncSync(directory);
      return done;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return done;
      throw driveFailure(error);
    } finally {
      closeSync(directory);
    }
  }

  /** What is not there counts as removed. */
  remove(place: string): void {
    const [folders, name] = split(place);
    const directory = this.#openFolder(folders, false);
    if (directory === undefined) return;
    try {
      unlinkAt(directory, name);
      this.#used = undefined;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw driveFailure(error);
    } finally {
      closeSync(directory);
    }
  }

  close(): void {
    closeSync(this.#root);
  }

  #names(place: string): string[] {
    return tried(() => namesIn(this.#at.path, place));
  }

  async #readFile(
    folders: readonly Buffer[],
    name: Buffer,
    { bytesMax, heard }: { readonly bytesMax: number; readonly heard: Heard },
  ): Promise<Buffer | undefined> {
    const directory = this.#openFolder(folders, false);
    if (directory === undefined) return undefined;
    let fd: number | undefined;
    try {
      const direct = openDirect(directory, name, O_RDONLY | O_NONBLOCK);
      fd = direct ?? openAt(directory, name, O_RDONLY | O_NONBLOCK);
      const { size } = plainStatus(fd);
      if (size > bytesMax) throw new CorruptError('drive file: larger than any that was written');
      if (direct === undefined) dropCache(fd); // what memory has of it says nothing about the medium
      const whole = wholeSectors(size);
      if (this.#room.length < whole) this.#room = alignedBuffer(whole, SECTOR);
      let piece = this.#room.subarray(0, 0);
      for (let done = 0; done < size; done += piece.length) {
        const reading = readFrom(fd, this.#room, done, Math.min(PIECE_BYTES, whole - done), done);
        heard(piece, this.#room.subarray(0, done));
        const { bytesRead } = await reading;
        if (bytesRead === 0) throw new CorruptError('drive file: shorter than it was');
        piece = this.#room.subarray(done, Math.min(done + bytesRead, size));
      }
      heard(piece, this.#room.subarray(0, size));
      if (direct === undefined) dropCache(fd);
      return this.#room.subarray(0, size);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      if (errnoOf(error) === 'ELOOP') throw new CorruptError('drive file: not a plain file', { cause: error });
      throw driveFailure(error);
    } finally {
      if (fd !== undefined) closeSync(fd);
      closeSync(directory);
    }
  }

  /** Descends from the root, following no link. `undefined` when there is no such folder, or no room for it. */
  #openFolder(folders: readonly Buffer[], make: boolean): number | undefined {
    let directory = openAt(this.#root, Buffer.from('.'), O_RDONLY | O_DIRECTORY);
    for (const folder of folders) {
      const outer = directory;
      try {
        if (make) this.#makeFolder(outer, folder);
        directory = openAt(outer, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === 'ENOTDIR' || errno === 'ELOOP') throw new CorruptError('drive file: not in a plain folder');
        if ((errno === 'ENOENT' && !make) || isFull(error)) return undefined;
        throw driveFailure(error);
      } finally {
        closeSync(outer);
      }
    }
    return directory;
  }

  #makeFolder(outer: number, folder: Buffer): void {
    try {
      makeDirectoryAt(outer, folder, 0o700);
      fsyncSync(outer);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
  }
}

function plainStatus(fd: number): Stats {
  const status = fstatSync(fd);
  if (!status.isFile()) throw new CorruptError('drive file: not a plain file');
  return status;
}

function split(place: string): [Buffer[], Buffer] {
  if (!OBJECT_PLACE.test(place) && !FILE_PLACE.test(place)) throw new RangeError('drive-volume: no place of a drive');
  const names = place.split('/').map((name) => Buffer.from(name));
  return [names.slice(0, -1), names.at(-1) ?? Buffer.alloc(0)];
}
