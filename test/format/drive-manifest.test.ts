import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { digestOf } from '../../format/digest.ts';
import {
  type DriveManifest,
  decodeManifest,
  driveIdBytes,
  encodeManifest,
  openManifest,
  sealManifest,
} from '../../format/drive-manifest.ts';
import { sealDriveFile } from '../../format/drive-seal.ts';
import { digest, numbered } from './arbitrary.ts';
import { survivors, vector } from './fault.ts';

const golden = vector('drive-manifest');
const driveKey = golden.bytes('driveKey');
const expected = {
  drive: golden.text('drive'),
  vaultId: golden.text('vaultId'),
  job: golden.text('job'),
  packSet: digestOf(Buffer.from('pack set')),
};
const name = digestOf(golden.bytes('sealed'));

describe('drive manifest', () => {
  test('made by other code, it opens and is written alike here', () => {
    const manifest = openManifest(golden.bytes('sealed'), { name, driveKey, expected });
    expect(manifest.packSet).toBe(golden.text('packSet'));
    expect(manifest.objects.map(({ number, epoch, kind, length }) => [number, epoch, kind, length])).toEqual([
      [0, 1, 'pack', 67108864],
      [7, 2, 'tree', 4096],
    ]);
    expect(manifest.wraps).toEqual([digestOf(Buffer.from('wrap 1')), digestOf(Buffer.from('wrap 2'))]);
    expect(encodeManifest(manifest)).toEqual(golden.bytes('plain'));
  });

  test('what was written is read back, whatever it is', () => {
    fc.assert(
      fc.property(numbered, fc.array(digest, { minLength: 1, maxLength: 4 }), (objects, wraps) => {
        const manifest: DriveManifest = {
          ...expected,
          wraps,
          objects: objects.map((object, at) => ({ ...object, epoch: 1 + (at % wraps.length) })),
        };
        expect(decodeManifest(encodeManifest(manifest), expected)).toEqual(manifest);
        const sealed = sealManifest(manifest, driveKey);
        expect(openManifest(sealed, { name: digestOf(sealed), driveKey, expected })).toEqual(manifest);
      }),
    );
  });

  test('every truncation and every flipped byte is refused by name', () => {
    const open = (bytes: Buffer) => openManifest(bytes, { name, driveKey, expected });
    expect(survivors(golden.bytes('sealed'), open, ['CorruptError'])).toEqual([]);
  });

  test('and by its seal, if somebody named the altered bytes', () => {
    const open = (bytes: Buffer) => openManifest(bytes, { name: digestOf(bytes), driveKey, expected });
    expect(survivors(golden.bytes('sealed'), open, ['CorruptError'])).toEqual([]);
  });

  test('an older one of the same drive is refused, though genuine', () => {
    const later = digestOf(Buffer.from('the one of the import job'));
    expect(() => openManifest(golden.bytes('sealed'), { name: later, driveKey, expected })).toThrow(
      'drive manifest: not the one the import job names',
    );
  });

  test('one without any epoch is refused', () => {
    const bytes = encodeManifest({ ...expected, wraps: [], objects: [] });
    expect(() => decodeManifest(bytes, expected)).toThrow('drive manifest: 0 epochs');
  });

  test.each([
    ['drive', 'FFFFFFFFFFFFFFFF'],
    ['vaultId', 'b'.repeat(32)],
    ['job', 'another'],
    ['packSet', digestOf(Buffer.from('other'))],
  ])('of another %s is refused, though genuine', (what, value) => {
    expect(() =>
      openManifest(golden.bytes('sealed'), { name, driveKey, expected: { ...expected, [what]: value } }),
    ).toThrow(`drive manifest: made for another ${what}`);
  });

  test('an object of the drive is not taken for its manifest', () => {
    const sealed = sealDriveFile(golden.bytes('plain'), { driveKey, place: 'objects/000/000000.2' });
    expect(() => openManifest(sealed, { name: digestOf(sealed), driveKey, expected })).toThrow('the seal is broken');
  });

  test('objects out of order, or of an epoch without a wrap, are neither written nor read', () => {
    const manifest = decodeManifest(golden.bytes('plain'), expected);
    expect(() => encodeManifest({ ...manifest, objects: [...manifest.objects].reverse() })).toThrow(RangeError);
    expect(() => encodeManifest({ ...manifest, wraps: manifest.wraps.slice(0, 1) })).toThrow('epoch 2 has no wrap');
    const first = golden.bytes('plain').length - 2 * 77;
    const swapped = Buffer.from(golden.bytes('plain'));
    swapped.writeUInt32LE(9, first);
    expect(() => decodeManifest(swapped, expected)).toThrow('objects are not sorted by number');
    const early = Buffer.from(golden.bytes('plain'));
    early.writeUInt32LE(3, first + 4);
    expect(() => decodeManifest(early, expected)).toThrow('epoch 3 has no wrap');
  });

  test('a count that promises more than there is takes no memory', () => {
    const bytes = Buffer.from(golden.bytes('plain'));
    bytes.writeUInt32LE(0xffffffff, bytes.length - 2 * 77 - 4);
    expect(() => decodeManifest(bytes, expected)).toThrow('not the 4294967295 objects it says');
  });

  test.each(['7f3a00112233aabb', '7F3A', '../../etc/passwd'])('%s is no drive id', (drive) => {
    expect(() => driveIdBytes(drive)).toThrow(RangeError);
  });
});
