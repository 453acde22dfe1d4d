/**
 * staging → drive.
 *
 *   1  the drive is locked; a receipt that is there is checked against the drive and returned
 *   2  the journals of former epochs say what is on the drive: lengths are looked at, the last few
 *      objects read back from the medium; what they do not name is removed
 *   3  a new epoch: a new drive key, whose wrap lies in staging and landing before its first object
 *   4  each object is read from staging, its name verified, sealed, written, and journaled; the first
 *      that does not fit ends it. Of a limited staging it is read back at once, and then leaves it
 *   5  journals, manifest and sums are written, and all is read back from the medium
 *   6  the receipt, in staging, commits
 */
import { mergeRanges } from '../domain/drive.ts';
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import { KIB } from '../domain/units.ts';
import { CorruptError } from '../format/cursor.ts';
import { Digesting, digestOf } from '../format/digest.ts';
import { type DriveObject, sealManifest } from '../format/drive-manifest.ts';
import {
  DRIVE_FILE_BYTES_MAX,
  journalPlace,
  MANIFEST_PLACE,
  objectPlace,
  sealDriveFile,
  sealedFileBytes,
} from '../format/drive-seal.ts';
import { type DriveSum, encodeSums, SUM_BYTES, SUMS_PLACE } from '../format/drive-sums.ts';
import { JOURNAL_RECORD_BYTES } from '../format/journal.ts';
import { newSession } from '../format/session.ts';
import type { StoredObject } from '../format/stored-object.ts';
import type { DriveVolume } from '../store/drive-volume.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { DRIVE_KEYS, driveKeyName } from '../store/places.ts';
import type { ChildSecrets, PrepareTask, Progress, TransferResult } from './child-tasks.ts';
import { type OpenDrive, openDrive } from './drive-access.ts';
import { DriveJournals, lockDrive } from './drive-journals.ts';
import { type FilledObject, fillObject } from './drive-object.ts';
import { type ObjectFeed, openFeed } from './object-feed.ts';
import { type ListedObject, MissingRanges, readObject } from './object-list.ts';
import { type Actor, actorOf, findReceipt, getIfThere, openPlace, writeReceipt } from './step-receipt.ts';
import { Throttle } from './throttle.ts';

/** A power cut takes what the drive's own cache held: fewer objects than these. */
const REREAD_OBJECTS = 4;
/** An object in the manifest. */
const DRIVE_OBJECT_BYTES = 77;
const CLOSING_BYTES = 64 * KIB;
/** Epochs another staging location may have used up, before this is no accident. */
const EPOCH_TRIES = 100;

type Report = (progress: Progress) => void;
type Outcome = Omit<TransferResult, 'receipt'>;
type Fetched = Buffer | 'missing' | 'damaged';

/** What a file of the drive must read back as. */
interface DriveFile {
  readonly place: string;
  readonly length: number;
  readonly digest: Digest;
}

interface Epoch {
  readonly number: number;
  readonly driveKey: Uint8Array;
  /** Digests, epoch 1 first. */
  readonly wraps: readonly Digest[];
}

/** Prepares the drive and commits. @throws Failure `DriveFailed` when it does not give back what was written */
export async function fillDrive(task: PrepareTask, secrets: ChildSecrets, report: Report): Promise<TransferResult> {
  const actor = actorOf(secrets, task.vaultId);
  const staging = openPlace(task.from, secrets);
  const lock = await lockDrive(task);
  let drive: OpenDrive | undefined;
  try {
    drive = await openDrive(task.drive, 'write');
    const { volume } = drive;
    const feed = await openFeed(task, staging, actor.trust);
    const found = await findReceipt<Outcome>(staging, task, actor.trust);
    if (found) {
      await checkLengths(volume, feed, found.body);
      return { ...found.body, receipt: found.receipt };
    }
    const journals = await DriveJournals.open(task);
    try {
      const fill = new DriveFill({ task, volume, staging, journals, feed, report });
      const outcome = await fill.run(
        actor,
        task.keysTo.map((place) => openPlace(place, secrets)),
      );
      const written = await writeReceipt(staging, task, actor, outcome);
      return { ...written.body, receipt: written.receipt };
    } finally {
      journals.close();
    }
  } finally {
    drive?.close();
    lock.release();
  }
}

