/**
 * A key slot: the master key, wrapped under what a person knows. A vault has several; each alone
 * is enough.
 *
 *   prelude      6     'SSKS'
 *   kind         u8    1 passphrase, 2 words
 *   log2 N       u8    scrypt (RFC 7914): 15 to 20, 17 now; 0 for words
 *   r, p         u8 ×2 8 and 1; 0 for words
 *   salt         32    random
 *   check        32    the second 32 bytes of the slot keys, in clear
 *   sealed       48    the master key, sealed (see seal.ts) under the first 32; bound: all before
 *   checksum     32    SHA-256 of all before
 *
 *   slot secret  passphrase: scrypt(UTF-8 of its NFKC form, salt, N, r, p), 32 bytes
 *                words: the 256 bits of entropy behind 24 BIP 39 words (English list)
 *   slot keys    HKDF-SHA-256(slot secret, salt, 'seedship/v0/key-slot'), 64 bytes
 *
 * The checksum tells damage from a wrong passphrase. The check commits to the key: GCM alone would
 * let one slot open under many passphrases. Parameters are bounded before scrypt is run, or a slot
 * could ask for any memory.
 */
import { hkdfSync, randomBytes, type ScryptOptions, scrypt, scryptSync, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { Failure } from '../domain/failure.ts';
import { CorruptError, PRELUDE_BYTES, Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, sha256 } from './digest.ts';
import { newSalt } from './key-tree.ts';
import { KEY_BYTES, openBytes, SALT_BYTES, sealBytes, TAG_BYTES } from './seal.ts';

export type SlotSecret =
  | { readonly kind: 'passphrase'; readonly passphrase: string }
  | { readonly kind: 'words'; readonly words: string };

export const PASSPHRASE_LENGTH_MIN = 16;
const WORDS = 24;
const KINDS = ['passphrase', 'words'] as const;
/** 128 MiB and about half a second: what an owner bears at every unlock. */
const COST = { log2N: 17, r: 8, p: 1 } as const;
const NO_COST = { log2N: 0, r: 0, p: 0 } as const;
const LOG2_N_MIN = 15;
const LOG2_N_MAX = 20;
const SLOT_BYTES = PRELUDE_BYTES + 4 + SALT_BYTES + KEY_BYTES + KEY_BYTES + TAG_BYTES + DIGEST_BYTES;

interface Cost {
  readonly log2N: number;
  readonly r: number;
  readonly p: number;
}

/**
 * Wraps the master key.
 * @throws Failure `Usage` for a passphrase of fewer than 16 characters; `WrongKey` for words that are none
 */
export function sealSlot(secret: SlotSecret, master: Uint8Array): Buffer {
  if (secret.kind === 'passphrase' && [...secret.passphrase].length < PASSPHRASE_LENGTH_MIN)
    throw new Failure('Usage', `the passphrase is too short: ${PASSPHRASE_LENGTH_MIN} characters or more`, {
      why: 'whoever copies the vault can try passphrases for ever',
      next: 'choose a longer passphrase, for instance six random words',
    });
  const salt = newSalt();
  const cost = secret.kind === 'passphrase' ? COST : NO_COST;
  const known =
    secret.kind === 'words' ? checkWords(secret.words) : scryptSync(...stretching(secret.passphrase, salt, cost));
  const { key, check } = slotKeys(known, salt);
  const head = new Writer()
    .prelude('SSKS')
    .u8(KINDS.indexOf(secret.kind) + 1)
    .u8(cost.log2N)
    .u8(cost.r)
    .u8(cost.p)
    .bytes(salt)
    .bytes(check)
    .finish();
  const slot = Buffer.concat([head, sealBytes(key, master, head)]);
  return Buffer.concat([slot, sha256(slot)]);
}

/** What a slot asks for. @throws CorruptError when it is damaged or no slot */
export function slotKind(bytes: Uint8Array): SlotSecret['kind'] {
  return readSlot(bytes).kind;
}

/**
 * Unwraps the master key; half a second for a passphrase, in another thread.
 * @throws CorruptError when the slot is damaged; Failure `WrongKey` when the secret is not the one, or
 *   the slot asks for another kind
 */
export async function openSlot(bytes: Uint8Array, secret: SlotSecret): Promise<Buffer> {
  const { kind, cost, salt, check, head, sealed } = readSlot(bytes);
  if (kind !== secret.kind) throw wrongKey(secret.kind, `this slot is opened by ${kind}`);
  const keys = slotKeys(
    secret.kind === 'words' ? checkWords(secret.words) : await stretch(...stretching(secret.passphrase, salt, cost)),
    salt,
  );
  if (!timingSafeEqual(keys.check, check)) throw wrongKey(secret.kind, 'it opens no key');
  return openBytes(keys.key, sealed, head, 'key slot');
}

/** 24 fresh recovery words, separated by single spaces. */
export function newWords(): string {
  return entropyToMnemonic(randomBytes(KEY_BYTES), wordlist);
}

/**
 * The 32 bytes behind 24 recovery words; case and spacing do not matter.
 * @throws Failure `WrongKey` naming the place of a word that is none, never the word
 */
export function checkWords(words: string): Buffer {
  const typed = words.normalize('NFKD').toLowerCase().split(/\s+/).filter(Boolean);
  if (typed.length !== WORDS) throw wrongKey('words', `there are ${typed.length} words, not ${WORDS}`);
  const unknown = typed.findIndex((word) => !wordlist.includes(word));
  if (unknown >= 0) throw wrongKey('words', `word ${unknown + 1} is not one of the 2048 recovery words`);
  try {
    return Buffer.from(mnemonicToEntropy(typed.join(' '), wordlist));
  } catch {
    throw wrongKey('words', 'their checksum does not hold: a word is wrong or stands in another place');
  }
}

function readSlot(bytes: Uint8Array) {
  if (bytes.length !== SLOT_BYTES) throw new CorruptError(`key slot: ${bytes.length} bytes, not ${SLOT_BYTES}`);
  const end = SLOT_BYTES - DIGEST_BYTES;
  if (!sha256(bytes.subarray(0, end)).equals(bytes.subarray(end)))
    throw new CorruptError('key slot: the checksum does not hold');
  const reader = new Reader(bytes, 'key slot');
  reader.prelude('SSKS');
  const kind = KINDS[reader.u8() - 1];
  const cost: Cost = { log2N: reader.u8(), r: reader.u8(), p: reader.u8() };
  if (kind === undefined) throw reader.corrupt('unknown kind');
  if (!isBearable(kind, cost)) throw reader.corrupt('scrypt parameters out of bounds');
  const salt = reader.bytes(SALT_BYTES);
  const check = reader.bytes(KEY_BYTES);
  const head = bytes.subarray(0, reader.position);
  return { kind, cost, salt, check, head, sealed: reader.bytes(KEY_BYTES + TAG_BYTES) };
}

function isBearable(kind: SlotSecret['kind'], { log2N, r, p }: Cost): boolean {
  if (kind === 'words') return log2N === 0 && r === 0 && p === 0;
  return log2N >= LOG2_N_MIN && log2N <= LOG2_N_MAX && r === COST.r && p === COST.p;
}

function slotKeys(known: Uint8Array, salt: Uint8Array): { key: Buffer; check: Buffer } {
  const both = Buffer.from(hkdfSync('sha256', known, salt, 'seedship/v0/key-slot', 2 * KEY_BYTES));
  return { key: both.subarray(0, KEY_BYTES), check: both.subarray(KEY_BYTES) };
}

const stretch = promisify<string, Uint8Array, number, ScryptOptions, Buffer>(scrypt);

function stretching(passphrase: string, salt: Uint8Array, cost: Cost): Parameters<typeof stretch> {
  const { log2N, r, p } = cost;
  const N = 2 ** log2N;
  return [passphrase.normalize('NFKC'), salt, KEY_BYTES, { N, r, p, maxmem: 2 * 128 * N * r }];
}

function wrongKey(kind: SlotSecret['kind'], why: string): Failure {
  return new Failure('WrongKey', kind === 'words' ? 'these are not the recovery words' : 'this is not the passphrase', {
    why,
    next: kind === 'words' ? 'check the words against the sheet, or use the passphrase' : 'try again, or use the words',
  });
}
