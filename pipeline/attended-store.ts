/**
 * A bucket at the other end of a thin line: one pack takes minutes, and until it is through no byte of
 * it is told of. While a request is on its way the store is the watchman itself: it gives up when a
 * minute brings no byte either way (SILENCE_MS in store/s3-store.ts). Until then each look counts.
 */
import { SECOND } from '../domain/units.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { waited } from './waiting.ts';

const LOOK_MS = 2 * SECOND;

/**
 * The same store, whose objects may take their time: whoever watches this process for progress hears
 * of each look, every two seconds. It throws what the store throws.
 */
export function attended(store: ObjectStore): ObjectStore {
  return {
    url: store.url,
    put: (name, bytes, options) => looking(store.put(name, bytes, options)),
    get: (name, range) => looking(store.get(name, range)),
    getExact: (name, digest, room) => looking(store.getExact(name, digest, room)),
    getFitting: (name, fits) => looking(store.getFitting(name, fits)),
    head: (name) => store.head(name),
    list: (prefix) => store.list(prefix),
    remove: (name) => store.remove(name),
  };
}

async function looking<T>(request: Promise<T>): Promise<T> {
  const looks = setInterval(waited, LOOK_MS);
  try {
    return await request;
  } finally {
    clearInterval(looks);
  }
}
