/**
 * Objects of a set that nobody has any more, and what it takes to make them good: which chunks lay in
 * them, says the machine's own index; the backup that follows counts these as not stored, and so reads
 * their files and seals them again. Records of directories that have changed since are taken from the
 * catalog. What it could find stands for what was lost, in a signed repair.
 *
 *   wanted   sorted run: key (20) ‖ number of the lost object (u32)
 *   kept     what is known, without what is wanted
 */
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import type { LostSelection } from '../domain/request.ts';
import { INDEX_ENTRY_BYTES, INDEX_KEY_BYTES, type IndexPart, openIndexPart } from '../format/chunk-index.ts';
import { DIGEST_BYTES, toDigest } from '../format/digest.ts';
import type { Replacement } from '../format/repair.ts';
import type { Trust } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import { fieldParts, treeEntries } from '../format/tree.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { Catalog } from './catalog.ts';
import { listObjects, placeOf, selectRanges } from './object-list.ts';
import { KEY_BYTES, mergeRuns, RunWriter, SortedRun, slices } from './sorted-run.ts';
import { ifThere } from './step-receipt.ts';

const NUMBER_BYTES = 4;

interface Named {
  readonly id: Digest;
  readonly record?: Buffer;
}

export interface LostOf extends LostSelection {
  readonly trust: Trust;
  readonly indexKey: Uint8Array;
  /** For runs. */
  readonly scratch: string;
}

export class LostObjects {
  readonly #objects: readonly StoredObject[];
  readonly #wanted: SortedRun;
  readonly #standIns: Map<number, Map<Digest, StoredObject>> = new Map();
  #found = 0;

  private constructor(objects: readonly StoredObject[], wanted: SortedRun) {
    this.#objects = objects;
    this.#wanted = wanted;
  }

  /** @throws Failure `PacksMissing` when part of the index is not in the vault: it says what was lost */
  static async find(
    vault: ObjectStore,
    { packSet, ranges, treesOnly, trust, indexKey, scratch }: LostOf,
  ): Promise<LostObjects> {
    const set = await listObjects([vault], packSet, trust);
    const objects = selectRanges(set, ranges).flatMap(({ object }) => (isMended(object, treesOnly) ? [object] : []));
    const numbers = new Map(objects.map(({ name }, number) => [name, number]));
    const wanted = new RunWriter(`${scratch}/wanted`, NUMBER_BYTES);
    for (const object of set.filter(({ kind }) => kind === 'index')) {
      const bytes = await ifThere(vault.getExact(placeOf(object), object.name));
      if (!bytes) throw new Failure('PacksMissing', 'part of the chunk index is not in the vault');
      const part = openIndexPart(bytes, { trust, name: object.name, indexKey });
      for (const { key, pack } of entriesOf(part)) {
        const number = numbers.get(pack.name);
        if (number !== undefined) wanted.add(record(key, number));
      }
    }
    wanted.finish();
    return new LostObjects(objects, new SortedRun(`${scratch}/wanted`, NUMBER_BYTES));
  }

  has(id: Uint8Array): boolean {
    return this.#wanted.has(id);
  }

  /** Writes a run of `known` without what is wanted. @returns its path */
  without(known: string): string {
    const path = `${known}.kept`;
    const run = new SortedRun(known);
    mergeRuns([this.#kept(run)], path);
    run.close();
    return path;
  }

  *#kept(run: SortedRun): Generator<Buffer> {
    const wanted = this.#wanted.records();
    let next = wanted.next().value;
    for (const key of run.records()) {
      while (next && next.compare(key, 0, KEY_BYTES, 0, KEY_BYTES) < 0) next = wanted.next().value;
      if (next?.compare(key, 0, KEY_BYTES, 0, KEY_BYTES) !== 0) yield key;
    }
  }

  /** Hears of every new part of the index: which of its packs hold what was lost. */
  note(part: IndexPart): void {
    for (const { key, pack } of entriesOf(part)) {
      const number = this.#wanted.find(key)?.readUInt32LE(0);
      if (number === undefined) continue;
      this.#found += 1;
      const standIns = this.#standIns.get(number) ?? new Map<Digest, StoredObject>();
      standIns.set(pack.name, pack);
      this.#standIns.set(number, standIns);
    }
  }

  /** Chunks that were not found again. */
  get goneCount(): number {
    return this.#wanted.count - this.#found;
  }

  replacements(): Replacement[] {
    return this.#objects.map((lost, number) => ({ lost, by: [...(this.#standIns.get(number)?.values() ?? [])] }));
  }

  /**
   * What was lost and the last backup names: the index keeps only the beginnings of ids. With its bytes where
   * it is a directory's record, or a part of one: the catalog has those.
   */
  *named(catalog: Catalog): Generator<Named> {
    const met: Named[] = [];
    const load = (id: Uint8Array): Uint8Array => {
      const record = catalog.record(id);
      if (this.has(id)) met.push({ id: toDigest(id), ...(record && { record }) });
      if (!record) throw new Failure('Corrupt', 'the catalog lacks a record');
      return record;
    };
    yield* this.#below(Buffer.from(catalog.state.root, 'hex'), load, met);
  }

  *#below(tree: Uint8Array, load: (id: Uint8Array) => Uint8Array, met: Named[]): Generator<Named> {
    try {
      for (const entry of treeEntries(tree, load)) {
        yield* met.splice(0);
        if (entry.type === 'directory') yield* this.#below(entry.tree, load, met);
        if (entry.type !== 'file') continue;
        const parts = 'bytes' in entry.chunks ? [entry.chunks.bytes] : fieldParts(entry.chunks, load);
        for (const chunks of parts)
          for (const id of slices(Buffer.from(chunks), DIGEST_BYTES)) if (this.has(id)) yield { id: toDigest(id) };
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error; // what the catalog lost is told by the count alone
    }
    yield* met.splice(0);
  }

  close(): void {
    this.#wanted.close();
  }
}

/** Index parts were sent over the line. */
function isMended({ kind }: StoredObject, treesOnly = false): boolean {
  return kind === 'tree' || (kind === 'pack' && !treesOnly);
}

function* entriesOf({ packs, entries }: IndexPart): Generator<{ readonly key: Buffer; readonly pack: StoredObject }> {
  const bytes = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
  for (const entry of slices(bytes, INDEX_ENTRY_BYTES)) {
    const pack = packs[entry.readUInt32LE(INDEX_KEY_BYTES)];
    if (pack) yield { key: entry.subarray(0, KEY_BYTES), pack };
  }
}

function record(key: Uint8Array, number: number): Buffer {
  const bytes = Buffer.alloc(KEY_BYTES + NUMBER_BYTES);
  bytes.set(key);
  bytes.writeUInt32LE(number, KEY_BYTES);
  return bytes;
}
