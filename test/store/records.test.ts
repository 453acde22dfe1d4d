import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Failure } from '../../domain/failure.ts';
import type { Digest } from '../../domain/names.ts';
import { deriveOwner, newMaster } from '../../format/key-tree.ts';
import {
  certify,
  newSigningSeed,
  newVaultId,
  ownerSigner,
  publicKeyOf,
  type Role,
  signBody,
  signerFrom,
} from '../../format/signature.ts';
import { DirectoryStore, preparePlace } from '../../store/directory-store.ts';
import { recordName } from '../../store/places.ts';
import {
  appendRecord,
  type Hand,
  listRecords,
  type RecordRef,
  readHistory,
  readRecord,
  readRecords,
} from '../../store/records.ts';
import { HiddenVersionsError } from '../../store/s3-failure.ts';

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
  return (await readHistory<Body>(store, job(id), trust)).revisions.map(({ body }) => body.says);
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

/** Bytes under the name of a revision, past our own code. */
async function take(ref: RecordRef, revision: number, bytes: Uint8Array): Promise<void> {
  expect(await store.put(recordName(ref.kind, ref.id, revision), bytes)).toBe('created');
}

/** A revision as its signer's own program could make it. */
function signedBy(ref: RecordRef, revision: number, more: { by?: Hand; predecessor?: unknown; body?: unknown } = {}) {
  const { by = hand, predecessor = null, body = { says: 'forged' } } = more;
  const text = JSON.stringify({ revision, predecessor, body });
  return signBody('record', Buffer.from(text), { ...by, place: recordName(ref.kind, ref.id, revision) });
}

function certified(role: Role, id: string): Hand {
  const seed = newSigningSeed();
  const identity = { role, id, publicKey: publicKeyOf(seed) };
  return { signer: signerFrom(seed, certify(owner, identity, trust.vaultId), trust), trust };
}

const stranger = deriveOwner(newMaster());
const strangers: Hand = { signer: ownerSigner(stranger), trust: { ...trust, ownerPublic: stranger.publicKey } };

describe('a name that was taken by what is no revision', () => {
  const hq = (id: string) => ({ kind: 'machine', id }) as const;
  test.each<[string, (ref: RecordRef, predecessor: Digest) => Uint8Array]>([
    ['noise', () => randomBytes(300)],
    ['nothing', () => Buffer.alloc(0)],
    ['what a stranger signed', (ref, predecessor) => signedBy(ref, 3, { by: strangers, predecessor })],
    ['what was signed for another place', (_, predecessor) => signedBy(hq('elsewhere'), 3, { predecessor })],
    [
      'what another machine signed',
      (ref, predecessor) => signedBy(ref, 3, { by: certified('machine', 'other'), predecessor }),
    ],
    [
      'what a site signed',
      (ref, predecessor) => signedBy(ref, 3, { by: certified('site', 'dock.eu.bay'), predecessor }),
    ],
    ['what is built on nothing', (ref) => signedBy(ref, 3)],
    ['what is built on something else', (ref) => signedBy(ref, 3, { predecessor: 'a'.repeat(64) })],
    ['what names no predecessor', (ref) => signedBy(ref, 3, { predecessor: 7 })],
    ['what has no body', (ref, predecessor) => signedBy(ref, 3, { body: null, predecessor })],
  ])('%s: those before stand, and the next is built on them', async (what, junk) => {
    const ref = hq(what.replaceAll(/[^a-z]/g, ''));
    await appendRecord(store, ref, { says: 'one' }, hand);
    const two = await appendRecord(store, ref, { says: 'two' }, hand);
    await take(ref, 3, junk(ref, two.digest));
    expect(await readRecord(store, ref, trust)).toMatchObject({ ...two, body: { says: 'two' } });
    expect(await readHistory(store, ref, trust)).toMatchObject({ taken: 3, revisions: [{}, two] });

    const four = await appendRecord<Body>(store, ref, (before) => ({ says: `${before?.says} and four` }), hand);
    const five = await appendRecord<Body>(store, ref, (before) => ({ says: `${before?.says}, five` }), hand);
    expect([four.revision, five.revision]).toEqual([4, 5]);
    expect(await readRecord(store, ref, trust)).toMatchObject({ ...five, body: { says: 'two and four, five' } });
    const { revisions } = await readHistory(store, ref, trust);
    expect(revisions.map(({ revision }) => revision)).toEqual([1, 2, 4, 5]);
  });

  test('whatever is put beyond the next names: what lies behind a gap is not of the record', async () => {
    for (let revision = 8; revision < 1 << 24; revision *= 2) await take(job('gaps'), revision, randomBytes(99));
    for (let revision = 1; revision <= 7; revision += 1) {
      expect((await appendRecord(store, job('gaps'), { says: `${revision}` }, hand)).revision).toBe(revision);
      expect(await readRecord(store, job('gaps'), trust)).toMatchObject({ revision });
    }
    expect((await appendRecord(store, job('gaps'), { says: '9' }, hand)).revision).toBe(9);
    expect(await chain('gaps')).toEqual(['1', '2', '3', '4', '5', '6', '7', '9']);
    await take(job('gaps'), 11, signedBy(job('gaps'), 11, { predecessor: 'a'.repeat(64) }));
    expect(await readRecord(store, job('gaps'), trust)).toMatchObject({ revision: 9 });
  });

  test('before the first revision: it is told where nothing can be believed, and blocks no other', async () => {
    await take(job('squatted'), 1, randomBytes(99));
    await take(job('squatted'), 2, signedBy(job('squatted'), 2, { by: strangers }));
    await expect(readRecord(store, job('squatted'), trust)).rejects.toMatchObject({ code: 'Tampered' });
    const ids: string[] = [];
    for await (const { id } of readRecords(store, 'job', trust)) ids.push(id);
    expect(ids).toContain('gaps');
    expect(ids).not.toContain('squatted');

    expect((await appendRecord(store, job('squatted'), { says: 'first' }, hand)).revision).toBe(3);
    expect((await appendRecord(store, job('squatted'), { says: 'second' }, hand)).revision).toBe(4);
    expect(await chain('squatted')).toEqual(['first', 'second']);
  });

  test('nobody adds what would not count', async () => {
    const entry = { kind: 'datacenter', id: 'eu-west' } as const;
    const adding = appendRecord(store, entry, { says: 'thief lane' }, certified('machine', 'hq'));
    await expect(adding).rejects.toMatchObject({ code: 'NotAllowed' });
    await appendRecord(store, hq('own'), { says: 'registered' }, certified('machine', 'own'));
    expect(await readRecord(store, hq('own'), trust)).toMatchObject({ revision: 1 });
  });
});

