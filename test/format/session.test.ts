import { describe, expect, test } from '@jest/globals';
import { Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import {
  checkWrap,
  newAgeIdentity,
  newSession,
  openFrom,
  openSession,
  recipientId,
  sealTo,
  wrapBytes,
} from '../../format/session.ts';
import { everyFault, vector } from './fault.ts';

const golden = vector('session');
const wrap = golden.bytes('wrap');

/** Age's own file with these recipients: what a hostile or mistaken writer could make. */
async function aged(recipients: string[], plain: Uint8Array): Promise<Buffer> {
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  return Buffer.from(await encrypter.encrypt(plain));
}

describe('session', () => {
  test('a wrap made by stock age opens', async () => {
    checkWrap(wrap, 1);
    expect(await openSession(wrap, golden.text('identity'))).toEqual(golden.bytes('key'));
  });

  test('a new key is wrapped for every recipient, and for nobody else', async () => {
    const [owner, datacenter, stranger] = await Promise.all([newAgeIdentity(), newAgeIdentity(), newAgeIdentity()]);
    const session = await newSession([owner.recipient, datacenter.recipient]);
    expect(session.wrap.length).toBe(3248);
    for (const { identity } of [owner, datacenter])
      expect(await openSession(session.wrap, identity)).toEqual(session.key);
    await expect(openSession(session.wrap, stranger.identity)).rejects.toThrow('age does not open it');
    const again = await newSession([owner.recipient]);
    expect(again.key).not.toEqual(session.key);
  });

  test('a wrap is 1691 bytes for one recipient, as stock age writes it', () => {
    expect([wrapBytes(1), wrapBytes(2), wrap.length]).toEqual([1691, 3248, 1691]);
  });

  test('every truncation, and every byte of the header that stops being what age writes, is refused without a key', () => {
    const through: string[] = [];
    for (const [fault, altered] of everyFault(wrap)) {
      try {
        checkWrap(altered, 1);
        through.push(fault);
      } catch (error) {
        expect(error).toMatchObject({ name: 'CorruptError' });
      }
    }
    // What passes is another base64 letter or a byte of the payload: age's own MAC and tag judge those.
    expect(through.every((fault) => fault.startsWith('byte '))).toBe(true);
    const bytes = new Set(through.map((fault) => Number(fault.split(' ')[1])));
    for (const fixed of [0, 10, 21, 22, 39, 1534, 1578, 1579, 1582, 1626]) expect([...bytes]).not.toContain(fixed);
  });

  test('what the shape cannot show, age refuses: any byte of stanza, MAC, nonce and payload', async () => {
    for (const at of [100, 1540, 1590, 1630, 1650, 1690]) {
      const altered = Buffer.from(wrap);
      altered.writeUInt8(altered.readUInt8(at) ^ 0x01, at);
      await expect(openSession(altered, golden.text('identity'))).rejects.toThrow('wrap: age does not open it');
    }
  });

  test.each([
    [
      'another recipient beside',
      async () => aged([golden.text('recipient'), golden.text('recipient')], new Uint8Array(32)),
    ],
    ['31 bytes inside', async () => aged([golden.text('recipient')], new Uint8Array(31))],
    ['33 bytes inside', async () => aged([golden.text('recipient')], new Uint8Array(33))],
    [
      'an X25519 stanza',
      async () => aged([await identityToRecipient(await generateX25519Identity())], new Uint8Array(32)),
    ],
    ['armor', async () => Buffer.from('-----BEGIN AGE ENCRYPTED FILE-----\n')],
    ['a second spelling of base64', async () => respelled()],
  ])('a wrap with %s is refused', async (_, make) => {
    const other = await make();
    expect(() => checkWrap(other, 1)).toThrow(/^wrap: /);
  });

  test('a key of another length is refused even from a wrap that opens', async () => {
    const short = await aged([golden.text('recipient')], new Uint8Array(31));
    await expect(openSession(short, golden.text('identity'))).rejects.toThrow('wrap: holds 31 bytes, not 32');
  });

  test('only hybrid recipients are wrapped for', async () => {
    await expect(newSession([])).rejects.toThrow(RangeError);
    await expect(newSession([await identityToRecipient(await generateX25519Identity())])).rejects.toThrow(RangeError);
  });

  test('a recipient id is 16 bytes of the digest of its text', () => {
    expect(recipientId('age1pq1abc').toString('hex')).toBe('d282f1e8180a6d3438d992c16bffd46a'); // sha256sum
  });

  test('a note is sealed to several, and any one opens it', async () => {
    const [owner, datacenter] = await Promise.all([newAgeIdentity(), newAgeIdentity()]);
    const note = Buffer.from('Jane Doe, 1 Example Street');
    const sealed = await sealTo([owner.recipient, datacenter.recipient], note);
    expect(await openFrom(sealed, owner.identity)).toEqual(note);
    expect(await openFrom(sealed, datacenter.identity)).toEqual(note);
    expect(sealed.includes('Jane')).toBe(false);
  });
});

/** The last letter of a stanza's body, with a bit set that decodes to nothing. */
function respelled(): Buffer {
  const altered = Buffer.from(wrap);
  const at = 22 + 1513 + 42;
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const letter = alphabet.indexOf(String.fromCharCode(altered.readUInt8(at)));
  altered.write(alphabet.charAt(letter + 1), at, 'latin1');
  return altered;
}
