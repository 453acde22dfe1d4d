import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Failure } from '../../domain/failure.ts';
import { deriveOwner, newMaster } from '../../format/key-tree.ts';
import { newVaultId, ownerSigner } from '../../format/signature.ts';
import { DirectoryStore, preparePlace } from '../../store/directory-store.ts';
import { recordName } from '../../store/places.ts';
import { appendRecord, type Hand, listRecords, readRecord, recordChain } from '../../store/records.ts';

interface Body {
  readonly says: string;
}

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-records-'));
const owner = deriveOwner(newMaster());
const trust = { vaultId: newVaultId(), ownerPublic: owner.publicKey };
const hand: Hand = { signer: ownerSigner(owner), trust };
const store = new DirectoryStore(pathToFileURL(dir).href, dir);
const job = (id: string) => ({ kind: 'job', id }) as const;

beforeAll(() => preparePlace(dir));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function chain(id: string): Promise<string[]> {
  const said: string[] = [];
  for await (const { body } of recordChain<Body>(store, job(id), trust)) said.push(body.says);
  return said;
}

describe('a record', () => {
  test('that nobody wrote is nothing', async () => {
    expect(await readRecord(store, job('none'), trust)).toBeUndefined();
    expect(await chain('none')).toEqual([]);
  });

  test('the newest revision is found whatever their number, and the chain holds them all', async () => {
    const said: string[] = [];
    for (let revision = 1; revision <= 17; revision += 1) {
      said.push(`word ${revision}`);
      const appended = await appendRecord(store, job('long'), { says: `word ${revision}` }, hand);
      expect(appended.revision).toBe(revision);
      const newest = await readRecord<Body>(store, job('long'), trust);
      expect(newest).toMatchObject({ ...appended, body: { says: `word ${revision}` }, signer: { role: 'owner' } });
      expect(await chain('long')).toEqual(said);
    }
  });

  test('of many who append at once each is heard, one after the other', async () => {
    const add = (before: Body | undefined, word: string) => ({ says: `${before?.says ?? ''}${word}` });
    const words = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    await Promise.all(
      words.map((word) => appendRecord<Body>(store, job('raced'), (before) => add(before, word), hand)),
    );
    const newest = await readRecord<Body>(store, job('raced'), trust);
    expect(newest?.revision).toBe(words.length);
    expect([...(newest?.body.says ?? '')].sort()).toEqual(words);
  });

  test('nothing is added when there is nothing to add', async () => {
    const first = await appendRecord(store, job('still'), { says: 'once' }, hand);
    expect(await appendRecord<Body>(store, job('still'), () => undefined, hand)).toEqual(first);
  });

  test('an answer that was lost is not a race that was lost', async () => {
    class Deaf extends DirectoryStore {
      override async put(...words: Parameters<DirectoryStore['put']>) {
        await super.put(...words);
        return 'exists' as const;
      }
    }
    const deaf = new Deaf(store.url, dir);
    expect((await appendRecord(deaf, job('deaf'), { says: 'once' }, hand)).revision).toBe(1);
    expect(await chain('deaf')).toEqual(['once']);
  });

  test('to one who may not list, what is not there may look forbidden', async () => {
    await appendRecord(store, job('shy'), { says: 'one' }, hand);
    await appendRecord(store, job('shy'), { says: 'two' }, hand);
    class Shy extends DirectoryStore {
      override async head(name: string) {
        const found = await super.head(name);
        if (!found) throw new Failure('StorageRefused', 'forbidden');
        return found;
      }
    }
    const shy = new Shy(store.url, dir);
    expect(await readRecord(shy, job('shy'), trust)).toMatchObject({ revision: 2 });
    await expect(readRecord(shy, job('unknown'), trust)).rejects.toMatchObject({ code: 'StorageRefused' });
  });

  test('records of a kind are listed by id, once each', async () => {
    await appendRecord(store, { kind: 'machine', id: 'hq' }, { says: 'one' }, hand);
    await appendRecord(store, { kind: 'machine', id: 'hq' }, { says: 'two' }, hand);
    await appendRecord(store, { kind: 'machine', id: 'attic' }, { says: 'one' }, hand);
    const ids: string[] = [];
    for await (const id of listRecords(store, 'machine')) ids.push(id);
    expect(ids).toEqual(['attic', 'hq']);
  });
});

describe('a record that was tampered with', () => {
  const file = (id: string, revision: number) => path.join(dir, recordName('job', id, revision));

  test('a changed byte, a missing revision, another’s place and a stranger’s signature are refused', async () => {
    for (const id of ['bent', 'holed', 'moved', 'foreign'])
      for (const says of ['one', 'two', 'three']) await appendRecord(store, job(id), { says }, hand);

    const bytes = readFileSync(file('bent', 3));
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
    writeFileSync(file('bent', 3), bytes);
    await expect(readRecord(store, job('bent'), trust)).rejects.toThrow('not the bytes it should be');

    writeFileSync(file('moved', 3), readFileSync(file('moved', 2)));
    await expect(readRecord(store, job('moved'), trust)).rejects.toThrow('not the bytes it should be');

    rmSync(file('holed', 2));
    await expect(chain('holed')).resolves.toEqual(['one']); // a later revision is not seen past the hole
    const stranger = deriveOwner(newMaster());
    const other = { ...trust, ownerPublic: stranger.publicKey };
    await expect(readRecord(store, job('foreign'), other)).rejects.toThrow('not the bytes it should be');
  });

  test('a revision that was replaced by another of its signer breaks the chain', async () => {
    await appendRecord(store, job('history'), { says: 'one' }, hand);
    await appendRecord(store, job('history'), { says: 'two' }, hand);
    rmSync(file('history', 1));
    await appendRecord(store, job('history'), { says: 'rewritten' }, hand);
    await expect(chain('history')).rejects.toThrow('not built on the revision before it');
  });
});
