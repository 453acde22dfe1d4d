/**
 * Records: `records/<kind>/<id>/<revision>`, create-only revisions counted from 1, each a signed
 * envelope around JSON:
 *
 *   { "revision": 3, "predecessor": "<digest of revision 2's bytes, or null>", "body": { … } }
 *
 * Current state, audit trail and custody log are the same thing. A revision is signed for its place,
 * so it is worthless anywhere else. It *counts* when it is signed by one who may (the table below) and its
 * predecessor is the newest before it that counts. Any other is passed over: whoever may add names could
 * else end a record for everybody with a few bytes of his own.
 *
 *   taken    1 2 3 4 5 6      4 is noise, 5 is signed and names revision 2
 *   counts   1 2 3 . . 6      6 names revision 3
 *
 * The newest revision is found by asking for names, 1 2 4 8 … and then between, since not everybody
 * may list. Two who append at once: one wins, the other looks again and builds on it.
 */
import { errnoOf, Failure } from '../domain/failure.ts';
import { type Digest, isDigest } from '../domain/names.ts';
import type { DatacenterRecord, RecordKind } from '../domain/record.ts';
import { CorruptError } from '../format/cursor.ts';
import { digestOf } from '../format/digest.ts';
import { type Identity, openSigned, type Signer, signBody, TamperedError, type Trust } from '../format/signature.ts';
import type { ObjectStore } from './object-store.ts';
import { parseRecordName, RECORDS, recordName } from './places.ts';
import { HiddenVersionsError } from './s3-failure.ts';

/** Of one record at once; each loser waits for one winner. */
const RACES_MAX = 50;
const REVISION_MAX = 10_000_000;
/** Names that are asked for at once where they are counted one by one. */
const NAMES_AT_ONCE = 32;

/** Whose revisions count. What a person types is signed by the computer it is typed at. */
const MAY_ADD: Readonly<Record<RecordKind, (signer: Identity, id: string) => boolean>> = {
  vault: ({ role }) => role === 'owner',
  datacenter: ({ role }) => role === 'owner', // whom drives are wrapped to, and where they are sent
  machine: (signer, id) => signer.role === 'owner' || (signer.role === 'machine' && signer.id === id),
  protection: ({ role }) => ['owner', 'machine', 'operator'].includes(role),
  job: () => true,
  presence: ({ role }) => role === 'site',
};

export interface RecordRef {
  readonly kind: RecordKind;
  readonly id: string;
}

export interface StoredRecord<Body> {
  readonly revision: number;
  /** Of the signed bytes. */
  readonly digest: Digest;
  readonly body: Body;
  readonly signer: Identity;
}

export interface Appended {
  readonly revision: number;
  readonly digest: Digest;
}

/** Who signs, for which vault. */
export interface Hand {
  readonly signer: Signer;
  readonly trust: Trust;
}

/**
 * Adds a revision that follows the newest one that counts; numbers taken by what does not are left out.
 * @param change the body, or what makes it from the newest one; called again after a lost race, and
 *   returning `undefined` when nothing is to be added, which answers with what is there
 * @throws Failure `NotAllowed` when this signer's revisions do not count, `Busy` when it loses race after race
 */
export async function appendRecord<Body extends object>(
  store: ObjectStore,
  ref: RecordRef,
  change: Body | ((before: Body | undefined) => Body | undefined),
  { signer, trust }: Hand,
): Promise<Appended> {
  if (!MAY_ADD[ref.kind](signer, ref.id))
    throw new Failure('NotAllowed', `the ${signer.role} ${signer.id} adds nothing to the ${ref.kind} ${ref.id}`);
  for (let race = 0; race < RACES_MAX; race += 1) {
    const { taken, newest } = await lookUp<Body>({ store, ref, trust });
    const body = typeof change === 'function' ? change(newest?.body) : change;
    if (body === undefined) {
      if (newest) return { revision: newest.revision, digest: newest.digest };
      throw new RangeError('records: neither a revision nor a body');
    }
    const revision = taken + 1;
    const place = recordName(ref.kind, ref.id, revision);
    const text = JSON.stringify({ revision, predecessor: newest?.digest ?? null, body });
    const bytes = signBody('record', Buffer.from(text), { signer, trust, place });
    const digest = digestOf(bytes);
    // `exists` may be our own, whose answer was lost: the same words signed twice are the same bytes
    if ((await store.put(place, bytes, { digest })) === 'created' || (await isOurs(store, place, bytes)))
      return { revision, digest };
  }
  throw new Failure('Busy', 'others change this record all the time');
}

async function isOurs(store: ObjectStore, place: string, bytes: Buffer): Promise<boolean> {
  return (await store.get(place)).equals(bytes);
}

/**
 * The newest revision of a record that counts; `undefined` when there is no revision at all.
 * @throws Failure `Tampered` when there are revisions, and none of them counts
 */
