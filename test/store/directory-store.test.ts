import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { CorruptError } from '../../format/cursor.ts';
import { digestOf } from '../../format/digest.ts';
import { preparePlace } from '../../store/directory-store.ts';
import { openStore } from '../../store/object-store.ts';
import { packName } from '../../store/places.ts';
import { storeSuite } from './store-suite.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-directory-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const bytes = Buffer.from('a pack, say');
const name = packName(digestOf(bytes));

async function place(folder: string) {
  await preparePlace(path.join(dir, folder));
  return openStore(pathToFileURL(path.join(dir, folder)).href);
}

storeSuite('a directory', () => place('suite'));

describe('a directory', () => {
  test('holds plain files under their names, for any tool to copy, and nothing else', async () => {
    const store = await place('plain');
    await store.put(name, bytes);
    expect(readFileSync(path.join(dir, 'plain', name))).toEqual(bytes);
    expect(readdirSync(path.join(dir, 'plain', '.making'))).toEqual([]);
  });

  test('names that start with a dot are not listed, nor is what is no file', async () => {
    const store = await place('odd');
    await store.put('packs/real', bytes);
    writeFileSync(path.join(dir, 'odd/packs/.DS_Store'), 'x');
    execFileSync('mkfifo', [path.join(dir, 'odd/packs/pipe')]);
    execFileSync('ln', ['-s', '/etc/passwd', path.join(dir, 'odd/packs/link')]);
    const found = [];
    for await (const { name: listed } of store.list('')) found.push(listed);
    expect(found).toEqual(['packs/real']);
    await expect(store.get('packs/link')).rejects.toMatchObject({ code: 'StorageRefused' });
  });

  test('a share that is not mounted is Unreachable: nothing is written there, nothing is missed', async () => {
    const store = await place('share');
    await store.put(name, bytes);
    renameSync(path.join(dir, 'share'), path.join(dir, 'away'));
    const gone = { code: 'Unreachable' };
    for (const mounted of ['missing', 'empty']) {
      if (mounted === 'empty') mkdirSync(path.join(dir, 'share'));
      await expect(store.put('packs/another', bytes)).rejects.toMatchObject(gone);
      await expect(store.get(name)).rejects.toMatchObject(gone);
      await expect(store.head(name)).rejects.toMatchObject(gone);
      await expect(store.remove(name)).rejects.toMatchObject(gone);
      await expect(store.list('')[Symbol.asyncIterator]().next()).rejects.toMatchObject(gone);
    }
    expect(existsSync(path.join(dir, 'share', 'packs'))).toBe(false);
  });

  test('bytes that rotted are found by their digest', async () => {
    const store = await place('rot');
    await store.put(name, bytes);
    writeFileSync(path.join(dir, 'rot', name), 'a pack, sax');
    await expect(store.getExact(name, digestOf(bytes))).rejects.toThrow(CorruptError);
  });
});

describe('an address', () => {
  test.each(['', 'vault', '/mnt/vault', 'file://host/vault', 'http://bucket/x', 's3:///x'])('%j is none', (url) => {
    expect(() => openStore(url, { region: 'r', accessKeyId: 'a', secretAccessKey: 's' })).toThrow(
      expect.objectContaining({ code: 'Configuration' }),
    );
  });

  test('a bucket needs an access', () => {
    expect(() => openStore('s3://bucket/x')).toThrow(expect.objectContaining({ code: 'Configuration' }));
  });
});
