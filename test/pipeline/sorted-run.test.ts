import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { KEY_BYTES, mergeRuns, RunWriter, SortedRun, sortRecords } from '../../pipeline/sorted-run.ts';
import { ScratchFile } from '../../store/scratch-file.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'sorted-run-'));
afterAll(() => rmSync(directory, { recursive: true }));

const keyOf = (number: number): Buffer => createHash('sha256').update(`${number}`).digest().subarray(0, KEY_BYTES);

function recordOf(key: Buffer, payload: number): Buffer {
  const record = Buffer.alloc(KEY_BYTES + 4);
  record.set(key);
  record.writeUInt32LE(payload, KEY_BYTES);
  return record;
}

function runOf(name: string, records: Buffer[]): SortedRun {
  const file = ScratchFile.create(path.join(directory, name));
  file.append(sortRecords(Buffer.concat(records), KEY_BYTES + 4));
  file.close();
  return new SortedRun(file.path, 4);
}

/** Of this process, by the kernel's count. */
function readCalls(): number {
  return Number(/^syscr: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

describe('sorted run', () => {
  test.each([0, 1, 2, 169, 170, 171, 340, 5000])('every one of %i records is found, and no other', (count) => {
    const run = runOf(
      `run-of-${count}`,
      Array.from({ length: count }, (_, number) => recordOf(keyOf(number), number)),
    );
    expect(run.count).toBe(count);
    for (let number = 0; number < count; number++) expect(run.find(keyOf(number))?.readUInt32LE()).toBe(number);
    for (let number = 0; number < 500; number++) expect(run.has(keyOf(1_000_000 + number))).toBe(false);
  });

  test('keys that are not spread evenly are found too', () => {
    const keys = Array.from({ length: 3000 }, (_, number) => {
      const key = Buffer.alloc(KEY_BYTES);
      key.writeUInt32BE(number < 2990 ? number * 2 : 0xffff0000 + number * 2, 0);
      return key;
    });
    const run = runOf(
      'uneven',
      keys.map((key, number) => recordOf(key, number)),
    );
    for (const [number, key] of keys.entries()) expect(run.find(key)?.readUInt32LE()).toBe(number);
    const between = Buffer.from(keys[1500] ?? []);
    between.writeUInt32BE(between.readUInt32BE(0) + 1, 0);
    expect(run.has(between)).toBe(false);
  });

  test('in one part of several that were cut by key, two reads find a record, and none tells that it lies elsewhere', () => {
    const inPart = (number: number, first: number): Buffer => {
      const key = Buffer.from(keyOf(number));
      key[0] = first + (key.readUInt8(0) & 7);
      return key;
    };
    const count = 50_000;
    const records = Array.from({ length: count }, (_, number) => recordOf(inPart(number, 0x40), number));
    const run = runOf('part-by-key', records);
    const readsOf = (lookUp: (number: number) => void): number => {
      const before = readCalls();
      for (let number = 0; number < count; number += 10) lookUp(number);
      return (readCalls() - before) / (count / 10);
    };
    expect(readsOf((number) => expect(run.find(inPart(number, 0x40))?.readUInt32LE()).toBe(number))).toBeLessThan(2.5);
    expect(readsOf((number) => expect(run.has(inPart(number, 0x80))).toBe(false))).toBeLessThan(0.1);
  });

  test('runs merge into one in order; of equal keys the first run wins', () => {
    const parts = [
      [1, 5, 9],
      [2, 5, 7],
      [5, 9, 11],
    ].map((numbers, part) =>
      runOf(
        `part-${part}`,
        numbers.map((number) => recordOf(keyOf(number), part)),
      ).records(),
    );
    const merged = path.join(directory, 'whole');
    expect(mergeRuns(parts, merged)).toBe(6);
    const run = new SortedRun(merged, 4);
    expect([1, 2, 5, 9, 11].map((number) => run.find(keyOf(number))?.readUInt32LE())).toEqual([0, 1, 0, 0, 2]);
    const keys = [...run.records()].map((record) => record.toString('hex', 0, KEY_BYTES));
    expect(keys).toEqual([...keys].sort());
  });

  test('more records than are sorted at once come out as one run; of equal keys the earlier stays', () => {
    const writer = new RunWriter(path.join(directory, 'gathered'), 4, 100);
    for (let number = 0; number < 1050; number++) writer.add(recordOf(keyOf(number % 1000), number));
    expect(writer.finish()).toBe(1000);
    const run = new SortedRun(path.join(directory, 'gathered'), 4);
    for (let number = 0; number < 1000; number++) expect(run.find(keyOf(number))?.readUInt32LE()).toBe(number);
    expect(readdirSync(directory).filter((name) => name.startsWith('gathered'))).toEqual(['gathered']);
  });
});
