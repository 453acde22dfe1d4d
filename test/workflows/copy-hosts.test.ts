/** A job whose order names the hosts that may prepare its drives, as it is asked in the Web UI and everywhere else. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import type { JobDetails } from '../../domain/seeding-job.ts';
import * as say from '../../workflows/definitions.ts';
import {
  atStage,
  DRIVES,
  driveIn,
  OBJECTS,
  openSkippingServer,
  openStage,
  prepare,
  refusal,
  type Stage,
  send,
  shippable,
  startJob,
  until,
} from './fake-sites.ts';

let stage: Stage;
const [FIRST, SECOND, THIRD] = DRIVES;
const details: JobDetails = { contact: false, returnTo: false, returnCarrier: 'none' };

beforeAll(async () => {
  stage = await openStage(await openSkippingServer());
}, 120_000);
afterAll(() => stage?.close(), 180_000);

/** As it is pasted: whatever somebody writes. */
const edit = (handle: WorkflowHandle, act: object) =>
  handle.executeUpdate(say.edit, { args: [{ by: 'ann', ...act } as say.EditAct] });

/** A job whose objects wait for drives. */
async function waiting(job: string, more: Parameters<typeof startJob>[2]) {
  const handle = await startJob(stage, job, more);
  await until(handle, atStage('Preparing'));
  return handle;
}

test('a drive is prepared at a host that is named, and at no other, with a plan file neither', async () => {
  const handle = await waiting('named', { copyHosts: ['copy1'] });
  const { waitsFor } = await handle.query(say.status);
  expect([waitsFor.what, waitsFor.who]).toEqual([`${OBJECTS} objects wait for a drive at copy1`, 'a person at copy1']);
  const refused = await refusal(prepare(handle, FIRST, OBJECTS, 'copy2'));
  expect([refused.code, refused.message]).toEqual(['WrongState', expect.stringMatching(/copy2 may not .*copy1$/)]);
  const offer = { drive: FIRST, host: 'attic', capacityBytes: 1e9, offline: true, by: 'ann' };
  expect((await refusal(handle.executeUpdate(say.prepareDrive, { args: [offer] }))).code).toBe('WrongState');
  expect((await handle.query(say.status)).drives).toEqual([]);
  await prepare(handle, FIRST);
  await until(handle, shippable(FIRST));
  await handle.terminate();
});

test('who may is changed until a parcel has left, and afterwards while objects wait for another drive', async () => {
  const handle = await waiting('changed', { copyHosts: ['copy1'], details });
  for (const act of [{ copyHosts: 'copy1' }, { copyHosts: ['Not A Host'] }, { copyHosts: [1] }, {}])
    expect((await refusal(edit(handle, act))).code).toBe('Usage');
  await prepare(handle, FIRST, OBJECTS / 2);
  await edit(handle, { copyHosts: ['copy2', 'attic', 'copy2'] });
  const { request } = await handle.query(say.status);
  expect([request.copyHosts, request.details]).toEqual([['attic', 'copy2'], details]);
  expect((await refusal(prepare(handle, SECOND))).code).toBe('WrongState'); // at copy1
  await prepare(handle, SECOND, OBJECTS, 'copy2');
  await until(handle, shippable(SECOND));
  await send(handle);
  expect((await refusal(edit(handle, { copyHosts: [] }))).code).toBe('WrongState');
  const lost = { drives: [SECOND], found: 'lost', choice: 'replace', by: 'ann' } as const;
  await handle.executeUpdate(say.reportDrives, { args: [lost] });
  await until(handle, driveIn(SECOND, 'Lost'));
  expect((await refusal(edit(handle, { copyHosts: [], details }))).code).toBe('WrongState'); // what is on parcels stays
  await edit(handle, { copyHosts: [] });
  expect((await handle.query(say.status)).request).not.toHaveProperty('copyHosts');
  await prepare(handle, THIRD);
  await until(handle, shippable(THIRD));
  const written = JSON.stringify(stage.sites.asked('keepRecord'));
  for (const text of ['copy hosts: attic copy2', '"copyHosts":["attic","copy2"]', 'copy hosts: any'])
    expect(written).toContain(text);
  await handle.terminate();
});