describe('a record that was tampered with', () => {
  const file = (id: string, revision: number) => path.join(dir, recordName('job', id, revision));
  const bend = (id: string, revision: number): void => {
    const bytes = readFileSync(file(id, revision));
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
    writeFileSync(file(id, revision), bytes);
  };

  test('a changed byte, a missing revision, another’s place and a stranger’s signature are not believed', async () => {
    for (const id of ['bent', 'holed', 'moved', 'foreign', 'damaged'])
      for (const says of ['one', 'two', 'three']) await appendRecord(store, job(id), { says }, hand);

    bend('bent', 3);
    expect(await chain('bent')).toEqual(['one', 'two']);

    writeFileSync(file('moved', 3), readFileSync(file('moved', 2)));
    expect(await chain('moved')).toEqual(['one', 'two']);

    rmSync(file('holed', 2));
    await expect(chain('holed')).resolves.toEqual(['one']); // a later revision is not seen past the hole
    await expect(readRecord(store, job('foreign'), strangers.trust)).rejects.toMatchObject({ code: 'Tampered' });
  });

  test('damage to an older revision undoes none after it', async () => {
    bend('damaged', 2);
    expect(await readRecord(store, job('damaged'), trust)).toMatchObject({ revision: 3 });
    expect(await chain('damaged')).toEqual(['one', 'three']);
    bend('damaged', 1);
    expect(await readRecord(store, job('damaged'), trust)).toMatchObject({ revision: 3 });
    await appendRecord(store, job('damaged'), { says: 'four' }, hand);
    expect(await chain('damaged')).toEqual(['three', 'four']);
  });

  test('a revision that was replaced by another of its signer is not what the next was built on', async () => {
    await appendRecord(store, job('history'), { says: 'one' }, hand);
    await appendRecord(store, job('history'), { says: 'two' }, hand);
    rmSync(file('history', 1));
    await appendRecord(store, job('history'), { says: 'rewritten' }, hand);
    expect(await readHistory(store, job('history'), trust)).toMatchObject({ taken: 2, revisions: [{ revision: 1 }] });
  });

  test('who may not look at older versions does not go back behind one that may be there', async () => {
    class Blind extends DirectoryStore {
      override getFitting(name: string, fits: (bytes: Buffer) => boolean) {
        return super.getFitting(name, fits).catch(() => Promise.reject(new HiddenVersionsError('hidden')));
      }
    }
    const reading = readRecord(new Blind(store.url, dir), job('bent'), trust);
    await expect(reading).rejects.toMatchObject({ name: 'CorruptError', message: 'hidden' });
  });
});
