/**
 * A directory whose record is not whole yet. Its entries are encoded in order of name as soon as
 * they are known; one that a thread still reads, or that is a directory not walked yet, holds back
 * those behind it, and nothing else is held.
 */
import type { LeafScan } from '../format/leaf-scan.ts';
import { ATTRIBUTES_BYTES_MAX, EMPTY_FIELD, type TreeEntry } from '../format/tree.ts';
import { holesField, longField, type StoreRecord, TreeBuilder } from '../format/tree-builder.ts';
import { attributesAt, type EntryStatus, readLink } from '../store/source-tree.ts';
import type { FileAnswer, Stamp } from './cut-pool.ts';

type Kind = TreeEntry['type'];
type Common = Omit<Extract<TreeEntry, { type: 'fifo' | 'socket' }>, 'type'>;

const KIND_OF: Record<EntryStatus['type'], Kind> = {
  file: 'file',
  directory: 'directory',
  symlink: 'symlink',
  fifo: 'fifo',
  socket: 'socket',
  'character-device': 'char',
  'block-device': 'block',
};

/** Stands for the ctime of what was not kept whole: never equal, so the next backup looks and tells again. */
const LOOK_AGAIN = 0n;

/** An entry as far as it is known. */
export interface Draft {
  readonly status: EntryStatus;
  readonly common: Common;
  readonly target: Uint8Array | undefined;
  /** Why its attributes are left out. */
  readonly bare: string | undefined;
  /** Encoded and let go when this is true. */
  known: boolean;
  dropped: boolean;
  answer: FileAnswer | undefined;
  tree: Uint8Array | undefined;
}

/**
 * Looks at what a status does not say; of what `old` was, where it still is that.
 * @throws an errno error
 */
export function draftOf(name: Buffer, path: Buffer, status: EntryStatus, old: TreeEntry | undefined): Draft {
  const { mode, uid, gid, mtimeNs, ctimeNs, device, inode, links } = status;
  const attributes = old ? old.attributes : attributesAt(path);
  const bare = attributes.length > 0 && bytesOf(attributes) > ATTRIBUTES_BYTES_MAX;
  const oldTarget = old?.type === 'symlink' ? old.target : undefined;
  return {
    status,
    common: bare
      ? { name, mode, uid, gid, mtimeNs, ctimeNs: LOOK_AGAIN, device, inode, links, attributes: [] }
      : { name, mode, uid, gid, mtimeNs, ctimeNs, device, inode, links, attributes },
    bare: bare ? 'attributes: E2BIG' : undefined,
    target: status.type === 'symlink' ? (oldTarget ?? readLink(path)) : undefined,
    known: status.type !== 'directory',
    dropped: false,
    answer: undefined,
    tree: undefined,
  };
}

function bytesOf(attributes: Common['attributes']): number {
  return attributes.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
}

/** An entry of the last backup that is carried over as it lies. */
interface Carried {
  readonly name: Uint8Array;
  readonly encoded: Uint8Array;
  readonly known: true;
}

export class OpenDirectory {
  readonly #store: StoreRecord;
  readonly #builder: TreeBuilder;
  readonly #onDone: (id: Uint8Array) => void;
  #waiting: (Draft | Carried)[] = [];
  #first = 0;
  #walked = false;

  constructor(store: StoreRecord, onDone: (id: Uint8Array) => void) {
    this.#store = store;
    this.#builder = new TreeBuilder(store);
    this.#onDone = onDone;
  }

  add(draft: Draft): void {
    this.#waiting.push(draft);
  }

  /** Adds what nothing has to be found out about. */
  carry({ name, encoded }: LeafScan): void {
    this.advance();
    if (this.#first === this.#waiting.length) this.#builder.addEncoded(name, encoded);
    else this.#waiting.push({ name, encoded, known: true });
  }

  /** One more entry is known, or all have been added: encodes as far as it goes. */
  advance(): void {
    for (let draft = this.#waiting[this.#first]; draft?.known; draft = this.#waiting[++this.#first])
      if ('encoded' in draft) this.#builder.addEncoded(draft.name, draft.encoded);
      else if (!draft.dropped) this.#builder.add(entryOf(draft, this.#store));
    if (this.#first > 1024) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    if (this.#walked && this.#first === this.#waiting.length) this.#onDone(this.#builder.finish());
  }

  /** All entries have been added. */
  close(): void {
    this.#walked = true;
    this.advance();
  }
}

function entryOf({ common, status, target, answer, tree }: Draft, store: StoreRecord): TreeEntry {
  const type = KIND_OF[status.type];
  switch (type) {
    case 'file':
      return fileOf(common, status, answer, store);
    case 'directory':
      if (!tree) throw new Error('a directory was encoded before it was walked');
      return { ...common, type, tree };
    case 'symlink':
      return { ...common, type, target: target ?? new Uint8Array(0) };
    case 'block':
    case 'char':
      return { ...common, type, rdev: status.rdev };
    default:
      return { ...common, type };
  }
}

/** Field by field: spreading costs more than all else that is done for an unchanged file. */
function fileOf(
  common: Common,
  { size, mtimeNs }: Stamp,
  answer: FileAnswer | undefined,
  store: StoreRecord,
): TreeEntry {
  const stamp = answer?.stamp;
  return {
    type: 'file',
    name: common.name,
    mode: common.mode,
    uid: common.uid,
    gid: common.gid,
    mtimeNs: stamp ? stamp.mtimeNs : mtimeNs,
    ctimeNs: stamp && common.ctimeNs !== LOOK_AGAIN ? stamp.ctimeNs : common.ctimeNs,
    device: common.device,
    inode: common.inode,
    links: common.links,
    attributes: common.attributes,
    size: stamp ? stamp.size : size,
    chunks: answer ? longField(answer.chunks, store) : EMPTY_FIELD,
    holes: answer?.holes ? holesField(answer.holes, store) : EMPTY_FIELD,
  };
}
