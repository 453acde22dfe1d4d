import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sha256 } from '../../format/digest.ts';
import {
  decodeTree,
  EMPTY_FIELD,
  fieldParts,
  type Hole,
  holesOf,
  RECORD_BYTES_MAX,
  type TreeEntry,
  treeEntries,
} from '../../format/tree.ts';
import { encodeTree, holesField, longField } from '../../format/tree-builder.ts';
import { directory, plain, Records, recordOf } from './arbitrary.ts';
import { survivors, vector } from './fault.ts';

const golden = vector('tree');
const none = (): never => {
  throw new Error('nothing should be asked for');
};

describe('tree', () => {
  test('made by other code, a leaf of every type is read, and written alike', () => {
    const leaf = decodeTree(golden.bytes('leaf'));
    if (leaf.kind !== 'leaf') throw new Error('not a leaf');
    expect(leaf.entries.map(({ type, mode }) => [type, mode])).toEqual([
      ['block', 0o660],
      ['char', 0o666],
      ['directory', 0o2770],
      ['fifo', 0o640],
      ['file', 0o4711],
      ['file', 0o600],
      ['socket', 0o777],
      ['symlink', 0o777],
    ]);
    expect(leaf.entries[4]).toMatchObject({
      mtimeNs: -123456789012345679n,
      ctimeNs: 1_700_000_000_000_000_001n,
      device: 2n ** 64n - 1n,
      links: 2,
      size: 37 + 8192,
      attributes: [
        { name: Buffer.from('system.posix_acl_access'), value: Buffer.alloc(28) },
        { name: Buffer.from('user.empty'), value: Buffer.alloc(0) },
      ],
    });
    expect(leaf.entries[0]).toMatchObject({ rdev: BigInt((7 << 8) | 123) });
    expect(leaf.entries[7]).toMatchObject({ target: Buffer.from('../\xff', 'latin1') });
    expect(recordOf(...leaf.entries)).toEqual(golden.bytes('leaf'));
  });

  test('and a node and a list', () => {
    const leaves = ['leaf 1', 'leaf 2'].map((text) => sha256(Buffer.from(text)));
    expect(decodeTree(golden.bytes('node'))).toEqual({ kind: 'node', leaves });
    expect(decodeTree(golden.bytes('list'))).toEqual({ kind: 'list', bytes: golden.bytes('list').subarray(1) });
    const leaf = decodeTree(golden.bytes('leaf'));
    const file = leaf.kind === 'leaf' ? leaf.entries[5] : undefined;
    if (file?.type !== 'file') throw new Error('no file');
    const parts = [...fieldParts(file.chunks, () => golden.bytes('list'))];
    expect(Buffer.concat(parts)).toEqual(golden.bytes('list').subarray(1));
  });

  test('what was written is read back, whatever it is, in order of name', () => {
    fc.assert(
      fc.property(directory, (entries) => {
        const records = new Records();
        const id = encodeTree([...entries].reverse(), records.store);
        expect([...treeEntries(id, records.load)]).toEqual(entries);
      }),
    );
  });

  test('every truncation is refused; a flipped byte is refused, or makes another record of another name', () => {
    const bytes = golden.bytes('leaf');
    const read = (altered: Buffer): void => {
      const record = decodeTree(altered);
      if (record.kind !== 'leaf') throw new Error('another kind');
      if (recordOf(...record.entries).equals(altered)) throw new Error('another leaf'); // nothing was passed over
    };
    const outcomes = survivors(bytes, read, ['CorruptError']);
    expect(outcomes.filter((fault) => !/^byte \d+ \^ \d+: Error$/.test(fault))).toEqual([]);
  });

  test('an empty directory is an empty leaf', () => {
    expect(recordOf()).toEqual(Buffer.of(1, 0, 0, 0, 0));
  });
});

