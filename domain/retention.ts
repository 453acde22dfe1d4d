/**
 * Which recovery points to keep. Pure: points and a rule in, names out.
 *
 *   daily, weekly, monthly, yearly   the newest point of each of the last N days, ISO weeks, months
 *                                    and years that hold one (in the protection's time zone)
 *   always kept                      the newest point; points that others build on are the caller's
 *                                    business, since each point names all the packs it needs
 *
 * A period without a point does not use up a place: a machine that was off for a month keeps what it had.
 */
import { Failure } from './failure.ts';
import { DAY } from './units.ts';

export const PERIODS = ['daily', 'weekly', 'monthly', 'yearly'] as const;
export type Period = (typeof PERIODS)[number];

export type Keep = Readonly<Record<Period, number>>;

/** Above this a list of points, not a rule, is wanted. */
const KEEP_MAX = 9999;

export interface KeptPoint {
  readonly name: string;
  /** Local wall-clock time of the protection, as milliseconds since 1970 read as if UTC. */
  readonly localMs: number;
}

/** `daily=30,weekly=12`: what is not named is not kept. @throws Failure `Usage` */
export function parseKeep(text: string): Keep {
  const keep: Record<Period, number> = { daily: 0, weekly: 0, monthly: 0, yearly: 0 };
  for (const part of text.split(',')) {
    const [, name = '', count = ''] = /^([a-z]+)=(\d{1,4})$/.exec(part.trim()) ?? [];
    const period = PERIODS.find((known) => known === name);
    if (period === undefined)
      throw new Failure('Usage', `retention ${JSON.stringify(part.trim())} is not understood`, {
        why: `it is PERIOD=COUNT, with ${PERIODS.join(', ')}, up to ${KEEP_MAX}`,
        next: '--keep daily=30,weekly=12,monthly=24,yearly=10',
      });
    keep[period] = Number(count);
  }
  if (PERIODS.every((period) => keep[period] === 0))
    throw new Failure('Usage', 'retention keeps nothing', { next: '--keep daily=30' });
  return keep;
}

/** The text `parseKeep` reads back to the same. */
export function formatKeep(keep: Keep): string {
  return PERIODS.filter((period) => keep[period] > 0)
    .map((period) => `${period}=${keep[period]}`)
    .join(',');
}

/** Names of the points to keep, each with the periods that keep it; the newest is `newest` too. */
export function keptPoints(points: readonly KeptPoint[], keep: Keep): Map<string, string[]> {
  const newestFirst = [...points].sort((a, b) => b.localMs - a.localMs || (a.name < b.name ? 1 : -1));
  const kept = new Map<string, string[]>();
  const hold = (point: KeptPoint, reason: string) => kept.set(point.name, [...(kept.get(point.name) ?? []), reason]);
  const newest = newestFirst[0];
  if (newest) hold(newest, 'newest');
  for (const period of PERIODS) {
    const seen = new Set<string>();
    for (const point of newestFirst) {
      if (seen.size >= keep[period]) break;
      const bucket = BUCKET[period](point.localMs);
      if (seen.has(bucket)) continue;
      seen.add(bucket);
      hold(point, period);
    }
  }
  return kept;
}

const BUCKET: Readonly<Record<Period, (localMs: number) => string>> = {
  daily: (ms) => iso(ms).slice(0, 10),
  weekly: (ms) => iso(mondayOf(ms)).slice(0, 10),
  monthly: (ms) => iso(ms).slice(0, 7),
  yearly: (ms) => iso(ms).slice(0, 4),
};

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** ISO 8601 weeks begin on Monday; 1970-01-01 was a Thursday. */
function mondayOf(ms: number): number {
  const day = Math.floor(ms / DAY);
  return (day - ((((day + 3) % 7) + 7) % 7)) * DAY;
}
