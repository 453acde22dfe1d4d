/**
 * The directories of a point, read record by record: the tables of its tree packs say where each
 * record lies, and only the frames on the way are fetched.
 */
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import { CorruptError } from '../format/cursor.ts';
import { sha256 } from '../format/digest.ts';
import { FrameOpener, type PackSeal } from '../format/frame.ts';
import { type FrameRow, openPackTable, packSealOf } from '../format/pack.ts';
import { membersOf, openPackSet, type PackSet } from '../format/pack-set.ts';
import type { PointHead } from '../format/recovery-point.ts';
import { openSession } from '../format/session.ts';
import { type TreeEntry, treeEntries } from '../format/tree.ts';
import { packSetName, treeName } from '../store/places.ts';
import type { Unlocked } from './vault-door.ts';

interface Place {
  readonly pack: Buffer;
  readonly seal: PackSeal;
  readonly number: number;
  readonly row: FrameRow;
  readonly offset: number;
  readonly length: number;
}

interface At {
  readonly head: PointHead;
  readonly root: Uint8Array;
  readonly indexKey: Uint8Array;
}

export class PointTree {
  readonly #places: ReadonlyMap<string, Place>;
  readonly #root: Uint8Array;
  readonly #opener = new FrameOpener();

  private constructor(places: ReadonlyMap<string, Place>, root: Uint8Array) {
    this.#places = places;
    this.#root = root;
  }

  /** Reads the tree packs of a point. @throws Failure `NotFound` while they have not arrived */
  static async open(vault: Unlocked, { head, root, indexKey }: At): Promise<PointTree> {
    const set = await readSet(vault, head.packSet);
    const base = 'base' in set ? await readSet(vault, set.base) : undefined;
    const places = new Map<string, Place>();
    for (const { kind, name } of membersOf(set, base))
      if (kind === 'tree') await addPack(vault, { name, indexKey }, places);
    return new PointTree(places, root);
  }

  /** The entries of a folder, in order of name. @throws Failure `NotFound` */
  async list(path: string): Promise<TreeEntry[]> {
    let entries = this.#entries(this.#root);
    for (const name of path.split('/').filter(Boolean)) {
      const found = entries.find((entry) => Buffer.from(entry.name).toString() === name);
      if (!found) throw new Failure('NotFound', 'the point has no such folder', { next: 'seedship point ls POINT' });
      entries = found.type === 'directory' ? this.#entries(found.tree) : [found];
    }
    return entries;
  }

  #entries(id: Uint8Array): TreeEntry[] {
    return [...treeEntries(id, (record) => this.#record(record))];
  }

  #record(id: Uint8Array): Uint8Array {
    const place = this.#places.get(Buffer.from(id).toString('latin1'));
    if (!place) throw new CorruptError('tree: a record is in none of the packs');
    const { pack, seal, number, row, offset, length } = place;
    const sealed = pack.subarray(row.offset, row.offset + row.sealedBytes);
    const record = Buffer.from(this.#opener.open(sealed, seal, number, row).subarray(offset, offset + length));
    if (!sha256(record).equals(id)) throw new CorruptError('tree: a record is not the bytes of its id');
    return record;
  }
}

async function readSet({ store, trust }: Unlocked, name: Digest): Promise<PackSet> {
  return openPackSet(await store.getExact(packSetName(name), name), { trust, name }).set;
}

async function addPack(
  { store, owner }: Unlocked,
  { name, indexKey }: { readonly name: Digest; readonly indexKey: Uint8Array },
  places: Map<string, Place>,
): Promise<void> {
  const pack = await store.getExact(treeName(name), name);
  const table = openPackTable((offset, length) => pack.subarray(offset, offset + length), pack.length, indexKey);
  const seal = packSealOf(table, await openSession(Buffer.from(table.header.wrap), owner.restoreIdentity));
  for (const [number, row] of table.frames.entries()) {
    let offset = 0;
    for (const { id, length } of row.chunks) {
      places.set(Buffer.from(id).toString('latin1'), { pack, seal, number, row, offset, length });
      offset += length;
    }
  }
}
