/** How a command is described: its words, flags, three examples, and the function that does it. */
import type { Invocation } from './invocation.ts';

export type Run = (call: Invocation) => Promise<number | undefined>;

export interface CommandSpec {
  readonly path: string;
  readonly words?: string;
  readonly about: string;
  readonly flags?: readonly (readonly [flag: string, about: string])[];
  readonly examples: readonly string[];
  /** Takes a while: JSON comes in lines. */
  readonly long?: boolean;
  readonly run: () => Promise<Run>;
}

export const OWNER = [
  ['--passphrase-file <file>', 'the passphrase, read from a file'],
  ['--words-file <file>', 'the 24 recovery words instead'],
] as const;
export const FOLLOW = [
  ['--wait', 'start it and follow it (as without this flag)'],
  ['--no-wait', 'start it and return'],
  ['--timeout <seconds>', 'stop following after so long (exit 10); the work goes on'],
] as const;
export const COPY_HOSTS = ['--copy-host <host...>', 'who may prepare its drives; any host when none is named'] as const;
export const JOB = ['--job <name>', 'the job'] as const;
/** Whom to call, and how drives come back. */
export const RETURN = [
  ['--contact <text>', 'whom to call'],
  ['--return-to <address>', 'where the drives go back to'],
  ['--return-carrier <carrier>', 'who brings them back'],
  ['--return-account <number>', 'your account with that carrier'],
  ['--return <none>', '`none`: the drives are not sent back'],
] as const;
