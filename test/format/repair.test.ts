import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Writer } from '../../format/cursor.ts';
import { digestOf } from '../../format/digest.ts';
import { goneKey } from '../../format/key-tree.ts';
import { openGone, openRepair, signRepair } from '../../format/repair.ts';
import { sealBytes } from '../../format/seal.ts';
import { signBody } from '../../format/signature.ts';
import { byName } from '../../format/stored-object.ts';
import { carriedList, digest } from './arbitrary.ts';
import { survivors, vector } from './fault.ts';
import { byMachine, trust } from './parties.ts';

const golden = vector('repair');
const indexKey = golden.bytes('indexKey');
const theirs = { vaultId: golden.text('vaultId'), ownerPublic: golden.bytes('ownerPublic') };
const named = (text: string) => digestOf(Buffer.from(text));

describe('repair', () => {
  test('made by other code, it opens; what is gone opens with the index key', () => {
    const signed = golden.bytes('signed');
    const repair = openRepair(signed, { trust: theirs, name: digestOf(signed) });
    expect(repair.replacements).toEqual([
      {
        lost: { kind: 'pack', name: named('lost'), length: 5000 },
        by: [{ kind: 'pack', name: named('stand-in'), length: 4000 }],
      },
    ]);
    expect(repair.goneChunks).toBe(1);
    expect(openGone(repair, indexKey)).toEqual([named('chunk')]);
  });

  test('what was written is read back, whatever it is', () => {
    fc.assert(
      fc.property(carriedList, carriedList, fc.uniqueArray(digest), (lost, by, chunks) => {
        const replacements = lost.map((object) => ({ lost: object, by }));
        const repair = openRepair(signRepair([...replacements].reverse(), { chunks, indexKey }, byMachine), { trust });
        expect(repair.replacements).toEqual(replacements);
        expect(openGone(repair, indexKey)).toEqual([...chunks].sort());
      }),
    );
  });

  test('every truncation and every flipped byte is refused', () => {
    const open = (bytes: Buffer) => openRepair(bytes, { trust: theirs });
    expect(survivors(golden.bytes('signed'), open, ['CorruptError', 'TamperedError'])).toEqual([]);
  });

  test('chunk ids, being digests of plaintext, never stand in clear', () => {
    const signed = signRepair([], { chunks: [named('chunk')], indexKey }, byMachine);
    expect(signed.includes(Buffer.from(named('chunk'), 'hex'))).toBe(false);
    expect(() => openGone(openRepair(signed, { trust }), new Uint8Array(32))).toThrow('repair: the seal is broken');
  });

  test('one with nothing gone needs no key', () => {
    const repair = openRepair(signRepair([], undefined, byMachine), { trust });
    expect([repair.goneChunks, openGone(repair, new Uint8Array(32))]).toEqual([0, []]);
  });

  test('lost objects out of order, and other numbers than it says, are refused', () => {
    const list = ['a', 'b'].map((text) => ({ kind: 'pack' as const, name: named(text), length: 1 })).sort(byName);
    const replacements = list.map((lost) => ({ lost, by: [] }));
    const body = openRepair(signRepair(replacements, { chunks: [named('c')], indexKey }, byMachine), { trust }).body;
    const resigned = (bytes: Buffer) => openRepair(signBody('repair', bytes, byMachine), { trust });
    const entry = 37 + 4;
    const swapped = Buffer.from(body);
    swapped.set(body.subarray(10, 10 + entry), 10 + entry);
    expect(() => resigned(swapped)).toThrow('lost objects are not sorted by name');
    const more = Buffer.from(body);
    more.writeUInt32LE(2, 10 + 2 * entry);
    expect(() => openGone(resigned(more), indexKey)).toThrow(/^repair: /);
    const salt = new Uint8Array(32);
    const short = Buffer.concat([body.subarray(0, 6), new Writer().u32(0).u32(2).bytes(salt).finish()]);
    const one = sealBytes(goneKey(indexKey, salt), Buffer.from(named('c'), 'hex'), short);
    expect(() => openGone(resigned(Buffer.concat([short, one])), indexKey)).toThrow('not the 2 chunks it says');
    const none = Buffer.from(body);
    none.writeUInt32LE(0, 10 + 2 * entry);
    expect(() => resigned(none)).toThrow('bytes too many');
  });
});
