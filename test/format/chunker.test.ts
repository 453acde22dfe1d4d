import { createCipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CHUNK_BYTES_MAX, Chunker, gearTable, WHOLE_FILE_BYTES_MAX } from '../../format/chunker.ts';
import { sha256 } from '../../format/digest.ts';
import { vector } from './fault.ts';

interface DataSet {
  readonly recipe: string;
  readonly seed: string;
  readonly length: number;
  readonly sha256: string;
  readonly cuts: readonly number[];
}

const { data }: { data: DataSet[] } = JSON.parse(readFileSync('test/vectors/chunker.json', 'utf8'));
const tableBytes = Buffer.concat(
  Array.from({ length: 256 }, (_, entry) => sha256(Buffer.from(`x${entry}`)).subarray(0, 8)),
);
const WINDOW_BYTES = 40_000_000;
const chunker = new Chunker(tableBytes, WINDOW_BYTES);

function noise(seed: string, length: number): Buffer {
  return createCipheriv('aes-256-ctr', sha256(Buffer.from(seed)), Buffer.alloc(16)).update(Buffer.alloc(length));
}

const recipes: Record<string, (seed: string, length: number) => Buffer> = {
  noise,
  masked: (seed, length) => Buffer.from(noise(seed, length).map((byte) => byte & 3)),
  lines: (_, length) =>
    Buffer.from(Array.from({ length: length / 8 }, (_, n) => `line ${n}\n`).join('')).subarray(0, length),
  zeros: (_, length) => Buffer.alloc(length),
};

function cutsOf(bytes: Uint8Array, by: Chunker = chunker): number[] {
  by.window.set(bytes);
  const cuts: number[] = [];
  for (let start = 0; start < bytes.length; start = cuts.at(-1) ?? bytes.length)
    cuts.push(by.cut(start, bytes.length, true));
  return cuts;
}

function firstCut(bytes: Uint8Array, table: Uint8Array): number | undefined {
  return cutsOf(bytes, new Chunker(table, bytes.length))[0];
}

/** The definition of doc/format.md, word for word, with 64-bit numbers and every byte hashed. */
function cutByDefinition(bytes: Uint8Array, table: readonly bigint[], start: number): number {
  const left = bytes.length - start;
  if (left <= 262_144) return bytes.length;
  let hash = 0n;
  for (let k = 0; k < Math.min(left, 2_097_152); k++) {
    hash = BigInt.asUintN(64, hash * 2n + (table[bytes[start + k] ?? 0] ?? 0n));
    if (k >= 262_144 && hash < 1n << (k < 524_288 ? 44n : 48n)) return start + k + 1;
  }
  return start + Math.min(left, 2_097_152);
}

