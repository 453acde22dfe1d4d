/** Who signs in tests: one owner, one vault, one machine, one dock. */
import { deriveOwner } from '../../format/key-tree.ts';
import { certify, newSigningSeed, ownerSigner, publicKeyOf, type Role, signerFrom } from '../../format/signature.ts';

export const owner = deriveOwner(new Uint8Array(32).fill(1));
export const trust = { vaultId: 'a'.repeat(32), ownerPublic: owner.publicKey };

/** A signer the owner certified. */
export function signer(role: Role, id: string, domain?: string) {
  const seed = newSigningSeed();
  const identity = { role, id, publicKey: publicKeyOf(seed), ...(domain === undefined ? {} : { domain }) };
  return signerFrom(seed, certify(owner, identity, trust.vaultId), trust);
}

export const byOwner = { signer: ownerSigner(owner), trust };
export const byMachine = { signer: signer('machine', 'hq', 'hq'), trust };
export const bySite = { signer: signer('site', 'dock.eu-west.bay4'), trust };
