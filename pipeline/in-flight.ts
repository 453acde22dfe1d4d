/** Work on many things at once, but never on more than a bound: memory is what is in flight. */

/**
 * Runs `work` on each item, at most `limit` at once. The first error stops the intake and is thrown
 * once those under way have ended: nothing runs on after the promise has settled.
 */
export async function eachInFlight<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  const errors: unknown[] = [];
  for await (const item of items) {
    if (errors.length > 0) break;
    const one = work(item)
      .catch((error: unknown) => void errors.push(error))
      .finally(() => underWay.delete(one));
    underWay.add(one);
    if (underWay.size >= limit) await Promise.race(underWay);
  }
  await Promise.all(underWay);
  if (errors.length > 0) throw errors[0];
}
