import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Writer } from '../../format/cursor.ts';
import { digestOf } from '../../format/digest.ts';
import { complete, membersOf, openPackSet, type PackSet, signPackSet } from '../../format/pack-set.ts';
import type { Replacement } from '../../format/repair.ts';
import { signBody } from '../../format/signature.ts';
import { byName, type StoredObject, writeObject } from '../../format/stored-object.ts';
import { carriedList, digest } from './arbitrary.ts';
import { survivors, vector } from './fault.ts';
import { byMachine, bySite, trust } from './parties.ts';

const golden = vector('pack-set');
const theirs = { vaultId: golden.text('vaultId'), ownerPublic: golden.bytes('ownerPublic') };
const named = (text: string) => digestOf(Buffer.from(text));
const object = (text: string): StoredObject => ({ kind: 'pack', name: named(text), length: text.length });

function reopened(set: PackSet): PackSet {
  const signed = signPackSet(set, byMachine);
  return openPackSet(signed, { trust, name: digestOf(signed) }).set;
}

describe('pack set', () => {
  test('made by other code, a full one and a delta on it open', () => {
    const [full, delta] = [golden.bytes('full'), golden.bytes('delta')];
    const base = openPackSet(full, { trust: theirs, name: digestOf(full) });
    const { set } = openPackSet(delta, { trust: theirs, name: digestOf(delta) });
    expect(base.signer).toMatchObject({ role: 'machine', id: 'hq', domain: 'hq' });
    expect(set).toMatchObject({ base: digestOf(full) });
    const members = membersOf(set, base.set).map(({ kind, name, length }) => [kind, name, length]);
    expect(members).toEqual(
      [
        ['tree', named('b'), 4000],
        ['index', named('i'), 300],
        ['pack', named('c'), 600],
      ].sort((a, b) => (String(a[1]) < String(b[1]) ? -1 : 1)),
    );
  });

  test('what was written is read back, sorted, whatever it is', () => {
    fc.assert(
      fc.property(carriedList, carriedList, digest, (some, others, base) => {
        expect(reopened({ full: [...some].reverse() })).toEqual({ full: some });
        const delta = { base, added: some, removed: others };
        expect(reopened({ base, added: [...some].reverse(), removed: [...others].reverse() })).toEqual(delta);
      }),
    );
  });

  test('one in the order of its making keeps that order, and has its members sorted', () => {
    fc.assert(
      fc.property(carriedList, (some) => {
        const order = [...some].reverse();
        expect(reopened({ full: some, order })).toEqual({ full: some, order });
      }),
    );
  });

  test('a delta has the members its base and changes make', () => {
    fc.assert(
      fc.property(carriedList, carriedList, carriedList, (before, added, removed) => {
        const names = membersOf({ base: named('base'), added, removed }, { full: before }).map(({ name }) => name);
        const gone = new Set(removed.map(({ name }) => name));
        const expected = new Set([...before.filter(({ name }) => !gone.has(name)), ...added].map(({ name }) => name));
        expect(names).toEqual([...expected].sort());
      }),
    );
  });

  test('every truncation and every flipped byte is refused', () => {
    for (const form of ['full', 'delta']) {
      const open = (bytes: Buffer) => openPackSet(bytes, { trust: theirs });
      expect(survivors(golden.bytes(form), open, ['CorruptError', 'TamperedError'])).toEqual([]);
    }
    const [full, order] = [[object('a'), object('b')].sort(byName), [object('b'), object('a')]];
    const open = (bytes: Buffer) => openPackSet(bytes, { trust });
    expect(survivors(signPackSet({ full, order }, byMachine), open, ['CorruptError', 'TamperedError'])).toEqual([]);
  });

  test('under another name it is refused', () => {
    const asked = { trust: theirs, name: digestOf(golden.bytes('delta')) };
    expect(() => openPackSet(golden.bytes('full'), asked)).toThrow('pack-set: not the bytes of its name');
  });

  test('nobody but a machine signs one', () => {
    expect(() => signPackSet({ full: [] }, bySite)).toThrow(RangeError);
  });

  test('an object that is listed twice is not written', () => {
    const twice = [object('a'), object('a')];
    expect(() => signPackSet({ full: twice }, byMachine)).toThrow(RangeError);
    expect(() => signPackSet({ full: twice, order: twice }, byMachine)).toThrow(RangeError);
    const writer = new Writer().prelude('SSPS').u8(3).u32(2);
    for (const one of twice) writeObject(writer, one);
    const signed = signBody('pack-set', writer.finish(), byMachine);
    expect(() => openPackSet(signed, { trust })).toThrow('a name occurs twice');
  });

  test('a delta on a delta, and one without its base, are refused', () => {
    const delta = { base: named('base'), added: [], removed: [] };
    expect(() => membersOf(delta, delta)).toThrow('pack-set: a delta that stands on no full set');
    expect(() => membersOf(delta)).toThrow('pack-set: a delta that stands on no full set');
  });

  test.each<[string, (writer: Writer) => Writer, string]>([
    ['no form', (writer) => writer, 'ends too early'],
    ['an unknown form', (writer) => writer.u8(4), 'unknown form'],
    ['4294967295 objects', (writer) => writer.u8(1).u32(0xffffffff), 'ends too early'],
    ['bytes behind its objects', (writer) => writer.u8(1).u32(0).u8(0), '1 bytes too many'],
    ['a delta without removed objects', (writer) => writer.u8(2).bytes(Buffer.alloc(32)).u32(0), 'ends too early'],
    [
      'a point among its objects',
      (writer) => writer.u8(1).u32(1).u8(5).bytes(Buffer.alloc(36)),
      'a point where none may be',
    ],
  ])('a body with %s is refused', (_, write, reason) => {
    const body = write(new Writer().prelude('SSPS')).finish();
    expect(() => openPackSet(signBody('pack-set', body, byMachine), { trust })).toThrow(reason);
  });

  test('objects out of order are refused', () => {
    const [a, b] = [object('a'), object('b')].sort(byName) as [StoredObject, StoredObject];
    const writer = new Writer().prelude('SSPS').u8(1).u32(2);
    writeObject(writer, b);
    writeObject(writer, a);
    const signed = signBody('pack-set', writer.finish(), byMachine);
    expect(() => openPackSet(signed, { trust })).toThrow('objects are not sorted by name');
  });
});

