/**
 * drive → landing. The drive comes from the street: nothing on it is believed before it is verified.
 *
 *   1  the drive says it is the one meant, and its manifest has the digest that the import job recorded
 *      before shipping: a swapped, older or altered drive ends here
 *   2  an object must be of the job's signed set; what landing has already is not read again
 *   3  a file is opened as it is read, its seal and then its name are verified, then it is put, create-only; of one
 *      that fails the digest in the manifest tells what became of it
 *   4  what was taken and what was refused, why, and from which byte on, stands in the signed copy log; a bad
 *      object costs that object
 *   5  the receipt, in landing, commits; an attempt that finds one whose objects are not all in landing takes
 *      the drive in again
 */
import type { CopyOutcome, DriveRefusal } from '../domain/copy-code.ts';
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import { type CopiedObject, isTaken, openCopyLog, signCopyLog } from '../format/copy-log.ts';
import { CorruptError } from '../format/cursor.ts';
import { Digesting, digestOf } from '../format/digest.ts';
import { type DriveManifest, type DriveObject, openManifest } from '../format/drive-manifest.ts';
import {
  DRIVE_FILE_BYTES_MAX,
  DriveOpening,
  firstFault,
  MANIFEST_PLACE,
  objectPlace,
  openDriveFile,
  sealedFileBytes,
} from '../format/drive-seal.ts';
import { checkWrap, openSession } from '../format/session.ts';
import type { Trust } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import type { DriveVolume, Heard } from '../store/drive-volume.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { copyLogName, driveKeyName } from '../store/places.ts';
import type { ChildSecrets, IngestTask, Progress, TransferResult } from './child-tasks.ts';
import { type OpenDrive, openDrive } from './drive-access.ts';
import { lockDrive } from './drive-journals.ts';
import { eachInFlight } from './in-flight.ts';
import { listObjects, MissingRanges, placeOf, readObject as readLanded } from './object-list.ts';
import { ObjectRooms } from './object-rooms.ts';
import { actorOf, findReceipt, getIfThere, openPlace, writeReceipt } from './step-receipt.ts';
import { lengthAt } from './store-mover.ts';
import { Throttle } from './throttle.ts';
import { YoungGarbage } from './young-garbage.ts';

/** One is read and opened while the other is put; each is up to 64 MiB. */
const OBJECTS_IN_FLIGHT = 2;
/** The datacenter, and the restore recipient. */
const WRAP_RECIPIENTS = 2;

/** Why a drive that does not even say who it is was refused. */
const DRIVE_DETAILS: Readonly<Record<string, DriveRefusal>> = {
  DriveMissing: 'DiskNotFound',
  DriveForeign: 'ManifestDriveIdMismatch',
};

/** Faults that begin somewhere in a file. */
const LOCATED: ReadonlySet<CopyOutcome> = new Set(['unreadable', 'altered', 'broken', 'short']);

type Report = (progress: Progress) => void;
type Outcome = Omit<TransferResult, 'receipt'>;

/**
 * Takes the drive in and commits.
 * @throws Failure `DriveForeign`, `DriveOutdated`, `DriveMissing`, `DriveFailed`; of landing
 */
