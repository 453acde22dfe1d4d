import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Writer } from '../../format/cursor.ts';
import { digestOf, sha256 } from '../../format/digest.ts';
import { FrameOpener, FrameSealer, packSeal, SEALED_BYTES_MAX, sealPayload } from '../../format/frame.ts';
import { packKey, tableKey } from '../../format/key-tree.ts';
import {
  type ChunkEntry,
  decodePackHeader,
  encodePackHeader,
  FRAME_CHUNKS_MAX,
  openPackTable,
  openSealedTable,
  PACK_BYTES_FULL,
  PACK_BYTES_MAX,
  PACK_CHUNKS_MAX,
  PackBuilder,
  type PackKind,
  packSealOf,
  padded,
  TRAILER_BYTES,
} from '../../format/pack.ts';
import { sealBytes, TAG_BYTES } from '../../format/seal.ts';
import { wrapBytes } from '../../format/session.ts';
import { survivors, vector } from './fault.ts';

const golden = vector('pack');
const indexKey = golden.bytes('indexKey');
const sessionKey = golden.bytes('sessionKey');
const keys = { sessionKey, wrap: golden.bytes('wrap'), recipientId: golden.bytes('recipientId'), indexKey };
const tools = { sealer: new FrameSealer(3), opener: new FrameOpener(), into: Buffer.alloc(SEALED_BYTES_MAX) };
const MIB = 1024 * 1024;

function chunked(plain: Uint8Array): ChunkEntry[] {
  return [{ id: sha256(plain), length: plain.length }];
}

/** A whole pack; what its builder returns stands until the next call. */
function build(frames: readonly (readonly Uint8Array[])[], kind: PackKind = 'data'): Buffer {
  const builder = new PackBuilder(kind, keys);
  const pieces: Uint8Array[] = [builder.header];
  for (const chunks of frames)
    pieces.push(Buffer.from(builder.add(Buffer.concat(chunks), chunks.flatMap(chunked), tools)));
  return Buffer.concat([...pieces, ...builder.finish()]);
}

function openTable(pack: Buffer, key: Uint8Array = indexKey) {
  return openPackTable((offset, length) => pack.subarray(offset, offset + length), pack.length, key);
}

/** Table and all frames; padding too. */
function openAll(pack: Buffer, session: Uint8Array = sessionKey): Buffer[] {
  const table = openTable(pack);
  const seal = packSealOf(table, session);
  return table.frames.map((frame, number) => {
    const sealed = pack.subarray(frame.offset, frame.offset + frame.sealedBytes);
    return Buffer.from(tools.opener.open(sealed, seal, number, frame));
  });
}

/** Bytes no compressor shrinks. */
function noise(length: number): Buffer {
  const sealed = sealPayload(
    Buffer.alloc(length),
    packSeal(sessionKey, Buffer.alloc(0)),
    length,
    Buffer.alloc(length + 16),
  );
  return Buffer.from(sealed.subarray(0, length));
}

