/**
 * What a person asked of a job, signed by the computer it was typed at (kind 'request', see signature.ts)
 * and named by its digest. The body is JSON: workflow id, the name of the update, when it was typed, and
 * the update's argument as it was sent, but for the digest of this.
 */
import type { Digest } from '../domain/names.ts';
import { DAY } from '../domain/units.ts';
import { CorruptError } from './cursor.ts';
import { type Identity, openSigned, type Signer, signBody, type Trust } from './signature.ts';

export interface ActRequest {
  readonly workflowId: string;
  readonly act: string;
  /** ISO, UTC; of the computer it was typed at. */
  readonly at: string;
  readonly asked: Readonly<Record<string, unknown>>;
}

/** An act as the workflow accepted it; `asked` where it is still at hand. */
export interface AcceptedAct extends Omit<ActRequest, 'asked'> {
  readonly by: string;
  readonly asked?: Readonly<Record<string, unknown>>;
}

/** A request says what it says for a day: one that is sent again later is no new word of its signer. */
const VALID_MS = DAY;

/** Signs what is asked. */
export function signActRequest(
  { workflowId, act, at, asked }: ActRequest,
  by: { readonly signer: Signer; readonly trust: Trust },
): Buffer {
  return signBody('request', Buffer.from(JSON.stringify({ workflowId, act, at, asked })), by);
}

/**
 * Opens a request.
 * @throws CorruptError when the bytes are not those of the name, or no request; TamperedError when no party of
 *   this vault signed it
 */
export function openActRequest(
  bytes: Uint8Array,
  { trust, name }: { readonly trust: Trust; readonly name: Digest },
): { readonly request: ActRequest; readonly signer: Identity } {
  const { body, signer } = openSigned(bytes, { kind: 'request', trust, name });
  const { workflowId, act, at, asked } = fieldsOf(body);
  if (typeof workflowId !== 'string' || typeof act !== 'string' || typeof at !== 'string' || !isObject(asked))
    throw new CorruptError('request: not what a request says');
  return { request: { workflowId, act, at, asked }, signer };
}

/** Why a request does not stand for an act that was accepted; `undefined` when it does. */
export function doubtOf({ request, signer }: ReturnType<typeof openActRequest>, said: AcceptedAct): string | undefined {
  if (request.workflowId !== said.workflowId) return 'it is of another job';
  if (request.act !== said.act) return `it asks for ${request.act}`;
  if (signer.id !== said.by) return `${signer.id} signed it`;
  if (!(Math.abs(Date.parse(request.at) - Date.parse(said.at)) <= VALID_MS)) return 'it was signed on another day';
  if (said.asked !== undefined && inOrder(request.asked) !== inOrder(said.asked)) return 'it asks for something else';
  return undefined;
}

function fieldsOf(body: Buffer): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'));
    return isObject(parsed) ? parsed : {};
  } catch {
    throw new CorruptError('request: no JSON inside');
  }
}

/** As JSON, with the names of every object in one order. */
function inOrder(value: unknown): string {
  const sorted = (_: string, one: unknown) =>
    isObject(one) ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1))) : one;
  return JSON.stringify(value, sorted);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
