import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  findChunk,
  INDEX_ENTRIES_MAX,
  INDEX_ENTRY_BYTES,
  type IndexPart,
  openIndexPart,
  signIndexPart,
  writeIndexEntry,
} from '../../format/chunk-index.ts';
import { Writer } from '../../format/cursor.ts';
import { digestOf, sha256 } from '../../format/digest.ts';
import { FRAME_BYTES_MAX } from '../../format/frame.ts';
import { indexPartKey } from '../../format/key-tree.ts';
import { padded } from '../../format/pack.ts';
import { openBytes, sealBytes } from '../../format/seal.ts';
import { openSigned, signBody } from '../../format/signature.ts';
import { writeObjects } from '../../format/stored-object.ts';
import { carriedList, digest } from './arbitrary.ts';
import { survivors, vector } from './fault.ts';
import { byMachine, bySite, trust } from './parties.ts';

const golden = vector('chunk-index');
const indexKey = golden.bytes('indexKey');
const by = { ...byMachine, indexKey };
const theirs = { trust: { vaultId: golden.text('vaultId'), ownerPublic: golden.bytes('ownerPublic') }, indexKey };
const idOf = (text: string) => sha256(Buffer.from(text));
const PACK = { kind: 'pack' as const, name: digestOf(Buffer.from('a')), length: 5000 };

interface Place {
  readonly id: Uint8Array;
  readonly pack: number;
  readonly frame: number;
  readonly offset: number;
  readonly length: number;
}

function entriesOf(places: readonly Place[]): Buffer {
  const entries = Buffer.alloc(places.length * INDEX_ENTRY_BYTES);
  const sorted = [...places].sort((a, b) => Buffer.compare(a.id, b.id));
  for (const [at, place] of sorted.entries()) writeIndexEntry(entries, at * INDEX_ENTRY_BYTES, place);
  return entries;
}

/** What the seal of a part holds. */
function plainOf(signed: Uint8Array): Buffer {
  const { body } = openSigned(signed, { kind: 'index', trust });
  return openBytes(indexPartKey(indexKey, body.subarray(6, 38)), body.subarray(38), body.subarray(0, 38), 'test');
}

describe('chunk index', () => {
  test('made by other code, it opens, and knows where each chunk is', () => {
    const signed = golden.bytes('signed');
    const part = openIndexPart(signed, { ...theirs, name: digestOf(signed) });
    expect(part.packs.map(({ kind, length }) => [kind, length]).sort()).toEqual([
      ['pack', 5000],
      ['tree', 4000],
    ]);
    expect(part.replaces).toEqual([digestOf(Buffer.from('an older part'))]);
    expect(part.signer).toMatchObject({ role: 'machine', id: 'hq', domain: 'hq' });
    const [one, other, leaf] = [0, 1, 2].map((at) => golden.bytes(`chunks/${at}`)) as [Buffer, Buffer, Buffer];
    expect(findChunk(part, sha256(one))).toEqual({ pack: 0, frame: 0, offset: 0, length: one.length });
    expect(findChunk(part, sha256(other))).toEqual({ pack: 0, frame: 0, offset: one.length, length: other.length });
    expect(findChunk(part, sha256(leaf))).toEqual({ pack: 1, frame: 300, offset: 17, length: leaf.length });
    expect(findChunk(part, idOf('nowhere'))).toBeUndefined();
  });

  test('what was written is read back, and every chunk found, whatever it is', () => {
    const place = fc.record({
      id: fc.nat().map((seed) => idOf(`${seed}`)),
      frame: fc.nat(0xffff),
      offset: fc.nat(FRAME_BYTES_MAX - 1),
      length: fc.integer({ min: 1, max: FRAME_BYTES_MAX }),
      pack: fc.nat(),
    });
    const places = fc.uniqueArray(place, { selector: ({ id }) => id.toString('hex'), maxLength: 40 });
    fc.assert(
      fc.property(carriedList, places, fc.array(digest), (packs, found, replaces) => {
        const inside = packs.length === 0 ? [] : found;
        const fitting = inside.map((one) => ({
          ...one,
          pack: one.pack % packs.length,
          length: Math.min(one.length, FRAME_BYTES_MAX - one.offset),
        }));
        const entries = entriesOf(fitting);
        const signed = signIndexPart({ packs, entries, replaces }, by);
        const part = openIndexPart(signed, { trust, indexKey, name: digestOf(signed) });
        expect(part).toMatchObject({ packs, replaces });
        expect(entries.equals(part.entries)).toBe(true);
        for (const { id, ...rest } of fitting) expect(findChunk(part, id)).toEqual(rest);
        expect(padded(plainOf(signed).length)).toBe(plainOf(signed).length);
      }),
    );
  });

  test('every truncation and every flipped byte is refused', () => {
    const open = (bytes: Buffer) => openIndexPart(bytes, theirs);
    expect(survivors(golden.bytes('signed'), open, ['CorruptError', 'TamperedError'])).toEqual([]);
  });

  test('under another name, or with the key of another domain, it does not open', () => {
    const signed = golden.bytes('signed');
    expect(() => openIndexPart(signed, { ...theirs, name: digestOf(Buffer.from('other')) })).toThrow(
      'not the bytes of its name',
    );
    expect(() => openIndexPart(signed, { ...theirs, indexKey: Buffer.alloc(32) })).toThrow(
      'chunk-index: the seal is broken',
    );
  });

  test('no chunk id stands in clear', () => {
    const signed = golden.bytes('signed');
    for (const at of [0, 1, 2])
      expect(signed.includes(sha256(golden.bytes(`chunks/${at}`)).subarray(0, 8))).toBe(false);
  });

  test('nobody but a machine signs one', () => {
    const part: IndexPart = { packs: [], entries: Buffer.alloc(0), replaces: [] };
    expect(() => signIndexPart(part, { ...bySite, indexKey })).toThrow(RangeError);
  });

  test('more entries than a part holds, and half an entry, are not written', () => {
    const entries = Buffer.alloc(INDEX_ENTRY_BYTES * (INDEX_ENTRIES_MAX + 1));
    expect(() => signIndexPart({ packs: [PACK], entries, replaces: [] }, by)).toThrow(RangeError);
    expect(() => signIndexPart({ packs: [PACK], entries: Buffer.alloc(33), replaces: [] }, by)).toThrow(RangeError);
  });

  test('a full part stays below 64 MiB, and is read in its time', () => {
    const entries = Buffer.alloc(INDEX_ENTRY_BYTES * INDEX_ENTRIES_MAX);
    for (let at = 0; at < INDEX_ENTRIES_MAX; at++) {
      entries.writeUInt32BE(at, at * INDEX_ENTRY_BYTES);
      entries.writeUInt32LE(1, at * INDEX_ENTRY_BYTES + 30);
    }
    const signed = signIndexPart({ packs: [PACK], entries, replaces: [] }, by);
    expect(signed.length).toBeLessThan(64 * 1024 * 1024);
    const part = openIndexPart(signed, { trust, indexKey });
    const id = Buffer.alloc(32);
    id.writeUInt32BE(1_234_567);
    expect(findChunk(part, id)).toMatchObject({ length: 1 });
  });
});

