import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { digestOf } from '../../format/digest.ts';
import { openRemoval, signRemoval } from '../../format/removal.ts';
import { signBody } from '../../format/signature.ts';
import { carriedList, digest } from './arbitrary.ts';
import { survivors, vector } from './fault.ts';
import { byMachine, byOwner, bySite, trust } from './parties.ts';

const golden = vector('removal');
const theirs = { vaultId: golden.text('vaultId'), ownerPublic: golden.bytes('ownerPublic') };
const at = '2026-11-24T00:00:00.000Z';
const named = (text: string) => digestOf(Buffer.from(text));

describe('removal', () => {
  test('made by other code, it opens', () => {
    const signed = golden.bytes('signed');
    const { removal, signer } = openRemoval(signed, { trust: theirs, name: digestOf(signed) });
    expect(signer.role).toBe('owner');
    expect(removal.at).toBe(at);
    expect(removal.points).toEqual([{ machine: 'hq', sequence: 3, name: named('point 3') }]);
    expect(new Map(removal.objects.map(({ name, kind }) => [name, kind]))).toEqual(
      new Map([
        [named('a'), 'pack'],
        [named('set'), 'pack-set'],
      ]),
    );
  });

  test('what was written is read back in order, whatever it is', () => {
    const point = fc.record({ machine: fc.constantFrom('hq', 'till-2', 'a'), sequence: fc.nat(50), name: digest });
    const points = fc.uniqueArray(point, { selector: ({ machine, sequence }) => `${machine} ${sequence}` });
    fc.assert(
      fc.property(points, carriedList, (removed, objects) => {
        const { removal } = openRemoval(signRemoval({ at, points: removed, objects }, bySite), { trust });
        expect(removal.objects).toEqual(objects);
        const sorted = [...removed].sort((a, b) =>
          a.machine < b.machine ? -1 : a.machine > b.machine ? 1 : a.sequence - b.sequence,
        );
        expect(removal.points).toEqual(sorted);
      }),
    );
  });

  test('every truncation and every flipped byte is refused', () => {
    const open = (bytes: Buffer) => openRemoval(bytes, { trust: theirs });
    expect(survivors(golden.bytes('signed'), open, ['CorruptError', 'TamperedError'])).toEqual([]);
  });

  test('a machine removes nothing: it cannot delete what it backed up', () => {
    const removal = { at, points: [], objects: [] };
    expect(() => signRemoval(removal, byMachine)).toThrow('a machine signs no removal');
    expect(openRemoval(signRemoval(removal, byOwner), { trust }).removal).toEqual(removal);
  });

  test('a point twice, points out of order, and no time are refused', () => {
    const points = [1, 2].map((sequence) => ({ machine: 'hq', sequence, name: named(String(sequence)) }));
    expect(() => signRemoval({ at, points: [...points, ...points], objects: [] }, byOwner)).toThrow(RangeError);
    const signed = signRemoval({ at, points, objects: [] }, byOwner);
    const body = signed.subarray(6 + 8 + 6 + 2 + 4, -64);
    const resigned = (bytes: Buffer) => openRemoval(signBody('removal', bytes, byOwner), { trust }).removal;
    expect(resigned(body).points).toEqual(points);
    const doubled = Buffer.from(body);
    doubled.writeUInt32LE(1, body.length - 4 - 32 - 4);
    expect(() => resigned(doubled)).toThrow('points are not sorted');
    expect(() => resigned(Buffer.concat([body, Buffer.alloc(1)]))).toThrow('removal: 1 bytes too many');
    const timeless = Buffer.from(body);
    timeless.write('soon', 7);
    expect(() => resigned(timeless)).toThrow('removal: has no time');
  });
});