describe('pack', () => {
  test('made by other code, of data, it opens', () => {
    const bytes = golden.bytes('data');
    const { header, frames } = openTable(bytes);
    expect(header).toEqual({
      kind: 'data',
      recipientId: keys.recipientId,
      salt: golden.bytes('salt'),
      wrap: keys.wrap,
    });
    const plain = openAll(bytes);
    const [one, other, run] = [0, 1, 2].map((at) => golden.bytes(`chunks/${at}`)) as [Buffer, Buffer, Buffer];
    expect(plain.slice(0, 2)).toEqual([Buffer.concat([one, other]), run]);
    expect(frames.map(({ packing, padding }) => [packing, padding])).toEqual([
      ['raw', false],
      ['zstd', false],
      ['raw', true],
    ]);
    expect(frames[0]?.chunks).toEqual([...chunked(one), ...chunked(other)]);
    expect(plain[2]?.every((byte) => byte === 0)).toBe(true);
  });

  test('and of trees', () => {
    const bytes = golden.bytes('tree');
    expect(openTable(bytes).header.kind).toBe('tree');
    expect(openAll(bytes)[0]).toEqual(vector('tree').bytes('leaf'));
  });

  test('what was put in is found again, and its length tells little', () => {
    const chunk = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.nat(2000).map((n) => Buffer.alloc(n + 1)),
    );
    const frames = fc.array(fc.array(chunk, { minLength: 1, maxLength: 5 }), { maxLength: 6 });
    fc.assert(
      fc.property(frames, fc.constantFrom<PackKind[]>('data', 'tree'), (held, kind) => {
        const bytes = build(held, kind);
        const table = openTable(bytes);
        expect(table.header.kind).toBe(kind);
        expect(table.frames.slice(0, -1).map(({ chunks }) => chunks)).toEqual(
          held.map((list) => list.flatMap(chunked)),
        );
        expect(openAll(bytes).slice(0, -1)).toEqual(held.map((list) => Buffer.concat(list)));
        expect(padded(bytes.length)).toBe(bytes.length);
      }),
    );
  });

  test('sealed twice it has two names', () => {
    const frames = [[Buffer.from('the same')]];
    expect(digestOf(build(frames))).not.toBe(digestOf(build(frames)));
  });

  test('every truncation and every flipped byte is refused by its tags alone', () => {
    const bytes = build([[Buffer.from('a chunk')], [Buffer.alloc(500, 'zstd ')]]);
    expect(survivors(bytes, (altered) => openAll(altered), ['CorruptError'])).toEqual([]);
  });

  test('a table opens with the index key of its domain alone, a frame with the session key alone', () => {
    const bytes = golden.bytes('data');
    expect(() => openTable(bytes, sessionKey)).toThrow('pack table: the seal is broken');
    expect(() => openAll(bytes, indexKey)).toThrow('frame 0: the seal is broken');
  });

  test('a table that was kept apart opens beside its header', () => {
    const bytes = golden.bytes('data');
    const { header, headerBytes } = decodePackHeader(bytes);
    const length = bytes.readUInt32LE(bytes.length - TRAILER_BYTES);
    const sealed = bytes.subarray(bytes.length - TRAILER_BYTES - length, bytes.length - TRAILER_BYTES);
    expect(openSealedTable({ header, headerBytes, sealed }, indexKey)).toEqual(openTable(bytes).frames);
  });

  test('what does not open to the bytes that went in is never handed out', () => {
    class Forgetful extends FrameOpener {
      override open(...asked: Parameters<FrameOpener['open']>): Uint8Array {
        const plain = Buffer.from(super.open(...asked));
        plain.writeUInt8(plain.readUInt8(2) ^ 4, 2);
        return plain;
      }
    }
    const builder = new PackBuilder('data', keys);
    const plain = Buffer.from('kept in bad memory');
    expect(() => builder.add(plain, chunked(plain), { ...tools, opener: new Forgetful() })).toThrow(
      'frame 0: opens to other bytes than were sealed',
    );
    expect(builder.isEmpty).toBe(true);
  });

  test('what fits is at most 64 MiB when closed', () => {
    const builder = new PackBuilder('data', keys);
    const plain = noise(2 * MIB);
    const rows = Array.from({ length: 1500 }, () => ({ id: sha256(plain), length: 1 })); // tables take room too
    const chunks = [...rows, { id: sha256(plain), length: plain.length - rows.length }];
    let frames = 0;
    while (builder.fits(plain.length, chunks.length)) {
      builder.add(plain, chunks, tools);
      frames += 1;
    }
    const rest = plain.subarray(0, 50_000);
    while (builder.fits(rest.length, 1)) builder.add(rest, chunked(rest), tools);
    const length = builder.bytes + builder.finish().reduce((sum, piece) => sum + piece.length, 0);
    expect(frames).toBeGreaterThan(25);
    expect(length).toBeLessThanOrEqual(PACK_BYTES_MAX);
    expect(length).toBeGreaterThanOrEqual(PACK_BYTES_FULL);
  });

  test('of the tiniest chunks it holds 65,536, and no more', () => {
    const builder = new PackBuilder('data', keys);
    const pieces: Uint8Array[] = [builder.header];
    const plain = Buffer.alloc(FRAME_CHUNKS_MAX, 'x');
    const chunks = [...plain].map(() => ({ id: sha256(plain), length: 1 }));
    const more = Buffer.concat([plain, Buffer.of(1)]);
    expect(() => builder.add(more, [...chunks, ...chunked(Buffer.of(1))], tools)).toThrow(RangeError);
    while (builder.fits(plain.length, chunks.length)) pieces.push(Buffer.from(builder.add(plain, chunks, tools)));
    expect(builder.fits(1, 1)).toBe(false);
    expect(() => builder.add(Buffer.of(1), chunked(Buffer.of(1)), tools)).toThrow(RangeError);
    const { frames } = openTable(Buffer.concat([...pieces, ...builder.finish()]));
    expect(frames.reduce((sum, { chunks: held }) => sum + held.length, 0)).toBe(PACK_CHUNKS_MAX);
  });

  test.each([
    [-1, PACK_BYTES_MAX],
    [0, PACK_BYTES_FULL],
    [1, PACK_BYTES_FULL + 1],
  ])('at %i bytes past 63 MiB, it has %i when closed', (past, closed) => {
    const builder = new PackBuilder('data', keys);
    const pieces: Uint8Array[] = [builder.header];
    const add = (plain: Buffer) => pieces.push(Buffer.from(builder.add(plain, chunked(plain), tools)));
    const big = noise(2 * MIB);
    for (let frame = 0; frame < 31; frame++) add(big);
    const rowBytes = 13 + 36;
    const tail = 4 + 32 * rowBytes + TAG_BYTES + TRAILER_BYTES;
    add(noise(PACK_BYTES_FULL + past - builder.bytes - tail - TAG_BYTES));
    const bytes = Buffer.concat([...pieces, ...builder.finish()]);
    expect(bytes.length).toBe(closed);
    expect(openTable(bytes).frames).toHaveLength(past < 0 ? 33 : 32);
  });
});