export async function takeDrive(task: IngestTask, secrets: ChildSecrets, report: Report): Promise<TransferResult> {
  const actor = actorOf(secrets, task.vaultId);
  const landing = openPlace(task.to, secrets);
  const keys = task.keysFrom ? openPlace(task.keysFrom, secrets) : landing;
  const set = await refusedAs('BlobListFormatInvalid', () => listObjects([keys, landing], task.packSet, actor.trust));
  const found = await findReceipt<Outcome>(landing, task, actor.trust);
  if (found && (await hasLanded(landing, task, found.body.copyLog, actor.trust)))
    return { ...found.body, receipt: found.receipt };
  const lock = await lockDrive(task);
  let drive: OpenDrive | undefined;
  try {
    drive = await openDrive(task.drive, 'read').catch((error: unknown) => {
      throw refusal(DRIVE_DETAILS[codeOf(error)] ?? 'DiskOperationFailed', error);
    });
    const { volume } = drive;
    const driveKeys = new DriveKeys(task, keys, secrets.datacenterIdentity);
    const manifest = await readManifest(task, volume, driveKeys);
    const intake = new DriveIntake({ task, volume, landing, driveKeys, manifest, set, report });
    const outcome = await intake.run();
    const log = { drive: task.drive.id, job: task.job, manifest: task.manifest, objects: intake.log() };
    const signed = signCopyLog(log, actor);
    const copyLog = digestOf(signed);
    await landing.put(copyLogName(copyLog), signed);
    const written = await writeReceipt(landing, task, actor, { ...outcome, copyLog });
    return { ...written.body, receipt: written.receipt };
  } finally {
    drive?.close();
    lock.release();
  }
}

/** Whether all that a copy log counts as there is in landing, by name and length; bytes are checked when they go on. */
async function hasLanded(
  landing: ObjectStore,
  { drive, job }: IngestTask,
  name: Digest | undefined,
  trust: Trust,
): Promise<boolean> {
  if (name === undefined) return false;
  const signed = await landing.getExact(copyLogName(name), name);
  const { objects } = openCopyLog(signed, { trust, name, drive: drive.id, job }).log;
  let all = true;
  await eachInFlight(objects.filter(isTaken), OBJECTS_IN_FLIGHT, async (object) => {
    if ((await lengthAt(landing, placeOf(object))) !== object.length) all = false;
  });
  return all;
}

/** The drive key of each epoch, unwrapped once. */
class DriveKeys {
  readonly #task: IngestTask;
  readonly #store: ObjectStore;
  readonly #identity: string;
  readonly #opened = new Map<number, { readonly wrap: Digest; readonly key: Promise<Buffer> }>();

  constructor(task: IngestTask, store: ObjectStore, identity: string | undefined) {
    if (identity === undefined) throw new Failure('Configuration', 'this dock has no datacenter identity');
    this.#task = task;
    this.#store = store;
    this.#identity = identity;
  }

