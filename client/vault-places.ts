/** Where a vault or a landing container is, and making it fit for that: a bucket with its rights, or a folder. */
import { Failure } from '../domain/failure.ts';
import { storageAccess } from '../host/secrets.ts';
import { type BucketRole, prepareBucket } from '../store/bucket.ts';
import { preparePlace } from '../store/directory-store.ts';
import { folderOf } from '../store/object-store.ts';
import type { Invocation } from './invocation.ts';

/** The embedded S3 server's bucket of that name. @throws Failure `Usage` where nothing is embedded */
export function embeddedUrl(call: Invocation, name: string): string {
  if (call.settings.embedded) return `s3://seedship-${name}`;
  throw new Failure('Usage', '--destination is missing', {
    why: 'no embedded S3 server runs here',
    next: 'seedship up',
  });
}

/** Makes a bucket or folder fit for a vault or a landing container. */
export async function preparePlaceOf(call: Invocation, kind: 'vault' | 'landing', url: string): Promise<void> {
  if (url.startsWith('file:')) return preparePlace(folderOf(url));
  const access = storageAccess(call.settings, url, 'owner', call.text('endpoint'));
  if (access) await prepareBucket({ kind, url, access, identities: identitiesOf(call) });
}

const BUCKET_ROLES: readonly BucketRole[] = ['machine', 'copy', 'datacenter', 'vault', 'control', 'operator'];

function identitiesOf(call: Invocation): Partial<Record<BucketRole, readonly string[]>> {
  if (call.settings.embedded) return Object.fromEntries(BUCKET_ROLES.map((role) => [role, [role]]));
  const given: Partial<Record<BucketRole, string[]>> = {};
  for (const text of call.list('identity')) {
    const [role = '', name = ''] = text.split('=');
    const known = BUCKET_ROLES.find((one) => one === role);
    if (!known || name === '')
      throw new Failure('Usage', `--identity ${text} is not ROLE=NAME`, { why: BUCKET_ROLES.join(', ') });
    given[known] = [...(given[known] ?? []), name];
  }
  return given;
}
