import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  FRAME_BYTES_MAX,
  FrameOpener,
  type FramePromise,
  FrameSealer,
  type PackSeal,
  packSeal,
  SEALED_BYTES_MAX,
  sealPayload,
} from '../../format/frame.ts';
import { TAG_BYTES } from '../../format/seal.ts';
import { survivors, vector } from './fault.ts';

const golden = vector('frame');
const key = new Uint8Array(32).fill(7);
const at = packSeal(key, Buffer.from('header'));
const text = Buffer.from('a line that repeats\n'.repeat(500));
const sealer = new FrameSealer(3);
const opener = new FrameOpener();

/** Bytes of its own: what a sealer returns lies in its caller's memory. */
function seal(plain: Uint8Array, seal: PackSeal = at, number = 3) {
  const { packing, sealed } = sealer.seal(plain, seal, number, Buffer.alloc(SEALED_BYTES_MAX));
  return { sealed: Buffer.from(sealed), promise: { packing, plainBytes: plain.length } };
}

function open(sealed: Uint8Array, promise: FramePromise, seal: PackSeal = at, number = 3): Buffer {
  return Buffer.from(opener.open(sealed, seal, number, promise));
}

describe('frame', () => {
  test('made by other code, compressed or as it is, it opens', () => {
    const theirs = packSeal(golden.bytes('packKey'), golden.bytes('header'));
    expect(open(golden.bytes('zstd'), { packing: 'zstd', plainBytes: 1000 }, theirs)).toEqual(golden.bytes('plain'));
    expect(open(golden.bytes('raw'), { packing: 'raw', plainBytes: 3 }, theirs, 0x01020304).toString()).toBe('raw');
    const payload = sealPayload(Buffer.from('raw'), theirs, 0x01020304, Buffer.alloc(19));
    expect(payload).toEqual(golden.bytes('raw'));
  });

  test('what was sealed opens to the same bytes, whatever they are', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 5000 }),
      fc
        .record({ byte: fc.nat(255), length: fc.integer({ min: 1, max: 300_000 }) })
        .map((run) => Buffer.alloc(run.length, run.byte)),
    );
    fc.assert(
      fc.property(bytes, fc.nat(0xffffffff), (plain, number) => {
        const { sealed, promise } = seal(plain, at, number);
        expect(open(sealed, promise, at, number).equals(plain)).toBe(true);
      }),
    );
  });

  test.each([1, 127, 128, 129, 131_072, 131_073, FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX])(
    '%i bytes that zstd cannot shrink are stored as they are',
    (length) => {
      const plain = randomLike(length);
      const { sealed, promise } = seal(plain);
      expect([promise.packing, sealed.length]).toEqual(['raw', length + TAG_BYTES]);
      expect(open(sealed, promise).equals(plain)).toBe(true);
    },
  );

  test('what zstd shrinks is compressed, and never longer than what went in', () => {
    const { sealed, promise } = seal(text);
    expect(promise.packing).toBe('zstd');
    expect(sealed.length).toBeLessThan(text.length / 10);
  });

  test('every truncation and every flipped byte is refused', () => {
    const { sealed, promise } = seal(text.subarray(0, 400));
    expect(survivors(sealed, (bytes) => open(bytes, promise), ['CorruptError'])).toEqual([]);
    const raw = seal(Buffer.from([1, 2, 3]));
    expect(survivors(raw.sealed, (bytes) => open(bytes, raw.promise), ['CorruptError'])).toEqual([]);
  });

  test.each([
    ['under another key', packSeal(new Uint8Array(32), Buffer.from('header')), 3],
    ['in another pack', packSeal(key, Buffer.from('Header')), 3],
    ['in another position', at, 4],
  ])('a frame %s does not open', (_, elsewhere, number) => {
    const { sealed, promise } = seal(text);
    expect(() => open(sealed, promise, elsewhere, number)).toThrow(`frame ${number}: the seal is broken`);
  });

  test('a frame that inflates past its promise, or short of it, is refused before it takes the memory', () => {
    const { sealed } = seal(Buffer.alloc(FRAME_BYTES_MAX));
    const asked = (plainBytes: number) => () => open(sealed, { packing: 'zstd', plainBytes });
    expect(asked(100)).toThrow('frame 3: not the 100 bytes its table says');
    expect(asked(FRAME_BYTES_MAX - 1)).toThrow('bytes its table says');
    expect(asked(FRAME_BYTES_MAX + 1)).toThrow('frame 3: promises 2097153 bytes');
    expect(asked(FRAME_BYTES_MAX)).not.toThrow();
  });

  test('one packing is not taken for the other', () => {
    const { sealed } = seal(text);
    expect(() => open(sealed, { packing: 'raw', plainBytes: text.length })).toThrow('bytes its table says');
    const raw = seal(Buffer.from('no zstd'));
    expect(() => open(raw.sealed, { packing: 'zstd', plainBytes: 7 })).toThrow('not the 7 bytes its table says');
  });

  test('more sealed bytes than a frame has are refused unread', () => {
    const promise = { packing: 'raw', plainBytes: FRAME_BYTES_MAX } as const;
    expect(() => open(Buffer.alloc(SEALED_BYTES_MAX + 1), promise)).toThrow('are no sealed payload');
    expect(() => open(Buffer.alloc(TAG_BYTES), { packing: 'raw', plainBytes: 0 })).toThrow('are no sealed payload');
  });

  test.each([0, FRAME_BYTES_MAX + 1])('%i bytes are no frame', (length) => {
    expect(() => seal(new Uint8Array(length))).toThrow(RangeError);
  });

  test('a frame that failed leaves the next one unharmed', () => {
    const { sealed, promise } = seal(text);
    expect(() => open(sealed.subarray(1), promise)).toThrow();
    expect(() => open(seal(Buffer.from('no zstd')).sealed, { packing: 'zstd', plainBytes: 7 })).toThrow();
    expect(open(sealed, promise)).toEqual(text);
  });
});

/** Bytes that no compressor shrinks; the same for the same length. */
function randomLike(length: number): Buffer {
  return Buffer.from(
    sealPayload(Buffer.alloc(length), packSeal(key, Buffer.alloc(0)), 0, Buffer.alloc(length + 16)),
  ).subarray(0, length);
}