describe('complete', () => {
  const letters = [...'abcdefgh'].map(object);
  const list = fc.subarray(letters);
  const repairs = fc.array(
    fc.record({ replacements: fc.array(fc.record({ lost: fc.constantFrom(...letters), by: list }), { maxLength: 4 }) }),
    { maxLength: 4 },
  );
  const presence = (there: readonly StoredObject[]) => (one: StoredObject) => there.includes(one);
  const names = (objects: readonly StoredObject[]) => objects.map(({ name }) => name);
  const repair = (...replacements: Replacement[]) => ({ replacements });

  /** What is good, by going over all repairs until nothing changes: slow, and plainly the definition. */
  function goodByDefinition(there: readonly StoredObject[], all: readonly { replacements: readonly Replacement[] }[]) {
    const good = new Set(names(there));
    for (let before = -1; before !== good.size; ) {
      before = good.size;
      for (const { replacements } of all)
        for (const { lost, by } of replacements) if (by.every(({ name }) => good.has(name))) good.add(lost.name);
    }
    return good;
  }

  test('is what the definition says, whatever repairs say of each other', () => {
    fc.assert(
      fc.property(list, list, repairs, (members, there, all) => {
        const good = goodByDefinition(there, all);
        const missing = members.filter(({ name }) => !good.has(name));
        expect(complete(members, presence(there), all)).toEqual({ complete: missing.length === 0, missing });
      }),
      { numRuns: 2000 },
    );
  });

  test('never loses a point by more objects or more repairs', () => {
    fc.assert(
      fc.property(list, list, list, repairs, repairs, (members, there, more, all, others) => {
        const before = new Set(names(complete(members, presence(there), all).missing));
        const after = complete(members, presence([...there, ...more]), [...all, ...others]).missing;
        expect(names(after).filter((name) => !before.has(name))).toEqual([]);
      }),
    );
  });

  const [a, b, c, d] = letters as [StoredObject, StoredObject, StoredObject, StoredObject];

  test('of what is all there asks for no repair', () => {
    expect(complete([a, b], presence([a, b]), [])).toEqual({ complete: true, missing: [] });
    expect(complete([], presence([]), [])).toEqual({ complete: true, missing: [] });
  });

  test("of what is not there names it, in the members' order", () => {
    expect(complete([d, a, c], presence([a]), [])).toEqual({ complete: false, missing: [d, c] });
  });

  test('follows a chain of repairs to what is there', () => {
    const chain = [repair({ lost: a, by: [b] }), repair({ lost: b, by: [c, d] })];
    expect(complete([a], presence([c, d]), chain).complete).toBe(true);
    expect(complete([a], presence([c]), chain)).toEqual({ complete: false, missing: [a] });
  });

  test('takes a repair by nothing for good: what was lost is elsewhere, or gone', () => {
    expect(complete([a], presence([]), [repair({ lost: a, by: [] })]).complete).toBe(true);
  });

  test('does not let two objects vouch for each other, nor one for itself', () => {
    const circle = [repair({ lost: a, by: [b] }, { lost: b, by: [a] }), repair({ lost: c, by: [c] })];
    expect(complete([a, b, c], presence([]), circle).missing).toEqual([a, b, c]);
  });

  test('takes the one good repair among several', () => {
    const all = [repair({ lost: a, by: [b] }), repair({ lost: a, by: [c] }), repair({ lost: a, by: [a] })];
    expect(complete([a], presence([c]), all).complete).toBe(true);
  });

  test('takes no more time where repairs refer to each other crosswise', () => {
    const many = Array.from({ length: 5001 }, (_, at) => object(`object ${at}`));
    const crosswise = many
      .slice(0, -2)
      .map((lost, at) => repair({ lost, by: many.slice(at + 1, at + 3) }, { lost, by: many.slice(at + 2, at + 3) }));
    const [first, last] = [many[0], many.at(-1)] as [StoredObject, StoredObject];
    expect(complete([first], (one) => one === last, crosswise).complete).toBe(true);
    expect(complete([first], () => false, crosswise).complete).toBe(false);
  });
});
