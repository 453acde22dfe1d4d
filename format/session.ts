/**
 * A session key, and its wrap: one age file (age-encryption.org/v1, binary, no armor) that holds
 * the 32 bytes of the key, with one mlkem768x25519 stanza for each recipient meant and no other.
 *
 *   age-encryption.org/v1 LF                                 22
 *   -> mlkem768x25519 SP base64 of 1120 bytes LF             1513 ┐ each
 *   base64 of 32 bytes LF                                    44   ┘ recipient
 *   --- SP base64 of 32 bytes LF                             48
 *   nonce (16) ‖ ChaCha20-Poly1305 of the key (32 + 16)      64
 *
 * So a wrap for one recipient is 1691 bytes, for two 3248. Base64 is RFC 4648's, unpadded and
 * canonical. The shape is checked without any key; only then, and after the name, signature or tag
 * of what holds the wrap, is age asked, which costs 90 ms. Stock `age` 1.3 opens a wrap.
 *
 *   recipient id   the first 16 bytes of SHA-256 of the recipient's text `age1pq1…`
 *
 * Drive keys are wrapped alike, for the datacenter and the restore recipient.
 */
import { randomBytes } from 'node:crypto';
import { CorruptError } from './cursor.ts';
import { sha256 } from './digest.ts';
import { recipientOf } from './key-tree.ts';
import { KEY_BYTES } from './seal.ts';

export const RECIPIENT_ID_BYTES = 16;
const VERSION = 'age-encryption.org/v1\n';
const STANZA = '-> mlkem768x25519 ';
const ENCAPSULATED_BYTES = 1120;
const PAYLOAD_BYTES = 64;
const HYBRID_RECIPIENT = /^age1pq1[02-9ac-hj-np-z]+$/;
const RECIPIENTS_MAX = 16;

export interface Session {
  readonly key: Uint8Array; // 32 bytes
  readonly wrap: Buffer;
}

export interface AgeIdentity {
  /** `AGE-SECRET-KEY-PQ-1…` */
  readonly identity: string;
  /** `age1pq1…` */
  readonly recipient: string;
}

/** A fresh age identity: a datacenter's. */
export async function newAgeIdentity(): Promise<AgeIdentity> {
  const { generateHybridIdentity } = await import('age-encryption');
  const identity = await generateHybridIdentity();
  return { identity, recipient: await recipientOf(identity) };
}

/** Names a recipient in headers: 16 bytes. */
export function recipientId(recipient: string): Buffer {
  return sha256(Buffer.from(recipient)).subarray(0, RECIPIENT_ID_BYTES);
}

/**
 * A fresh key, wrapped for `recipients`.
 * @throws RangeError for a recipient that is not age's hybrid one
 */
export async function newSession(recipients: readonly string[]): Promise<Session> {
  const key = randomBytes(KEY_BYTES);
  const wrap = await sealTo(recipients, key);
  checkWrap(wrap, recipients.length);
  return { key, wrap };
}

/**
 * Opens a wrap with one of its recipients' identities; 90 ms.
 * @throws CorruptError when it is no wrap, is for others, or is not as it was written
 */
export async function openSession(wrap: Uint8Array, identity: string): Promise<Buffer> {
  const key = await openFrom(wrap, identity, 'wrap');
  if (key.length !== KEY_BYTES) throw new CorruptError(`wrap: holds ${key.length} bytes, not ${KEY_BYTES}`);
  return key;
}

/** Bytes of a wrap for so many recipients. */
export function wrapBytes(recipients: number): number {
  return VERSION.length + recipients * (STANZA.length + 1494 + 1 + 43 + 1) + '--- '.length + 43 + 1 + PAYLOAD_BYTES;
}

/**
 * Checks the shape of a wrap without any key: binary, `recipients` hybrid stanzas and no other, 32
 * bytes inside.
 * @throws CorruptError
 */
export function checkWrap(wrap: Uint8Array, recipients: number): void {
  if (recipients < 1 || recipients > RECIPIENTS_MAX || wrap.length !== wrapBytes(recipients))
    throw new CorruptError(`wrap: ${wrap.length} bytes, not those of ${recipients} recipients`);
  const header = Buffer.from(wrap.subarray(0, wrap.length - PAYLOAD_BYTES)).toString('latin1');
  const lines = header.split('\n');
  const expected = lines.length === 2 * recipients + 3 && `${lines[0]}\n` === VERSION && lines.at(-1) === '';
  const stanzas = lines.slice(1, -2);
  const shaped =
    expected &&
    stanzas.every((line, at) =>
      at % 2 === 0
        ? line.startsWith(STANZA) && isBase64(line.slice(STANZA.length), ENCAPSULATED_BYTES)
        : isBase64(line, 32),
    );
  const last = lines.at(-2) ?? '';
  if (!shaped || !last.startsWith('--- ') || !isBase64(last.slice(4), 32))
    throw new CorruptError('wrap: not the age header of hybrid recipients');
}

/**
 * Seals `plain` with age to hybrid recipients: contacts and addresses, too, which servers keep.
 * @throws RangeError for a recipient that is not age's hybrid one
 */
export async function sealTo(recipients: readonly string[], plain: Uint8Array): Promise<Buffer> {
  if (recipients.length === 0 || recipients.length > RECIPIENTS_MAX)
    throw new RangeError(`wrap: ${recipients.length} recipients`);
  const { Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    if (!HYBRID_RECIPIENT.test(recipient)) throw new RangeError('wrap: not a hybrid age recipient');
    encrypter.addRecipient(recipient);
  }
  return Buffer.from(await encrypter.encrypt(plain));
}

/**
 * Opens what `sealTo` sealed, with one of the recipients' identities.
 * @throws CorruptError when it is for others or not as it was written
 */
export async function openFrom(sealed: Uint8Array, identity: string, unit = 'sealed note'): Promise<Buffer> {
  const { Decrypter } = await import('age-encryption');
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  try {
    return Buffer.from(await decrypter.decrypt(sealed));
  } catch (cause) {
    throw new CorruptError(`${unit}: age does not open it with this identity`, { cause });
  }
}

/** Canonical and unpadded: another spelling of the same bytes would be another wrap. */
function isBase64(text: string, length: number): boolean {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === length && bytes.toString('base64').replaceAll('=', '') === text;
}