describe('a record that a hostile machine made', () => {
  const leaf = recordOf(plain);
  const altered = (at: number, byte: number): Buffer => {
    const bytes = Buffer.from(leaf);
    bytes.writeUInt8(byte, at);
    return bytes;
  };
  const counted = (kind: number, count: number, ...rest: Uint8Array[]): Buffer => {
    const head = Buffer.of(kind, 0, 0, 0, 0);
    head.writeUInt32LE(count, 1);
    return Buffer.concat([head, ...rest]);
  };
  const renamed = (to: string): Buffer => recordOf({ ...plain, name: Buffer.from(to, 'latin1') });
  const file = (part: object): Buffer =>
    recordOf({ ...plain, type: 'file', size: 0, chunks: EMPTY_FIELD, holes: EMPTY_FIELD, ...part } as TreeEntry);

  test.each<[string, Buffer, string]>([
    ['no byte', Buffer.alloc(0), 'ends too early'],
    ['an unknown kind', Buffer.of(4), 'unknown kind of record'],
    ['4294967295 entries', counted(1, 0xffffffff, leaf.subarray(5)), 'ends too early'],
    ['4294967295 leaves', counted(2, 0xffffffff), 'ends too early'],
    ['one leaf', counted(2, 1, sha256(leaf)), 'a node of less than two leaves'],
    ['bytes behind its entries', Buffer.concat([leaf, Buffer.alloc(1)]), '1 bytes too many'],
    ['the same name twice', counted(1, 2, leaf.subarray(5), leaf.subarray(5)), 'entries are not sorted'],
    ['names out of order', counted(1, 2, leaf.subarray(5), renamed('a').subarray(5)), 'entries are not sorted'],
    ['an unknown type', altered(5, 8), 'unknown type of entry'],
    ['no type', altered(5, 0), 'unknown type of entry'],
    ['a name with a slash', renamed('../x'), 'a name no file can have'],
    ['the name ..', renamed('..'), 'a name no file can have'],
    ['the name .', renamed('.'), 'a name no file can have'],
    ['a name with a zero byte', renamed('a\0b'), 'a name no file can have'],
    ['no name', renamed(''), 'a name no file can have'],
    ['a mode of 16 bits', altered(5 + 2 + 4 + 1, 0x80), 'a mode of more than 12 bits'],
    ['half a chunk id', file({ chunks: { bytes: Buffer.alloc(33) } }), 'half a chunk id'],
    [
      'an unknown form of field',
      Buffer.concat([file({}).subarray(0, -10), Buffer.of(2), file({}).subarray(-9)]),
      'unknown form of field',
    ],
    [
      'a target of no bytes',
      recordOf({ ...plain, type: 'symlink', target: Buffer.alloc(0) }),
      'a text no system call takes',
    ],
    [
      'a target with a zero byte',
      recordOf({ ...plain, type: 'symlink', target: Buffer.alloc(3) }),
      'a text no system call takes',
    ],
    [
      'an attribute of no name',
      recordOf({ ...plain, attributes: [{ name: Buffer.alloc(0), value: Buffer.alloc(0) }] }),
      'a text no system call takes',
    ],
    [
      'an attribute twice',
      recordOf({ ...plain, attributes: [1, 2].map(() => ({ name: Buffer.from('user.a'), value: Buffer.alloc(0) })) }),
      'attributes are not sorted',
    ],
    ['more bytes than a record has', Buffer.alloc(RECORD_BYTES_MAX + 1, 3), 'a record of 2097153 bytes'],
  ])('with %s is refused', (_, bytes, reason) => {
    expect(() => decodeTree(bytes)).toThrow(reason);
    expect(() => decodeTree(bytes)).toThrow(/^tree: /);
  });

  test('as a directory: leaves that overlap, are empty, are lists or nodes', () => {
    const records = new Records();
    const [a, b] = ['a', 'b'].map((text) => records.store(renamed(text))) as [Buffer, Buffer];
    const empty = records.store(recordOf());
    const list = records.store(Buffer.of(3, 1));
    const node = (...ids: Buffer[]): Buffer => records.store(counted(2, ids.length, ...ids));
    const read = (id: Buffer) => () => [...treeEntries(id, records.load)];
    expect(read(node(a, b))).not.toThrow();
    expect(read(node(b, a))).toThrow('leaves overlap');
    expect(read(node(a, a))).toThrow('leaves overlap');
    expect(read(node(a, empty))).toThrow('an empty leaf in a node');
    expect(read(node(a, list))).toThrow('a node of something else than leaves');
    expect(read(node(a, node(a, b)))).toThrow('a node of something else than leaves');
    expect(read(list)).toThrow('a list where a directory should be');
  });
});

describe('a long field', () => {
  test.each([0, 1, 65_536, 65_537, 262_144, 262_145, 1_000_000])('of %i bytes is read back', (length) => {
    const records = new Records();
    const data = Buffer.alloc(length, 'abcdefg');
    const field = longField(data, records.store);
    expect('lists' in field).toBe(length > 65_536);
    expect(Buffer.concat([...fieldParts(field, records.load)]).equals(data)).toBe(true);
    for (const record of records.held.values()) expect(record.length).toBeLessThanOrEqual(262_145);
  });

  test('of records that are no lists, or empty ones, is refused', () => {
    const parts = (record: Buffer) => () => [...fieldParts({ lists: [Buffer.alloc(32)] }, () => record)];
    expect(parts(recordOf(plain))).toThrow('tree: a field that is no list');
    expect(parts(Buffer.of(3))).toThrow('tree: an empty list');
  });

  test('of holes gives them back, many and few', () => {
    const gaps = fc.array(fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 })), {
      maxLength: 9000,
    });
    fc.assert(
      fc.property(gaps, (pairs) => {
        const records = new Records();
        const holes: Hole[] = [];
        let at = 0;
        for (const [gap, length] of pairs) {
          holes.push([at + gap, length]);
          at += gap + length;
        }
        expect([...holesOf(holesField(holes, records.store), at, records.load)]).toEqual(holes);
      }),
      { numRuns: 20 },
    );
  });

  test.each<[string, Hole[]]>([
    [
      'overlap',
      [
        [0, 10],
        [9, 5],
      ],
    ],
    [
      'come out of order',
      [
        [50, 10],
        [10, 5],
      ],
    ],
    ['have no length', [[0, 0]]],
    ['pass the end', [[95, 6]]],
  ])('of holes that %s is refused', (_, holes) => {
    const field = holesField(holes, none);
    expect(() => [...holesOf(field, 100, none)]).toThrow('tree: holes that are out of place');
  });

  test('of half a hole is refused', () => {
    expect(() => [...holesOf({ bytes: Buffer.alloc(15) }, 100, none)]).toThrow('tree: ends too early');
  });
});
