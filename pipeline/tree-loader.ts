/**
 * Directory records by their ids, from tree packs. A walk asks for parents first and finds children
 * near them, towards the front: a record is stored when all below it is. So a read takes what lies
 * before the frame along, and the last few windows and frames are kept.
 */
import { MIB } from '../domain/units.ts';
import { CorruptError } from '../format/cursor.ts';
import { sha256 } from '../format/digest.ts';
import { FrameOpener, packSeal } from '../format/frame.ts';
import type { ChunkLookup, Located } from './chunk-lookup.ts';
import type { PackReader, StoredPack } from './stored-pack.ts';

const WINDOW_BYTES = 4 * MIB;
const WINDOWS_MAX = 4;
const FRAMES_MAX = 12;
const PACKS_MAX = 8;

interface Window {
  readonly start: number;
  readonly bytes: Buffer;
}

export class TreeLoader {
  readonly #lookup: ChunkLookup;
  readonly #reader: PackReader;
  readonly #opener = new FrameOpener();
  readonly #packs = new Recent<number, StoredPack>(PACKS_MAX);
  readonly #windows = new Recent<number, Window>(WINDOWS_MAX);
  readonly #frames = new Recent<string, Buffer>(FRAMES_MAX);

  constructor(lookup: ChunkLookup, reader: PackReader) {
    this.#lookup = lookup;
    this.#reader = reader;
  }

  /**
   * The record whose SHA-256 is `id`.
   * @throws CorruptError when no pack of the point holds it; Failure `NotFound` when its pack is not there
   */
  async load(id: Uint8Array): Promise<Buffer> {
    const located = this.#lookup.find(id);
    if (!located) throw new CorruptError('tree: a record that no pack of the point holds');
    const pack = await this.#pack(located.pack);
    try {
      return await this.#record(pack, located, id);
    } catch (error) {
      if (!(error instanceof CorruptError) || pack.rescued) throw error;
      await pack.rescue();
      this.#windows.delete(located.pack);
      this.#frames.delete(`${located.pack}/${located.frame}`);
      return this.#record(pack, located, id);
    }
  }

  async #pack(number: number): Promise<StoredPack> {
    const known = this.#packs.get(number);
    if (known) return known;
    const object = this.#lookup.packs[number];
    if (!object) throw new CorruptError('tree: a record in no pack of the point');
    return this.#packs.set(number, await this.#reader.open(object));
  }

  async #record(pack: StoredPack, { pack: number, frame, offset, length }: Located, id: Uint8Array): Promise<Buffer> {
    const key = `${number}/${frame}`;
    const plain = this.#frames.get(key) ?? this.#frames.set(key, await this.#frame(pack, number, frame));
    const record = plain.subarray(offset, offset + length);
    if (!sha256(record).equals(id)) throw new CorruptError('tree: not the record of its id');
    return record;
  }

  async #frame(pack: StoredPack, number: number, frame: number): Promise<Buffer> {
    const { key, headerBytes, frames } = pack.opened;
    const row = frames[frame];
    if (!row) throw new CorruptError('tree: a record in no frame of its pack');
    const end = row.offset + row.sealedBytes;
    let window = this.#windows.get(number);
    if (!window || row.offset < window.start || end > window.start + window.bytes.length) {
      const start = frames.find(({ offset }) => end - offset <= WINDOW_BYTES)?.offset ?? row.offset;
      window = this.#windows.set(number, { start, bytes: await pack.range(start, end - start) });
    }
    const sealed = window.bytes.subarray(row.offset - window.start, end - window.start);
    return Buffer.from(this.#opener.open(sealed, packSeal(key, headerBytes), frame, row));
  }
}

/** The last few of something. */
class Recent<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  set(key: K, value: V): V {
    this.#entries.set(key, value);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > this.#max && oldest !== undefined) this.#entries.delete(oldest);
    return value;
  }

  delete(key: K): void {
    this.#entries.delete(key);
  }
}
