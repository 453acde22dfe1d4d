/**
 * Names people choose, and the patterns they must match. They become workflow ids, object keys and
 * queue names as they are, so no name holds a slash, a space, an upper-case letter or a dot-dot.
 * These names are visible to servers (doc/design.md, "What others see").
 */
import { Failure } from './failure.ts';

/** SHA-256 in lower-case hex; only format/digest.ts makes one from bytes. */
export type Digest = string & { readonly brand: 'Digest' };

interface Rule {
  readonly pattern: RegExp;
  readonly says: string;
}

const PLAIN: Rule = {
  pattern: /^[a-z][a-z0-9-]{0,48}[a-z0-9]$/,
  says: '2 to 50 lower-case letters, digits and hyphens, a letter first',
};

/** F57 for jobs, F64 for vaults, F51 for containers; the rest follow suit. */
export const NAME_RULES = {
  vault: PLAIN,
  machine: PLAIN,
  group: PLAIN,
  protection: PLAIN,
  place: PLAIN,
  region: PLAIN,
  host: PLAIN,
  operator: PLAIN,
  job: {
    pattern: /^[a-z][a-z0-9_-]{1,62}$/,
    says: '2 to 63 lower-case letters, digits, hyphens and underscores, a letter first',
  },
  drive: { pattern: /^[0-9A-F]{16}$/, says: '16 upper-case hex digits, as `drive prepare` printed them' },
} as const satisfies Record<string, Rule>;

export type NameKind = keyof typeof NAME_RULES;

/** @throws Failure `Usage` naming the kind, the text and the rule */
export function parseName(kind: NameKind, text: string): string {
  const { pattern, says } = NAME_RULES[kind];
  if (pattern.test(text)) return text;
  throw new Failure('Usage', `${kind} name ${JSON.stringify(text)} is not allowed`, {
    why: `a ${kind} name is ${says}`,
    next: `choose another ${kind} name`,
  });
}

const DIGEST = /^[0-9a-f]{64}$/;

/** Whether `text` is 64 lower-case hex digits. */
export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/** What an operator reads and types for a drive: the first four digits. */
export function driveLabel(driveId: string): string {
  return `SEEDSHIP-${driveId.slice(0, 4)}`;
}
