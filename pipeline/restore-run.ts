/**
 * A restore: from a point in a vault to a directory.
 *
 *   1  the point, its pack set and its index are read and their signatures checked
 *   2  the plan is made (restore-walk.ts): directories, links, devices; pieces of files, in batches
 *   3  packs of a batch are read in order, and files written by threads (restore-packs.ts), while the next is planned
 *   4  further names are linked, then directories get their attributes, the innermost first
 *   5  all of it is flushed to the medium
 *
 * The same restore, started again after whatever ended it, goes on: whole files are kept, files begun
 * are completed. What cannot be put back is listed; all else is put back.
 */
import { errnoOf, Failure } from '../domain/failure.ts';
import { digestOf } from '../format/digest.ts';
import { membersOf, openPackSet, type PackSet } from '../format/pack-set.ts';
import { openPoint, openPointBody } from '../format/recovery-point.ts';
import { openSession } from '../format/session.ts';
import { TamperedError, type Trust } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import { makeDirectoryDurable } from '../store/durable-file.ts';
import { lockMedium } from '../store/medium-lock.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { packSetName, parsePointName } from '../store/places.ts';
import { freshScratchDirectory, removeScratch } from '../store/scratch-file.ts';
import { TargetTree } from '../store/target-tree.ts';
import type { ChildSecrets, OwnerSecrets, Progress, RestoreResult, RestoreTask } from './child-tasks.ts';
import { ChunkLookup } from './chunk-lookup.ts';
import { readRepairs, repairedMembers } from './repaired-set.ts';
import { judge } from './restore-conflict.ts';
import { endsRestore } from './restore-file.ts';
import { FilePlanner } from './restore-file-plan.ts';
import { RestoreLosses } from './restore-losses.ts';
import { RestorePacks } from './restore-packs.ts';
import { type PlannedLink, RestorePlan } from './restore-plan.ts';
import { RestorePool } from './restore-pool.ts';
import { Selection } from './restore-selection.ts';
import { RestoreWalk, replaceBy } from './restore-walk.ts';
import { openPlace } from './step-receipt.ts';
import { PackReader } from './stored-pack.ts';
import { Throttle } from './throttle.ts';
import { TreeLoader } from './tree-loader.ts';

const RESTORE_ID_DIGITS = 12;
/** Entries planned between two looks at what the threads say: two milliseconds. */
const ENTRIES_AT_ONCE = 64;

type Report = (progress: Progress) => void;

interface RestorePoint {
  readonly root: Uint8Array;
  readonly members: readonly StoredObject[];
  readonly indexKey: Uint8Array;
  readonly domain: string;
}

/** @throws Failure `NotFound` for a point or path that is not there; of the vault, of the target */
export async function runRestore(task: RestoreTask, secrets: ChildSecrets, report: Report): Promise<RestoreResult> {
  const { owner } = secrets;
  if (!owner) throw new Failure('Configuration', 'a restore needs the master key');
  const trust = { vaultId: task.vaultId, ownerPublic: Buffer.from(owner.ownerPublic, 'base64') };
  const selection = new Selection(task.paths, task.include);
  const id = restoreId(task);
  const directory = `${task.stateDirectory}/restores/${id}`;
  await makeDirectoryDurable(`${task.stateDirectory}/restores`);
  const lock = await lockMedium(`${directory}.lock`);
  try {
    const vault = openPlace(task.vault, secrets);
    const point = await readPoint(vault, task.point, { trust, owner });
    freshScratchDirectory(directory);
    await makeDirectoryDurable(task.to);
    const restore = new Restore({ task, vault, owner, trust, point, selection, directory, id, report });
    return await restore.run();
  } finally {
    removeScratch(directory);
    lock.release();
  }
}

/** The same request has the same id; what it has begun carries it in its name. */
function restoreId({ point, paths, include, to, conflict }: RestoreTask): string {
  return digestOf(Buffer.from(JSON.stringify({ point, paths, include, to, conflict }))).slice(0, RESTORE_ID_DIGITS);
}

async function readPoint(
  vault: ObjectStore,
  name: string,
  { trust, owner }: { readonly trust: Trust; readonly owner: OwnerSecrets },
): Promise<RestorePoint> {
  const parsed = parsePointName(name);
  if (!parsed) throw new Failure('NotFound', 'this is no name of a point', { next: 'seedship point list' });
  const opened = openPoint(await vault.getExact(name, parsed.digest), { trust, name: parsed.digest, place: parsed });
  const { head, signer } = opened;
  if (head.domain !== signer.domain) throw new TamperedError('point: signed outside its domain');
  const read = async (digest: typeof head.packSet): Promise<PackSet> => {
    const bytes = await vault.getExact(packSetName(digest), digest);
    const { set, signer: by } = openPackSet(bytes, { trust, name: digest });
    if (by.domain !== head.domain) throw new TamperedError('pack-set: signed outside the domain');
    return set;
  };
  const set = await read(head.packSet);
  const stated = membersOf(set, 'base' in set ? await read(set.base) : undefined);
  const members = await repairedMembers(vault, stated, await readRepairs(vault, trust, head.domain));
  const indexKey = owner.indexKeys[head.domain];
  if (indexKey === undefined) throw new Failure('Configuration', 'the key of this deduplication domain was not given');
  const { root } = openPointBody(opened, await openSession(head.wrap, owner.restoreIdentity));
  return { root, members, indexKey: Buffer.from(indexKey, 'base64'), domain: head.domain };
}

