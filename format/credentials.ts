/**
 * Vault credentials: one file that makes a computer a machine, a site or an operator of a vault.
 *
 *   sealed file    prelude 'SSCF' (6) ‖ salt (32) ‖ sealed plain form; bound: prelude and salt;
 *                  key: HKDF-SHA-256(the code's 20 characters, salt, 'seedship/v0/credentials')
 *   plain form     prelude 'SSCR' (6) ‖ role (u8: 1 machine, 2 site, 3 operator) ‖ id (text8)
 *                  ‖ vault name (text8) ‖ vault id (16) ‖ url (text16) ‖ endpoint (text16, may be empty)
 *                  ‖ owner's public key (32) ‖ restore recipient (text16) ‖ signing seed (32)
 *                  ‖ certificate (bytes16) ‖ site (text8, may be empty) ‖ valid until (text8, ISO 8601)
 *                  ‖ put key: domain (text8; empty: none follows) ‖ chunker key (32) ‖ index key (32)
 *                  ‖ SHA-256 of all before (32)
 *
 * A one-time code is 100 random bits as 20 characters of Crockford's base 32 (no I, L, O, U),
 * shown in fives: guessing is hopeless, so it needs no slow hash. The plain form is what a
 * registered computer keeps, readable by itself alone; its checksum finds damage, since a damaged
 * index key would seal tables that nobody can open.
 */
import { hkdfSync, randomBytes } from 'node:crypto';
import { Failure } from '../domain/failure.ts';
import { CorruptError, Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, sha256 } from './digest.ts';
import { type DomainKeys, newSalt } from './key-tree.ts';
import { KEY_BYTES, openBytes, SALT_BYTES, sealBytes } from './seal.ts';
import { type Signer, signerFrom, type Trust } from './signature.ts';

const ROLES = ['machine', 'site', 'operator'] as const;
const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const CODE_LENGTH = 20;
const VAULT_ID_BYTES = 16;

export interface Credentials {
  readonly role: (typeof ROLES)[number];
  readonly id: string;
  readonly vault: VaultAddress;
  readonly ownerPublic: Uint8Array; // 32 bytes
  /** `age1pq1…`: the only key this computer seals to, whatever the vault says. */
  readonly restoreRecipient: string;
  readonly seed: Uint8Array; // 32 bytes
  readonly certificate: Uint8Array;
  /** A machine's. */
  readonly putKey?: DomainKeys;
  /** `copy.<host>`, `dock.<region>.<host>`…: a site's task queue. */
  readonly site?: string;
  /** ISO 8601; the sealed file is refused afterwards, a registered computer is not. */
  readonly validUntil: string;
}

export interface VaultAddress {
  readonly name: string;
  readonly id: string; // 32 lower-case hex digits
  readonly url: string;
  readonly endpoint?: string;
}

/** A fresh one-time code: `4K7QX-…`, four fives. */
export function newOneTimeCode(): string {
  const letters = [...randomBytes(CODE_LENGTH)].map((byte) => CROCKFORD.charAt(byte & 31)).join('');
  return (letters.match(/.{5}/g) ?? []).join('-');
}

/** Seals credentials under a one-time code. */
export function sealCredentials(credentials: Credentials, code: string): Buffer {
  const head = new Writer().prelude('SSCF').bytes(newSalt()).finish();
  return Buffer.concat([head, sealBytes(fileKey(code, head), encodeCredentials(credentials), head)]);
}

/**
 * Opens sealed credentials.
 * @param now by the clock of the computer that registers
 * @throws Failure `WrongKey` for a wrong code or an altered file, which cannot be told apart; `Usage`
 *   when they have lapsed; CorruptError when the bytes are no sealed credentials
 */
export function openCredentials(bytes: Uint8Array, code: string, now: Date): Credentials {
  const reader = new Reader(bytes, 'credentials');
  reader.prelude('SSCF');
  reader.bytes(SALT_BYTES);
  const head = bytes.subarray(0, reader.position);
  const credentials = decodeCredentials(opened(reader.rest(), code, head));
  if (now.getTime() > Date.parse(credentials.validUntil))
    throw new Failure('Usage', 'these credentials have lapsed', {
      why: `they were valid until ${credentials.validUntil}`,
      next: `seedship vault credentials --${credentials.role} ${credentials.id} --out FILE`,
    });
  return credentials;
}

