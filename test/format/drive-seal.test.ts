import { createCipheriv } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Writer } from '../../format/cursor.ts';
import {
  DRIVE_FILE_BYTES_MAX,
  DriveOpening,
  DriveSealing,
  firstFault,
  journalPlace,
  objectPlace,
  openDriveFile,
  SEALED_PART_BYTES_MAX,
  SEGMENT_BYTES,
  sealDriveFile,
  sealedFileBytes,
} from '../../format/drive-seal.ts';
import { objectKey } from '../../format/key-tree.ts';
import { sealBytes } from '../../format/seal.ts';
import { survivors, vector } from './fault.ts';

const golden = vector('drive-seal');
const at = { driveKey: golden.bytes('driveKey'), place: golden.text('place') };
const HEAD = 38;
const TAG = 16;

describe('drive seal', () => {
  test('files sealed by other code open', () => {
    expect(openDriveFile(golden.bytes('sealed'), at)).toEqual(golden.bytes('plain'));
    expect(openDriveFile(golden.bytes('emptySealed'), at).length).toBe(0);
  });

  test('segments are what the description says, over a boundary', () => {
    const plain = Buffer.alloc(SEGMENT_BYTES + 5, 'segments');
    const sealed = sealDriveFile(plain, at);
    const salt = sealed.subarray(6, HEAD);
    const segment = (from: number, to: number, nonce: string) => {
      const key = objectKey(at.driveKey, salt);
      const cipher = createCipheriv('aes-256-gcm', key, Buffer.from(nonce, 'hex'), { authTagLength: TAG });
      cipher.setAAD(Buffer.concat([sealed.subarray(0, HEAD), Buffer.from(at.place)]));
      return Buffer.concat([cipher.update(plain.subarray(from, to)), cipher.final(), cipher.getAuthTag()]);
    };
    const expected = [
      sealed.subarray(0, HEAD),
      segment(0, SEGMENT_BYTES, '000000000000000000000000'),
      segment(SEGMENT_BYTES, plain.length, '010000000000000000000001'),
    ];
    expect(sealed.equals(Buffer.concat(expected))).toBe(true);
  });

  test.each([0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES, 3 * SEGMENT_BYTES + 7])(
    '%i bytes come back, and take the room that was foretold',
    (length) => {
      const plain = Buffer.alloc(length, 'courier');
      const sealed = sealDriveFile(plain, at);
      expect(sealed.length).toBe(sealedFileBytes(length));
      expect(openDriveFile(sealed, at).equals(plain)).toBe(true);
    },
  );

  test.each([0, 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES + 5])(
    'of %i bytes, opened as they are read, into room that is given',
    (length) => {
      const plain = Buffer.alloc(length, 'courier');
      const sealed = sealDriveFile(plain, at);
      for (const piece of [7, HEAD + TAG, SEGMENT_BYTES + TAG, 3 * SEGMENT_BYTES]) {
        const room = Buffer.alloc(4 * SEGMENT_BYTES, 'old');
        const opening = new DriveOpening(sealed.length, at, room);
        const parts: Buffer[] = [];
        const step = Math.max(piece, sealed.length >> 6); // a few steps are enough
        for (let read = 0; read < sealed.length + step; read += step)
          parts.push(opening.advance(sealed.subarray(0, Math.min(read, sealed.length))));
        expect(Buffer.concat(parts).equals(plain)).toBe(true);
        expect(opening.finish().buffer === room.buffer).toBe(true);
        expect(opening.finish().equals(plain)).toBe(true);
      }
    },
  );

  test('opened as far as it was read, it is cut short; a broken segment is told at the end', () => {
    const sealed = sealDriveFile(Buffer.alloc(2 * SEGMENT_BYTES, 'x'), at);
    const cut = new DriveOpening(sealed.length, at);
    expect(cut.advance(sealed.subarray(0, -1)).length).toBe(SEGMENT_BYTES);
    expect(() => cut.finish()).toThrow('cut short');
    sealed.writeUInt8(sealed.readUInt8(HEAD) ^ 1, HEAD);
    const broken = new DriveOpening(sealed.length, at);
    expect(broken.advance(sealed).length).toBe(0);
    expect(() => broken.finish()).toThrow('the seal is broken');
  });

  test('sealed part by part, in memory that held other bytes, it is as foretold', () => {
    const plain = Buffer.alloc(2 * SEGMENT_BYTES + 5, 'courier');
    const parts: Buffer[] = [];
    const room = Buffer.alloc(SEALED_PART_BYTES_MAX, 'old');
    for (const sealing = new DriveSealing(plain, at); !sealing.isDone; ) parts.push(Buffer.from(sealing.next(room)));
    expect(parts.map(({ length }) => length)).toEqual([SEALED_PART_BYTES_MAX, SEGMENT_BYTES + TAG, 5 + TAG]);
    expect(openDriveFile(Buffer.concat(parts), at).equals(plain)).toBe(true);
  });

  test('what was sealed opens to the same bytes, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (plain) => {
        expect(Buffer.from(openDriveFile(sealDriveFile(plain, at), at))).toEqual(Buffer.from(plain));
      }),
    );
  });

  test('every truncation and every flipped byte is refused', () => {
    expect(survivors(golden.bytes('sealed'), (bytes) => openDriveFile(bytes, at), ['CorruptError'])).toEqual([]);
    expect(survivors(golden.bytes('emptySealed'), (bytes) => openDriveFile(bytes, at), ['CorruptError'])).toEqual([]);
  });

  test.each([
    ['cut at a segment edge', (b: Buffer) => b.subarray(0, HEAD + SEGMENT_BYTES + TAG)],
    [
      'without its first segment',
      (b: Buffer) => Buffer.concat([b.subarray(0, HEAD), b.subarray(HEAD + SEGMENT_BYTES + TAG)]),
    ],
    [
      'with a segment twice',
      (b: Buffer) => Buffer.concat([b.subarray(0, HEAD + SEGMENT_BYTES + TAG), b.subarray(HEAD)]),
    ],
    ['with segments swapped', (b: Buffer) => swapped(b)],
    ['with bytes after its end', (b: Buffer) => Buffer.concat([b, Buffer.alloc(1)])],
    ['with an empty segment after its end', (b: Buffer) => Buffer.concat([b, Buffer.alloc(TAG)])],
    ['with nothing but a head', (b: Buffer) => b.subarray(0, HEAD)],
  ])('a file %s is refused', (_, change) => {
    const sealed = sealDriveFile(Buffer.alloc(3 * SEGMENT_BYTES, 'x'), at);
    expect(() => openDriveFile(change(sealed), at)).toThrow(/^drive file: /);
  });

  test('an empty last segment after a full one is refused, though sealed with the key', () => {
    const salt = new Uint8Array(32);
    const head = new Writer().prelude('SSDO').bytes(salt).finish();
    const seal = (plain: Uint8Array, nonce: string) =>
      sealBytes(objectKey(at.driveKey, salt), plain, Buffer.concat([head, Buffer.from(at.place)]), {
        nonce: Buffer.from(nonce, 'hex'),
      });
    const full = seal(new Uint8Array(SEGMENT_BYTES), '000000000000000000000000');
    const empty = seal(new Uint8Array(0), '010000000000000000000001');
    expect(() => openDriveFile(Buffer.concat([head, full, empty]), at)).toThrow('of no length that is written');
  });

  test('a file does not open at another place, for another use, or with another key', () => {
    const sealed = golden.bytes('sealed');
    for (const place of ['objects/000/000007.3', 'objects/000/000008.2', 'manifest', 'journal.2'])
      expect(() => openDriveFile(sealed, { ...at, place })).toThrow('drive file: the seal is broken');
    expect(() => openDriveFile(sealed, { ...at, driveKey: new Uint8Array(32) })).toThrow('the seal is broken');
  });

  test('two sealings of one file share no salt', () => {
    const [a, b] = [sealDriveFile(new Uint8Array(9), at), sealDriveFile(new Uint8Array(9), at)];
    expect(a.subarray(6, HEAD)).not.toEqual(b.subarray(6, HEAD));
  });

  test('places are numbered in folders of a thousand', () => {
    expect([objectPlace(0, 1), objectPlace(123_456, 12)]).toEqual(['objects/000/000000.1', 'objects/123/123456.12']);
    expect(journalPlace(3)).toBe('journal.3');
    for (const number of [-1, 1_000_000, 0.5]) expect(() => objectPlace(number, 1)).toThrow(RangeError);
  });

  test('a file larger than any that is written is neither made nor looked into', () => {
    const large = new Uint8Array(DRIVE_FILE_BYTES_MAX + 1);
    expect(() => sealDriveFile(large, at)).toThrow(RangeError);
    expect(() => openDriveFile(new Uint8Array(sealedFileBytes(large.length)), at)).toThrow('larger than any');
  });
});

