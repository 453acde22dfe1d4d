/** On a real server; no worker takes part: a workflow's history grows by signals too. */
import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { EventWatch } from '../../client/event-watch.ts';
import { connectClient, type TemporalClient } from '../../host/connections.ts';
import { findTemporal, serverSearch } from '../../host/server-programs.ts';
import { NAMESPACE, startTemporal } from '../../host/servers.ts';
import { loadSettings } from '../../host/settings.ts';

/** Longer than a test may take. */
const NEVER_MS = 600_000;
const dir = mkdtempSync(path.join(tmpdir(), 'seedship-events-'));
let server: Awaited<ReturnType<typeof startTemporal>>;
let temporal: TemporalClient;

beforeAll(async () => {
  server = await startTemporal({ program: await findTemporal(serverSearch(process.env)), dir });
  const flags = { 'temporal-address': server.address, 'temporal-namespace': NAMESPACE, 'state-dir': dir };
  temporal = await connectClient(loadSettings({ flags }));
}, 120_000);
afterAll(async () => {
  await temporal?.close();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function begun(workflowId: string) {
  const handle = await temporal.client.workflow.start('nobody', { workflowId, taskQueue: 'nobody', args: [] });
  return { handle, watch: new EventWatch(temporal, workflowId) };
}

test('a pause ends with the next event, and only with one', async () => {
  const { handle, watch } = await begun('signalled');
  const { signal } = new AbortController();
  await watch.pause(NEVER_MS, signal); // what had happened before
  await watch.pause(300, signal); // nothing happens: the clock ends it
  const paused = watch.pause(NEVER_MS, signal);
  await handle.signal('something');
  await paused;
  const last = watch.pause(NEVER_MS, signal);
  await handle.terminate();
  await last;
  watch.close();
});

test('however long it is watched, nothing is left behind by what was asked', async () => {
  const { handle, watch } = await begun('long');
  const asked = jest.spyOn(temporal.client.connection, 'withAbortSignal');
  const { signal } = new AbortController();
  for (let events = 0; events < 12; events += 1) {
    const paused = watch.pause(NEVER_MS, signal);
    await handle.signal('something');
    await paused;
  }
  watch.close();
  const listeners = asked.mock.calls.map(([one]) => getEventListeners(one, 'abort').length);
  expect(listeners.length).toBeGreaterThan(4); // events that come together are one answer
  expect(Math.max(...listeners)).toBe(1);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('who leaves is not held, nor is the process when the watch is closed', async () => {
  const { watch } = await begun('left');
  const left = new AbortController();
  await watch.pause(NEVER_MS, left.signal);
  const paused = watch.pause(NEVER_MS, left.signal);
  left.abort();
  await paused;
  watch.close();
});

test('of what is not there nothing is heard: the clock ends the pause', async () => {
  const watch = new EventWatch(temporal, 'nothing');
  await watch.pause(200, new AbortController().signal);
  await watch.pause(200, new AbortController().signal);
  watch.close();
});
