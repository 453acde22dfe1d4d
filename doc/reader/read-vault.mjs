#!/usr/bin/env node
/**
 * Reads a vault without Seedship: lists its recovery points, and restores one. It needs a directory
 * copy of the vault and the passphrase or the recovery words, no server and no network.
 *
 *   node read-vault.mjs VAULT --passphrase-file FILE list
 *   node read-vault.mjs VAULT --words-file FILE restore POINT TO
 *
 * Written from doc/format.md alone, in the order of its last section; it shares no code with what
 * writes vaults, believes nothing that is not verified, and stops at the first damage. Exit 0: done;
 * 1: damaged, or not possible; 2: asked wrongly; 3: restored, but for what standard error names.
 */
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import util from 'node:util';
import { mnemonicToEntropy } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { Decrypter, identityToRecipient } from 'age-encryption';
import koffi from 'koffi';
import zstd from 'zstd-napi/binding.js';

const MIB = 1024 * 1024;
const FRAME_MAX = 2 * MIB;
const CACHE_BYTES = 128 * MIB;
const EMPTY = Buffer.alloc(0);

/** Bytes that are not what the document says, or not what was signed. */
class Damage extends Error {}

function refuse(unit, what) {
  throw new Damage(`${unit}: ${what}`);
}

// ── Conventions ─────────────────────────────────────────────────────────────────────────────────

class Cursor {
  constructor(bytes, unit) {
    this.bytes = bytes;
    this.unit = unit;
    this.at = 0;
  }

  get left() {
    return this.bytes.length - this.at;
  }

  take(length) {
    if (length > this.left) refuse(this.unit, 'ends too early');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  u8 = () => this.take(1).readUInt8();
  u16 = () => this.take(2).readUInt16LE();
  u32 = () => this.take(4).readUInt32LE();
  i64 = () => this.take(8).readBigInt64LE();
  any64 = () => this.take(8).readBigUInt64LE();
  bytes8 = () => this.take(this.u8());
  bytes16 = () => this.take(this.u16());
  bytes32 = () => this.take(this.u32());
  digest = () => this.take(32).toString('hex');

  u64() {
    const value = Number(this.any64());
    return Number.isSafeInteger(value) ? value : refuse(this.unit, 'a number above 2^53');
  }

  text8() {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.bytes8());
    } catch {
      return refuse(this.unit, 'text that is not UTF-8');
    }
  }

  prelude(magic) {
    const found = this.take(6);
    if (!found.equals(Buffer.from(`${magic}\0\x01`, 'latin1')))
      refuse(this.unit, `begins with ${shown(found)}, not ${magic} of version 0 and suite 1`);
    return this;
  }

  /** A count, and so many times `read`; each takes at least `least` bytes, so a false count takes no memory. */
  list(count, least, read) {
    if (count * least > this.left) refuse(this.unit, 'ends too early');
    return Array.from({ length: count }, read);
  }

  end() {
    if (this.left > 0) refuse(this.unit, `${this.left} bytes too many`);
  }
}

/** Refuses a list that is not ascending by `key`, which gives bytes. */
function checkAscending(unit, list, key) {
  for (let at = 1; at < list.length; at++)
    if (Buffer.compare(key(list[at - 1]), key(list[at])) >= 0) refuse(unit, 'a list that is not sorted');
}

/** Names are bytes; what a terminal might take for a command is spelled out. */
function shown(bytes) {
  const escaped = (byte) => `\\x${byte.toString(16).padStart(2, '0')}`;
  return [...bytes].map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : escaped(byte))).join('');
}

// ── Digest, Seal, Key tree ──────────────────────────────────────────────────────────────────────

function sha256(...parts) {
  const hash = crypto.createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function unseal(key, sealed, bound, unit, nonce = Buffer.alloc(12)) {
  if (sealed.length < 16) refuse(unit, 'shorter than a tag');
  const decipher = crypto.createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(bound).setAuthTag(sealed.subarray(-16));
  const plain = decipher.update(sealed.subarray(0, -16));
  try {
    decipher.final();
  } catch {
    refuse(unit, 'the tag does not hold: altered, or of another key');
  }
  return plain;
}

function derive(key, salt, label, length = 32) {
  return Buffer.from(crypto.hkdfSync('sha256', key, salt, `seedship/v0/${label}`, length));
}

/** Raw Ed25519 keys in the only form Node takes (RFC 8410). */
function publicKey(raw) {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
  return crypto.createPublicKey({ key: der, format: 'der', type: 'spki' });
}

function publicOf(seed) {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  const key = crypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return crypto.createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
}

function bech32(prefix, bytes) {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const words = bits.match(/.{1,5}/g).map((five) => Number.parseInt(five.padEnd(5, '0'), 2));
  const letters = [...prefix].map((letter) => letter.charCodeAt(0));
  let sum = 1;
  const head = [...letters.map((code) => code >> 5), 0, ...letters.map((code) => code & 31)];
  for (const word of [...head, ...words, 0, 0, 0, 0, 0, 0]) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ word;
    [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].forEach((generator, bit) => {
      if ((top >> bit) & 1) sum ^= generator;
    });
  }
  const check = [25, 20, 15, 10, 5, 0].map((shift) => ((sum ^ 1) >>> shift) & 31);
  const spelled = [...words, ...check].map((word) => 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'[word]).join('');
  return `${prefix}1${spelled}`;
}

// ── Key slot ────────────────────────────────────────────────────────────────────────────────────

/** The master key; undefined when the slot is of another kind, or this is not what opens it. */
function openSlot(bytes, secret, unit) {
  if (bytes.length !== 154) refuse(unit, `${bytes.length} bytes, not 154`);
  if (!sha256(bytes.subarray(0, 122)).equals(bytes.subarray(122))) refuse(unit, 'the checksum does not hold');
  const cursor = new Cursor(bytes, unit).prelude('SSKS');
  const [kind, log2N, r, p] = [cursor.u8(), cursor.u8(), cursor.u8(), cursor.u8()];
  const sane = kind === 1 ? log2N >= 15 && log2N <= 20 && r === 8 && p === 1 : kind === 2 && log2N + r + p === 0;
  if (!sane) refuse(unit, 'unknown kind, or parameters out of bounds');
  const [salt, check] = [cursor.take(32), cursor.take(32)];
  if ((kind === 1) !== 'passphrase' in secret) return undefined;
  const N = 2 ** log2N;
  const known =
    kind === 1
      ? crypto.scryptSync(secret.passphrase.normalize('NFKC'), salt, 32, { N, r, p, maxmem: 256 * N * r })
      : secret.entropy;
  const keys = derive(known, salt, 'key-slot', 64);
  if (!crypto.timingSafeEqual(keys.subarray(32), check)) return undefined;
  return unseal(keys.subarray(0, 32), cursor.take(48), bytes.subarray(0, 74), unit);
}

function entropyOf(text) {
  const words = text.normalize('NFKD').toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length !== 24) throw new Error(`there are ${words.length} recovery words, not 24`);
  return Buffer.from(mnemonicToEntropy(words.join(' '), wordlist));
}

