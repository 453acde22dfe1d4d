/**
 * A notice by signed webhook (Standard Webhooks, format/webhook-signature.ts): one POST, taken when the
 * answer is 2xx. Redirects are not followed: where the signature goes is what the settings say.
 */
import { Failure } from '../domain/failure.ts';
import type { WebhookChannel } from '../domain/news.ts';
import { SECOND } from '../domain/units.ts';
import { signDelivery } from '../format/webhook-signature.ts';
import type { Delivery } from './deliver-mail.ts';

const GIVEN_UP_MS = 15 * SECOND;

/** @throws Failure `Unreachable` with the status, or with why no answer came */
export async function deliverWebhook(channel: WebhookChannel, delivery: Delivery, secret: string): Promise<void> {
  const { id, notice, page } = delivery;
  const { kind, at, ...data } = notice;
  const body = JSON.stringify({ type: `seedship.${kind}`, timestamp: at, data: { ...data, ...(page && { page }) } });
  const timestamp = Math.floor(Date.now() / SECOND);
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'seedship',
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signDelivery({ id, timestamp, body }, secret),
  };
  const signal = AbortSignal.timeout(GIVEN_UP_MS);
  const answer = await fetch(channel.webhook, { method: 'POST', headers, body, signal, redirect: 'manual' }).catch(
    (error: unknown) => refused(channel, `no answer: ${reasonOf(error)}`),
  );
  await answer.body?.cancel();
  if (!answer.ok) refused(channel, `it answered ${answer.status}`);
}

function refused({ name }: WebhookChannel, why: string): never {
  throw new Failure('Unreachable', `channel ${name}: the receiver did not take it`, { why });
}

/** An errno or the name of the error; its text names the address. */
function reasonOf(error: unknown): string {
  const { name, cause }: { name?: unknown; cause?: { code?: unknown } } = Object(error);
  return String(cause?.code ?? name ?? 'unknown');
}
