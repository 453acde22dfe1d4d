/**
 * One notice, to each channel that wants it. It is a workflow of its own, and nobody's child: a mail
 * server that is down holds up no job, and what it missed is still told when the job has long ended.
 *
 *   1 the control worker writes it to its log and says which channels want it
 *   2 to each by itself: sent again for three days, the id the same
 *   3 late after a quarter of an hour: shown as `Attention` in the lists, until it is delivered
 */
import {
  CancellationScope,
  condition,
  proxyActivities,
  setCurrentDetails,
  upsertSearchAttributes,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import { NOTICE_KEPT_DAYS, NOTICE_LATE_MINUTES, type Notice } from '../domain/news.ts';
import type { ControlSteps, NoticeOrder } from '../domain/request.ts';
import { runName } from '../domain/seeding-job.ts';
import { bookKeeping, queueOf } from '../domain/site.ts';
import { DAY, MINUTE, SECOND } from '../domain/units.ts';
import { SEARCH } from './definitions.ts';

const RETRY = { initialInterval: 2 * SECOND, backoffCoefficient: 2, maximumInterval: 10 * MINUTE };

export interface NoticeOutcome {
  readonly delivered: readonly string[];
  /** Channels that did not take it in all that time. */
  readonly undelivered: readonly string[];
}

export async function notice({ notice, only }: NoticeOrder): Promise<NoticeOutcome> {
  const { announce } = proxyActivities<ControlSteps>(bookKeeping(queueOf.control));
  const channels = await announce({ notice, ...(only === undefined ? {} : { only }) });
  const waiting = new Set(channels);
  const undelivered: string[] = [];
  let late = false;
  const watch = async () => {
    late = !(await condition(() => waiting.size === 0, NOTICE_LATE_MINUTES * MINUTE));
    if (late) show('Attention', waiting);
  };
  const watched = watch();
  await Promise.all(
    channels.map(async (channel) => {
      const { sendNotice } = proxyActivities<ControlSteps>({
        ...bookKeeping(queueOf.control),
        scheduleToCloseTimeout: NOTICE_KEPT_DAYS * DAY,
        retry: RETRY,
        summary: channel,
      });
      const sent = sendNotice({ ...notice, channel, id: workflowInfo().workflowId });
      await sent.catch(() => undelivered.push(channel));
      waiting.delete(channel);
    }),
  );
  await watched;
  if (late) show(undelivered.length > 0 ? 'Attention' : 'Done', undelivered);
  return { delivered: channels.filter((channel) => !undelivered.includes(channel)), undelivered };
}

/** In the lists, where whoever looks for work that needs a person finds it. */
function show(state: 'Attention' | 'Done', channels: Iterable<string>): void {
  upsertSearchAttributes([{ key: SEARCH.state, value: state }]);
  const names = [...channels].join(', ');
  setCurrentDetails(names === '' ? 'Delivered.' : `Not delivered to ${names}. Next: seedship notify test`);
}

/** Rings for one vault and subject; whoever holds it waits for `quiet` before it ends. */
export class Bell {
  readonly #about: Pick<Notice, 'vault' | 'subject'>;
  readonly #starting = new Set<Promise<unknown>>();

  constructor(about: Pick<Notice, 'vault' | 'subject'>) {
    this.#about = about;
  }

  /** Lets a notice go; nothing waits for it, and nothing fails by it. */
  ring(news: Pick<Notice, 'kind' | 'code' | 'text'>): void {
    const at = new Date().toISOString();
    const { vault, subject } = this.#about;
    const told: Notice = { vault, subject, ...news, at, workflowId: workflowInfo().workflowId };
    const { startNotice } = proxyActivities<ControlSteps>(bookKeeping(queueOf.control));
    const id = `notice/${vault}/${runName(subject, at, uuid4())}`;
    const starting = CancellationScope.nonCancellable(() => startNotice({ id, notice: told }));
    const drop = (): void => void this.#starting.delete(settled);
    // one that cannot start: what it says stands in the lists all the same
    const settled: Promise<void> = starting.then(drop, drop);
    this.#starting.add(settled);
  }

  /** Until all that was let go has a life of its own. */
  async quiet(): Promise<void> {
    await Promise.all(this.#starting);
  }
}
