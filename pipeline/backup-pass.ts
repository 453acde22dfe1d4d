/**
 * One pass over the source: the walk on this thread, cutting and packing on others, records of
 * directories into tree packs as they become known.
 */
import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { Digest } from '../domain/names.ts';
import { MIB } from '../domain/units.ts';
import { digestBytes } from '../format/digest.ts';
import { SEALED_BYTES_MAX } from '../format/frame.ts';
import { PACK_BYTES_MAX, padded } from '../format/pack.ts';
import { recipientId, type Session } from '../format/session.ts';
import type { StoredObject } from '../format/stored-object.ts';
import type { DirectoryStore } from '../store/directory-store.ts';
import { PACKS, TREES } from '../store/places.ts';
import type { BackupGround, GroundParts } from './backup-ground.ts';
import type { CatalogWriter } from './catalog.ts';
import { CatalogMerge } from './catalog-merge.ts';
import { ChunkTable, newTableMemory } from './chunk-table.ts';
import { CutPool } from './cut-pool.ts';
import { itemTree } from './item-tree.ts';
import { type PackedObject, type PackParts, PackWriter } from './pack-writer.ts';
import { compilePatterns } from './path-pattern.ts';
import { type Skipped, SourceWalk, type WalkCounts } from './source-walk.ts';
import { newGate, SpoolGate, waitAtGate } from './spool-gate.ts';
import { Throttle } from './throttle.ts';
import { TreeWriter } from './tree-writer.ts';

const FOLLOW_MS = 250;
/** Known chunks in the walk's memory: 200,000 of them; each directory's record is looked up. */
const HELD_BYTES = 4 * MIB;

export interface PassParts extends GroundParts {
  readonly ground: BackupGround;
  /** For those who write; the walk does not wait for it. */
  readonly session: Promise<Session>;
  readonly catalog: CatalogWriter;
}

export interface PassOutcome {
  /** Id of the root's record. */
  readonly root: Uint8Array;
  readonly counts: WalkCounts;
  readonly skipped: readonly Skipped[];
  /** Packs this pass made. */
  readonly added: readonly StoredObject[];
  /** Chunks that were lost and are not in the source any more. */
  readonly gone: readonly Digest[];
}

/** Walks, packs, and writes the catalog's trees and known chunks. Returns when all packs are on the medium. */
export async function runPass(parts: PassParts): Promise<PassOutcome> {
  const { task, ground, catalog, scratch, place } = parts;
  const added: StoredObject[] = [];
  const gate = newGate();
  const tableParts = { memory: newTableMemory(), known: ground.known, directory: scratch };
  const table = new ChunkTable({ ...tableParts, heldMax: HELD_BYTES });
  let spool: SpoolGate | undefined;
  const onPacked = ({ object, places }: PackedObject): void => {
    spool?.packed();
    added.push(object);
    ground.index.add(object, places);
    ground.order?.add(object);
  };
  const threads = task.threads ?? availableParallelism();
  const { chunkerKey } = parts.putKey;
  const cutting = packParts(parts, 'data', gate).then((pack) => ({ table: tableParts, pack, chunkerKey }));
  cutting.catch(() => {}); // a backup that cuts nothing does not ask; the trees always do
  const pool = new CutPool(cutting, threads, onPacked);
  const treePack = packParts(parts, 'tree', gate).then(
    (pack) => new PackWriter(pack, onPacked, () => waitAtGate(gate)),
  );
  treePack.catch(() => {}); // asked for at the end
  const trees = new TreeWriter({ pack: treePack, table, catalog });
  spool = openGate(parts, gate);
  const { lost } = ground;
  const isStored = (id: Uint8Array): boolean => (task.to.kind === 'staging' || lost?.has(id) ? table.has(id) : true);
  const walk = new SourceWalk({
    items: itemTree(task.items),
    excludes: compilePatterns(task.excludes),
    spared: [place.folder, task.stateDirectory].map((folder) => Buffer.from(path.resolve(folder))),
    merge: new CatalogMerge(ground.catalog, isStored),
    pool,
    store: trees.store,
    scratch,
    breathe: breather(parts, trees),
  });
  const following = follow(parts, walk.counts, added);
  try {
    const root = await walk.run();
    await pool.end();
    const gone = await recover(ground, trees, table);
    await trees.end();
    await ground.order?.settled();
    table.mergeInto(`${catalog.path}/known`);
    return { root, counts: walk.counts, skipped: walk.skipped, added, gone };
  } finally {
    following.stop();
    spool?.stop();
    table.close();
    await place.sweep(0);
  }
}

/** What was lost and was not met in the source: directories' records are in the catalog, the rest is gone. */
async function recover({ lost, catalog }: BackupGround, trees: TreeWriter, table: ChunkTable): Promise<Digest[]> {
  const gone = new Set<Digest>();
  if (!lost || !catalog) return [];
  for (const { id, record } of lost.named(catalog)) {
    if (table.has(digestBytes(id))) continue;
    if (!record) gone.add(id);
    else {
      trees.store(record);
      await trees.settled();
    }
  }
  return [...gone];
}

async function packParts(
  { task, session, actor, putKey, place }: PassParts,
  kind: 'data' | 'tree',
  gate: SharedArrayBuffer,
): Promise<PackParts> {
  const { key, wrap } = await session;
  const keys = {
    sessionKey: key,
    wrap,
    recipientId: recipientId(actor.credentials.restoreRecipient),
    indexKey: putKey.indexKey,
  };
  const bytesMax = task.packBytesMax ?? PACK_BYTES_MAX;
  return { kind, keys, url: place.url, folder: place.folder, bytesMax, gate };
}

function openGate({ task, place }: PassParts, gate: SharedArrayBuffer): SpoolGate | undefined {
  const { bytesMax, kind } = task.to;
  if (bytesMax === undefined) return undefined;
  const packBytes = Math.min(PACK_BYTES_MAX, padded((task.packBytesMax ?? PACK_BYTES_MAX) + 2 * SEALED_BYTES_MAX));
  const counted = kind === 'spool' ? [PACKS, TREES] : [PACKS]; // tree packs stay in a limited staging
  return new SpoolGate(gate, () => usedBytes(place, counted), { bytesMax, packBytes });
}

async function usedBytes(place: DirectoryStore, prefixes: readonly string[]): Promise<number> {
  let used = 0;
  for (const prefix of prefixes) for await (const { length } of place.list(prefix)) used += length;
  return used;
}

/** Pace, by the data handed out (a hole costs nothing), and the tree packs' own: what the walk waits for. */
function breather({ task, ground }: PassParts, trees: TreeWriter) {
  const throttle = new Throttle(task.bytesPerSecondMax);
  let taken = 0;
  return async ({ sentBytes }: Readonly<WalkCounts>): Promise<void> => {
    await trees.settled();
    await ground.order?.check();
    const more = sentBytes - taken;
    taken = sentBytes;
    await throttle.take(more);
  };
}

/** Tells of progress while there is any, and at the end: numbers that stand still are not told again. */
function follow({ report }: PassParts, counts: Readonly<WalkCounts>, added: readonly StoredObject[]) {
  let told = '';
  const tell = () => {
    const { files, directories, readBytes, bytes, rereadBytes } = counts;
    const bytesDone = bytes - rereadBytes + readBytes;
    const now = [files, directories, bytesDone, added.length].join();
    if (now !== told) report({ step: 'stage', bytesDone, objectsDone: added.length, filesDone: files });
    told = now;
  };
  const timer = setInterval(tell, FOLLOW_MS);
  return {
    stop() {
      clearInterval(timer);
      tell();
    },
  };
}
