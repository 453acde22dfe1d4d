/** The copy hosts that may prepare drives of a job, where its order names them; any host where it names none. */
import { DRIVES_MAX } from './drive.ts';
import { Failure } from './failure.ts';
import { parseName } from './names.ts';
import type { SeedingRequest } from './seeding-job.ts';

/** Each once, in one order: the same hosts are the same order however they were typed. @throws Failure `Usage` */
export function parseCopyHosts(names: readonly string[]): string[] {
  const hosts = [...new Set(names.map((name) => parseName('host', name)))].sort();
  if (hosts.length <= DRIVES_MAX) return hosts;
  throw new Failure('Usage', `a job names at most ${DRIVES_MAX} copy hosts`, {
    why: `it has at most ${DRIVES_MAX} drives`,
    next: 'name fewer, or none: then any host may prepare drives',
  });
}

/** The order with other copy hosts; with none, any host may prepare drives again. */
export function withCopyHosts(order: SeedingRequest, hosts: readonly string[]): SeedingRequest {
  const { copyHosts: _, ...rest } = order;
  return hosts.length === 0 ? rest : { ...rest, copyHosts: hosts };
}

/** Whether a host may prepare drives of such a job. */
export function mayPrepare({ copyHosts }: Pick<SeedingRequest, 'copyHosts'>, host: string): boolean {
  return copyHosts === undefined || copyHosts.includes(host);
}

/** @throws Failure `WrongState` naming the hosts that may, and what lets this one too */
export function checkCopyHost(order: Pick<SeedingRequest, 'job' | 'copyHosts'>, host: string): void {
  if (mayPrepare(order, host)) return;
  const { job, copyHosts = [] } = order;
  const all = [...copyHosts, host].map((name) => `--copy-host ${name}`);
  throw new Failure('WrongState', `the host ${host} may not prepare drives of the job ${job}`, {
    why: `its order names ${listed(copyHosts)}`,
    next: `seedship job edit ${job} ${all.join(' ')}`,
  });
}

/** Where a drive may be prepared, and who does it, for whoever is to go there. */
export function atCopyHosts({ copyHosts }: Pick<SeedingRequest, 'copyHosts'>): {
  readonly where: string;
  readonly who: string;
} {
  if (copyHosts === undefined) return { where: '', who: 'a person at a copy host' };
  return { where: ` at ${listed(copyHosts)}`, who: `a person at ${listed(copyHosts)}` };
}

/** `copy1`, `copy1 or copy2`; a long list is cut, since it stands in a sentence. */
function listed(hosts: readonly string[]): string {
  const shown = hosts.length > LISTED_MAX ? [...hosts.slice(0, LISTED_MAX - 1), 'another named host'] : hosts;
  const last = shown.at(-1) ?? '';
  return shown.length < 2 ? last : `${shown.slice(0, -1).join(', ')} or ${last}`;
}

const LISTED_MAX = 4;
