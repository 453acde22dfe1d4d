/** `agent …`: what this computer is registered as, and the machines of a vault. */
import { Failure } from '../domain/failure.ts';
import type { MachineRecord } from '../domain/record.ts';
import { VERSION } from '../domain/version.ts';
import { openCredentials } from '../format/credentials.ts';
import { publicKeyOf } from '../format/signature.ts';
import { readGivenFile, readSecret } from '../host/secrets.ts';
import { openState } from '../store/machine-state.ts';
import { appendRecord, readRecords } from '../store/records.ts';
import type { Invocation } from './invocation.ts';
import { columns, localTime } from './print.ts';
import { doorOf, enterVault, prompt } from './vault-door.ts';

/** `agent register` */
export async function registerAgent(call: Invocation): Promise<undefined> {
  const sealed = readGivenFile('credentials file', call.needed('credentials'));
  const code = await readSecret({
    what: 'one-time code',
    file: call.settings.codeFile,
    prompt: prompt('One-time code'),
  });
  const credentials = openCredentials(sealed, code, new Date());
  const state = openState(call.settings.stateDirectory);
  const { role, id, vault, site, putKey } = credentials;
  if (role === 'machine') {
    const { store, hand } = doorOf(call, state, credentials);
    const body: MachineRecord = {
      ...{ name: id, id, domain: putKey?.domain ?? id, state: 'registered', version: VERSION },
      publicKey: publicKeyOf(credentials.seed).toString('hex'),
      at: new Date().toISOString(),
      by: id,
    };
    await appendRecord<MachineRecord>(
      store,
      { kind: 'machine', id },
      (before) => {
        if (!before || before.publicKey === body.publicKey) return body;
        throw new Failure('WrongState', `newer credentials were made for the machine ${id}`, {
          why: 'only the newest file registers it',
          next: `seedship vault credentials --machine ${id} --out FILE`,
        });
      },
      hand,
    );
  }
  await state.addCredentials(credentials);
  const next =
    role === 'machine'
      ? 'seedship protection create NAME --item PATH --schedule "daily 02:00" --initial offline'
      : role === 'site'
        ? `seedship worker run ${site?.split('.')[0]}`
        : 'seedship job list';
  call.print.result('agent', { role, id, vault: vault.name, ...(site && { site }), next }, () => [
    `This computer is ${role} ${id} of the vault ${vault.name} now.`,
    `Next: ${next}`,
  ]);
  return undefined;
}

/** `agent show` */
export async function showAgent(call: Invocation): Promise<undefined> {
  const all = openState(call.settings.stateDirectory)
    .listCredentials()
    .map(({ role, id, vault, site }) => ({ role, id, vault: vault.name, ...(site && { site }) }));
  call.print.result('agent-list', all, () =>
    columns(
      ['ROLE', 'NAME', 'VAULT'],
      all.map(({ role, id, vault }) => [role, id, vault]),
    ),
  );
  return undefined;
}

/** `agent list`: for those who may list records. */
export async function listAgents(call: Invocation): Promise<undefined> {
  const { store, trust } = enterVault(call);
  const machines: MachineRecord[] = [];
  for await (const { body } of readRecords<MachineRecord>(store, 'machine', trust)) machines.push(body);
  const rows = machines.map(({ name, state, domain, version = '', at }) => ({ name, state, domain, version, at }));
  call.print.result('machine-list', rows, () =>
    columns(
      ['MACHINE', 'STATE', 'DOMAIN', 'VERSION', 'SINCE'],
      rows.map(({ name, state, domain, version, at }) => [name, state, domain, version, localTime(at)]),
    ),
  );
  return undefined;
}
