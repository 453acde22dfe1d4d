import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DRIVE_STATES, followers, mayFollow } from '../../domain/drive.ts';
import { IMPORT_JOB_STATES, type ImportJobState, importJobState, isFinal } from '../../domain/import-job.ts';
import { PARCEL_STATES } from '../../domain/shipment.ts';

const parts = fc.record({
  parcels: fc.array(fc.constantFrom(...PARCEL_STATES), { maxLength: 4 }),
  drives: fc.array(fc.constantFrom(...DRIVE_STATES), { maxLength: 8 }),
  returned: fc.boolean(),
  awaited: fc.boolean(),
  refused: fc.boolean(),
});

describe('the import job', () => {
  test.each([
    [[], [], 'Creating'],
    [[], ['Prepared'], 'Creating'],
    [['Preparing'], ['Prepared'], 'Creating'],
    [['Shipped'], ['Shipped', 'Prepared'], 'Shipping'],
    [['Shipped', 'Received'], ['Shipped', 'Received'], 'Shipping'],
    [['Returned'], ['Prepared', 'Prepared'], 'Shipping'],
    [['Lost', 'Shipped'], ['Lost', 'Shipped'], 'Shipping'],
    [['Received'], ['NeverReceived'], 'Shipping'],
    [['Received'], ['Received', 'Received'], 'Received'],
    [['Received'], ['Received', 'NeverReceived'], 'Received'],
    [['Received'], ['Received', 'Faulted'], 'Received'],
    [['Received', 'Lost'], ['Received', 'Lost'], 'Received'],
    [['Received'], ['Received', 'Extra'], 'Received'],
    [['Received'], ['Transferring', 'Received'], 'Transferring'],
    [['Received'], ['Completed', 'NeverReceived'], 'Transferring'],
    [['Received'], ['Completed', 'Faulted'], 'Transferring'],
    [['Received'], ['Completed', 'CompletedMoreInfo'], 'Packaging'],
    [['Received'], ['Completed', 'Extra'], 'Packaging'],
    [['Received'], ['ShippedBack', 'ShippedBack'], 'Completed'],
    [['Received'], ['ShippedBack', 'Lost'], 'Closed'],
    [['Lost'], ['Lost'], 'Closed'],
  ] as const)('parcels %j and drives %j amount to %s', (parcels, drives, state) =>
    expect(importJobState('Creating', { parcels, drives, returned: true })).toBe(state),
  );

  test('ends with the last copied drive when none is sent back', () => {
    const all = { parcels: ['Received'], drives: ['Completed', 'Completed'], returned: false } as const;
    expect(importJobState('Transferring', all)).toBe('Completed');
    expect(importJobState('Transferring', { ...all, refused: true })).toBe('Closed');
  });

  test('is not over while objects wait for another drive', () => {
    const lost = { parcels: ['Lost'], drives: ['Lost'], returned: false } as const;
    expect(importJobState('Shipping', { ...lost, awaited: true })).toBe('Shipping');
    const half = { parcels: ['Received'], drives: ['Completed', 'Lost'], returned: false } as const;
    expect(importJobState('Shipping', { ...half, awaited: true })).toBe('Transferring');
    expect(importJobState('Shipping', half)).toBe('Closed');
  });

  test('never moves back, whatever parcels and drives do, and whatever order they come in', () =>
    fc.assert(
      fc.property(fc.constantFrom(...IMPORT_JOB_STATES), parts, (before, held) => {
        const now: ImportJobState = importJobState(before, held);
        expect(IMPORT_JOB_STATES.indexOf(now)).toBeGreaterThanOrEqual(IMPORT_JOB_STATES.indexOf(before));
        const turned = { ...held, parcels: [...held.parcels].reverse(), drives: [...held.drives].reverse() };
        expect(importJobState(before, turned)).toBe(now);
        expect(importJobState(now, held)).toBe(now);
        if (isFinal(before)) expect(now).toBe(before);
      }),
    ));
});

describe('a drive', () => {
  test('has an end, and everything but the beginning is reached', () => {
    const reached = new Set(DRIVE_STATES.flatMap((state) => followers(state)));
    expect(DRIVE_STATES.filter((state) => !reached.has(state))).toEqual(['Specified']);
    expect(DRIVE_STATES.filter((state) => followers(state).length === 0)).toEqual(['ShippedBack']);
  });

  test('that was not in its parcel may still turn up; one that is lost too, and is used or extra', () => {
    expect(mayFollow('NeverReceived', 'Received')).toBe(true);
    expect(followers('Lost')).toEqual(['Received', 'Extra']);
  });
});
