import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Writer } from '../../format/cursor.ts';
import { digestBytes, digestOf, sha256 } from '../../format/digest.ts';
import { pointKey } from '../../format/key-tree.ts';
import {
  openPoint,
  openPointBody,
  type PointBody,
  type PointHead,
  pointLabel,
  signPoint,
} from '../../format/recovery-point.ts';
import { sealBytes } from '../../format/seal.ts';
import { openSession, recipientId, wrapBytes } from '../../format/session.ts';
import { signBody } from '../../format/signature.ts';
import { digest } from './arbitrary.ts';
import { survivors, vector } from './fault.ts';
import { byMachine, bySite, signer, trust } from './parties.ts';

const golden = vector('recovery-point');
const sessionKey = golden.bytes('sessionKey');
const theirs = { vaultId: golden.text('vaultId'), ownerPublic: golden.bytes('ownerPublic') };
const by = { ...byMachine, sessionKey };
const named = (text: string) => digestOf(Buffer.from(text));

const HEAD: PointHead = {
  machine: 'hq',
  domain: 'hq',
  protection: 'home',
  sequence: 2,
  predecessor: named('point 1'),
  time: 1_795_000_000_000,
  run: 'backup/main/hq/home',
  kind: 'incremental',
  base: named('point 1'),
  packSet: named('pack set'),
  recipientId: golden.bytes('recipientId'),
  wrap: golden.bytes('wrap'),
};
const BODY: PointBody = {
  root: golden.bytes('root'),
  items: [Buffer.from('/home'), Buffer.from('/srv/\xff', 'latin1')],
  files: 7,
  directories: 3,
  bytes: 2 ** 40,
  skipped: 1,
  changed: 0,
  skippedPaths: [{ path: Buffer.from('/home/x\xff', 'latin1'), reason: 'EACCES' }],
};

describe('recovery point', () => {
  test('made by other code, its head opens for everyone, its body for who has the session key', () => {
    const signed = golden.bytes('signed');
    const point = openPoint(signed, { trust: theirs, name: digestOf(signed), place: { machine: 'hq', sequence: 2 } });
    expect(point.head).toEqual(HEAD);
    expect(openPointBody(point, sessionKey)).toEqual(BODY);
  });

  test('the owner gets the session key from its wrap', async () => {
    const { head } = openPoint(golden.bytes('signed'), { trust: theirs });
    const session = vector('session');
    expect(head.recipientId).toEqual(recipientId(session.text('recipient')));
    expect(await openSession(head.wrap, session.text('identity'))).toEqual(sessionKey);
  });

  test('what was written is read back, whatever it is', () => {
    const text = fc.string({ maxLength: 60, unit: 'binary' });
    const path = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    const optional = fc.option(digest, { nil: undefined });
    const count = fc.maxSafeNat();
    const head = fc.record({
      protection: text,
      sequence: fc.nat(0xffffffff),
      predecessor: optional,
      time: fc.maxSafeInteger(),
      run: text,
      kind: fc.constantFrom<PointHead['kind'][]>('initial', 'incremental'),
      base: optional,
      packSet: digest,
    });
    const body = fc.record({
      root: digest.map(digestBytes),
      items: fc.array(path),
      files: count,
      directories: count,
      bytes: count,
      skipped: count,
      changed: count,
      skippedPaths: fc.array(fc.record({ path, reason: text })),
    });
    fc.assert(
      fc.property(head, body, (parts, content) => {
        const whole = { ...HEAD, ...parts };
        const signed = signPoint(whole, content, by);
        const point = openPoint(signed, { trust, name: digestOf(signed) });
        expect(point.head).toEqual(whole);
        expect(openPointBody(point, sessionKey)).toEqual(content);
      }),
    );
  });

  test('every truncation and every flipped byte is refused', () => {
    const open = (bytes: Buffer) => openPointBody(openPoint(bytes, { trust: theirs }), sessionKey);
    expect(survivors(golden.bytes('signed'), open, ['CorruptError', 'TamperedError'])).toEqual([]);
  });

  test('nothing of the body stands in clear', () => {
    const signed = signPoint({ ...HEAD, run: 'nightly' }, BODY, by);
    for (const text of [...BODY.items, BODY.root, Buffer.from('EACCES')].map((bytes) => Buffer.from(bytes)))
      expect(signed.includes(text)).toBe(false);
    expect(() => openPointBody(openPoint(signed, { trust }), sha256(sessionKey))).toThrow('point: the seal is broken');
  });

  test('one body is not taken for that of another head', () => {
    const [one, other] = [HEAD, { ...HEAD, sequence: 3 }].map((head) =>
      openPoint(signPoint(head, BODY, by), { trust }),
    );
    if (!one || !other) throw new Error('unreachable');
    expect(() => openPointBody({ ...one, bound: other.bound, salt: other.salt }, sessionKey)).toThrow();
    expect(() =>
      openPointBody({ ...one, bound: Buffer.concat([one.bound.subarray(1), Buffer.of(0)]) }, sessionKey),
    ).toThrow('the seal is broken');
  });

  test.each([
    ['name', { name: named('other') }, 'point: not the bytes of its name'],
    ['machine', { place: { machine: 'branch', sequence: 2 } }, 'lies under another name than its own'],
    ['sequence', { place: { machine: 'hq', sequence: 3 } }, 'lies under another name than its own'],
  ])('under another %s it is refused, though genuine', (_, expected, reason) => {
    expect(() => openPoint(golden.bytes('signed'), { trust: theirs, ...expected })).toThrow(reason);
  });

  test('a machine states points of its own only, and of its own domain', () => {
    const other = { signer: signer('machine', 'branch', 'hq'), trust, sessionKey };
    expect(() => openPoint(signPoint(HEAD, BODY, other), { trust })).toThrow('point: of hq, signed by branch');
    const outside = { signer: signer('machine', 'hq', 'branch'), trust, sessionKey };
    expect(() => openPoint(signPoint(HEAD, BODY, outside), { trust })).toThrow("a domain that is not its signer's");
    expect(() => signPoint(HEAD, BODY, { ...bySite, sessionKey })).toThrow(RangeError);
  });

  test('is called by its protection, its sequence and the beginning of its digest', () => {
    const name = named('point');
    expect(pointLabel({ protection: 'hq', sequence: 1 }, name)).toBe(`hq-0001-${name.slice(0, 4)}`);
    expect(pointLabel({ protection: 'hq', sequence: 12345 }, name)).toBe(`hq-12345-${name.slice(0, 4)}`);
  });
});