export async function readRecord<Body>(
  store: ObjectStore,
  ref: RecordRef,
  trust: Trust,
): Promise<SignedRecord<Body> | undefined> {
  const { taken, newest } = await lookUp<Body>({ store, ref, trust });
  if (newest || taken === 0) return newest;
  throw new Failure('Tampered', `nothing that is stored as the ${ref.kind} ${ref.id} can be believed`, {
    why: `its revisions (${taken}) are not signed by one who may, or not for this place`,
  });
}

/** The same for one who may begin the record: `undefined` also where none of its revisions counts. */
export async function findRecord<Body>(
  store: ObjectStore,
  ref: RecordRef,
  trust: Trust,
): Promise<SignedRecord<Body> | undefined> {
  return (await lookUp<Body>({ store, ref, trust })).newest;
}

/** A revision with the bytes that were signed. */
export interface SignedRecord<Body> extends StoredRecord<Body> {
  readonly signed: Buffer;
  /** Digest of the revision it is built on; null of the first. */
  readonly predecessor: Digest | null;
}

export interface RecordHistory<Body> {
  /** Those that count, oldest first. */
  readonly revisions: readonly SignedRecord<Body>[];
  /** The highest number that is taken: what lies between, or above, and is not among them does not count. */
  readonly taken: number;
}

/** Every revision that counts, each the one that its successor names. One that is gone is left out. */
export async function readHistory<Body>(
  store: ObjectStore,
  ref: RecordRef,
  trust: Trust,
): Promise<RecordHistory<Body>> {
  const chain = { store, ref, trust };
  const { taken, newest } = await lookUp<Body>(chain);
  const revisions: SignedRecord<Body>[] = [];
  for (let one = newest; one; one = await builtOn<Body>(chain, one)) revisions.unshift(one);
  return { revisions, taken };
}

/**
 * A datacenter's entry. Whom drives are wrapped to and where they are sent is the owner's word.
 * @throws Failure `NotFound` when there is none, `Tampered` when none is the owner's
 */
export async function readDatacenter(store: ObjectStore, region: string, trust: Trust): Promise<DatacenterRecord> {
  const record = await readRecord<DatacenterRecord>(store, { kind: 'datacenter', id: region }, trust);
  if (record) return record.body;
  throw new Failure('NotFound', `the vault knows no datacenter ${region}`, { next: 'seedship datacenter list' });
}

/** Ids of all records of a kind, in order of name; for those who may list. */
export async function* listRecords(store: ObjectStore, kind: RecordKind): AsyncGenerator<string> {
  let last: string | undefined;
  for await (const { name } of store.list(`${RECORDS}${kind}/`)) {
    const id = parseRecordName(name)?.id;
    if (id === undefined || id === last) continue;
    last = id;
    yield id;
  }
}

/** All records of a kind, in order of name. Names under which nobody of this vault wrote are left out. */
export async function* readRecords<Body>(
  store: ObjectStore,
  kind: RecordKind,
  trust: Trust,
): AsyncGenerator<SignedRecord<Body> & { readonly id: string }> {
  for await (const id of listRecords(store, kind)) {
    const newest = await findRecord<Body>(store, { kind, id }, trust);
    if (newest) yield { ...newest, id };
  }
}

/**
 * Opens a revision that was brought along, from a report or a copied vault.
 * @throws CorruptError or TamperedError when it is not what a party that may sign it signed for this place
 */
export function openRevision<Body>(
  signed: Buffer,
  { kind, id, revision }: RecordRef & { readonly revision: number },
  trust: Trust,
): SignedRecord<Body> {
  const { body: text, signer } = openSigned(signed, { kind: 'record', trust, place: recordName(kind, id, revision) });
  if (!MAY_ADD[kind](signer, id)) throw new TamperedError(`record: a ${kind} is not for a ${signer.role} to sign`);
  const { predecessor, body, revision: own } = parse(text);
  if (own !== revision) throw new CorruptError('record: another revision than its name says');
  if (predecessor !== null && (typeof predecessor !== 'string' || !isDigest(predecessor)))
    throw new CorruptError('record: names no predecessor');
  if (typeof body !== 'object' || body === null) throw new CorruptError('record: without a body');
  return { revision, digest: digestOf(signed), body: body as Body, signer, signed, predecessor };
}

function parse(text: Buffer): { revision?: unknown; predecessor?: unknown; body?: unknown } {
  try {
    return Object(JSON.parse(text.toString('utf8')));
  } catch {
    throw new CorruptError('record: no JSON inside');
  }
}

interface Chain {
  readonly store: ObjectStore;
  readonly ref: RecordRef;
  readonly trust: Trust;
}

interface Look<Body> {
  /** The highest number that is taken, whatever lies there; 0 when there is none. */
  readonly taken: number;
  readonly newest: SignedRecord<Body> | undefined;
}

async function lookUp<Body>(chain: Chain): Promise<Look<Body>> {
  return lookFrom(chain, await newestNumber(chain));
}

