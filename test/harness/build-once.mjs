/** Children and threads run from dist/, so it is built before the first test, once for all jest workers. */
import { build, lock } from '../../install.mjs';

// biome-ignore lint/style/noDefaultExport: jest takes a global set-up only as a default export
export default async function buildOnce() {
  const unlock = await lock();
  try {
    await build({ strict: Boolean(process.env.SEEDSHIP_CI) });
  } finally {
    unlock();
  }
}
