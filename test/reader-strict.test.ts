/**
 * What a hostile machine could state, with every name and signature right: the stand-alone reader finds it
 * out by seals, ids and rules alone, and makes nothing of it. Vaults here are made byte by byte.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf, sha256 } from '../format/digest.ts';
import { FrameOpener, FrameSealer, SEALED_BYTES_MAX, sealPayload } from '../format/frame.ts';
import { newWords, sealSlot } from '../format/key-slot.ts';
import { deriveDomain, deriveOwner, newMaster } from '../format/key-tree.ts';
import { openPackTable, PackBuilder, type PackKind, packSealOf } from '../format/pack.ts';
import { signPackSet } from '../format/pack-set.ts';
import { signPoint } from '../format/recovery-point.ts';
import { newAgeIdentity, newSession, recipientId, type Session } from '../format/session.ts';
import { certify, newSigningSeed, newVaultId, ownerSigner, publicKeyOf, signerFrom } from '../format/signature.ts';
import type { StoredObject } from '../format/stored-object.ts';
import { EMPTY_FIELD, type TreeEntry } from '../format/tree.ts';
import { encodeTree, holesField } from '../format/tree-builder.ts';
import { signVaultConfig } from '../format/vault-config.ts';
import { packName, packSetName, pointName, treeName } from '../store/places.ts';

const READER = fileURLToPath(new URL('../doc/reader/read-vault.mjs', import.meta.url));
const bench = mkdtempSync(path.join(tmpdir(), 'reader-strict-'));
const words = newWords();
const master = newMaster();
const owner = deriveOwner(master);
const trust = { vaultId: newVaultId(), ownerPublic: owner.publicKey };
const { indexKey } = deriveDomain(master, 'hq');
const tools = { sealer: new FrameSealer(3), opener: new FrameOpener(), into: Buffer.alloc(SEALED_BYTES_MAX) };
const DATA = Buffer.from('the bytes of a file, sealed and signed');
let recipient: string;
let session: Session;

function machine(domain: string) {
  const seed = newSigningSeed();
  const identity = { role: 'machine', id: 'hq', publicKey: publicKeyOf(seed), domain } as const;
  return { signer: signerFrom(seed, certify(owner, identity, trust.vaultId), trust), trust };
}

const FILE = {
  ...{ type: 'file', name: Buffer.from('file'), mode: 0o644, uid: 0, gid: 0, mtimeNs: 1n, ctimeNs: 1n, device: 1n },
  ...{ inode: 1n, links: 1, attributes: [], size: DATA.length, chunks: { bytes: sha256(DATA) }, holes: EMPTY_FIELD },
} as const satisfies TreeEntry;

/** What is odd about a vault; nothing when it is empty. */
interface Oddity {
  readonly entries?: readonly TreeEntry[];
  readonly dataId?: Buffer;
  readonly dataKind?: PackKind;
  readonly alter?: (pack: Buffer) => Buffer;
  readonly setBy?: string;
  readonly recipient?: string;
  readonly base?: boolean;
}

let vaults = 0;

/** A vault with one point, of one data pack and one tree pack; returns its folder, and the data pack's name. */
function craft(odd: Oddity) {
  const folder = path.join(bench, `vault-${++vaults}`);
  const put = (name: string, bytes: Uint8Array): void => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), bytes);
  };
  const byOwner = { signer: ownerSigner(owner), trust };
  const config = {
    id: trust.vaultId,
    name: 'odd',
    region: 'here',
    redundancy: 'local',
    created: '2026-11-23T00:00:00Z',
  };
  put('config', signVaultConfig(config, byOwner));
  put('keys/slots/words', sealSlot({ kind: 'words', words }, master));
  const head = { wrap: session.wrap, recipientId: recipientId(odd.recipient ?? recipient) };
  const pack = (kind: PackKind, chunks: readonly (readonly [Buffer, Buffer])[]): Buffer => {
    const builder = new PackBuilder(kind, { ...head, sessionKey: session.key, indexKey });
    const frames = chunks.map(([id, plain]) => Buffer.from(builder.add(plain, [{ id, length: plain.length }], tools)));
    return Buffer.concat([builder.header, ...frames, ...builder.finish()]);
  };
  const records: [Buffer, Buffer][] = [];
  const root = encodeTree(odd.entries ?? [FILE], (record) => {
    records.push([sha256(record), Buffer.from(record)]);
    return sha256(record);
  });
  const data = (odd.alter ?? ((bytes) => bytes))(pack(odd.dataKind ?? 'data', [[odd.dataId ?? sha256(DATA), DATA]]));
  const trees = pack('tree', records);
  put(packName(digestOf(data)), data);
  put(treeName(digestOf(trees)), trees);
  const full: StoredObject[] = [
    { kind: 'pack', name: digestOf(data), length: data.length },
    { kind: 'tree', name: digestOf(trees), length: trees.length },
  ];
  const by = machine('hq');
  const setBy = odd.setBy ? machine(odd.setBy) : by;
  let set = signPackSet({ full }, setBy);
  for (const added of odd.base ? [[], []] : []) {
    put(packSetName(digestOf(set)), set);
    set = signPackSet({ base: digestOf(set), added, removed: [] }, setBy);
  }
  put(packSetName(digestOf(set)), set);
  const point = signPoint(
    {
      ...{ machine: 'hq', domain: 'hq', protection: 'odd', sequence: 1, predecessor: undefined, time: 0, run: 'run' },
      ...{ kind: 'initial', base: undefined, packSet: digestOf(set), ...head },
    },
    { root, items: [], files: 1, directories: 0, bytes: DATA.length, skipped: 0, changed: 0, skippedPaths: [] },
    { ...by, sessionKey: session.key },
  );
  put(pointName('hq', 1, digestOf(point)), point);
  return { folder, point: digestOf(point), data: packName(digestOf(data)) };
}

