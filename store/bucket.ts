/**
 * A bucket made fit for a vault or a landing container, by its owner: created, versioned, and with a
 * policy that lets each party do its part and nothing else. The table below is the whole of it.
 *
 *   machine     adds, and reads what it builds on; it can neither read, list nor remove packs, and lists
 *               nothing but datacenters, and versions of what it may read
 *   copy        learns whom drives are wrapped to, adds the wraps of drive keys, and requests
 *   datacenter  reads those wraps, adds what it takes from drives
 *   vault       carries everything on, and removes
 *   control, operator   keep and read the books
 *
 * S3 cannot forbid overwriting to one who may add; versions keep the older bytes, and readers take the
 * newest that matches (s3-store.ts). So whoever may read may list the versions of that, too. Principals are
 * SeaweedFS users by name, or whole ARNs.
 */
import { Failure } from '../domain/failure.ts';
import { bucketOf, type S3Access } from './object-store.ts';
import {
  CONFIG_NAME,
  COPY_LOGS,
  DRIVE_KEYS,
  INDEXES,
  PACK_SETS,
  PACKS,
  POINTS,
  RECEIPTS,
  RECORDS,
  REPAIRS,
  REQUESTS,
  RUNS,
  TOMBSTONES,
  TREES,
} from './places.ts';
import { httpStatus, storageFailure } from './s3-failure.ts';
import { connect } from './s3-store.ts';

export type BucketKind = 'vault' | 'landing';
export type BucketRole = 'machine' | 'copy' | 'datacenter' | 'vault' | 'control' | 'operator';

/** Prefixes a role may add to, read, list and remove from; an empty prefix is all of the place. */
interface Rights {
  readonly add?: readonly string[];
  readonly read?: readonly string[];
  readonly list?: readonly string[];
  readonly remove?: readonly string[];
}

const BOOKS = [CONFIG_NAME, RECORDS, RECEIPTS, POINTS, PACK_SETS, REQUESTS, COPY_LOGS, TOMBSTONES, RUNS];
const CARRIED = [PACKS, TREES, INDEXES, PACK_SETS, POINTS, RECEIPTS, REQUESTS, RUNS];
/** What is typed at a machine is recorded by it, signed. */
const MACHINE_RECORDS = ['machine', 'protection', 'job'];
const ALL = [''];

const RIGHTS: Record<BucketKind, Partial<Record<BucketRole, Rights>>> = {
  vault: {
    machine: {
      add: [...CARRIED, REPAIRS, ...MACHINE_RECORDS.map((kind) => `${RECORDS}${kind}/`)],
      read: [...BOOKS, INDEXES, REPAIRS],
      list: [`${RECORDS}datacenter/`], // so that one can be chosen where a job is started
    },
    copy: { read: [`${RECORDS}datacenter/`] },
    vault: { add: ALL, read: ALL, list: ALL, remove: ALL },
    control: { add: [RECORDS, REQUESTS, RECEIPTS, RUNS], read: BOOKS, list: [RECORDS, RECEIPTS, POINTS, REQUESTS] },
    operator: { add: [RECORDS, REQUESTS], read: BOOKS, list: [RECORDS, RECEIPTS, POINTS, REQUESTS] },
  },
  landing: {
    copy: { add: [DRIVE_KEYS, REQUESTS] },
    datacenter: {
      add: [PACKS, TREES, INDEXES, RECEIPTS, COPY_LOGS, REQUESTS],
      read: ALL,
      list: ALL,
    },
    vault: { add: ALL, read: ALL, list: ALL, remove: ALL },
    control: { read: [REQUESTS, RECEIPTS, COPY_LOGS], list: [REQUESTS, RECEIPTS, COPY_LOGS] },
    operator: { add: [REQUESTS, DRIVE_KEYS], read: [RECEIPTS, COPY_LOGS] }, // wraps come with a journal file
  },
};

export interface BucketPlan {
  readonly kind: BucketKind;
  /** `s3://bucket/prefix` */
  readonly url: string;
  /** Of the bucket's owner. */
  readonly access: S3Access;
  /** Names of the identities that play each role. */
  readonly identities: Partial<Record<BucketRole, readonly string[]>>;
}

/**
 * Creates the bucket if it is not there, switches versions on, and sets its policy. Repeating it with
 * other identities replaces the policy. @throws Failure `StorageRefused` for anyone but the owner
 */
export async function prepareBucket({ kind, url, access, identities }: BucketPlan): Promise<void> {
  const { bucket, prefix } = bucketOf(url);
  const { sdk, client } = await connect(access);
  try {
    await client.send(new sdk.CreateBucketCommand({ Bucket: bucket })).catch(async (error: unknown) => {
      if (httpStatus(error) !== 409) throw error;
      await client.send(new sdk.HeadBucketCommand({ Bucket: bucket })); // ours already, or someone else's
    });
    const VersioningConfiguration = { Status: 'Enabled' } as const;
    await client.send(new sdk.PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
    const Policy = JSON.stringify(bucketPolicy({ kind, bucket, prefix, identities }));
    await client.send(new sdk.PutBucketPolicyCommand({ Bucket: bucket, Policy }));
  } catch (error) {
    throw storageFailure(error);
  } finally {
    client.destroy();
  }
}

interface Statement {
  readonly Effect: 'Allow';
  readonly Principal: { readonly AWS: readonly string[] };
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: { readonly StringLike: { readonly 's3:prefix': readonly string[] } };
}

type PolicyPlan = Omit<BucketPlan, 'url' | 'access'> & { readonly bucket: string; readonly prefix: string };

/** The policy document; also for an operator who sets it by hand. */
export function bucketPolicy({ kind, bucket, prefix, identities }: PolicyPlan) {
  const statements: Statement[] = [];
  for (const [role, rights] of Object.entries(RIGHTS[kind])) {
    const AWS = (Object.entries(identities).find(([name]) => name === role)?.[1] ?? []).map(principal);
    if (AWS.length === 0) continue;
    const objects = (names: readonly string[]) => names.map((name) => `arn:aws:s3:::${bucket}/${prefix}${name}*`);
    const allow = (names: readonly string[] | undefined, ...Action: string[]): void => {
      if (names) statements.push({ Effect: 'Allow', Principal: { AWS }, Action, Resource: objects(names) });
    };
    allow(rights.add, 's3:PutObject');
    allow(rights.read, 's3:GetObject', 's3:GetObjectVersion');
    allow(rights.remove, 's3:DeleteObject', 's3:DeleteObjectVersion');
    const allowList = (names: readonly string[] | undefined, Action: string): void => {
      if (!names) return;
      const where = within(names.map((name) => `${prefix}${name}`));
      statements.push({
        ...{ Effect: 'Allow', Principal: { AWS }, Action: [Action], Resource: [`arn:aws:s3:::${bucket}`] },
        ...where,
      });
    };
    allowList(rights.list, 's3:ListBucket');
    allowList(rights.read, 's3:ListBucketVersions');
  }
  if (statements.length === 0) throw new Failure('Configuration', 'nobody is given any part in this bucket');
  return { Version: '2012-10-17', Statement: statements };
}

/** A pattern asks for a character at least, so that it would keep whoever may list all from doing so at once. */
function within(prefixes: readonly string[]): Pick<Statement, 'Condition'> {
  if (prefixes.includes('')) return {};
  return { Condition: { StringLike: { 's3:prefix': prefixes.map((name) => `${name}*`) } } };
}

function principal(identity: string): string {
  return identity.startsWith('arn:') ? identity : `arn:aws:iam::000000000000:user/${identity}`;
}
