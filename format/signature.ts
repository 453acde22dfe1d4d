/**
 * One envelope for everything that is signed. Ed25519 (RFC 8032); nothing is canonicalised: the
 * body is signed as it is stored.
 *
 *   envelope      prelude 'SSSG' (6) ‖ kind (text8) ‖ signer id (text8) ‖ certificate (bytes16)
 *                 ‖ body (bytes32) ‖ signature (64)
 *   signed        'seedship/v0/' ‖ kind ‖ 0x00 ‖ vault id (16) ‖ place, where there is one
 *                 ‖ SHA-256 of the envelope before the signature (32)
 *   certificate   prelude 'SSCE' (6) ‖ role (u8) ‖ id (text8) ‖ public key (32) ‖ domain (text8)
 *                 ‖ signature (64) by the owner; signed as above with kind 'certificate', no place
 *
 * The owner signs with an empty certificate. A place is the name under which the bytes lie, where
 * that name is no digest of them: what was signed for one place is worthless in another. Roles are
 * 0 owner, 1 machine, 2 site, 3 operator, 4 datacenter; the table below says what each may sign.
 * A verifier starts from the vault's id and the owner's public key, and from nothing else.
 */
import { type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import type { Digest } from '../domain/names.ts';
import { CorruptError, Reader, Writer } from './cursor.ts';
import { digestOf, sha256 } from './digest.ts';
import { type OwnerKeys, publicBytes, signingKey, verifyingKey } from './key-tree.ts';
import { KEY_BYTES } from './seal.ts';

const ROLES = ['owner', 'machine', 'site', 'operator', 'datacenter'] as const;
export type Role = (typeof ROLES)[number];

const MAY_SIGN = {
  point: ['machine'],
  'pack-set': ['machine'],
  index: ['machine'],
  repair: ['owner', 'machine', 'site'],
  removal: ['owner', 'site'],
  receipt: ['owner', 'machine', 'site', 'datacenter'],
  'copy-log': ['site', 'datacenter'],
  record: ROLES,
  request: ROLES,
  report: ROLES,
  run: ['owner', 'machine', 'site'],
  config: ['owner'],
} as const satisfies Record<string, readonly Role[]>;
export type SignedKind = keyof typeof MAY_SIGN;

const SIGNATURE_BYTES = 64;
const VAULT_ID = /^[0-9a-f]{32}$/;

/** A signature that does not hold, or is not this signer's to give. */
export class TamperedError extends CorruptError {
  override readonly name = 'TamperedError';
}

export interface Identity {
  readonly role: Role;
  readonly id: string;
  readonly publicKey: Uint8Array; // 32 bytes
  /** A machine's deduplication domain. */
  readonly domain?: string;
}

export interface Signer extends Identity {
  readonly privateKey: KeyObject;
  /** Empty for the owner. */
  readonly certificate: Uint8Array;
}

/** What a verifier starts from; it comes from a credentials file or the master key, never from the vault. */
export interface Trust {
  readonly vaultId: string; // 32 lower-case hex digits
  readonly ownerPublic: Uint8Array; // 32 bytes
}

export interface SignedPlace {
  readonly trust: Trust;
  /** The name the bytes lie under, when that name is not made of them: records, receipts, runs, config. */
  readonly place?: string;
}

export interface Opened {
  readonly body: Buffer;
  readonly signer: Identity;
}

/** 32 fresh bytes: what a signing key is kept as. */
export function newSigningSeed(): Buffer {
  return randomBytes(KEY_BYTES);
}

/** 128 fresh bits, as 32 hex digits: what every signature of a vault is bound to. */
export function newVaultId(): string {
  return randomBytes(16).toString('hex');
}

/** The public half of a seed. */
export function publicKeyOf(seed: Uint8Array): Buffer {
  return publicBytes(signingKey(seed));
}

/** The owner's word that `identity` belongs to the vault. */
export function certify(owner: OwnerKeys, identity: Identity, vaultId: string): Buffer {
  const head = new Writer()
    .prelude('SSCE')
    .u8(ROLES.indexOf(identity.role))
    .text8(identity.id)
    .bytes(identity.publicKey)
    .text8(identity.domain ?? '')
    .finish();
  const signature = sign(null, signedBytes('certificate', vaultId, '', head), owner.signing);
  return Buffer.concat([head, signature]);
}

/**
 * Reads a certificate.
 * @throws CorruptError when it is none; TamperedError when the owner of this vault did not sign it
 */
export function openCertificate(bytes: Uint8Array, trust: Trust): Identity {
  const reader = new Reader(bytes, 'certificate');
  reader.prelude('SSCE');
  const role = ROLES[reader.u8()];
  if (role === undefined || role === 'owner') throw reader.corrupt('unknown role');
  const id = reader.text8();
  const publicKey = reader.bytes(KEY_BYTES);
  const domain = reader.text8();
  const head = bytes.subarray(0, reader.position);
  const signature = reader.bytes(SIGNATURE_BYTES);
  reader.done();
  if (!verify(null, signedBytes('certificate', trust.vaultId, '', head), verifyingKey(trust.ownerPublic), signature))
    throw new TamperedError('certificate: not signed by the owner of this vault');
  return { role, id, publicKey, ...(domain === '' ? {} : { domain }) };
}

/**
 * Who signs, from a seed and the certificate for it.
 * @throws TamperedError when they do not belong together
 */
export function signerFrom(seed: Uint8Array, certificate: Uint8Array, trust: Trust): Signer {
  const identity = openCertificate(certificate, trust);
  const privateKey = signingKey(seed);
  if (!publicBytes(privateKey).equals(identity.publicKey))
    throw new TamperedError('certificate: made for another signing key');
  return { ...identity, privateKey, certificate };
}

/** The owner as a signer. */
export function ownerSigner(owner: OwnerKeys): Signer {
  return {
    role: 'owner',
    id: 'owner',
    publicKey: owner.publicKey,
    privateKey: owner.signing,
    certificate: new Uint8Array(0),
  };
}

/**
 * Puts `body` into a signed envelope.
 * @throws RangeError when this role does not sign this kind
 */
export function signBody(
  kind: SignedKind,
  body: Uint8Array,
  { signer, trust, place = '' }: SignedPlace & { readonly signer: Signer },
): Buffer {
  if (!maySign(kind, signer.role)) throw new RangeError(`signature: a ${signer.role} signs no ${kind}`);
  const head = new Writer(body.length + 512)
    .prelude('SSSG')
    .text8(kind)
    .text8(signer.id)
    .bytes16(signer.certificate)
    .bytes32(body)
    .finish();
  return Buffer.concat([head, sign(null, signedBytes(kind, trust.vaultId, place, head), signer.privateKey)]);
}

/**
 * Opens a signed envelope; returns nothing that has not been verified.
 * @param expected.name the digest the bytes should have, where they are named by it
 * @throws CorruptError when the bytes are not those of the name or no envelope of this kind;
 *   TamperedError when a signature does not hold or the signer may not sign this kind
 */
export function openSigned(
  bytes: Uint8Array,
  expected: SignedPlace & { readonly kind: SignedKind; readonly name?: Digest },
): Opened {
  const { kind, trust, place = '', name } = expected;
  if (name !== undefined && digestOf(bytes) !== name) throw new CorruptError(`${kind}: not the bytes of its name`);
  const reader = new Reader(bytes, kind);
  reader.prelude('SSSG');
  if (reader.text8() !== kind) throw reader.corrupt('signed as another kind');
  const id = reader.text8();
  const certificate = reader.bytes16();
  const body = reader.bytes32();
  const head = bytes.subarray(0, reader.position);
  const signature = reader.bytes(SIGNATURE_BYTES);
  reader.done();
  const signer = identify(id, certificate, trust);
  if (!verify(null, signedBytes(kind, trust.vaultId, place, head), verifyingKey(signer.publicKey), signature))
    throw new TamperedError(`${kind}: the signature does not hold`);
  if (!maySign(kind, signer.role)) throw new TamperedError(`${kind}: signed by a ${signer.role}`);
  return { body, signer };
}

/**
 * The body of an envelope before anything is verified: for what a vault says its id is, no more.
 * @throws CorruptError when it is no envelope of this kind
 */
export function unverifiedBody(bytes: Uint8Array, kind: SignedKind): Buffer {
  const reader = new Reader(bytes, kind);
  reader.prelude('SSSG');
  if (reader.text8() !== kind) throw reader.corrupt('signed as another kind');
  reader.text8();
  reader.bytes16();
  return reader.bytes32();
}

function identify(id: string, certificate: Uint8Array, trust: Trust): Identity {
  if (certificate.length === 0 && id === 'owner') return { role: 'owner', id, publicKey: trust.ownerPublic };
  const identity = openCertificate(certificate, trust);
  if (identity.id !== id) throw new TamperedError('certificate: made for another signer');
  return identity;
}

function maySign(kind: SignedKind, role: Role): boolean {
  const roles: readonly Role[] = MAY_SIGN[kind];
  return roles.includes(role);
}

function signedBytes(kind: string, vaultId: string, place: string, head: Uint8Array): Buffer {
  if (!VAULT_ID.test(vaultId)) throw new RangeError('signature: a vault id is 32 hex digits');
  return Buffer.concat([
    Buffer.from(`seedship/v0/${kind}\0`),
    Buffer.from(vaultId, 'hex'),
    Buffer.from(place),
    sha256(head),
  ]);
}