  /**
   * @param wrap what the manifest says the wrap is
   * @throws Failure `NotFound` when the wrap never came; CorruptError when it is another or not for this datacenter
   */
  async of(epoch: number, wrap?: Digest): Promise<Buffer> {
    let opened = this.#opened.get(epoch);
    if (!opened) {
      const bytes = await getIfThere(this.#store, driveKeyName(this.#task.drive.id, epoch));
      if (!bytes)
        throw new Failure('NotFound', `the key of this drive's epoch ${epoch} has not arrived in landing`, {
          next: 'run `seedship drive prepare` again where landing can be reached',
          detail: 'BitLockerProtectorNotFound',
        });
      opened = { wrap: digestOf(bytes), key: refusedAs('BitLockerKeyInvalid', () => this.#unwrap(bytes)) };
      this.#opened.set(epoch, opened);
    }
    if (wrap !== undefined && opened.wrap !== wrap)
      throw refusal('BitLockerKeyInvalid', new CorruptError('wrap: not the one the manifest names'));
    return opened.key;
  }

  async #unwrap(bytes: Buffer): Promise<Buffer> {
    checkWrap(bytes, WRAP_RECIPIENTS);
    return openSession(bytes, this.#identity);
  }
}

async function readManifest(task: IngestTask, volume: DriveVolume, keys: DriveKeys): Promise<DriveManifest> {
  const reading = () => volume.read(MANIFEST_PLACE, sealedFileBytes(DRIVE_FILE_BYTES_MAX));
  const sealed = await refusedAs('ReadManifestFailed', reading);
  if (!sealed)
    throw new Failure('DriveFailed', 'the drive has no manifest: it was not prepared to the end', {
      detail: 'ManifestNotFound',
    });
  if (digestOf(sealed) !== task.manifest) throw await otherManifest(task, sealed, keys);
  const { vaultId, job, packSet, epoch, drive } = task;
  const expected = { drive: drive.id, vaultId, job, packSet };
  const driveKey = await keys.of(epoch);
  const manifest = await refusedAs('ManifestFormatInvalid', async () =>
    openManifest(sealed, { name: task.manifest, driveKey, expected }),
  );
  await keys.of(epoch, manifest.wraps[epoch - 1]);
  return manifest;
}

/** An older epoch of the right drive opens under an older key; anything else is damage, or worse. */
async function otherManifest(task: IngestTask, sealed: Buffer, keys: DriveKeys): Promise<Failure> {
  for (let epoch = task.epoch; epoch > 0; epoch--) {
    try {
      openDriveFile(sealed, { driveKey: await keys.of(epoch), place: MANIFEST_PLACE });
      return new Failure('DriveOutdated', 'this is an older state of the drive than the one that was shipped', {
        detail: 'ManifestCorrupted',
      });
    } catch (error) {
      const cannotOpen = error instanceof CorruptError || (error instanceof Failure && isKeyFailure(error));
      if (!cannotOpen) throw error;
    }
  }
  return new Failure('DriveForeign', 'the manifest is not the one that was recorded before shipping', {
    detail: 'ManifestCorrupted',
  });
}

function isKeyFailure({ detail }: Failure): boolean {
  return detail === 'BitLockerProtectorNotFound' || detail === 'BitLockerKeyInvalid';
}

/** Whatever goes wrong with the bytes in `work` refuses the drive for this reason, unless one is given already. */
async function refusedAs<T>(detail: DriveRefusal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw refusal(detail, error);
  }
}

function refusal(detail: DriveRefusal, error: unknown): unknown {
  if (error instanceof CorruptError)
    return new Failure(error.name === 'TamperedError' ? 'Tampered' : 'Corrupt', error.message, { detail });
  if (!(error instanceof Failure) || error.detail !== undefined) return error;
  const { code, message, why, next } = error;
  return new Failure(code, message, { why, next, detail });
}

interface IntakeParts {
  readonly task: IngestTask;
  readonly volume: DriveVolume;
  readonly landing: ObjectStore;
  readonly driveKeys: DriveKeys;
  readonly manifest: DriveManifest;
  readonly set: readonly StoredObject[];
  readonly report: Report;
}

class DriveIntake {
  readonly #parts: IntakeParts;
  readonly #throttle: Throttle;
  readonly #set: ReadonlyMap<Digest, { readonly at: number; readonly object: StoredObject }>;
  readonly #outcomes = new Map<number, CopiedObject>();
  #bytesDone = 0;
  readonly #rooms = new ObjectRooms();
  readonly #garbage = new YoungGarbage();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#throttle = new Throttle(parts.task.bytesPerSecondMax, parts.task.line);
    this.#set = new Map(parts.set.map((object, at) => [object.name, { at, object }]));
  }

  async run(): Promise<Outcome> {
    const { objects } = this.#parts.manifest;
    const bytesTotal = objects.reduce((sum, { length }) => sum + length, 0);
    await eachInFlight(objects, OBJECTS_IN_FLIGHT, async (object) => {
      const { number, kind, name, length } = object;
      const outcome = await this.#take(object);
      const offset = LOCATED.has(outcome) ? await this.#inTurn(() => this.#locate(object, outcome)) : undefined;
      const where = offset === undefined ? {} : { offset };
      this.#outcomes.set(number, { number, kind, name, length, outcome, ...where });
      this.#bytesDone += length;
      this.#parts.report({
        step: 'ingest',
        bytesDone: this.#bytesDone,
        bytesTotal,
        objectsDone: this.#outcomes.size,
        objectsTotal: objects.length,
      });
    });
    return this.#outcome();
  }

  /** By number, as the copy log has it. */
  log(): CopiedObject[] {
    return [...this.#outcomes.values()].sort((a, b) => a.number - b.number);
  }

  async #take(object: DriveObject): Promise<CopyOutcome> {
    const { landing } = this.#parts;
    const listed = this.#set.get(object.name)?.object;
    if (listed?.kind !== object.kind || listed.length !== object.length) return 'foreign';
    if ((await lengthAt(landing, placeOf(object))) === object.length) return 'present';
    await this.#throttle.take(object.length);
    const landed = await this.#rooms.lend(async (room) => {
      const plain = await this.#inTurn(() => this.#open(object, room));
      return typeof plain === 'string' ? plain : landing.put(placeOf(object), plain, { digest: object.name });
    });
    if (landed === 'created') return 'taken';
    if (landed !== 'exists') return landed;
    return typeof (await readLanded(landing, object)) === 'string' ? 'occupied' : 'present';
  }

  /** Reading and opening is one at a time, in one piece of memory; another object is put meanwhile. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  async #open(object: DriveObject, room: Buffer): Promise<Buffer | CopyOutcome> {
    const { volume, driveKeys, manifest } = this.#parts;
    const driveKey = await driveKeys.of(object.epoch, manifest.wraps[object.epoch - 1]);
    const place = objectPlace(object.number, object.epoch);
    const length = sealedFileBytes(object.length);
    const opening = new DriveOpening(length, { driveKey, place }, room);
    const named = new Digesting();
    const hear: Heard = (_, soFar) => {
      const opened = opening.advance(soFar);
      named.update(opened);
      this.#garbage.add(opened.length);
    };
    const sealed = await readOrRefuse(volume, place, { bytesMax: length, hear });
    if (typeof sealed === 'string') return sealed;
    if (sealed.length < length) return 'short';
    const plain = openedOrRefused(opening);
    if (plain && named.digest() === object.name) return plain;
    return digestOf(sealed) === object.sealed ? 'broken' : 'altered';
  }

  /** Where its file begins to be wrong, read once more; a drive that was pulled meanwhile cannot say. */
  async #locate(object: DriveObject, outcome: CopyOutcome): Promise<number | undefined> {
    const { volume, driveKeys, manifest } = this.#parts;
    const driveKey = await driveKeys.of(object.epoch, manifest.wraps[object.epoch - 1]);
    const place = objectPlace(object.number, object.epoch);
    const length = sealedFileBytes(object.length);
    const bytes = await volume.readBeginning(place, length + 1);
    return outcome === 'unreadable' ? bytes.length : firstFault(bytes, length, { driveKey, place });
  }

  #outcome(): Outcome {
    const log = this.log();
    const lost = new MissingRanges();
    for (const copied of log.filter((one) => !isTaken(one))) {
      const at = this.#set.get(copied.name)?.at;
      if (at !== undefined) lost.add(at);
    }
    const count = (outcome: CopyOutcome): number => log.filter((copied) => copied.outcome === outcome).length;
    const taken = log.filter(({ outcome }) => outcome === 'taken');
    return {
      kind: 'transfer',
      mode: 'ingest',
      objects: taken.length,
      bytes: taken.reduce((sum, { length }) => sum + length, 0),
      present: count('present'),
      missing: count('absent'),
      damaged: log.filter((copied) => !isTaken(copied)).length - count('absent'),
      missingRanges: lost.ranges(),
    };
  }
}

function codeOf(error: unknown): string {
  return error instanceof Failure ? error.code : '';
}

/** A bad sector costs its object, no more. */
async function readOrRefuse(
  volume: DriveVolume,
  place: string,
  { bytesMax, hear }: { readonly bytesMax: number; readonly hear: Heard },
): Promise<Buffer | CopyOutcome> {
  try {
    return (await volume.read(place, bytesMax, hear)) ?? 'absent';
  } catch (error) {
    if (error instanceof CorruptError) return 'altered';
    if (error instanceof Failure && error.code === 'DriveFailed') return 'unreadable';
    throw error;
  }
}

function openedOrRefused(opening: DriveOpening): Buffer | undefined {
  try {
    return opening.finish();
  } catch (error) {
    if (error instanceof CorruptError) return undefined;
    throw error;
  }
}
