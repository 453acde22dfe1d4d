/** `worker run SITE…`: serves this host's queues until it is told to stop. */
import { Failure } from '../domain/failure.ts';
import type { SiteKind } from '../domain/site.ts';
import { runWorkers } from '../workers/run-worker.ts';
import { SITE_KINDS, sitePlans } from '../workers/sites.ts';
import type { Invocation } from './invocation.ts';

export async function runWorkerSites(call: Invocation): Promise<undefined> {
  const kinds = call.words.flatMap((word) => (word === 'all' ? SITE_KINDS : [kindOf(word)]));
  const plans = sitePlans(call.settings, kinds);
  call.print.event('serving', `Serves ${plans.map(({ queue }) => queue).join(', ')}.`, {
    queues: plans.map(({ queue }) => queue),
  });
  await runWorkers(call.settings, plans);
  return undefined;
}

function kindOf(word: string): SiteKind {
  const kind = SITE_KINDS.find((one) => one === word);
  if (kind) return kind;
  const owner = word === 'owner';
  throw new Failure('Usage', `${word} is no site`, {
    why: owner
      ? 'the owner’s worker is the restore itself: its keys stay in one process'
      : `sites are ${SITE_KINDS.join(', ')} and all`,
    next: owner ? 'seedship restore POINT --to DIR' : 'seedship worker run all',
  });
}
