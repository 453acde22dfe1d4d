/**
 * What a host keeps for itself, under one directory of mode 0700:
 *
 *   credentials/<vault>.<id>       plain credentials (format/credentials.ts): of a machine, site or operator
 *   places/<place>                 where a place is here: an address
 *   items/<vault>.<protection>     what is backed up here: paths, so that no disk that holds it is erased
 *   drives/<drive>                 where a drive is here: a path
 *   wear/<drive>                   how worn its disk was before it was filled
 *   requests/<digest>              what a person asked for, and what came of it: these hold paths
 *   restores-done/<step>           the digest of a restore's result, once it is whole
 *   datacenters/<region>           the age identity that opens a datacenter's drive keys
 *   secrets/<name>                 the embedded servers' keys
 *   spool/ journals/ catalog/ …    the pipeline's, each documented there
 *
 * Small files, each whole or not there. None is needed to read a vault: a lost state costs one full
 * read of the source, and registering again.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { DiskWear } from '../domain/disk.ts';
import { Failure } from '../domain/failure.ts';
import { type Digest, isDigest } from '../domain/names.ts';
import { type Credentials, decodeCredentials, encodeCredentials } from '../format/credentials.ts';
import { CorruptError } from '../format/cursor.ts';
import { digestOf } from '../format/digest.ts';
import { decodeJournal } from '../format/journal.ts';
import { makeDirectoryDurable, replaceDurable, writeDurable } from './durable-file.ts';

const FOLDERS = [
  ...(['credentials', 'places', 'items', 'drives', 'wear', 'requests'] as const),
  ...(['restores-done', 'datacenters', 'secrets'] as const),
] as const;
type Folder = (typeof FOLDERS)[number];

/** Names of entries: what people choose, ids and digests; never a way out of the folder. */
const ENTRY = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

export class MachineState {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Everything this host is registered as, by vault and id. @throws CorruptError for a damaged file */
  listCredentials(): Credentials[] {
    return this.#names('credentials').map((name) => decodeCredentials(this.#read('credentials', name)));
  }

  /** Registers; credentials of the same vault and id are replaced. */
  async addCredentials(credentials: Credentials): Promise<void> {
    await this.#write('credentials', credentialsEntry(credentials), encodeCredentials(credentials));
  }

