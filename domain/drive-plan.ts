/**
 * The manual way, for a copy host that reaches no server: a plan file leases objects to a drive, and a
 * journal file brings back what was written. Neither holds a key or a secret: who is believed starts from
 * the signatures inside, and from the set of objects in the staging location.
 */
import { Failure } from './failure.ts';
import { type Digest, isDigest, parseName } from './names.ts';
import type { ObjectRange } from './receipt.ts';

export const PLAN_SCHEMA = 'seedship.drive-order/v1';
export const JOURNAL_SCHEMA = 'seedship.drive-journal/v1';

/** What the copy host is asked to do. */
export interface DrivePlan {
  readonly schema: typeof PLAN_SCHEMA;
  readonly vault: string;
  readonly job: string;
  readonly run: string;
  readonly step: string;
  readonly drive: string;
  readonly host: string;
  readonly staging: string;
  readonly packSet: Digest;
  readonly ranges: readonly ObjectRange[];
  readonly capacityBytes: number;
  readonly region: string;
  /** The datacenter's entry as the owner signed it, base64, and which revision it is. */
  readonly datacenter: string;
  readonly revision: number;
}

/** What was done: the signed receipt and the wraps of the drive's keys, base64. */
export interface DriveJournal {
  readonly schema: typeof JOURNAL_SCHEMA;
  readonly job: string;
  readonly drive: string;
  readonly host: string;
  readonly run: string;
  readonly step: string;
  readonly serial?: string;
  readonly receipt: string;
  readonly wraps: readonly { readonly epoch: number; readonly wrap: string }[];
}

/** @throws Failure `Usage` when the text is no plan of this release */
export function parsePlan(text: string): DrivePlan {
  const next = 'seedship job plan NAME --copy-host HOST --drive-size SIZE --out FILE';
  const fields = new Fields(text, { schema: PLAN_SCHEMA, what: 'plan', next });
  const packSet = fields.text('packSet');
  if (!isDigest(packSet)) throw fields.torn();
  return {
    ...{ schema: PLAN_SCHEMA, ...fields.names(), packSet },
    ...{ vault: fields.text('vault'), run: fields.text('run'), step: fields.text('step') },
    ...{ staging: fields.text('staging'), region: fields.text('region'), datacenter: fields.text('datacenter') },
    ...{ capacityBytes: fields.number('capacityBytes'), revision: fields.number('revision') },
    ranges: fields.list('ranges').map((one) => ({ from: one.number('from'), to: one.number('to') })),
  };
}

/** @throws Failure `Usage` when the text is no journal of this release */
export function parseJournal(text: string): DriveJournal {
  const next = 'seedship drive prepare DEVICE --offline PLAN';
  const fields = new Fields(text, { schema: JOURNAL_SCHEMA, what: 'journal', next });
  const serial = fields.has('serial') ? { serial: fields.text('serial') } : {};
  return {
    ...{ schema: JOURNAL_SCHEMA, ...fields.names(), ...serial },
    ...{ run: fields.text('run'), step: fields.text('step'), receipt: fields.text('receipt') },
    wraps: fields.list('wraps').map((one) => ({ epoch: one.number('epoch'), wrap: one.text('wrap') })),
  };
}

interface Meant {
  readonly schema: string;
  readonly what: string;
  readonly next: string;
}

/** What a file says, looked at field by field. */
class Fields {
  readonly #found: Readonly<Record<string, unknown>>;
  readonly #meant: Meant;

  constructor(text: string | object, meant: Meant) {
    this.#meant = meant;
    this.#found = typeof text === 'string' ? objectIn(text) : { ...text };
    if (typeof text === 'string' && this.#found.schema !== meant.schema)
      throw new Failure('Usage', `this is no ${meant.what} of a drive`, {
        why: `it does not say ${meant.schema}`,
        next: meant.next,
      });
  }

  has(key: string): boolean {
    return this.#found[key] !== undefined;
  }

  text(key: string): string {
    const found = this.#found[key];
    if (typeof found !== 'string') throw this.torn();
    return found;
  }

  number(key: string): number {
    const found = this.#found[key];
    if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < 0) throw this.torn();
    return found;
  }

  list(key: string): Fields[] {
    const found: unknown = this.#found[key];
    if (!Array.isArray(found)) throw this.torn();
    return found.map((one: unknown) => {
      if (typeof one !== 'object' || one === null) throw this.torn();
      return new Fields(one, this.#meant);
    });
  }

  names(): { readonly drive: string; readonly host: string; readonly job: string } {
    const [drive, host, job] = [this.text('drive'), this.text('host'), this.text('job')];
    return { drive: parseName('drive', drive), host: parseName('host', host), job: parseName('job', job) };
  }

  torn(): Failure {
    const { what } = this.#meant;
    return new Failure('Usage', `this ${what} is torn or of another release`, { next: `bring the ${what} file again` });
  }
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null ? { ...found } : {};
  } catch {
    return {};
  }
}
