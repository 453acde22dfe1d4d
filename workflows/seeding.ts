/**
 * The whole journey of one job, in the order it is told. Each await is one signed receipt, and the
 * next step's input; nothing is looked up by going back.
 *
 * A step does not fail: what retries cannot cure, a person decides, and the step goes on (gate.ts).
 *
 * A job whose history is gone begins again from its last record: each step finds the receipt it had
 * signed, and is over at once, until the one that was under way.
 *
 * Cancelling undoes what the table in domain/seeding-job.ts says for the stage that was reached.
 */
import type { SeededVault } from '../domain/receipt.ts';
import type { Checkpoint } from '../domain/record.ts';
import type { SeedingRequest } from '../domain/seeding-job.ts';
import { hearActs } from './acts.ts';
import { hearOrders } from './job-orders.ts';
import { JobSteps } from './job-steps.ts';
import { Logbook } from './logbook.ts';
import { Travel } from './travel.ts';

export async function seeding(job: SeedingRequest, before?: Checkpoint): Promise<SeededVault> {
  const log = new Logbook(job, before);
  const travel = new Travel(log);
  const gate = log.openGate((attention, resolution) => travel.decided(attention, resolution));
  const steps = new JobSteps(log);
  hearActs(log, travel);
  hearOrders(log, travel, steps);
  if (before) travel.takeUp();

  const journey = async () => {
    log.enter('Staging');
    const staged = log.staged ?? (await steps.stage());

    log.enter('Preparing', staged);
    await steps.state(staged);
    await steps.schedule({ paused: false }); // bridging: backups begin while the seed travels
    do {
      const drives = await travel.prepared();
      if (drives.length > 0 || log.round === 0) await steps.register(staged, drives);
      travel.register(drives);

      log.enter('Shipping');
      await travel.arrived();

      log.enter('Ingesting');
    } while (!(await travel.taken())); // what a lost drive carried travels again

    log.enter('Copying');
    const sent = await steps.copy(staged); // until complete(point)

    log.enter(job.returns ? 'Returning' : 'Protected');
    await travel.returned();
    log.enter('Protected');
    await steps.record();
    return { point: staged.point, objects: staged.objects, bytes: sent.bytes, ...travel.count() };
  };

  const undo = async () => {
    await travel.ended();
    await steps.withdraw();
    log.enter('Cancelled');
    await steps.record();
  };

  return gate.guard(journey, undo);
}
