import { describe, expect, test } from '@jest/globals';
import { byNearness, checkDriveSize, parseContainer, parseLocation, shippingLabel } from '../../domain/datacenter.ts';
import { Failure } from '../../domain/failure.ts';
import type { DatacenterRecord } from '../../domain/record.ts';

function entry(region: string, more: Partial<DatacenterRecord> = {}): DatacenterRecord {
  return {
    ...{ at: '', by: '', region, address: ['Dock 4', 'Harbour Road 1'], carriers: [], driveBytesMax: 10e12 },
    ...{ asks: { contact: false, returnTo: false }, publicKey: '', recipient: '' },
    ...more,
  };
}

const AMSTERDAM = { latitude: 52.37, longitude: 4.89 };
const DUBLIN = { latitude: 53.35, longitude: -6.26 };
const VIRGINIA = { latitude: 38.9, longitude: -77.0 };
const PARIS = { latitude: 48.86, longitude: 2.35 };

describe('the suggested datacenter', () => {
  const order = (all: DatacenterRecord[], from: Parameters<typeof byNearness>[1]) =>
    byNearness(all, from).map(({ region }) => region);

  test('is the one of the vault’s own region, wherever this host is', () =>
    expect(order([entry('us-east', { location: VIRGINIA }), entry('eu-west')], { region: 'eu-west' })[0]).toBe(
      'eu-west',
    ));

  test('else the nearest on the globe, where both ends are known', () =>
    expect(
      order(
        [
          entry('us-east', { location: VIRGINIA }),
          entry('ie-1', { location: DUBLIN }),
          entry('nl-1', { location: AMSTERDAM }),
          entry('none'),
        ],
        { region: 'fr-1', location: PARIS },
      ),
    ).toEqual(['nl-1', 'ie-1', 'us-east', 'none']));

  test('else the one whose name agrees longest with the vault’s region', () =>
    expect(order([entry('us-west'), entry('eu-north')], { region: 'eu-west' })[0]).toBe('eu-north'));

  test('is never one that is closed, while another is open', () =>
    expect(order([entry('eu-west', { instead: 'us-west' }), entry('us-west')], { region: 'eu-west' })).toEqual([
      'us-west',
      'eu-west',
    ]));
});

describe('a container', () => {
  test.each([
    ['s3://landing-eu', 's3://landing-eu'],
    ['s3://landing-eu/', 's3://landing-eu'],
    ['s3://landing-eu/jobs/hq_1/', 's3://landing-eu/jobs/hq_1'],
    ['file:///srv/landing/', 'file:///srv/landing'],
  ])('%s is %s', (text, url) => expect(parseContainer(text)).toBe(url));

  test.each([
    's3://Landing',
    's3://ab',
    's3://landing/Prefix',
    's3://landing/../x',
    's3://a..b',
    'landing',
    'file://x',
  ])('%s is refused', (text) => expect(() => parseContainer(text)).toThrow(/container .* is not allowed/));
});

describe('a location', () => {
  test('is degrees north and east', () => expect(parseLocation('53.35,-6.26')).toEqual(DUBLIN));
  test.each(['', '52', '91,0', '0,181', 'a,b', '1,2,3'])('%j is refused', (text) =>
    expect(() => parseLocation(text)).toThrow(Failure),
  );
});

describe('a drive', () => {
  const sata = entry('eu-west', { interfaces: ['sata', 'sas'] });
  test('that is connected otherwise than the datacenter takes is refused', () => {
    expect(() => checkDriveSize(sata, 1e12, 'sata')).not.toThrow();
    expect(() => checkDriveSize(sata, 1e12, 'usb')).toThrow(/does not take usb/);
    expect(() => checkDriveSize(sata, 1e12)).not.toThrow(); // a directory is connected in no way
    expect(() => checkDriveSize(entry('eu-west'), 1e12, 'usb')).not.toThrow();
  });
});

test('the label of a parcel bears the house’s name, its address and the job', () => {
  expect(shippingLabel(entry('eu-west'), 'hq')).toEqual([
    'Seedship Datacenter eu-west',
    'Dock 4',
    'Harbour Road 1',
    'Job hq',
  ]);
  expect(shippingLabel(entry('eu-west', { name: 'Harbour' }), 'hq')[0]).toBe('Harbour');
});
