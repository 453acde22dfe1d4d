/**
 * The way into a vault from a command: what this computer is registered as, and, for the owner, the
 * keys behind the passphrase. Everything else goes through Temporal.
 */
import { Failure } from '../domain/failure.ts';
import { type Credentials, signerOf, trustOf } from '../format/credentials.ts';
import { openSlot, type SlotSecret, slotKind } from '../format/key-slot.ts';
import { deriveOwner, type OwnerKeys } from '../format/key-tree.ts';
import { ownerSigner, type Trust } from '../format/signature.ts';
import { openVaultConfig, type VaultConfig } from '../format/vault-config.ts';
import { readPassphrase, readSecret, storageAccess } from '../host/secrets.ts';
import type { PlaceRole } from '../host/settings.ts';
import { type MachineState, openState } from '../store/machine-state.ts';
import { type ObjectStore, openStore } from '../store/object-store.ts';
import { CONFIG_NAME, SLOTS } from '../store/places.ts';
import type { Hand } from '../store/records.ts';
import type { Invocation } from './invocation.ts';

export type CredentialRole = Credentials['role'];

/** A vault as this computer may enter it. */
export interface Door {
  readonly state: MachineState;
  readonly credentials: Credentials;
  readonly trust: Trust;
  readonly hand: Hand;
  readonly store: ObjectStore;
}

/**
 * Opens the vault the command is about, as what this computer is registered as.
 * @param wanted roles that will do, the first the dearest
 * @throws Failure `WrongState` when it is not registered, `Usage` when several would do
 */
export function enterVault(
  call: Invocation,
  wanted: readonly CredentialRole[] = ['operator', 'machine', 'site'],
): Door {
  const state = openState(call.settings.stateDirectory);
  const held = state.listCredentials();
  const all = held.filter(({ role }) => wanted.includes(role));
  const { vault: vaultName, machine } = call.settings;
  const fitting = all
    .filter(({ vault }) => vaultName === undefined || vault.name === vaultName)
    .filter(({ role, id }) => role !== 'machine' || machine === undefined || id === machine);
  const vaults = [...new Set(fitting.map(({ vault }) => vault.name))];
  if (vaults.length > 1) throw several('vault', vaults);
  const role = wanted.find((one) => fitting.some((credentials) => credentials.role === one));
  const mine = fitting.filter((credentials) => credentials.role === role);
  const [credentials] = mine;
  if (!credentials) throw unregistered(wanted, vaultName, held);
  if (role === 'machine' && mine.length > 1)
    throw several(
      'machine',
      mine.map(({ id }) => id),
    );
  return doorOf(call, state, credentials);
}

/** A door from credentials that were chosen. */
export function doorOf(call: Invocation, state: MachineState, credentials: Credentials): Door {
  const trust = trustOf(credentials);
  const hand = { signer: signerOf(credentials), trust };
  return {
    state,
    credentials,
    trust,
    hand,
    store: openPlace(call, credentials.vault.url, roleOf(credentials), credentials.vault.endpoint),
  };
}

/** A place with the S3 identity of a role. */
export function openPlace(call: Invocation, url: string, role: PlaceRole, endpoint?: string): ObjectStore {
  return openStore(url, storageAccess(call.settings, url, role, endpoint));
}

/** Whose S3 identity credentials go with. */
export function roleOf({ role, site }: Credentials): PlaceRole {
  if (role === 'machine' || role === 'operator') return role;
  const kind = site?.split('.')[0];
  return kind === 'copy' || kind === 'vault' || kind === 'control' ? kind : 'datacenter';
}

/** The vault, unlocked: what only the owner can do. */
export interface Unlocked {
  readonly master: Uint8Array;
  readonly owner: OwnerKeys;
  readonly config: VaultConfig;
  readonly trust: Trust;
  readonly hand: Hand;
  readonly store: ObjectStore;
}

/**
 * Unlocks the vault this computer knows.
 * @param meanwhile begun while another thread stretches the passphrase, half a second
 * @throws Failure `WrongKey`
 */
