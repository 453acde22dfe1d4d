import path from 'node:path';
import { INDEX_ENTRY_BYTES, writeIndexEntry } from '../format/chunk-index.ts';
import { Digesting } from '../format/digest.ts';
import { FrameOpener, FrameSealer, SEALED_BYTES_MAX } from '../format/frame.ts';
import { type ChunkEntry, type FrameRow, PackBuilder, type PackKeys, type PackKind } from '../format/pack.ts';
import type { StoredObject } from '../format/stored-object.ts';
import { DirectoryStore } from '../store/directory-store.ts';
import { DirectWriter } from '../store/durable-file.ts';
import { LevelChoice } from './level-choice.ts';
import { placeOf } from './object-list.ts';

/** What a writer of packs works with; crosses to threads as it is. */
export interface PackParts {
  readonly kind: PackKind;
  readonly keys: PackKeys;
  /** The place, a directory. */
  readonly url: string;
  readonly folder: string;
  /** Closed when it reaches this, at the latest where the format says. */
  readonly bytesMax: number;
  /** A spool's, shut while it is full. */
  readonly gate: SharedArrayBuffer;
}

/** A pack that has its name and is on the medium. */
export interface PackedObject {
  readonly object: StoredObject;
  /** An entry of the chunk index for each chunk, the pack's own number left 0. */
  readonly places: Uint8Array;
}

/**
 * Writes one pack after another: a frame is sealed, opened and compared, then handed to the disk; a
 * pack that is full is closed, named by its bytes, and reported. What is cut off in the middle has no
 * name and does not count.
 */
export class PackWriter {
  readonly #parts: PackParts;
  readonly #onPacked: (packed: PackedObject) => void;
  readonly #beginning: () => Promise<void> | void;
  readonly #store: DirectoryStore;
  readonly #file = new DirectWriter();
  readonly #sealing: { sealer: FrameSealer; opener: FrameOpener; into: Buffer };
  readonly #choice = new LevelChoice();
  #builder: PackBuilder | undefined;
  #digesting = new Digesting();
  /** Written since the writer was made. */
  sealedBytes = 0;

  /**
   * @param onPacked hears of each pack when it is on the medium under its name
   * @param beginning called before a pack is begun; may have to wait
   */
  constructor(parts: PackParts, onPacked: (packed: PackedObject) => void, beginning: () => Promise<void> | void) {
    this.#parts = parts;
    this.#onPacked = onPacked;
    this.#beginning = beginning;
    this.#store = new DirectoryStore(parts.url, parts.folder);
    this.#sealing = {
      sealer: new FrameSealer(this.#choice.level),
      opener: new FrameOpener(),
      into: Buffer.allocUnsafeSlow(SEALED_BYTES_MAX),
    };
  }

  /** Stores one frame. */
  async add(plain: Uint8Array, chunks: readonly ChunkEntry[]): Promise<void> {
    const begun = performance.now();
    if (this.#builder && !this.#fits(this.#builder, plain.length, chunks.length)) await this.end();
    if (!this.#builder) {
      await this.#beginning();
      await this.#begin();
    }
    const ready = performance.now();
    const piece = this.#builder?.add(plain, chunks, this.#sealing);
    if (!piece) throw new Error('a pack was not begun');
    const made = performance.now();
    await this.#append(piece);
    this.#choice.note(plain.length, made - ready, ready - begun + performance.now() - made);
    this.#sealing.sealer.level = this.#choice.level;
  }

  /** Closes the pack that is open, if there is one. */
  async end(): Promise<void> {
    const builder = this.#builder;
    if (!builder) return;
    for (const piece of builder.finish()) await this.#append(piece);
    this.#builder = undefined;
    const name = this.#digesting.digest();
    const object: StoredObject = { kind: kindOf(this.#parts.kind), name, length: this.#file.length };
    const file = this.#store.fileOf(placeOf(object));
    await this.#store.prepareFolder(path.dirname(file));
    await this.#file.finish(file);
    this.#onPacked({ object, places: placesOf(builder.frames) });
  }

  #fits(builder: PackBuilder, plainBytes: number, chunks: number): boolean {
    return builder.bytes < this.#parts.bytesMax && builder.fits(plainBytes, chunks);
  }

  async #begin(): Promise<void> {
    await this.#file.begin(this.#store.makingFolder);
    this.#digesting = new Digesting();
    this.#builder = new PackBuilder(this.#parts.kind, this.#parts.keys);
    await this.#append(this.#builder.header);
  }

  async #append(piece: Uint8Array): Promise<void> {
    this.#digesting.update(piece);
    this.sealedBytes += piece.length;
    await this.#file.append(piece);
  }
}

function kindOf(kind: PackKind): 'pack' | 'tree' {
  return kind === 'data' ? 'pack' : 'tree';
}

/** Where each chunk of a table lies, as entries of an index whose pack is number 0. */
export function placesOf(frames: readonly FrameRow[]): Buffer {
  const count = frames.reduce((sum, { chunks }) => sum + chunks.length, 0);
  const places = Buffer.allocUnsafe(count * INDEX_ENTRY_BYTES);
  let at = 0;
  for (const [frame, { chunks }] of frames.entries()) {
    let offset = 0;
    for (const { id, length } of chunks) {
      writeIndexEntry(places, at, { id, pack: 0, frame, offset, length });
      offset += length;
      at += INDEX_ENTRY_BYTES;
    }
  }
  return places;
}
