/**
 * What a drive carries. Written last; its digest stands in the import job before the drive is
 * shipped, so a swapped, older or altered drive is refused at the dock.
 *
 *   prelude        6      'SSDM'
 *   drive id       8
 *   vault id       16
 *   job            text8
 *   pack set       32     digest of the job's signed set: nothing else is taken from the drive; zeroes where
 *                         the drive was filled while the set was still being made
 *   wraps          u16, then 32 each: digest of each epoch's wrap, epoch 1 first
 *   objects        u32, then 77 each, sorted by number:
 *     number       u32    names the file, with the epoch
 *     epoch        u32    whose drive key it is sealed under
 *     object       37     kind, name, length (see stored-object.ts)
 *     sealed       32     SHA-256 of the file on the drive
 *
 * On the drive it is sealed as the file `manifest` (see drive-seal.ts) under the last epoch's key.
 */
import { type Digest, NAME_RULES } from '../domain/names.ts';
import { CorruptError, Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, digestBytes, digestOf, toDigest } from './digest.ts';
import { MANIFEST_PLACE, openDriveFile, sealDriveFile } from './drive-seal.ts';
import { readObject, STORED_OBJECT_BYTES, type StoredObject, writeObject } from './stored-object.ts';

export const DRIVE_ID_BYTES = 8;
const VAULT_ID_BYTES = 16;
const ENTRY_BYTES = 4 + 4 + STORED_OBJECT_BYTES + DIGEST_BYTES;
const EPOCHS_MAX = 10_000;
/** In journals and manifests of drives that were filled before the set was known; its digest in the job binds it. */
export const NO_SET = toDigest(Buffer.alloc(DIGEST_BYTES));

export interface DriveObject extends StoredObject {
  readonly number: number;
  readonly epoch: number;
  /** SHA-256 of the file on the drive. */
  readonly sealed: Digest;
}

export interface DriveManifest {
  readonly drive: string;
  readonly vaultId: string;
  readonly job: string;
  readonly packSet: Digest;
  /** One an epoch, epoch 1 first. */
  readonly wraps: readonly Digest[];
  readonly objects: readonly DriveObject[];
}

/** What the import job says of the drive that should come. */
export interface ExpectedDrive {
  readonly drive: string;
  readonly vaultId: string;
  readonly job: string;
  readonly packSet: Digest;
}

/** Seals a manifest, ready to be written as the drive's last file. */
export function sealManifest(manifest: DriveManifest, driveKey: Uint8Array): Buffer {
  return sealDriveFile(encodeManifest(manifest), { driveKey, place: MANIFEST_PLACE });
}

/**
 * Opens a drive's manifest.
 * @param name its digest, as the import job recorded it
 * @throws CorruptError when it is not those bytes, or says anything else than the job expects
 */
export function openManifest(
  sealed: Uint8Array,
  { name, driveKey, expected }: { name: Digest; driveKey: Uint8Array; expected: ExpectedDrive },
): DriveManifest {
  if (digestOf(sealed) !== name) throw new CorruptError('drive manifest: not the one the import job names');
  return decodeManifest(openDriveFile(sealed, { driveKey, place: MANIFEST_PLACE }), expected);
}

/** The manifest in clear. @throws RangeError when numbers do not ascend or an epoch has no wrap */
export function encodeManifest(manifest: DriveManifest): Buffer {
  const writer = new Writer(256 + manifest.objects.length * ENTRY_BYTES).prelude('SSDM');
  writer.bytes(driveIdBytes(manifest.drive)).bytes(Buffer.from(manifest.vaultId, 'hex')).text8(manifest.job);
  writer.bytes(digestBytes(manifest.packSet)).u16(manifest.wraps.length);
  for (const wrap of manifest.wraps) writer.bytes(digestBytes(wrap));
  writer.u32(manifest.objects.length);
  let before = -1;
  for (const object of manifest.objects) {
    if (object.number <= before) throw new RangeError(`drive-manifest: object ${object.number} after ${before}`);
    if (object.epoch < 1 || object.epoch > manifest.wraps.length)
      throw new RangeError(`drive-manifest: epoch ${object.epoch} has no wrap`);
    before = object.number;
    writer.u32(object.number).u32(object.epoch);
    writeObject(writer, object);
    writer.bytes(digestBytes(object.sealed));
  }
  return writer.finish();
}

/** Reads a manifest in clear. @throws CorruptError when it is damaged or not the one expected */
export function decodeManifest(bytes: Uint8Array, expected: ExpectedDrive): DriveManifest {
  const reader = new Reader(bytes, 'drive manifest');
  reader.prelude('SSDM');
  const said = {
    drive: readDriveId(reader),
    vaultId: reader.bytes(VAULT_ID_BYTES).toString('hex'),
    job: reader.text8(),
    packSet: toDigest(reader.bytes(DIGEST_BYTES)),
  };
  if (said.packSet === NO_SET) said.packSet = expected.packSet;
  for (const what of ['drive', 'vaultId', 'job', 'packSet'] as const)
    if (said[what] !== expected[what]) throw reader.corrupt(`made for another ${what}`);
  const epochs = reader.u16();
  if (epochs < 1 || epochs > EPOCHS_MAX) throw reader.corrupt(`${epochs} epochs`);
  const wraps = Array.from({ length: epochs }, () => toDigest(reader.bytes(DIGEST_BYTES)));
  const objects = readDriveObjects(reader, epochs);
  reader.done();
  return { ...said, wraps, objects };
}

/** The 8 bytes of a drive's id. @throws RangeError */
export function driveIdBytes(drive: string): Buffer {
  if (!NAME_RULES.drive.pattern.test(drive)) throw new RangeError('drive-manifest: a drive id is 16 upper-case digits');
  return Buffer.from(drive, 'hex');
}

/** Reads a drive's id. @throws CorruptError */
export function readDriveId(reader: Reader): string {
  return reader.bytes(DRIVE_ID_BYTES).toString('hex').toUpperCase();
}

function readDriveObjects(reader: Reader, epochs: number): DriveObject[] {
  const count = reader.u32();
  if (count * ENTRY_BYTES !== reader.remaining) throw reader.corrupt(`not the ${count} objects it says`);
  const objects: DriveObject[] = [];
  for (let at = 0; at < count; at++) {
    const number = reader.u32();
    const epoch = reader.u32();
    const object = { number, epoch, ...readObject(reader), sealed: toDigest(reader.bytes(DIGEST_BYTES)) };
    if (number <= (objects.at(-1)?.number ?? -1)) throw reader.corrupt('objects are not sorted by number');
    if (epoch < 1 || epoch > epochs) throw reader.corrupt(`epoch ${epoch} has no wrap`);
    objects.push(object);
  }
  return objects;
}
