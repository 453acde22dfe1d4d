/** A vault's owner and one of its machines, made as the client makes them; trees made and judged by others. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Credentials, encodeCredentials } from '../../format/credentials.ts';
import { newWords, sealSlot } from '../../format/key-slot.ts';
import { deriveDomain, deriveOwner, newMaster, publicBytes, signingKey } from '../../format/key-tree.ts';
import { certify, newSigningSeed, newVaultId, ownerSigner } from '../../format/signature.ts';
import { signVaultConfig } from '../../format/vault-config.ts';
import { runChild, type StartedChild } from '../../pipeline/child.ts';
import type {
  BackupResult,
  BackupTask,
  ChildSecrets,
  ChildTask,
  Progress,
  ResultOf,
} from '../../pipeline/child-tasks.ts';
import { pointName as nameOfPoint } from '../../store/places.ts';

const harness = fileURLToPath(new URL('../harness/', import.meta.url));

export interface TestVault {
  readonly vaultId: string;
  readonly master: Buffer;
  readonly ownerPublic: Uint8Array;
  readonly restoreIdentity: string;
  readonly machine: string;
  readonly secrets: ChildSecrets;
  readonly credentials: Credentials;
}

/** A vault of its own with one registered machine. */
export async function newTestVault(machine = 'hq'): Promise<TestVault> {
  const master = newMaster();
  const owner = deriveOwner(master);
  const vaultId = newVaultId();
  const seed = newSigningSeed();
  const publicKey = publicBytes(signingKey(seed));
  const credentials: Credentials = {
    role: 'machine',
    id: machine,
    vault: { name: 'test', id: vaultId, url: 'file:///nowhere' },
    ownerPublic: owner.publicKey,
    restoreRecipient: await owner.restoreRecipient(),
    seed,
    certificate: certify(owner, { role: 'machine', id: machine, publicKey, domain: machine }, vaultId),
    putKey: deriveDomain(master, machine),
    validUntil: '2099-01-01T00:00:00Z',
  };
  const secrets = { credentials: encodeCredentials(credentials).toString('base64') };
  const { publicKey: ownerPublic, restoreIdentity } = owner;
  return { vaultId, master, ownerPublic, restoreIdentity, machine, secrets, credentials };
}

/** The same vault, as seen from another of its machines. */
export function anotherMachine(vault: TestVault, machine: string): TestVault {
  const seed = newSigningSeed();
  const identity = { role: 'machine', id: machine, publicKey: publicBytes(signingKey(seed)), domain: machine } as const;
  const certificate = certify(deriveOwner(vault.master), identity, vault.vaultId);
  const putKey = deriveDomain(vault.master, machine);
  const credentials: Credentials = { ...vault.credentials, id: machine, seed, certificate, putKey };
  return {
    ...vault,
    machine,
    credentials,
    secrets: { credentials: encodeCredentials(credentials).toString('base64') },
  };
}

export class Workbench {
  readonly directory: string;

  constructor(name: string) {
    this.directory = mkdtempSync(path.join(tmpdir(), `${name}-`));
  }

  at(...names: string[]): string {
    return path.join(this.directory, ...names);
  }

  close(): void {
    spawnSync('rm', ['-rf', this.directory]); // Node's own does not reach paths longer than PATH_MAX
  }

  makeDirectory(name: string): string {
    mkdirSync(this.at(name));
    return this.at(name);
  }

  /** A tree with everything file systems hold; the same for the same seed. */
  makeTree(name: string, options: { seed?: number; files?: number; bytes?: number } = {}): string {
    const { seed = 1, files = 300, bytes = 30_000_000 } = options;
    const made = spawnSync(
      'python3',
      [`${harness}make_tree.py`, this.at(name), '--seed', `${seed}`, '--files', `${files}`, '--bytes', `${bytes}`],
      { encoding: 'utf8' },
    );
    if (made.status !== 0) throw new Error(made.stderr);
    return this.at(name);
  }
}

/** What differs between two trees, to the nanosecond, the hole and the attribute; empty when nothing does. */
export function differences(left: string, right: string): string {
  const judged = spawnSync('python3', [`${harness}compare_trees.py`, left, right], { encoding: 'utf8' });
  return judged.status === 0 ? '' : judged.stdout + judged.stderr;
}

/** What rsync would still do to make the right tree the left; empty when nothing, or when there is no rsync. */
export function rsyncWouldDo(left: string, right: string): string {
  const words = ['-nacHAX', '--modify-window=-1', '--delete', '--itemize-changes', `${left}/`, `${right}/`];
  const judged = spawnSync('rsync', words, { encoding: 'utf8', maxBuffer: 1 << 26 });
  return judged.error ? '' : judged.stdout + judged.stderr;
}

