/** Pieces written past the cache and through it make the same file, wherever they begin and end. */
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, expect, test } from '@jest/globals';
import { pageBytes } from '../../store/system-calls.ts';
import { TargetFile, TargetRoom } from '../../store/target-file.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'seedship-target-file-'));
afterAll(() => rmSync(dir, { recursive: true }));
const page = pageBytes();

/** Pieces that cover `bytes`, in an order of their own. */
function shuffled(bytes: Buffer, ends: readonly number[]): { at: number; piece: Buffer }[] {
  const pieces = ends.map((end, number) => ({ at: ends[number - 1] ?? 0, end }));
  return pieces
    .map(({ at, end }) => ({ at, piece: bytes.subarray(at, end), order: randomBytes(4).readUInt32LE() }))
    .sort((a, b) => a.order - b.order);
}

function written(name: string, bytes: Buffer, ends: readonly number[], room: TargetRoom | undefined): string {
  const file = path.join(dir, name);
  const fd = openSync(file, 'wx+');
  const target = new TargetFile(fd, bytes.length, room);
  for (const { at, piece } of shuffled(bytes, ends)) target.write(piece, at);
  target.endDirect();
  closeSync(fd);
  return file;
}

test('pieces of every length and place are where they belong, with nothing between them lost', () => {
  const room = new TargetRoom();
  const bytes = randomBytes(24_000_001);
  for (let round = 0; round < 12; round += 1) {
    const ends: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = [1, page - 1, page, 70_000, 300_000, 1_048_576, 2_000_003][randomBytes(1).readUInt8() % 7] ?? 1;
      at = Math.min(bytes.length, at + length);
      ends.push(at);
    }
    const file = written(`round-${round}`, bytes, ends, room);
    expect(readFileSync(file).equals(bytes)).toBe(true);
    rmSync(file);
  }
});

test('a file that may have been begun before is written through the cache, and is the same', () => {
  const bytes = randomBytes(3_000_000);
  const file = written('again', bytes, [1_500_001, bytes.length], undefined);
  expect(readFileSync(file).equals(bytes)).toBe(true);
});

test('what is never written stays a hole', () => {
  const file = path.join(dir, 'holes');
  const fd = openSync(file, 'wx+');
  const target = new TargetFile(fd, 50_000_000, new TargetRoom());
  const bytes = randomBytes(1_000_000);
  target.write(bytes, 20_000_123);
  target.endDirect();
  closeSync(fd);
  const status = statSync(file);
  expect([status.size, status.blocks * 512 < 1_200_000]).toEqual([50_000_000, true]);
  expect(readFileSync(file).subarray(20_000_123, 21_000_123).equals(bytes)).toBe(true);
});

test('two threads that write neighbouring pieces at once do not undo each other', async () => {
  const bytes = randomBytes(40_000_000);
  const file = path.join(dir, 'two');
  closeSync(openSync(file, 'wx+'));
  const module = new URL('../../dist/store/target-file.js', import.meta.url).href;
  const program = `
    import { openSync, closeSync } from 'node:fs';
    import { workerData } from 'node:worker_threads';
    const { TargetFile, TargetRoom } = await import(${JSON.stringify(module)});
    const { bytes, file, first } = workerData;
    const fd = openSync(file, 'r+');
    const target = new TargetFile(fd, bytes.length, new TargetRoom());
    const piece = 333_333;
    for (let at = first * piece; at < bytes.length; at += 2 * piece) target.write(bytes.subarray(at, at + piece), at);
    target.endDirect();
    closeSync(fd);`;
  const code = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
  const ended = [0, 1].map((first) => {
    const worker = new Worker(code, { workerData: { bytes, file, first } });
    return new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  });
  expect(await Promise.all(ended)).toEqual([0, 0]);
  expect(readFileSync(file).equals(bytes)).toBe(true);
});
