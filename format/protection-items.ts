/**
 * What a protection protects: paths and globs, which no server may read. A member of the domain
 * can, since all of a group back up by the same list.
 *
 *   sealed    prelude 'SSPI' (6) ‖ salt (32) ‖ sealed body
 *   key       items key (index key, salt); bound: prelude, salt and the protection's name (UTF-8)
 *   body      count (u16) ‖ items (text16 each) ‖ count (u16) ‖ excludes (text16 each)
 */
import { Reader, Writer } from './cursor.ts';
import { itemsKey, newSalt } from './key-tree.ts';
import { openBytes, SALT_BYTES, sealBytes } from './seal.ts';

export interface ProtectionItems {
  /** Absolute paths. */
  readonly items: readonly string[];
  readonly excludes: readonly string[];
}

interface ItemsAt {
  readonly indexKey: Uint8Array;
  readonly protection: string;
}

/** Seals the items of a protection for the members of its domain. */
export function sealItems({ items, excludes }: ProtectionItems, { indexKey, protection }: ItemsAt): Buffer {
  const salt = newSalt();
  const head = new Writer().prelude('SSPI').bytes(salt).finish();
  const body = new Writer();
  for (const list of [items, excludes]) {
    body.u16(list.length);
    for (const text of list) body.text16(text);
  }
  return Buffer.concat([head, sealBytes(itemsKey(indexKey, salt), body.finish(), bound(head, protection))]);
}

/**
 * Opens the items of a protection.
 * @throws CorruptError when they are another protection's, another domain's, or damaged
 */
export function openItems(bytes: Uint8Array, { indexKey, protection }: ItemsAt): ProtectionItems {
  const reader = new Reader(bytes, 'protection items');
  reader.prelude('SSPI');
  const key = itemsKey(indexKey, reader.bytes(SALT_BYTES));
  const head = bytes.subarray(0, reader.position);
  const body = new Reader(
    openBytes(key, reader.rest(), bound(head, protection), 'protection items'),
    'protection items',
  );
  const items = readList(body);
  const excludes = readList(body);
  body.done();
  return { items, excludes };
}

function readList(reader: Reader): string[] {
  return Array.from({ length: reader.u16() }, () => reader.text16());
}

function bound(head: Uint8Array, protection: string): Buffer {
  return Buffer.concat([head, Buffer.from(protection)]);
}
