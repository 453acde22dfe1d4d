import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sha256 } from '../../format/digest.ts';
import {
  decodeTree,
  EMPTY_FIELD,
  encodeTree,
  fieldParts,
  type Hole,
  holesField,
  holesOf,
  type LongField,
  longField,
  RECORD_BYTES_MAX,
  TreeBuilder,
  type TreeEntry,
  treeEntries,
} from '../../format/tree.ts';
import { survivors, vector } from './fault.ts';

const golden = vector('tree');
const none = (): never => {
  throw new Error('nothing should be asked for');
};

/** Records by id, as tree packs hold them. */
class Records {
  readonly held = new Map<string, Buffer>();

  readonly store = (record: Buffer): Buffer => {
    const id = sha256(record);
    this.held.set(id.toString('hex'), Buffer.from(record));
    return id;
  };

  readonly load = (id: Uint8Array): Buffer => {
    const record = this.held.get(Buffer.from(id).toString('hex'));
    if (!record) throw new Error('not stored');
    return record;
  };
}

const bytes = (options: fc.IntArrayConstraints) => fc.uint8Array(options).map((array) => Buffer.from(array));
const text = (maxLength: number) =>
  fc.array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength }).map((codes) => Buffer.from(codes));
const name = text(255).filter((raw) => !raw.includes('/') && !['.', '..'].includes(raw.toString('latin1')));
const anyBigint = fc.oneof(
  fc.constantFrom(0n, -1n, -(2n ** 63n), 2n ** 63n - 1n),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
);
const unsigned = fc.oneof(fc.constantFrom(0n, 2n ** 63n, 2n ** 64n - 1n), fc.bigInt(0n, 2n ** 64n - 1n));
const field: fc.Arbitrary<LongField> = fc.oneof(
  bytes({ maxLength: 4 }).map((ids) => ({
    bytes: Buffer.concat(ids.length > 0 ? [...ids].map((n) => sha256(Buffer.of(n))) : []),
  })),
  fc
    .array(fc.nat(), { minLength: 1, maxLength: 3 })
    .map((seeds) => ({ lists: seeds.map((seed) => sha256(Buffer.from(`${seed}`))) })),
);
const attributes = fc
  .uniqueArray(fc.record({ name: text(60), value: bytes({ maxLength: 40 }) }), {
    selector: (one) => one.name.toString('latin1'),
    maxLength: 4,
  })
  .map((list) => list.sort((a, b) => Buffer.compare(a.name, b.name)));
const own = fc.oneof(
  fc.record({ type: fc.constant('file' as const), size: fc.maxSafeNat(), chunks: field, holes: field }),
  fc.record({ type: fc.constant('directory' as const), tree: fc.nat().map((seed) => sha256(Buffer.from(`${seed}`))) }),
  fc.record({ type: fc.constant('symlink' as const), target: text(300) }),
  fc.record({ type: fc.constantFrom('block' as const, 'char' as const), rdev: unsigned }),
  fc.record({ type: fc.constantFrom('fifo' as const, 'socket' as const) }),
);
const entry: fc.Arbitrary<TreeEntry> = fc
  .tuple(
    fc.record({
      name,
      mode: fc.nat(0o7777),
      uid: fc.nat(0xffffffff),
      gid: fc.nat(0xffffffff),
      mtimeNs: anyBigint,
      ctimeNs: anyBigint,
      device: unsigned,
      inode: unsigned,
      links: fc.nat(0xffffffff),
      attributes,
    }),
    own,
  )
  .map(([common, rest]) => ({ ...common, ...rest }));
const directory = fc
  .uniqueArray(entry, { selector: (one) => Buffer.from(one.name).toString('latin1'), maxLength: 8 })
  .map((entries) => entries.sort((a, b) => Buffer.compare(a.name, b.name)));

const plain: TreeEntry = {
  type: 'fifo',
  name: Buffer.from('fifo'),
  mode: 0o640,
  uid: 1000,
  gid: 100,
  mtimeNs: 0n,
  ctimeNs: 0n,
  device: 1n,
  inode: 7n,
  links: 1,
  attributes: [],
};

