/**
 * The order, asked question by question at a terminal: only what flags and file left open. It ends
 * with a summary, and starts nothing that was not agreed to.
 */
import { Failure } from '../domain/failure.ts';
import { parseName } from '../domain/names.ts';
import type { DatacenterRecord } from '../domain/record.ts';
import { parseCarrier } from '../domain/shipment.ts';
import { copyHostsOf, type JobOrder } from './job-order.ts';
import { pairs } from './print.ts';

/** Who asks: a terminal, or a test. */
export interface Asker {
  text(message: string, options?: { placeholder?: string; check?: (text: string) => void }): Promise<string>;
  choose(message: string, options: readonly { value: string; label: string }[]): Promise<string>;
  agree(message: string): Promise<boolean>;
  show(title: string, lines: readonly string[]): void;
}

export interface Known {
  readonly job: string;
  readonly order: JobOrder;
  /** Protections that wait for an initial backup by drive. */
  readonly protections: readonly string[];
  /** The one to suggest first. */
  readonly datacenters: readonly DatacenterRecord[];
}

export interface Answered {
  readonly job: string;
  readonly order: JobOrder;
}

/** Asks for what is missing. @throws Failure `Usage` when it is not agreed to */
export async function askOrder(ask: Asker, { job, order, protections, datacenters }: Known): Promise<Answered> {
  const name =
    job || (await ask.text('Name of the job', { placeholder: 'hq-2026', check: (text) => parseName('job', text) }));
  const protection = order.protection ?? (await choose(ask, 'What to seed', protections));
  const staging =
    order.staging ?? (await ask.text('Staging folder, or place', { placeholder: '/mnt/staging', check: filled }));
  const hosts = order['copy-host'] ?? (await askCopyHosts(ask));
  const region = order.datacenter ?? (await chooseRegion(ask, datacenters));
  const datacenter = datacenters.find((one) => one.region === region);
  const asks = datacenter?.asks ?? { contact: false, returnTo: false };
  const contact = order.contact ?? (asks.contact ? await ask.text('Whom to call', { check: filled }) : undefined);
  const back = await askReturn(ask, order, datacenter);
  const said = { ...(contact && { contact }), ...(hosts && { 'copy-host': hosts }) };
  const whole: JobOrder = { ...order, protection, staging, datacenter: region, ...said, ...back };
  ask.show(`Job ${name}`, summary(whole, datacenter));
  if (await ask.agree('Start it?')) return { job: name, order: whole };
  throw new Failure('Usage', 'nothing was started', { next: `seedship job start ${name}` });
}

/** Nothing means any host, as without the flag. */
function askCopyHosts(ask: Asker): Promise<string> {
  return ask.text('Which hosts may prepare drives (if not every host)', {
    check: (text) => void copyHostsOf({ 'copy-host': text }),
  });
}

/** How drives come back, if they do. */
async function askReturn(ask: Asker, order: JobOrder, datacenter: DatacenterRecord | undefined): Promise<JobOrder> {
  const said = order.return ?? order['return-carrier'];
  if (said === undefined && !datacenter?.asks.returnTo) return {};
  const carriers = datacenter?.carriers ?? [];
  const options = [...carriers, 'none'].map((value) => ({
    value,
    label: value === 'none' ? 'nobody: the datacenter keeps or destroys them' : value,
  }));
  const typed = () => ask.text('Who brings the drives back (or none)', { check: (text) => parseCarrier(text) });
  const carrier =
    said ?? (carriers.length > 0 ? await ask.choose('Who brings the drives back', options) : await typed());
  if (carrier === 'none') return { return: 'none' };
  const returnTo =
    order['return-to'] ?? (await ask.text('Where to: name, street, town, country, phone', { check: filled }));
  const account = order['return-account'] ?? (await ask.text(`Your account with ${carrier}, if any`));
  return { 'return-carrier': carrier, 'return-to': returnTo, ...(account && { 'return-account': account }) };
}

function summary(order: JobOrder, datacenter: DatacenterRecord | undefined): string[] {
  const { protection = '', staging = '', container, contact, 'return-to': returnTo, 'return-carrier': carrier } = order;
  return pairs([
    ['protection', protection],
    ['staging', order['staging-limit'] ? `${staging}, of it at most ${order['staging-limit']}` : staging],
    ['copy hosts', copyHostsOf(order)?.join(', ') || 'any'],
    ['ships to', [datacenter?.region ?? '', ...(datacenter?.address ?? [])].join(', ')],
    ...(container ? [['container', container] as const] : []),
    ...(contact ? [['contact', contact] as const] : []),
    ['comes back', carrier ? `with ${carrier}, to ${returnTo}` : 'no'],
  ]);
}

async function choose(ask: Asker, message: string, names: readonly string[]): Promise<string> {
  const [only] = names;
  if (only !== undefined && names.length === 1) return only;
  if (names.length > 1)
    return ask.choose(
      message,
      names.map((value) => ({ value, label: value })),
    );
  throw new Failure('WrongState', 'no protection of this machine goes by drive', {
    next: 'seedship protection create NAME --item PATH --initial offline',
  });
}

async function chooseRegion(ask: Asker, all: readonly DatacenterRecord[]): Promise<string> {
  const open = all.filter(({ instead }) => instead === undefined);
  const [only] = open;
  if (!only) throw new Failure('WrongState', 'no datacenter is open', { next: 'seedship datacenter list' });
  if (open.length === 1) return only.region;
  const options = open.map(({ region, address }, at) => ({
    value: region,
    label: `${region}  ${address.join(', ')}${at === 0 ? '  (nearest)' : ''}`,
  }));
  return ask.choose('Where the drives go', options);
}

function filled(text: string): void {
  if (text.trim() === '') throw new Failure('Usage', 'an answer is needed');
}

/** A person at this terminal. */
export async function terminalAsker(): Promise<Asker> {
  const clack = await import('@clack/prompts');
  const output = process.stderr;
  const answer = <T>(given: T | symbol): T => {
    if (typeof given === 'symbol') throw new Failure('Usage', 'nothing was started', { next: 'seedship job start' });
    return given;
  };
  return {
    async text(message, { placeholder, check } = {}) {
      const validate = (text: string | undefined) => {
        try {
          check?.(text ?? '');
          return undefined;
        } catch (error) {
          return error instanceof Failure ? `${error.message}${error.why ? `: ${error.why}` : ''}` : String(error);
        }
      };
      const given = await clack.text({ message, output, validate, ...(placeholder && { placeholder }) });
      return answer<string | undefined>(given) ?? '';
    },
    choose: async (message, options) => answer<string>(await clack.select({ message, options: [...options], output })),
    agree: async (message) => answer<boolean>(await clack.confirm({ message, output })),
    show: (title, lines) => clack.note(lines.join('\n'), title, { output }),
  };
}
