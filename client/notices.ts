/** `notify …`: whom the control worker tells, tried out, and what it could not tell. */
import { EXIT, Failure } from '../domain/failure.ts';
import { NOTICE_KEPT_DAYS } from '../domain/news.ts';
import type { NoticeOrder } from '../domain/request.ts';
import { queueOf } from '../domain/site.ts';
import { SECOND } from '../domain/units.ts';
import { connectClient, type TemporalClient } from '../host/connections.ts';
import { follow } from './follow.ts';
import type { Invocation } from './invocation.ts';
import { columns, localTime } from './print.ts';
import { enterVault } from './vault-door.ts';

const LISTED_MAX = 50;
/** One that is not taken within this is said to be waiting; it is sent again all the same. */
const TRIED_MS = 20 * SECOND;

interface Outcome {
  readonly delivered: readonly string[];
  readonly undelivered: readonly string[];
}

/** `notify test [CHANNEL]` */
export async function testNotify(call: Invocation): Promise<number> {
  const { credentials } = enterVault(call);
  const only = call.word(0);
  const at = new Date().toISOString();
  const { name: vault } = credentials.vault;
  const workflowId = `notice/${vault}/test.${at.replaceAll(/[-:.]/g, '')}`;
  const text = `a test, sent by ${credentials.id}`;
  const order: NoticeOrder = {
    notice: { vault, subject: 'test', kind: 'test', text, at, workflowId },
    ...(only && { only }),
  };
  const temporal = await connectClient(call.settings);
  try {
    const options = { workflowId, taskQueue: queueOf.control, args: [order] as [NoticeOrder], staticSummary: text };
    await temporal.call(() => temporal.client.workflow.start('notice', options));
    if (call.isOff('wait')) return EXIT.ok;
    let outcome: Outcome | undefined;
    const until = Date.now() + TRIED_MS;
    await follow(call, temporal, {
      workflowId,
      async look() {
        const handle = temporal.client.workflow.getHandle(workflowId);
        const { status, raw } = await temporal.call(() => handle.describe());
        if (status.name !== 'RUNNING') outcome = await temporal.call(() => handle.result());
        const failing = (raw.pendingActivities ?? []).filter(({ attempt }) => Number(attempt ?? 0) > 1);
        return { done: outcome !== undefined || failing.length > 0 || Date.now() > until };
      },
    });
    return say(call, outcome, await pendingOf(temporal, workflowId), only);
  } finally {
    await temporal.close();
  }
}

function say(call: Invocation, outcome: Outcome | undefined, waiting: readonly Waiting[], only: string): number {
  const { delivered = [] } = outcome ?? {};
  if (outcome && delivered.length + outcome.undelivered.length === 0)
    throw new Failure('NotFound', only ? `the control worker has no channel ${only}` : 'no channel is set', {
      why: 'it tells whom [notify.NAME] of its settings names',
      next: 'seedship help config',
    });
  call.print.result('notice', { delivered, waiting }, () => [
    ...delivered.map((channel) => `${channel}: delivered`),
    ...waiting.map(({ channel, why, attempts }) => `${channel}: not delivered after ${attempts} attempts: ${why}`),
    ...(waiting.length > 0 ? [`Tried again for ${NOTICE_KEPT_DAYS} days. Next: seedship notify list`] : []),
  ]);
  return waiting.length > 0 ? EXIT.temporary : EXIT.ok;
}

interface Waiting {
  readonly channel: string;
  readonly attempts: number;
  readonly why: string;
}

async function pendingOf(temporal: TemporalClient, workflowId: string): Promise<Waiting[]> {
  const { raw } = await temporal.call(() => temporal.client.workflow.getHandle(workflowId).describe());
  return (raw.pendingActivities ?? [])
    .filter(({ activityType }) => activityType?.name === 'sendNotice')
    .map(({ attempt, lastFailure }) => {
      const message = lastFailure?.message ?? 'no answer yet';
      const channel = /^channel (\S+):/.exec(message)?.[1] ?? 'a channel';
      return { channel, attempts: Number(attempt ?? 0), why: message.replace(/^channel \S+: /, '') };
    });
}

/** `notify list` */
export async function listNotices(call: Invocation): Promise<undefined> {
  const temporal = await connectClient(call.settings);
  try {
    const query = 'WorkflowType = "notice" AND (ExecutionStatus = "Running" OR SeedshipState = "Attention")';
    const found: { id: string; since: string; state: string; waiting: readonly Waiting[] }[] = [];
    for await (const { workflowId, startTime, status } of temporal.client.workflow.list({ query })) {
      const running = status.name === 'RUNNING';
      const waiting = running ? await pendingOf(temporal, workflowId) : [];
      const state = running ? 'waiting' : 'given up';
      found.push({ id: workflowId, since: startTime.toISOString(), state, waiting });
      if (found.length >= LISTED_MAX) break;
    }
    call.print.result('notice-list', found, () =>
      found.length === 0
        ? ['All notices are delivered.']
        : columns(
            ['SINCE', 'NOTICE', 'STATE', 'WHY'],
            found.map(({ id, since, state, waiting }) => [
              localTime(since),
              id,
              state,
              waiting.map(({ channel, why, attempts }) => `${channel} (${attempts} attempts): ${why}`).join('; ') ||
                '-',
            ]),
          ),
    );
    return undefined;
  } finally {
    await temporal.close();
  }
}
