/** A drive under the suite of all places: its names are numbers and epochs, and its answers are translated. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe } from '@jest/globals';
import { errnoOf, Failure } from '../../domain/failure.ts';
import { openVolume } from '../../store/drive-volume.ts';
import { type Place, roleSuite } from './store-suite.ts';

const BYTES_MAX = 1 << 20;
const dir = mkdtempSync(path.join(tmpdir(), 'seedship-drive-place-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function drive(): Promise<Place> {
  const volume = await openVolume({ path: dir, id: '00112233AABBCCDD' }, 'write');
  return {
    put: async (place, bytes) => {
      try {
        if (await volume.write(place, bytes)) return 'created';
        throw new Failure('SpaceExhausted', 'the drive is full');
      } catch (error) {
        if (error instanceof Failure && errnoOf(error.cause) === 'EEXIST') return 'exists';
        throw error;
      }
    },
    get: async (place) => {
      const bytes = await volume.read(place, BYTES_MAX);
      if (bytes) return bytes;
      throw new Failure('NotFound', 'the object is not there');
    },
    head: async (place) => {
      const found = volume.list().find((file) => file.place === place);
      return found && { length: found.length };
    },
    list: async function* (prefix) {
      for (const file of volume.list())
        if (file.place.startsWith(prefix)) yield { name: file.place, length: file.length, modified: new Date() };
    },
    remove: async (place) => volume.remove(place),
  };
}

describe('a drive', () => {
  roleSuite('drive volume', (at) => `objects/000/00000${at}.1`, drive);
});
