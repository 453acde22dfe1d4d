/** What is killed, when, and in which order: the same for the same seed. */

export const STAGES = ['staging', 'preparing', 'incremental', 'ingest', 'copy', 'restore'] as const;
export type Stage = (typeof STAGES)[number];

/**
 * - `worker`, `child`, `temporal`, `s3`, `control`: kill -9
 * - `frozen worker`: stopped past its heartbeat while its child works on; a second worker takes the step over, then it thaws
 * - `frozen host`: the same with its child stopped too
 * - `frozen child`: stopped alone; its worker must find out
 */
export const VICTIMS = [
  ...(['worker', 'child', 'temporal', 's3', 'control'] as const),
  ...(['frozen worker', 'frozen host', 'frozen child'] as const),
];
export type Victim = (typeof VICTIMS)[number];

export interface Kill {
  readonly stage: Stage;
  readonly victim: Victim;
  /** Of the step's bytes, as its heartbeats show them. */
  readonly at: number;
}

/** Heartbeats lag two seconds behind: what shows 70 % may be over. */
const AT_MIN = 0.1;
const AT_MAX = 0.7;

/** Numbers from 0 to 1, the same for the same seed. */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Two kills a stage, the earlier one first; every victim as often as any other over the rounds. */
export function planRounds(seed: number, rounds: number): Kill[][] {
  const random = chance(seed);
  let bag: Victim[] = [];
  const draw = (): Victim => {
    if (bag.length === 0) bag = [...VICTIMS].sort(() => random() - 0.5);
    return bag.pop() ?? 'child';
  };
  return Array.from({ length: rounds }, () => {
    return STAGES.flatMap((stage) =>
      [random(), random()]
        .sort((a, b) => a - b)
        .map((part) => ({ stage, victim: draw(), at: AT_MIN + part * (AT_MAX - AT_MIN) })),
    );
  });
}
