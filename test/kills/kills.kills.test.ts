/**
 * Sixty kills and more, at seeded random instants of every stage, in one embedded system. A failure tells
 * the seed: SEEDSHIP_KILLS_SEED has the same rounds again. SEEDSHIP_KILLS_SECONDS ends it early, between
 * two rounds; then it may hit fewer, and says so.
 */
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { planRounds, STAGES, VICTIMS } from './plan.ts';
import { KillRig } from './rig.ts';
import { type HitKill, KILL_SETTINGS, type RoundPlan, runRounds } from './round.ts';

const HITS_MIN = 60;
/** Twelve kills a round, of which some come too late on a busy machine. */
const ROUNDS_MAX = 10;
const SECOND = 1000;
/** What a round takes at the most: none is begun later than this before the end. */
const ROUND_MS = 300 * SECOND;
const seed = Number(process.env.SEEDSHIP_KILLS_SEED ?? randomInt(2 ** 31));
const limited = process.env.SEEDSHIP_KILLS_SECONDS;
const until = limited === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(limited) * SECOND - ROUND_MS;
const rig = new KillRig({ ...KILL_SETTINGS, SEEDSHIP_THROTTLE: '3MiB' });
const rounds: RoundPlan[] = planRounds(seed, ROUNDS_MAX).map((kills, at) => ({
  number: at + 1,
  kills,
  bytes: 14_000_000,
  addedBytes: 20_000_000,
}));

beforeAll(() => rig.start(rig.system.at('source')), 120_000);
afterAll(() => rig.close(), 60_000);

test('sixty kills in the middle of every stage cost time, and nothing else', async () => {
  process.stderr.write(`kills: SEEDSHIP_KILLS_SEED=${seed}\n`);
  const hits = await runRounds(rig, { seed, rounds, until, enough: HITS_MIN });
  process.stderr.write(tableOf(hits));
  const hit = hits.filter(({ shown }) => shown !== undefined).length;
  if (until === Number.POSITIVE_INFINITY) expect(hit).toBeGreaterThanOrEqual(HITS_MIN);
  else expect(hit).toBeGreaterThan(0);
}, 3_600_000);

/** Stage by victim: hit, and with a minus those that came too late. */
function tableOf(hits: readonly HitKill[]): string {
  const cell = (of: readonly HitKill[]): string => {
    const late = of.filter(({ shown }) => shown === undefined).length;
    return `${of.length - late}${late > 0 ? ` -${late}` : ''}`.padStart(8);
  };
  const lines = STAGES.map((stage) =>
    [
      stage.padEnd(12),
      ...VICTIMS.map((victim) => cell(hits.filter((one) => one.stage === stage && one.victim === victim))),
    ].join(' '),
  );
  const head = ['stage'.padEnd(12), ...VICTIMS.map((victim) => victim.replace('frozen ', '~').padStart(8))].join(' ');
  return `\nkills: hit, and - too late; ~ is frozen\n${[head, ...lines].join('\n')}\nall: ${cell(hits).trim()}\n\n`;
}