/** A receipt promises what the drive carries; bytes are checked at the next hand-over. */
async function checkLengths(volume: DriveVolume, feed: ObjectFeed, { ranges = [] }: Outcome): Promise<void> {
  const there = new Map(volume.list().map(({ number, length }) => [number, length]));
  for (const { from, to } of ranges)
    for (let number = from; number < to; number++) {
      const object = await feed.find(number);
      if (!object || there.get(number) !== sealedFileBytes(object.length))
        throw new Failure('DriveFailed', 'the drive no longer holds what was written to it');
    }
}

interface FillParts {
  readonly task: PrepareTask;
  readonly volume: DriveVolume;
  readonly staging: ObjectStore;
  readonly journals: DriveJournals;
  readonly feed: ObjectFeed;
  readonly report: Report;
}

class DriveFill {
  readonly #parts: FillParts;
  readonly #throttle: Throttle;
  readonly #lost = new MissingRanges();
  readonly #onDrive = new Map<number, DriveObject>();
  /** Journals and manifest, as they were written. */
  readonly #closing: DriveFile[] = [];
  #missing = 0;
  #damaged = 0;
  #bytesDone = 0;
  #objectsDone = 0;
  #step = 'prepare';
  /** Memory of the object that is read, and of the one that is sealed. */
  #rooms: Buffer[] = [];

  constructor(parts: FillParts) {
    this.#parts = parts;
    this.#throttle = new Throttle(parts.task.bytesPerSecondMax);
  }

