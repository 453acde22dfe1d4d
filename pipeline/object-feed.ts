/**
 * What a drive is to carry, one object after the other: the ranges of a set that is known, or, of a limited
 * staging, what the backup makes, until its receipt is there and nothing more comes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { mergeRanges } from '../domain/drive.ts';
import type { ObjectRange } from '../domain/receipt.ts';
import type { Trust } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { PrepareTask } from './child-tasks.ts';
import { objectAt } from './making-order.ts';
import { type ListedObject, listObjects, placeOf, selectRanges } from './object-list.ts';
import { findReceipt } from './step-receipt.ts';
import { waited } from './waiting.ts';

/** How long a limited staging is left alone when nothing new is in it. */
const PAUSE_MS = 200;

/** As many as are read again from a drive that lost its power (drive-fill.ts). */
const LINGERING_OBJECTS = 4;

export interface ObjectFeed {
  /** Objects and bytes in all, where that is known. */
  readonly total: { readonly objects: number; readonly bytes: number } | undefined;
  /** The object of a number, if it is one for this drive and there is one by now. */
  find(number: number): Promise<StoredObject | undefined>;
  /** Those for this drive, in order. @param waiting called at each look when the next one is not there yet */
  objects(waiting: () => void): AsyncIterable<ListedObject>;
  /** An object is on the drive, and was read back where `total` is not known: it need not stay in staging. */
  onDrive(object: StoredObject): Promise<void>;
  /** The drive is closed, and was read back: all of it may leave staging. */
  release(): Promise<void>;
  /** Nothing more is wanted. */
  close(): void;
}

/** @throws Failure `PacksMissing` when staging does not have the set; TamperedError when a machine did not sign it */
export async function openFeed(task: PrepareTask, staging: ObjectStore, trust: Trust): Promise<ObjectFeed> {
  const { run, ranges, stageStep } = task;
  if (stageStep !== undefined) return new MakingFeed({ run, ranges, stageStep }, staging, trust);
  return new SetFeed(selectRanges(await listObjects([staging], task.packSet, trust), mergeRanges(task.ranges)));
}

class SetFeed implements ObjectFeed {
  readonly total: { readonly objects: number; readonly bytes: number };
  readonly #listed: readonly ListedObject[];
  readonly #byNumber: ReadonlyMap<number, StoredObject>;

  constructor(listed: readonly ListedObject[]) {
    this.#listed = listed;
    this.#byNumber = new Map(listed.map(({ at, object }) => [at, object]));
    this.total = { objects: listed.length, bytes: listed.reduce((sum, { object }) => sum + object.length, 0) };
  }

  async find(number: number): Promise<StoredObject | undefined> {
    return this.#byNumber.get(number);
  }

  async *objects(): AsyncIterable<ListedObject> {
    yield* this.#listed;
  }

  async onDrive(): Promise<void> {}

  async release(): Promise<void> {}

  close(): void {}
}

type MakingTask = Pick<PrepareTask, 'run' | 'ranges'> & { readonly stageStep: string };

class MakingFeed implements ObjectFeed {
  readonly total = undefined;
  readonly #task: MakingTask;
  readonly #staging: ObjectStore;
  readonly #trust: Trust;
  readonly #leaving: StoredObject[] = [];
  #closed = false;

  constructor(task: MakingTask, staging: ObjectStore, trust: Trust) {
    this.#task = task;
    this.#staging = staging;
    this.#trust = trust;
  }

  async find(number: number): Promise<StoredObject | undefined> {
    if (!this.#task.ranges.some(({ from, to }) => number >= from && number < to)) return undefined;
    return objectAt(this.#staging, this.#task.run, number);
  }

  async *objects(waiting: () => void): AsyncIterable<ListedObject> {
    for (const range of mergeRanges(this.#task.ranges)) yield* this.#within(range, waiting);
  }

  /**
   * Directories' records and the index stay: they are small, and the point is stated from them. The last few
   * packs stay while others come, since a power cut may still take them from the drive.
   */
  async onDrive(object: StoredObject): Promise<void> {
    if (object.kind === 'pack') this.#leaving.push(object);
    await this.#letGo(LINGERING_OBJECTS);
  }

  release(): Promise<void> {
    return this.#letGo(0);
  }

  close(): void {
    this.#closed = true;
  }

  async #letGo(butFor: number): Promise<void> {
    while (this.#leaving.length > butFor) {
      const [object] = this.#leaving;
      if (object) await this.#staging.remove(placeOf(object));
      this.#leaving.shift();
    }
  }

  async *#within({ from, to }: ObjectRange, waiting: () => void): AsyncIterable<ListedObject> {
    for (let at = from; at < to; at++) {
      const object = await this.#wait(at, waiting);
      if (!object) return;
      yield { at, object };
    }
  }

  async #wait(at: number, waiting: () => void): Promise<StoredObject | undefined> {
    const { run, stageStep } = this.#task;
    for (;;) {
      const over = await findReceipt(this.#staging, { run, step: stageStep }, this.#trust);
      const object = await objectAt(this.#staging, run, at); // after the receipt was looked for: it comes last
      if (object) return object;
      await this.#letGo(0); // the backup may be waiting for their room
      if (over || this.#closed) return undefined;
      waiting();
      waited(); // whether the backup is stuck, its own step sees
      await sleep(PAUSE_MS);
    }
  }
}
