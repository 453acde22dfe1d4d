/** Where drives of a job go back to, as the sheets that are printed say it. */
import type { JobRecord } from '../domain/record.ts';
import type { JobDetails } from '../domain/seeding-job.ts';
import { readRecord } from '../store/records.ts';
import type { Invocation } from './invocation.ts';
import { readParticulars } from './job-order.ts';
import { enterVault } from './vault-door.ts';

interface OfJob {
  readonly job: string;
  readonly region: string;
  readonly details?: JobDetails | undefined;
}

/** As `--return-to` says, else as the job was told, where this computer may read that; else empty. */
export async function senderLines(call: Invocation, { job, region, details }: OfJob): Promise<readonly string[]> {
  const typed = call.list('return-to');
  if (typed.length > 0) return typed;
  const { state, store, trust } = enterVault(call);
  const opens = state.datacenterIdentity(region) !== undefined; // else it is sealed, and may not be read by a copy host
  const record = opens ? await readRecord<JobRecord>(store, { kind: 'job', id: job }, trust) : undefined;
  const known = await readParticulars(state, { sealed: record?.body.sealed, details, region });
  return addressLines(known?.returnTo);
}

/** It was typed in lines, or in one with commas. */
function addressLines(typed = ''): string[] {
  return typed
    .split(typed.includes('\n') ? '\n' : ',')
    .map((line) => line.trim())
    .filter(Boolean);
}
