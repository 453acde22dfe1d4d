import { createCipheriv } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { openBytes, sealBytes, TAG_BYTES } from '../../format/seal.ts';
import { survivors } from './fault.ts';

const key = new Uint8Array(32).fill(7);
const bound = Buffer.from('bound');

describe('seal', () => {
  test('what was sealed opens to the same bytes, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.uint8Array({ maxLength: 50 }), (plain, beside) => {
        const sealed = sealBytes(key, plain, beside);
        expect(sealed.length).toBe(plain.length + TAG_BYTES);
        expect(Buffer.from(openBytes(key, sealed, beside, 'test'))).toEqual(Buffer.from(plain));
      }),
    );
  });

  // GCM specification (McGrew and Viega), test cases 13, 14 and 16; NIST's CAVP has the same.
  test.each([
    ['00'.repeat(32), '00'.repeat(12), '', '', '530f8afbc74536b9a963b4f1c4cb738b'],
    [
      '00'.repeat(32),
      '00'.repeat(12),
      '00'.repeat(16),
      '',
      'cea7403d4d606b6e074ec5d3baf39d18' + 'd0d1c8a799996bf0265b98b5d48ab919',
    ],
    [
      'feffe9928665731c6d6a8f9467308308'.repeat(2),
      'cafebabefacedbaddecaf888',
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
      'feedfacedeadbeeffeedfacedeadbeefabaddad2',
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662' +
        '76fc6ece0f4e1768cddf8853bb2d551b',
    ],
  ])('is AES-256-GCM (%#)', (secret, nonce, plain, beside, sealed) => {
    const [k, n, p, b, s] = [secret, nonce, plain, beside, sealed].map((text) => Buffer.from(text, 'hex')) as Buffer[];
    if (!k || !n || !p || !b || !s) throw new Error('unreachable');
    expect(sealBytes(k, p, b, { nonce: n }).toString('hex')).toBe(sealed);
    expect(openBytes(k, s, b, 'test', { nonce: n }).toString('hex')).toBe(plain);
  });

  test('every truncation and every flipped byte is refused', () => {
    const sealed = sealBytes(key, Buffer.from('forty bytes or so, it does not matter'), bound);
    expect(survivors(sealed, (bytes) => openBytes(key, bytes, bound, 'test'), ['CorruptError'])).toEqual([]);
  });

  test.each([4, 8, 12, 13, 14, 15])('a tag of %i bytes is refused, which Node would take', (length) => {
    const cipher = createCipheriv('aes-256-gcm', key, new Uint8Array(12), { authTagLength: length });
    cipher.setAAD(bound);
    const text = Buffer.concat([cipher.update('plaintext that is long enough'), cipher.final()]);
    const sealed = Buffer.concat([text, cipher.getAuthTag()]);
    expect(() => openBytes(key, sealed, bound, 'test')).toThrow('test: the seal is broken');
  });

  test.each([
    ['another key', new Uint8Array(32), bound, new Uint8Array(12)],
    ['other bound bytes', key, Buffer.from('bounD'), new Uint8Array(12)],
    ['another nonce', key, bound, new Uint8Array(12).fill(1)],
  ])('%s does not open it', (_, secret, beside, nonce) => {
    const sealed = sealBytes(key, Buffer.from('plain'), bound);
    expect(() => openBytes(secret, sealed, beside, 'test', { nonce })).toThrow('test: the seal is broken');
  });

  test('more than one slice is sealed as if it were one', () => {
    const plain = Buffer.alloc(300_000, 'slices');
    const cipher = createCipheriv('aes-256-gcm', key, new Uint8Array(12), { authTagLength: 16 });
    cipher.setAAD(bound);
    const whole = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    expect(sealBytes(key, plain, bound).equals(whole)).toBe(true);
    expect(openBytes(key, whole, bound, 'test').equals(plain)).toBe(true);
  });
});
