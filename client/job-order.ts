/**
 * What a person orders when a job is started, from flags and from a file; the flags go before. What
 * only the datacenter and the owner may read is sealed for them; the computer it was typed at keeps
 * its own copy, so that nothing is asked twice.
 */
import { parseCopyHosts } from '../domain/copy-hosts.ts';
import { checkOrder } from '../domain/datacenter.ts';
import { Failure } from '../domain/failure.ts';
import type { DatacenterRecord } from '../domain/record.ts';
import type { JobDetails } from '../domain/seeding-job.ts';
import { parseCarrier, parseTimers, type Timers } from '../domain/shipment.ts';
import { MIB, parseSize } from '../domain/units.ts';
import { digestOf } from '../format/digest.ts';
import { newSalt } from '../format/key-tree.ts';
import { openFrom, sealTo } from '../format/session.ts';
import { readOrderFile } from '../host/order-file.ts';
import type { MachineState } from '../store/machine-state.ts';
import type { Invocation } from './invocation.ts';
import type { Door } from './vault-door.ts';

export const ORDER_KEYS = [
  'protection',
  'staging',
  'staging-limit',
  'datacenter',
  'container',
  'contact',
  'return-to',
  'return-carrier',
  'return-account',
  'return',
  'copy-host',
  'remind-days',
  'decide-days',
] as const;
export type OrderKey = (typeof ORDER_KEYS)[number];
export type JobOrder = Readonly<Partial<Record<OrderKey, string>>>;

/** What was typed, over what stands in the file. @throws Failure `Usage` naming a key that is none */
export function orderFrom(call: Invocation): JobOrder {
  const file = call.text('from');
  const written = file === undefined ? {} : readOrderFile(file, ORDER_KEYS);
  const typed = ORDER_KEYS.flatMap((key) => {
    const value = call.text(key) ?? (call.list(key).join('\n') || undefined);
    return value === undefined ? [] : [[key, value] as const];
  });
  const order: JobOrder = { ...written, ...Object.fromEntries(typed) };
  if (order.return !== undefined && order.return !== 'none')
    throw new Failure('Usage', `--return ${order.return} is not known`, {
      why: 'it is none; drives that come back need --return-carrier',
    });
  const contradicts =
    order.return === 'none' && (typed.some(([key]) => key === 'return-carrier') || order['return-account']);
  if (contradicts)
    throw new Failure('Usage', '--return none and a carrier that brings drives back contradict each other');
  return order;
}

/** Days of reminders and decision, where they were said. @throws Failure `Usage` */
export function timersOf(order: JobOrder): Timers | undefined {
  const [reminders, decision] = [order['remind-days'], order['decide-days']];
  if (reminders === undefined && decision === undefined) return undefined;
  return parseTimers(reminders ?? '3,7,13', decision ?? '14');
}

/** Whom to call, and where drives go back to: for the datacenter's eyes and the owner's. */
export interface Particulars {
  readonly contact?: string;
  readonly returnTo?: string;
  readonly returnAccount?: string;
}

export interface Sealed {
  readonly details: JobDetails;
  readonly returns: boolean;
  /** Base64, for the job's record. */
  readonly sealed?: string;
}

/** Checks what the datacenter asks for, and seals it. @throws Failure `Usage` */
export async function sealOrder(
  { state, credentials }: Door,
  datacenter: DatacenterRecord,
  order: JobOrder,
): Promise<Sealed> {
  const { contact, 'return-to': returnTo, 'return-account': returnAccount } = order;
  const typed = order.return === 'none' ? 'none' : order['return-carrier'];
  const returnCarrier = typed === undefined || typed === 'none' ? typed : parseCarrier(typed);
  const { returns } = checkOrder(datacenter, {
    ...(contact && { contact }),
    ...(returnTo && { returnTo }),
    ...(returnCarrier && { returnCarrier }),
  });
  const particulars: Particulars = {
    ...(contact && { contact }),
    ...(returnTo && { returnTo }),
    ...(returnAccount && { returnAccount }),
  };
  const { carriers } = datacenter;
  const facts = {
    ...{ contact: !!contact, returnTo: !!returnTo, returnCarrier: returnCarrier ?? 'none' },
    ...(carriers.length > 0 && { carriers }),
  };
  if (Object.keys(particulars).length === 0) return { details: facts, returns };
  const plain = Buffer.from(JSON.stringify({ ...particulars, salt: newSalt().toString('hex') }));
  const bytes = await sealTo([datacenter.recipient, credentials.restoreRecipient], plain);
  const request = await state.writeRequest(plain);
  return { details: { ...facts, sealed: digestOf(bytes), request }, returns, sealed: bytes.toString('base64') };
}

/** What this computer kept of an earlier order, as answers to the same questions. */
export function keptOrder(state: MachineState, details: JobDetails | undefined): JobOrder {
  if (!details) return {};
  const { request, returnCarrier } = details;
  const carrier: JobOrder = returnCarrier === 'none' ? { return: 'none' } : { 'return-carrier': returnCarrier };
  if (request === undefined) return carrier;
  try {
    const { contact, returnTo, returnAccount }: Particulars = JSON.parse(state.readRequest(request).toString());
    return {
      ...carrier,
      ...(contact && { contact }),
      ...(returnTo && { 'return-to': returnTo }),
      ...(returnAccount && { 'return-account': returnAccount }),
    };
  } catch (error) {
    if (error instanceof Failure && error.code === 'NotFound') return carrier; // typed at another computer
    throw error;
  }
}

/** Opens what was sealed, where this computer may: at the datacenter, or where it was typed. */
export async function readParticulars(
  state: MachineState,
  { sealed, details, region }: { sealed?: string | undefined; details?: JobDetails | undefined; region: string },
): Promise<Particulars | undefined> {
  const identity = state.datacenterIdentity(region);
  if (sealed !== undefined && identity !== undefined)
    return JSON.parse((await openFrom(Buffer.from(sealed, 'base64'), identity, 'details of the job')).toString());
  const { contact, 'return-to': returnTo, 'return-account': returnAccount } = keptOrder(state, details);
  if (contact === undefined && returnTo === undefined) return undefined;
  return { ...(contact && { contact }), ...(returnTo && { returnTo }), ...(returnAccount && { returnAccount }) };
}

/** Who may prepare drives, where that was said. @throws Failure `Usage` */
export function copyHostsOf(order: JobOrder): readonly string[] | undefined {
  const text = order['copy-host'];
  return text === undefined ? undefined : parseCopyHosts(text.split(/[\s,]+/).filter((name) => name !== ''));
}

/** What packs in staging may take, where that was limited. @throws Failure `Usage` */
export function stagingLimitOf(order: JobOrder): number | undefined {
  const text = order['staging-limit'];
  if (text === undefined) return undefined;
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes >= MIB) return bytes;
  throw new Failure('Usage', `--staging-limit ${text} is no size like 500GB`, {
    why: 'a pack has up to 64 MiB: a limit of a few GB or more keeps all at work',
  });
}
