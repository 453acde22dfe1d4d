/**
 * Where everything lies, in every place the same:
 *
 *   packs/ab/<digest>   trees/ab/<digest>   index/<digest>   pack-sets/<digest>
 *   points/<machine>/<sequence>-<digest>    sequence: ten digits, so that names sort as they were made
 *   receipts/<run>/<step>   keys/drives/<drive>/<epoch>                         staging, landing and vault
 *   order/<run>/NNN/NNNNNN   which object is the run's n-th                     a limited staging alone
 *   requests/<digest>   copy-logs/<digest>                                      landing and vault
 *   config   keys/slots/<slot>   records/<kind>/<id>/<revision>                 the vault alone
 *   repairs/<digest>   tombstones/<digest>   runs/<run>
 *
 * A name holds only what cannot leave its place: letters, digits, hyphen, underscore and dot, no part
 * starting with a dot. What people choose is narrower still (domain/names.ts).
 */
import { type Digest, isDigest } from '../domain/names.ts';
import type { RecordKind } from '../domain/record.ts';
import { CorruptError } from '../format/cursor.ts';

const OBJECT_NAME = /^(?!\.)[A-Za-z0-9._-]+(\/(?!\.)[A-Za-z0-9._-]+)*$/;
const NAME_BYTES_MAX = 512;
const SEQUENCE_DIGITS = 10;
const REVISION_DIGITS = 8;
const EPOCH_DIGITS = 4;
const ORDER_DIGITS = 6;

/** @throws CorruptError for a name that could leave its place, or that a reader would not look at */
export function checkObjectName(name: string): string {
  if (name.length > NAME_BYTES_MAX || !OBJECT_NAME.test(name)) throw new CorruptError('object name: not allowed');
  return name;
}

export const PACKS = 'packs/';
export const TREES = 'trees/';
export const INDEXES = 'index/';
export const PACK_SETS = 'pack-sets/';
export const POINTS = 'points/';
export const RECEIPTS = 'receipts/';
export const DRIVE_KEYS = 'keys/drives/';
export const SLOTS = 'keys/slots/';
export const ORDERS = 'order/';
export const REQUESTS = 'requests/';
export const COPY_LOGS = 'copy-logs/';
export const RECORDS = 'records/';
export const REPAIRS = 'repairs/';
export const TOMBSTONES = 'tombstones/';
export const RUNS = 'runs/';
export const CONFIG_NAME = 'config';

/** The first two digits spread a large place over 256 folders. */
function spread(prefix: string, digest: Digest): string {
  return `${prefix}${digest.slice(0, 2)}/${digest}`;
}

/** A pack of file data. */
export function packName(digest: Digest): string {
  return spread(PACKS, digest);
}

/** A pack of directory records. */
export function treeName(digest: Digest): string {
  return spread(TREES, digest);
}

/** A part of a chunk index. */
export function indexName(digest: Digest): string {
  return `${INDEXES}${digest}`;
}

/** The names a recovery point needs. */
export function packSetName(digest: Digest): string {
  return `${PACK_SETS}${digest}`;
}

/** A recovery point; `sequence` counts the machine's own from 1. */
export function pointName(machine: string, sequence: number, digest: Digest): string {
  return `${pointPrefix(machine)}${padded(sequence, SEQUENCE_DIGITS)}-${digest}`;
}

/** All points of a machine. */
export function pointPrefix(machine: string): string {
  return `${POINTS}${machine}/`;
}

/** What a step of a run has signed. `run` may have parts (`seed/main/hq`), which become part of the name. */
export function receiptName(run: string, step: string): string {
  return checkObjectName(`${RECEIPTS}${run}/${step}`);
}

/** Which object a run made as its `number`-th, from 0 on. */
export function orderName(run: string, number: number): string {
  const digits = padded(number, ORDER_DIGITS);
  return checkObjectName(`${ORDERS}${run}/${digits.slice(0, 3)}/${digits}`);
}

/** The wraps of a drive's key, one an epoch. */
export function driveKeyName(drive: string, epoch: number): string {
  return `${DRIVE_KEYS}${drive}/${padded(epoch, EPOCH_DIGITS)}`;
}

/** What a person asked for, signed where it was typed. */
export function requestName(digest: Digest): string {
  return `${REQUESTS}${digest}`;
}

/** What a datacenter took from a drive, and what it refused. */
export function copyLogName(digest: Digest): string {
  return `${COPY_LOGS}${digest}`;
}

/** One revision of a record, counted from 1. */
export function recordName(kind: RecordKind, id: string, revision: number): string {
  return checkObjectName(`${recordPrefix(kind, id)}${padded(revision, REVISION_DIGITS)}`);
}

/** All revisions of a record. */
export function recordPrefix(kind: RecordKind, id: string): string {
  return `${RECORDS}${kind}/${id}/`;
}

/** What replaces a lost pack. */
export function repairName(digest: Digest): string {
  return `${REPAIRS}${digest}`;
}

/** A pack that is about to be removed. */
export function tombstoneName(digest: Digest): string {
  return `${TOMBSTONES}${digest}`;
}

/** A run that is under way: removal waits for it. */
export function runName(run: string): string {
  return checkObjectName(`${RUNS}${run}`);
}

/** A key slot of a vault: `passphrase`, `words`, … */
export function slotName(slot: string): string {
  return checkObjectName(`${SLOTS}${slot}`);
}

export interface PointName {
  readonly machine: string;
  readonly sequence: number;
  readonly digest: Digest;
}

/** Reads the name of a point; `undefined` when it is the name of something else. */
export function parsePointName(name: string): PointName | undefined {
  const [, machine, sequence, digest = ''] = /^points\/([^/]+)\/(\d{10})-([0-9a-f]{64})$/.exec(name) ?? [];
  if (machine === undefined || !isDigest(digest)) return undefined;
  return { machine, sequence: Number(sequence), digest };
}

/** The digest at the end of a name made of one; `undefined` for any other. */
export function digestOfName(name: string): Digest | undefined {
  const last = name.slice(name.lastIndexOf('/') + 1);
  const digest = last.slice(-64);
  return isDigest(digest) && (last === digest || last.endsWith(`-${digest}`)) ? digest : undefined;
}

export interface RecordName {
  readonly kind: string;
  readonly id: string;
  readonly revision: number;
}

/** Reads the name of a record's revision; `undefined` when it is the name of something else. */
export function parseRecordName(name: string): RecordName | undefined {
  const [, kind, id, revision] = /^records\/([^/]+)\/([^/]+)\/(\d{8})$/.exec(name) ?? [];
  return kind === undefined || id === undefined ? undefined : { kind, id, revision: Number(revision) };
}

function padded(count: number, digits: number): string {
  if (!Number.isSafeInteger(count) || count < 0) throw new RangeError(`places: ${count} is no count`);
  return String(count).padStart(digits, '0');
}
