/**
 * Where work runs: one task queue a site, and a twin `.data` for the activities that move bytes,
 * so that a 20-hour copy never blocks an eject. Names are stable over restarts: a drive is
 * physically on a host, and its tasks wait for that host.
 */
import { DAY, MINUTE, SECOND } from './units.ts';

export const queueOf = {
  control: 'control',
  source: (machine: string) => `source.${machine}`,
  copy: (host: string) => `copy.${host}`,
  datacenter: (region: string) => `datacenter.${region}`,
  dock: (region: string, host: string) => `dock.${region}.${host}`,
  vault: (vault: string) => `vault.${vault}`,
  owner: (id: string) => `owner.${id}`,
} as const;

/** The twin of `queue` for activities that move bytes. */
export function dataQueue(queue: string): string {
  return `${queue}.data`;
}

export type SiteKind = 'control' | 'source' | 'copy' | 'datacenter' | 'dock' | 'vault' | 'owner';

export interface Timeouts {
  /** Silence after which an attempt is given up; 60 s, and 5 s in tests. */
  readonly heartbeatMs: number;
}

export const TIMEOUTS: Timeouts = { heartbeatMs: 60 * SECOND };

/** Bytes of a step that makes none of them for this long are `Stalled`. */
export const STALL_MS = 10 * MINUTE;

/** `copy.copy1.data` is the site `copy` of `copy1`. */
export function siteOf(queue: string): { readonly site: string; readonly name: string } {
  const [site = queue, ...rest] = queue.replace(/\.data$/, '').split('.');
  return { site, name: rest.join('.') };
}

/** What the SDK throws, retryable, where a worker does not know an activity: `AgentTooOld` here. */
export const UNKNOWN_ACTIVITY = 'NotFoundError';

/** For ever, since a person fixes what retries do not; a minute apart at most, since people wait. */
const RETRY = {
  initialInterval: 1 * SECOND,
  backoffCoefficient: 2,
  maximumInterval: 1 * MINUTE,
  nonRetryableErrorTypes: [UNKNOWN_ACTIVITY],
};

/** Options of an activity that moves bytes. Cancelling waits until its child process has ended. */
export function dataMoving(queue: string, { heartbeatMs }: Timeouts = TIMEOUTS) {
  return {
    taskQueue: dataQueue(queue),
    startToCloseTimeout: 30 * DAY,
    heartbeatTimeout: heartbeatMs,
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: RETRY,
  } as const;
}

/** Options of a short step that reads or writes a record. */
export function bookKeeping(queue: string) {
  return { taskQueue: queue, startToCloseTimeout: 2 * MINUTE, retry: RETRY } as const;
}

/** Options of a step that removes as much as there is: as long as it says that it goes on. */
export function removing(queue: string, { heartbeatMs }: Timeouts) {
  return { taskQueue: queue, startToCloseTimeout: 30 * DAY, heartbeatTimeout: heartbeatMs, retry: RETRY } as const;
}

/** Options of `observeHost`: it is asked twice a heartbeat, and each answer "not yet" is an attempt. */
export function watching({ heartbeatMs }: Timeouts) {
  const retry = { ...RETRY, initialInterval: heartbeatMs / 2, backoffCoefficient: 1 };
  return { taskQueue: queueOf.control, startToCloseTimeout: 1 * MINUTE, retry } as const;
}