// ── Signature ───────────────────────────────────────────────────────────────────────────────────

const ROLES = ['owner', 'machine', 'site', 'operator', 'datacenter'];
const MAY_SIGN = {
  point: ['machine'],
  'pack-set': ['machine'],
  repair: ['owner', 'machine', 'site'],
  removal: ['owner', 'site'],
  config: ['owner'],
};

function verify({ vaultId }, kind, place, head, key, signature, unit) {
  const signed = [`seedship/v0/${kind}\0`, Buffer.from(vaultId, 'hex'), place, sha256(head)].map((part) =>
    Buffer.from(part),
  );
  if (!crypto.verify(null, Buffer.concat(signed), publicKey(key), signature))
    refuse(unit, 'the signature does not hold');
}

function openCertificate(bytes, trust, unit) {
  const cursor = new Cursor(bytes, unit).prelude('SSCE');
  const role = ROLES[cursor.u8()];
  if (role === undefined || role === 'owner') refuse(unit, 'a certificate of an unknown role');
  const [id, key, domain] = [cursor.text8(), cursor.take(32), cursor.text8()];
  const head = bytes.subarray(0, cursor.at);
  verify(trust, 'certificate', '', head, trust.ownerPublic, cursor.take(64), `${unit}: certificate`);
  cursor.end();
  return { role, id, key, domain };
}

/** The body of a signed envelope and who signed it; `trust` undefined: the body, and nothing verified. */
function openSigned(bytes, kind, trust, { place = '', name, unit }) {
  if (name !== undefined && sha256(bytes).toString('hex') !== name) refuse(unit, 'not the bytes of its name');
  const cursor = new Cursor(bytes, unit).prelude('SSSG');
  if (cursor.text8() !== kind) refuse(unit, `not signed as ${kind}`);
  const [id, certificate, body] = [cursor.text8(), cursor.bytes16(), cursor.bytes32()];
  const head = bytes.subarray(0, cursor.at);
  const signature = cursor.take(64);
  cursor.end();
  if (!trust) return { body };
  const isOwner = certificate.length === 0 && id === 'owner';
  const signer = isOwner ? { role: 'owner', id, key: trust.ownerPublic } : openCertificate(certificate, trust, unit);
  if (signer.id !== id) refuse(unit, "a certificate that is another signer's");
  verify(trust, kind, place, head, signer.key, signature, unit);
  if (!MAY_SIGN[kind].includes(signer.role)) refuse(unit, `signed by a ${signer.role}`);
  return { body, signer };
}

// ── Session ─────────────────────────────────────────────────────────────────────────────────────

function checkWrap(wrap, unit) {
  const lines =
    /^age-encryption\.org\/v1\n-> mlkem768x25519 (\S{1494})\n(\S{43})\n--- (\S{43})\n$/.exec(
      wrap.subarray(0, -64).toString('latin1'),
    ) ?? refuse(unit, 'a wrap of another shape');
  const isCanonical = (text) => Buffer.from(text, 'base64').toString('base64').replaceAll('=', '') === text;
  if (wrap.length !== 1691 || !lines.slice(1).every(isCanonical)) refuse(unit, 'a wrap of another shape');
}

/** Opens a wrap, each once: it takes 90 ms. */
async function openWrap(vault, wrap, unit) {
  const known = wrap.toString('latin1');
  if (!vault.sessions.has(known)) {
    const decrypter = new Decrypter();
    decrypter.addIdentity(vault.restoreIdentity);
    const key = Buffer.from(await decrypter.decrypt(wrap).catch(() => refuse(unit, 'age does not open its wrap')));
    if (key.length !== 32) refuse(unit, 'a session key of another length than 32');
    vault.sessions.set(known, key);
  }
  return vault.sessions.get(known);
}

// ── The vault, and its points ───────────────────────────────────────────────────────────────────

function namesIn(vault, folder) {
  const found = path.join(vault.folder, folder);
  if (!fs.existsSync(found)) return [];
  return fs
    .readdirSync(found)
    .filter((name) => !name.startsWith('.'))
    .sort();
}