/** The plain form. It holds secrets: files of mode 0600 and a child's stdin, nowhere else. */
export function encodeCredentials(credentials: Credentials): Buffer {
  const { vault, putKey } = credentials;
  const writer = new Writer(8192)
    .prelude('SSCR')
    .u8(ROLES.indexOf(credentials.role) + 1)
    .text8(credentials.id)
    .text8(vault.name)
    .bytes(Buffer.from(vault.id, 'hex'))
    .text16(vault.url)
    .text16(vault.endpoint ?? '')
    .bytes(credentials.ownerPublic)
    .text16(credentials.restoreRecipient)
    .bytes(credentials.seed)
    .bytes16(credentials.certificate)
    .text8(credentials.site ?? '')
    .text8(credentials.validUntil)
    .text8(putKey?.domain ?? '');
  if (putKey) writer.bytes(putKey.chunkerKey).bytes(putKey.indexKey);
  const body = Buffer.from(writer.finish());
  return Buffer.concat([body, sha256(body)]);
}

/**
 * Reads the plain form.
 * @throws CorruptError when it is damaged, or its parts do not belong together
 */
export function decodeCredentials(bytes: Uint8Array): Credentials {
  const end = Math.max(0, bytes.length - DIGEST_BYTES);
  if (!sha256(bytes.subarray(0, end)).equals(bytes.subarray(end)))
    throw new CorruptError('credentials: the checksum does not hold');
  const reader = new Reader(bytes.subarray(0, end), 'credentials');
  reader.prelude('SSCR');
  const role = ROLES[reader.u8() - 1];
  if (role === undefined) throw reader.corrupt('unknown role');
  const id = reader.text8();
  const name = reader.text8();
  const vaultId = reader.bytes(VAULT_ID_BYTES).toString('hex');
  const url = reader.text16();
  const endpoint = reader.text16();
  const vault = { name, id: vaultId, url, ...(endpoint === '' ? {} : { endpoint }) };
  const fixed = {
    ownerPublic: reader.bytes(KEY_BYTES),
    restoreRecipient: reader.text16(),
    seed: reader.bytes(KEY_BYTES),
    certificate: reader.bytes16(),
  };
  const site = reader.text8();
  const validUntil = reader.text8();
  const putKey = readPutKey(reader);
  reader.done();
  if (Number.isNaN(Date.parse(validUntil))) throw reader.corrupt('no time until which they are valid');
  const credentials = { role, id, vault, ...fixed, validUntil };
  return checked({ ...credentials, ...(site === '' ? {} : { site }), ...(putKey ? { putKey } : {}) });
}

/** Whom a holder of these credentials believes. */
export function trustOf({ vault, ownerPublic }: Credentials): Trust {
  return { vaultId: vault.id, ownerPublic };
}

/** The holder as a signer. */
export function signerOf(credentials: Credentials): Signer {
  return signerFrom(credentials.seed, credentials.certificate, trustOf(credentials));
}

function readPutKey(reader: Reader): DomainKeys | undefined {
  const domain = reader.text8();
  return domain === '' ? undefined : { domain, chunkerKey: reader.bytes(KEY_BYTES), indexKey: reader.bytes(KEY_BYTES) };
}

/** The certificate must be this owner's word for this very role, id, domain and key. */
function checked(credentials: Credentials): Credentials {
  const { role, id, domain } = signerOf(credentials);
  if (role !== credentials.role || id !== credentials.id || domain !== credentials.putKey?.domain)
    throw new CorruptError('credentials: the certificate is for another identity');
  return credentials;
}

function opened(sealed: Uint8Array, code: string, head: Uint8Array): Buffer {
  try {
    return openBytes(fileKey(code, head), sealed, head, 'credentials');
  } catch (cause) {
    throw new Failure('WrongKey', 'this is not the one-time code of these credentials', {
      why: 'the code does not open the file, or the file was altered',
      next: 'type the code again, or make new credentials with `seedship vault credentials`',
      cause,
    });
  }
}

function fileKey(code: string, head: Uint8Array): Buffer {
  const salt = head.subarray(head.length - SALT_BYTES);
  return Buffer.from(hkdfSync('sha256', Buffer.from(plainCode(code)), salt, 'seedship/v0/credentials', KEY_BYTES));
}

/** As a person may type it, in whatever case and spacing: letters that look like digits read as those. */
function plainCode(code: string): string {
  return code.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
}
