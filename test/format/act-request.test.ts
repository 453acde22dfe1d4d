import { describe, expect, test } from '@jest/globals';
import { type AcceptedAct, doubtOf, openActRequest, signActRequest } from '../../format/act-request.ts';
import { digestOf } from '../../format/digest.ts';
import { signBody } from '../../format/signature.ts';
import { survivors } from './fault.ts';
import { byMachine, byOwner, trust } from './parties.ts';

const request = {
  workflowId: 'seed/main/hq-1',
  act: 'ship',
  at: '2026-11-23T10:00:00.000Z',
  asked: { carrier: 'dhl', tracking: '3318810025', drives: ['7F3A00000000C0DE'], by: byMachine.signer.id },
};
const signed = signActRequest(request, byMachine);
const opened = openActRequest(signed, { trust, name: digestOf(signed) });
const { asked } = request;
const said: AcceptedAct = { ...request, by: byMachine.signer.id };

describe('a signed request', () => {
  test('says what was asked, and whose computer signed it', () => {
    expect(opened).toMatchObject({ request, signer: { role: 'machine', id: byMachine.signer.id } });
    expect(doubtOf(opened, said)).toBeUndefined();
  });

  test('is refused with any byte altered, as another kind, or by no JSON', () => {
    const open = (bytes: Uint8Array) => openActRequest(bytes, { trust, name: digestOf(bytes) });
    expect(survivors(signed, open, ['CorruptError', 'TamperedError'])).toEqual([]);
    expect(() => open(signBody('receipt', Buffer.from(JSON.stringify(request)), byMachine))).toThrow('another kind');
    for (const body of ['ship it', '[]', '{"workflowId":1}'])
      expect(() => open(signBody('request', Buffer.from(body), byOwner))).toThrow('request:');
  });

  test('stands for its own act whatever the order of its names', () => {
    const { by, drives, tracking, carrier } = asked;
    expect(doubtOf(opened, { ...said, asked: { by, drives, tracking, carrier } })).toBeUndefined();
  });

  test.each<[Partial<AcceptedAct>, string]>([
    [{ workflowId: 'seed/main/hq-2' }, 'another job'],
    [{ act: 'receive' }, 'it asks for ship'],
    [{ by: 'ann' }, 'signed it'],
    [{ at: '2026-11-25T10:00:00.000Z' }, 'another day'],
    [{ asked: { ...asked, tracking: '3318810026' } }, 'something else'],
    [{ asked: { ...asked, drives: [] } }, 'something else'],
  ])('stands for no other: %j', (other, doubt) => {
    expect(doubtOf(opened, { ...said, ...other })).toContain(doubt);
  });
});
