/** `datacenter …`: keys made where the datacenter is, public halves pinned by the owner. */
import { byNearness, DRIVE_INTERFACES, parseContainer, parseLocation, type Standpoint } from '../domain/datacenter.ts';
import { Failure } from '../domain/failure.ts';
import { parseName } from '../domain/names.ts';
import type { DatacenterRecord, VaultRecord } from '../domain/record.ts';
import { parseCarrier } from '../domain/shipment.ts';
import { queueOf } from '../domain/site.ts';
import { formatDriveSize, parseSize, TIB } from '../domain/units.ts';
import { newAgeIdentity } from '../format/session.ts';
import { openState } from '../store/machine-state.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { appendRecord, type Hand, readDatacenter, readRecord, readRecords } from '../store/records.ts';
import { type Maker, registerSites } from './credential-making.ts';
import type { Invocation } from './invocation.ts';
import { columns, pairs } from './print.ts';
import { type Door, enterVault, unlockVault } from './vault-door.ts';
import { embeddedUrl, preparePlaceOf } from './vault-places.ts';

const DRIVE_BYTES_MAX = 64 * TIB;

/** The place every host of a datacenter knows its landing container by. */
export function landingPlace(region: string): string {
  return `landing-${region}`;
}

export interface Pin {
  readonly region: string;
  readonly hand: Hand;
  readonly store: ObjectStore;
  readonly landing: string;
}

/**
 * Makes a datacenter's keys on this host, prepares its landing container, and pins its public halves.
 * @throws Failure `WrongState` when it is there: other keys would leave drives on their way unreadable
 */
export async function pinDatacenter(maker: Maker, { region, hand, store, landing }: Pin): Promise<DatacenterRecord> {
  const { call } = maker;
  const state = openState(call.settings.stateDirectory);
  const stamp = { at: new Date().toISOString(), by: 'owner' };
  const details = detailsFrom(call);
  const taken = await readRecord<DatacenterRecord>(store, { kind: 'datacenter', id: region }, hand.trust);
  if (taken)
    throw new Failure('WrongState', `there is a datacenter ${region} already`, {
      next: `seedship datacenter edit ${region}`,
    });
  await preparePlaceOf(call, 'landing', landing);
  const { identity, recipient } = await newAgeIdentity();
  await state.setDatacenterIdentity(region, identity);
  await state.setPlace(landingPlace(region), landing);
  const desk = queueOf.datacenter(region);
  const docks = call.settings.embedded ? [queueOf.dock(region, call.settings.host)] : [];
  const keys = await registerSites(maker, [desk, ...docks]);
  const endpoint = call.text('endpoint');
  const body: DatacenterRecord = {
    ...{ region, address: ['this machine'], carriers: [], driveBytesMax: DRIVE_BYTES_MAX },
    asks: { contact: false, returnTo: false },
    ...{ publicKey: keys.get(desk) ?? '', recipient },
    landing: { url: landing, ...(endpoint && { endpoint }) },
    ...details,
    ...stamp,
  };
  await appendRecord<DatacenterRecord>(store, { kind: 'datacenter', id: region }, body, hand);
  return body;
}

type Details = Partial<Omit<DatacenterRecord, 'region' | 'publicKey' | 'recipient' | 'landing' | 'at' | 'by'>>;

/** What was typed of an entry, and nothing else. */
function detailsFrom(call: Invocation): Details {
  const [name, hours, location, largest] = ['name', 'hours', 'location', 'drive-max'].map((flag) => call.text(flag));
  const [address, instructions] = [call.list('address'), call.list('instruction')];
  const carriers = call.list('carrier').map((one) => parseCarrier(one));
  const interfaces = call.list('interface').map(driveInterface);
  const driveBytesMax = largest === undefined ? undefined : parseSize(largest);
  if (largest !== undefined && driveBytesMax === undefined)
    throw new Failure('Usage', `--drive-max ${largest} is no size like 8TB`);
  return {
    ...(name && { name }),
    ...(hours && { hours }),
    ...(location && { location: parseLocation(location) }),
    ...(driveBytesMax && { driveBytesMax }),
    ...(address.length > 0 && { address }),
    ...(instructions.length > 0 && { instructions }),
    ...(carriers.length > 0 && { carriers }),
    ...(interfaces.length > 0 && { interfaces }),
    ...((call.is('asks-contact') || call.is('asks-return')) && {
      asks: { contact: call.is('asks-contact'), returnTo: call.is('asks-return') },
    }),
  };
}

function driveInterface(text: string): string {
  const found = DRIVE_INTERFACES.find((one) => one === text.toLowerCase());
  if (found) return found;
  throw new Failure('Usage', `--interface ${text} is not known`, { why: `it is ${DRIVE_INTERFACES.join(', ')}` });
}

