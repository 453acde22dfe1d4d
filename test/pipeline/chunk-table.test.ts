import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test } from '@jest/globals';
import { ChunkTable, newTableMemory } from '../../pipeline/chunk-table.ts';
import { KEY_BYTES } from '../../pipeline/sorted-run.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'chunk-table-'));
afterAll(() => rmSync(directory, { recursive: true }));

const THREADS = 2;

const idOf = (number: number): Buffer => createHash('sha256').update(`chunk ${number}`).digest();

/**
 * Inserts chunks first…end in a thread of its own; answers how many were new. Threads begin together,
 * and keep together: at every hundredth chunk each waits for the others, so that they meet.
 */
function insertInThread(
  memory: SharedArrayBuffer,
  beat: SharedArrayBuffer,
  first: number,
  end: number,
): Promise<number> {
  const code = `
    import { createHash } from 'node:crypto';
    import { parentPort, workerData } from 'node:worker_threads';
    const { ChunkTable } = await import(workerData.module);
    const table = new ChunkTable(workerData);
    const ids = [];
    for (let n = workerData.first; n < workerData.end; n++) ids.push(createHash('sha256').update('chunk ' + n).digest());
    const met = new Int32Array(workerData.beat);
    const meet = (round) => {
      Atomics.add(met, 0, 1);
      while (Atomics.load(met, 0) < round * ${THREADS});
    };
    let fresh = 0;
    for (const [at, id] of ids.entries()) {
      if (at % 100 === 0) meet(at / 100 + 1);
      if (table.insert(id)) fresh += 1;
    }
    parentPort.postMessage(fresh);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    workerData: {
      module: new URL('../../dist/pipeline/chunk-table.js', import.meta.url).href,
      memory,
      beat,
      known: [],
      directory,
      first,
      end,
    },
  });
  return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
}

describe('chunk table', () => {
  test('a chunk is new once', () => {
    const table = new ChunkTable({ memory: newTableMemory(16), known: [], directory });
    expect(table.insert(idOf(1))).toBe(true);
    expect(table.insert(idOf(1))).toBe(false);
    expect(table.has(idOf(1))).toBe(true);
    expect(table.has(idOf(2))).toBe(false);
  });

  test('ids that share 128 bits and differ after are two chunks', () => {
    const table = new ChunkTable({ memory: newTableMemory(16), known: [], directory });
    const twin = Buffer.from(idOf(1));
    twin.writeUInt8(twin.readUInt8(17) ^ 1, 17);
    expect(table.insert(idOf(1))).toBe(true);
    expect(table.insert(twin)).toBe(true);
  });

  test('of several threads exactly one is told that a chunk is new, while the table grows and spills', async () => {
    const memory = newTableMemory(15); // 24,576 keys between spills
    const beat = new SharedArrayBuffer(4);
    const fresh = await Promise.all(Array.from({ length: THREADS }, () => insertInThread(memory, beat, 0, 80_000)));
    expect(fresh.reduce((sum, count) => sum + count, 0)).toBe(80_000);
    const table = new ChunkTable({ memory, known: [], directory });
    const merged = path.join(directory, 'merged');
    expect(table.mergeInto(merged)).toBe(80_000);
    const keys = readFileSync(merged);
    expect(keys.length).toBe(80_000 * KEY_BYTES);
    for (let at = KEY_BYTES; at < keys.length; at += KEY_BYTES)
      expect(keys.compare(keys, at - KEY_BYTES, at, at, at + KEY_BYTES)).toBeGreaterThan(0);
  });

  test('what is known from before is not new', () => {
    const known = path.join(directory, 'known');
    const before = new ChunkTable({ memory: newTableMemory(16), known: [], directory });
    for (let number = 0; number < 1000; number++) before.insert(idOf(number));
    before.mergeInto(known);
    const table = new ChunkTable({ memory: newTableMemory(16), known: [known], directory });
    for (let number = 0; number < 1000; number++) expect(table.insert(idOf(number))).toBe(false);
    expect(table.insert(idOf(1000))).toBe(true);
    expect(table.has(idOf(999))).toBe(true);
  });

  test('what is known and held in memory is found the same, and is known to the next when nothing came to it', () => {
    const [known, again] = [path.join(directory, 'known-1'), path.join(directory, 'known-2')];
    const before = new ChunkTable({ memory: newTableMemory(16), known: [], directory });
    for (let number = 0; number < 1000; number++) before.insert(idOf(number));
    before.mergeInto(known);
    for (const heldMax of [0, 20_000]) {
      rmSync(again, { force: true });
      const table = new ChunkTable({ memory: newTableMemory(16), known: [known], directory, heldMax });
      for (let number = 0; number < 2000; number++) expect(table.has(idOf(number))).toBe(number < 1000);
      expect(table.mergeInto(again)).toBe(1000);
      expect(readFileSync(again).equals(readFileSync(known))).toBe(true);
      table.insert(idOf(5000));
      rmSync(again);
      expect(table.mergeInto(again)).toBe(1001);
      expect(readFileSync(known)).toHaveLength(1000 * KEY_BYTES);
    }
  });
});
