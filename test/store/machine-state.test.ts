import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Credentials } from '../../format/credentials.ts';
import { digestOf } from '../../format/digest.ts';
import { JournalWriter } from '../../format/journal.ts';
import { deriveOwner, newMaster } from '../../format/key-tree.ts';
import { certify, newSigningSeed, newVaultId, publicKeyOf } from '../../format/signature.ts';
import { type MachineState, openState } from '../../store/machine-state.ts';

const owner = deriveOwner(newMaster());
const id = newVaultId();
let dir: string;
let state: MachineState;
beforeEach(() => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'seedship-state-'));
  state = openState(path.join(dir, 'state'));
});
afterEach(() => rmSync(dir, { recursive: true }));

async function site(name: string, queue = name): Promise<Credentials> {
  const seed = newSigningSeed();
  return {
    role: 'site',
    id: name,
    site: queue,
    vault: { name: 'main', id, url: 'file:///vault' },
    ownerPublic: owner.publicKey,
    restoreRecipient: await owner.restoreRecipient(),
    seed,
    certificate: certify(owner, { role: 'site', id: name, publicKey: publicKeyOf(seed) }, id),
    validUntil: '2099-01-01T00:00:00Z',
  };
}

describe('machine state', () => {
  test('is empty before anything was written', () => {
    expect([state.listCredentials(), state.placeUrl('bay'), state.drivePath('A0'), [...state.listPlaces()]]).toEqual([
      [],
      undefined,
      undefined,
      [],
    ]);
  });

  test('keeps credentials over restarts, readable by nobody else, and the newest of an id only', async () => {
    await state.addCredentials(await site('vault.main'));
    await state.addCredentials(await site('copy.one'));
    const renewed = await site('copy.one');
    await state.addCredentials(renewed);
    const again = openState(state.directory);
    expect(again.listCredentials().map((one) => one.id)).toEqual(['copy.one', 'vault.main']);
    expect(again.listCredentials()[0]?.seed).toEqual(Buffer.from(renewed.seed));
    const file = path.join(state.directory, 'credentials/main.copy.one');
    expect([statSync(file).mode & 0o777, statSync(state.directory).mode & 0o777]).toEqual([0o600, 0o700]);
    state.removeCredentials(renewed);
    expect(again.listCredentials()).toHaveLength(1);
  });

  test('knows where places and drives are, and forgets a drive that left', async () => {
    await state.setPlace('bay', 'file:///one');
    await state.setPlace('bay', 'file:///two');
    await state.setDrive('7F3A00000000C0DE', '/mnt/x');
    expect([...state.listPlaces(), ...state.listDrives()]).toEqual([
      ['bay', 'file:///two'],
      ['7F3A00000000C0DE', '/mnt/x'],
    ]);
    state.forgetDrive('7F3A00000000C0DE');
    expect(state.drivePath('7F3A00000000C0DE')).toBeUndefined();
  });

  test('knows what each protection protects here, as it was said last', async () => {
    await state.setItems('main', 'docs', ['/srv', '/home']);
    await state.setItems('main', 'docs', ['/srv']);
    await state.setItems('main', 'mail', ['/var/mail']);
    expect(openState(state.directory).listItems()).toEqual(['/srv', '/var/mail']);
  });

  test('knows what job a drive was filled for, by a journal that recorded something', () => {
    const drive = '7F3A00000000C0DE';
    const folder = path.join(state.directory, 'journals', drive);
    mkdirSync(folder, { recursive: true });
    expect(state.preparedFor(drive)).toBeUndefined();
    const zero = digestOf(Buffer.alloc(0));
    const head = (epoch: number) => new JournalWriter({ drive, epoch, job: 'j1', packSet: zero, wrap: zero }).head;
    writeFileSync(path.join(folder, 'journal.1'), head(1).subarray(0, 20)); // the power failed
    expect(state.preparedFor(drive)).toBeUndefined();
    writeFileSync(path.join(folder, 'journal.2'), head(2));
    expect(state.preparedFor(drive)).toBe('j1');
  });

  test('gives back a request by its digest, and none that was altered', async () => {
    const digest = await state.writeRequest(Buffer.from('{"to":"/x"}'));
    expect(digest).toBe(digestOf(Buffer.from('{"to":"/x"}')));
    expect(state.readRequest(digest).toString()).toBe('{"to":"/x"}');
    const file = path.join(state.directory, 'requests', digest);
    writeFileSync(file, readFileSync(file).reverse());
    expect(() => state.readRequest(digest)).toThrow('not the bytes of its name');
    expect(() => state.readRequest(digestOf(Buffer.from('other')))).toThrow('no such request');
  });

  test.each(['../x', '.hidden', 'a/b', ''])('%j is the name of no entry', (name) => {
    expect(() => state.placeUrl(name)).toThrow('no name of an entry');
  });
});
