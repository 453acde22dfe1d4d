/**
 * The walk of a restore, over a point's trees. What has no bytes is made as it is met, what has some
 * goes into the plan (restore-plan.ts).
 *
 *   1  a directory's record is loaded; one that is lost costs what lies below it, and is named
 *   2  entries that are wanted are made or planned; the directory itself when its first one is
 *   3  what an interrupted attempt left is used: whole files by size, time and bytes, files begun by
 *      the pieces that verify
 */
import { errnoOf, Failure } from '../domain/failure.ts';
import { CorruptError } from '../format/cursor.ts';
import { decodeTree, type TreeEntry } from '../format/tree.ts';
import type { EntryStatus } from '../store/source-tree.ts';
import type { Loss } from '../store/target-attributes.ts';
import type { TargetTree } from '../store/target-tree.ts';
import type { ConflictRule, Verdict } from './restore-conflict.ts';
import { judge } from './restore-conflict.ts';
import { endsRestore } from './restore-file.ts';
import type { FilePlanner } from './restore-file-plan.ts';
import { CHUNKS_LOST, type RestoreLosses } from './restore-losses.ts';
import { asBuffer } from './restore-piece.ts';
import { attributesOf, type RestorePlan, TargetDirectory } from './restore-plan.ts';
import type { Selection, Wanted } from './restore-selection.ts';
import type { TreeLoader } from './tree-loader.ts';

export interface WalkParts {
  readonly tree: TargetTree;
  readonly loader: TreeLoader;
  readonly plan: RestorePlan;
  readonly files: FilePlanner;
  readonly selection: Selection;
  readonly rule: ConflictRule;
  readonly losses: RestoreLosses;
  /** Hears of each entry; the walk waits where it has to. */
  readonly onEntry: () => Promise<void> | undefined;
}

interface Visit {
  readonly record: Uint8Array;
  readonly directory: TargetDirectory;
  /** In the point, without a slash in front. */
  readonly path: Buffer;
  readonly wanted: Wanted;
}

type OtherEntry = Exclude<TreeEntry, { type: 'file' | 'directory' }>;

const EMPTY = Buffer.alloc(0);
const SLASH = Buffer.from('/');

export class RestoreWalk {
  readonly #parts: WalkParts;
  readonly #stack: Visit[] = [];

  constructor(parts: WalkParts) {
    this.#parts = parts;
  }

