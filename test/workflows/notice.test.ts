import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/activity';
import type { Notice } from '../../domain/news.ts';
import type { NoticeRequest } from '../../domain/request.ts';
import type { notice } from '../../workflows/notice.ts';
import {
  atStage,
  DRIVES,
  decide,
  dock,
  JOB,
  openSkippingServer,
  openStage,
  prepare,
  type Stage,
  send,
  shippable,
  startJob,
  take,
  until,
} from './fake-sites.ts';

let stage: Stage;

beforeAll(async () => {
  stage = await openStage(await openSkippingServer());
}, 120_000);
afterAll(() => stage?.close(), 180_000);
beforeEach(() => stage.sites.reset());

const NEWS: Notice = {
  vault: JOB.vault,
  subject: 'news',
  kind: 'test',
  text: 'does this arrive?',
  at: '2026-11-20T02:00:00Z',
  workflowId: 'seed/safe/news',
};

function tell(workflowId: string) {
  stage.started.push(workflowId);
  return stage.client.workflow.start<typeof notice>('notice', {
    workflowId,
    taskQueue: 'control',
    args: [{ notice: NEWS }],
  });
}

function sent(subject: string): NoticeRequest[] {
  const requests: NoticeRequest[] = JSON.parse(JSON.stringify(stage.sites.asked('sendNotice')));
  return requests.filter((request) => request.subject === subject);
}

/** Let go is not yet delivered: real seconds pass, virtual ones do not. */
async function soon(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !holds(); await new Promise((resolve) => setTimeout(resolve, 25)))
    if (Date.now() > end) throw new Error(`it stays at ${JSON.stringify(stage.sites.asked('sendNotice'))}`);
}

const down = async () => {
  throw ApplicationFailure.create({ type: 'Unreachable', message: 'channel pager: the receiver did not take it' });
};

describe('a notice', () => {
  test('is sent to each channel by itself: one that is down does not make the other hear it twice', async () => {
    stage.sites.behaviour.announce = async () => ['pager', 'mail'];
    stage.sites.behaviour.sendNotice = async ({ channel }) => {
      if (channel === 'pager' && sent('news').length < 4) await down();
    };
    const handle = await tell('notice/one-down');
    await stage.env.sleep('10 minutes');
    expect(await handle.result()).toEqual({ delivered: ['pager', 'mail'], undelivered: [] });
    const attempts = sent('news');
    expect(attempts.filter(({ channel }) => channel === 'mail')).toHaveLength(1);
    expect(attempts.filter(({ channel }) => channel === 'pager').length).toBeGreaterThan(1);
    expect(new Set(attempts.map(({ id }) => id)).size).toBe(1);
  });

  test('that is late stands in the lists as one that needs a person, until it is delivered', async () => {
    stage.sites.behaviour.sendNotice = down;
    const handle = await tell('notice/late');
    await stage.env.sleep('14 minutes');
    expect((await handle.describe()).searchAttributes).not.toHaveProperty('SeedshipState');
    await stage.env.sleep('2 minutes');
    await soonState(handle, 'Attention');
    stage.sites.behaviour = {};
    await stage.env.sleep('11 minutes');
    expect(await handle.result()).toEqual({ delivered: ['pager'], undelivered: [] });
    expect((await handle.describe()).searchAttributes).toMatchObject({ SeedshipState: ['Done'] });
  });

  test('that nobody takes is given up after three days, and says so', async () => {
    stage.sites.behaviour.sendNotice = down;
    const handle = await tell('notice/lost');
    await stage.env.sleep('2 days');
    expect((await handle.describe()).status.name).toBe('RUNNING');
    await stage.env.sleep('2 days');
    expect(await handle.result()).toEqual({ delivered: [], undelivered: ['pager'] });
    expect((await handle.describe()).searchAttributes).toMatchObject({ SeedshipState: ['Attention'] });
  });
});

describe('a job', () => {
  test('tells each change of state once, and its end, though nobody can be told at the time', async () => {
    stage.sites.behaviour.sendNotice = down;
    const [drive] = DRIVES;
    const handle = await startJob(stage, 'told');
    await until(handle, atStage('Preparing'), 30_000);
    await prepare(handle, drive);
    await until(handle, shippable(drive), 30_000);
    await send(handle, '1Z77');
    await take(handle, drive);
    await dock(handle, drive);
    await handle.result(); // nothing has been delivered
    stage.sites.behaviour = {};
    stage.sites.calls.length = 0;
    await stage.env.sleep('20 minutes');
    await soon(() => sent('told').some(({ text }) => text.includes('stage Protected')));
    const texts = sent('told').map(({ text }) => text);
    expect(new Set(texts).size).toBe(texts.length);
    for (const stageName of ['Preparing', 'Shipping', 'Ingesting', 'Protected'])
      expect(texts.join('\n')).toContain(`stage ${stageName},`);
    expect(sent('told').every(({ kind, workflowId }) => kind === 'state' && workflowId.includes('told'))).toBe(true);
  });

  test('tells an attention with what helps', async () => {
    stage.sites.behaviour.stageBackup = async () => {
      throw ApplicationFailure.nonRetryable('the staging location is full', 'SpaceExhausted');
    };
    const handle = await startJob(stage, 'full');
    await soon(() => sent('full').some(({ kind }) => kind === 'attention'));
    expect(sent('full').find(({ kind }) => kind === 'attention')).toMatchObject({
      code: 'SpaceExhausted',
      text: 'the staging location is full. free space there, then resolve with retry',
    });
    await decide(handle, 'abort');
    await expect(handle.result()).rejects.toThrow();
  });
});

async function soonState(handle: Awaited<ReturnType<typeof tell>>, state: string): Promise<void> {
  let seen: unknown;
  for (let tries = 0; tries < 200; tries += 1) {
    seen = (await handle.describe()).searchAttributes.SeedshipState;
    if (JSON.stringify(seen) === JSON.stringify([state])) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  expect(seen).toEqual([state]);
}