function load(vault, name) {
  return fs.readFileSync(path.join(vault.folder, name));
}

/** Steps 1 and 2: from what the owner knows to whom to believe. */
async function openVault(folder, secret) {
  const vault = { folder, sessions: new Map(), owner: undefined };
  let master;
  for (const name of namesIn(vault, 'keys/slots').map((slot) => `keys/slots/${slot}`))
    master ??= openSlot(load(vault, name), secret, name);
  if (!master) throw new Error('no key slot of this vault is opened by that: it is wrong, or of another vault');
  vault.master = master;
  vault.ownerPublic = publicOf(derive(master, EMPTY, 'owner-signing'));
  vault.restoreIdentity = bech32('age-secret-key-pq-', derive(master, EMPTY, 'restore-identity')).toUpperCase();
  vault.recipientId = sha256(await identityToRecipient(vault.restoreIdentity)).subarray(0, 16);
  const config = load(vault, 'config');
  const told = JSON.parse(openSigned(config, 'config', undefined, { unit: 'config' }).body.toString());
  if (!/^[0-9a-f]{32}$/.test(told.id)) refuse('config', 'no vault id');
  vault.vaultId = told.id;
  openSigned(config, 'config', vault, { place: 'config', unit: 'config' });
  return vault;
}

const optionalDigest = (cursor) => {
  const there = cursor.u8();
  if (there > 1) refuse(cursor.unit, 'neither there nor not');
  return there === 1 ? cursor.digest() : undefined;
};

/** Step 3. */
function openPoint(vault, machine, file) {
  const unit = `points/${machine}/${file}`;
  const [, sequence, name] = /^(\d{10})-([0-9a-f]{64})$/.exec(file) ?? refuse(unit, 'not the name of a point');
  const { body, signer } = openSigned(load(vault, unit), 'point', vault, { name, unit });
  const cursor = new Cursor(body, unit).prelude('SSPT');
  const point = { unit, name, machine: cursor.text8(), domain: cursor.text8(), protection: cursor.text8() };
  point.sequence = cursor.u32();
  if (point.machine !== machine || point.machine !== signer.id || point.domain !== signer.domain)
    refuse(unit, 'not of the machine or domain that signed it');
  if (point.sequence !== Number(sequence)) refuse(unit, 'not of the sequence its name says');
  point.predecessor = optionalDigest(cursor);
  point.time = new Date(Number(cursor.i64()));
  cursor.text8(); // run
  point.kind = [undefined, 'initial', 'incremental'][cursor.u8()] ?? refuse(unit, 'unknown kind');
  optionalDigest(cursor); // base
  point.packSet = cursor.digest();
  checkRecipient(vault, cursor.take(16), unit);
  point.wrap = cursor.bytes16();
  checkWrap(point.wrap, unit);
  point.salt = cursor.take(32);
  point.bound = body.subarray(0, cursor.at);
  point.sealed = cursor.bytes32();
  cursor.end();
  point.label = `${point.protection}-${String(point.sequence).padStart(4, '0')}-${name.slice(0, 4)}`;
  return point;
}

function checkRecipient(vault, id, unit) {
  if (!vault.recipientId.equals(id)) refuse(unit, 'wrapped for another recipient');
}

function allPoints(vault) {
  return namesIn(vault, 'points').flatMap((machine) =>
    namesIn(vault, `points/${machine}`).map((file) => openPoint(vault, machine, file)),
  );
}

/** Step 4: what only the owner can read of a point. */
async function openPointBody(vault, point) {
  const key = derive(await openWrap(vault, point.wrap, point.unit), point.salt, 'point');
  const cursor = new Cursor(unseal(key, point.sealed, point.bound, point.unit), `${point.unit}: body`);
  const body = { root: cursor.digest() };
  body.items = cursor.list(cursor.u16(), 2, () => cursor.bytes16());
  [body.files, body.directories, body.bytes, body.skipped, body.changed] = [1, 2, 3, 4, 5].map(() => cursor.u64());
  body.list = cursor.list(cursor.u32(), 5, () => ({ path: cursor.bytes32(), reason: cursor.text8() }));
  cursor.end();
  return body;
}

// ── Stored objects, Pack set, Repair, Removal ───────────────────────────────────────────────────

const KINDS = [undefined, 'pack', 'tree', 'index', 'pack-set', 'point'];

function storedObject(cursor, kinds = 3) {
  const code = cursor.u8();
  if (code < 1 || code > kinds) refuse(cursor.unit, 'an unknown kind of object');
  const object = { kind: KINDS[code], name: cursor.digest(), length: cursor.u32() };
  const folder = { pack: `packs/${object.name.slice(0, 2)}`, tree: `trees/${object.name.slice(0, 2)}`, index: 'index' };
  return { ...object, at: `${folder[object.kind]}/${object.name}` };
}

function storedObjects(cursor, kinds) {
  const list = cursor.list(cursor.u32(), 37, () => storedObject(cursor, kinds));
  checkAscending(cursor.unit, list, ({ name }) => Buffer.from(name, 'hex'));
  return list;
}

function openPackSet(vault, name, domain) {
  const unit = `pack-sets/${name}`;
  const { body, signer } = openSigned(load(vault, unit), 'pack-set', vault, { name, unit });
  if (signer.domain !== domain) refuse(unit, "signed outside the point's domain");
  const cursor = new Cursor(body, unit).prelude('SSPS');
  const form = cursor.u8();
  if (form < 1 || form > 3) refuse(unit, 'unknown form');
  const set =
    form === 2
      ? { base: cursor.digest(), added: storedObjects(cursor), removed: storedObjects(cursor) }
      : { full: form === 1 ? storedObjects(cursor) : objectsInOrder(cursor) };
  cursor.end();
  return set;
}

