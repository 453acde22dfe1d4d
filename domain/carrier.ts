/**
 * Carriers, by the forms of their tracking numbers: enough to tell a mistyped number, or one of
 * another carrier, without asking anybody. Numbers are compared without blanks, in upper case.
 *
 *   UPS          1Z + 16, check digit             FedEx       12 (check digit), 15, 20 or 22 digits
 *   USPS         20 or 22 digits, check digit     DHL         10 digits (check digit), JD…, 12 to 20 digits
 *   Royal Mail   S10 ending in GB                 Japan Post  S10 ending in JP, or 12 digits, check digit
 *   DPD          14 digits and a check sign       GLS         8 signs, or 11 to 12 digits
 *   TNT          9 digits, or S10                 other       whatever a label may bear
 *
 * S10 is the Universal Postal Union's: two letters, nine digits of which the last checks, a country.
 * A carrier that is not in the table is taken by its name, and its numbers as they are.
 */
import { Failure } from './failure.ts';

interface Carrier {
  readonly name: string;
  /** As the form is told to a person. */
  readonly says: string;
  readonly fits: (tracking: string) => boolean;
  /** Where a person sees how far it is; `#` stands for the number. */
  readonly link?: string;
}

export const CARRIERS: Readonly<Record<string, Carrier>> = {
  dhl: {
    name: 'DHL',
    says: '10 digits, the last a check digit; or JD and more; or 12 to 20 digits',
    fits: (text) =>
      (/^\d{10}$/.test(text) && mod7(text)) ||
      /^\d{12,20}$/.test(text) ||
      /^(JJ?D|JVGL|GM|3S|LX|RX)[A-Z0-9]{8,30}$/.test(text),
    link: 'https://www.dhl.com/en/express/tracking.html?AWB=#',
  },
  ups: {
    name: 'UPS',
    says: '1Z and 16 letters and digits, the last a check digit',
    fits: (text) => /^1Z[A-Z0-9]{15}\d$/.test(text) && upsCheck(text),
    link: 'https://www.ups.com/track?tracknum=#',
  },
  fedex: {
    name: 'FedEx',
    says: '12 digits, the last a check digit; or 15, 20 or 22 digits',
    fits: (text) => (/^\d{12}$/.test(text) && fedexCheck(text)) || /^(\d{15}|\d{20}|\d{22})$/.test(text),
    link: 'https://www.fedex.com/fedextrack/?trknbr=#',
  },
  usps: {
    name: 'USPS',
    says: '20 or 22 digits, the last a check digit; or two letters, nine digits and US',
    fits: (text) => (/^(\d{20}|\d{22})$/.test(text) && mod10(text)) || s10(text, 'US'),
    link: 'https://tools.usps.com/go/TrackConfirmAction?tLabels=#',
  },
  'royal-mail': {
    name: 'Royal Mail',
    says: 'two letters, nine digits, the last a check digit, and GB',
    fits: (text) => s10(text, 'GB'),
    link: 'https://www.royalmail.com/track-your-item#/tracking-results/#',
  },
  dpd: {
    name: 'DPD',
    says: '14 digits, and a check sign where the label bears one',
    fits: (text) => /^\d{14}[0-9A-Z]?$/.test(text),
    link: 'https://tracking.dpd.de/status/en_US/parcel/#',
  },
  gls: {
    name: 'GLS',
    says: '8 letters and digits, or 11 to 12 digits',
    fits: (text) => /^([A-Z0-9]{8}|\d{11,12})$/.test(text),
    link: 'https://gls-group.com/track/#',
  },
  tnt: {
    name: 'TNT',
    says: '9 digits; or two letters, nine digits and two letters',
    fits: (text) => /^(\d{9}|[A-Z]{2}\d{9}[A-Z]{2})$/.test(text),
    link: 'https://www.tnt.com/express/en_gb/site/tracking.html?searchType=con&cons=#',
  },
  'japan-post': {
    name: 'Japan Post',
    says: 'two letters, nine digits and JP; or 12 digits, the last a check digit',
    fits: (text) => s10(text, 'JP') || (/^\d{12}$/.test(text) && mod7(text)),
    link: 'https://trackings.post.japanpost.jp/services/srv/search/direct?locale=en&reqCodeNo1=#',
  },
  other: { name: 'another carrier', says: '4 to 40 letters, digits and hyphens', fits: () => true },
};

/**
 * Refuses a number that cannot be this carrier's, and says whose it looks like.
 * @param tracking as parseTracking gives it
 * @throws Failure `Usage`
 */
export function checkTracking(carrier: string, tracking: string): void {
  const known = CARRIERS[carrier];
  if (!known || known.fits(tracking)) return;
  const others = Object.entries(CARRIERS).flatMap(([key, one]) =>
    key !== 'other' && key !== carrier && one.fits(tracking) ? [one.name] : [],
  );
  const like = others.length === 0 ? '' : `; it looks like one of ${others.join(' or ')}`;
  throw new Failure('Usage', `${tracking} is no tracking number of ${known.name}`, {
    why: `theirs are ${known.says}${like}`,
    next: 'correct it, or add --unchecked',
  });
}

/** A page that shows where the parcel is; `undefined` for a carrier without one. */
export function trackingLink(carrier: string, tracking: string): string | undefined {
  const at = CARRIERS[carrier]?.link;
  return at && `${at.slice(0, -1)}${encodeURIComponent(tracking)}`;
}

function digitsOf(text: string): number[] {
  return [...text].map(Number);
}

/** The last digit is the rest of the others divided by seven: DHL Express, Japan Post. */
function mod7(text: string): boolean {
  return BigInt(text.slice(0, -1)) % 7n === BigInt(text.slice(-1));
}

/** GS1: weights 3 and 1 from the right. */
function mod10(text: string): boolean {
  const [check = 0, ...rest] = digitsOf(text).reverse();
  const sum = rest.reduce((total, digit, at) => total + digit * (at % 2 === 0 ? 3 : 1), 0);
  return (10 - (sum % 10)) % 10 === check;
}

/** Letters count as their place, from A = 2; every other sign counts twice. */
function upsCheck(text: string): boolean {
  const sum = [...text.slice(2, -1)].reduce((total, sign, at) => {
    const value = /\d/.test(sign) ? Number(sign) : (sign.charCodeAt(0) - 63) % 10;
    return total + (at % 2 === 0 ? value : 2 * value);
  }, 0);
  return (10 - (sum % 10)) % 10 === Number(text.slice(-1));
}

/** Weights 3, 1, 7, again and again; the rest of eleven, ten as zero. */
function fedexCheck(text: string): boolean {
  const weights = [3, 1, 7];
  const sum = digitsOf(text.slice(0, -1)).reduce((total, digit, at) => total + digit * (weights[at % 3] ?? 0), 0);
  return (sum % 11) % 10 === Number(text.slice(-1));
}

/** UPU S10: weights 8 6 4 2 3 5 9 7; eleven less the rest of eleven, ten as 0, eleven as 5. */
function s10(text: string, country: string): boolean {
  const [, digits = ''] = /^[A-Z]{2}(\d{9})[A-Z]{2}$/.exec(text) ?? [];
  if (digits === '' || !text.endsWith(country)) return false;
  const weights = [8, 6, 4, 2, 3, 5, 9, 7];
  const sum = digitsOf(digits.slice(0, 8)).reduce((total, digit, at) => total + digit * (weights[at] ?? 0), 0);
  const check = 11 - (sum % 11);
  return (check === 10 ? 0 : check === 11 ? 5 : check) === Number(digits.at(-1));
}