describe('a point that a hostile machine signed', () => {
  interface Odd {
    readonly predecessor?: number;
    readonly time?: bigint;
    readonly kind?: number;
    readonly wrap?: Buffer;
    readonly sealed?: (writer: Writer) => Writer;
  }

  function pointWith({ predecessor = 0, time = 0n, kind = 1, wrap = HEAD.wrap as Buffer, sealed }: Odd): Buffer {
    const salt = sha256(Buffer.from('salt'));
    const writer = new Writer().prelude('SSPT').text8('hq').text8('hq').text8('home').u32(1).u8(predecessor);
    writer
      .i64big(time)
      .text8('run')
      .u8(kind)
      .u8(0)
      .bytes(Buffer.alloc(32))
      .bytes(HEAD.recipientId)
      .bytes16(wrap)
      .bytes(salt);
    const bound = Buffer.from(writer.finish());
    const plain = sealed ? sealed(new Writer()).finish() : Buffer.alloc(0);
    return signBody('point', writer.bytes32(sealBytes(pointKey(sessionKey, salt), plain, bound)).finish(), byMachine);
  }

  test.each<[string, Odd, string]>([
    ['a predecessor neither there nor not', { predecessor: 2 }, 'neither there nor not'],
    ['a time past all clocks', { time: 2n ** 62n }, 'a time that is none'],
    ['an unknown kind', { kind: 3 }, 'unknown kind'],
    ['a wrap for two', { wrap: Buffer.alloc(wrapBytes(2)) }, 'wrap: '],
  ])('with %s is refused', (_, odd, reason) => {
    expect(() => openPoint(pointWith(odd), { trust })).toThrow(reason);
  });

  const counted = (writer: Writer, items: number): Writer => writer.bytes(Buffer.alloc(32)).u16(items);
  test.each<[string, (writer: Writer) => Writer, string]>([
    ['no body', (writer) => writer, 'point body: ends too early'],
    ['65535 items', (writer) => counted(writer, 0xffff), 'ends too early'],
    [
      '4294967295 skipped paths',
      (writer) => counted(writer, 0).bytes(Buffer.alloc(40)).u32(0xffffffff),
      'ends too early',
    ],
    [
      'more files than a number holds',
      (writer) => counted(writer, 0).bytes(Buffer.alloc(40, 0xff)).u32(0),
      'larger than 2^53',
    ],
    ['bytes behind its body', (writer) => counted(writer, 0).bytes(Buffer.alloc(45)), 'bytes too many'],
  ])('with %s is refused', (_, sealed, reason) => {
    const point = openPoint(pointWith({ sealed }), { trust });
    expect(() => openPointBody(point, sessionKey)).toThrow(reason);
  });
});
