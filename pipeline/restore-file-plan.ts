/**
 * Plans one file: whether it is there already, what of it an interrupted attempt left, and which
 * pieces it still needs.
 */
import { errnoOf } from '../domain/failure.ts';
import { CorruptError } from '../format/cursor.ts';
import { digestOf, sha256 } from '../format/digest.ts';
import { decodeTree, type Hole, holesOf, type LongField, type TreeEntry } from '../format/tree.ts';
import { type EntryStatus, readAt } from '../store/source-tree.ts';
import { nextData, nextHole } from '../store/system-calls.ts';
import { closeTarget, type TargetTree } from '../store/target-tree.ts';
import type { ChunkLookup, Located } from './chunk-lookup.ts';
import { DataLayout, type Extent } from './data-layout.ts';
import { type ConflictRule, judge } from './restore-conflict.ts';
import { beginFile, placeFile } from './restore-file.ts';
import { CHUNKS_LOST, type RestoreLosses } from './restore-losses.ts';
import { asBuffer, ID_BYTES, type PlannedFile, type PlanSpot } from './restore-piece.ts';
import { attributesOf, type RestorePlan, type TargetDirectory } from './restore-plan.ts';
import type { TreeLoader } from './tree-loader.ts';

const ZEROS_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(ZEROS_BYTES);
/** Of a name that stands in its temporary one: a digest for each takes as long as all else that is planned of it. */
const NAME_BYTES = 64;
const NAME_DIGITS = 16;
const [DOT, DASH] = [Buffer.from('.'), Buffer.from('-')];

export type FileEntry = Extract<TreeEntry, { type: 'file' }>;

export interface FilePlanParts {
  readonly tree: TargetTree;
  readonly loader: TreeLoader;
  readonly lookup: ChunkLookup;
  readonly plan: RestorePlan;
  readonly losses: RestoreLosses;
  readonly rule: ConflictRule;
  /** Names what this restore has begun, so that the same one, started again, goes on with it. */
  readonly restoreId: string;
}

export class FilePlanner {
  readonly #parts: FilePlanParts;
  /** What a temporary name begins with. */
  readonly #before: Buffer;

  constructor(parts: FilePlanParts) {
    this.#parts = parts;
    this.#before = Buffer.from(`.seedship-${parts.restoreId}`);
  }

