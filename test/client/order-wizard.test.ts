/** The order as it is asked at a terminal, by an asker that answers as a person would, or as one who mistypes. */
import { describe, expect, test } from '@jest/globals';
import type { JobOrder } from '../../client/job-order.ts';
import { type Asker, askOrder, type Known } from '../../client/order-wizard.ts';
import { Failure } from '../../domain/failure.ts';
import type { DatacenterRecord } from '../../domain/record.ts';

function entry(region: string, more: Partial<DatacenterRecord> = {}): DatacenterRecord {
  return {
    ...{ at: '', by: '', region, address: ['Dock 4', 'Harbour Road 1'], carriers: [], driveBytesMax: 10e12 },
    ...{ asks: { contact: false, returnTo: false }, publicKey: '', recipient: '' },
    ...more,
  };
}

const PLAIN = entry('home');
const STRICT = entry('eu-north', { carriers: ['dhl', 'ups'], asks: { contact: true, returnTo: true } });

/** What was asked, with what was offered, and what was shown before it was agreed to. */
interface Talk {
  readonly asked: string[];
  readonly offered: string[][];
  readonly shown: string[];
}

/** Gives the answers in their order; one that is checked and refused is said, and the next one is tried. */
function person(answers: readonly (string | boolean)[]): { asker: Asker; talk: Talk; refusals: string[] } {
  const left = [...answers];
  const talk: Talk = { asked: [], offered: [], shown: [] };
  const refusals: string[] = [];
  const next = () => {
    if (left.length === 0) throw new Error(`nothing to answer to ${talk.asked.at(-1)}`);
    return String(left.shift());
  };
  const asker: Asker = {
    async text(message, { check } = {}) {
      talk.asked.push(message);
      for (;;) {
        const given = next();
        try {
          check?.(given);
          return given;
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          refusals.push(error.message);
        }
      }
    },
    async choose(message, options) {
      talk.asked.push(message);
      talk.offered.push(options.map(({ label }) => label));
      const given = next();
      expect(options.map(({ value }) => value)).toContain(given);
      return given;
    },
    async agree(message) {
      talk.asked.push(message);
      return next() === 'true';
    },
    show: (title, lines) => void talk.shown.push(title, ...lines),
  };
  return { asker, talk, refusals };
}

function known(order: JobOrder = {}, more: Partial<Known> = {}): Known {
  return { job: '', order, protections: ['docs', 'mail'], datacenters: [PLAIN, STRICT], ...more };
}

describe('an order that nobody wrote down', () => {
  test('is asked whole, the nearest datacenter first, and shown before it starts', async () => {
    const answers = [
      'hq-2026',
      'mail',
      '/mnt/staging',
      'copy1, attic',
      'eu-north',
      'Ann',
      'dhl',
      'HQ, Town',
      'ACC-1',
      true,
    ];
    const { asker, talk } = person(answers);
    expect(await askOrder(asker, known())).toEqual({
      job: 'hq-2026',
      order: {
        ...{ protection: 'mail', staging: '/mnt/staging', datacenter: 'eu-north', contact: 'Ann' },
        ...{ 'return-carrier': 'dhl', 'return-to': 'HQ, Town', 'return-account': 'ACC-1' },
        'copy-host': 'copy1, attic',
      },
    });
    expect(talk.offered).toEqual([
      ['docs', 'mail'],
      ['home  Dock 4, Harbour Road 1  (nearest)', 'eu-north  Dock 4, Harbour Road 1'],
      ['dhl', 'ups', 'nobody: the datacenter keeps or destroys them'],
    ]);
    const summary = talk.shown.join('\n');
    for (const text of [
      'Job hq-2026',
      'mail',
      '/mnt/staging',
      'attic, copy1',
      'eu-north, Dock 4',
      'Ann',
      'with dhl, to HQ, Town',
    ])
      expect(summary).toContain(text);
  });

  test('is corrected where it is typed: a name, an empty answer, a host, a carrier', async () => {
    const any = entry('eu-north', { asks: { contact: true, returnTo: true } });
    const answers = ['Upper Case', 'hq', ' ', '/mnt/s', 'No Host', '', '', 'Ann', 'a b', 'none', true];
    const { asker, refusals } = person(answers);
    const { order } = await askOrder(asker, known({}, { protections: ['docs'], datacenters: [any] }));
    expect(order).toEqual({
      ...{ protection: 'docs', staging: '/mnt/s', datacenter: 'eu-north', contact: 'Ann', return: 'none' },
    });
    expect(refusals).toEqual([
      expect.stringContaining('Upper Case'),
      'an answer is needed',
      expect.stringContaining('host name "No"'),
      'an answer is needed',
      'carrier "a b" is not allowed',
    ]);
  });

  test('starts nothing that was not agreed to', async () => {
    const { asker } = person(['hq', 'docs', '/mnt/s', '', 'home', false]);
    await expect(askOrder(asker, known())).rejects.toMatchObject({ code: 'Usage', next: 'seedship job start hq' });
  });
});

describe('what a flag or a file has said', () => {
  test('is not asked again', async () => {
    const order = {
      ...{ protection: 'docs', staging: '/mnt/s', datacenter: 'eu-north', contact: 'Ann', container: 's3://landing' },
      ...{ 'return-carrier': 'ups', 'return-to': 'HQ', 'staging-limit': '500GB', 'copy-host': 'attic' },
    };
    const { asker, talk } = person(['', true]); // an account is nobody's duty
    expect((await askOrder(asker, known(order, { job: 'hq' }))).order).toEqual(order);
    expect(talk.asked).toEqual(['Your account with ups, if any', 'Start it?']);
    expect(talk.shown.join('\n')).toMatch(/at most 500GB[\s\S]*attic[\s\S]*s3:\/\/landing[\s\S]*with ups, to HQ/);
  });

  test('does not bring an order about that nothing could seed, or no datacenter takes', async () => {
    const { asker } = person(['hq', '/mnt/s', '']);
    await expect(askOrder(asker, known({}, { protections: [] }))).rejects.toMatchObject({
      code: 'WrongState',
      next: expect.stringContaining('--initial offline'),
    });
    const closed = entry('home', { instead: 'eu-north' });
    await expect(askOrder(person(['hq', '/mnt/s', '']).asker, known({ protection: 'docs' }, { datacenters: [closed] }))) //
      .rejects.toMatchObject({ code: 'WrongState', next: 'seedship datacenter list' });
  });
});
