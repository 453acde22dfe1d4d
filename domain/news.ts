/**
 * A notice: one sentence to people who are not looking. It holds what stands in lists anyway, names
 * people chose, ids and counts: no secret, no file name, no address. It is a courtesy: nothing ever
 * waits for one, and whoever missed it sees the same in `seedship job list`.
 */
import type { FailureCode } from './failure.ts';

export const NOTICE_KINDS = ['state', 'attention', 'reminder', 'test'] as const;
export type NoticeKind = (typeof NOTICE_KINDS)[number];

export interface Notice {
  readonly vault: string;
  /** What it is about: a job, a protection. */
  readonly subject: string;
  readonly kind: NoticeKind;
  readonly code?: FailureCode;
  readonly text: string;
  /** ISO, UTC, when it happened. */
  readonly at: string;
  /** Whose page in the Web UI shows more. */
  readonly workflowId: string;
}

/** Retried with longer pauses for so long; after that whoever keeps the channel has it to mend first. */
export const NOTICE_KEPT_DAYS = 3;

/** Not delivered after so long, it is shown as waiting for a person. */
export const NOTICE_LATE_MINUTES = 15;

interface ChannelBase {
  readonly name: string;
  /** Which kinds it wants; a test is for all. */
  readonly kinds: readonly NoticeKind[];
}

export interface WebhookChannel extends ChannelBase {
  readonly webhook: string;
}

export interface MailChannel extends ChannelBase {
  /** `smtp://host:port`, or `smtps://` for TLS from the first byte. */
  readonly smtp: string;
  /** Needs the channel's secret, and TLS. */
  readonly user?: string;
  /** Who vouches for its certificate, in PEM, where the world's authorities do not. */
  readonly authorities?: string;
  readonly from: string;
  readonly to: readonly string[];
}

/** Whom the control worker tells; addresses stand in its settings alone. */
export type NoticeChannel = WebhookChannel | MailChannel;

/** Whether a channel asked for notices of this kind. */
export function wants({ kinds }: NoticeChannel, kind: NoticeKind): boolean {
  return kind === 'test' || kinds.includes(kind);
}