describe('chunker', () => {
  test.each(data)('$recipe $seed of $length bytes is cut as the measured prototype cut it', (set) => {
    const bytes = recipes[set.recipe]?.(set.seed, set.length) ?? Buffer.alloc(0);
    expect(sha256(bytes).toString('hex')).toBe(set.sha256);
    expect(cutsOf(bytes)).toEqual(set.cuts);
  });

  test('and as the format says', () => {
    const table = Array.from({ length: 256 }, (_, entry) => tableBytes.readBigUInt64LE(entry * 8));
    for (const bytes of [noise('defined', 2_500_000), Buffer.alloc(2_500_000, 'abc'), noise('edge', 300_000)]) {
      const cuts: number[] = [];
      for (let start = 0; start < bytes.length; start = cuts.at(-1) ?? 0)
        cuts.push(cutByDefinition(bytes, table, start));
      expect(cutsOf(bytes)).toEqual(cuts);
    }
  });

  test('the table comes from the chunker key, made by other code', () => {
    const chunkerKey = vector('key-tree').bytes('chunkerKey');
    const bytes = Buffer.concat(
      Array.from({ length: 256 }, (_, entry) => sha256(Buffer.concat([chunkerKey, Buffer.of(entry)])).subarray(0, 8)),
    );
    expect(gearTable(chunkerKey)).toEqual(bytes);
    const big = noise('one', 6_000_000);
    expect(cutsOf(big, new Chunker(gearTable(chunkerKey), big.length))).not.toEqual(cutsOf(big));
  });

  test('a table of another length is refused', () => {
    expect(() => new Chunker(new Uint8Array(2047), 1)).toThrow(RangeError);
  });

  test('entries with every pattern of high bits carry as 64-bit numbers do', () => {
    const edges = [
      0n,
      1n,
      0x7fffffffn,
      0x80000000n,
      0xffffffffn,
      1n << 32n,
      1n << 63n,
      (1n << 64n) - 1n,
      (1n << 30n) - 1n,
      (1n << 60n) - 1n,
      1n << 30n,
      1n << 60n,
      0x80000000ffffffffn,
    ];
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...edges), fc.bigInt(0n, (1n << 64n) - 1n)), { minLength: 4, maxLength: 4 }),
        fc.string({ minLength: 1 }),
        (entries, seed) => {
          const bytes = Buffer.alloc(2048);
          const table = Array.from({ length: 256 }, (_, at) => entries[at % 4] ?? 0n);
          for (const [at, entry] of table.entries()) bytes.writeBigUInt64LE(entry, at * 8);
          const plain = noise(seed, 270_000);
          expect(firstCut(plain, bytes)).toBe(cutByDefinition(plain, table, 0));
        },
      ),
      { numRuns: 15 },
    );
  });

  test.each([
    [262_144, 100],
    [262_144, 1], // and the last byte of the file
    [262_145, 100],
    [262_146, 1],
    [300_001, 2],
    [524_287, 100],
    [524_288, 100],
    [524_289, 1],
  ])('a cut at byte %i, with %i more to come, is found', (first, more) => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (seed) => {
        const random = noise(seed, 2048);
        const table = Array.from({ length: 256 }, (_, entry) => random.readBigUInt64LE(entry * 8));
        const bytes = Buffer.alloc(first + more, 3);
        bytes.set(
          noise(`${seed} window`, 63).map((byte) => byte % 255),
          first - 63,
        );
        bytes.writeUInt8(255, first);
        let hash = 0n;
        for (const byte of bytes.subarray(first - 63, first)) hash = hash * 2n + (table[byte] ?? 0n);
        table[255] = BigInt.asUintN(64, -2n * hash); // so that the hash there is 0
        const tableOf = Buffer.alloc(2048);
        for (const [at, entry] of table.entries()) tableOf.writeBigUInt64LE(entry, at * 8);
        const cut = firstCut(bytes, tableOf);
        expect(cut).toBe(cutByDefinition(bytes, table, 0));
        expect(cut).toBeLessThanOrEqual(first + 1);
      }),
      { numRuns: 4 },
    );
  });

  test('chunks have their lengths, and their cuts do not depend on where the bytes lie', () => {
    const bytes = noise('moved', 9_000_000);
    const cuts = cutsOf(bytes);
    const lengths = cuts.map((cut, at) => cut - (cuts[at - 1] ?? 0));
    for (const length of lengths.slice(0, -1)) {
      expect(length).toBeGreaterThan(WHOLE_FILE_BYTES_MAX);
      expect(length).toBeLessThanOrEqual(CHUNK_BYTES_MAX);
    }
    // bytes put in front move the first cuts only
    const moved = cutsOf(Buffer.concat([Buffer.alloc(100_001, 1), bytes])).map((cut) => cut - 100_001);
    const common = cuts.filter((cut) => moved.includes(cut));
    expect(common.length).toBeGreaterThan(cuts.length / 2);
    expect(moved.slice(moved.indexOf(common[0] ?? -1))).toEqual(cuts.slice(cuts.indexOf(common[0] ?? -1)));
  });

  test('a window is cut as the whole file is, wherever it begins and however much follows', () => {
    const bytes = noise('window', 7_000_000);
    const cuts = [0, ...cutsOf(bytes)];
    cuts.slice(0, -1).forEach((start, at) => {
      const part = bytes.subarray(start, start + CHUNK_BYTES_MAX);
      chunker.window.set(part, 777);
      const last = start + CHUNK_BYTES_MAX >= bytes.length;
      expect(chunker.cut(777, 777 + part.length, last) - 777).toBe((cuts[at + 1] ?? 0) - start);
    });
  });

  test('fewer bytes than a chunk may have do not tell, unless the file ends', () => {
    chunker.window.fill(0, 0, CHUNK_BYTES_MAX);
    expect(() => chunker.cut(1, CHUNK_BYTES_MAX, false)).toThrow(RangeError);
    expect(() => chunker.cut(5, 5, true)).toThrow(RangeError);
    expect(chunker.cut(0, CHUNK_BYTES_MAX, false)).toBe(CHUNK_BYTES_MAX);
    expect(chunker.cut(0, 1, true)).toBe(1);
  });

  test('nothing behind the window is looked at', () => {
    expect(() => chunker.cut(0, WINDOW_BYTES + 1, true)).toThrow(RangeError);
    expect(() => chunker.cut(-1, 5, true)).toThrow(RangeError);
  });

  test('is fast enough not to be what a backup waits for', () => {
    const bytes = noise('speed', 32 << 20);
    cutsOf(bytes.subarray(0, 8 << 20));
    const times = [1, 2, 3].map(() => {
      const start = process.hrtime.bigint();
      cutsOf(bytes);
      return Number(process.hrtime.bigint() - start) / 1e9;
    });
    expect(bytes.length / 1e6 / Math.min(...times)).toBeGreaterThan(30); // with bigints: 10
  });
});
