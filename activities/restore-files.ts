/**
 * Owner: points in the vault → files, in the very process a person unlocked. The keys are in its
 * memory and go to the child over stdin; no other worker can do this step.
 *
 * What to restore, and where, stands in a request file of the owner's machine state, since it holds
 * paths; its digest came through the workflow. A restore that was paused goes on: the child skips
 * what stands already. The result is kept beside the request; its digest is the receipt, and an
 * attempt that finds it returns it. It is not signed (doc/decisions.md): nobody else reads it.
 */

import { Context } from '@temporalio/activity';
import { Failure } from '../domain/failure.ts';
import type { RestoredFiles } from '../domain/receipt.ts';
import type { OwnerSteps, RestoreRequest } from '../domain/request.ts';
import { type ChildOptions, startChild } from '../pipeline/child.ts';
import type { OwnerSecrets, PlaceAccess, RestoreResult, RestoreTask } from '../pipeline/child-tasks.ts';
import { openState } from '../store/machine-state.ts';
import type { HostValues } from './open-site.ts';
import { runTask } from './run-task.ts';

/** What a request file holds, as JSON. */
export interface RestoreOrder {
  readonly vault: string;
  readonly points: readonly RestorePoint[];
  /** Globs; everything when empty. */
  readonly include: readonly string[];
  readonly to: string;
  readonly conflict: RestoreTask['conflict'];
}

export interface RestorePoint {
  /** `points/<machine>/<sequence>-<digest>`. */
  readonly point: string;
  /** Inside the point; everything when empty. */
  readonly paths: readonly string[];
}

/** A vault that the person unlocked. */
export interface UnlockedVault {
  readonly name: string;
  readonly id: string;
  readonly url: string;
  readonly endpoint?: string;
  readonly secrets: OwnerSecrets;
}

/** The result of a restore as it is kept: counts of all its points, and what could not be restored whole. */
export type RestoreReport = readonly RestoreResult[];

/** The activity. The child of its first point is started at once: it loads while this process becomes a worker. */
export function restoring(values: HostValues, unlocked: UnlockedVault): OwnerSteps {
  const waiting = [startChild({ kind: 'restore' }, values)];
  return {
    async restoreFiles({ vault, run, step, request }: RestoreRequest): Promise<RestoredFiles> {
      const state = openState(values.stateDirectory);
      const order = readOrder(state.readRequest(request), vault, unlocked.name);
      const done = state.stepResult(run, step);
      if (done) return restoredFiles(JSON.parse(done.bytes.toString()), { run, step, receipt: done.digest });
      const results: RestoreResult[] = [];
      for (const point of order.points)
        results.push(await restorePoint({ ...values, started: waiting.pop() }, unlocked, order, point));
      const receipt = await state.keepStepResult(run, step, Buffer.from(JSON.stringify(results)));
      return restoredFiles(results, { run, step, receipt });
    },
  };
}

function restoredFiles(results: RestoreReport, of: Pick<RestoredFiles, 'run' | 'step' | 'receipt'>): RestoredFiles {
  const sum = (count: (result: RestoreResult) => number) => results.reduce((all, one) => all + count(one), 0);
  return {
    ...of,
    files: sum(({ files }) => files),
    bytes: sum(({ bytes }) => bytes),
    skippedFiles: sum(({ conflicts, mismatchCount }) => conflicts + mismatchCount),
  };
}

function restorePoint(
  values: HostValues & Pick<ChildOptions, 'started'>,
  unlocked: UnlockedVault,
  order: RestoreOrder,
  { point, paths }: RestorePoint,
) {
  const { url, endpoint, id, secrets: owner } = unlocked;
  const key = values.accessTo(url, 'owner', endpoint);
  const access: Record<string, PlaceAccess> = key ? { vault: key } : {};
  const task: RestoreTask = {
    kind: 'restore',
    time: new Date(Context.current().info.scheduledTimestampMs).toISOString(),
    vaultId: id,
    vault: key ? { url, access: 'vault' } : { url },
    point,
    paths,
    include: order.include,
    to: order.to,
    conflict: order.conflict,
    stateDirectory: values.stateDirectory,
    ...(values.threads === undefined ? {} : { threads: values.threads }),
    ...(values.bytesPerSecondMax === undefined ? {} : { bytesPerSecondMax: values.bytesPerSecondMax }),
    ...(values.line && { line: values.line }),
  };
  return runTask(task, { owner, access }, values);
}

/** The file was written by this host and is named by its digest: its shape needs no second look. */
function readOrder(bytes: Uint8Array, ...vaults: readonly string[]): RestoreOrder {
  const order: RestoreOrder = JSON.parse(Buffer.from(bytes).toString());
  if (vaults.every((vault) => vault === order.vault)) return order;
  throw new Failure('Locked', `the vault ${order.vault} is not the one that was unlocked`);
}