  async run({ credentials }: Actor, keysTo: readonly ObjectStore[]): Promise<Outcome> {
    await this.#resume();
    const epoch = await this.#newEpoch([this.#parts.task.datacenterRecipient, credentials.restoreRecipient], keysTo);
    await this.#writeObjects(epoch);
    const manifest = await this.#writeManifest(epoch);
    await this.#readBack();
    await this.#parts.feed.release();
    const objects = [...this.#onDrive.values()];
    return {
      kind: 'transfer',
      mode: 'prepare',
      objects: objects.length,
      bytes: objects.reduce((sum, { length }) => sum + length, 0),
      present: 0,
      missing: this.#missing,
      damaged: this.#damaged,
      missingRanges: this.#lost.ranges(),
      ranges: mergeRanges(objects.map(({ number }) => ({ from: number, to: number + 1 }))),
      epoch: epoch.number,
      manifest,
      wraps: epoch.wraps.map((digest, at) => ({ epoch: at + 1, digest })),
    };
  }

  /** Keeps of earlier epochs what is whole, and removes the rest. */
  async #resume(): Promise<void> {
    const { volume, journals, feed } = this.#parts;
    const lengths = new Map(volume.list().map(({ place, length }) => [place, length]));
    for (const object of journals.objects) {
      const place = objectPlace(object.number, object.epoch);
      const whole = lengths.get(place) === sealedFileBytes(object.length);
      if (whole && (await feed.find(object.number))?.name === object.name) this.#onDrive.set(object.number, object);
    }
    for (const object of journals.objects.slice(-REREAD_OBJECTS)) {
      if (this.#onDrive.get(object.number) !== object) continue;
      if (!(await this.#isOnMedium(object))) this.#onDrive.delete(object.number);
    }
    const kept = new Set([...this.#onDrive.values()].map(({ number, epoch }) => objectPlace(number, epoch)));
    for (const { place } of volume.list()) if (!kept.has(place)) volume.remove(place);
  }

  /** The wrap is everywhere it must be before anything is sealed under its key. */
  async #newEpoch(recipients: readonly string[], keysTo: readonly ObjectStore[]): Promise<Epoch> {
    const { task, staging, journals } = this.#parts;
    const { key, wrap } = await newSession(recipients);
    let number = 1 + Math.max(journals.lastEpoch, await lastWrap(staging, task.drive.id));
    for (
      let tries = 0;
      !(await putEverywhere(driveKeyName(task.drive.id, number), wrap, [...keysTo, staging]));
      tries++
    ) {
      if (tries === EPOCH_TRIES) throw new Failure('WrongState', 'this drive id has been used elsewhere');
      number += 1;
    }
    const wraps: Digest[] = [];
    for (let epoch = 1; epoch < number; epoch++) wraps.push(await this.#wrapDigest(epoch));
    wraps.push(digestOf(wrap));
    journals.begin({ epoch: number, wrap: digestOf(wrap) });
    return { number, driveKey: key, wraps };
  }

  /** Of an epoch whose wrap is not in this staging, nothing is on the drive. */
  async #wrapDigest(epoch: number): Promise<Digest> {
    const wrap = await getIfThere(this.#parts.staging, driveKeyName(this.#parts.task.drive.id, epoch));
    return digestOf(wrap ?? Buffer.alloc(0));
  }

  async #writeObjects(epoch: Epoch): Promise<void> {
    const { feed, volume } = this.#parts;
    for (const object of this.#onDrive.values()) this.#count(object.length);
    const coming = feed.objects(() => this.#tell('waiting for the backup'))[Symbol.asyncIterator]();
    this.#rooms = Array.from({ length: 2 }, () => Buffer.allocUnsafeSlow(DRIVE_FILE_BYTES_MAX));
    let ahead = this.#next(coming);
    let ending = Promise.resolve(true); // of the object before, while the next one is sealed and given to the disk
    let underway = 0;
    let filled: FilledObject | undefined;
    try {
      for (let next = await ahead; next; next = await ahead) {
        const bytes = await next.bytes;
        if (!this.#hasRoom(next.object, underway) && !((await ending) && this.#hasRoom(next.object))) return;
        this.#rooms.reverse();
        ahead = this.#next(coming);
        if (typeof bytes === 'string') {
          if (bytes === 'missing') this.#missing += 1;
          else this.#damaged += 1;
          this.#lost.add(next.at);
          continue;
        }
        filled = await fillObject(volume, { ...next, bytes }, epoch);
        if (!(await ending) || !filled) return;
        underway = filled.file.length;
        ending = this.#finish(filled);
        ending.catch(() => {}); // whoever awaits it hears
        filled = undefined;
      }
      await ending;
    } finally {
      await ending.catch(() => {}); // nothing is written any more when this has ended
      await filled?.file.abandon();
      this.#rooms = [];
      feed.close();
    }
  }

  /** The next object that is not on the drive yet, being read. Whoever awaits it hears of what goes wrong. */
  #next(coming: AsyncIterator<ListedObject>): Promise<(ListedObject & { bytes: Promise<Fetched> }) | undefined> {
    const { staging, feed } = this.#parts;
    const find = async () => {
      for (let { value, done } = await coming.next(); !done; { value, done } = await coming.next()) {
        if (!this.#onDrive.has(value.at)) return { ...value, bytes: this.#fetch(staging, value) };
        await feed.onDrive(value.object);
      }
      return undefined;
    };
    const next = find();
    next.catch(() => {});
    return next;
  }

  /** @param underwayBytes of a file that the drive may not count yet */
  #hasRoom({ length }: StoredObject, underwayBytes = 0): boolean {
    const { volume, journals, feed } = this.#parts;
    const objects = feed.total?.objects ?? this.#onDrive.size + 1;
    return volume.freeBytes() - underwayBytes >= sealedFileBytes(length) + closingBytes(objects, journals.bytes);
  }

  /** Journals it once it is on the medium. False when the drive is full. */
  async #finish({ file, written }: FilledObject): Promise<boolean> {
    const { volume, journals, feed } = this.#parts;
    if (!(await volume.finish(file))) return false;
    journals.append(written);
    this.#onDrive.set(written.number, written);
    this.#count(written.length);
    if (feed.total === undefined && !(await this.#isOnMedium(written)))
      throw new Failure('DriveFailed', `object ${written.number} does not read back as it was written`);
    await feed.onDrive(written);
    return true;
  }

  /** Never rejects by itself while the object before is being written: whoever awaits it hears. */
  #fetch(staging: ObjectStore, { object }: ListedObject): Promise<Fetched> {
    const fetched = this.#throttle.take(object.length).then(() => readObject(staging, object, this.#rooms[0]));
    fetched.catch(() => {});
    return fetched;
  }

  /** What was written by a killed attempt goes first: its epoch is not the last any more. */
  async #writeManifest({ driveKey, wraps }: Epoch): Promise<Digest> {
    const { task, volume, journals } = this.#parts;
    volume.remove(MANIFEST_PLACE);
    volume.remove(SUMS_PLACE);
    const sums: DriveSum[] = [];
    for (const { epoch, bytes } of journals.contents()) {
      const place = journalPlace(epoch);
      volume.remove(place);
      const file = sealDriveFile(bytes, { driveKey, place });
      await this.#mustWrite(place, file);
      sums.push({ place, sealed: digestOf(file) });
    }
    const objects = [...this.#onDrive.values()].sort((a, b) => a.number - b.number);
    const { vaultId, job, packSet } = task;
    const sealed = sealManifest({ drive: task.drive.id, vaultId, job, packSet, wraps, objects }, driveKey);
    await this.#mustWrite(MANIFEST_PLACE, sealed);
    sums.push({ place: MANIFEST_PLACE, sealed: digestOf(sealed) });
    await this.#mustWrite(SUMS_PLACE, encodeSums([...objects.map(sumOf), ...sums]));
    return digestOf(sealed);
  }

  async #mustWrite(place: string, bytes: Uint8Array): Promise<void> {
    if (!(await this.#parts.volume.write(place, bytes)))
      throw new Failure('DriveFull', 'the drive has no room left for its manifest');
    this.#closing.push({ place, length: bytes.length, digest: digestOf(bytes) });
  }

  async #readBack(): Promise<void> {
    [this.#step, this.#bytesDone, this.#objectsDone] = ['read back', 0, 0];
    let bad = 0;
    for (const object of this.#onDrive.values()) {
      if (!(await this.#isOnMedium(object))) bad += 1;
      this.#count(object.length);
    }
    if (bad > 0)
      throw new Failure('DriveFailed', `${bad} of ${this.#onDrive.size} objects do not read back as they were written`);
    for (const file of this.#closing)
      if (!(await this.#readsBack(file)))
        throw new Failure('DriveFailed', 'a journal or the manifest does not read back as it was written');
  }

  async #isOnMedium({ number, epoch, length, sealed }: DriveObject): Promise<boolean> {
    return this.#readsBack({ place: objectPlace(number, epoch), length: sealedFileBytes(length), digest: sealed });
  }

  async #readsBack({ place, length, digest }: DriveFile): Promise<boolean> {
    try {
      const found = new Digesting();
      const bytes = await this.#parts.volume.read(place, length, (piece) => found.update(piece));
      return bytes !== undefined && found.digest() === digest;
    } catch (error) {
      if (error instanceof CorruptError) return false; // longer or shorter than it was written
      throw error;
    }
  }

  #count(bytes: number): void {
    this.#bytesDone += bytes;
    this.#objectsDone += 1;
    this.#tell();
  }

  #tell(note?: string): void {
    const { feed, report } = this.#parts;
    const all = feed.total && { bytesTotal: feed.total.bytes, objectsTotal: feed.total.objects };
    report({
      step: this.#step,
      bytesDone: this.#bytesDone,
      objectsDone: this.#objectsDone,
      ...all,
      ...(note && { note }),
    });
  }
}

function sumOf({ number, epoch, sealed }: DriveObject): DriveSum {
  return { place: objectPlace(number, epoch), sealed };
}

/** The highest epoch that staging has a wrap of; an attempt may have died before its journal began. */
async function lastWrap(staging: ObjectStore, drive: string): Promise<number> {
  let last = 0;
  for await (const { name } of staging.list(`${DRIVE_KEYS}${drive}/`))
    last = Math.max(last, Number(name.slice(name.lastIndexOf('/') + 1)));
  return last;
}

/** False as soon as one place has another key of this epoch. */
async function putEverywhere(name: string, bytes: Uint8Array, stores: readonly ObjectStore[]): Promise<boolean> {
  for (const store of stores) if ((await store.put(name, bytes)) === 'exists') return false;
  return true;
}

/** Room that journals and manifest will need, with as much again for the file system's own blocks. */
function closingBytes(objects: number, journalBytes: number): number {
  const [manifest, journals] = [objects * DRIVE_OBJECT_BYTES, journalBytes + objects * JOURNAL_RECORD_BYTES];
  return 2 * (sealedFileBytes(manifest) + sealedFileBytes(journals) + objects * SUM_BYTES) + CLOSING_BYTES;
}
