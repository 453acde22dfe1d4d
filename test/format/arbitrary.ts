/** Values of the formats, for property tests. */
import fc from 'fast-check';
import { digestOf } from '../../format/digest.ts';
import { byName, type CarriedKind } from '../../format/stored-object.ts';

export const digest = fc.nat().map((seed) => digestOf(Buffer.from(String(seed))));

export const carried = fc.record({
  kind: fc.constantFrom<CarriedKind[]>('pack', 'tree', 'index'),
  name: digest,
  length: fc.nat(64 << 20),
});

/** Sorted by name, no name twice. */
export const carriedList = fc
  .uniqueArray(carried, { selector: ({ name }) => name, maxLength: 20 })
  .map((list) => list.sort(byName));

/** Objects with ascending numbers. */
export const numbered = fc
  .array(fc.record({ gap: fc.integer({ min: 1, max: 5 }), object: carried, sealed: digest }), { maxLength: 20 })
  .map((list) => {
    let number = -1;
    return list.map(({ gap, object, sealed }) => {
      number += gap;
      return { number, ...object, sealed };
    });
  });
