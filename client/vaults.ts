/** `vault …`: made, opened, shown, and the credentials it gives out. Runs where the owner is. */
import { Failure } from '../domain/failure.ts';
import { type NameKind, parseName } from '../domain/names.ts';
import { type MachineRecord, REDUNDANCIES, type Redundancy, type VaultRecord } from '../domain/record.ts';
import { type Credentials, newOneTimeCode, sealCredentials } from '../format/credentials.ts';
import { newWords, PASSPHRASE_LENGTH_MIN, sealSlot } from '../format/key-slot.ts';
import { deriveOwner, newMaster } from '../format/key-tree.ts';
import { newVaultId, ownerSigner, publicKeyOf, type Trust } from '../format/signature.ts';
import { signVaultConfig } from '../format/vault-config.ts';
import { readPassphrase, storageAccess } from '../host/secrets.ts';
import { openState } from '../store/machine-state.ts';
import { openStore } from '../store/object-store.ts';
import { CONFIG_NAME, slotName } from '../store/places.ts';
import { appendRecord, type Hand, readRecord } from '../store/records.ts';
import { type Rebuilt, rebuild } from './adopt.ts';
import { type Maker, makeCredentials, registerAllSites } from './credential-making.ts';
import { pinDatacenter } from './datacenters.ts';
import type { Invocation } from './invocation.ts';
import { pairs } from './print.ts';
import { askWords, recordProof, showWords, writeFresh } from './recovery-words.ts';
import { doorOf, enterVault, prompt, unlockPlace, unlockVault } from './vault-door.ts';
import { embeddedUrl, preparePlaceOf } from './vault-places.ts';

/** Sites that credentials are given out for, and what their names are names of. */
const GIVEN_SITES: Record<string, readonly NameKind[]> = {
  control: [],
  copy: ['host'],
  datacenter: ['region'],
  dock: ['region', 'host'],
  vault: ['vault'],
};

/** `vault create NAME` */
export async function createVault(call: Invocation): Promise<undefined> {
  const name = parseName('vault', call.word(0));
  const region = parseName('region', call.text('region') ?? (call.settings.embedded ? 'home' : call.needed('region')));
  const redundancy = redundancyOf(call.text('redundancy') ?? 'local');
  const url = call.text('destination') ?? embeddedUrl(call, name);
  const passphrase = await newPassphrase(call);
  const at = new Date().toISOString();
  const master = newMaster();
  const owner = deriveOwner(master);
  const id = newVaultId();
  const trust: Trust = { vaultId: id, ownerPublic: owner.publicKey };
  const hand: Hand = { signer: ownerSigner(owner), trust };
  await preparePlaceOf(call, 'vault', url);
  const endpoint = call.text('endpoint');
  const store = openStore(url, storageAccess(call.settings, url, 'owner', endpoint));
  if ((await store.head(CONFIG_NAME)) !== undefined)
    throw new Failure('WrongState', 'a vault is there already', { next: `seedship vault open ${url}` });
  const words = newWords();
  await showWords(call, words); // before there is a vault that only they may open: it may fail
  await store.put(slotName('passphrase-1'), sealSlot({ kind: 'passphrase', passphrase }, master));
  await store.put(slotName('words-1'), sealSlot({ kind: 'words', words }, master));
  await store.put(CONFIG_NAME, signVaultConfig({ id, name, region, redundancy, created: at }, hand));
  const address = { name, id, url, ...(endpoint && { endpoint }) };
  const maker: Maker = { call, owner, master, trust, address };
  const operator = await makeCredentials(maker, { role: 'operator', id: call.settings.host });
  await openState(call.settings.stateDirectory).addCredentials(operator);
  const workers = call.settings.embedded ? await registerAllSites(maker, region) : [];
  const body: VaultRecord = { name, id, region, redundancy, workers, at, by: 'owner' };
  await appendRecord<VaultRecord>(store, { kind: 'vault', id: name }, body, hand);
  if (call.settings.embedded)
    await pinDatacenter(maker, { region, hand, store, landing: embeddedUrl(call, `landing-${region}`) });
  const proved = await askWords(words);
  if (proved) await recordProof({ name, store, hand });
  const next = proved ? 'seedship vault credentials --machine NAME --out FILE' : 'seedship key verify-words';
  call.print.result('vault', { name, id, region, redundancy, url, wordsProved: proved, next }, () => [
    `Vault ${name} is made in ${region} (${redundancy}), at ${url}.`,
    'Lost passphrase and lost words mean lost data: nobody can open it for you.',
    `Next: ${next}`,
  ]);
  return undefined;
}

