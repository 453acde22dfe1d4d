/**
 * Every way a step or a command can fail, by name. The same string is the Temporal failure type,
 * the code in `error[CODE]`, and the anchor in the documentation. The table says whether trying
 * again helps, which exit code a command ends with, and what a person should do.
 *
 *   retry      the cause passes by itself: Temporal tries again, for ever
 *   attention  a person decides: the workflow waits with the choices of domain/attention.ts
 *   refuse     the request was wrong: nothing was started
 */
export type Cure = 'retry' | 'attention' | 'refuse';

interface Row {
  readonly cure: Cure;
  readonly exit: number;
  readonly hint: string;
}

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  losses: 3,
  notAllowed: 4,
  temporary: 5,
  wrongState: 6,
  integrity: 7,
  notFound: 8,
  waitTimedOut: 10,
  wrongKey: 12,
  interrupted: 130,
} as const;

export const FAILURES = {
  Usage: { cure: 'refuse', exit: EXIT.usage, hint: 'seedship help' },
  Configuration: { cure: 'refuse', exit: EXIT.usage, hint: 'seedship config show --origin' },
  NotFound: { cure: 'refuse', exit: EXIT.notFound, hint: 'list what there is' },
  WrongState: { cure: 'refuse', exit: EXIT.wrongState, hint: 'seedship job show NAME' },
  NotAllowed: { cure: 'attention', exit: EXIT.notAllowed, hint: 'check the rights of this identity' },
  WrongKey: { cure: 'refuse', exit: EXIT.wrongKey, hint: 'try the recovery words' },
  Unreachable: { cure: 'retry', exit: EXIT.temporary, hint: 'seedship config show --origin' },
  StorageRefused: {
    cure: 'attention',
    exit: EXIT.notAllowed,
    hint: 'correct the storage key and secret of this site and start its worker again, then resolve with retry',
  },
  SpaceExhausted: { cure: 'attention', exit: EXIT.failed, hint: 'free space there, then resolve with retry' },
  SourceUnreadable: { cure: 'attention', exit: EXIT.failed, hint: 'make the items readable, then resolve with retry' },
  Corrupt: { cure: 'attention', exit: EXIT.integrity, hint: 'the bytes are not those that were sealed' },
  Tampered: {
    cure: 'attention',
    exit: EXIT.integrity,
    hint: 'a signature does not hold: do not go on before you know why',
  },
  LockHeld: {
    cure: 'attention',
    exit: EXIT.wrongState,
    hint: 'end the process that holds it, then resolve with retry',
  },
  Busy: { cure: 'retry', exit: EXIT.temporary, hint: 'another backup of this machine runs; this one follows it' },
  HostOffline: { cure: 'attention', exit: EXIT.temporary, hint: 'start the worker on that host' },
  Stalled: { cure: 'retry', exit: EXIT.temporary, hint: 'no progress for 10 minutes; the step is tried again' },
  AgentTooOld: { cure: 'attention', exit: EXIT.wrongState, hint: 'upgrade Seedship on that host' },
  ChildDied: { cure: 'retry', exit: EXIT.failed, hint: 'the step is tried again' },
  DriveFull: { cure: 'retry', exit: EXIT.failed, hint: 'prepare another drive' },
  DriveForeign: { cure: 'attention', exit: EXIT.integrity, hint: 'attach the drive of this job' },
  DriveOutdated: { cure: 'attention', exit: EXIT.integrity, hint: 'attach the newest copy of this drive' },
  DriveFailed: { cure: 'attention', exit: EXIT.failed, hint: 'replace the drive' },
  DriveMissing: { cure: 'attention', exit: EXIT.wrongState, hint: 'look for the drive, or declare it lost' },
  ShipmentLate: { cure: 'attention', exit: EXIT.wrongState, hint: 'ship the drives, then tell: seedship job ship' },
  PacksMissing: { cure: 'attention', exit: EXIT.losses, hint: 'attach the drives that carry them' },
  Locked: { cure: 'attention', exit: EXIT.wrongState, hint: 'unlock with `seedship restore`' },
  TimedOut: { cure: 'refuse', exit: EXIT.waitTimedOut, hint: 'the workflow goes on' },
  Losses: { cure: 'refuse', exit: EXIT.losses, hint: 'see the list of skipped files' },
  Aborted: { cure: 'refuse', exit: EXIT.failed, hint: 'a person ended it' },
  Unexpected: { cure: 'retry', exit: EXIT.failed, hint: 'please report it' },
} as const satisfies Record<string, Row>;

export type FailureCode = keyof typeof FAILURES;

export interface FailureText {
  readonly why?: string;
  /** The exact command that helps. */
  readonly next?: string;
  /** Narrower than the code: why a drive was refused, in the field's own word (copy-code.ts). */
  readonly detail?: string;
  readonly cause?: unknown;
}

/** A failure with a name from the table. Its texts never hold a secret, a file name or an address. */
export class Failure extends Error {
  readonly code: FailureCode;
  readonly why: string;
  readonly next: string;
  readonly detail: string | undefined;

  constructor(code: FailureCode, message: string, { why, next, detail, cause }: FailureText = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = code;
    this.code = code;
    this.why = why ?? '';
    this.next = next ?? FAILURES[code].hint;
    this.detail = detail;
  }
}

/** Whether a Temporal failure type is a name of the table. */
export function isFailureCode(text: string): text is FailureCode {
  return Object.hasOwn(FAILURES, text);
}

/** `ENOENT`: what a system call said; empty when it was none. Never the message, which names the file. */
export function errnoOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}

const BY_ERRNO: Readonly<Record<string, readonly [FailureCode, string]>> = {
  ENOSPC: ['SpaceExhausted', 'the destination is full'],
  EDQUOT: ['SpaceExhausted', 'the quota of the destination is used up'],
  EROFS: ['NotAllowed', 'the destination can only be read'],
  EACCES: ['NotAllowed', 'this user may not go on here'],
  EPERM: ['NotAllowed', 'this user may not go on here'],
};

/** What a system call said, where a person can do something about it. */
export function errnoFailure(errno: string): Failure | undefined {
  const known = BY_ERRNO[errno];
  return known && new Failure(...known);
}
