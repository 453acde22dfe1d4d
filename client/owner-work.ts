/**
 * This very process becomes the owner's worker: it serves `owner.<host>` while the workflow `restoration` uses it, and
 * keeps the keys in its memory alone.
 */
import { WorkflowIdConflictPolicy, WorkflowIdReusePolicy } from '@temporalio/client';
import { EXIT, Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import type { RestoredFiles } from '../domain/receipt.ts';
import type { MachineRecord } from '../domain/record.ts';
import type { RestorationRequest } from '../domain/request.ts';
import { restorationId } from '../domain/seeding-job.ts';
import { queueOf } from '../domain/site.ts';
import { formatSize } from '../domain/units.ts';
import { deriveDomain } from '../format/key-tree.ts';
import { connectClient } from '../host/connections.ts';
import { readRecords } from '../store/records.ts';
import { startWorkers } from '../workers/run-worker.ts';
import { ownerPlan } from '../workers/sites.ts';
import { workStatus } from '../workflows/definitions.ts';
import { follow, uiPage } from './follow.ts';
import type { Invocation } from './invocation.ts';
import { pairs } from './print.ts';
import { decideRun, runningWork } from './run-acts.ts';
import type { Door, Unlocked } from './vault-door.ts';

const ID_DIGITS = 12;

type OpenVault = Unlocked & { readonly door: Door };

/** Serves and follows the restoration of a request file; returns the exit code. */
export async function restoreHere(call: Invocation, vault: OpenVault, request: Digest): Promise<number> {
  const { name } = vault.door.credentials.vault;
  const id = request.slice(0, ID_DIGITS);
  const owner = call.settings.host;
  const workers = await startWorkers(call.settings, [ownerPlan(call.settings, owner, await unlockedVault(vault))], {
    quiet: true,
  });
  try {
    return await run(call, { vault: name, owner, id, request, heartbeatMs: call.settings.heartbeatMs }, vault.door);
  } finally {
    await workers.stop();
  }
}

async function run(call: Invocation, request: RestorationRequest, { state, credentials }: Door): Promise<number> {
  const temporal = await connectClient(call.settings);
  const { id: by } = credentials;
  const workflowId = restorationId(request.vault, request.id);
  try {
    const waited = await runningWork(temporal, workflowId);
    const handle = await temporal.call(() =>
      temporal.client.workflow.start('restoration', {
        workflowId,
        taskQueue: queueOf.control,
        args: [request],
        workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
        workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
        staticSummary: `restore ${request.id} of ${request.vault}`,
      }),
    );
    const page = uiPage(call, workflowId);
    call.print.event('started', `Restore ${request.id} runs here; Ctrl-C pauses it.${page ? ` ${page}` : ''}`, {
      workflowId,
      uiUrl: page,
    });
    // giving the same command again is the answer; what clears itself, as `Locked` does, needs none
    for (const { id, choices } of waited?.attention ?? [])
      if (choices.includes('retry')) await decideRun(temporal, workflowId, { attention: id, choice: 'retry' }, by);
    return await follow(call, temporal, {
      workflowId,
      async look() {
        const { status } = await temporal.call(() => handle.describe());
        if (status.name === 'COMPLETED') {
          const done: RestoredFiles = await temporal.call(() => handle.result());
          const report = JSON.parse(state.readRequest(done.receipt).toString());
          show(call, done, report);
          return { done: true, exit: done.skippedFiles > 0 ? EXIT.losses : EXIT.ok };
        }
        if (status.name !== 'RUNNING')
          throw new Failure('Aborted', `the restore ended as ${status.name.toLowerCase()}`, {
            next: 'give the same command again',
          });
        const { attention } = await temporal.call(() => handle.query(workStatus));
        const [first] = attention.filter(({ code }) => code !== 'Locked');
        if (!first) return { done: false };
        throw new Failure(first.code, first.message, {
          why: first.hint,
          next: 'when that is done, give the same command again: it goes on',
        });
      },
    });
  } finally {
    await temporal.close();
  }
}

function show(call: Invocation, done: RestoredFiles, report: unknown): void {
  call.print.result('restore', { ...done, report }, () =>
    pairs([
      ['restored', `${done.files.toLocaleString('en')} files, ${formatSize(done.bytes)}`],
      ['not whole', `${done.skippedFiles}${done.skippedFiles > 0 ? ': --json lists them' : ''}`],
    ]),
  );
}

/** The keys a restore needs, of every domain whose machines the vault knows. */
async function unlockedVault({ store, trust, master, owner, door }: OpenVault) {
  const { name, id, url, endpoint } = door.credentials.vault;
  const domains = new Set<string>();
  for await (const { body } of readRecords<MachineRecord>(store, 'machine', trust)) domains.add(body.domain);
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const indexKeys = Object.fromEntries(
    [...domains].map((domain) => [domain, base64(deriveDomain(master, domain).indexKey)]),
  );
  const secrets = { ownerPublic: base64(owner.publicKey), restoreIdentity: owner.restoreIdentity, indexKeys };
  return { name, id, url, ...(endpoint && { endpoint }), secrets };
}
