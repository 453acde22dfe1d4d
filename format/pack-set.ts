/**
 * A pack set: which objects a point needs. Sorted names in clear, so that keyless upkeep can keep
 * what is needed and delete what is not. Signed (kind 'pack-set', see signature.ts) by the machine,
 * named by its digest, never changed. The signed body:
 *
 *   prelude    6     'SSPS'
 *   form       u8    1 full, 2 delta, 3 full in the order of its making
 *   full:      objects (u32, then 37 each, see stored-object.ts); of form 3 not sorted, no name twice
 *   delta:     base (32): digest of a full set ‖ added: objects ‖ removed: objects
 *
 * A delta stands on a full set and never on another delta: two files always tell all. Its members
 * are the base's without the removed, and the added.
 */
import type { Digest } from '../domain/names.ts';
import { CorruptError, Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, digestBytes, toDigest } from './digest.ts';
import type { Repair } from './repair.ts';
import { type Identity, openSigned, type Signer, signBody, type Trust } from './signature.ts';
import { byName, readObject, readObjects, type StoredObject, writeObject, writeObjects } from './stored-object.ts';

const [FULL, DELTA, IN_ORDER] = [1, 2, 3];

export type PackSet =
  | {
      readonly full: readonly StoredObject[];
      /** The same objects as they were made, where drives took them before the set was known: their numbers. */
      readonly order?: readonly StoredObject[];
    }
  | { readonly base: Digest; readonly added: readonly StoredObject[]; readonly removed: readonly StoredObject[] };

/** Writes and signs a pack set; its objects may come in any order. @throws RangeError for a name that occurs twice */
export function signPackSet(set: PackSet, by: { readonly signer: Signer; readonly trust: Trust }): Buffer {
  const writer = new Writer(4096).prelude('SSPS');
  if ('full' in set && set.order) writeInOrder(writer.u8(IN_ORDER), set.order);
  else if ('full' in set) writeObjects(writer.u8(FULL), set.full);
  else {
    writeObjects(writer.u8(DELTA).bytes(digestBytes(set.base)), set.added);
    writeObjects(writer, set.removed);
  }
  return signBody('pack-set', writer.finish(), by);
}

/**
 * Opens a pack set.
 * @throws CorruptError when it is not the bytes of its name, or damaged; TamperedError when its
 *   signature does not hold
 */
export function openPackSet(
  bytes: Uint8Array,
  expected: { readonly trust: Trust; readonly name?: Digest },
): { set: PackSet; signer: Identity } {
  const { body, signer } = openSigned(bytes, { ...expected, kind: 'pack-set' });
  const reader = new Reader(body, 'pack-set');
  reader.prelude('SSPS');
  const form = reader.u8();
  const set = readSet(reader, form);
  reader.done();
  return { set, signer };
}

function readSet(reader: Reader, form: number): PackSet {
  switch (form) {
    case FULL:
      return { full: readObjects(reader, readObject) };
    case DELTA:
      return {
        base: toDigest(reader.bytes(DIGEST_BYTES)),
        added: readObjects(reader, readObject),
        removed: readObjects(reader, readObject),
      };
    case IN_ORDER:
      return readInOrder(reader);
    default:
      throw reader.corrupt('unknown form');
  }
}

function writeInOrder(writer: Writer, order: readonly StoredObject[]): void {
  if (hasTwins([...order].sort(byName))) throw new RangeError('pack-set: a name occurs twice');
  writer.u32(order.length);
  for (const object of order) writeObject(writer, object);
}

function readInOrder(reader: Reader): PackSet {
  const count = reader.u32();
  const order: StoredObject[] = [];
  for (let at = 0; at < count; at++) order.push(readObject(reader));
  const full = [...order].sort(byName);
  if (hasTwins(full)) throw reader.corrupt('a name occurs twice');
  return { full, order };
}

function hasTwins(sorted: readonly StoredObject[]): boolean {
  return sorted.some(({ name }, at) => name === sorted[at - 1]?.name);
}

/**
 * All objects of a set, sorted by name.
 * @param base the set that a delta names
 * @throws CorruptError when a delta stands on another delta, or its base is not given
 */
export function membersOf(set: PackSet, base?: PackSet): readonly StoredObject[] {
  if ('full' in set) return set.full;
  if (!base || !('full' in base)) throw new CorruptError('pack-set: a delta that stands on no full set');
  const removed = new Set(set.removed.map(({ name }) => name));
  const members = new Map(base.full.filter(({ name }) => !removed.has(name)).map((object) => [object.name, object]));
  for (const object of set.added) members.set(object.name, object);
  return [...members.values()].sort(byName);
}

export interface Completeness {
  readonly complete: boolean;
  /** What is neither there nor repaired, in the members' order. */
  readonly missing: readonly StoredObject[];
}

/**
 * Whether a point can be restored: every object of its set is present, or a repair's stand-ins are.
 * An object that a repair replaces by nothing is made good too: what it held is elsewhere or gone.
 * @param present whether the vault holds these bytes under this name
 */
export function complete(
  members: readonly StoredObject[],
  present: (object: StoredObject) => boolean,
  repairs: readonly Pick<Repair, 'replacements'>[],
): Completeness {
  const absent = members.filter((object) => !present(object));
  const repaired = repairedNames(absent, present, repairs);
  const missing = absent.filter(({ name }) => !repaired.has(name));
  return { complete: missing.length === 0, missing };
}

/** Stand-ins of one lost object, and how many of them are not good yet. */
interface Group {
  readonly lost: Digest;
  waiting: number;
}

/**
 * What repairs make good of `absent` and of its stand-ins, from what is present upwards: stand-ins that
 * stand for each other hold nothing. Each repair is looked at once, however they refer to each other.
 */
function repairedNames(
  absent: readonly StoredObject[],
  present: (object: StoredObject) => boolean,
  repairs: readonly Pick<Repair, 'replacements'>[],
): ReadonlySet<Digest> {
  const groups = new Map<Digest, (readonly StoredObject[])[]>();
  for (const { replacements } of repairs) for (const { lost, by } of replacements) listed(groups, lost.name).push(by);
  const asked = new Set(absent.map(({ name }) => name));
  const users = new Map<Digest, Group[]>();
  const good: Digest[] = [];
  for (const lost of asked)
    for (const by of groups.get(lost) ?? []) {
      const waiting = new Set(by.filter((object) => !present(object)).map(({ name }) => name));
      const group = { lost, waiting: waiting.size };
      if (group.waiting === 0) good.push(lost);
      for (const name of waiting) {
        asked.add(name); // a set is walked to what is added on the way
        listed(users, name).push(group);
      }
    }
  const repaired = new Set<Digest>();
  for (let name = good.pop(); name !== undefined; name = good.pop()) {
    if (repaired.has(name)) continue;
    repaired.add(name);
    for (const group of users.get(name) ?? []) {
      group.waiting -= 1;
      if (group.waiting === 0) good.push(group.lost);
    }
  }
  return repaired;
}

function listed<Value>(lists: Map<Digest, Value[]>, name: Digest): Value[] {
  const list = lists.get(name) ?? [];
  lists.set(name, list);
  return list;
}