/** `vault open URL` */
export async function openVaultHere(call: Invocation): Promise<undefined> {
  const url = call.word(0);
  const endpoint = call.text('endpoint');
  const { owner, master, trust, config } = await unlockPlace(call, url, { endpoint });
  const { name, id, region, redundancy } = config;
  const maker: Maker = { call, owner, master, trust, address: { name, id, url, ...(endpoint && { endpoint }) } };
  const operator = await makeCredentials(maker, { role: 'operator', id: call.settings.host });
  await openState(call.settings.stateDirectory).addCredentials(operator);
  const door = doorOf(call, openState(call.settings.stateDirectory), operator);
  // whoever opens a vault to restore from it needs no Temporal
  const rebuilt = await rebuild(call, door).catch((error: unknown) => {
    if (error instanceof Failure && error.code === 'Unreachable') return undefined;
    throw error;
  });
  call.print.result('vault', { name, id, region, redundancy, url, rebuilt }, () => [
    `This computer knows the vault ${name} now.`,
    ...rebuiltLines(rebuilt),
    'Next: seedship point list',
  ]);
  return undefined;
}

function rebuiltLines(rebuilt: Rebuilt | undefined): string[] {
  if (!rebuilt) return ['Temporal does not answer: jobs and schedules wait for it, and for `seedship vault open`.'];
  const { schedules, jobs } = rebuilt;
  return [`Schedules made again: ${schedules.join(', ') || 'none'}. Jobs taken up: ${jobs.join(', ') || 'none'}.`];
}

/** `vault list` */
export async function listVaults(call: Invocation): Promise<undefined> {
  const all = openState(call.settings.stateDirectory).listCredentials();
  const vaults = [...new Map(all.map(({ vault }) => [vault.id, vault])).values()];
  const rows = vaults.map(({ name, id, url }) => ({
    ...{ name, id, url },
    as: all.filter(({ vault }) => vault.id === id).map(({ role, id: who, site }) => site ?? `${role} ${who}`),
  }));
  call.print.result('vault-list', rows, () =>
    rows.length === 0
      ? ['No vault yet. Next: seedship vault create NAME']
      : rows.map(({ name, url, as }) => `${name}  ${url}  (${as.join(', ')})`),
  );
  return undefined;
}

/** `vault show [NAME]` */
export async function showVault(call: Invocation): Promise<undefined> {
  const { store, trust, credentials } = enterVault(call);
  const { name, id, url } = credentials.vault;
  const record = await readRecord<VaultRecord>(store, { kind: 'vault', id: name }, trust);
  const { region = '', redundancy = '' } = record?.body ?? {};
  const wordsProvedAt = record?.body.wordsProvedAt;
  call.print.result('vault', { name, id, region, redundancy, url, wordsProved: wordsProvedAt !== undefined }, () =>
    pairs([
      ['vault', name],
      ['id', id],
      ['region', region],
      ['redundancy', redundancy],
      ['address', url],
      ['words', wordsProvedAt === undefined ? 'not proved yet: seedship key verify-words' : `proved ${wordsProvedAt}`],
    ]),
  );
  return undefined;
}

