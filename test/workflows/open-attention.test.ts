import { describe, expect, test } from '@jest/globals';
import type { Attention } from '../../domain/attention.ts';
import { OpenAttention } from '../../workflows/open-attention.ts';

const ask = (id: string, drive: string): Attention => ({
  ...{ id, drive, code: 'DriveMissing', step: `drive-${drive}`, message: 'gone', hint: 'look', since: '' },
  choices: ['wait', 'send'],
});

/** Outside a workflow nothing can be sent down; what was decided stands all the same. */
const settle = (open: OpenAttention, id: string) =>
  expect(open.settle({ id, choice: 'wait', by: 'ann' })).rejects.toThrow(/[Ww]orkflow/);

describe('attention of a child', () => {
  test('has an id of the parent, kept while it is open', () => {
    const open = new OpenAttention(() => {});
    open.mirror('child-1', [ask('a1', 'A')]);
    open.mirror('child-2', [ask('a1', 'B')]);
    open.mirror('child-1', [ask('a1', 'A'), ask('a2', 'C')]);
    expect(open.list.map(({ id, drive }) => [id, drive])).toEqual([
      ['a1', 'A'],
      ['a2', 'B'],
      ['a3', 'C'],
    ]);
    open.mirror('child-1', [ask('a2', 'C')]);
    expect(open.list.map(({ id }) => id)).toEqual(['a2', 'a3']);
  });

  test('that was decided is not opened again by a list that was on its way', async () => {
    const open = new OpenAttention(() => {});
    open.mirror('child', [ask('a1', 'A')]);
    await settle(open, 'a1');
    open.mirror('child', [ask('a1', 'A'), ask('a2', 'B')]);
    expect(open.list.map(({ id, drive }) => [id, drive])).toEqual([['a2', 'B']]);
  });

  test('that an act has answered is over at once, whatever list was on its way', () => {
    const open = new OpenAttention(() => {});
    open.mirror('child', [ask('a1', 'A')]);
    open.mirror('other', [ask('a1', 'B')]);
    expect([open.asks('child'), open.asks('none')]).toEqual([true, false]);
    open.answered('child');
    open.mirror('child', [ask('a1', 'A')]);
    expect([open.asks('child'), open.list.map(({ drive }) => drive)]).toEqual([false, ['B']]);
    open.forget('child');
    open.mirror('child', [ask('a1', 'A')]);
    expect(open.list.map(({ drive }) => drive)).toEqual(['B', 'A']);
  });

  test('goes with the child; started again, the child counts from one', async () => {
    const open = new OpenAttention(() => {});
    open.mirror('child', [ask('a1', 'A')]);
    await settle(open, 'a1');
    open.forget('child');
    expect(open.list).toEqual([]);
    open.mirror('child', [ask('a1', 'A')]);
    expect(open.list.map(({ id }) => id)).toEqual(['a2']);
  });
});
