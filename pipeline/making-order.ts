/**
 * Packs of a limited staging leave it on drives while the backup still makes others. So each object is
 * numbered as it is made: the set lists them in this order, and drives speak of them by it.
 *
 *   the journal (machine state)    names and sealed tables: what a backup that is tried again knows of packs
 *                                  that have left; others may not write it
 *   order/<run>/… (in staging)     the object of a number, as its 37 bytes, for copy hosts
 *
 * The journal comes first: what drives may take is never forgotten here. Where machine state is lost, packs
 * that have left keep their numbers, and what they held is sealed again.
 */
import path from 'node:path';
import { CorruptError, Reader, Writer } from '../format/cursor.ts';
import type { FrameRow } from '../format/pack.ts';
import { readObject, STORED_OBJECT_BYTES, type StoredObject, writeObject } from '../format/stored-object.ts';
import type { DirectoryStore } from '../store/directory-store.ts';
import { makeDirectoryDurable } from '../store/durable-file.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { orderName } from '../store/places.ts';
import { openFramesOf, packEndsOf } from './own-packs.ts';
import { acknowledge, acknowledgedPacks } from './spool-journal.ts';
import { ifThere } from './step-receipt.ts';

export interface MakingOrderParts {
  readonly place: DirectoryStore;
  readonly run: string;
  /** Of this run alone: another one numbers anew. */
  readonly journal: string;
  readonly indexKey: Uint8Array;
}

/** The source's side: one backup numbers what it makes. */
export class MakingOrder {
  readonly #parts: MakingOrderParts;
  readonly #objects: StoredObject[] = [];
  #queue: Promise<unknown> = Promise.resolve();
  #failed = false;

  private constructor(parts: MakingOrderParts) {
    this.#parts = parts;
  }

  /**
   * Goes on from an earlier attempt.
   * @param take hears of each pack whose table is known, whether it is still in staging or has left it
   * @throws CorruptError when staging numbers objects otherwise than this machine's journal
   */
  static async resume(
    parts: MakingOrderParts,
    take: (object: StoredObject, frames: readonly FrameRow[]) => void,
  ): Promise<MakingOrder> {
    await makeDirectoryDurable(path.dirname(parts.journal));
    const order = new MakingOrder(parts);
    for (const { object, frames } of acknowledgedPacks(parts.journal, parts.indexKey)) {
      await order.#number(object);
      take(object, frames);
    }
    for (;;) {
      const object = await objectAt(parts.place, parts.run, order.#objects.length);
      if (!object) return order;
      order.#objects.push(object);
      const frames = object.kind === 'index' ? undefined : await openFramesOf(parts.place, object, parts.indexKey);
      if (frames) take(object, frames);
    }
  }

  /** All so far, by number. */
  get objects(): readonly StoredObject[] {
    return this.#objects;
  }

  /** Numbers an object that is in staging; `settled` tells when it is on the medium. */
  add(object: StoredObject): void {
    this.#queue = this.#queue.then(async () => {
      if (object.kind !== 'index') acknowledge(this.#parts.journal, object, packEndsOf(this.#parts.place, object));
      await this.#number(object);
    });
    this.#queue.catch(() => {
      this.#failed = true;
    });
  }

  /** Once all that was added is numbered. @throws Failure of the medium */
  async settled(): Promise<void> {
    await this.#queue;
  }

  /** @throws Failure of the medium, as soon as there is one: a backup must not go on without its journal */
  async check(): Promise<void> {
    if (this.#failed) await this.#queue;
  }

  async #number(object: StoredObject): Promise<void> {
    const { place, run } = this.#parts;
    const number = this.#objects.push(object) - 1;
    const writer = new Writer(STORED_OBJECT_BYTES);
    writeObject(writer, object);
    if ((await place.put(orderName(run, number), writer.finish())) === 'created') return;
    if ((await objectAt(place, run, number))?.name !== object.name)
      throw new CorruptError(`order: number ${number} is another object in staging`);
  }
}

/**
 * The object a run made as its `number`-th; `undefined` when it has not made so many yet.
 * @throws CorruptError when what stands there is no object
 */
export async function objectAt(staging: ObjectStore, run: string, number: number): Promise<StoredObject | undefined> {
  const bytes = await ifThere(staging.get(orderName(run, number)));
  if (!bytes) return undefined;
  const reader = new Reader(bytes, 'order');
  const object = readObject(reader);
  reader.done();
  return object;
}