export async function unlockVault(
  call: Invocation,
  meanwhile?: () => Promise<unknown>,
): Promise<Unlocked & { readonly door: Door }> {
  const door = enterVault(call);
  const { url, endpoint } = door.credentials.vault;
  return { ...(await unlockPlace(call, url, { endpoint, meanwhile })), door };
}

interface Unlocking {
  readonly endpoint?: string | undefined;
  readonly meanwhile?: (() => Promise<unknown>) | undefined;
}

/** Unlocks a vault by its address alone. @throws Failure `WrongKey`, `NotFound` when no vault is there */
export async function unlockPlace(
  call: Invocation,
  url: string,
  { endpoint, meanwhile = async () => {} }: Unlocking = {},
): Promise<Unlocked> {
  const store = openPlace(call, url, 'owner', endpoint);
  const slots: Buffer[] = [];
  for await (const { name } of store.list(SLOTS)) slots.push(await store.get(name));
  if (slots.length === 0)
    throw new Failure('NotFound', 'no vault is there', {
      why: 'there are no key slots',
      next: 'seedship vault create',
    });
  const secret = await ownerSecret(call);
  const [master] = await Promise.all([tryAll(slots, secret), meanwhile()]);
  const owner = deriveOwner(master);
  const config = openVaultConfig(await store.get(CONFIG_NAME), owner.publicKey);
  const trust = { vaultId: config.id, ownerPublic: owner.publicKey };
  return { master, owner, config, trust, hand: { signer: ownerSigner(owner), trust }, store };
}

async function ownerSecret(call: Invocation): Promise<SlotSecret> {
  const file = call.text('words-file');
  if (file !== undefined) return { kind: 'words', words: await readSecret({ what: 'recovery words', file }) };
  return { kind: 'passphrase', passphrase: await readPassphrase(call.settings, prompt('Passphrase')) };
}

async function tryAll(slots: readonly Buffer[], secret: SlotSecret): Promise<Buffer> {
  let refusal: unknown = new Failure('WrongKey', `the vault has no slot for ${secret.kind}`);
  for (const slot of slots.filter((bytes) => slotKind(bytes) === secret.kind))
    try {
      return await openSlot(slot, secret);
    } catch (error) {
      refusal = error;
    }
  throw refusal;
}

/** Asks at the terminal without showing what is typed; `undefined` where there is no terminal. */
export function prompt(what: string): (() => Promise<string>) | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  return async () => {
    const { isCancel, password } = await import('@clack/prompts');
    const answer = await password({ message: what, output: process.stderr });
    if (isCancel(answer)) throw new Failure('Usage', 'nothing was typed');
    return answer;
  };
}

/** Asks at the terminal, where what is typed may be seen; `undefined` where there is none. */
export function promptOpenly(what: string): (() => Promise<string>) | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  return async () => {
    const { isCancel, text } = await import('@clack/prompts');
    const answer = await text({ message: what, output: process.stderr });
    if (isCancel(answer)) throw new Failure('Usage', 'nothing was typed');
    return answer;
  };
}

function several(kind: 'vault' | 'machine', names: readonly string[]): Failure {
  return new Failure('Usage', `which ${kind}?`, {
    why: `this computer knows ${names.join(', ')}`,
    next: `add --${kind} ${names[0]}`,
  });
}

/** Without a vault, without a registration, or without the one that is wanted: each is cured by another command. */
function unregistered(wanted: readonly CredentialRole[], vault: string | undefined, held: readonly Credentials[]) {
  const where = vault === undefined ? 'of any vault' : `of the vault ${vault}`;
  const register = 'seedship agent register --credentials FILE';
  const what = `this computer is no ${wanted.join(' or ')} ${where}`;
  if (!held.some(({ vault: { name } }) => vault === undefined || name === vault))
    return new Failure('WrongState', what, {
      why: 'it holds no credentials of a vault',
      next: `seedship vault create NAME, seedship vault open URL, or ${register}`,
    });
  return new Failure('WrongState', what, {
    why: 'it holds no credentials for that',
    next: wanted.includes('machine')
      ? `seedship vault credentials --machine NAME --out FILE, then ${register}`
      : register,
  });
}