  /** @throws CorruptError when a chunk is in no pack of the point, or chunks and size do not agree */
  async plan(entry: FileEntry, directory: TargetDirectory): Promise<void> {
    const { tree, plan, rule } = this.#parts;
    const path = directory.below(entry.name);
    const first = plan.firstName(entry);
    if (first) {
      plan.addLink({ path, first });
      return;
    }
    const isSame = (at: Buffer, status: EntryStatus): Promise<boolean> => this.#isSame(entry, at, status);
    const verdict = directory.fresh
      ? ({ kind: 'make', path, replace: false } as const)
      : await judge(tree, path, rule, isSame);
    if (verdict.kind === 'conflict') {
      plan.counts.conflicts += 1;
    } else if (verdict.kind === 'kept') {
      plan.counts.kept += 1;
      plan.counts.files += 1;
      plan.rememberName(entry, { path: verdict.path, file: undefined });
    } else {
      const { replace } = verdict;
      const temporary = this.#temporary(verdict.path);
      const attributes = attributesOf(entry);
      await this.#make(
        entry,
        { path: verdict.path, temporary, size: entry.size, replace, attributes },
        directory.fresh,
      );
    }
  }

  async #make(entry: FileEntry, file: PlannedFile, fresh: boolean): Promise<void> {
    const { plan, losses } = this.#parts;
    if (isEmpty(entry.chunks)) {
      this.#place(beginFile(this.#parts.tree, file), file);
      plan.rememberName(entry, { path: file.path, file: undefined });
      return;
    }
    const spot = plan.addFile(file);
    plan.rememberName(entry, { path: file.path, file: spot });
    try {
      await this.#pieces(entry, file, { spot, fresh });
    } catch (error) {
      losses.addFile(spot, CHUNKS_LOST);
      throw error;
    }
  }

  async #pieces(
    entry: FileEntry,
    file: PlannedFile,
    { spot, fresh }: { readonly spot: PlanSpot; readonly fresh: boolean },
  ): Promise<void> {
    const { plan } = this.#parts;
    const holes = isEmpty(entry.holes) ? [] : await this.#holes(entry);
    const layout = new DataLayout(entry.size, holes);
    const whole = 'bytes' in entry.chunks && entry.chunks.bytes.length === ID_BYTES && holes.length === 0;
    const counter = whole ? -1 : plan.newCounter();
    const begun = whole || fresh ? undefined : this.#begun(file);
    let pieces = 0;
    const take = (ids: Uint8Array): void => {
      for (const id of idsIn(ids)) {
        const located = this.#locate(id);
        const extents = layout.take(located.length);
        if (begun !== undefined && holds(begun, extents, id)) continue;
        pieces += this.#addPieces(located, extents, { id, file: spot, counter });
      }
    };
    try {
      if ('bytes' in entry.chunks) take(entry.chunks.bytes);
      else for await (const part of this.#fieldParts(entry.chunks)) take(part);
      if (!layout.isComplete) throw new CorruptError('tree: less data than its file has room for');
    } finally {
      if (begun !== undefined) closeTarget(begun);
    }
    if (counter >= 0) plan.setCounter(counter, pieces);
    if (pieces === 0) this.#place(this.#parts.tree.openFile(file.temporary, 'write'), file);
  }

  #addPieces(
    { pack, frame, offset, length }: Located,
    extents: readonly Extent[],
    { id, file, counter }: { readonly id: Uint8Array; readonly file: PlanSpot; readonly counter: number },
  ): number {
    const { plan } = this.#parts;
    let pieceStart = 0;
    for (const [fileOffset, pieceLength] of extents) {
      // field by field: spreading takes as long as all else that is planned of a piece
      plan.addPiece({
        pack,
        frame,
        chunkStart: offset,
        chunkLength: length,
        pieceStart,
        pieceLength,
        fileOffset,
        file,
        counter,
        id,
      });
      pieceStart += pieceLength;
    }
    return extents.length;
  }

  #locate(id: Uint8Array): Located {
    const located = this.#parts.lookup.find(id);
    if (!located) throw new CorruptError('chunk: in no pack of the point');
    return located;
  }

  /** What an interrupted attempt left of a file of several pieces. */
  #begun(file: PlannedFile): number | undefined {
    const { tree, plan } = this.#parts;
    try {
      const fd = tree.openFile(file.temporary, 'write');
      plan.noteBegun();
      return fd;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      if (errnoOf(error) !== 'EACCES') throw error;
      tree.remove(file.temporary); // it had its mode already, and shuts out whoever restores
      return undefined;
    }
  }

  #place(fd: number, file: PlannedFile): void {
    const { tree, plan, losses } = this.#parts;
    const { placed, losses: lost } = placeFile(tree, fd, file);
    if (placed) plan.counts.files += 1;
    else plan.counts.conflicts += 1;
    for (const { what, reason } of lost) losses.add(file.path, `${what}: ${reason}`);
  }

  /** Right size and time are a promise; the bytes keep it. */
  async #isSame(entry: FileEntry, path: Buffer, { type, size, mtimeNs }: EntryStatus): Promise<boolean> {
    if (type !== 'file' || size !== entry.size || mtimeNs !== entry.mtimeNs) return false;
    let fd: number;
    try {
      fd = this.#parts.tree.openFile(path, 'read');
    } catch (error) {
      if (errnoOf(error) === 'EACCES') return true; // put back with a mode that shuts out whoever restores
      throw error;
    }
    try {
      const holes = await this.#holes(entry);
      const layout = new DataLayout(entry.size, holes);
      for await (const part of this.#fieldParts(entry.chunks))
        for (const id of idsIn(part)) if (!holds(fd, layout.take(this.#locate(id).length), id)) return false;
      return layout.isComplete && holes.every((hole) => isHollow(fd, hole));
    } catch (error) {
      if (error instanceof CorruptError) return false;
      throw error;
    } finally {
      closeTarget(fd);
    }
  }

  async #holes({ holes, size }: FileEntry): Promise<Hole[]> {
    const parts: Uint8Array[] = [];
    for await (const part of this.#fieldParts(holes)) parts.push(part);
    return [...holesOf({ bytes: Buffer.concat(parts) }, size, unreachable)];
  }

  /** A field's bytes, part by part: a file of terabytes has megabytes of ids. */
  async *#fieldParts(field: LongField): AsyncGenerator<Uint8Array> {
    if ('bytes' in field) {
      yield field.bytes;
      return;
    }
    for (const id of field.lists) {
      const record = decodeTree(await this.#parts.loader.load(id));
      if (record.kind !== 'list') throw new CorruptError('tree: a field that is no list');
      yield record.bytes;
    }
  }

  /** Of a long name its digest: there must be room for what stands before it, and no name may look like one. */
  #temporary(path: Buffer): Buffer {
    const start = path.lastIndexOf('/') + 1;
    const [folder, name] = [path.subarray(0, start), path.subarray(start)];
    if (name.length <= NAME_BYTES) return Buffer.concat([folder, this.#before, DOT, name]);
    return Buffer.concat([folder, this.#before, DASH, Buffer.from(digestOf(path).slice(0, NAME_DIGITS))]);
  }
}

function* idsIn(bytes: Uint8Array): Generator<Buffer> {
  const all = asBuffer(bytes);
  for (let at = 0; at < all.length; at += ID_BYTES) yield all.subarray(at, at + ID_BYTES);
}

function isEmpty(field: LongField): boolean {
  return 'bytes' in field && field.bytes.length === 0;
}

function holds(fd: number, extents: readonly Extent[], id: Uint8Array): boolean {
  const bytes = Buffer.allocUnsafe(extents.reduce((sum, [, length]) => sum + length, 0));
  let at = 0;
  for (const [offset, length] of extents) at += readAt(fd, bytes.subarray(at, at + length), offset);
  return at === bytes.length && sha256(bytes).equals(id);
}

/** Whether nothing but zeros is read where a hole should be. */
function isHollow(fd: number, [offset, length]: Hole): boolean {
  const room = Buffer.allocUnsafe(ZEROS_BYTES);
  const end = offset + length;
  for (let at = nextData(fd, offset) ?? end; at < end; at = nextData(fd, at) ?? end) {
    const stop = Math.min(end, nextHole(fd, at) ?? end);
    for (; at < stop; at += ZEROS_BYTES) {
      const bytes = room.subarray(0, Math.min(ZEROS_BYTES, stop - at));
      readAt(fd, bytes, at);
      if (!bytes.equals(ZEROS.subarray(0, bytes.length))) return false;
    }
  }
  return true;
}

function unreachable(): never {
  throw new Error('restore-file-plan: a field that was read whole');
}