describe('a pack that a hostile machine sealed', () => {
  const header = encodePackHeader({ ...keys, kind: 'data', salt: sha256(Buffer.from('salt')) });
  const salt = sha256(Buffer.from('salt'));
  const id = sha256(Buffer.from('id'));

  function row(flags: number, sealed: number, plain: number, chunks: readonly number[], count = chunks.length): Buffer {
    const writer = new Writer().u8(flags).u32(sealed).u32(plain).u32(count);
    for (const length of chunks) writer.bytes(id).u32(length);
    return writer.finish();
  }

  function tiny(count: number): Buffer {
    return row(0, count + TAG_BYTES, count, new Array(count).fill(1));
  }

  /** Frames are not looked at by who opens a table: zeros stand for them. */
  function packOf(rows: readonly Buffer[], { count = rows.length, frames = 0, more = Buffer.alloc(0) } = {}): Buffer {
    const plain = Buffer.concat([new Writer().u32(count).finish(), ...rows, more]);
    const table = sealBytes(tableKey(indexKey, salt), plain, header);
    const trailer = new Writer().u32(table.length).text('KPSS').finish();
    return Buffer.concat([header, Buffer.alloc(frames), table, trailer]);
  }

  test.each<[string, Buffer, string]>([
    ['4294967295 frames', packOf([], { count: 0xffffffff }), 'ends too early'],
    ['4294967295 chunks in a frame', packOf([row(0, 26, 10, [], 0xffffffff)]), 'ends too early'],
    ['65,537 chunks', packOf([tiny(40_000), tiny(25_537)]), 'more chunks than a pack holds'],
    ['an empty frame', packOf([row(0, 16, 0, [])]), 'a frame of 0 bytes'],
    ['a frame of more than 2 MiB', packOf([row(1, 100, 2 * MIB + 1, [2 * MIB + 1])]), 'a frame of 2097153 bytes'],
    ['a frame shorter than a tag', packOf([row(1, 16, 10, [10])]), 'a frame of 10 bytes'],
    ['a raw frame of another length', packOf([row(0, 27, 10, [10])]), 'a frame of 10 bytes that takes 27'],
    ['zstd that saved nothing', packOf([row(1, 26, 10, [10])]), 'a frame of 10 bytes that takes 26'],
    ['padding that is compressed', packOf([row(3, 26, 10, [])]), 'unknown flags'],
    ['unknown flags', packOf([row(4, 26, 10, [10])]), 'unknown flags'],
    ['padding in the middle', packOf([row(2, 26, 10, []), row(0, 26, 10, [10])]), 'padding in the middle'],
    ['padding that holds chunks', packOf([row(2, 26, 10, [10])]), 'chunks do not fill their frame'],
    ['an empty chunk', packOf([row(0, 26, 10, [10, 0])]), 'an empty chunk'],
    ['chunks that leave bytes over', packOf([row(0, 26, 10, [9])]), 'chunks do not fill their frame'],
    ['chunks past the end of their frame', packOf([row(0, 26, 10, [5, 6])]), 'chunks do not fill their frame'],
    ['bytes behind the rows', packOf([row(0, 26, 10, [10])], { more: Buffer.alloc(1) }), '1 bytes too many'],
    [
      'bytes that no frame accounts for',
      packOf([row(0, 26, 10, [10])], { frames: 27 }),
      'does not account for all frames',
    ],
    ['frames past the table', packOf([row(0, 26, 10, [10])], { frames: 25 }), 'does not account for all frames'],
    ['no padding', packOf([row(0, 26, 10, [10])], { frames: 26 }), 'not padded as it should be'],
    ['padding to another length', packOf([row(2, 26, 10, [])], { frames: 26 }), 'not padded as it should be'],
  ])('with %s is refused', (_, bytes, reason) => {
    expect(() => openTable(bytes)).toThrow(reason);
  });

  test('with a table longer than itself, or than its frames leave room for, is refused', () => {
    for (const length of [0xffffffff, golden.bytes('data').length, golden.bytes('data').length - 8]) {
      const bytes = golden.bytes('data');
      bytes.writeUInt32LE(length, bytes.length - TRAILER_BYTES);
      expect(() => openTable(bytes)).toThrow('pack: the table runs past the front');
    }
  });

  test('that is longer than 64 MiB is refused unread', () => {
    const never = (): never => {
      throw new Error('it was read');
    };
    expect(() => openPackTable(never, PACK_BYTES_MAX + 1, indexKey)).toThrow('are more than a pack holds');
  });

  test('of an unknown kind, or for two recipients, is refused', () => {
    const kind = Buffer.from(header);
    kind.writeUInt8(3, 6);
    expect(() => decodePackHeader(kind)).toThrow('pack: unknown kind');
    const two = new Writer()
      .bytes(header.subarray(0, 55))
      .bytes16(Buffer.alloc(wrapBytes(2)))
      .finish();
    expect(() => decodePackHeader(two)).toThrow('wrap: ');
  });

  test('under a key that is not of its salt does not open', () => {
    const seal = packSeal(packKey(sessionKey, id), header);
    expect(() =>
      tools.opener.open(golden.bytes('data').subarray(-100), seal, 0, { packing: 'raw', plainBytes: 84 }),
    ).toThrow();
  });
});

describe('padding', () => {
  test.each([
    [9, 10],
    [1000, 1024],
    [1025, 1088],
    [1_000_000, 1_015_808],
    [PACK_BYTES_FULL, PACK_BYTES_FULL],
    [PACK_BYTES_FULL + 1, PACK_BYTES_MAX],
  ])('of %i bytes is %i', (length, result) => {
    expect(padded(length)).toBe(result);
  });

  test('adds at most 12 %, once, and keeps the order of lengths', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: PACK_BYTES_MAX }), (length) => {
        const result = padded(length);
        expect(result).toBeGreaterThanOrEqual(length);
        expect(result).toBeLessThanOrEqual(Math.ceil(length * 1.12));
        expect(padded(result)).toBe(result);
        expect(padded(length + 1)).toBeGreaterThanOrEqual(result);
      }),
    );
  });
});