  /** @throws Failure `NotFound` when a path asked for is not in the point */
  async run(root: Uint8Array): Promise<void> {
    const { selection } = this.#parts;
    for (const [at, path] of selection.paths.entries())
      if (!(await this.#holds(root, path)))
        throw new Failure('NotFound', `path ${at + 1} of ${selection.paths.length} is not in this point`, {
          next: 'seedship point ls POINT',
        });
    const directory = new TargetDirectory(undefined, EMPTY, undefined);
    this.#stack.push({ record: root, directory, path: EMPTY, wanted: selection.root });
    for (let visit = this.#stack.pop(); visit; visit = this.#stack.pop()) await this.#visit(visit);
  }

  async #holds(root: Uint8Array, path: string): Promise<boolean> {
    let record: Uint8Array | undefined = root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      if (!record) return false;
      const wanted = Buffer.from(name);
      let found: TreeEntry | undefined;
      for await (const entries of this.#leaves(record))
        found = entries.find(({ name: one }) => wanted.equals(one)) ?? found;
      if (!found) return false;
      record = found.type === 'directory' ? found.tree : undefined;
    }
    return true;
  }

  async #visit({ record, directory, path, wanted }: Visit): Promise<void> {
    const { losses, onEntry } = this.#parts;
    if (!wanted.only && wanted.included && !this.#ensure(directory)) return;
    const below: Visit[] = [];
    try {
      for await (const entries of this.#leaves(record))
        for (const entry of entries) {
          const at = path.length === 0 ? asBuffer(entry.name) : Buffer.concat([path, SLASH, entry.name]);
          const visit = await this.#entry(entry, at, directory, wanted);
          if (visit) below.push(visit);
          const pause = onEntry();
          if (pause) await pause;
        }
    } catch (error) {
      if (!isLost(error)) throw error;
      losses.add(path, 'the record of this directory is lost');
    }
    for (let visit = below.pop(); visit; visit = below.pop()) this.#stack.push(visit);
  }

  /** Makes or plans an entry; a directory is visited later. */
  async #entry(entry: TreeEntry, path: Buffer, directory: TargetDirectory, wanted: Wanted): Promise<Visit | undefined> {
    const { selection, files, losses } = this.#parts;
    const inside = selection.enter(wanted, entry.name, path, entry.type === 'directory');
    if (!inside) return undefined;
    if (entry.type === 'directory') {
      const child = new TargetDirectory(directory, asBuffer(entry.name), attributesOf(entry));
      return { record: Buffer.from(entry.tree), directory: child, path, wanted: inside };
    }
    if (!inside.included || !this.#ensure(directory)) return undefined;
    try {
      if (entry.type === 'file') await files.plan(entry, directory);
      else await this.#other(entry, directory);
    } catch (error) {
      if (isLost(error)) losses.add(path, CHUNKS_LOST);
      else if (endsRestore(error)) throw error;
      else losses.add(path, errnoOf(error));
    }
    return undefined;
  }

  /** Makes a directory and what is missing above it. @returns false when something else is in the way */
  #ensure(directory: TargetDirectory): boolean {
    const { parent } = directory;
    if (directory.state !== 'wanted' || !parent) return directory.state === 'there';
    directory.state = 'blocked';
    if (!this.#ensure(parent)) return false;
    const { plan, losses } = this.#parts;
    directory.path = parent.below(directory.name);
    try {
      if (!this.#make(directory, parent)) return false;
    } catch (error) {
      if (endsRestore(error)) throw error;
      losses.add(directory.path, errnoOf(error));
      return false;
    }
    directory.state = 'there';
    plan.counts.directories += 1;
    if (directory.attributes) plan.addDirectory({ path: directory.path, attributes: directory.attributes });
    return true;
  }

  #make(directory: TargetDirectory, parent: TargetDirectory): boolean {
    const { tree, plan, rule } = this.#parts;
    const status = parent.fresh ? undefined : tree.status(directory.path);
    if (status?.type === 'directory') return true;
    if (status && rule === 'skip') {
      plan.counts.conflicts += 1;
      return false;
    }
    if (status && rule === 'overwrite') tree.remove(directory.path);
    if (status && rule === 'rename') directory.path = Buffer.concat([directory.path, Buffer.from('.restored')]);
    directory.fresh = tree.makeDirectory(directory.path) === 'created';
    return true;
  }

  async #other(entry: OtherEntry, directory: TargetDirectory): Promise<void> {
    const { plan } = this.#parts;
    const first = plan.firstName(entry);
    if (first) {
      plan.addLink({ path: directory.below(entry.name), first });
      return;
    }
    const verdict = await this.#verdict(entry, directory);
    if (verdict.kind === 'conflict') {
      plan.counts.conflicts += 1;
      return;
    }
    if (verdict.kind === 'make') this.#makeOther(entry, verdict);
    else plan.counts.kept += 1;
    plan.rememberName(entry, { path: verdict.path, file: undefined });
    this.#lose(verdict.path, this.#parts.tree.finishOther(verdict.path, attributesOf(entry)));
    plan.counts.files += 1;
  }

  async #verdict(entry: OtherEntry, directory: TargetDirectory): Promise<Verdict> {
    const { tree, rule } = this.#parts;
    const path = directory.below(entry.name);
    if (directory.fresh) return { kind: 'make', path, replace: false };
    return judge(tree, path, rule, (at, status) => isSameOther(tree, entry, at, status));
  }

  #makeOther(entry: OtherEntry, { path, replace }: Extract<Verdict, { kind: 'make' }>): void {
    const { tree } = this.#parts;
    const at = replace ? tree.freshBeside(path) : path;
    switch (entry.type) {
      case 'symlink':
        tree.makeSymlink(asBuffer(entry.target), at);
        break;
      case 'fifo':
        tree.makeFifo(at);
        break;
      case 'socket':
        tree.makeSocket(at);
        break;
      case 'block':
      case 'char':
        tree.makeDevice(at, entry.type === 'block' ? 'block-device' : 'character-device', entry.rdev);
        break;
    }
    if (replace) replaceBy(tree, at, path);
  }

  #lose(path: Buffer, losses: readonly Loss[]): void {
    for (const { what, reason } of losses) this.#parts.losses.add(path, `${what}: ${reason}`);
  }

  /** The entries of a directory, leaf by leaf. */
  async *#leaves(id: Uint8Array): AsyncGenerator<readonly TreeEntry[]> {
    const { loader } = this.#parts;
    const record = decodeTree(await loader.load(id));
    if (record.kind === 'list') throw new CorruptError('tree: a list where a directory should be');
    if (record.kind === 'leaf') {
      yield record.entries;
      return;
    }
    for (const leaf of record.leaves) {
      const part = decodeTree(await loader.load(leaf));
      if (part.kind !== 'leaf') throw new CorruptError('tree: a node of something else than leaves');
      yield part.entries;
    }
  }
}

const STATUS_TYPES = {
  symlink: 'symlink',
  fifo: 'fifo',
  socket: 'socket',
  block: 'block-device',
  char: 'character-device',
} as const;

/** What is made beside a name it cannot take is removed again. */
export function replaceBy(tree: TargetTree, fresh: Buffer, path: Buffer): void {
  try {
    tree.replace(fresh, path);
  } catch (error) {
    tree.remove(fresh);
    throw error;
  }
}

function isSameOther(tree: TargetTree, entry: OtherEntry, path: Buffer, status: EntryStatus): boolean {
  if (status.type !== STATUS_TYPES[entry.type]) return false;
  if (entry.type === 'symlink') return tree.readLink(path).equals(entry.target);
  return 'rdev' in entry ? status.rdev === entry.rdev : true;
}

/** Bytes that the vault does not have, or not as they were. */
export function isLost(error: unknown): boolean {
  return error instanceof CorruptError || (error instanceof Failure && error.code === 'NotFound');
}