  /** Forgets; what is not there counts as forgotten. */
  removeCredentials(credentials: Credentials): void {
    rmSync(this.#file('credentials', credentialsEntry(credentials)), { force: true });
  }

  /** The address of a place on this host. */
  placeUrl(place: string): string | undefined {
    return this.#text('places', place);
  }

  async setPlace(place: string, url: string): Promise<void> {
    await this.#write('places', place, Buffer.from(url));
  }

  /** All places of this host, by name. */
  listPlaces(): ReadonlyMap<string, string> {
    return new Map(this.#names('places').map((name) => [name, this.placeUrl(name) ?? '']));
  }

  /** Paths that a protection of this host protects; those it had before are forgotten. */
  async setItems(vault: string, protection: string, items: readonly string[]): Promise<void> {
    await this.#write('items', `${vault}.${protection}`, Buffer.from(JSON.stringify(items)));
  }

  /** Paths of all protections of this host. */
  listItems(): string[] {
    return this.#names('items').flatMap((name): string[] => JSON.parse(this.#read('items', name).toString()));
  }

  /** Where a drive is mounted here, or the directory that stands for it. */
  drivePath(drive: string): string | undefined {
    return this.#text('drives', drive);
  }

  async setDrive(drive: string, directory: string): Promise<void> {
    await this.#write('drives', drive, Buffer.from(directory));
  }

  /** All drives attached to this host, by id. */
  listDrives(): ReadonlyMap<string, string> {
    return new Map(this.#names('drives').map((name) => [name, this.drivePath(name) ?? '']));
  }

  /** A drive that left this host. */
  forgetDrive(drive: string): void {
    rmSync(this.#file('drives', drive), { force: true });
    rmSync(this.#file('wear', drive), { force: true });
  }

  /** The job whose objects this host wrote to a drive; `undefined` before there were any. */
  preparedFor(drive: string): string | undefined {
    const folder = path.join(this.directory, 'journals', drive);
    const names = existsSync(folder) ? readdirSync(folder).sort() : [];
    for (const name of names) {
      const [, epoch] = /^journal\.(\d+)$/.exec(name) ?? [];
      try {
        return decodeJournal(readFileSync(path.join(folder, name)), { drive, epoch: Number(epoch) }).job;
      } catch (error) {
        if (!(error instanceof CorruptError)) throw error; // one that is torn in its head recorded nothing
      }
    }
    return undefined;
  }

  /** The first thing that was told of its disk stands, whatever attempt asks: it may be worse by the second. */
  async firstWear(drive: string, now: DiskWear): Promise<DiskWear> {
    const known = this.#text('wear', drive);
    if (known !== undefined) return JSON.parse(known);
    await this.#write('wear', drive, Buffer.from(JSON.stringify(now)));
    return now;
  }

  /** @throws Failure `NotFound`; CorruptError when the bytes are not those of the name */
  readRequest(digest: Digest): Buffer {
    const bytes = this.#has('requests', digest) ? this.#read('requests', digest) : undefined;
    if (!bytes) throw new Failure('NotFound', 'this host has no such request');
    if (digestOf(bytes) !== digest) throw new CorruptError('request: not the bytes of its name');
    return bytes;
  }

  /** Keeps a request under its digest. */
  async writeRequest(bytes: Uint8Array): Promise<Digest> {
    const digest = digestOf(bytes);
    await makeDirectoryDurable(path.join(this.directory, 'requests'));
    await writeDurable(this.#file('requests', digest), bytes);
    return digest;
  }

  /** The result of a step that was done here; `undefined` before it was. @throws CorruptError when it was altered */
  stepResult(run: string, step: string): { readonly digest: Digest; readonly bytes: Buffer } | undefined {
    const digest = this.#text('restores-done', stepEntry(run, step));
    if (digest === undefined) return undefined;
    if (!isDigest(digest)) throw new CorruptError('step result: names no digest');
    return { digest, bytes: this.readRequest(digest) };
  }

  /** Keeps the result of a step and says that it is done, in this order; the first one stands. */
  async keepStepResult(run: string, step: string, bytes: Uint8Array): Promise<Digest> {
    const digest = await this.writeRequest(bytes);
    await makeDirectoryDurable(path.join(this.directory, 'restores-done'));
    await writeDurable(this.#file('restores-done', stepEntry(run, step)), Buffer.from(digest));
    return this.stepResult(run, step)?.digest ?? digest;
  }

  /** `AGE-SECRET-KEY-PQ-1…` of a datacenter this host works for. */
  datacenterIdentity(region: string): string | undefined {
    return this.#text('datacenters', region);
  }

  async setDatacenterIdentity(region: string, identity: string): Promise<void> {
    await this.#write('datacenters', region, Buffer.from(identity));
  }

  /** A secret of this host's own servers. */
  secretText(name: string): string | undefined {
    return this.#text('secrets', name);
  }

  async setSecretText(name: string, text: string): Promise<void> {
    await this.#write('secrets', name, Buffer.from(text));
  }

  #text(folder: Folder, name: string): string | undefined {
    return this.#has(folder, name) ? this.#read(folder, name).toString() : undefined;
  }

  #has(folder: Folder, name: string): boolean {
    return existsSync(this.#file(folder, name));
  }

  #read(folder: Folder, name: string): Buffer {
    return readFileSync(this.#file(folder, name));
  }

  async #write(folder: Folder, name: string, bytes: Uint8Array): Promise<void> {
    await makeDirectoryDurable(path.join(this.directory, folder));
    await replaceDurable(this.#file(folder, name), bytes);
  }

  #names(folder: Folder): string[] {
    const directory = path.join(this.directory, folder);
    return existsSync(directory)
      ? readdirSync(directory)
          .filter((name) => ENTRY.test(name))
          .sort()
      : [];
  }

  #file(folder: Folder, name: string): string {
    if (ENTRY.test(name)) return path.join(this.directory, folder, name);
    throw new Failure('Usage', `${JSON.stringify(name)} is no name of an entry of the machine state`);
  }
}

/** The state in a directory, which is made when something is first written. */
export function openState(directory: string): MachineState {
  return new MachineState(directory);
}

/** A run's name has slashes. */
function stepEntry(run: string, step: string): string {
  return digestOf(Buffer.from(`${run}\0${step}`));
}

function credentialsEntry({ vault, id }: Credentials): string {
  return `${vault.name}.${id}`;
}
