/**
 * Reads a set's objects back from the vault, every byte, and signs what was found: the proof that is
 * asked for before the last other copy is removed. A length or a listing would not do: a pack that
 * rotted is as long as it was. An object that was repaired counts as missing here, since the other copy
 * may be the better one.
 */
import type { ChildSecrets, Progress, ProveTask, TransferResult } from './child-tasks.ts';
import { eachInFlight } from './in-flight.ts';
import { listObjects, MissingRanges, readObject, selectRanges } from './object-list.ts';
import { actorOf, findReceipt, openPlace, writeReceipt } from './step-receipt.ts';
import { Throttle } from './throttle.ts';

/** One is hashed while another is read; each is up to 64 MiB. */
const OBJECTS_IN_FLIGHT = 2;

/** Reads everything and commits what was found, good or bad. @throws Failure of the vault */
export async function proveObjects(
  task: ProveTask,
  secrets: ChildSecrets,
  report: (progress: Progress) => void,
): Promise<TransferResult> {
  const actor = actorOf(secrets, task.vaultId);
  const vault = openPlace(task.from, secrets);
  const found = await findReceipt<Omit<TransferResult, 'receipt'>>(vault, task, actor.trust);
  if (found) return { ...found.body, receipt: found.receipt };
  const listed = selectRanges(await listObjects([vault], task.packSet, actor.trust));
  const throttle = new Throttle(task.bytesPerSecondMax, task.line);
  const bytesTotal = listed.reduce((sum, { object }) => sum + object.length, 0);
  const lost = new MissingRanges();
  const counts = { objects: 0, bytes: 0, missing: 0, damaged: 0 };
  let bytesDone = 0;
  await eachInFlight(listed, OBJECTS_IN_FLIGHT, async ({ object, at }) => {
    await throttle.take(object.length);
    const bytes = await readObject(vault, object);
    if (typeof bytes === 'string') {
      counts[bytes] += 1;
      lost.add(at);
    } else {
      counts.objects += 1;
      counts.bytes += bytes.length;
    }
    bytesDone += object.length;
    const objectsDone = counts.objects + counts.missing + counts.damaged;
    report({ step: 'read back', bytesDone, bytesTotal, objectsDone, objectsTotal: listed.length });
  });
  const outcome = { kind: 'transfer', mode: 'prove', present: 0, ...counts, missingRanges: lost.ranges() } as const;
  const written = await writeReceipt(vault, task, actor, outcome);
  return { ...written.body, receipt: written.receipt };
}
