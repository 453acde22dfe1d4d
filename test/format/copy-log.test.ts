import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { CopyOutcome } from '../../domain/copy-code.ts';
import { isTaken, openCopyLog, signCopyLog } from '../../format/copy-log.ts';
import { digestOf } from '../../format/digest.ts';
import { signBody } from '../../format/signature.ts';
import { digest, numbered } from './arbitrary.ts';
import { survivors, vector } from './fault.ts';
import { byMachine, bySite, trust } from './parties.ts';

const golden = vector('copy-log');
const at = { drive: golden.text('drive'), job: golden.text('job') };
const theirs = { vaultId: golden.text('vaultId'), ownerPublic: golden.bytes('ownerPublic') };
const OUTCOMES: CopyOutcome[] = [
  'taken',
  'present',
  'absent',
  'unreadable',
  'altered',
  'broken',
  'foreign',
  'occupied',
  'short',
];

describe('copy log', () => {
  test('made by other code, it opens', () => {
    const { log, signer } = openCopyLog(golden.bytes('signed'), {
      ...at,
      trust: theirs,
      name: digestOf(golden.bytes('signed')),
    });
    expect(signer).toMatchObject({ role: 'site', id: 'dock.eu-west.bay4' });
    expect(log.manifest).toBe(digestOf(Buffer.from('manifest')));
    expect(log.objects.map((object) => [object.number, object.outcome, object.offset, isTaken(object)])).toEqual([
      [0, 'taken', undefined, true],
      [7, 'altered', 0, false],
    ]);
  });

  test('what was written is read back, whatever it is', () => {
    fc.assert(
      fc.property(
        numbered,
        fc.constantFrom(...OUTCOMES),
        digest,
        fc.option(fc.nat()),
        (objects, outcome, manifest, begins) => {
          const where = begins === null ? {} : { offset: begins };
          const log = {
            ...at,
            manifest,
            objects: objects.map(({ number, kind, name, length }) => ({
              number,
              kind,
              name,
              length,
              outcome,
              ...where,
            })),
          };
          expect(openCopyLog(signCopyLog(log, bySite), { ...at, trust }).log).toEqual(log);
        },
      ),
    );
  });

  test('every truncation and every flipped byte is refused', () => {
    const open = (bytes: Buffer) => openCopyLog(bytes, { ...at, trust: theirs });
    expect(survivors(golden.bytes('signed'), open, ['CorruptError', 'TamperedError'])).toEqual([]);
  });

  test('of another drive or job it is refused, though genuine', () => {
    for (const other of [{ drive: 'FFFFFFFFFFFFFFFF' }, { job: 'another' }])
      expect(() => openCopyLog(golden.bytes('signed'), { ...at, ...other, trust: theirs })).toThrow('of another drive');
  });

  test('only a dock or a datacenter makes one', () => {
    const log = { ...at, manifest: digestOf(Buffer.from('m')), objects: [] };
    expect(() => signCopyLog(log, byMachine)).toThrow('a machine signs no copy-log');
  });

  test('entries out of order, cut or of an unknown outcome are neither written nor read', () => {
    const { log } = openCopyLog(golden.bytes('signed'), { ...at, trust: theirs });
    expect(() => signCopyLog({ ...log, objects: [...log.objects].reverse() }, bySite)).toThrow(RangeError);
    const body = golden.bytes('signed').subarray(-64 - 2 * 46 - 4 - 32 - 8 - 8 - 6, -64);
    const resigned = (change: (bytes: Buffer) => Buffer) =>
      openCopyLog(signBody('copy-log', change(Buffer.from(body)), bySite), { ...at, trust }).log;
    const written = (value: number, from: number) => (bytes: Buffer) => {
      bytes.writeUInt8(value, bytes.length - from);
      return bytes;
    };
    expect(resigned((bytes) => bytes)).toEqual(log);
    expect(() => resigned(written(10, 5))).toThrow('copy log: unknown outcome');
    expect(() => resigned(written(0, 5))).toThrow('copy log: unknown outcome');
    expect(() => resigned(written(0, 46))).toThrow('not sorted by number');
    expect(() => resigned(written(3, 2 * 46 + 4))).toThrow('not the 3 objects it says');
    expect(() => resigned((bytes) => bytes.subarray(0, -1))).toThrow('not the 2 objects it says');
  });
});