/** Runs a task to its end; progress and the child's own words are kept. */
export async function perform<T extends ChildTask>(
  task: T,
  secrets: ChildSecrets,
  options: {
    signal?: AbortSignal;
    onProgress?: (progress: Progress) => void;
    onStart?: (pid: number) => void;
    extraCa?: string;
    idle?: boolean;
    started?: StartedChild;
  } = {},
): Promise<ResultOf<T>> {
  const lines: string[] = [];
  try {
    return await runChild(task, {
      secrets,
      onProgress: options.onProgress ?? (() => {}),
      signal: options.signal ?? new AbortController().signal,
      log: (line) => lines.push(line),
      ...(options.onStart ? { onStart: options.onStart } : {}),
      extraCa: options.extraCa,
      ...{ idle: options.idle, started: options.started },
    });
  } catch (error) {
    if (lines.length > 0) process.stderr.write(`${lines.slice(0, 20).join('\n')}\n`);
    throw error;
  }
}

let runs = 0;

/** An offline backup of `source` into `staging`, all else below `bench`. */
export function stagingTask(
  vault: TestVault,
  bench: Workbench,
  source: string,
  options: Partial<BackupTask> = {},
): BackupTask {
  runs += 1;
  return {
    kind: 'backup',
    run: `run-${runs}`,
    step: 'stage',
    time: '2026-11-23T02:00:00.000Z',
    vaultId: vault.vaultId,
    machine: vault.machine,
    protection: 'home',
    items: [source],
    excludes: [],
    to: { kind: 'staging', place: { url: `file://${bench.at('staging')}` } },
    stateDirectory: bench.at('state'),
    threads: 2,
    ...options,
  };
}

/** Packs and tree packs in a place: name → inode and mtime, by which a rewritten one shows. */
export function packsIn(place: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const kind of ['packs', 'trees'])
    for (const folder of list(path.join(place, kind)))
      for (const name of list(path.join(place, kind, folder))) {
        const { ino, mtimeNs } = statSync(path.join(place, kind, folder, name), { bigint: true });
        found.set(`${kind}/${folder}/${name}`, `${ino} ${mtimeNs}`);
      }
  return found;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => !name.startsWith('.'));
  } catch {
    return [];
  }
}

/** What the unlocked owner hands to a restore. */
export function ownerSecrets({ master, machine, ownerPublic, restoreIdentity }: TestVault): ChildSecrets {
  const { indexKey } = deriveDomain(master, machine);
  const indexKeys = { [machine]: Buffer.from(indexKey).toString('base64') };
  return { owner: { ownerPublic: Buffer.from(ownerPublic).toString('base64'), restoreIdentity, indexKeys } };
}

/** The name of the point that a backup made. */
export function pointName({ point }: BackupResult): string {
  return nameOfPoint(point.machine, point.sequence, point.digest);
}

/** The secrets of a site: a copy host, a dock, a vault worker. */
export function siteSecrets({ master, credentials, vaultId }: TestVault, site: string): ChildSecrets {
  const { putKey: _, ...known } = credentials;
  const seed = newSigningSeed();
  const identity = { role: 'site', id: site, publicKey: publicBytes(signingKey(seed)) } as const;
  const certificate = certify(deriveOwner(master), identity, vaultId);
  return {
    credentials: encodeCredentials({ ...known, role: 'site', id: site, site, seed, certificate }).toString('base64'),
  };
}

/** As the owner signs. */
export function byOwner({ master, vaultId }: TestVault) {
  const owner = deriveOwner(master);
  return { signer: ownerSigner(owner), trust: { vaultId, ownerPublic: owner.publicKey } };
}

/** What `vault create` writes into a vault's `folder`; its words go into the file `words`. */
export function furnishVault(
  vault: TestVault,
  { folder, words: file }: { readonly folder: string; readonly words: string },
): void {
  const words = newWords();
  const config = { id: vault.vaultId, name: 'test', region: 'x', redundancy: 'local', created: '2026-11-23T00:00:00Z' };
  writeFileSync(path.join(folder, 'config'), signVaultConfig(config, byOwner(vault)));
  mkdirSync(path.join(folder, 'keys/slots'), { recursive: true });
  writeFileSync(path.join(folder, 'keys/slots/words'), sealSlot({ kind: 'words', words }, vault.master));
  writeFileSync(file, words);
}

/** Restores a point with doc/reader, which shares no code with us. */
export function restoreByReader(
  { folder, words, to }: { readonly folder: string; readonly words: string; readonly to: string },
  point: string,
): { readonly status: number | null; readonly stderr: string } {
  const reader = fileURLToPath(new URL('../../doc/reader/read-vault.mjs', import.meta.url));
  const typed = [reader, folder, '--words-file', words, 'restore', point, to];
  const { status, stderr } = spawnSync('node', typed, { encoding: 'utf8' });
  return { status, stderr };
}
