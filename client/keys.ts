/** `key …`: the recovery words, made, shown once, and proved. */
import { Failure } from '../domain/failure.ts';
import { checkWords, newWords, openSlot, sealSlot, slotKind } from '../format/key-slot.ts';
import { deriveOwner } from '../format/key-tree.ts';
import { ownerSigner } from '../format/signature.ts';
import { openVaultConfig } from '../format/vault-config.ts';
import { readSecret } from '../host/secrets.ts';
import { CONFIG_NAME, SLOTS, slotName } from '../store/places.ts';
import type { Invocation } from './invocation.ts';
import { askWords, forgetProof, recordProof, showWords } from './recovery-words.ts';
import { enterVault, openPlace, prompt, unlockVault } from './vault-door.ts';

/** `key words` */
export async function renewWords(call: Invocation): Promise<undefined> {
  const { master, store, config, hand } = await unlockVault(call);
  const words = newWords();
  const old: string[] = [];
  for await (const { name } of store.list(SLOTS)) if (slotKind(await store.get(name)) === 'words') old.push(name);
  await store.put(slotName(`words-${Date.now()}`), sealSlot({ kind: 'words', words }, master));
  await showWords(call, words); // before the old ones stop working: it may fail
  await forgetProof({ name: config.name, store, hand });
  for (const name of old) await store.remove(name);
  const proved = await askWords(words);
  if (proved) await recordProof({ name: config.name, store, hand });
  call.print.result('words', { vault: config.name, replaced: old.length, proved }, () => [
    'These words open the vault; older ones do not.',
    ...(proved ? [] : ['Next: seedship key verify-words']),
  ]);
  return undefined;
}

/** `key verify-words`: all 24 open their slot, which proves every one. */
export async function verifyWords(call: Invocation): Promise<undefined> {
  const door = enterVault(call);
  const { url, endpoint, name } = door.credentials.vault;
  const store = openPlace(call, url, 'owner', endpoint);
  const words = await readSecret({
    what: 'recovery words',
    file: call.text('words-file'),
    prompt: prompt('The 24 recovery words'),
  });
  checkWords(words);
  for await (const { name: slot } of store.list(SLOTS)) {
    const bytes = await store.get(slot);
    if (slotKind(bytes) !== 'words') continue;
    const owner = deriveOwner(await openSlot(bytes, { kind: 'words', words }));
    const config = openVaultConfig(await store.get(CONFIG_NAME), owner.publicKey);
    const trust = { vaultId: config.id, ownerPublic: owner.publicKey };
    await recordProof({ name, store, hand: { signer: ownerSigner(owner), trust } });
    call.print.result('words', { vault: name, proved: true }, () => [
      'The words are right. Keep them where the computer is not.',
    ]);
    return undefined;
  }
  throw new Failure('WrongState', 'the vault has no recovery words', { next: 'seedship key words' });
}
