/**
 * Attention: a decision only a person can make, with its choices. The workflow waits for one of
 * them, as long as it takes; several may be open at once, each with an id of its own. Some clear
 * themselves (a host that comes back); the others need `seedship job resolve NAME --choice …`.
 */
import type { FailureCode } from './failure.ts';

export const CHOICES = {
  retry: 'try the step again',
  wait: 'wait on, as long again',
  replace: 'the drive does not come: what it carries goes on another drive',
  send: 'what is missing is sent over the line; what staging has no more is read and sealed again',
  drop: 'what is missing is given up: the point is stated complete without it, and a restore names the files',
  abort: 'end the work; what is undone and kept stands in `seedship help states`',
} as const;
export type Choice = keyof typeof CHOICES;

export interface Attention {
  /** `a1`, `a2`, …: unique in its workflow, in the order they came. */
  readonly id: string;
  readonly code: FailureCode;
  /** Why a drive was refused, in the field's own word (copy-code.ts). */
  readonly detail?: string;
  /** The step that waits: `prepare-7F3A`. */
  readonly step: string;
  readonly drive?: string;
  /** Its tracking number. */
  readonly parcel?: string;
  /** Where the step runs; for `HostOffline` and `Locked`, nobody polls it. */
  readonly queue?: string;
  readonly message: string;
  /** What helps, as an exact command where there is one. */
  readonly hint: string;
  readonly choices: readonly Choice[];
  readonly since: string;
  /** Its cause is watched, and it goes when that goes. */
  readonly clearsItself?: boolean;
}

/** What attention in a child shows to its parent, who gives it an id of its own. */
export interface ChildAttention {
  readonly child: string;
  readonly open: readonly Attention[];
}

export interface Resolution {
  readonly id: string;
  readonly choice: Choice;
  readonly by: string;
}

/** `DriveMissing 7F3A12…`: how an attention stands in the search attribute `SeedshipAttention`. */
export function attentionTag({ code, drive, parcel }: Attention): string {
  return [code, drive ?? parcel].filter((part) => part !== undefined).join(' ');
}
