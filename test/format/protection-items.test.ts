import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Writer } from '../../format/cursor.ts';
import { itemsKey } from '../../format/key-tree.ts';
import { openItems, sealItems } from '../../format/protection-items.ts';
import { sealBytes } from '../../format/seal.ts';
import { survivors, vector } from './fault.ts';

const golden = vector('protection-items');
const at = { indexKey: golden.bytes('indexKey'), protection: golden.text('protection') };

describe('protection items', () => {
  test('sealed by other code, they open', () => {
    expect(openItems(golden.bytes('sealed'), at)).toEqual({ items: ['/home', '/srv/über'], excludes: ['*.tmp'] });
  });

  test('what was sealed opens to the same, whatever it is', () => {
    const list = fc.array(fc.string({ unit: 'grapheme', maxLength: 30 }), { maxLength: 8 });
    fc.assert(
      fc.property(list, list, (items, excludes) => {
        expect(openItems(sealItems({ items, excludes }, at), at)).toEqual({ items, excludes });
      }),
    );
  });

  test('every truncation and every flipped byte is refused', () => {
    expect(survivors(golden.bytes('sealed'), (bytes) => openItems(bytes, at), ['CorruptError'])).toEqual([]);
  });

  test('bytes left over inside are refused', () => {
    const salt = new Uint8Array(32);
    const head = new Writer().prelude('SSPI').bytes(salt).finish();
    const bound = Buffer.concat([head, Buffer.from(at.protection)]);
    const sealed = sealBytes(itemsKey(at.indexKey, salt), new Writer().u16(0).u16(0).u8(0).finish(), bound);
    expect(() => openItems(Buffer.concat([head, sealed]), at)).toThrow('protection items: 1 bytes too many');
  });

  test('they are not another protection’s, nor another domain’s', () => {
    expect(() => openItems(golden.bytes('sealed'), { ...at, protection: 'nightly' })).toThrow('the seal is broken');
    expect(() => openItems(golden.bytes('sealed'), { ...at, indexKey: new Uint8Array(32) })).toThrow(
      'the seal is broken',
    );
  });
});