function recordOf(...entries: TreeEntry[]): Buffer {
  const records = new Records();
  return records.load(encodeTree(entries, records.store));
}

function namedEntries(count: number, target: number): TreeEntry[] {
  return Array.from({ length: count }, (_, at) => ({
    ...plain,
    type: 'symlink' as const,
    name: Buffer.from(`entry ${String(at).padStart(6, '0')}`),
    target: Buffer.alloc(target, 'x'),
  }));
}

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

  test('equal directories are one record', () => {
    const shuffled = [...namedEntries(20, 5)].sort((a, b) => Buffer.compare(sha256(a.name), sha256(b.name)));
    expect(recordOf(...shuffled)).toEqual(recordOf(...namedEntries(20, 5)));
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

  test('a big directory is split, its leaves stored as they fill, and read back in order', () => {
    const records = new Records();
    const entries = namedEntries(6000, 300);
    const builder = new TreeBuilder(records.store);
    let before = 0;
    for (const one of entries) {
      builder.add(one);
      before = Math.max(before, records.held.size);
    }
    expect(before).toBeGreaterThan(2);
    const id = builder.finish();
    expect(decodeTree(records.load(id)).kind).toBe('node');
    for (const record of records.held.values()) expect(record.length).toBeLessThan(1024 * 1024);
    const read = [...treeEntries(id, records.load)];
    expect(read).toHaveLength(entries.length);
    expect(encodeTree(read, records.store)).toEqual(id);
  });

  test('one entry more or less in a big directory changes a leaf or two, not all behind it', () => {
    const entries = namedEntries(8000, 100);
    const leavesOf = (list: readonly TreeEntry[]): Set<string> => {
      const records = new Records();
      const record = decodeTree(records.load(encodeTree(list, records.store)));
      return new Set(record.kind === 'node' ? record.leaves.map((id) => Buffer.from(id).toString('hex')) : []);
    };
    const before = leavesOf(entries);
    expect(before.size).toBeGreaterThan(8);
    for (const at of [0, 2500, 7999]) {
      const added = { ...plain, name: Buffer.concat([entries[at]?.name ?? Buffer.alloc(0), Buffer.from('+')]) };
      for (const changed of [entries.toSpliced(at, 1), entries.toSpliced(at + 1, 0, added)])
        expect([...leavesOf(changed)].filter((id) => !before.has(id)).length).toBeLessThanOrEqual(2);
    }
  });

  test('a leaf ends where it is full, whatever the names are', () => {
    const records = new Records();
    const attributes = [{ name: Buffer.from('user.big'), value: Buffer.alloc(60_000) }];
    const entries = namedEntries(12, 5).map((one) => ({ ...one, attributes }));
    expect([...treeEntries(encodeTree(entries, records.store), records.load)]).toEqual(entries);
    const lengths = [...records.held.values()].map((record) => record.length);
    expect(lengths.sort((a, b) => b - a)).toEqual([9 * 60_082 + 5, 3 * 60_082 + 5, 2 * 32 + 5]);
  });

  test('an empty directory is an empty leaf', () => {
    expect(recordOf()).toEqual(Buffer.of(1, 0, 0, 0, 0));
  });

  test('a name that occurs twice, or comes too early, is not written', () => {
    const builder = new TreeBuilder(new Records().store);
    builder.add(plain);
    expect(() => builder.add(plain)).toThrow(RangeError);
    expect(() => builder.add({ ...plain, name: Buffer.from('earlier') })).toThrow(RangeError);
  });

  test('attributes are written in order, whatever order they came in', () => {
    const [a, b] = ['user.a', 'user.b'].map((key) => ({ name: Buffer.from(key), value: Buffer.from('value') }));
    if (!a || !b) throw new Error('unreachable');
    expect(recordOf({ ...plain, attributes: [b, a] })).toEqual(recordOf({ ...plain, attributes: [a, b] }));
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
