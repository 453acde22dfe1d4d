import { describe, expect, test } from '@jest/globals';
import { identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { bech32 } from '../../format/bech32.ts';

// BIP 173, "Test vectors" and "Segwit address test vectors", without the witness version.
describe('bech32', () => {
  test.each([
    ['a', '', 'a12uel5l'],
    ['abcdef', '00443214c74254b635cf84653a56d7c675be77df', 'abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw'],
  ])('writes %s as BIP 173 does', (prefix, data, text) => {
    expect(bech32(prefix, Buffer.from(data, 'hex'))).toBe(text);
  });

  test('age reads every identity that is written', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 32 }), async (bytes) => {
        const identity = bech32('age-secret-key-pq-', bytes).toUpperCase();
        expect(await identityToRecipient(identity)).toMatch(/^age1pq1/);
      }),
      { numRuns: 5 },
    );
  });
});
