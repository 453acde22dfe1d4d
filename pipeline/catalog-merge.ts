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
import { LeafScan, leavesOf } from '../format/leaf-scan.ts';
import { fieldParts, holesOf, type TreeEntry } from '../format/tree.ts';
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

  /** The directory whose record this is the id of. */
  below(tree: Uint8Array | undefined): OldDirectory | undefined {
    return tree && new OldDirectory(tree, this.#load);
  }

  /** What its entry was, when nothing of it was touched: neither bytes nor attributes. */
  untouched(old: LeafScan | undefined, now: EntryStatus): TreeEntry | undefined {
    if (!old || !this.#isUntouched(old, now)) return undefined;
    try {
      return old.decoded();
    } catch {
      return undefined; // what the catalog lost was never there
    }
  }

  /**
   * Whether its entry can be carried over as it lies. Not one of a file of several names, which are counted, nor of
   * a directory, whose record may be another; nor where lists hold what a file consists of, which may be lost.
   */
  carries(old: LeafScan, now: EntryStatus): boolean {
    if (!this.#isUntouched(old, now) || old.device !== now.device) return false;
    if (now.type !== 'file') return now.type !== 'directory';
    const chunks = now.links === 1 ? old.chunks : undefined;
    return chunks !== undefined && this.#areStored(chunks);
  }

  /** The chunks and holes of a file that is as it was; `undefined` when part of them is lost or not stored here. */
  answer(old: TreeEntry): FileAnswer | undefined {
    if (old.type !== 'file') return undefined;
    try {
      const holes = [...holesOf(old.holes, old.size, this.#load)];
      const chunks = 'bytes' in old.chunks ? old.chunks.bytes : Buffer.concat([...fieldParts(old.chunks, this.#load)]);
      if (!this.#areStored(chunks)) return undefined;
      return { chunks, ...(holes.length > 0 ? { holes } : {}) };
    } catch {
      return undefined;
    }
  }

  /** A directory's own entries are another matter. */
  #isUntouched(old: LeafScan, now: EntryStatus): boolean {
    return (
      old.ctimeNs === now.ctimeNs &&
      old.inode === now.inode &&
      old.mtimeNs === now.mtimeNs &&
      old.ctimeNs < this.#racyNs &&
      (old.type === 'file' ? now.type === 'file' && old.size === now.size : now.type !== 'file')
    );
  }

  #areStored(chunks: Uint8Array): boolean {
    for (let at = 0; at < chunks.length; at += DIGEST_BYTES)
      if (!this.#isStored(chunks.subarray(at, at + DIGEST_BYTES))) return false;
    return true;
  }

  readonly #load = (id: Uint8Array): Uint8Array => {
    const record = this.#catalog?.record(id);
    if (!record) throw new Error('the catalog does not have this record');
    return record;
  };
}

/** A directory of the last backup. Names are asked for in order. What the catalog lost was never there. */
export class OldDirectory {
  readonly #leaves: Generator<Uint8Array>;
  #scan: LeafScan | undefined;

  constructor(id: Uint8Array, load: (id: Uint8Array) => Uint8Array) {
    this.#leaves = leavesOf(id, load);
    this.#goOn(() => this.#nextLeaf());
  }

  /** The entry of a name, in latin1; valid until the next is asked for. */
  find(name: string): LeafScan | undefined {
    while (this.#scan && this.#scan.compare(name) < 0) this.#goOn(() => this.#nextEntry());
    return this.#scan?.compare(name) === 0 ? this.#scan : undefined;
  }

  #nextEntry(): void {
    if (!this.#scan?.next()) this.#nextLeaf();
  }

  #nextLeaf(): void {
    do {
      const leaf = this.#leaves.next();
      this.#scan = leaf.done ? undefined : new LeafScan(leaf.value);
    } while (this.#scan && !this.#scan.next());
  }

  #goOn(step: () => void): void {
    try {
      step();
    } catch {
      this.#scan = undefined;
    }
  }
}
