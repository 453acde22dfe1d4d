import { describe, expect, test } from '@jest/globals';
import { CARRIERS, checkTracking, trackingLink } from '../../domain/carrier.ts';
import { Failure } from '../../domain/failure.ts';
import { parseTracking } from '../../domain/shipment.ts';

/** Published by the carriers or the postal union as examples; each with a digit that checks. */
const GOOD = {
  dhl: ['3318810025', 'JD014600003RU', 'JJD000390007577283', '340434161094042557'],
  ups: ['1Z999AA10123456784', '1Z5R89390357567127'],
  fedex: ['986578788855', '477179081230', '61299998820821171811'],
  usps: ['9400111202555842332669', 'EA123456785US'],
  'royal-mail': ['RB123456785GB'],
  dpd: ['01234567890123', '01234567890123A'],
  gls: ['Z1A2B3C4', '12345678901'],
  tnt: ['123456782', 'GE123456785WW'],
  'japan-post': ['RR123456785JP', '123456789013'],
  other: ['DEMO1'],
} as const;

describe('a tracking number', () => {
  test('of each carrier of the table is known by its form', () => {
    expect(Object.keys(GOOD)).toEqual(Object.keys(CARRIERS));
    for (const [carrier, numbers] of Object.entries(GOOD))
      for (const number of numbers) expect(() => checkTracking(carrier, parseTracking(number))).not.toThrow();
  });

  test.each([
    ['ups', '1Z999AA10132456784'], // two digits swapped
    ['fedex', '986578788585'],
    ['dhl', '3318810052'],
    ['usps', '9400111202555842332696'],
    ['royal-mail', 'RB123456758GB'],
    ['royal-mail', 'RB123456785JP'],
    ['japan-post', '123456789051'],
    ['tnt', '12345678'],
    ['dpd', '0123456789'],
    ['gls', '1234567'],
  ])('%s %s is refused, and says what theirs are', (carrier, tracking) => {
    expect(() => checkTracking(carrier, tracking)).toThrow(/no tracking number of/);
  });

  test('of another carrier is told whose it looks like', () => {
    const mixed = refused(() => checkTracking('dhl', '1Z999AA10123456784'));
    expect([mixed.code, mixed.next]).toEqual(['Usage', 'correct it, or add --unchecked']);
    expect(mixed.why).toContain('it looks like one of UPS');
  });

  test('of a carrier that is not in the table is taken as it is', () =>
    expect(() => checkTracking('rickshaw-7', 'ABCD')).not.toThrow());

  test('has a page where its carrier has one', () => {
    expect(trackingLink('ups', '1Z999AA10123456784')).toBe('https://www.ups.com/track?tracknum=1Z999AA10123456784');
    for (const carrier of Object.keys(CARRIERS).filter((one) => one !== 'other'))
      expect(trackingLink(carrier, 'NUMBER')).toMatch(/^https:\/\/\S+NUMBER$/);
    expect([trackingLink('other', 'X'), trackingLink('rickshaw-7', 'X')]).toEqual([undefined, undefined]);
  });
});

function refused(act: () => unknown): Failure {
  try {
    act();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('it was accepted');
}
