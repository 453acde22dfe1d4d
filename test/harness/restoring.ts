/** Restoring on the owner's side, as `seedship restore` does it: the process that is unlocked is the worker. */
import path from 'node:path';
import type { RestoreOrder } from '../../activities/restore-files.ts';
import type { RestoredFiles } from '../../domain/receipt.ts';
import type { PresenceRecord } from '../../domain/record.ts';
import { restorationId } from '../../domain/seeding-job.ts';
import { deriveDomain } from '../../format/key-tree.ts';
import { judgeTrees } from '../../host/oracle.ts';
import { openState } from '../../store/machine-state.ts';
import { readRecord } from '../../store/records.ts';
import { startWorkers } from '../../workers/run-worker.ts';
import { ownerPlan } from '../../workers/sites.ts';
import { MACHINE, type SmallSystem, VAULT } from './small-system.ts';

/** What the vault worker last said that it holds. */
export async function presence(system: SmallSystem): Promise<PresenceRecord | undefined> {
  const trust = { vaultId: system.vaultId, ownerPublic: system.owner.publicKey };
  return (await readRecord<PresenceRecord>(system.vault, { kind: 'presence', id: VAULT }, trust))?.body;
}

/** Restores the newest point of all into `to`. */
export async function restoreNewest(system: SmallSystem, to: string): Promise<RestoredFiles> {
  const points = (await presence(system))?.points ?? [];
  const secrets = {
    ownerPublic: Buffer.from(system.owner.publicKey).toString('base64'),
    restoreIdentity: system.owner.restoreIdentity,
    indexKeys: { [MACHINE]: Buffer.from(deriveDomain(system.master, MACHINE).indexKey).toString('base64') },
  };
  const order: RestoreOrder = {
    ...{ vault: VAULT, include: [], to, conflict: 'skip' },
    points: [{ point: points.at(-1)?.name ?? '', paths: [] }],
  };
  const request = await openState(system.at('state')).writeRequest(Buffer.from(JSON.stringify(order)));
  const unlocked = { name: VAULT, id: system.vaultId, url: system.vaultUrl, secrets };
  const owner = await startWorkers(system.settings, [ownerPlan(system.settings, 'test', unlocked)]);
  try {
    return await system.client.workflow.execute('restoration', {
      taskQueue: 'control',
      workflowId: restorationId(VAULT, 'r1'),
      args: [{ vault: VAULT, owner: 'test', id: 'r1', request, heartbeatMs: 5000 }],
    });
  } finally {
    await owner.stop();
  }
}

/** What rsync and the comparer find different between a folder and what was restored of it; nothing when exact. */
export async function differences(original: string, to: string, was = original): Promise<string[]> {
  const verdicts = await judgeTrees({ original, restored: path.join(to, was) }, process.env.PATH ?? '');
  return verdicts.flatMap(({ judge, differences: found }) => found.map((one) => `${judge}: ${one}`));
}
