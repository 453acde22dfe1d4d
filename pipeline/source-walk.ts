/**
 * The walk of a backup, on the child's main thread: synchronous calls, names as raw bytes, depth
 * first, in order of name.
 *
 *   1  a directory's names are read and sorted, and merged with its record in the catalog
 *   2  what is as it was keeps its chunks; the rest goes to the threads, in batches or in segments
 *   3  its sub-directories are walked next, at the latest when there are a few hundred
 *   4  when its last file and sub-directory has answered, its record is stored and its id handed to
 *      its parent: nothing is held but the directories that still wait for an answer
 *
 * What cannot be read is left out and listed with its reason; the list lies sealed in the point. What
 * vanishes between being seen and being read is no loss: it was not there any more. A missing item is.
 */
import { errnoOf, Failure } from '../domain/failure.ts';
import type { LeafScan } from '../format/leaf-scan.ts';
import type { TreeEntry } from '../format/tree.ts';
import type { StoreRecord } from '../format/tree-builder.ts';
import { SourceDirectory, statusKept } from '../store/source-directory.ts';
import { type EntryStatus, eachName, isKernelState, statusAt } from '../store/source-tree.ts';
import type { CatalogMerge, OldDirectory } from './catalog-merge.ts';
import type { CutPool } from './cut-pool.ts';
import { type FeedCounts, FileFeed, type OnAnswer } from './file-feed.ts';
import type { ItemTree } from './item-tree.ts';
import { sortedNames } from './name-sort.ts';
import { type Draft, draftOf, OpenDirectory } from './open-directory.ts';
import type { PathPattern } from './path-pattern.ts';

/** Entries looked at between two looks at the answers. */
const TURN_ENTRIES = 256;
/** Sub-directories that may wait while their parent's own entries are looked at. */
const VISITS_MAX = 512;
/** Reasons kept by name; the count goes on. */
const SKIPPED_MAX = 10_000;
const GONE = 'ENOENT';
const SLASH = Buffer.from('/');
const EMPTY = Buffer.alloc(0);

export interface Skipped {
  readonly path: Buffer;
  /** An errno: `EACCES`, `EIO`; `ENOENT` for an item that is not there. */
  readonly reason: string;
}

export interface WalkCounts extends FeedCounts {
  files: number;
  directories: number;
  /** Of all files. */
  bytes: number;
  unchangedFiles: number;
  skipped: number;
}

export interface WalkParts {
  readonly items: ItemTree;
  readonly excludes: PathPattern;
  /** Directories kept out of it, as they grow with it: where it writes, and the machine's state. */
  readonly spared: readonly Buffer[];
  readonly merge: CatalogMerge;
  readonly pool: CutPool;
  readonly store: StoreRecord;
  /** For names of a directory too large for memory. */
  readonly scratch: string;
  /** Called every few hundred entries: progress, pace, and whatever the main thread must wait for. */
  readonly breathe: (counts: Readonly<WalkCounts>) => Promise<void>;
}

/** A directory still to be walked. */
interface Visit {
  readonly path: Buffer;
  readonly draft: Draft;
  readonly parent: OpenDirectory | undefined;
  readonly old: () => OldDirectory | undefined;
  /** Present on the way to items: only these names. */
  readonly only: ItemTree | undefined;
  /** The file system its parent lies on. */
  readonly device: bigint;
}

/** A directory being walked, and what of it waits to be walked below. */
interface Level {
  readonly path: Buffer;
  readonly only: ItemTree | undefined;
  readonly directory: OpenDirectory;
  readonly names: Iterator<string>;
  /** Open while its names are looked at; none of a directory that cannot be opened. */
  readonly opened: SourceDirectory | undefined;
  readonly before: OldDirectory | undefined;
  readonly visits: Visit[];
  /** The file system it lies on. */
  readonly device: bigint;
  done: boolean;
}

