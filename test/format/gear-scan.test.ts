/** The module's bytes are what their text says, by a compiler we did not write; its results are the chunker's tests'. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import compiler from 'wabt';
import { gearScan, gearScanModule, SCANNED_AT } from '../../format/gear-scan.ts';

test('gear-scan.wat compiles to the module', async () => {
  const text = readFileSync('format/gear-scan.wat', 'utf8');
  const module = (await compiler()).parseWat('gear-scan.wat', text);
  module.validate();
  expect(gearScanModule()).toEqual(Buffer.from(module.toBinary({}).buffer));
});

test('an empty range holds nothing, and what is outside of the memory is an error', () => {
  const { memory, scan } = gearScan(100);
  expect(scan(SCANNED_AT + 64, SCANNED_AT + 64, 44)).toBe(0);
  new Uint8Array(memory).fill(1, 0, 2048); // so that no hash is 0
  expect(() => scan(SCANNED_AT + 64, memory.byteLength + 1, 0)).toThrow(/out of bounds/);
});
