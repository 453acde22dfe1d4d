import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Reader, Writer } from '../../format/cursor.ts';
import { digestOf } from '../../format/digest.ts';
import {
  byName,
  readAnyObject,
  readObject,
  readObjects,
  STORED_OBJECT_BYTES,
  writeObject,
  writeObjects,
} from '../../format/stored-object.ts';
import { carriedList } from './arbitrary.ts';
import { survivors } from './fault.ts';

const [a, b] = ['a', 'b'].map((text) => ({ kind: 'pack' as const, name: digestOf(Buffer.from(text)), length: 5 }));

describe('stored objects', () => {
  test('a list comes back sorted, whatever its order was', () => {
    fc.assert(
      fc.property(carriedList, (list) => {
        const writer = new Writer();
        writeObjects(writer, [...list].reverse());
        const bytes = writer.finish();
        expect(bytes.length).toBe(4 + list.length * STORED_OBJECT_BYTES);
        const reader = new Reader(bytes, 'test');
        expect(readObjects(reader, readObject)).toEqual(list);
        reader.done();
      }),
    );
  });

  test('an object is 37 bytes: kind, name, length', () => {
    const writer = new Writer();
    writeObject(writer, { kind: 'tree', name: digestOf(Buffer.from('abc')), length: 258 });
    expect(writer.finish().toString('hex')).toBe(
      '02' + 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' + '02010000',
    );
  });

  test('an unknown kind is refused, and one that never travels where only carried ones may be', () => {
    const bytes = (kind: number) => new Reader(Buffer.concat([Buffer.from([kind]), Buffer.alloc(36)]), 'test');
    expect(() => readAnyObject(bytes(0))).toThrow('test: unknown kind of object');
    expect(() => readAnyObject(bytes(6))).toThrow('test: unknown kind of object');
    expect(readAnyObject(bytes(5)).kind).toBe('point');
    expect(() => readObject(bytes(4))).toThrow('test: a pack-set where none may be');
  });

  test('a name that occurs twice is neither written nor read', () => {
    if (!a || !b) throw new Error('unreachable');
    expect(() => writeObjects(new Writer(), [a, b, a])).toThrow(RangeError);
    const [first, second] = [a, b].sort(byName);
    for (const pair of [
      [a, a],
      [second, first],
    ]) {
      const writer = new Writer().u32(2);
      for (const object of pair) if (object) writeObject(writer, object);
      expect(() => readObjects(new Reader(writer.finish(), 'test'), readObject)).toThrow('not sorted by name');
    }
  });

  test('a count that promises more than there is takes no memory', () => {
    const bytes = new Writer().u32(0xffffffff).finish();
    expect(() => readObjects(new Reader(bytes, 'test'), readObject)).toThrow('test: ends too early');
  });

  test('every truncation is refused', () => {
    if (!a || !b) throw new Error('unreachable');
    const writer = new Writer();
    writeObjects(writer, [a, b]);
    const read = (bytes: Buffer) => {
      const reader = new Reader(bytes, 'test');
      readObjects(reader, readObject);
      reader.done();
    };
    const cuts = survivors(writer.finish(), read, ['CorruptError']).filter((fault) => fault.startsWith('cut'));
    expect(cuts).toEqual([]);
  });
});
