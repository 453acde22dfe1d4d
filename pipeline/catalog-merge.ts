/**
 * What the catalog says about the place that is being walked. Directories are found from the root
 * down by name, so a point's parent is its machine's and protection's last, whatever the host is
 * called by then.
 *
 * Unchanged is a file whose size, mtime, ctime (both in ns) and inode are those of the last backup,
 * and whose ctime then was older than two seconds: a file written in the very moment it was
 * read can change again without a tick of the clock to show for it. ctime is the kernel's own, nobody
 * can set it back.
 */
import { SECOND } from '../domain/units.ts';
import { DIGEST_BYTES } from '../format/digest.ts';
import { fieldParts, holesOf, type TreeEntry, treeEntries } from '../format/tree.ts';
import type { EntryStatus } from '../store/source-tree.ts';
import type { Catalog } from './catalog.ts';
import type { FileAnswer } from './cut-pool.ts';

const RACY_MS = 2 * SECOND;
const NS_PER_MS = 1_000_000n;

export class CatalogMerge {
  readonly #catalog: Catalog | undefined;
  readonly #racyNs: bigint;
  readonly #isStored: (id: Uint8Array) => boolean;

  /** @param isStored whether a chunk the catalog names can be relied on */
  constructor(catalog: Catalog | undefined, isStored: (id: Uint8Array) => boolean) {
    this.#catalog = catalog;
    this.#isStored = isStored;
    this.#racyNs = BigInt((catalog?.state.startedMs ?? 0) - RACY_MS) * NS_PER_MS;
  }

  /** The root of the last backup. */
  root(): OldDirectory | undefined {
    return this.#catalog && new OldDirectory(Buffer.from(this.#catalog.state.root, 'hex'), this.#load);
  }

  /** The directory that `entry` was. */
  below(entry: TreeEntry | undefined): OldDirectory | undefined {
    return entry?.type === 'directory' ? new OldDirectory(entry.tree, this.#load) : undefined;
  }

  /** Nothing of it was touched: neither bytes nor attributes. A directory's own entries are another matter. */
  untouched(old: TreeEntry | undefined, now: EntryStatus): boolean {
    return (
      old !== undefined &&
      old.ctimeNs === now.ctimeNs &&
      old.inode === now.inode &&
      old.mtimeNs === now.mtimeNs &&
      old.ctimeNs < this.#racyNs &&
      (old.type === 'file' ? now.type === 'file' && old.size === now.size : now.type !== 'file')
    );
  }

  /** The chunks and holes of a file that is as it was; `undefined` when part of them is lost or not stored here. */
  answer(old: TreeEntry): FileAnswer | undefined {
    if (old.type !== 'file') return undefined;
    try {
      const holes = [...holesOf(old.holes, old.size, this.#load)];
      const chunks = 'bytes' in old.chunks ? old.chunks.bytes : Buffer.concat([...fieldParts(old.chunks, this.#load)]);
      for (let at = 0; at < chunks.length; at += DIGEST_BYTES)
        if (!this.#isStored(chunks.subarray(at, at + DIGEST_BYTES))) return undefined;
      return { chunks, ...(holes.length > 0 ? { holes } : {}) };
    } catch {
      return undefined;
    }
  }

  readonly #load = (id: Uint8Array): Uint8Array => {
    const record = this.#catalog?.record(id);
    if (!record) throw new Error('the catalog does not have this record');
    return record;
  };
}

/** A directory of the last backup. Names are asked for in order. What the catalog lost was never there. */
export class OldDirectory {
  readonly #entries: Generator<TreeEntry>;
  #next: TreeEntry | undefined;

  constructor(id: Uint8Array, load: (id: Uint8Array) => Uint8Array) {
    this.#entries = treeEntries(id, load);
    this.#advance();
  }

  entry(name: Uint8Array): TreeEntry | undefined {
    while (this.#next && Buffer.compare(this.#next.name, name) < 0) this.#advance();
    return this.#next && Buffer.compare(this.#next.name, name) === 0 ? this.#next : undefined;
  }

  #advance(): void {
    try {
      this.#next = this.#entries.next().value;
    } catch {
      this.#next = undefined;
    }
  }
}