function objectsInOrder(cursor) {
  const list = cursor.list(cursor.u32(), 37, () => storedObject(cursor));
  if (new Set(list.map(({ name }) => name)).size < list.length) refuse(cursor.unit, 'a name occurs twice');
  return list;
}

function membersOf(vault, { packSet, domain }) {
  const set = openPackSet(vault, packSet, domain);
  if (set.full) return set.full;
  const base = openPackSet(vault, set.base, domain);
  if (!base.full) refuse(`pack-sets/${packSet}`, 'a delta that stands on a delta');
  const members = new Map(base.full.map((object) => [object.name, object]));
  for (const { name } of set.removed) members.delete(name);
  for (const object of set.added) members.set(object.name, object);
  return [...members.values()];
}

function openRepairs(vault) {
  return namesIn(vault, 'repairs').map((name) => {
    const unit = `repairs/${name}`;
    const { body } = openSigned(load(vault, unit), 'repair', vault, { name, unit });
    const cursor = new Cursor(body, unit).prelude('SSRP');
    const lost = cursor.list(cursor.u32(), 41, () => ({ lost: storedObject(cursor), by: storedObjects(cursor) }));
    checkAscending(unit, lost, (entry) => Buffer.from(entry.lost.name, 'hex'));
    const count = cursor.u32();
    const salt = count > 0 ? cursor.take(32) : EMPTY;
    const bound = body.subarray(0, cursor.at);
    const sealed = count > 0 ? cursor.take(cursor.left) : EMPTY;
    cursor.end();
    return { unit, lost, count, salt, bound, sealed };
  });
}

/** Chunks that repairs say nobody has any more. A repair of another domain does not open, and is not for us. */
function goneChunks(repairs, indexKey) {
  const gone = new Set();
  for (const { unit, count, salt, bound, sealed } of repairs) {
    if (count === 0) continue;
    let ids;
    try {
      ids = unseal(derive(indexKey, salt, 'gone'), sealed, bound, unit);
    } catch (error) {
      if (error instanceof Damage) continue;
      throw error;
    }
    if (ids.length !== count * 32) refuse(unit, `not the ${count} chunks it says`);
    for (let at = 0; at < ids.length; at += 32) gone.add(ids.toString('hex', at, at + 32));
  }
  return gone;
}

/** Names of points that were withdrawn. */
function removedPoints(vault) {
  return namesIn(vault, 'tombstones').flatMap((name) => {
    const unit = `tombstones/${name}`;
    const { body } = openSigned(load(vault, unit), 'removal', vault, { name, unit });
    const cursor = new Cursor(body, unit).prelude('SSRM');
    cursor.text8();
    const point = () => `${cursor.text8()} ${cursor.u32()} ${cursor.digest()}`;
    const points = cursor.list(cursor.u32(), 37, point);
    storedObjects(cursor, 5);
    cursor.end();
    return points.map((text) => text.split(' ')[2]);
  });
}

/**
 * Step 5: the objects to read for `members`. What is not good itself is made good by a repair, if all its
 * stand-ins are; `find` says why an object is not good, and undefined when it is.
 */
function goodObjects(members, repairs, find) {
  const good = new Map();
  const look = (object, asked) => {
    const trouble = find(object);
    if (trouble === undefined) return [object];
    const below = new Set(asked).add(object.name);
    const groups = repairs.flatMap(({ lost }) => lost.filter((entry) => entry.lost.name === object.name));
    for (const { by } of asked.has(object.name) ? [] : groups) {
      const found = by.map((other) => look(other, below));
      if (found.every(Array.isArray)) return found.flat();
    }
    return trouble;
  };
  const missing = [];
  for (const object of members) {
    const found = look(object, new Set());
    if (!Array.isArray(found)) missing.push(found);
    else for (const other of found) good.set(other.name, other);
  }
  return { good: [...good.values()], missing };
}

// ── Pack, Frame ─────────────────────────────────────────────────────────────────────────────────

/** Why the object is not the bytes of its name. */
function troubleOf(vault, { at, name, length }) {
  let bytes;
  try {
    bytes = load(vault, at);
  } catch (error) {
    return `${at}: ${error.code === 'ENOENT' ? 'is not there' : error.message}`;
  }
  if (bytes.length !== length) return `${at}: ${bytes.length} bytes, not ${length}`;
  return sha256(bytes).toString('hex') === name ? undefined : `${at}: not the bytes of its name`;
}

/** Step 6: header, trailer and table of a pack; its frames can be read afterwards. */
async function openPack(vault, { at, kind, length }, indexKey) {
  const bytes = load(vault, at);
  if (bytes.length !== length || length > 64 * MIB) refuse(at, `${length} bytes are too many`);
  const cursor = new Cursor(bytes, at).prelude('SSPK');
  if (cursor.u8() !== (kind === 'pack' ? 1 : 2)) refuse(at, 'a pack of the other kind');
  checkRecipient(vault, cursor.take(16), at);
  const [salt, wrap] = [cursor.take(32), cursor.bytes16()];
  checkWrap(wrap, at);
  const header = Buffer.from(bytes.subarray(0, cursor.at));
  const trailer = new Cursor(bytes.subarray(-8), at);
  const tableStart = length - 8 - trailer.u32();
  if (!trailer.take(4).equals(Buffer.from('KPSS'))) refuse(at, 'has no end');
  if (length - 8 < header.length || tableStart < header.length) refuse(at, 'a table that does not fit');
  const rows = unseal(derive(indexKey, salt, 'table'), bytes.subarray(tableStart, -8), header, `${at}: table`);
  const frames = readRows(new Cursor(rows, `${at}: table`), header.length);
  const last = frames.at(-1);
  if ((last ? last.start + last.sealed : header.length) !== tableStart) refuse(at, 'bytes between frames and table');
  const key = derive(await openWrap(vault, wrap, at), salt, 'pack');
  const pack = { at, file: path.join(vault.folder, at), header, key, frames };
  checkPadding(pack, last, length);
  return pack;
}