/** `datacenter create REGION` */
export async function createDatacenter(call: Invocation): Promise<undefined> {
  const region = parseName('region', call.word(0));
  const given = call.text('landing') ?? (call.settings.embedded ? embeddedUrl(call, `landing-${region}`) : undefined);
  const landing = parseContainer(given ?? call.needed('landing'));
  const { hand, store, owner, master, trust, door } = await unlockVault(call);
  const maker: Maker = { call, owner, master, trust, address: door.credentials.vault };
  show(call, await pinDatacenter(maker, { region, hand, store, landing }), landing);
  return undefined;
}

/** `datacenter edit REGION`: keys and landing stay; drives on their way depend on them. */
export async function editDatacenter(call: Invocation): Promise<undefined> {
  const region = parseName('region', call.word(0));
  const details = detailsFrom(call);
  const instead = call.text('instead');
  if (instead === region) throw new Failure('Usage', 'a datacenter cannot stand in for itself');
  const { hand, store } = await unlockVault(call);
  if (instead !== undefined) await readDatacenter(store, instead, hand.trust);
  const stamp = { at: new Date().toISOString(), by: 'owner' };
  await appendRecord<DatacenterRecord>(
    store,
    { kind: 'datacenter', id: region },
    (before) => {
      if (!before) throw unknown(region);
      const { instead: was, ...rest } = before;
      const standIn = instead ?? (call.is('open') ? undefined : was);
      return { ...rest, ...details, ...(standIn === undefined ? {} : { instead: standIn }), ...stamp };
    },
    hand,
  );
  show(call, await readDatacenter(store, region, hand.trust), undefined);
  return undefined;
}

/** `datacenter list`: the one to suggest first. */
export async function listDatacenters(call: Invocation): Promise<undefined> {
  const all = await nearestFirst(call, enterVault(call));
  call.print.result('datacenter-list', all, () =>
    columns(
      ['REGION', 'ADDRESS', 'LARGEST DRIVE', 'CARRIERS', 'STATE'],
      all.map(({ region, address, driveBytesMax, carriers, instead }, at) => [
        region,
        address.join(', '),
        formatDriveSize(driveBytesMax),
        carriers.join(',') || 'all',
        instead === undefined ? (at === 0 ? 'open, suggested' : 'open') : `closed: use ${instead}`,
      ]),
    ),
  );
  return undefined;
}

/** `datacenter show REGION` */
export async function showDatacenter(call: Invocation): Promise<undefined> {
  const { store, trust, state } = enterVault(call);
  const region = call.word(0);
  show(call, await readDatacenter(store, region, trust), state.placeUrl(landingPlace(region)));
  return undefined;
}

/** All datacenters the owner pinned, the one to suggest first. */
export async function nearestFirst(call: Invocation, { store, trust, credentials }: Door): Promise<DatacenterRecord[]> {
  const found: DatacenterRecord[] = [];
  for await (const { body } of readRecords<DatacenterRecord>(store, 'datacenter', trust)) found.push(body);
  const vault = await readRecord<VaultRecord>(store, { kind: 'vault', id: credentials.vault.name }, trust);
  const { location } = call.settings;
  const here = location === undefined ? {} : { location: parseLocation(location) };
  const from: Standpoint = { region: vault?.body.region ?? '', ...here };
  return byNearness(found, from);
}

function unknown(region: string): Failure {
  return new Failure('NotFound', `the vault knows no datacenter ${region}`, { next: 'seedship datacenter list' });
}

function show(call: Invocation, body: DatacenterRecord, known: string | undefined): void {
  const { region, address, carriers, driveBytesMax, asks, recipient, publicKey, interfaces = [] } = body;
  const landing = known ?? body.landing?.url;
  const degrees = body.location && `${body.location.latitude},${body.location.longitude}`;
  call.print.result('datacenter', { ...body, landing, endpoint: body.landing?.endpoint }, () =>
    pairs([
      ['datacenter', body.name ? `${region} (${body.name})` : region],
      ['address', address.join(', ')],
      ...(body.instructions ?? []).map((line) => ['on arrival', line] as const),
      ...(body.hours ? [['hours', body.hours] as const] : []),
      ['carriers', carriers.length === 0 ? 'all' : carriers.join(', ')],
      ['largest drive', formatDriveSize(driveBytesMax)],
      ['interfaces', interfaces.length === 0 ? 'all' : interfaces.join(', ')],
      [
        'asks for',
        [asks.contact && 'contact', asks.returnTo && 'return address'].filter(Boolean).join(', ') || 'nothing',
      ],
      ['landing', landing ?? 'not known to this host'],
      ...(degrees ? [['location', degrees] as const] : []),
      ...(body.instead ? [['closed', `parcels go to ${body.instead}`] as const] : []),
      ['signs with', publicKey === '' ? 'not known' : `${publicKey.slice(0, 24)}…`],
      ['recipient', `${recipient.slice(0, 24)}…`],
    ]),
  );
}
