import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { digestOf } from '../../format/digest.ts';
import { deriveOwner } from '../../format/key-tree.ts';
import {
  certify,
  newSigningSeed,
  newVaultId,
  openCertificate,
  openSigned,
  ownerSigner,
  publicKeyOf,
  signBody,
  signerFrom,
} from '../../format/signature.ts';
import { survivors, vector } from './fault.ts';
import { byMachine, byOwner, bySite, owner, signer, trust } from './parties.ts';

const BROKEN = ['CorruptError', 'TamperedError'];
const body = Buffer.from('{"name":"hq-2026"}');

describe('a signed envelope', () => {
  test('what was signed opens to the same bytes and names its signer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 40 }), (bytes, place) => {
        const signed = signBody('record', bytes, { ...byMachine, place });
        const opened = openSigned(signed, { kind: 'record', trust, place, name: digestOf(signed) });
        expect(Buffer.from(opened.body)).toEqual(Buffer.from(bytes));
        expect(opened.signer).toMatchObject({ role: 'machine', id: 'hq', domain: 'hq' });
      }),
    );
  });

  test.each(['byMachine', 'byOwner'])('that other code signed %s opens, and is signed alike here', (field) => {
    const { text, bytes } = vector('signature');
    const theirs = { vaultId: text('vaultId'), ownerPublic: bytes('ownerPublic') };
    const place = text('place');
    const opened = openSigned(bytes(field), { kind: 'record', trust: theirs, place });
    expect(opened.body).toEqual(bytes('body'));
    const by =
      field === 'byOwner'
        ? ownerSigner(deriveOwner(vector('key-tree').bytes('master')))
        : signerFrom(bytes('seed'), bytes('certificate'), theirs);
    expect(signBody('record', bytes('body'), { signer: by, trust: theirs, place })).toEqual(bytes(field));
  });

  test.each([
    ['the owner', byOwner],
    ['a machine', byMachine],
  ])('of %s: every truncation and every flipped byte is refused', (_, by) => {
    const signed = signBody('record', body, { ...by, place: 'records/job/hq-2026/1' });
    const open = (bytes: Buffer) => openSigned(bytes, { kind: 'record', trust, place: 'records/job/hq-2026/1' });
    expect(open(signed).body).toEqual(body);
    expect(survivors(signed, open, BROKEN)).toEqual([]);
  });

  test('its name is checked before anything else', () => {
    const signed = signBody('record', body, byOwner);
    expect(() => openSigned(signed, { kind: 'record', trust, name: digestOf(body) })).toThrow(
      'record: not the bytes of its name',
    );
  });

  test.each([
    ['another place', { kind: 'record', trust, place: 'records/job/hq-2026/2' }],
    ['no place', { kind: 'record', trust }],
    ['another vault', { kind: 'record', trust: { ...trust, vaultId: 'b'.repeat(32) }, place: 'here' }],
    ['another owner', { kind: 'record', trust: { ...trust, ownerPublic: bySite.signer.publicKey }, place: 'here' }],
  ] as const)('does not hold for %s', (_, expected) => {
    for (const by of [byOwner, byMachine])
      expect(() => openSigned(signBody('record', body, { ...by, place: 'here' }), expected)).toThrow(
        /does not hold|not signed by the owner/,
      );
  });

  test('is of the kind that was asked for', () => {
    const signed = signBody('record', body, byMachine);
    expect(() => openSigned(signed, { kind: 'request', trust })).toThrow('request: signed as another kind');
  });

  test('a role signs only what is its to sign, whatever key it has', () => {
    expect(() => signBody('point', body, bySite)).toThrow('a site signs no point');
    const machine = byMachine.signer;
    const forged = signBody('point', body, { signer: { ...bySite.signer, role: 'machine' }, trust });
    expect(() => openSigned(forged, { kind: 'point', trust })).toThrow('point: signed by a site');
    expect(openSigned(signBody('point', body, { signer: machine, trust }), { kind: 'point', trust }).signer.id).toBe(
      'hq',
    );
  });

  test('a certificate does not lend its name to another signer', () => {
    const other = signer('machine', 'other', 'hq').certificate;
    const forged = signBody('point', body, { signer: { ...byMachine.signer, certificate: other }, trust });
    expect(() => openSigned(forged, { kind: 'point', trust })).toThrow('made for another signer');
    const renamed = signBody('point', body, {
      signer: { ...byMachine.signer, id: 'other', certificate: other },
      trust,
    });
    expect(() => openSigned(renamed, { kind: 'point', trust })).toThrow('the signature does not hold');
  });

  test('the owner signs under no other name', () => {
    const renamed = signBody('record', body, { ...byOwner, signer: { ...byOwner.signer, id: 'hq' } });
    expect(() => openSigned(renamed, { kind: 'record', trust })).toThrow('certificate: ends too early');
  });

  test('nobody but the owner signs as the owner', () => {
    const forged = signBody('config', body, {
      signer: { ...byMachine.signer, role: 'owner', id: 'owner', certificate: new Uint8Array(0) },
      trust,
    });
    expect(() => openSigned(forged, { kind: 'config', trust })).toThrow('the signature does not hold');
  });
});

describe('a certificate', () => {
  const seed = newSigningSeed();
  const identity = { role: 'machine', id: 'hq', publicKey: publicKeyOf(seed), domain: 'hq' } as const;
  const certificate = certify(owner, identity, trust.vaultId);

  test('says what the owner said', () => {
    expect(openCertificate(certificate, trust)).toMatchObject({ role: 'machine', id: 'hq', domain: 'hq' });
    const site = certify(owner, { role: 'site', id: 'x', publicKey: publicKeyOf(seed) }, trust.vaultId);
    expect(openCertificate(site, trust).domain).toBeUndefined();
  });

  test('every truncation and every flipped byte is refused', () => {
    expect(survivors(certificate, (bytes) => openCertificate(bytes, trust), BROKEN)).toEqual([]);
  });

  test('makes no owner', () => {
    const certified = certify(owner, { ...identity, role: 'owner' }, trust.vaultId);
    expect(() => openCertificate(certified, trust)).toThrow('certificate: unknown role');
  });

  test('goes with its own seed only', () => {
    expect(signerFrom(seed, certificate, trust).id).toBe('hq');
    expect(() => signerFrom(newSigningSeed(), certificate, trust)).toThrow('made for another signing key');
  });

  test('is not a signature on anything else, and no signature is a certificate', () => {
    const signed = signBody('record', certificate, byOwner);
    expect(() => openCertificate(signed, trust)).toThrow('does not begin with SSCE');
  });
});

test('vault ids are 32 hex digits, and no two alike', () => {
  expect(newVaultId()).toMatch(/^[0-9a-f]{32}$/);
  expect(newVaultId()).not.toBe(newVaultId());
  expect(() => signBody('config', body, { ...byOwner, trust: { ...trust, vaultId: 'hq' } })).toThrow(RangeError);
});
