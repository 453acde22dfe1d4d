/**
 * Control worker: tells people. Every notice is a line of the worker's log, which a system log or a mail
 * relay can be pointed at; besides that it goes to each channel of the worker's settings that wants its
 * kind. What must be seen stands in search attributes as well: a notice is a courtesy.
 *
 * An attempt that fails is tried again whatever its reason, a wrong password too: a person corrects the
 * settings of this host, and what waited goes out.
 */
import { log } from '@temporalio/activity';
import { Failure } from '../domain/failure.ts';
import { type NoticeChannel, wants } from '../domain/news.ts';
import type { ControlSteps, NoticeOrder, NoticeRequest } from '../domain/request.ts';
import { type Delivery, deliverMail } from './deliver-mail.ts';
import { deliverWebhook } from './deliver-webhook.ts';

/** What this host was told about notices (host/settings.ts). */
export interface NoticeValues {
  readonly channels: readonly NoticeChannel[];
  /** The webhook's key, or the password of the mail account. */
  readonly secretOf: (channel: string) => Promise<string>;
  readonly pageOf: (workflowId: string) => string | undefined;
}

/** The activities. */
export function noticing(values: NoticeValues): Pick<ControlSteps, 'announce' | 'sendNotice'> {
  return {
    async announce({ notice, only }: NoticeOrder): Promise<readonly string[]> {
      const { vault, subject, kind, code, text } = notice;
      log.info('notice', { notice: kind, vault, subject, code, text });
      const names = values.channels.filter((channel) => wants(channel, kind)).map(({ name }) => name);
      return only === undefined ? names : names.filter((name) => name === only);
    },

    async sendNotice({ channel: name, id, ...notice }: NoticeRequest): Promise<void> {
      const channel = values.channels.find((one) => one.name === name);
      if (!channel) return; // taken out of the settings since: nobody wants it any more
      const delivery = { id, notice, page: values.pageOf(notice.workflowId) };
      await deliver(channel, delivery, values).catch((error: unknown) => {
        if (error instanceof Failure && error.code === 'Unreachable') throw error;
        const why = error instanceof Failure ? `${error.message}: ${error.why}` : 'its settings cannot be used';
        throw new Failure('Unreachable', `channel ${name}: it cannot be sent`, { why });
      });
    },
  };
}

async function deliver(channel: NoticeChannel, delivery: Delivery, { secretOf }: NoticeValues): Promise<void> {
  if ('webhook' in channel) await deliverWebhook(channel, delivery, await secretOf(channel.name));
  else if (channel.user === undefined) await deliverMail(channel, delivery);
  else await deliverMail(channel, delivery, await secretOf(channel.name));
}
