/**
 * What a webhook is signed with, as Standard Webhooks has it, so that receivers need no code of ours:
 *
 *   secret    'whsec_' ‖ base64 of 24 to 64 random bytes
 *   signed    id ‖ '.' ‖ seconds since 1970 ‖ '.' ‖ body, as sent
 *   header    'v1,' ‖ base64 of HMAC-SHA-256
 *
 * The id is the same over all attempts to deliver a notice: who has seen it drops the repetition.
 */
import { createHmac } from 'node:crypto';

const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;

export interface SignedDelivery {
  readonly id: string;
  /** Seconds since 1970, when this attempt was sent. */
  readonly timestamp: number;
  readonly body: string;
}

/** The value of the header `webhook-signature`. @throws RangeError when the secret is none */
export function signDelivery({ id, timestamp, body }: SignedDelivery, secret: string): string {
  const key = readSecretKey(secret);
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
}

function readSecretKey(secret: string): Buffer {
  const [, text] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret) ?? [];
  const key = Buffer.from(text ?? '', 'base64');
  if (key.length >= SECRET_BYTES_MIN && key.length <= SECRET_BYTES_MAX) return key;
  throw new RangeError('webhook secret: not whsec_ and base64 of 24 to 64 bytes');
}