/** `vault credentials` */
export async function issueCredentials(call: Invocation): Promise<undefined> {
  const [machine, site, operator] = [call.text('machine'), call.text('site'), call.text('operator')];
  if ([machine, site, operator].filter((one) => one !== undefined).length !== 1)
    throw new Failure('Usage', 'one of --machine, --site and --operator says what the credentials are for');
  const out = call.needed('out');
  const unlocked = await unlockVault(call);
  const { owner, master, trust, store, hand } = unlocked;
  const maker: Maker = { call, owner, master, trust, address: unlocked.door.credentials.vault };
  let credentials: Credentials;
  if (machine !== undefined) {
    const domain = call.text('group') ?? machine;
    credentials = await makeCredentials(maker, { role: 'machine', id: parseName('machine', machine), domain });
    await inviteMachine({ store, hand }, credentials, domain);
  } else if (site !== undefined)
    credentials = await makeCredentials(maker, { role: 'site', id: site, site: siteQueue(site) });
  else credentials = await makeCredentials(maker, { role: 'operator', id: parseName('operator', operator ?? '') });
  const code = newOneTimeCode();
  await writeFresh(out, sealCredentials(credentials, code));
  const codeOut = call.text('code-out');
  if (codeOut !== undefined) await writeFresh(codeOut, Buffer.from(`${code}\n`));
  const next = `seedship agent register --credentials ${out}`;
  const shown = codeOut === undefined ? { code } : {};
  const { role, id, validUntil } = credentials;
  call.print.result('credentials', { role, id, file: out, validUntil, ...shown, next }, () => [
    `${out} makes one computer ${role} ${id}, until ${validUntil}.`,
    ...(codeOut === undefined
      ? [`One-time code: ${code}`, 'It is shown once. Send it another way than the file.']
      : []),
    `Next, there: ${next}`,
  ]);
  return undefined;
}

async function inviteMachine(
  { store, hand }: { store: Parameters<typeof appendRecord>[0]; hand: Hand },
  credentials: Credentials,
  domain: string,
) {
  const body: MachineRecord = {
    ...{ name: credentials.id, id: credentials.id, domain, state: 'invited' },
    publicKey: publicKeyOf(credentials.seed).toString('hex'),
    at: new Date().toISOString(),
    by: 'owner',
  };
  await appendRecord<MachineRecord>(store, { kind: 'machine', id: credentials.id }, body, hand);
}

function siteQueue(text: string): string {
  const [kind = '', ...names] = text.split('.');
  if (GIVEN_SITES[kind]?.length === names.length) {
    GIVEN_SITES[kind].forEach((rule, at) => {
      parseName(rule, names[at] ?? '');
    });
    return text;
  }
  throw new Failure('Usage', `${JSON.stringify(text)} is no site`, {
    why: 'a site is copy.HOST, datacenter.REGION, dock.REGION.HOST, vault.VAULT or control',
  });
}

function redundancyOf(text: string): Redundancy {
  const found = REDUNDANCIES.find((one) => one === text);
  if (found) return found;
  throw new Failure('Usage', `redundancy ${JSON.stringify(text)} is not known`, {
    why: `it is ${REDUNDANCIES.join(', ')}`,
  });
}

async function newPassphrase(call: Invocation): Promise<string> {
  const passphrase = await readPassphrase(
    call.settings,
    prompt(`Passphrase, at least ${PASSPHRASE_LENGTH_MIN} characters`),
  );
  if (passphrase.length < PASSPHRASE_LENGTH_MIN)
    throw new Failure('Usage', 'the passphrase is too short', { why: `it needs ${PASSPHRASE_LENGTH_MIN} characters` });
  const { passphraseFile, passphraseCommand, passphraseFd } = call.settings;
  if (passphraseFile ?? passphraseCommand ?? passphraseFd) return passphrase;
  if ((await prompt('The passphrase again')?.()) === passphrase) return passphrase;
  throw new Failure('Usage', 'the two passphrases differ', { next: 'try again' });
}
