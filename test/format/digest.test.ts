import { describe, expect, test } from '@jest/globals';
import { CorruptError } from '../../format/cursor.ts';
import { Digesting, digestBytes, digestOf, sha256, toDigest } from '../../format/digest.ts';

// FIPS 180-4 examples: "abc" and the two-block message.
const ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
const TWO_BLOCKS = 'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq';

describe('digest', () => {
  test('is SHA-256', () => {
    expect(digestOf(Buffer.from('abc'))).toBe(ABC);
    expect(sha256(Buffer.from(TWO_BLOCKS)).toString('hex')).toBe(
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    );
  });

  test('bytes and name are two spellings of one value', () => {
    expect(toDigest(digestBytes(digestOf(Buffer.from('abc'))))).toBe(ABC);
  });

  test('pieces amount to the whole', () => {
    const digesting = new Digesting().update(Buffer.from('a')).update(new Uint8Array(0)).update(Buffer.from('bc'));
    expect(digesting.digest()).toBe(ABC);
  });

  test.each([0, 31, 33])('%i bytes are no digest', (length) => {
    expect(() => toDigest(new Uint8Array(length))).toThrow(CorruptError);
  });
});
