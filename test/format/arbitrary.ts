/** Values of the formats, for property tests. */
import fc from 'fast-check';
import { digestOf, sha256 } from '../../format/digest.ts';
import { byName, type CarriedKind } from '../../format/stored-object.ts';
import type { LongField, TreeEntry } from '../../format/tree.ts';
import { encodeTree } from '../../format/tree-builder.ts';

export const digest = fc.nat().map((seed) => digestOf(Buffer.from(String(seed))));

export const carried = fc.record({
  kind: fc.constantFrom<CarriedKind[]>('pack', 'tree', 'index'),
  name: digest,
  length: fc.nat(64 << 20),
});

/** Sorted by name, no name twice. */
export const carriedList = fc
  .uniqueArray(carried, { selector: ({ name }) => name, maxLength: 20 })
  .map((list) => list.sort(byName));

/** Objects with ascending numbers. */
export const numbered = fc
  .array(fc.record({ gap: fc.integer({ min: 1, max: 5 }), object: carried, sealed: digest }), { maxLength: 20 })
  .map((list) => {
    let number = -1;
    return list.map(({ gap, object, sealed }) => {
      number += gap;
      return { number, ...object, sealed };
    });
  });

/** Records by id, as tree packs hold them. */
export class Records {
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
/** Entries of one directory, in order. */
export const directory = fc
  .uniqueArray(entry, { selector: (one) => Buffer.from(one.name).toString('latin1'), maxLength: 8 })
  .map((entries) => entries.sort((a, b) => Buffer.compare(a.name, b.name)));

/** The least that an entry can be. */
export const plain: TreeEntry = {
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

/** The record of a small directory. */
export function recordOf(...entries: TreeEntry[]): Buffer {
  const records = new Records();
  return records.load(encodeTree(entries, records.store));
}

export function namedEntries(count: number, target: number): TreeEntry[] {
  return Array.from({ length: count }, (_, at) => ({
    ...plain,
    type: 'symlink' as const,
    name: Buffer.from(`entry ${String(at).padStart(6, '0')}`),
    target: Buffer.alloc(target, 'x'),
  }));
}
