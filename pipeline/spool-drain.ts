/**
 * spool → vault, while the backup fills it. An object is removed from the spool once the vault has it
 * and the spool's journal says so: a retry of the backup then knows it without holding it. When nothing is left,
 * the point is stated, where the task says so: index, pack set and point go last.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StagedBackup } from '../domain/receipt.ts';
import type { CarriedKind, StoredObject } from '../format/stored-object.ts';
import { preparePlace } from '../store/directory-store.ts';
import { makeDirectoryDurable } from '../store/durable-file.ts';
import { type ObjectStore, openStore } from '../store/object-store.ts';
import { digestOfName, PACKS, pointName, TREES } from '../store/places.ts';
import type { ChildSecrets, DrainTask, Progress, TransferResult } from './child-tasks.ts';
import { eachInFlight } from './in-flight.ts';
import { placeOf } from './object-list.ts';
import { ObjectRooms } from './object-rooms.ts';
import { backupStatePath } from './own-state.ts';
import { acknowledge, readPackEnds } from './spool-journal.ts';
import { actorOf, findReceipt, openPlace, writeReceipt } from './step-receipt.ts';
import { stateClaim } from './store-mover.ts';
import { Throttle } from './throttle.ts';
import { waited } from './waiting.ts';

/** As for any mover: one is read while the other is written. */
const OBJECTS_IN_FLIGHT = 2;
/** Between two looks for the backup's receipt, one open each: a thirtieth of the time gone by, within these. */
const [LOOK_LEAST_MS, LOOK_MOST_MS] = [20, 200];
/** Between two looks for objects, which read some hundred folders: a tenth of the time without any, within these. */
const [SEARCH_LEAST_MS, SEARCH_MOST_MS] = [200, 2000];
const FOLDERS: readonly (readonly [string, CarriedKind])[] = [
  [PACKS, 'pack'],
  [TREES, 'tree'],
];

type Outcome = Omit<TransferResult, 'receipt'>;

/** Drains until the backup's receipt is there and nothing is left. @throws Failure of the vault */
export async function drainSpool(
  task: DrainTask,
  secrets: ChildSecrets,
  report: (progress: Progress) => void,
): Promise<TransferResult> {
  const actor = actorOf(secrets, task.vaultId);
  await preparePlace(task.directory); // whichever of the two begins first
  const [spool, vault] = [openStore(new URL(`file://${encodeURI(task.directory)}`).href), openPlace(task.to, secrets)];
  const earlier = await findReceipt<Outcome>(vault, task, actor.trust);
  if (earlier) return { ...earlier.body, receipt: earlier.receipt };
  const throttle = new Throttle(task.bytesPerSecondMax, task.line);
  const journal = backupStatePath('spool-journal', task);
  await makeDirectoryDurable(path.dirname(journal));
  const rooms = new ObjectRooms();
  const begun = Date.now();
  let [objects, bytes, searched, found] = [0, 0, 0, begun];
  for (;;) {
    const over = await findReceipt<StagedBackup>(spool, { run: task.run, step: task.stageStep }, actor.trust);
    const now = Date.now();
    const isDue = over !== undefined || now - searched >= within((now - found) / 10, SEARCH_LEAST_MS, SEARCH_MOST_MS);
    const waiting = isDue ? await listSpool(spool) : [];
    await eachInFlight(waiting, OBJECTS_IN_FLIGHT, async (object) => {
      await throttle.take(object.length);
      await rooms.lend(async (room) => {
        const content = await spool.getExact(placeOf(object), object.name, room);
        await vault.put(placeOf(object), content, { digest: object.name });
        acknowledge(
          journal,
          object,
          readPackEnds((at, count) => content.subarray(at, at + count), content.length),
        );
      });
      await spool.remove(placeOf(object));
      objects += 1;
      bytes += object.length;
      report({ step: 'send', bytesDone: bytes, objectsDone: objects });
    });
    if (over && waiting.length === 0) {
      if (task.claim) await stateClaim(claimOf(over.body), { from: spool, to: vault, throttle }, actor.trust);
      break;
    }
    if (waiting.length > 0) found = now;
    else {
      if (isDue) searched = now;
      await sleep(within((now - begun) / 30, LOOK_LEAST_MS, LOOK_MOST_MS));
    }
    report({ step: 'send', bytesDone: bytes, objectsDone: objects, note: 'waiting for the backup' });
    waited(); // a backup that reads unchanged files fills nothing; whether it is stuck, its own step sees
  }
  const none = { present: 0, missing: 0, damaged: 0, missingRanges: [] };
  const stated = task.claim ? { stated: true } : {};
  const outcome: Outcome = { kind: 'transfer', mode: 'drain', objects, bytes, ...none, ...stated };
  const written = await writeReceipt(vault, task, actor, outcome);
  return { ...written.body, receipt: written.receipt };
}

function within(wanted: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, wanted));
}

function claimOf({ point, packSet, repair }: StagedBackup) {
  return { packSet, point: pointName(point.machine, point.sequence, point.digest), ...(repair && { repair }) };
}

async function listSpool(spool: ObjectStore): Promise<StoredObject[]> {
  const waiting: StoredObject[] = [];
  for (const [prefix, kind] of FOLDERS)
    for await (const { name, length } of spool.list(prefix)) {
      const digest = digestOfName(name);
      if (digest) waiting.push({ kind, name: digest, length });
    }
  return waiting;
}