function readRows(cursor, first) {
  let start = first;
  const frames = cursor.list(cursor.u32(), 13, () => {
    const flags = cursor.u8();
    const frame = { start, flags, sealed: cursor.u32(), plain: cursor.u32() };
    const payload = frame.sealed - 16;
    frame.chunks = cursor.list(cursor.u32(), 36, () => ({ id: cursor.digest(), length: cursor.u32() }));
    const held = frame.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const fits = flags === 1 ? payload > 0 && payload < frame.plain : payload === frame.plain;
    if (flags > 2 || frame.plain < 1 || frame.plain > FRAME_MAX || !fits) refuse(cursor.unit, 'a frame that cannot be');
    const full = flags === 2 ? frame.chunks.length === 0 : held === frame.plain;
    if (!full || frame.chunks.some(({ length }) => length === 0))
      refuse(cursor.unit, 'chunks that do not fill a frame');
    start += frame.sealed;
    return frame;
  });
  cursor.end();
  if (frames.slice(0, -1).some(({ flags }) => flags === 2)) refuse(cursor.unit, 'padding in the middle');
  if (frames.reduce((sum, frame) => sum + frame.chunks.length, 0) > 65_536) refuse(cursor.unit, 'too many chunks');
  return frames;
}

function checkPadding(pack, last, length) {
  if (last?.flags !== 2) return length < 63 * MIB ? refuse(pack.at, 'has no padding') : undefined;
  const exponent = Math.floor(Math.log2(length));
  const step = 2 ** (exponent - Math.floor(Math.log2(exponent)) - 1);
  const zeros = openFrame(pack, pack.frames.length - 1).every((byte) => byte === 0);
  return length % step === 0 && zeros ? undefined : refuse(pack.at, 'padding that is none');
}

const inflater = new zstd.DCtx();

function openFrame({ at, file, header, key, frames }, number) {
  const { start, sealed, plain, flags } = frames[number];
  const unit = `${at}: frame ${number}`;
  const [bytes, place] = [Buffer.alloc(sealed), Buffer.alloc(4)];
  const fd = fs.openSync(file);
  const got = fs.readSync(fd, bytes, 0, sealed, start);
  fs.closeSync(fd);
  if (got !== sealed) refuse(unit, 'ends too early');
  place.writeUInt32LE(number);
  const nonce = Buffer.concat([place, Buffer.alloc(8)]);
  const payload = unseal(key, bytes, Buffer.concat([header, place]), unit, nonce);
  if (flags !== 1) return payload;
  const room = Buffer.alloc(plain);
  try {
    if (inflater.decompress(room, payload) === plain) return room;
  } catch {
    // no zstd frame, or one of more bytes than promised
  }
  return refuse(unit, `not the ${plain} bytes its table says`);
}

/** All chunks of a point: of data packs, and the records of tree packs. */
class Chunks {
  constructor() {
    this.packs = [];
    this.places = { pack: new Map(), tree: new Map() };
    this.frames = new Map();
    this.held = 0;
  }

  add(pack, kind) {
    const number = this.packs.push(pack) - 1;
    pack.frames.forEach(({ chunks }, frame) => {
      let offset = 0;
      for (const { id, length } of chunks) {
        this.places[kind].set(id, [number, frame, offset, length]);
        offset += length;
      }
    });
  }

  has(kind, id) {
    return this.places[kind].has(id);
  }

  /** Step 7: the bytes of a chunk, compared with its id. */
  bytes(kind, id) {
    const place = this.places[kind].get(id);
    if (!place) refuse(`${kind === 'pack' ? 'chunk' : 'record'} ${id}`, 'is in no pack of the point');
    const [number, frame, offset, length] = place;
    const bytes = this.#frame(number, frame).subarray(offset, offset + length);
    if (sha256(bytes).toString('hex') !== id) refuse(this.packs[number].at, `chunk ${id} has other bytes`);
    return bytes;
  }

  /** What was used last stays, up to 128 MiB. */
  #frame(number, frame) {
    const key = `${number} ${frame}`;
    const bytes = this.frames.get(key) ?? openFrame(this.packs[number], frame);
    if (this.frames.delete(key)) this.held -= bytes.length;
    this.frames.set(key, bytes);
    this.held += bytes.length;
    for (const [oldest, { length }] of this.frames) {
      if (this.held <= CACHE_BYTES) break;
      this.frames.delete(oldest);
      this.held -= length;
    }
    return bytes;
  }
}

// ── Tree ────────────────────────────────────────────────────────────────────────────────────────

const TYPES = [undefined, 'file', 'directory', 'symlink', 'block', 'char', 'fifo', 'socket'];

function loadRecord(chunks, id) {
  const unit = `record ${id}`;
  const bytes = chunks.bytes('tree', id);
  if (bytes.length > FRAME_MAX) refuse(unit, 'too long');
  const cursor = new Cursor(bytes, unit);
  return { kind: cursor.u8(), cursor };
}