describe('a part that a hostile machine sealed', () => {
  /** Seals and signs any plaintext as a part. */
  function resealed(plain: Uint8Array): Buffer {
    const salt = idOf('salt');
    const head = new Writer().prelude('SSIX').bytes(salt).finish();
    return signBody('index', Buffer.concat([head, sealBytes(indexPartKey(indexKey, salt), plain, head)]), byMachine);
  }

  function toLength(plain: Uint8Array): Buffer {
    return Buffer.concat([plain, Buffer.alloc(padded(plain.length) - plain.length)]);
  }

  function plain(
    places: readonly Place[],
    { count = places.length, replaces = 0, end = Buffer.alloc(0) } = {},
  ): Buffer {
    const writer = new Writer();
    writeObjects(writer, [PACK]);
    const entries = Buffer.alloc(places.length * INDEX_ENTRY_BYTES);
    for (const [at, place] of places.entries()) writeIndexEntry(entries, at * INDEX_ENTRY_BYTES, place);
    return writer.u32(count).bytes(entries).u32(replaces).bytes(end).finish();
  }

  const good = { id: idOf('b'), pack: 0, frame: 0, offset: 0, length: 1 };
  const [low, high] = [idOf('x'), idOf('y')].sort(Buffer.compare) as [Buffer, Buffer];

  test.each<[string, Buffer, string]>([
    ['a pack that is not listed', plain([{ ...good, pack: 1 }]), 'names a pack that is not listed'],
    ['a chunk of no bytes', plain([{ ...good, length: 0 }]), 'a chunk in no frame'],
    ['a chunk past its frame', plain([{ ...good, offset: FRAME_BYTES_MAX }]), 'a chunk in no frame'],
    ['a chunk of 4 GiB', plain([{ ...good, length: 0xffffffff, offset: 0xffffffff }]), 'a chunk in no frame'],
    [
      'keys out of order',
      plain([
        { ...good, id: high },
        { ...good, id: low },
      ]),
      'entries are not sorted',
    ],
    ['a key twice', plain([good, good]), 'entries are not sorted'],
    ['4294967295 entries', plain([good], { count: 0xffffffff }), '4294967295 entries'],
    ['more entries than it has', plain([good], { count: 3 }), 'ends too early'],
    ['4294967295 replaced parts', plain([good], { replaces: 0xffffffff }), 'ends too early'],
    ['padding that is not zero', plain([good], { end: Buffer.of(0, 0, 1) }), 'padding that is not zero'],
    ['no packs', Buffer.alloc(2), 'ends too early'],
    ['4294967295 packs', Buffer.alloc(4, 0xff), 'ends too early'],
  ])('with %s is refused', (_, bytes, reason) => {
    expect(() => openIndexPart(resealed(toLength(bytes)), { trust, indexKey })).toThrow(reason);
  });

  test('as its own, is taken; padded to another length it is not', () => {
    const bytes = toLength(plain([good]));
    expect(openIndexPart(resealed(bytes), { trust, indexKey }).packs).toEqual([PACK]);
    for (const other of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.alloc(1)])])
      expect(() => openIndexPart(resealed(other), { trust, indexKey })).toThrow('not padded as it should be');
  });
});
