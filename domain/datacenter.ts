/**
 * A datacenter: a region, an address parcels go to, the carriers and drives it takes, and two
 * public keys: one that signs its copy logs, one that drive keys are wrapped to. Its entry is a
 * signed record in the vault (domain/record.ts); what it asks of a job is checked here.
 */
import { Failure } from './failure.ts';
import type { DatacenterRecord, Location } from './record.ts';
import { formatDriveSize } from './units.ts';

/** How drives are connected, as datacenters list what they take. */
export const DRIVE_INTERFACES = ['sata', 'sas', 'nvme', 'usb'] as const;

export interface ReturnOrder {
  readonly contact?: string;
  readonly returnTo?: string;
  /** `none` when drives are not sent back. */
  readonly returnCarrier?: string;
}

/** Whether drives come back. @throws Failure `Usage` naming what the datacenter asks for */
export function checkOrder(datacenter: DatacenterRecord, order: ReturnOrder): { readonly returns: boolean } {
  const { region, asks, carriers } = datacenter;
  const missing = (flag: string) =>
    new Failure('Usage', `datacenter ${region} asks for --${flag}`, { next: `seedship datacenter show ${region}` });
  if (asks.contact && !order.contact) throw missing('contact');
  const returns = order.returnCarrier !== undefined && order.returnCarrier !== 'none';
  if (asks.returnTo && order.returnCarrier === undefined) throw missing('return-carrier');
  if (returns && !order.returnTo) throw missing('return-to');
  if (returns && carriers.length > 0 && !carriers.includes(order.returnCarrier ?? ''))
    throw new Failure('Usage', `datacenter ${region} does not send with ${order.returnCarrier}`, {
      why: `it sends with ${carriers.join(', ')}`,
    });
  return { returns };
}

/**
 * Whether the datacenter takes such a drive.
 * @param by how it is connected, where that is known
 * @throws Failure `Usage` when it is larger, or connected otherwise, than the datacenter takes
 */
export function checkDriveSize(
  { region, driveBytesMax, interfaces = [] }: DatacenterRecord,
  capacityBytes: number,
  by?: string,
): void {
  if (by !== undefined && interfaces.length > 0 && !interfaces.includes(by))
    throw new Failure('Usage', `datacenter ${region} does not take ${by} drives`, {
      why: `it takes ${interfaces.join(', ')}`,
      next: `seedship datacenter show ${region}`,
    });
  if (capacityBytes <= driveBytesMax) return;
  throw new Failure('Usage', `datacenter ${region} does not take a drive of ${formatDriveSize(capacityBytes)}`, {
    why: `the largest it takes has ${formatDriveSize(driveBytesMax)}`,
    next: 'prepare a smaller drive',
  });
}

/** How the parcel's label reads, a line each. */
export function shippingLabel({ address, region, name }: DatacenterRecord, job: string): string[] {
  return [name ?? `Seedship Datacenter ${region}`, ...address, `Job ${job}`];
}

/** Where one looks for a datacenter from: the vault's region, and where this host is, if it was told. */
export interface Standpoint {
  readonly region: string;
  readonly location?: Location;
}

/**
 * Datacenters, the one to suggest first: open before closed, then the vault's own region, then by
 * distance where both ends are known, then by how much of the region's name agrees.
 */
export function byNearness(all: readonly DatacenterRecord[], from: Standpoint): DatacenterRecord[] {
  const rank = (one: DatacenterRecord): number[] => [
    one.instead === undefined ? 0 : 1,
    one.region === from.region ? 0 : 1,
    from.location && one.location ? kilometres(from.location, one.location) : Number.MAX_SAFE_INTEGER,
    -likeness(one.region, from.region),
  ];
  const ranks = new Map(all.map((one) => [one, rank(one)]));
  return [...all].sort((a, b) => compare(ranks.get(a) ?? [], ranks.get(b) ?? []) || (a.region < b.region ? -1 : 1));
}

/** `52.37,4.89`: degrees north and east. @throws Failure `Usage` */
export function parseLocation(text: string): Location {
  const [latitude = Number.NaN, longitude = Number.NaN, ...more] = text.split(',').map(Number);
  if (more.length === 0 && Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180) return { latitude, longitude };
  throw new Failure('Usage', `${JSON.stringify(text)} is no location`, {
    why: 'a location is degrees north and east, like 52.37,4.89',
  });
}

const BUCKET = /^(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^[a-z0-9][a-z0-9_-]*(\/[a-z0-9][a-z0-9_-]*)*$/;

/**
 * A container as objects name it: `s3://bucket[/prefix]` or `file:///folder`. Reused verbatim by every
 * host, hence one spelling: lower case, no slash at the end.
 * @throws Failure `Usage`
 */
export function parseContainer(text: string): string {
  if (/^file:\/\/\/[^\s]+$/.test(text)) return text.replace(/\/+$/, '');
  const [, bucket = '', , prefix = ''] = /^s3:\/\/([^/]*)(\/(.*))?$/.exec(text) ?? [];
  const trimmed = prefix.replace(/\/$/, '');
  if (BUCKET.test(bucket) && (trimmed === '' || PREFIX.test(trimmed)))
    return trimmed === '' ? `s3://${bucket}` : `s3://${bucket}/${trimmed}`;
  throw new Failure('Usage', `container ${JSON.stringify(text)} is not allowed`, {
    why: 'a container is s3://bucket[/prefix], lower-case letters, digits and hyphens, 3 to 63 in the bucket',
  });
}

const EARTH_KM = 6371;

/** Along a great circle. */
function kilometres(a: Location, b: Location): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180;
  const half = (from: number, to: number) => Math.sin(radians(to - from) / 2) ** 2;
  const across = Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * half(a.longitude, b.longitude);
  return Math.round(2 * EARTH_KM * Math.asin(Math.sqrt(Math.min(1, half(a.latitude, b.latitude) + across))));
}

/** Letters two names begin with alike: `eu-west` is nearer to `eu-north` than to `us-west`. */
function likeness(a: string, b: string): number {
  let alike = 0;
  while (alike < a.length && a[alike] === b[alike]) alike += 1;
  return alike;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [at, value] of a.entries()) if (value !== b[at]) return value - (b[at] ?? 0);
  return 0;
}