export class SourceWalk {
  readonly skipped: Skipped[] = [];
  readonly counts: WalkCounts = {
    files: 0,
    directories: 0,
    bytes: 0,
    rereadBytes: 0,
    sentBytes: 0,
    readBytes: 0,
    unchangedFiles: 0,
    skipped: 0,
    changedWhileRead: 0,
  };
  readonly #parts: WalkParts;
  readonly #levels: Level[] = [];
  #spilled = 0;
  readonly #feed: FileFeed;
  #entries = 0;
  #root: Uint8Array | undefined;

  constructor(parts: WalkParts) {
    this.#parts = parts;
    this.#feed = new FileFeed(parts.pool, this.counts);
  }

  /** Walks all items; returns the root directory's id. @throws Failure `SourceUnreadable` when nothing could be read */
  async run(): Promise<Uint8Array> {
    const { items, merge, pool } = this.#parts;
    const draft = draftOf(Buffer.alloc(0), SLASH, statusAt(SLASH), undefined);
    this.#enter({
      path: SLASH,
      draft,
      parent: undefined,
      old: () => merge.root(),
      only: partly(items),
      device: draft.status.device,
    });
    for (let level = this.#levels.at(-1); level; level = this.#levels.at(-1)) await this.#step(level);
    while (!this.#root) {
      this.#feed.sendBatch();
      await this.#turn();
      await pool.turn(() => pool.idle || this.#feed.segmentsDue);
    }
    if (this.counts.skipped > 0 && this.counts.files === 0)
      throw new Failure('SourceUnreadable', `nothing of the items could be read (${this.skipped[0]?.reason})`);
    return this.#root;
  }

  /** Goes into a sub-directory when it is time to, else looks at the next name; leaves when there is neither. */
  async #step(level: Level): Promise<void> {
    if (level.visits.length >= VISITS_MAX || level.done) {
      const visit = level.visits.shift();
      if (visit) this.#enter(visit);
      else if (level.done) this.#leave(level);
      return;
    }
    const next = this.#nextName(level);
    if (next === undefined) {
      level.done = true;
      level.opened?.close();
      return;
    }
    this.#look(level, next);
    this.#entries += 1;
    if (this.#entries >= TURN_ENTRIES || this.#feed.due) {
      await this.#turn();
      level.directory.advance();
    }
  }

  #enter({ path, draft, parent, old, only, device }: Visit): void {
    const directory = new OpenDirectory(this.#parts.store, (id) => {
      draft.tree = id;
      draft.known = true;
      if (parent) parent.advance();
      else this.#root = id;
    });
    const names = only ? [...only.children.keys()].sort().values() : this.#sorted(path, draft.status, device);
    this.counts.directories += 1;
    const own = draft.status.device;
    const opened = openedAt(path);
    this.#levels.push({ path, only, directory, names, opened, before: old(), visits: [], device: own, done: false });
  }

  #leave({ directory }: Level): void {
    this.#levels.pop();
    directory.close();
  }

  /** Nothing of a spared directory, nor of the kernel's own: they stay as empty places. */
  *#sorted(path: Buffer, { device, size }: EntryStatus, parentDevice: bigint): Generator<string> {
    const { spared, scratch } = this.#parts;
    if (spared.some((one) => one.equals(path)) || (device !== parentDevice && isKernelState(path))) return;
    yield* sortedNames(eachName(path, size), () => `${scratch}/names-${this.#spilled++}`);
  }

  /** No more when the directory cannot be read, which is listed. */
  #nextName({ names, path }: Level): string | undefined {
    try {
      return names.next().value;
    } catch (error) {
      this.#skip(path, reasonOf(error));
      return undefined;
    }
  }

  /** Looks at one name; what is as it was is carried over, of all else the contents are seen to. */
  #look(level: Level, name: string): void {
    const { directory, before, only, opened } = level;
    let status: EntryStatus;
    try {
      status = opened?.look(name) ?? statusAt(below(level, name));
    } catch (error) {
      this.#miss(below(level, name), error, only !== undefined);
      return;
    }
    const { excludes, merge } = this.#parts;
    if (!excludes.isEmpty && excludes.matches(below(level, name), status.type === 'directory')) return;
    const was = before?.find(name);
    if (!was || !merge.carries(was, status)) {
      this.#draft(level, name, statusKept(status), was);
      return;
    }
    directory.carry(was);
    if (status.type !== 'file') return;
    this.counts.files += 1;
    this.counts.bytes += status.size;
    this.counts.unchangedFiles += 1;
  }

  #draft(level: Level, name: string, status: EntryStatus, was: LeafScan | undefined): void {
    const { directory, only, visits, device } = level;
    const { merge } = this.#parts;
    const path = below(level, name);
    const old = merge.untouched(was, status);
    let draft: Draft;
    try {
      draft = draftOf(Buffer.from(name, 'latin1'), path, status, old);
    } catch (error) {
      this.#miss(path, error, only !== undefined);
      return;
    }
    directory.add(draft);
    if (draft.bare) this.#skip(path, draft.bare);
    if (status.type === 'file') this.#file(draft, path, directory, old);
    if (status.type !== 'directory') return;
    const child = only?.children.get(name);
    const tree = was?.tree;
    visits.push({ path, draft, parent: directory, old: () => merge.below(tree), only: child && partly(child), device });
  }

  /** @param isNamed it is an item, or on the way to one: it should be there */
  #miss(path: Buffer, error: unknown, isNamed: boolean): void {
    const reason = reasonOf(error);
    if (reason !== GONE || isNamed) this.#skip(path, reason);
  }

  #file(draft: Draft, path: Buffer, directory: OpenDirectory, old: TreeEntry | undefined): void {
    const { status } = draft;
    this.counts.files += 1;
    this.counts.bytes += status.size;
    const group = this.#feed.group(status);
    const settle: OnAnswer = (answer) => {
      draft.known = true;
      if (answer.failed === undefined) draft.answer = answer;
      else this.#lose(draft, path, answer.failed);
    };
    const kept = old && this.#parts.merge.answer(old);
    if (kept) {
      this.counts.unchangedFiles += 1;
      settle(kept);
    } else if (group?.answer) {
      settle(group.answer);
    } else if (status.size > 0) {
      draft.known = false;
      this.#feed.read(path, status, group, (answer) => {
        settle(answer);
        directory.advance();
      });
    }
  }

  /** Feeds big files' segments, lets answers in, and waits while far too much waits for the threads. */
  async #turn(): Promise<void> {
    const { pool, breathe } = this.#parts;
    this.#entries = 0;
    do {
      this.#feed.step();
      await pool.turn(() => !pool.full);
      await breathe(this.counts);
    } while (this.#feed.segmentsDue);
  }

  #lose(draft: Draft, path: Buffer, reason: string): void {
    draft.dropped = true;
    this.counts.files -= 1;
    this.counts.bytes -= draft.status.size;
    if (reason !== GONE) this.#skip(path, reason);
  }

  #skip(path: Buffer, reason: string): void {
    this.counts.skipped += 1;
    if (this.skipped.length < SKIPPED_MAX) this.skipped.push({ path, reason });
  }
}

function below({ path }: Level, name: string): Buffer {
  return Buffer.concat([path, path.length === 1 ? EMPTY : SLASH, Buffer.from(name, 'latin1')]);
}

/** What is wrong with it shows when its names are read. */
function openedAt(path: Buffer): SourceDirectory | undefined {
  try {
    return new SourceDirectory(path);
  } catch (error) {
    reasonOf(error);
    return undefined;
  }
}

/** On the way to an item only what leads there is taken; from an item down, everything. */
function partly(items: ItemTree): ItemTree | undefined {
  return items.whole ? undefined : items;
}

/** Why something cannot be read. @throws the error itself when it is none of the system's: a fault of ours */
function reasonOf(error: unknown): string {
  const errno = errnoOf(error);
  if (errno === '') throw error;
  return errno;
}