interface RestoreParts {
  readonly task: RestoreTask;
  readonly vault: ObjectStore;
  readonly owner: OwnerSecrets;
  readonly trust: Trust;
  readonly point: RestorePoint;
  readonly selection: Selection;
  readonly directory: string;
  readonly id: string;
  readonly report: Report;
}

class Restore {
  readonly #parts: RestoreParts;
  readonly #tree: TargetTree;
  readonly #plan: RestorePlan;
  readonly #losses = new RestoreLosses();
  readonly #reader: PackReader;
  #seen = 0;
  #writing: Promise<void> | undefined;

  constructor(parts: RestoreParts) {
    this.#parts = parts;
    this.#tree = new TargetTree(parts.task.to);
    this.#plan = new RestorePlan(parts.directory, parts.task.batchPieces);
    this.#reader = new PackReader(this.#keyring());
  }

  async run(): Promise<RestoreResult> {
    try {
      const lookup = await this.#openLookup();
      try {
        await this.#writeFiles(lookup);
      } finally {
        lookup.close();
      }
      this.#dropBegun();
      for (const link of this.#plan.links()) await this.#guarded(link.path, () => this.#link(link));
      for (const { path, attributes } of this.#plan.directories())
        await this.#guarded(path, () => {
          for (const { what, reason } of this.#tree.finishDirectory(path, attributes))
            this.#losses.add(path, `${what}: ${reason}`);
        });
      this.#tree.sync();
      const mismatches = { mismatches: this.#losses.named, mismatchCount: this.#losses.count };
      return { kind: 'restore', ...this.#plan.counts, ...mismatches };
    } finally {
      this.#plan.close();
      this.#tree.close();
    }
  }

  #keyring() {
    const { vault, owner, point } = this.#parts;
    return { vault, restoreIdentity: owner.restoreIdentity, indexKey: point.indexKey };
  }

  #openLookup(): Promise<ChunkLookup> {
    const { point, trust, directory, report } = this.#parts;
    const { members, domain } = point;
    let [objectsDone, bytesDone] = [0, 0];
    return ChunkLookup.open(
      { keyring: this.#keyring(), reader: this.#reader, members, trust, domain, directory },
      ({ length }) => {
        objectsDone += 1;
        bytesDone += length;
        report({ step: 'read index', bytesDone, objectsDone });
      },
    );
  }

  /** Plans, and writes what is planned beside it. */
  async #writeFiles(lookup: ChunkLookup): Promise<void> {
    const { task, report } = this.#parts;
    const [plan, losses, reader] = [this.#plan, this.#losses, this.#reader];
    const pool = new RestorePool({ root: task.to, files: plan.filesPath }, task.threads);
    try {
      const throttle = new Throttle(task.bytesPerSecondMax, task.line);
      const packs = new RestorePacks({ plan, lookup, reader, pool, losses, throttle, report });
      await this.#makePlan(lookup, packs);
      plan.isWhole = true;
      await this.#handOver(packs);
      await this.#writing;
    } finally {
      await pool.close();
    }
  }

  async #makePlan(lookup: ChunkLookup, packs: RestorePacks): Promise<void> {
    const { task, point, selection, id, report } = this.#parts;
    const [tree, plan, losses, rule] = [this.#tree, this.#plan, this.#losses, task.conflict];
    const loader = new TreeLoader(lookup, this.#reader);
    const files = new FilePlanner({ tree, loader, lookup, plan, losses, rule, restoreId: id });
    const onEntry = (): Promise<void> | undefined => {
      this.#seen += 1;
      if (!this.#writing) report({ step: 'plan', bytesDone: 0, objectsDone: 0, filesDone: this.#seen });
      return this.#seen % ENTRIES_AT_ONCE === 0 ? this.#breathe(packs) : undefined;
    };
    await new RestoreWalk({ tree, loader, plan, files, selection, rule, losses, onEntry }).run(point.root);
  }

  /** Lets the threads' answers in. */
  async #breathe(packs: RestorePacks): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#plan.isBatch) await this.#handOver(packs);
  }

  /** One batch is written while the next is planned. @throws what went wrong with the one before */
  async #handOver(packs: RestorePacks): Promise<void> {
    await this.#writing;
    const batch = this.#plan.takeBatch();
    if (!batch) return;
    this.#writing = packs.run(batch);
    this.#writing.catch(() => {}); // whoever waits for it hears of it
  }

  /** Nothing half is left, not even under a temporary name. */
  #dropBegun(): void {
    for (const spot of this.#losses.files()) {
      try {
        this.#tree.remove(this.#plan.readFile(spot).temporary);
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
      }
    }
  }

  async #link({ path, first }: PlannedLink): Promise<void> {
    const [tree, counts] = [this.#tree, this.#plan.counts];
    const lost = first.file && this.#losses.reasonOf(first.file);
    if (lost !== undefined) {
      this.#losses.add(path, lost);
      return;
    }
    const bytes = tree.status(first.path);
    const verdict = await judge(
      tree,
      path,
      this.#parts.task.conflict,
      (_, status) => status.inode === bytes?.inode && status.device === bytes.device,
    );
    if (verdict.kind === 'conflict') {
      counts.conflicts += 1;
      return;
    }
    counts.files += 1;
    if (verdict.kind === 'kept') {
      counts.kept += 1;
      return;
    }
    const at = verdict.replace ? tree.freshBeside(verdict.path) : verdict.path;
    tree.link(first.path, at);
    if (verdict.replace) replaceBy(tree, at, verdict.path);
  }

  /** One entry that cannot be put back does not end a restore. */
  async #guarded(path: Buffer, work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (endsRestore(error)) throw error;
      this.#losses.add(path, errnoOf(error));
    }
  }
}
