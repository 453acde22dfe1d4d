/** A workflow whose update asks for a step only after others have ended: what full-turns.ts is for. */
import { condition, defineUpdate, proxyActivities, setHandler } from '@temporalio/workflow';

const { look } = proxyActivities<{ look(ms: number): Promise<void> }>({ startToCloseTimeout: '10 s' });
export const read = defineUpdate<boolean>('read');

export async function lateReader(): Promise<void> {
  let looked = false;
  let asked = false;
  setHandler(read, () => {
    if (looked) void look(0); // what is asked for hangs on what was taken in before
    asked = true;
    return looked;
  });
  await Promise.all([look(0), look(1000)]); // two turns that ask for nothing
  looked = true;
  await condition(() => asked);
}
