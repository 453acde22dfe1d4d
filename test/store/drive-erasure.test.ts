import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { eraseFolder } from '../../store/drive-erasure.ts';
import { openVolume } from '../../store/drive-volume.ts';

const root = mkdtempSync(path.join(tmpdir(), 'seedship-erase-'));
afterAll(() => rmSync(root, { recursive: true }));
const id = '7F3A00000000C0DE';

async function drive(name: string) {
  const folder = path.join(root, name);
  mkdirSync(folder);
  const volume = await openVolume({ path: folder, id }, 'write');
  for (const place of ['objects/000/000001.1', 'objects/000/000002.1', 'manifest', 'journal.1', 'SHA256SUMS'])
    await volume.write(place, Buffer.alloc(10_000, 7));
  return { folder, volume };
}

test.each([
  [false, 2 * 4096 + 3 * 10_000],
  [true, 5 * 10_000],
])('a directory drive is overwritten in place and emptied (full: %s)', async (full, bytes) => {
  const { folder, volume } = await drive(`plain-${full}`);
  const kept = path.join(root, `kept-${full}`);
  const seen: number[] = [];
  linkSync(path.join(folder, 'objects/000/000001.1'), kept); // not of this drive alone any more: only removed
  const done = await eraseFolder(volume, { full, onBytes: (now) => seen.push(now) });
  const label = `{"format":0,"drive":"${id}"}\n`.length;
  expect(done.bytes).toBe(bytes + label - Math.min(10_000, full ? 10_000 : 4096));
  expect(seen.length).toBe(2);
  expect(readdirSync(folder)).toEqual(['objects']);
  expect(readdirSync(path.join(folder, 'objects/000'))).toEqual([]);
  expect(readFileSync(kept)).toEqual(Buffer.alloc(10_000, 7));
  expect((await eraseFolder(volume, { full, onBytes: () => {} })).bytes).toBe(0);
  volume.close();
});

test('the bytes of a file are gone where they lay, not only its name', async () => {
  const { folder, volume } = await drive('held');
  const place = path.join(folder, 'manifest');
  const { openSync, readSync, closeSync } = await import('node:fs');
  const fd = openSync(place, 'r');
  await volume.scrub('manifest', Number.POSITIVE_INFINITY);
  const bytes = Buffer.alloc(10_000, 1);
  expect(readSync(fd, bytes, 0, bytes.length, 0)).toBe(10_000);
  expect(bytes.every((byte) => byte === 0)).toBe(true);
  closeSync(fd);
  volume.close();
});

test('a planted link is removed, and what it leads to stays', async () => {
  const { folder, volume } = await drive('planted');
  const victim = path.join(root, 'victim');
  writeFileSync(victim, 'precious');
  symlinkSync(victim, path.join(folder, 'objects/000/000003.1'));
  symlinkSync(root, path.join(folder, 'objects/001'));
  writeFileSync(path.join(root, '001000.1'), 'precious');
  await expect(eraseFolder(volume, { full: true, onBytes: () => {} })).rejects.toThrow('plain folder');
  expect(readFileSync(victim, 'utf8')).toBe('precious');
  expect(readFileSync(path.join(root, '001000.1'), 'utf8')).toBe('precious');
  volume.close();
});
