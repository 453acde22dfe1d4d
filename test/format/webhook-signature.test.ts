import { execFileSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { signDelivery } from '../../format/webhook-signature.ts';

const SECRET = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';

/** As a receiver without any library would. */
function byOpenssl(secret: string, text: string): string {
  const hexkey = Buffer.from(secret.replace('whsec_', ''), 'base64').toString('hex');
  const words = ['dgst', '-sha256', '-mac', 'HMAC', '-macopt', `hexkey:${hexkey}`, '-binary'];
  return execFileSync('openssl', words, { input: text }).toString('base64');
}

describe('the signature of a webhook', () => {
  test('is the one of the specification', () => {
    const example = { id: 'msg_27UH4WbU6Z5A5EzD8u03UvzRbpk', timestamp: 1649367553, body: '{"email":"a@b.example"}' };
    const text = `${example.id}.${example.timestamp}.${example.body}`;
    expect(signDelivery(example, SECRET)).toBe(`v1,${byOpenssl(SECRET, text)}`);
  });

  test.each([
    ['id', { id: 'n2', timestamp: 1, body: '{}' }],
    ['time', { id: 'n1', timestamp: 2, body: '{}' }],
    ['body', { id: 'n1', timestamp: 1, body: '{ }' }],
  ])('binds the %s', (_, other) => {
    expect(signDelivery(other, SECRET)).not.toBe(signDelivery({ id: 'n1', timestamp: 1, body: '{}' }, SECRET));
  });

  test.each([
    ['without its prefix', SECRET.replace('whsec_', '')],
    ['of 23 bytes', `whsec_${Buffer.alloc(23, 1).toString('base64')}`],
    ['of 65 bytes', `whsec_${Buffer.alloc(65, 1).toString('base64')}`],
    ['that is empty', ''],
  ])('is refused with a secret %s', (_, secret) => {
    expect(() => signDelivery({ id: 'n1', timestamp: 1, body: '{}' }, secret)).toThrow(RangeError);
  });
});
