/**
 * Gathers where every new chunk lies, and makes parts of the chunk index of it. However many there
 * are, memory holds one part: entries are sorted on disk, and cut into parts by key.
 */
import { INDEX_ENTRY_BYTES, INDEX_KEY_BYTES, type IndexPart } from '../format/chunk-index.ts';
import { byName, type StoredObject } from '../format/stored-object.ts';
import { RunWriter, SortedRun } from './sorted-run.ts';

const PAYLOAD_BYTES = INDEX_ENTRY_BYTES - INDEX_KEY_BYTES;
const PACK_AT = INDEX_KEY_BYTES;
/** 13 MiB a part: sealing one takes several times its length in memory. */
const ENTRIES_MAX = 400_000;

export class IndexWriter {
  readonly #path: string;
  readonly #run: RunWriter;
  readonly packs: StoredObject[] = [];

  /** @param path of a scratch file */
  constructor(path: string) {
    this.#path = path;
    this.#run = new RunWriter(path, PAYLOAD_BYTES);
  }

  /** @param places entries of the pack, as `placesOf` makes them */
  add(object: StoredObject, places: Uint8Array): void {
    const number = this.packs.push(object) - 1;
    const bytes = Buffer.from(places.buffer, places.byteOffset, places.length);
    for (let at = 0; at < bytes.length; at += INDEX_ENTRY_BYTES) {
      bytes.writeUInt32LE(number, at + PACK_AT);
      this.#run.add(bytes.subarray(at, at + INDEX_ENTRY_BYTES));
    }
  }

  /** The parts, in order of key; none when nothing was added. */
  *parts(): Generator<IndexPart> {
    const count = this.#run.finish();
    const run = new SortedRun(this.#path, PAYLOAD_BYTES);
    const packs = [...this.packs].sort(byName);
    const places = new Map(packs.map(({ name }, place) => [name, place]));
    const renumbered = Uint32Array.from(this.packs, ({ name }) => places.get(name) ?? 0);
    let entries = Buffer.allocUnsafe(Math.min(count, ENTRIES_MAX) * INDEX_ENTRY_BYTES);
    let [fill, left] = [0, count];
    for (const record of run.records()) {
      entries.set(record, fill);
      entries.writeUInt32LE(renumbered[record.readUInt32LE(PACK_AT)] ?? 0, fill + PACK_AT);
      fill += INDEX_ENTRY_BYTES;
      left -= 1;
      if (fill < entries.length) continue;
      yield { packs, entries, replaces: [] };
      entries = entries.subarray(0, Math.min(left, ENTRIES_MAX) * INDEX_ENTRY_BYTES);
      fill = 0;
    }
    run.close();
  }
}