/** The entries of a directory, in order of name. */
function* entriesOf(chunks, id) {
  const { kind, cursor } = loadRecord(chunks, id);
  if (kind === 1) return yield* leaf(cursor);
  if (kind !== 2) refuse(cursor.unit, 'not of a directory');
  const leaves = cursor.list(cursor.u32(), 32, () => cursor.digest());
  cursor.end();
  if (leaves.length < 2) refuse(cursor.unit, 'a node of less than two leaves');
  let last = EMPTY;
  for (const record of leaves.map((leafId) => loadRecord(chunks, leafId))) {
    if (record.kind !== 1) refuse(record.cursor.unit, 'not a leaf');
    let count = 0;
    for (const entry of leaf(record.cursor)) {
      if (Buffer.compare(last, entry.name) >= 0) refuse(record.cursor.unit, 'leaves that overlap');
      last = entry.name;
      count += 1;
      yield entry;
    }
    if (count === 0) refuse(record.cursor.unit, 'an empty leaf');
  }
  return undefined;
}

function* leaf(cursor) {
  const entries = cursor.list(cursor.u32(), 57, () => readEntry(cursor));
  cursor.end();
  checkAscending(cursor.unit, entries, ({ name }) => name);
  yield* entries;
}

function readEntry(cursor) {
  const type = TYPES[cursor.u8()] ?? refuse(cursor.unit, 'an unknown type of entry');
  const name = cursor.bytes8();
  if (name.length === 0 || ['.', '..'].includes(name.toString('latin1')) || name.includes(0) || name.includes('/'))
    refuse(cursor.unit, 'a name no file can have');
  const entry = { type, name, mode: cursor.u16(), uid: cursor.u32(), gid: cursor.u32(), mtime: cursor.i64() };
  if (entry.mode > 0o7777) refuse(cursor.unit, 'a mode of more than 12 bits');
  cursor.i64(); // ctime
  entry.file = `${cursor.any64()} ${cursor.any64()}`; // device and inode
  entry.links = cursor.u32();
  entry.attributes = cursor.list(cursor.u16(), 5, () => ({
    name: text(cursor, cursor.bytes8()),
    value: cursor.bytes32(),
  }));
  checkAscending(cursor.unit, entry.attributes, (attribute) => attribute.name);
  if (type === 'file') return { ...entry, size: cursor.u64(), chunks: readField(cursor), holes: readField(cursor) };
  if (type === 'directory') return { ...entry, record: cursor.digest() };
  if (type === 'symlink') return { ...entry, target: text(cursor, cursor.bytes16()) };
  if (type === 'block' || type === 'char') return { ...entry, device: cursor.any64() };
  return entry;
}

function text(cursor, bytes) {
  return bytes.length === 0 || bytes.includes(0) ? refuse(cursor.unit, 'a text no system call takes') : bytes;
}

function readField(cursor) {
  const form = cursor.u8();
  if (form > 1) refuse(cursor.unit, 'an unknown form of field');
  return form === 0 ? { bytes: cursor.bytes32() } : { lists: cursor.list(cursor.u32(), 32, () => cursor.digest()) };
}

/** The items of a field, each of so many bytes. */
function* itemsOf(chunks, { bytes, lists = [] }, length, unit) {
  const parts = function* () {
    if (bytes) yield bytes;
    for (const id of lists) {
      const { kind, cursor } = loadRecord(chunks, id);
      if (kind !== 3 || cursor.left === 0) refuse(cursor.unit, 'not a part of a field');
      yield cursor.take(cursor.left);
    }
  };
  for (const part of parts()) {
    if (part.length % length !== 0) refuse(unit, 'half an item');
    for (let at = 0; at < part.length; at += length) yield part.subarray(at, at + length);
  }
}

/** Where the data of a file lies, hole by hole: pairs of start and end. */
function dataRanges(chunks, { size, holes }, unit) {
  const ranges = [];
  let at = 0;
  for (const item of itemsOf(chunks, holes, 16, unit)) {
    const cursor = new Cursor(item, unit);
    const [start, length] = [cursor.u64(), cursor.u64()];
    if (start < at || length === 0 || start + length > size) refuse(unit, 'a hole out of place');
    if (start > at) ranges.push([at, start]);
    at = start + length;
  }
  if (at < size) ranges.push([at, size]);
  return ranges;
}

// ── Restoring ───────────────────────────────────────────────────────────────────────────────────

const O = fs.constants;
const UTIME_OMIT = 0x3ffffffen;
const AT_SYMLINK_NOFOLLOW = 0x100;
const libc = koffi.load(null);
const calls = new Map();

/** Calls libc; the last path is only for the message. Names are bytes, with the zero at their end. */
function call(signature, ...values) {
  const known = calls.get(signature) ?? libc.func(signature);
  calls.set(signature, known);
  const result = known(...values);
  if (result >= 0) return result;
  const code = util.getSystemErrorName(-koffi.errno());
  throw Object.assign(new Error(`${/(\w+)\(/.exec(signature)[1]}: ${code}`), { code });
}

const zeroEnded = (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]);

function openAt(dir, name, flags) {
  const always = O.O_NOFOLLOW | 0o2000000; // O_CLOEXEC
  return call('int openat(int, const void *, int, uint32_t)', dir, zeroEnded(name), flags | always, 0o600);
}

class Restore {
  constructor({ chunks, gone, givenUp, to }) {
    this.chunks = chunks;
    this.gone = gone;
    this.givenUp = givenUp;
    this.to = to;
    this.firstNames = new Map();
    this.losses = 0;
    this.entries = 0;
  }

  lose(unit, what) {
    this.losses += 1;
    process.stderr.write(`${unit}: ${what}\n`);
  }

