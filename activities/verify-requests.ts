/**
 * Before what people did is written down: the request each act names is looked up, and held against what
 * was accepted. It is kept in the vault beside the record, whoever's computer had laid it into landing.
 *
 * An act whose request is not there, or does not fit, was accepted all the same and happened: the record says
 * so, and of whom it is not known. Acts without a request were typed in the Web UI.
 */
import type { Digest } from '../domain/names.ts';
import type { Act, JobState } from '../domain/record.ts';
import { doubtOf, openActRequest } from '../format/act-request.ts';
import { CorruptError } from '../format/cursor.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { requestName } from '../store/places.ts';
import type { Site } from './open-site.ts';

/** The acts as they are recorded. */
export async function verifyRequests(
  site: Site,
  { state, workflowId, landing }: { readonly state: JobState; readonly workflowId: string; readonly landing?: string },
): Promise<readonly Act[]> {
  const places = new Set([landing, ...state.drives.map((drive) => drive.landing)].flatMap((place) => place ?? []));
  const verified: Act[] = [];
  for (const act of state.acts) verified.push(await verify(site, { act, workflowId, places }));
  return verified;
}

interface Claimed {
  readonly act: Act;
  readonly workflowId: string;
  readonly places: ReadonlySet<string>;
}

async function verify(site: Site, { act, workflowId, places }: Claimed): Promise<Act> {
  const { asked, ...plain } = act;
  const { request: name, by, at } = plain;
  if (name === undefined) return plain;
  try {
    const bytes = await find(site, name, places);
    if (!bytes) return { ...plain, doubt: 'it is not there' };
    const opened = openActRequest(bytes, { trust: site.trust, name });
    const doubt = doubtOf(opened, { workflowId, act: act.act, by, at, ...(asked && { asked }) });
    if (doubt !== undefined) return { ...plain, doubt };
    await site.vault.put(requestName(name), bytes, { digest: name });
    return { ...plain, signedBy: `${opened.signer.role} ${opened.signer.id}` };
  } catch (error) {
    if (error instanceof CorruptError) return { ...plain, doubt: error.message };
    throw error;
  }
}

async function find(site: Site, name: Digest, places: ReadonlySet<string>): Promise<Buffer | undefined> {
  const kept = await read(site.vault, name);
  if (kept) return kept;
  for (const place of places) {
    const laid = await read(site.open(site.placeAt(place)), name);
    if (laid) return laid;
  }
  return undefined;
}

async function read(store: ObjectStore, name: Digest): Promise<Buffer | undefined> {
  return (await store.head(requestName(name))) && store.getExact(requestName(name), name);
}
