/**
 * Vault worker: looks at what the vault holds, and says which points are restorable. It is what
 * `point list` reads, since machines may not list.
 *
 *   1 every object is listed, with its length; every point, set and repair is opened, as signed
 *   2 a point is restorable when every object of its set is there, or repaired: complete()
 *   3 a revision of the presence record is signed when something is not as it was
 *
 * What cannot be opened is passed over and counted in the log: a look never stops at what an intruder
 * may have added, and a damaged point shows by its absence.
 */
import { Context } from '@temporalio/activity';
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import type { VaultPresence } from '../domain/receipt.ts';
import type { PresenceRecord, PresentPoint } from '../domain/record.ts';
import type { PresenceRequest, VaultSteps } from '../domain/request.ts';
import { queueOf } from '../domain/site.ts';
import { SECOND } from '../domain/units.ts';
import { CorruptError } from '../format/cursor.ts';
import { complete, membersOf, openPackSet, type PackSet } from '../format/pack-set.ts';
import { openPoint, pointLabel } from '../format/recovery-point.ts';
import { type OpenedRepair, openRepair } from '../format/repair.ts';
import { countsFor } from '../pipeline/repaired-set.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { digestOfName, INDEXES, PACKS, POINTS, packSetName, parsePointName, REPAIRS, TREES } from '../store/places.ts';
import { appendRecord } from '../store/records.ts';
import { type HostValues, Site } from './open-site.ts';

const BEAT_MS = 1 * SECOND;

/** The activity. */
export function observingVault(values: HostValues): Pick<VaultSteps, 'observeVault'> {
  return {
    async observeVault({ vault }: PresenceRequest): Promise<VaultPresence> {
      const site = new Site(values, { vault, role: 'vault', as: queueOf.vault(vault) });
      const look = new Look(site.vault, site.trust);
      const context = Context.current();
      const beating = setInterval(() => context.heartbeat(look.progress), BEAT_MS);
      try {
        const seen = await look.run(() => context.cancellationSignal.throwIfAborted());
        if (look.unsound > 0) context.log.warn('objects that could not be opened', { count: look.unsound });
        const receipt = await keep(site, vault, seen);
        const restorable = seen.points.filter((point) => point.restorable).length;
        return { receipt, points: seen.points.length, restorable, objects: seen.objects };
      } finally {
        clearInterval(beating);
      }
    },
  };
}

type Seen = Pick<PresenceRecord, 'objects' | 'bytes' | 'points'>;

/** The record's digest; a vault that is as it was gets no revision. */
async function keep({ vault: store, signer, trust, credentials }: Site, vault: string, seen: Seen): Promise<Digest> {
  const stamp = { at: new Date(Context.current().info.scheduledTimestampMs).toISOString(), by: credentials.id };
  const ref = { kind: 'presence', id: vault } as const;
  const { digest } = await appendRecord<PresenceRecord>(
    store,
    ref,
    (before) => {
      if (before && JSON.stringify(contentOf(before)) === JSON.stringify(contentOf(seen))) return undefined;
      return { ...stamp, ...contentOf(seen) };
    },
    { signer, trust },
  );
  return digest;
}

function contentOf({ objects, bytes, points }: Seen): Seen {
  return { objects, bytes, points };
}

class Look {
  readonly #store: ObjectStore;
  readonly #trust: Site['trust'];
  /** Length by digest; the kinds share one space of names. */
  readonly #lengths = new Map<Digest, number>();
  readonly #sets = new Map<Digest, PackSet>();
  #bytes = 0;
  #points = 0;
  unsound = 0;

  constructor(store: ObjectStore, trust: Site['trust']) {
    this.#store = store;
    this.#trust = trust;
  }

  get progress() {
    return { step: 'look', bytesDone: this.#bytes, objectsDone: this.#lengths.size, filesDone: this.#points };
  }

  /** @param check throws when the step was called off */
  async run(check: () => void): Promise<Seen> {
    for (const prefix of [PACKS, TREES, INDEXES])
      for await (const { name, length } of this.#store.list(prefix)) {
        check();
        const digest = digestOfName(name);
        if (digest === undefined || this.#lengths.has(digest)) continue;
        this.#lengths.set(digest, length);
        this.#bytes += length;
      }
    const repairs = await this.#repairs();
    const points: PresentPoint[] = [];
    for await (const { name } of this.#store.list(POINTS)) {
      check();
      const point = await this.#sound(() => this.#point(name, repairs));
      if (point) points.push(point);
      this.#points += 1;
    }
    return { objects: this.#lengths.size, bytes: this.#bytes, points };
  }

  async #point(name: string, all: readonly OpenedRepair[]): Promise<PresentPoint | undefined> {
    const named = parsePointName(name);
    if (!named) return undefined;
    const { machine, sequence, digest } = named;
    const expected = { trust: this.#trust, name: digest, place: { machine, sequence } };
    const { head } = openPoint(await this.#store.getExact(name, digest), expected);
    const { protection, kind, packSet, base } = head;
    const repairs = all.filter((repair) => countsFor(repair, head.domain));
    const { missing } = complete(await this.#members(packSet), (object) => this.#holds(object), repairs);
    return {
      ...{ name, label: pointLabel(head, digest), machine, protection, sequence, kind, packSet },
      ...(base === undefined ? {} : { base }),
      time: new Date(head.time).toISOString(),
      restorable: missing.length === 0,
      missing: missing.length,
    };
  }

  #holds({ name, length }: { readonly name: Digest; readonly length: number }): boolean {
    return this.#lengths.get(name) === length;
  }

  async #members(name: Digest) {
    const set = await this.#set(name);
    return membersOf(set, 'base' in set ? await this.#set(set.base) : undefined);
  }

  async #set(name: Digest): Promise<PackSet> {
    const known = this.#sets.get(name);
    if (known) return known;
    const bytes = await this.#store.getExact(packSetName(name), name);
    const { set } = openPackSet(bytes, { trust: this.#trust, name });
    this.#sets.set(name, set);
    return set;
  }

  async #repairs(): Promise<OpenedRepair[]> {
    const repairs: OpenedRepair[] = [];
    for await (const { name } of this.#store.list(REPAIRS)) {
      const digest = digestOfName(name);
      if (digest === undefined) continue;
      const expected = { trust: this.#trust, name: digest };
      const repair = await this.#sound(async () => openRepair(await this.#store.getExact(name, digest), expected));
      if (repair) repairs.push(repair);
    }
    return repairs;
  }

  async #sound<T>(open: () => Promise<T>): Promise<T | undefined> {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof CorruptError || codeOf(error) === 'NotFound')) throw error;
      this.unsound += 1;
      return undefined;
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Failure ? error.code : '';
}
