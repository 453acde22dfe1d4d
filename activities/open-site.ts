/**
 * What a step knows of where it runs: the host's places and keys, and who it is in a vault. A site
 * is nobody without registered credentials; whom it believes starts from the owner's key in them.
 */
import { Context } from '@temporalio/activity';
import { Failure } from '../domain/failure.ts';
import { driveLabel } from '../domain/names.ts';
import type { Progress } from '../domain/receipt.ts';
import { queueOf } from '../domain/site.ts';
import type { Timetable } from '../domain/timetable.ts';
import { type Credentials, encodeCredentials, signerOf, trustOf } from '../format/credentials.ts';
import type { Signer, Trust } from '../format/signature.ts';
import type { ChildSecrets, ChildTask, DriveAt, PlaceAccess, PlaceAt, ResultOf } from '../pipeline/child-tasks.ts';
import { findDrive, parseDiskPlace } from '../store/drive-mount.ts';
import { type MachineState, openState } from '../store/machine-state.ts';
import { type ObjectStore, openStore } from '../store/object-store.ts';
import { runTask } from './run-task.ts';

/** Whose S3 identity: places are opened with the keys of this role. */
export type SiteRole = 'machine' | 'copy' | 'datacenter' | 'vault' | 'owner';

/** What the host was told (host/settings.ts), as steps need it. */
export interface HostValues {
  readonly stateDirectory: string;
  readonly host: string;
  /** Addresses by name, from settings; machine state knows more. */
  readonly places: Readonly<Record<string, string>>;
  readonly accessTo: (url: string, role: SiteRole, endpoint?: string) => PlaceAccess | undefined;
  readonly threads: number | undefined;
  readonly bytesPerSecondMax: number | undefined;
  /** What may cross the line. */
  readonly line?: Timetable | undefined;
  readonly packBytesMax: number | undefined;
  readonly spoolBytesMax: number;
  readonly stallMs: number;
  /** Data processes take what others leave of disk and processor. */
  readonly idle?: boolean;
  /** NODE_EXTRA_CA_CERTS, which a data process does not inherit by itself. */
  readonly extraCa?: string | undefined;
}

export interface SiteName {
  readonly vault: string;
  readonly role: SiteRole;
  /** The machine's name, or the site's queue. */
  readonly as: string;
}

export class Site {
  readonly credentials: Credentials;
  readonly trust: Trust;
  readonly signer: Signer;
  readonly state: MachineState;
  readonly vaultAt: PlaceAt;
  readonly #values: HostValues;
  readonly #role: SiteRole;
  readonly #access: Record<string, PlaceAccess> = {};

  constructor(values: HostValues, { vault, role, as }: SiteName) {
    this.#values = values;
    this.#role = role;
    this.state = openState(values.stateDirectory);
    const mine = this.state
      .listCredentials()
      .find((one) => one.vault.name === vault && (role === 'machine' ? one.id === as : one.site === as));
    if (!mine)
      throw new Failure('Configuration', `this host has no credentials of the vault ${vault} for ${as}`, {
        next: 'seedship agent register --credentials FILE',
      });
    this.credentials = mine;
    this.trust = trustOf(mine);
    this.signer = signerOf(mine);
    this.vaultAt = this.at(mine.vault.url, mine.vault.endpoint);
  }

  get vault(): ObjectStore {
    return this.open(this.vaultAt);
  }

  /** A place by its name. @throws Failure `Configuration` when this host does not know where it is */
  placeAt(name: string): PlaceAt {
    const url = this.#values.places[name] ?? this.state.placeUrl(name);
    if (url !== undefined) return this.at(url);
    throw new Failure('Configuration', `this host does not know where the place ${name} is`, {
      next: `set [places.${name}] url in seedship.toml`,
    });
  }

  /** Where a drive is: a directory, or a disk that is looked for. @throws Failure `DriveMissing`, `DriveForeign` */
  async driveAt(drive: string): Promise<DriveAt> {
    const found = this.state.drivePath(drive);
    if (found === undefined)
      throw new Failure('DriveMissing', `drive ${driveLabel(drive)} is not attached to this host`, {
        next: 'attach it, or name the host it is attached to',
      });
    const place = parseDiskPlace(found);
    if (!place) return { path: found, id: drive };
    const { device, fileSystem, uuid } = await findDrive(place);
    return { path: device, id: drive, disk: { fileSystem, uuid } };
  }

  /** What opens the drive keys that were wrapped to a datacenter. @throws Failure `Configuration` */
  datacenterIdentity(region: string): string {
    const identity = this.state.datacenterIdentity(region);
    if (identity !== undefined) return identity;
    throw new Failure('Configuration', `this host has no key of the datacenter ${region}`, {
      next: `seedship datacenter show ${region}`,
    });
  }

  /** An address with the keys of this role, which a child gets over its stdin. */
  at(url: string, endpoint?: string): PlaceAt {
    const access = this.#values.accessTo(url, this.#role, endpoint);
    if (!access) return { url };
    const known = Object.keys(this.#access).find((name) => sameAccess(this.#access[name], access));
    const name = known ?? `access-${Object.keys(this.#access).length + 1}`;
    this.#access[name] = access;
    return { url, access: name };
  }

  open({ url, access }: PlaceAt): ObjectStore {
    return openStore(url, access === undefined ? undefined : this.#access[access]);
  }

  /** What every task says of its step. */
  step({ run, step }: { readonly run: string; readonly step: string }) {
    const time = new Date(Context.current().info.scheduledTimestampMs).toISOString();
    const { bytesPerSecondMax, line } = this.#values;
    const base = { run, step, time, vaultId: this.trust.vaultId };
    return {
      ...base,
      ...(bytesPerSecondMax !== undefined && { bytesPerSecondMax }),
      ...(line && { line }),
    };
  }

  /** How a backup is made here, where the host was told. */
  get packing(): { readonly threads?: number; readonly packBytesMax?: number } {
    const { threads, packBytesMax } = this.#values;
    return { ...(threads === undefined ? {} : { threads }), ...(packBytesMax === undefined ? {} : { packBytesMax }) };
  }

  get spoolBytesMax(): number {
    return this.#values.spoolBytesMax;
  }

  /** Runs a task in a child, signed with these credentials. */
  run<T extends ChildTask>(
    task: T,
    more: ChildSecrets = {},
    heard?: (progress: Progress) => void,
  ): Promise<ResultOf<T>> {
    return runTask(task, { ...this.secrets, ...more }, this.#values, heard);
  }

  /** What a child is told over its stdin: the places named so far open with it. */
  get secrets(): ChildSecrets {
    return { credentials: encodeCredentials(this.credentials).toString('base64'), access: this.#access };
  }
}

function sameAccess(one: PlaceAccess | undefined, other: PlaceAccess): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** What this host is registered as, whose steps it can do. */
export interface RegisteredSite {
  readonly vault: string;
  readonly queue: string;
}

/** All registrations of a state directory; operators do no steps. */
export function registeredSites(stateDirectory: string): RegisteredSite[] {
  return openState(stateDirectory)
    .listCredentials()
    .flatMap(({ role, id, vault, site }) => {
      const queue = role === 'machine' ? queueOf.source(id) : site;
      return queue === undefined ? [] : [{ vault: vault.name, queue }];
    });
}
