import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { digestOf, sha256 } from '../../format/digest.ts';
import { openDriveFile } from '../../format/drive-seal.ts';
import { decodeJournal, JOURNAL_RECORD_BYTES, JournalWriter } from '../../format/journal.ts';
import { numbered } from './arbitrary.ts';
import { survivors, vector } from './fault.ts';

const golden = vector('journal');
const bytes = golden.bytes('bytes');
const expected = { drive: golden.text('drive'), epoch: Number(golden.text('epoch')) };
const head = {
  ...expected,
  job: 'hq-2026',
  packSet: digestOf(Buffer.from('pack set')),
  wrap: digestOf(Buffer.from('wrap 2')),
};

describe('journal', () => {
  test('written by other code, it is read and written alike here', () => {
    const journal = decodeJournal(bytes, expected);
    expect(journal).toMatchObject({ ...head, session: '000102030405060708090a0b0c0d0e0f', tornBytes: 0 });
    expect(journal.objects.map(({ number, kind, length }) => [number, kind, length])).toEqual([
      [0, 'pack', 67108864],
      [7, 'tree', 4096],
    ]);
    const writer = new JournalWriter(head, Buffer.from(journal.session, 'hex'));
    expect(Buffer.concat([writer.head, ...journal.objects.map((object) => writer.append(object))])).toEqual(bytes);
  });

  test('mirrored on the drive by other code, it opens', () => {
    const at = { driveKey: golden.bytes('driveKey'), place: 'journal.2' };
    expect(openDriveFile(golden.bytes('mirrored'), at)).toEqual(bytes);
  });

  test('what was appended is read back, whatever it is', () => {
    fc.assert(
      fc.property(numbered, (objects) => {
        const writer = new JournalWriter(head);
        const written = Buffer.concat([writer.head, ...objects.map((object) => writer.append(object))]);
        expect(decodeJournal(written, expected)).toMatchObject({ ...head, objects, tornBytes: 0 });
      }),
    );
  });

  test('torn anywhere in its last record, it is read without that record', () => {
    for (let cut = 1; cut <= JOURNAL_RECORD_BYTES; cut++) {
      const { objects, tornBytes } = decodeJournal(bytes.subarray(0, bytes.length - cut), expected);
      expect([objects.length, tornBytes]).toEqual([1, JOURNAL_RECORD_BYTES - cut]);
    }
  });

  test('a last record that never reached the medium, of its full length, is dropped too', () => {
    const torn = Buffer.from(bytes).fill(0, bytes.length - 40);
    expect(decodeJournal(torn, expected)).toMatchObject({ tornBytes: JOURNAL_RECORD_BYTES });
    expect(decodeJournal(torn, expected).objects).toHaveLength(1);
  });

  test('no fault makes it say what was not written', () => {
    const whole = decodeJournal(bytes, expected).objects;
    const lastRecord = bytes.length - JOURNAL_RECORD_BYTES;
    const read = (altered: Buffer) => {
      const { objects } = decodeJournal(altered, expected);
      expect(objects).toEqual(whole.slice(0, objects.length));
    };
    const passed = survivors(bytes, read, ['CorruptError']);
    // Only what lies in the last record, or cuts records off the end, is a torn tail.
    const outside = passed.filter((fault) => {
      const at = Number(/(\d+)/.exec(fault)?.[0]);
      return at < (fault.startsWith('cut') ? lastRecord - JOURNAL_RECORD_BYTES : lastRecord);
    });
    expect(outside).toEqual([]);
    expect(passed.every((fault) => fault.endsWith(': opened'))).toBe(true);
  });

  test('damage before the last record is refused, and says where', () => {
    const altered = Buffer.from(bytes);
    altered.writeUInt8(0xff, bytes.length - 2 * JOURNAL_RECORD_BYTES + 10);
    expect(() => decodeJournal(altered, expected)).toThrow('journal: record 0 is damaged');
  });

  test('records of another session do not fit in', () => {
    const [one, other] = [new JournalWriter(head), new JournalWriter(head)];
    const [object] = decodeJournal(bytes, expected).objects;
    if (!object) throw new Error('unreachable');
    const spliced = Buffer.concat([one.head, other.append(object), one.append(object)]);
    expect(() => decodeJournal(spliced, expected)).toThrow('record 0 is damaged');
  });

  test('a number that does not ascend is refused, though its check holds', () => {
    const [headBytes, object] = [bytes.subarray(0, bytes.length - 2 * JOURNAL_RECORD_BYTES), JOURNAL_RECORD_BYTES - 16];
    const first = bytes.subarray(headBytes.length, headBytes.length + JOURNAL_RECORD_BYTES);
    const again = first.subarray(0, object);
    const check = sha256(Buffer.concat([first.subarray(object), again])).subarray(0, 16);
    const doubled = Buffer.concat([headBytes, first, again, check]);
    expect(() => decodeJournal(doubled, expected)).toThrow('journal: objects are not sorted by number');
  });

  test('of another drive or epoch it is refused', () => {
    expect(() => decodeJournal(bytes, { ...expected, drive: 'FFFFFFFFFFFFFFFF' })).toThrow('journal: of another drive');
    expect(() => decodeJournal(bytes, { ...expected, epoch: 1 })).toThrow('journal: of another epoch');
  });

  test('an object is recorded once', () => {
    const writer = new JournalWriter(head);
    const [object] = decodeJournal(bytes, expected).objects;
    if (!object) throw new Error('unreachable');
    writer.append(object);
    expect(() => writer.append(object)).toThrow(RangeError);
  });
});
