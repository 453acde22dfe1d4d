/**
 * One backup over the line, fired by its schedule or by `backup now`. It is the same while a seed
 * travels: its point names the seed's packs, and becomes restorable the moment they land.
 *
 *   1 the source stages into the spool, and beside it the mover drains the spool into the vault; when all its own
 *     packs are there the mover states the point
 *   2 upkeep looks at what the vault holds, on its own time: a backup never waits for it
 */
import { proxyActivities, uuid4 } from '@temporalio/workflow';
import type { SentBackup } from '../domain/receipt.ts';
import type { BackupRequest, SourceSteps } from '../domain/request.ts';
import { runName } from '../domain/seeding-job.ts';
import { dataMoving, queueOf } from '../domain/site.ts';
import { openRunGate } from './run-gate.ts';
import { askForUpkeep } from './upkeep.ts';

export async function backup({ vault, machine, protection, heartbeatMs }: BackupRequest): Promise<SentBackup> {
  const options = dataMoving(queueOf.source(machine), { heartbeatMs });
  const source = proxyActivities<SourceSteps>({ ...options, summary: `${protection} of ${machine}` });
  const time = new Date().toISOString();
  const run = runName(protection, time, uuid4());
  const of = (step: string) => ({ vault, run, step });
  const from = { kind: 'spool', protection, stageStep: 'stage' } as const;
  const queue = options.taskQueue;
  const gate = openRunGate({ vault, machine, subject: protection, heartbeatMs });

  return gate.guard(async () => {
    const [staged, sent] = await Promise.all([
      gate.must({ name: 'stage', queue }, () =>
        source.stageBackup({ ...of('stage'), machine, protection, time, to: from }),
      ),
      gate.must({ name: 'send' }, () => source.sendPacks({ ...of('send'), machine, from, claim: true })),
    ]);
    const { point, packSet } = staged;
    // a host of an older release only drains: its answer, which histories keep, decides, so nothing needs a patch
    if (!sent.stated)
      await gate.must({ name: 'state', queue }, () =>
        source.statePoint({ ...of('state'), machine, from, point, packSet }),
      );
    await askForUpkeep(vault, heartbeatMs);
    return { point, staged, objects: sent.objects, bytes: sent.bytes };
  });
}
