/**
 * Packs read in ranges, where they rest. A range carries no name to check it by: what it holds is
 * believed because the table, the frames and at last the chunks verify. When one does not, the newest
 * whole version that matches the pack's name is fetched, and read instead.
 */
import { KIB } from '../domain/units.ts';
import { CorruptError } from '../format/cursor.ts';
import { digestOf } from '../format/digest.ts';
import { packKey } from '../format/key-tree.ts';
import { type FrameRow, HEADER_BYTES_MAX, openPackTable } from '../format/pack.ts';
import { openSession } from '../format/session.ts';
import type { StoredObject } from '../format/stored-object.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { placeOf } from './object-list.ts';

/** Holds most tables whole; a longer one costs one more read. */
const TAIL_BYTES = 64 * KIB;

/** Where packs lie, and what opens them. */
export interface PackKeyring {
  readonly vault: ObjectStore;
  readonly restoreIdentity: string;
  /** Of the domain that the packs were sealed in. */
  readonly indexKey: Uint8Array;
}

/** Opens packs; a session's wrap is unwrapped once, since that costs 90 ms. */
export class PackReader {
  readonly #keyring: PackKeyring;
  readonly #sessions = new Map<string, Promise<Buffer>>();

  constructor(keyring: PackKeyring) {
    this.#keyring = keyring;
  }

  /**
   * Reads both ends of a pack.
   * @throws Failure `NotFound` when it is not there; CorruptError when no version of it is right
   */
  async open(object: StoredObject): Promise<StoredPack> {
    const pack = new StoredPack(object, this.#keyring.vault);
    try {
      await this.#unlock(pack);
    } catch (error) {
      if (!(error instanceof CorruptError)) throw error;
      await pack.rescue();
      await this.#unlock(pack);
    }
    return pack;
  }

  async #unlock(pack: StoredPack): Promise<void> {
    const { header, headerBytes, frames } = await pack.readTable(this.#keyring.indexKey);
    const wrap = digestOf(header.wrap);
    let session = this.#sessions.get(wrap);
    if (!session) {
      session = openSession(header.wrap, this.#keyring.restoreIdentity);
      this.#sessions.set(wrap, session);
    }
    pack.unlock({ key: packKey(await session, header.salt), headerBytes, frames });
  }
}

interface Unlocked {
  readonly key: Uint8Array;
  readonly headerBytes: Uint8Array;
  readonly frames: readonly FrameRow[];
}

export class StoredPack {
  readonly object: StoredObject;
  readonly #vault: ObjectStore;
  #whole: Buffer | undefined;
  #unlocked: Unlocked | undefined;

  constructor(object: StoredObject, vault: ObjectStore) {
    this.object = object;
    this.#vault = vault;
  }

  get opened(): Unlocked {
    if (!this.#unlocked) throw new Error('stored-pack: not opened');
    return this.#unlocked;
  }

  unlock(unlocked: Unlocked): void {
    this.#unlocked = unlocked;
  }

  /** Whether all of it was fetched and matched its name: what is wrong then was sealed so. */
  get rescued(): boolean {
    return this.#whole !== undefined;
  }

  /** @param into as of a store's range */
  async range(offset: number, length: number, into?: Buffer): Promise<Buffer> {
    if (this.#whole) {
      if (offset + length > this.#whole.length) throw new CorruptError('pack: shorter than its set says');
      return this.#whole.subarray(offset, offset + length);
    }
    return this.#vault.get(placeOf(this.object), { offset, length, ...(into && { into }) });
  }

  /** Fetches the newest version that has the pack's name. @throws CorruptError when there is none */
  async rescue(): Promise<void> {
    this.#whole ??= await this.#vault.getExact(placeOf(this.object), this.object.name);
  }

  /** Lets go of a whole version again. */
  release(): void {
    this.#whole = undefined;
  }

  async readTable(indexKey: Uint8Array): Promise<ReturnType<typeof openPackTable>> {
    const { length } = this.object;
    const tailAt = Math.max(0, length - TAIL_BYTES);
    const held = [{ at: tailAt, bytes: await this.range(tailAt, length - tailAt) }];
    if (tailAt > 0) held.push({ at: 0, bytes: await this.range(0, Math.min(length, HEADER_BYTES_MAX)) });
    for (;;) {
      let wanted: { offset: number; length: number } | undefined;
      const readAt = (offset: number, bytes: number): Uint8Array => {
        for (const part of held)
          if (offset >= part.at && offset + bytes <= part.at + part.bytes.length)
            return part.bytes.subarray(offset - part.at, offset - part.at + bytes);
        wanted = { offset, length: bytes };
        throw new RangeError('not read yet');
      };
      try {
        return openPackTable(readAt, length, indexKey);
      } catch (error) {
        if (!wanted) throw error;
        held.push({ at: wanted.offset, bytes: await this.range(wanted.offset, wanted.length) });
      }
    }
  }
}