function swapped(sealed: Buffer): Buffer {
  const step = SEGMENT_BYTES + TAG;
  const part = (number: number) => sealed.subarray(HEAD + number * step, HEAD + (number + 1) * step);
  return Buffer.concat([sealed.subarray(0, HEAD), part(1), part(0), part(2)]);
}

describe('a fault in a file', () => {
  const plain = Buffer.alloc(3 * SEGMENT_BYTES + 77, 'segments');
  const sealed = sealDriveFile(plain, at);
  const starts = [0, 1, 2, 3].map((number) => (number === 0 ? 0 : HEAD + number * (SEGMENT_BYTES + TAG)));
  const find = (bytes: Uint8Array) => firstFault(bytes, sealed.length, at);

  test('is found in the segment it is in, whichever byte it is', () => {
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (byte, flip) => {
        const bytes = Buffer.from(sealed);
        bytes[byte] = (bytes[byte] ?? 0) ^ flip;
        expect(find(bytes)).toBe(starts.findLast((start) => start <= byte));
      }),
      { numRuns: 60 },
    );
  });

  test('is the end of one that is cut, and the true end of one that goes on', () => {
    for (const end of [0, 5, HEAD, HEAD + 9, (starts[2] ?? 0) - 1, starts[2] ?? 0, sealed.length - 1])
      expect(find(sealed.subarray(0, end))).toBe(end);
    expect(find(Buffer.concat([sealed, Buffer.of(0)]))).toBe(sealed.length);
  });

  test('before its end is the one that is told, and none is none', () => {
    const bytes = Buffer.from(sealed);
    for (const place of [sealed.length - 1, starts[1] ?? 0]) bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
    expect(find(bytes.subarray(0, -100))).toBe(starts[1]);
    expect(find(sealed)).toBeUndefined();
    expect(firstFault(sealed, sealed.length, { ...at, place: objectPlace(9, 1) })).toBe(0);
  });
});
