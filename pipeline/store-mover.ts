/**
 * Store to store: landing → vault, and staging → vault over the line.
 *
 *   1  what the destination holds in the right length is skipped
 *   2  the rest is read whole, its name verified, and written create-only, a few objects at once
 *   3  of a claim, the index goes first, then the pack set, then the point: who sees a point finds
 *      what it names
 *   4  the receipt commits; an attempt that finds one still makes sure that all is there
 */
import { Failure } from '../domain/failure.ts';
import { digestOf } from '../format/digest.ts';
import type { Trust } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { packSetName, parsePointName, repairName } from '../store/places.ts';
import type { ChildSecrets, Progress, SendTask, TransferResult } from './child-tasks.ts';
import { eachInFlight } from './in-flight.ts';
import { type ListedObject, listObjects, MissingRanges, placeOf, readObject, selectRanges } from './object-list.ts';
import { ObjectRooms } from './object-rooms.ts';
import { SentLog } from './sent-log.ts';
import { actorOf, findReceipt, getIfThere, openPlace, writeReceipt } from './step-receipt.ts';
import { Throttle } from './throttle.ts';

/** Packs are at most 64 MiB, and worker and child have 512 MiB together: one is read while the other is written. */
const OBJECTS_IN_FLIGHT = 2;

type Report = (progress: Progress) => void;
type Outcome = Omit<TransferResult, 'receipt'>;

/** Moves what the task names and commits. @throws Failure of either store */
export async function sendObjects(task: SendTask, secrets: ChildSecrets, report: Report): Promise<TransferResult> {
  const actor = actorOf(secrets, task.vaultId);
  const [from, to] = [openPlace(task.from, secrets), openPlace(task.to, secrets)];
  const found = await findReceipt<Outcome>(to, task, actor.trust);
  const set = await listObjects([from, to], task.packSet, actor.trust);
  const only = task.what === 'claim' ? 'index' : task.what === 'trees' ? 'tree' : undefined;
  const listed = selectRanges(set, task.ranges).filter(({ object }) => only === undefined || object.kind === only);
  const log = task.stateDirectory === undefined ? undefined : await SentLog.open(task.stateDirectory, task);
  const mover = new StoreMover({ from, to, log, throttle: new Throttle(task.bytesPerSecondMax, task.line) });
  const bytesTotal = listed.reduce((sum, { object }) => sum + object.length, 0);
  await eachInFlight(listed, OBJECTS_IN_FLIGHT, async (one) => {
    await mover.move(one);
    report({
      step: task.mode,
      bytesDone: mover.bytesSeen,
      bytesTotal,
      objectsDone: mover.objectsSeen,
      objectsTotal: listed.length,
    });
  });
  if (task.what === 'claim' || task.what === 'all') await nameClaim(task, from, to);
  log?.close();
  if (found) return { ...found.body, receipt: found.receipt };
  const written = await writeReceipt(to, task, actor, mover.outcome(task.mode));
  log?.remove();
  return { ...written.body, receipt: written.receipt };
}

/** What a claim is of: a pack set, the point that names it, the repair that goes with it. */
type Claim = Pick<SendTask, 'packSet' | 'point' | 'repair'>;

/** States a point whose packs are there: its index first. @throws Failure of either store */
export async function stateClaim(claim: Claim, { from, to, throttle }: Omit<Ends, 'log'>, trust: Trust): Promise<void> {
  const mover = new StoreMover({ from, to, throttle, log: undefined });
  const listed = await listObjects([from, to], claim.packSet, trust);
  for (const [at, object] of listed.entries()) if (object.kind === 'index') await mover.move({ object, at });
  await nameClaim(claim, from, to);
}

async function nameClaim({ packSet, point, repair }: Claim, from: ObjectStore, to: ObjectStore): Promise<void> {
  await copyNamed(from, to, packSetName(packSet), packSet);
  if (point === undefined) return;
  await copyNamed(from, to, point, parsePointName(point)?.digest);
  if (repair !== undefined) await copyNamed(from, to, repairName(repair), repair);
}

/** Copies a small object; one that the destination has already need not be at the source any more. */
async function copyNamed(from: ObjectStore, to: ObjectStore, name: string, digest: string | undefined): Promise<void> {
  const bytes = await getIfThere(from, name);
  if (!bytes) {
    if (await lengthAt(to, name)) return;
    throw new Failure('PacksMissing', 'the point or its pack set is not where it was left');
  }
  if (digestOf(bytes) !== digest) throw new Failure('Corrupt', 'the point or its pack set is not what its name says');
  await to.put(name, bytes);
}

interface Ends {
  readonly from: ObjectStore;
  readonly to: ObjectStore;
  readonly throttle: Throttle;
  readonly log: SentLog | undefined;
}

type Fate = 'moved' | 'present' | 'missing' | 'damaged';

/** Moves objects one by one and counts what became of them. */
export class StoreMover {
  readonly #ends: Ends;
  readonly #lost = new MissingRanges();
  readonly #rooms = new ObjectRooms();
  #objects = 0;
  #bytes = 0;
  #present = 0;
  #missing = 0;
  #damaged = 0;
  bytesSeen = 0;

  constructor(ends: Ends) {
    this.#ends = ends;
  }

  get objectsSeen(): number {
    return this.#objects + this.#present + this.#missing + this.#damaged;
  }

  async move({ object, at }: ListedObject): Promise<void> {
    const fate = await this.#carry(object);
    this.bytesSeen += object.length;
    if (fate === 'present') this.#present += 1;
    else if (fate === 'moved') {
      this.#objects += 1;
      this.#bytes += object.length;
    } else {
      if (fate === 'missing') this.#missing += 1;
      else this.#damaged += 1;
      this.#lost.add(at);
    }
  }

  outcome(mode: TransferResult['mode']): Outcome {
    return {
      kind: 'transfer',
      mode,
      objects: this.#objects,
      bytes: this.#bytes,
      present: this.#present,
      missing: this.#missing,
      damaged: this.#damaged,
      missingRanges: this.#lost.ranges(),
    };
  }

  async #carry(object: StoredObject): Promise<Fate> {
    const { to, log, throttle } = this.#ends;
    if (log?.has(object.name)) return 'present';
    if ((await lengthAt(to, placeOf(object))) === object.length) return 'present';
    await throttle.take(object.length);
    return this.#rooms.lend((room) => this.#copy(object, room));
  }

  async #copy(object: StoredObject, room: Buffer): Promise<Fate> {
    const { from, to, log } = this.#ends;
    const bytes = await readObject(from, object, room);
    if (typeof bytes === 'string') return bytes;
    const written = await to.put(placeOf(object), bytes, { digest: object.name });
    if (written === 'exists' && !(await this.#isThere(object))) return 'damaged';
    log?.add(object.name);
    return written === 'created' ? 'moved' : 'present';
  }

  /** Something has the name: by its length the object, or something that was put over it. */
  async #isThere(object: StoredObject): Promise<boolean> {
    const { to } = this.#ends;
    const length = await lengthAt(to, placeOf(object));
    return length === undefined || length === object.length || typeof (await readObject(to, object)) !== 'string';
  }
}

/** The length of what has the name; `undefined` when nothing has, or when this identity may only add. */
export async function lengthAt(store: ObjectStore, name: string): Promise<number | undefined> {
  try {
    return (await store.head(name))?.length;
  } catch (error) {
    if (error instanceof Failure && (error.code === 'StorageRefused' || error.code === 'NotAllowed')) return undefined;
    throw error;
  }
}
