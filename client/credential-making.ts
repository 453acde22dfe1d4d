/** Credentials, made where the owner's keys are open: of machines, sites and operators. */
import type { VaultRecord } from '../domain/record.ts';
import { queueOf } from '../domain/site.ts';
import { HOUR } from '../domain/units.ts';
import type { Credentials } from '../format/credentials.ts';
import { deriveDomain, type OwnerKeys } from '../format/key-tree.ts';
import { certify, newSigningSeed, publicKeyOf, type Trust } from '../format/signature.ts';
import { openState } from '../store/machine-state.ts';
import type { Invocation } from './invocation.ts';

const CREDENTIALS_VALID_MS = 48 * HOUR;

export interface Maker {
  readonly call: Invocation;
  readonly owner: OwnerKeys;
  readonly master: Uint8Array;
  readonly trust: Trust;
  readonly address: Credentials['vault'];
}

export type Subject = {
  readonly role: Credentials['role'];
  readonly id: string;
  readonly site?: string;
  readonly domain?: string;
};

/** A fresh signing key, certified by the owner, with what its bearer needs of the vault. */
export async function makeCredentials(
  { owner, master, trust, address }: Maker,
  subject: Subject,
): Promise<Credentials> {
  const { role, id, site, domain } = subject;
  const seed = newSigningSeed();
  const identity = { role, id, publicKey: publicKeyOf(seed), ...(domain && { domain }) };
  return {
    ...{ role, id, vault: address, ownerPublic: owner.publicKey, seed },
    restoreRecipient: await owner.restoreRecipient(),
    certificate: certify(owner, identity, trust.vaultId),
    validUntil: new Date(Date.now() + CREDENTIALS_VALID_MS).toISOString(),
    ...(domain && { putKey: deriveDomain(master, domain) }),
    ...(site && { site }),
  };
}

/** Makes this computer each of these sites; one that it is already stays as it is. Their public keys, by queue. */
export async function registerSites(maker: Maker, queues: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const state = openState(maker.call.settings.stateDirectory);
  const keys = new Map<string, string>();
  for (const site of queues) {
    const known = state.listCredentials().find((one) => one.site === site && one.vault.id === maker.address.id);
    const credentials = known ?? (await makeCredentials(maker, { role: 'site', id: site, site }));
    if (!known) await state.addCredentials(credentials);
    keys.set(site, publicKeyOf(credentials.seed).toString('hex'));
  }
  return keys;
}

/** All sites of a vault but its machines, on the computer where it is made. */
export async function registerAllSites(maker: Maker, region: string): Promise<VaultRecord['workers']> {
  const { call, address } = maker;
  const vaultQueue = queueOf.vault(address.name);
  const { host } = call.settings;
  const desk = [queueOf.datacenter(region), queueOf.dock(region, host)];
  const keys = await registerSites(maker, [queueOf.copy(host), ...desk, vaultQueue]);
  return [{ id: vaultQueue, publicKey: keys.get(vaultQueue) ?? '' }];
}