function restore({ folder, point }: { folder: string; point: string }) {
  const to = `${folder}-restored`;
  const asked = [READER, folder, '--words-file', path.join(bench, 'words'), 'restore', point, to];
  const { status, stderr } = spawnSync(process.execPath, asked, { encoding: 'utf8' });
  return { status, stderr, made: existsSync(to) ? readdirSync(to) : [] };
}

beforeAll(async () => {
  writeFileSync(path.join(bench, 'words'), words);
  recipient = await owner.restoreRecipient();
  session = await newSession([recipient]);
});
afterAll(() => rmSync(bench, { recursive: true }));

describe('the stand-alone reader', () => {
  test('restores a vault made byte by byte', () => {
    expect(restore(craft({}))).toEqual({ status: 0, stderr: '', made: ['file'] });
  });

  test.each<[string, (length: number) => number, string]>([
    ['the salt', () => 30, 'table: the tag does not hold'],
    ['the wrap', () => 1740, 'table: the tag does not hold'],
    ['the recipient', () => 8, 'wrapped for another recipient'],
    ['a frame', () => 1750, 'frame 0: the tag does not hold'],
    ['the padding', () => 1810, 'frame 1: the tag does not hold'],
    ['the table', (length) => length - 20, 'table: the tag does not hold'],
    ['the trailer', (length) => length - 1, 'has no end'],
  ])('finds a byte altered in %s of a pack, though the pack was named and signed so', (_, place, reason) => {
    const made = craft({
      alter: (pack) => {
        pack.writeUInt8(pack.readUInt8(place(pack.length)) ^ 1, place(pack.length));
        return pack;
      },
    });
    const { status, stderr, made: files } = restore(made);
    expect([status, files]).toEqual([1, []]);
    expect(stderr).toContain(`${made.data}: ${reason}`);
  });

  test('finds padding that hides something', () => {
    const alter = (pack: Buffer): Buffer => {
      const table = openPackTable((offset, length) => pack.subarray(offset, offset + length), pack.length, indexKey);
      const padding = table.frames.at(-1);
      if (!padding?.padding) throw new Error('the pack has no padding');
      const hidden = Buffer.alloc(padding.plainBytes, 'hidden');
      const seal = packSealOf(table, session.key);
      pack.set(sealPayload(hidden, seal, table.frames.length - 1, tools.into), padding.offset);
      return pack;
    };
    expect(restore(craft({ alter })).stderr).toContain('padding that is none');
  });

  const named = (text: string): TreeEntry => ({ ...FILE, name: Buffer.from(text, 'latin1') });
  const holes = (...list: [number, number][]) =>
    holesField(list, () => {
      throw new Error('too many');
    });

  test.each<[string, Oddity, string]>([
    [
      'other bytes than their id',
      { dataId: sha256(Buffer.from('other')), entries: [{ ...FILE, chunks: { bytes: sha256(Buffer.from('other')) } }] },
      'has other bytes',
    ],
    [
      'chunks in no pack',
      { entries: [{ ...FILE, chunks: { bytes: sha256(Buffer.from('nowhere')) } }] },
      'is in no pack of the point',
    ],
    ['data in a pack of trees', { dataKind: 'tree' }, 'a pack of the other kind'],
    ['a file called ..', { entries: [named('..')] }, 'a name no file can have'],
    ['a file with a path for a name', { entries: [named('../../escaped')] }, 'a name no file can have'],
    ['a file with a zero byte in its name', { entries: [named('a\0b')] }, 'a name no file can have'],
    ['a file longer than its data', { entries: [{ ...FILE, size: DATA.length + 1 }] }, 'less data than its size says'],
    [
      'a file shorter than its data',
      { entries: [{ ...FILE, size: DATA.length - 1 }] },
      'more data than it has room for',
    ],
    ['a hole past the end', { entries: [{ ...FILE, holes: holes([10, DATA.length]) }] }, 'a hole out of place'],
    [
      'holes that overlap',
      { entries: [{ ...FILE, size: 100, holes: holes([10, 20], [20, 20]) }] },
      'a hole out of place',
    ],
    ['a set signed outside the domain', { setBy: 'branch' }, "signed outside the point's domain"],
    ['a delta that stands on a delta', { base: true }, 'a delta that stands on a delta'],
  ])('refuses %s', (_, odd, reason) => {
    const { status, stderr, made } = restore(craft(odd));
    expect([status, stderr, made]).toEqual([1, expect.stringContaining(reason), []]);
    expect(existsSync(path.join(bench, 'escaped'))).toBe(false);
  });

  test('refuses what is wrapped for somebody else', async () => {
    const other = await newAgeIdentity();
    expect(restore(craft({ recipient: other.recipient })).stderr).toContain('wrapped for another recipient');
    const before = session;
    session = await newSession([other.recipient]);
    expect(restore(craft({})).stderr).toContain('age does not open its wrap');
    session = before;
  });
});
