/**
 * What every place must do, run over each kind of place in each of its roles. A place is made by the
 * caller; faults that only one kind can have (a server that is away, a disk that is full) are beside it.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { CorruptError } from '../../format/cursor.ts';
import { digestOf } from '../../format/digest.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { driveKeyName, packName, pointName, receiptName, treeName } from '../../store/places.ts';

/** What every place can do, a drive too. */
export type Place = Pick<ObjectStore, 'put' | 'get' | 'head' | 'list' | 'remove'>;

/** Names as each role stores them: as many as a test asks for. */
const ROLES: Record<string, (at: number) => string> = {
  staging: (at) => packName(digestOf(Buffer.from(`pack ${at}`))),
  landing: (at) => driveKeyName('00112233AABBCCDD', at + 1),
  vault: (at) => pointName('hq', at + 1, digestOf(Buffer.from(`point ${at}`))),
  spool: (at) => treeName(digestOf(Buffer.from(`tree ${at}`))),
};

async function names(store: Place, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of store.list(prefix)) found.push(name);
  return found;
}

/** Create-only, whole, gone when removed: the same for every role of every place. */
export function roleSuite(role: string, nameOf: (at: number) => string, open: () => Promise<Place>): void {
  describe(`as ${role}`, () => {
    const bytes = Buffer.from(`what a ${role} holds\n`.repeat(100));
    const name = nameOf(0);
    let place: Place;
    beforeAll(async () => {
      place = await open();
    });

    test('what was put comes back, whole and listed', async () => {
      expect(await place.put(name, bytes)).toBe('created');
      expect(await place.get(name)).toEqual(bytes);
      expect(await place.head(name)).toEqual({ length: bytes.length });
      expect(await names(place, name)).toEqual([name]);
    });

    test('a name is given once: the first bytes stand', async () => {
      expect(await place.put(name, Buffer.from('other bytes'))).toBe('exists');
      expect(await place.get(name)).toEqual(bytes);
    });

    test('what is not there is NotFound, and its head is nothing', async () => {
      await expect(place.get(nameOf(1))).rejects.toMatchObject({ code: 'NotFound' });
      expect(await place.head(nameOf(1))).toBeUndefined();
      expect(await names(place, nameOf(1))).toEqual([]);
    });

    test('what was removed is not there, its name is free, and removing it twice does no harm', async () => {
      await place.remove(name);
      expect(await place.head(name)).toBeUndefined();
      await place.remove(name);
      expect(await place.put(name, Buffer.from('again'))).toBe('created');
      expect(await place.get(name)).toEqual(Buffer.from('again'));
      await place.remove(name);
    });

    test('of eight writers of one name exactly one wins, and its bytes stand', async () => {
      const offers = Array.from({ length: 8 }, (_, writer) => Buffer.alloc(200_000, writer));
      const answers = await Promise.all(offers.map((offer) => place.put(nameOf(2), offer)));
      const winners = offers.filter((_, writer) => answers[writer] === 'created');
      expect(winners.length).toBe(1);
      expect(await place.get(nameOf(2))).toEqual(winners[0]);
    });
  });
}

export function storeSuite(title: string, open: () => Promise<ObjectStore>): void {
  describe(title, () => {
    let store: ObjectStore;
    beforeAll(async () => {
      store = await open();
    });
    for (const [role, nameOf] of Object.entries(ROLES)) roleSuite(role, nameOf, open);

    describe('an object', () => {
      const bytes = Buffer.from('a line that repeats\n'.repeat(100));
      const name = packName(digestOf(bytes));

      test('is found by its digest, and read in ranges', async () => {
        expect(await store.put(name, bytes, { digest: digestOf(bytes) })).toBe('created');
        expect(await store.getExact(name, digestOf(bytes))).toEqual(bytes);
        expect(await store.get(name, { offset: 3, length: 7 })).toEqual(bytes.subarray(3, 10));
        expect(await store.get(name, { offset: bytes.length - 1, length: 1 })).toEqual(bytes.subarray(-1));
        expect(await store.get(name, { offset: 0, length: 0 })).toEqual(Buffer.alloc(0));
      });

      test('is no shorter answer to a range past its end', async () => {
        for (const range of [
          { offset: bytes.length - 1, length: 2 },
          { offset: bytes.length, length: 1 },
          { offset: bytes.length + 100, length: 1 },
        ])
          await expect(store.get(name, range)).rejects.toThrow(CorruptError);
      });

      test('of another digest is refused, and leaves nothing', async () => {
        const other = `${name}-other`;
        await expect(store.put(other, bytes, { digest: digestOf(Buffer.from('x')) })).rejects.toThrow(CorruptError);
        expect(await store.head(other)).toBeUndefined();
        await expect(store.getExact(name, digestOf(Buffer.from('x')))).rejects.toThrow(CorruptError);
        await expect(store.getFitting(name, () => false)).rejects.toThrow(CorruptError);
        await expect(store.getExact(other, digestOf(bytes))).rejects.toMatchObject({ code: 'NotFound' });
      });
    });

    test('an empty object is an object', async () => {
      const name = receiptName('empty', 'step');
      expect(await store.put(name, Buffer.alloc(0))).toBe('created');
      expect(await store.put(name, Buffer.from('x'))).toBe('exists');
      expect(await store.get(name)).toEqual(Buffer.alloc(0));
      expect(await store.head(name)).toEqual({ length: 0 });
    });

    test('a pack of 64 MiB goes in and out', async () => {
      const bytes = Buffer.alloc(64 << 20, 'seedship');
      const name = packName(digestOf(bytes));
      await store.put(name, bytes, { digest: digestOf(bytes) });
      expect(digestOf(await store.getExact(name, digestOf(bytes)))).toBe(digestOf(bytes));
      await store.remove(name);
    });

    test('a listing has every name once, in the order of its bytes, over many pages', async () => {
      const wanted = Array.from({ length: 1205 }, (_, at) => `requests/list/${at.toString(16)}`)
        .concat(['requests/list/a/deeper', 'requests/list/a-b', 'requests/list/a.b', 'requests/listen'])
        .filter((name) => name !== 'requests/list/a');
      for (let at = 0; at < wanted.length; at += 20)
        await Promise.all(wanted.slice(at, at + 20).map((name) => store.put(name, Buffer.from(name))));
      const sorted = [...wanted].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(await names(store, 'requests/')).toEqual(sorted);
      expect(await names(store, 'requests/list/1')).toEqual(
        sorted.filter((name) => name.startsWith('requests/list/1')),
      );
      expect(await names(store, 'requests/nothing/')).toEqual([]);
      const [first] = sorted;
      for await (const { name, length, modified } of store.list(first ?? '')) {
        if (name === first) expect(length).toBe(name.length);
        expect(Math.abs(modified.getTime() - Date.now())).toBeLessThan(600_000);
      }
    });

    test.each([
      '',
      '/packs/x',
      'packs//x',
      '../x',
      'packs/../x',
      'packs/.x',
      '.making/x',
      'packs/x\n',
      'packs/é',
      'x'.repeat(600),
    ])('the name %j is refused by every operation', async (name) => {
      await expect(store.put(name, Buffer.alloc(1))).rejects.toThrow(CorruptError);
      const range = { offset: 0, length: 1 };
      await expect((async () => store.get(name, range))()).rejects.toThrow(CorruptError);
      await expect((async () => store.getExact(name, digestOf(Buffer.alloc(0))))()).rejects.toThrow(CorruptError);
      await expect((async () => store.head(name))()).rejects.toThrow(CorruptError);
      await expect((async () => store.remove(name))()).rejects.toThrow(CorruptError);
    });
  });
}
