/**
 * What a child does on purpose without moving a byte: held to a rate, waiting for a bucket to have an
 * object, or looking again and again whether another process has done its part. It tells of each look,
 * so that whoever watches can tell waiting from standing still. A child does one task: the count is the
 * process's own.
 */
let looks = 0;
let heard: (looks: number) => void = () => {};

/** Says that this process is waiting, and awake. Call it after each look, never from a timer that nothing ends. */
export function waited(): void {
  looks += 1;
  heard(looks);
}

/** Hears of each look, with their number so far. */
export function onWaited(listener: (looks: number) => void): void {
  heard = listener;
}
