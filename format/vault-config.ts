/**
 * What a vault says of itself, in the object `config`: the way in for whoever holds nothing but the
 * passphrase or the words. Written once by the owner, signed (kind 'config', place 'config').
 *
 *   body   JSON object in UTF-8: id (32 lower-case hex digits), name, region, redundancy, created
 *          (ISO 8601, UTC); all text
 *
 * The id stands inside what it signs for, so it is read before it is believed: the owner's key comes
 * from the master key, and the signature holds for one id only. No key stands here: what a machine
 * seals to comes from its credentials alone.
 */
import { CorruptError } from './cursor.ts';
import { openSigned, type Signer, signBody, type Trust, unverifiedBody } from './signature.ts';

const PLACE = 'config';
const VAULT_ID = /^[0-9a-f]{32}$/;

export interface VaultConfig {
  readonly id: string; // 32 lower-case hex digits
  readonly name: string;
  readonly region: string;
  readonly redundancy: string;
  readonly created: string;
}

/** Writes and signs the object `config`. */
export function signVaultConfig(config: VaultConfig, by: { readonly signer: Signer; readonly trust: Trust }): Buffer {
  const { id, name, region, redundancy, created } = config;
  return signBody('config', Buffer.from(JSON.stringify({ id, name, region, redundancy, created })), {
    ...by,
    place: PLACE,
  });
}

/**
 * Opens the object `config`.
 * @param ownerPublic from the master key
 * @throws CorruptError when it is damaged; TamperedError when another owner signed it
 */
export function openVaultConfig(bytes: Uint8Array, ownerPublic: Uint8Array): VaultConfig {
  const { id } = parse(unverifiedBody(bytes, 'config'));
  return parse(openSigned(bytes, { kind: 'config', trust: { vaultId: id, ownerPublic }, place: PLACE }).body);
}

function parse(body: Buffer): VaultConfig {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new CorruptError('config: no JSON inside', { cause });
  }
  const fields = new Map<string, unknown>(Object.entries(Object(value)));
  const text = (field: string): string => {
    const found = fields.get(field);
    if (typeof found !== 'string') throw new CorruptError(`config: no ${field}`);
    return found;
  };
  const id = text('id');
  if (!VAULT_ID.test(id)) throw new CorruptError('config: no vault id');
  return { id, name: text('name'), region: text('region'), redundancy: text('redundancy'), created: text('created') };
}
