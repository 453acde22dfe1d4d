import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { deriveOwner, newMaster } from '../../format/key-tree.ts';
import { newVaultId, ownerSigner, signBody } from '../../format/signature.ts';
import { openVaultConfig, signVaultConfig } from '../../format/vault-config.ts';
import { survivors, vector } from './fault.ts';
import { byMachine, bySite } from './parties.ts';

const owner = deriveOwner(newMaster());
const config = {
  id: newVaultId(),
  name: 'main',
  region: 'eu',
  redundancy: 'local',
  created: '2026-11-23T00:00:00.000Z',
};
const by = { signer: ownerSigner(owner), trust: { vaultId: config.id, ownerPublic: owner.publicKey } };
const bytes = signVaultConfig(config, by);

describe('vault config', () => {
  test('made by other code, it opens, and is signed alike here', () => {
    const golden = vector('vault-config');
    const theirs = openVaultConfig(golden.bytes('signed'), golden.bytes('ownerPublic'));
    expect(theirs).toEqual({
      id: golden.text('vaultId'),
      name: 'main',
      region: 'eu-west',
      redundancy: 'local',
      created: '2026-11-20T18:00:00.000Z',
    });
    const signer = ownerSigner(deriveOwner(vector('key-tree').bytes('master')));
    const trust = { vaultId: theirs.id, ownerPublic: signer.publicKey };
    expect(signVaultConfig(theirs, { signer, trust })).toEqual(golden.bytes('signed'));
  });

  test('the master key alone opens it, whatever it says', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 40 });
    fc.assert(
      fc.property(fc.record({ name: text, region: text, redundancy: text, created: text }), (said) => {
        const whole = { id: config.id, ...said };
        expect(openVaultConfig(signVaultConfig(whole, by), owner.publicKey)).toEqual(whole);
      }),
    );
  });

  test('another owner, or another vault of the same owner, is refused', () => {
    expect(() => openVaultConfig(bytes, deriveOwner(newMaster()).publicKey)).toThrow('the signature does not hold');
    const moved = signVaultConfig({ ...config, id: newVaultId() }, by); // signed for the first id
    expect(() => openVaultConfig(moved, owner.publicKey)).toThrow('the signature does not hold');
  });

  test('every truncation and every flipped byte is refused, the id it claims too', () =>
    expect(
      survivors(bytes, (altered) => openVaultConfig(altered, owner.publicKey), ['CorruptError', 'TamperedError']),
    ).toEqual([]));

  test('nobody but the owner makes one, and nothing else is taken for one', () => {
    for (const { signer } of [byMachine, bySite])
      expect(() => signVaultConfig(config, { ...by, signer })).toThrow(/signs no config/);
    const record = signBody('record', Buffer.from(JSON.stringify(config)), { ...by, place: 'config' });
    expect(() => openVaultConfig(record, owner.publicKey)).toThrow('config: signed as another kind');
  });

  test.each([
    ['not JSON', '{'],
    ['no object', 'null'],
    ['without an id', '{"name":"main"}'],
    ['with an id that is none', JSON.stringify({ ...config, id: '../..' })],
    ['with a number for a name', JSON.stringify({ ...config, name: 7 })],
  ])('a body that is %s is refused', (_, body) => {
    const signed = signBody('config', Buffer.from(body), { ...by, place: 'config' });
    expect(() => openVaultConfig(signed, owner.publicKey)).toThrow(/^config: no /);
  });
});