  /** Directories are descended into by descriptor, so paths have any length, and no link is followed. */
  run(root) {
    const top = fs.openSync(this.to, O.O_RDONLY | O.O_DIRECTORY);
    this.top = top;
    const stack = [{ fd: top, place: undefined, unit: '', entries: entriesOf(this.chunks, root) }];
    while (stack.length > 0) {
      const here = stack.at(-1);
      const { value: entry, done } = here.entries.next();
      if (done) {
        stack.pop();
        if (here.entry) this.finish(stack.at(-1).fd, here.entry, here.unit);
        if (here.fd !== top) fs.closeSync(here.fd);
        continue;
      }
      this.entries += 1;
      const unit = `${here.unit}/${shown(entry.name)}`;
      if (entry.type !== 'directory') {
        this.make(here, entry, unit);
        continue;
      }
      call('int mkdirat(int, const void *, uint32_t)', here.fd, zeroEnded(entry.name), 0o700);
      const fd = openAt(here.fd, entry.name, O.O_RDONLY | O.O_DIRECTORY);
      const place = { above: here.place, name: entry.name };
      stack.push({ fd, place, unit, entry, entries: entriesOf(this.chunks, entry.record) });
    }
    fs.closeSync(top);
  }

  /** Anything but a directory. */
  make(here, entry, unit) {
    const first = entry.links > 1 ? this.firstNames.get(entry.file) : undefined;
    if (first) {
      this.link(first, here.fd, entry.name);
      return;
    }
    const name = zeroEnded(entry.name);
    if (entry.type === 'file') {
      if (!this.makeFile(here.fd, entry, unit)) return;
    } else if (entry.type === 'symlink') {
      call('int symlinkat(const void *, int, const void *)', zeroEnded(entry.target), here.fd, name);
    } else if (!this.makeNode(here.fd, name, entry, unit)) return;
    this.finish(here.fd, entry, unit);
    if (entry.links > 1) this.firstNames.set(entry.file, { above: here.place, name: entry.name });
  }

  makeNode(dir, name, { type, device = 0n }, unit) {
    const bits = { block: 0o060000, char: 0o020000, fifo: 0o010000, socket: 0o140000 };
    try {
      call('int mknodat(int, const void *, uint32_t, uint64_t)', dir, name, bits[type] | 0o600, device);
      return true;
    } catch (error) {
      if (error.code !== 'EPERM') throw error;
      this.lose(unit, `a ${type} was not made: ${error.code}`);
      return false;
    }
  }

  makeFile(dir, entry, unit) {
    const ids = [...itemsOf(this.chunks, entry.chunks, 32, unit)].map((id) => id.toString('hex'));
    if (ids.some((id) => !this.chunks.has('pack', id) && (this.givenUp || this.gone.has(id)))) {
      this.lose(unit, 'not restored: a repair says that some of it is gone for good');
      return false;
    }
    const fd = openAt(dir, entry.name, O.O_WRONLY | O.O_CREAT | O.O_EXCL);
    try {
      this.fill(fd, entry, ids, unit);
    } catch (error) {
      call('int unlinkat(int, const void *, int)', dir, zeroEnded(entry.name), 0); // nothing is left that is not whole
      throw error;
    } finally {
      fs.closeSync(fd);
    }
    return true;
  }

  fill(fd, entry, ids, unit) {
    fs.ftruncateSync(fd, entry.size);
    const ranges = dataRanges(this.chunks, entry, unit).values();
    let [at, end] = [0, 0];
    for (const id of ids) {
      const bytes = this.chunks.bytes('pack', id);
      for (let done = 0; done < bytes.length; ) {
        if (at === end) [at, end] = ranges.next().value ?? refuse(unit, 'more data than it has room for');
        const written = fs.writeSync(fd, bytes, done, Math.min(bytes.length - done, end - at), at);
        done += written;
        at += written;
      }
    }
    if (at !== end || !ranges.next().done) refuse(unit, 'less data than its size says');
  }

  /** A further name for what was made under `first`, found again from the top. */
  link(first, dir, name) {
    const names = [];
    for (let place = first.above; place; place = place.above) names.unshift(place.name);
    let fd = this.top;
    for (const folder of names) {
      const below = openAt(fd, folder, O.O_RDONLY | O.O_DIRECTORY);
      if (fd !== this.top) fs.closeSync(fd);
      fd = below;
    }
    const linkat = 'int linkat(int, const void *, int, const void *, int)';
    call(linkat, fd, zeroEnded(first.name), dir, zeroEnded(name), 0);
    if (fd !== this.top) fs.closeSync(fd);
  }