/** Names are given without a gap: what was put beyond one is not of the record. */
async function lookFrom<Body>(chain: Chain, top: number): Promise<Look<Body>> {
  const newest = await newestCounting<Body>(chain, top);
  if (newest !== 'gap') return { taken: top, newest };
  const taken = await countNumbers(chain);
  const again = await newestCounting<Body>(chain, taken);
  return { taken, newest: again === 'gap' ? undefined : again };
}

/**
 * The newest revision up to `top` that counts. Downwards, with those in hand that are signed and whose
 * predecessor was not met yet, two objects read where all is well. One that skips what cannot be read has the
 * benefit of the doubt: it may be built on that, and else damage to a revision would undo those after it.
 */
async function newestCounting<Body>(chain: Chain, top: number): Promise<SignedRecord<Body> | undefined | 'gap'> {
  let waiting: SignedRecord<Body>[] = [];
  let doubtful: SignedRecord<Body>[] = [];
  for (let revision = top; revision >= 1; revision -= 1) {
    if (waiting.length > 0) {
      const met = await versionThat<Body>(chain, revision, ({ digest }) =>
        waiting.some(({ predecessor }) => predecessor === digest),
      );
      if (met === 'absent') return 'gap';
      if (met !== 'unfit') return waiting.findLast(({ predecessor }) => predecessor === met.digest);
    }
    const found = await versionThat<Body>(chain, revision);
    if (found === 'absent') return 'gap';
    if (found === 'unfit') doubtful = waiting;
    else if (doubtful.length > 0) return doubtful.at(-1);
    else waiting = [...waiting, found];
  }
  return waiting.findLast(({ predecessor }) => predecessor === null) ?? doubtful.at(-1);
}

async function builtOn<Body>(chain: Chain, above: SignedRecord<Body>): Promise<SignedRecord<Body> | undefined> {
  if (above.predecessor === null) return undefined;
  for (let revision = above.revision - 1; revision >= 1; revision -= 1) {
    const met = await versionThat<Body>(chain, revision, ({ digest }) => digest === above.predecessor);
    if (met === 'absent') break;
    if (met !== 'unfit') return met;
  }
  return (await lookFrom<Body>(chain, above.revision - 1)).newest;
}

/** The newest version of a revision that is signed by one who may, and `fits`. */
async function versionThat<Body>(
  { store, ref, trust }: Chain,
  revision: number,
  fits: (one: SignedRecord<Body>) => boolean = () => true,
): Promise<SignedRecord<Body> | 'absent' | 'unfit'> {
  const at = { ...ref, revision };
  const isIt = (bytes: Buffer): boolean => {
    const one = opened<Body>(bytes, at, trust);
    return one !== undefined && fits(one);
  };
  try {
    return openRevision<Body>(await store.getFitting(recordName(ref.kind, ref.id, revision), isIt), at, trust);
  } catch (error) {
    // Who cannot look at older versions cannot tell a revision that was overwritten from one that is none.
    if (error instanceof CorruptError && !(error instanceof HiddenVersionsError)) return 'unfit';
    if (isAway(error, revision)) return 'absent';
    throw error;
  }
}

function opened<Body>(bytes: Buffer, at: RecordRef & { readonly revision: number }, trust: Trust) {
  try {
    return openRevision<Body>(bytes, at, trust);
  } catch (error) {
    if (error instanceof CorruptError) return undefined;
    throw error;
  }
}

/** To one who may read but not list, Amazon's S3 says of what is not there that it is forbidden. */
function isAway(error: unknown, revision: number): boolean {
  return errnoOf(error) === 'NotFound' || (revision > 1 && errnoOf(error) === 'StorageRefused');
}

async function isTaken({ store, ref: { kind, id } }: Chain, revision: number): Promise<boolean> {
  try {
    return (await store.head(recordName(kind, id, revision))) !== undefined;
  } catch (error) {
    if (isAway(error, revision)) return false;
    throw error;
  }
}

/** 0 when there is none. Where somebody left gaps, it is below one of them. */
async function newestNumber(chain: Chain): Promise<number> {
  if (!(await isTaken(chain, 1))) return 0;
  let low = 1;
  while (low < REVISION_MAX && (await isTaken(chain, low * 2))) low *= 2;
  for (let high = low * 2; high - low > 1; ) {
    const middle = (low + high) >> 1;
    if (await isTaken(chain, middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** How many numbers are taken before the first gap. */
async function countNumbers(chain: Chain): Promise<number> {
  for (let before = 0; ; before += NAMES_AT_ONCE) {
    const numbers = Array.from({ length: NAMES_AT_ONCE }, (_, at) => before + at + 1);
    const taken = await Promise.all(numbers.map((revision) => isTaken(chain, revision)));
    const gap = taken.indexOf(false);
    if (gap >= 0) return before + gap;
  }
}
