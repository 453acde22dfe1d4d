/**
 * Waiting until a spool holds anything for the mover: its process costs half a second of a processor to begin, which
 * the backup's own has more use for. A backup that finds nothing new fills the spool with its receipt alone.
 */
import { pathToFileURL } from 'node:url';
import { Context } from '@temporalio/activity';
import type { Progress } from '../domain/receipt.ts';
import { DirectoryStore, preparePlace } from '../store/directory-store.ts';
import { PACKS, receiptName, TREES } from '../store/places.ts';

/** Between two looks for the receipt, one stat each: as the mover's own pause, a sixteenth of the time gone by. */
const [LOOK_LEAST_MS, LOOK_MOST_MS] = [25, 200];
/** Between two looks for objects, which read some hundred folders: a tenth of the time gone by, within these. */
const [SEARCH_LEAST_MS, SEARCH_MOST_MS] = [200, 2000];
const WAITING: Progress = { step: 'send', bytesDone: 0, objectsDone: 0, note: 'waiting for the backup' };

/**
 * Resolves when the spool has an object, or the receipt of the backup that fills it.
 * @throws the cancellation's reason; Failure of the spool
 */
export async function spoolFilled(directory: string, { run, step }: { readonly run: string; readonly step: string }) {
  const context = Context.current();
  await preparePlace(directory); // whichever of the two begins first
  const spool = new DirectoryStore(pathToFileURL(directory).href, directory);
  const begun = Date.now();
  let searched = 0;
  while (!(await spool.head(receiptName(run, step)))) {
    context.heartbeat(WAITING);
    const now = Date.now();
    if (now - searched >= Math.min(SEARCH_MOST_MS, Math.max(SEARCH_LEAST_MS, (now - begun) / 10))) {
      if ((await holds(spool, PACKS)) || (await holds(spool, TREES))) return;
      searched = now;
    }
    await context.sleep(Math.min(LOOK_MOST_MS, Math.max(LOOK_LEAST_MS, (now - begun) / 16)));
  }
}

async function holds(spool: DirectoryStore, prefix: string): Promise<boolean> {
  for await (const _ of spool.list(prefix)) return true;
  return false;
}