  /** Owner, attributes, mode, ACLs, time: in this order none undoes another. */
  finish(dir, { type, name, mode, uid, gid, mtime, attributes }, unit) {
    const [at, spot] = [zeroEnded(name), Buffer.concat([Buffer.from(`/proc/self/fd/${dir}/`), zeroEnded(name)])];
    const attempt = (what, ...values) => {
      try {
        call(...values);
        return true;
      } catch (error) {
        this.lose(unit, `${what} was not set: ${error.code}`);
        return false;
      }
    };
    const set = (attribute) => {
      const lsetxattr = 'int lsetxattr(const void *, const void *, const void *, size_t, int)';
      const { name: key, value } = attribute;
      attempt(shown(key), lsetxattr, spot, zeroEnded(key), value, value.length, 0);
    };
    const isAcl = (attribute) => attribute.name.toString('latin1').startsWith('system.posix_acl_');
    const owner = 'int fchownat(int, const void *, uint32_t, uint32_t, int)';
    const owned = attempt('owner', owner, dir, at, uid, gid, AT_SYMLINK_NOFOLLOW);
    for (const attribute of attributes) if (!isAcl(attribute)) set(attribute);
    const bits = owned ? mode : mode & 0o1777; // set-user-id would lend the rights of whoever restores
    if (type !== 'symlink') attempt('mode', 'int fchmodat(int, const void *, uint32_t, int)', dir, at, bits, 0);
    for (const attribute of attributes) if (isAcl(attribute)) set(attribute);
    const ns = ((mtime % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
    const times = new BigInt64Array([0n, UTIME_OMIT, (mtime - ns) / 1_000_000_000n, ns]);
    const utimensat = 'int utimensat(int, const void *, const void *, int)';
    attempt('time', utimensat, dir, at, times, AT_SYMLINK_NOFOLLOW);
  }
}

/** Who restores into a directory that hands down rights of its own would get other trees than were backed up. */
function prepareTarget(to) {
  process.umask(0);
  if (!fs.existsSync(to)) fs.mkdirSync(to, 0o700);
  if (fs.readdirSync(to).length > 0) throw new Error(`${to} is not empty`);
  const acl = Buffer.from('system.posix_acl_default\0');
  const getxattr = libc.func('int64_t getxattr(const void *, const void *, void *, size_t)');
  if (getxattr(zeroEnded(Buffer.from(to)), acl, null, 0) > 0) throw new Error(`${to} has a default ACL`);
}

// ── What is asked ───────────────────────────────────────────────────────────────────────────────

function listPoints(vault) {
  const [points, repairs, removed] = [allPoints(vault), openRepairs(vault), new Set(removedPoints(vault))];
  const sizes = new Map();
  const find = ({ at, length }) => {
    if (!sizes.has(at)) sizes.set(at, fs.statSync(path.join(vault.folder, at), { throwIfNoEntry: false })?.size);
    return sizes.get(at) === length ? undefined : `${at}: is not there`;
  };
  for (const point of points) {
    const { missing } = goodObjects(membersOf(vault, point), repairs, find);
    const state = missing.length === 0 ? 'complete' : `waits for ${missing.length}, first ${missing[0]}`;
    const { label, kind, machine, time, unit } = point;
    process.stdout.write(`${label}  ${time.toISOString()}  ${machine}  ${kind}  ${state}\n  ${unit}\n`);
    const known = points.some((other) => other.name === point.predecessor);
    if (point.predecessor ? !known && !removed.has(point.predecessor) : point.sequence > 1)
      process.stderr.write(`${unit}: the point before it is not there, and was not removed\n`);
  }
  return 0;
}

function findPoint(vault, text) {
  const found = allPoints(vault).filter(({ unit, name, label }) => [unit, name, label].includes(text));
  if (found.length === 1) return found[0];
  throw new Error(
    found.length === 0 ? `there is no point ${text}` : `${text} names ${found.length} points: use one's whole name`,
  );
}

async function restorePoint(vault, text, to) {
  const point = findPoint(vault, text);
  const indexKey = derive(vault.master, EMPTY, `index/${point.domain}`);
  const body = await openPointBody(vault, point);
  const repairs = openRepairs(vault);
  const troubles = new Map();
  const find = (object) => {
    if (!troubles.has(object.at)) troubles.set(object.at, troubleOf(vault, object));
    return troubles.get(object.at);
  };
  const needed = membersOf(vault, point).filter(({ kind }) => kind !== 'index');
  const { good, missing } = goodObjects(needed, repairs, find);
  if (missing.length > 0) throw new Damage(missing.join('\n'));
  const chunks = new Chunks();
  for (const object of good)
    if (object.kind !== 'index') chunks.add(await openPack(vault, object, indexKey), object.kind);
  prepareTarget(to);
  const given = new Set(
    repairs.flatMap(({ lost }) => lost.flatMap(({ lost: { name }, by }) => (by.length ? [] : [name]))),
  );
  const givenUp = needed.some((object) => given.has(object.name) && find(object) !== undefined);
  const restore = new Restore({ chunks, gone: goneChunks(repairs, indexKey), givenUp, to });
  restore.run(body.root);
  for (const { path: skipped, reason } of body.list)
    process.stderr.write(`${shown(skipped)}: not backed up: ${reason}\n`);
  const told = `${restore.entries} entries restored, ${body.skipped} were not backed up, ${restore.losses} losses`;
  process.stdout.write(`${point.label}: ${told}\n`);
  return restore.losses > 0 ? 3 : 0;
}

const USAGE = `read-vault.mjs VAULT --passphrase-file FILE list
read-vault.mjs VAULT --words-file FILE restore POINT TO
`;

async function main() {
  const options = { 'passphrase-file': { type: 'string' }, 'words-file': { type: 'string' } };
  const { values, positionals } = util.parseArgs({ options, allowPositionals: true });
  const [folder, verb, ...rest] = positionals;
  const [passphrase, words] = [values['passphrase-file'], values['words-file']];
  const isAsked = (verb === 'list' && rest.length === 0) || (verb === 'restore' && rest.length === 2);
  if (!isAsked || (passphrase === undefined) === (words === undefined)) {
    process.stderr.write(USAGE);
    return 2;
  }
  const known = fs.readFileSync(passphrase ?? words, 'utf8').replace(/\r?\n$/, '');
  const vault = await openVault(folder, words === undefined ? { passphrase: known } : { entropy: entropyOf(known) });
  return verb === 'list' ? listPoints(vault) : restorePoint(vault, ...rest);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.code?.startsWith?.('ERR_PARSE_ARGS') ? 2 : 1;
}
