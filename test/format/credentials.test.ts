import { describe, expect, test } from '@jest/globals';
import {
  type Credentials,
  decodeCredentials,
  encodeCredentials,
  newOneTimeCode,
  openCredentials,
  sealCredentials,
  signerOf,
  trustOf,
} from '../../format/credentials.ts';
import { sha256 } from '../../format/digest.ts';
import { deriveDomain } from '../../format/key-tree.ts';
import { certify, newSigningSeed, openSigned, publicKeyOf, signBody } from '../../format/signature.ts';
import { survivors, vector } from './fault.ts';
import { owner, trust } from './parties.ts';

const early = new Date('2026-11-23T00:00:00Z');
const late = new Date('2026-11-25T00:00:00Z');
const golden = vector('credentials');

function credentials(role: Credentials['role'], more: Partial<Credentials> = {}): Credentials {
  const seed = newSigningSeed();
  const domain = role === 'machine' ? { domain: 'hq' } : {};
  const putKey = role === 'machine' ? { putKey: deriveDomain(new Uint8Array(32), 'hq') } : {};
  return {
    role,
    id: 'hq',
    vault: { name: 'main', id: trust.vaultId, url: 's3://backups/main', endpoint: 'http://127.0.0.1:8333' },
    ownerPublic: owner.publicKey,
    restoreRecipient: 'age1pq1qqqq',
    seed,
    certificate: certify(owner, { role, id: 'hq', publicKey: publicKeyOf(seed), ...domain }, trust.vaultId),
    validUntil: '2026-11-24T00:00:00.000Z',
    ...putKey,
    ...more,
  };
}

const same = (a: Credentials, b: Credentials) => expect(encodeCredentials(a)).toEqual(encodeCredentials(b));

describe('credentials', () => {
  test('made by other code, they open and are written alike here', () => {
    const opened = openCredentials(golden.bytes('file'), golden.text('code'), early);
    expect(encodeCredentials(opened)).toEqual(golden.bytes('plain'));
    expect(opened).toMatchObject({ role: 'machine', id: 'hq', vault: { name: 'main', url: 's3://backups/main' } });
    expect(opened.putKey?.domain).toBe('hq');
  });

  test.each([
    ['machine', {}],
    ['site', { site: 'dock.eu-west.bay4' }],
    ['operator', { vault: { name: 'main', id: trust.vaultId, url: 'file:///mnt/vault' } }],
  ] as const)('of a %s open with their code, and the holder signs what the vault believes', (role, more) => {
    const code = newOneTimeCode();
    const made = credentials(role, more);
    const opened = openCredentials(sealCredentials(made, code), code, early);
    same(opened, made);
    expect(opened.site).toBe(made.site);
    expect(opened.vault).toEqual(made.vault);
    const signed = signBody('request', Buffer.from('hello'), { signer: signerOf(opened), trust: trustOf(opened) });
    expect(openSigned(signed, { kind: 'request', trust }).signer).toMatchObject({ role, id: 'hq' });
  });

  test('a code is read as people type it', () => {
    const [typed, made] = [' 4k7qx oabic-zz9yx PQRST', golden.bytes('file')];
    expect(openCredentials(made, typed, early).id).toBe('hq');
    expect(newOneTimeCode()).toMatch(/^([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}$/);
    expect(newOneTimeCode()).not.toBe(newOneTimeCode());
  });

  test('another code opens nothing', () => {
    expect(() => openCredentials(golden.bytes('file'), newOneTimeCode(), early)).toThrow(
      expect.objectContaining({ code: 'WrongKey' }),
    );
  });

  test('after their time they are refused, with the command that makes new ones', () => {
    expect(() => openCredentials(golden.bytes('file'), golden.text('code'), late)).toThrow(
      expect.objectContaining({ code: 'Usage', next: 'seedship vault credentials --machine hq --out FILE' }),
    );
  });

  test('sealed: every truncation and every flipped byte is refused', () => {
    const open = (bytes: Buffer) => openCredentials(bytes, golden.text('code'), early);
    expect(survivors(golden.bytes('file'), open, ['CorruptError', 'WrongKey'])).toEqual([]);
  });

  test('plain: every truncation and every flipped byte is refused', () => {
    expect(survivors(golden.bytes('plain'), decodeCredentials, ['CorruptError'])).toEqual([]);
  });

  test.each([
    ['role', { role: 'operator' }],
    ['id', { id: 'other' }],
    ['owner', { ownerPublic: new Uint8Array(32).fill(9) }],
    ['seed', { seed: newSigningSeed() }],
    ['domain', { putKey: deriveDomain(new Uint8Array(32), 'group') }],
    ['vault', { vault: { name: 'main', id: 'b'.repeat(32), url: 's3://backups/main' } }],
  ] as const)('whose certificate is for another %s are refused', (_, more) => {
    expect(() => decodeCredentials(encodeCredentials(credentials('machine', more)))).toThrow(
      /^(credentials|certificate): /,
    );
  });

  test('without a time they are refused', () => {
    const made = encodeCredentials(credentials('site', { validUntil: 'tomorrow' }));
    expect(() => decodeCredentials(made)).toThrow('no time until which they are valid');
  });

  test('with bytes left over are refused, though their checksum holds', () => {
    const bytes = Buffer.concat([golden.bytes('plain').subarray(0, -32), Buffer.alloc(1)]);
    expect(() => decodeCredentials(Buffer.concat([bytes, sha256(bytes)]))).toThrow('credentials: 1 bytes too many');
  });

  test('of an unknown role are refused', () => {
    const bytes = Buffer.from(golden.bytes('plain').subarray(0, -32));
    bytes.writeUInt8(4, 6);
    expect(() => decodeCredentials(Buffer.concat([bytes, sha256(bytes)]))).toThrow('credentials: unknown role');
  });
});
