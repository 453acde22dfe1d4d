import { sign, verify } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as keyTree from '../../format/key-tree.ts';
import { vector } from './fault.ts';

const golden = vector('key-tree');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('key tree', () => {
  const master = golden.bytes('master');

  test('derives what its description says, made by other code', () => {
    const owner = keyTree.deriveOwner(master);
    const domain = keyTree.deriveDomain(master, golden.text('domain'));
    expect(hex(owner.publicKey)).toBe(golden.text('ownerPublic'));
    expect(owner.restoreIdentity).toBe(golden.text('restoreIdentity'));
    expect(hex(domain.chunkerKey)).toBe(golden.text('chunkerKey'));
    expect(hex(domain.indexKey)).toBe(golden.text('indexKey'));
  });

  test('the restore recipient is the one stock age derives from the restore identity', async () => {
    const { text } = vector('session');
    expect(text('identity')).toBe(golden.text('restoreIdentity'));
    expect(await keyTree.deriveOwner(master).restoreRecipient()).toBe(text('recipient'));
  });

  test('a salted key has one use: no two labels give the same', () => {
    const key = golden.bytes('key');
    const salt = golden.bytes('salt');
    const derived = {
      pack: keyTree.packKey(key, salt),
      point: keyTree.pointKey(key, salt),
      table: keyTree.tableKey(key, salt),
      'index-part': keyTree.indexPartKey(key, salt),
      items: keyTree.itemsKey(key, salt),
      gone: keyTree.goneKey(key, salt),
      object: keyTree.objectKey(key, salt),
      manifest: keyTree.objectKey(key, salt, 'manifest'),
      journal: keyTree.objectKey(key, salt, 'journal'),
    };
    for (const [use, bytes] of Object.entries(derived)) expect(hex(bytes)).toBe(golden.text(`salted/${use}`));
    expect(new Set(Object.values(derived).map(hex)).size).toBe(Object.keys(derived).length);
  });

  test('another domain has other keys', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/), fc.stringMatching(/^[a-z0-9]{1,20}$/), (a, b) => {
        fc.pre(a !== b);
        const [one, other] = [keyTree.deriveDomain(master, a), keyTree.deriveDomain(master, b)];
        expect(new Set([one.chunkerKey, one.indexKey, other.chunkerKey, other.indexKey].map(hex)).size).toBe(4);
      }),
    );
  });

  test.each(['', 'a/b', 'A', '../x', 'a'.repeat(64)])('%j is no domain id', (domain) => {
    expect(() => keyTree.deriveDomain(master, domain)).toThrow(RangeError);
  });

  test('keys of another length are refused', () => {
    expect(() => keyTree.deriveOwner(new Uint8Array(31))).toThrow(RangeError);
    expect(() => keyTree.signingKey(new Uint8Array(33))).toThrow(RangeError);
    expect(() => keyTree.verifyingKey(new Uint8Array(0))).toThrow(RangeError);
    expect([keyTree.newMaster().length, keyTree.newSalt().length]).toEqual([32, 32]);
  });
});

describe('Ed25519 as we wrap it', () => {
  // RFC 8032, 7.1: TEST 2 and TEST 3.
  test.each([
    [
      '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
    [
      'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
      'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    ],
  ])('gives the keys and signatures of RFC 8032 (%#)', (seed, publicKey, message, signature) => {
    const key = keyTree.signingKey(Buffer.from(seed, 'hex'));
    expect(hex(keyTree.publicBytes(key))).toBe(publicKey);
    expect(hex(sign(null, Buffer.from(message, 'hex'), key))).toBe(signature);
    const verifying = keyTree.verifyingKey(Buffer.from(publicKey, 'hex'));
    expect(hex(keyTree.publicBytes(verifying))).toBe(publicKey);
    expect(verify(null, Buffer.from(message, 'hex'), verifying, Buffer.from(signature, 'hex'))).toBe(true);
  });

  test('a signature made larger by the group order is refused: one message, one signature', () => {
    const key = keyTree.signingKey(golden.bytes('ownerSeed'));
    const signature = sign(null, Buffer.from('message'), key);
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order;
    const malleable = Buffer.concat([
      signature.subarray(0, 32),
      Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse(),
    ]);
    const verifying = keyTree.verifyingKey(keyTree.publicBytes(key));
    expect(verify(null, Buffer.from('message'), verifying, signature)).toBe(true);
    expect(verify(null, Buffer.from('message'), verifying, malleable)).toBe(false);
  });
});
