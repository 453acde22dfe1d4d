/**
 * Where each chunk of a point lies: its index parts, as sorted files on disk with packs numbered as
 * this restore numbers them. Packs that no part lists are looked at themselves: an index only spares
 * reading tables, and a lost part must not lose a file.
 */
import { Failure } from '../domain/failure.ts';
import { MIB } from '../domain/units.ts';
import { INDEX_ENTRY_BYTES, INDEX_KEY_BYTES, openIndexPart, writeIndexEntry } from '../format/chunk-index.ts';
import { CorruptError } from '../format/cursor.ts';
import { TamperedError, type Trust } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import { ScratchFile } from '../store/scratch-file.ts';
import { eachInFlight } from './in-flight.ts';
import { placeOf } from './object-list.ts';
import { heldBytes, SortedRun, sortRecords } from './sorted-run.ts';
import type { PackKeyring, PackReader } from './stored-pack.ts';

const PAYLOAD_BYTES = INDEX_ENTRY_BYTES - INDEX_KEY_BYTES;
/** Entries of tables sorted in memory at once. */
const GATHER_ENTRIES = 256 * 1024;
const TABLES_IN_FLIGHT = 8;
/** Of all parts: half a million chunks are found without a read. */
const HELD_BYTES = 16 * MIB;

export interface Located {
  /** Number in `packs`. */
  readonly pack: number;
  readonly frame: number;
  /** In the frame's plain bytes. */
  readonly offset: number;
  readonly length: number;
}

export interface LookupParts {
  readonly keyring: PackKeyring;
  readonly reader: PackReader;
  /** All objects the point needs. */
  readonly members: readonly StoredObject[];
  readonly trust: Trust;
  /** Only indexes signed by machines of this domain are believed. */
  readonly domain: string | undefined;
  readonly directory: string;
}

export class ChunkLookup {
  /** Packs and tree packs, in the order of their numbers. */
  readonly packs: readonly StoredObject[];
  readonly #runs: SortedRun[] = [];
  readonly #parts: LookupParts;

  private constructor(parts: LookupParts) {
    this.#parts = parts;
    this.packs = parts.members.filter(({ kind }) => kind !== 'index');
  }

  /** Fetches the index of a point. @throws TamperedError when a part comes from outside the domain */
  static async open(parts: LookupParts, onRead: (object: StoredObject) => void): Promise<ChunkLookup> {
    const lookup = new ChunkLookup(parts);
    const numbers = new Map(lookup.packs.map(({ name }, number) => [name as string, number]));
    const covered = new Set<number>();
    for (const object of parts.members.filter(({ kind }) => kind === 'index')) {
      await lookup.#addPart(object, numbers, covered);
      onRead(object);
    }
    await lookup.#addTables(
      lookup.packs.map((object, number) => ({ object, number })).filter(({ number }) => !covered.has(number)),
      onRead,
    );
    return lookup;
  }

  /** `undefined` when no pack of the point holds it. */
  find(id: Uint8Array): Located | undefined {
    for (const run of this.#runs) {
      const found = run.find(id);
      if (!found) continue;
      const [pack, frame] = [found.readUInt32LE(0), found.readUInt16LE(4)];
      return { pack, frame, offset: found.readUInt32LE(6), length: found.readUInt32LE(10) };
    }
    return undefined;
  }

  close(): void {
    for (const run of this.#runs) run.close();
  }

  /** A part that is lost or damaged is none: its packs' tables say the same. */
  async #addPart(object: StoredObject, numbers: ReadonlyMap<string, number>, covered: Set<number>): Promise<void> {
    const { keyring, trust, domain } = this.#parts;
    try {
      const bytes = await keyring.vault.getExact(placeOf(object), object.name);
      const part = openIndexPart(bytes, { trust, name: object.name, indexKey: keyring.indexKey });
      if (part.signer.domain !== domain) throw new TamperedError('index: signed outside the domain');
      const renumbered = part.packs.map(({ name }) => numbers.get(name));
      const entries = renumber(part.entries, renumbered);
      this.#addRun(entries);
      for (const number of renumbered) if (number !== undefined) covered.add(number);
    } catch (error) {
      if (error instanceof TamperedError) throw error;
      if (!(error instanceof CorruptError) && !isMissing(error)) throw error;
    }
  }

  /** Packs that are missing hold nothing to be found; whoever needs their chunks says so. */
  async #addTables(
    packs: readonly { readonly object: StoredObject; readonly number: number }[],
    onRead: (object: StoredObject) => void,
  ): Promise<void> {
    let [entries, count] = [Buffer.allocUnsafe(0), 0];
    const gather = (more: Buffer): void => {
      entries = Buffer.concat([entries, more]);
      count += more.length / INDEX_ENTRY_BYTES;
      if (count >= GATHER_ENTRIES) flush();
    };
    const flush = (): void => {
      if (count > 0) this.#addRun(sortRecords(entries, INDEX_ENTRY_BYTES));
      [entries, count] = [Buffer.allocUnsafe(0), 0];
    };
    await eachInFlight(packs, TABLES_IN_FLIGHT, async ({ object, number }) => {
      try {
        const pack = await this.#parts.reader.open(object);
        gather(entriesOf(pack.opened.frames, number));
      } catch (error) {
        if (!(error instanceof CorruptError) && !isMissing(error)) throw error;
      }
      onRead(object);
    });
    flush();
  }

  #addRun(entries: Uint8Array): void {
    const path = `${this.#parts.directory}/index-${this.#runs.length}`;
    const file = ScratchFile.create(path);
    file.append(entries);
    file.close();
    this.#runs.push(new SortedRun(path, PAYLOAD_BYTES, HELD_BYTES - heldBytes(this.#runs)));
  }
}

/** Entries of packs this restore knows, with its numbers for them. */
function renumber(entries: Uint8Array, numbers: readonly (number | undefined)[]): Buffer {
  const bytes = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
  let end = 0;
  for (let at = 0; at < bytes.length; at += INDEX_ENTRY_BYTES) {
    const number = numbers[bytes.readUInt32LE(at + INDEX_KEY_BYTES)];
    if (number === undefined) continue;
    bytes.writeUInt32LE(number, at + INDEX_KEY_BYTES);
    if (end !== at) bytes.copyWithin(end, at, at + INDEX_ENTRY_BYTES);
    end += INDEX_ENTRY_BYTES;
  }
  return bytes.subarray(0, end);
}

function entriesOf(frames: StoredFrames, pack: number): Buffer {
  const count = frames.reduce((sum, { chunks }) => sum + chunks.length, 0);
  const bytes = Buffer.allocUnsafe(count * INDEX_ENTRY_BYTES);
  let at = 0;
  for (const [frame, { chunks }] of frames.entries()) {
    let offset = 0;
    for (const { id, length } of chunks) {
      writeIndexEntry(bytes, at, { id, pack, frame, offset, length });
      at += INDEX_ENTRY_BYTES;
      offset += length;
    }
  }
  return bytes;
}

type StoredFrames = Awaited<ReturnType<PackReader['open']>>['opened']['frames'];

function isMissing(error: unknown): boolean {
  return error instanceof Failure && error.code === 'NotFound';
}
