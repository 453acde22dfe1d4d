import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CorruptError, FORMAT_VERSION, Reader, SUITE, Writer } from '../../format/cursor.ts';

describe('cursor', () => {
  test('what was written is read back, whatever it is', () => {
    const numbers = fc.record({
      u8: fc.nat(0xff),
      u16: fc.nat(0xffff),
      u32: fc.nat(0xffffffff),
      u64: fc.maxSafeNat(),
      i64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      text: fc.string({ unit: 'grapheme', maxLength: 40 }),
      bytes: fc.uint8Array({ maxLength: 255 }),
    });
    fc.assert(
      fc.property(numbers, ({ u8, u16, u32, u64, i64, text, bytes }) => {
        const written = new Writer(1)
          .prelude('TEST')
          .u8(u8)
          .u16(u16)
          .u32(u32)
          .u64(u64)
          .i64big(i64)
          .text16(text)
          .bytes8(bytes)
          .bytes16(bytes)
          .bytes32(bytes)
          .finish();
        const reader = new Reader(written, 'test');
        reader.prelude('TEST');
        expect([reader.u8(), reader.u16(), reader.u32(), reader.u64()]).toEqual([u8, u16, u32, u64]);
        expect(reader.i64big()).toBe(i64);
        expect(reader.text16()).toBe(text);
        for (const back of [reader.bytes8(), reader.bytes16(), reader.bytes32()])
          expect(Buffer.from(back)).toEqual(Buffer.from(bytes));
        reader.done();
      }),
    );
  });

  test('numbers are little-endian', () => {
    const bytes = new Writer()
      .u16(1)
      .u32(2)
      .u64(2 ** 32 + 3)
      .i64big(-2n)
      .finish();
    expect(bytes.toString('hex')).toBe('0100' + '02000000' + '0300000001000000' + 'feffffffffffffff');
  });

  test('reading past the end, by any type, is refused', () => {
    for (const read of ['u8', 'u16', 'u32', 'u64', 'i64big', 'bytes8', 'text16', 'bytes32'] as const)
      expect(() => new Reader(new Uint8Array(0), 'test')[read]()).toThrow('test: ends too early');
    expect(() => new Reader(new Writer().u32(5).u32(0).finish(), 'test').bytes32()).toThrow('test: ends too early');
  });

  test('bytes left over are refused', () => {
    expect(() => new Reader(new Uint8Array(2), 'test').done()).toThrow('test: 2 bytes too many');
  });

  test('a number past 2^53 is refused', () => {
    expect(() => new Reader(new Uint8Array(8).fill(255), 'test').u64()).toThrow('larger than 2^53');
    expect(() => new Writer().u64(-1)).toThrow(RangeError);
    expect(() => new Writer().u8(256)).toThrow('out of range');
    expect(() => new Writer().bytes8(new Uint8Array(256))).toThrow('out of range');
  });

  test('text that is not UTF-8 is refused, and a byte order mark is kept', () => {
    expect(() => new Reader(Buffer.from([0xff]), 'test').text(1)).toThrow('test: text that is not UTF-8');
    expect(new Reader(Buffer.from('\ufeffa'), 'test').text(4)).toBe('\ufeffa');
  });

  test.each([
    ['magic', 'Test', FORMAT_VERSION, SUITE, 'test: does not begin with TEST'],
    ['version', 'TEST', FORMAT_VERSION + 1, SUITE, 'test: unknown format version 1'],
    ['suite', 'TEST', FORMAT_VERSION, SUITE + 1, 'test: unknown suite 2'],
  ])('an unknown %s is refused', (_, magic, version, suite, message) => {
    const bytes = new Writer().text(magic).u8(version).u8(suite).finish();
    expect(() => new Reader(bytes, 'test').prelude('TEST')).toThrow(new CorruptError(message));
  });

  test('a view into a larger buffer is read at its own place', () => {
    const whole = Uint8Array.from([9, 9, 7, 0, 9]);
    expect(new Reader(whole.subarray(2, 4), 'test').u16()).toBe(7);
  });
});
