import { sha256 } from '../format/digest.ts';
import { FRAME_BYTES_MAX } from '../format/frame.ts';
import { type ChunkEntry, FRAME_CHUNKS_MAX } from '../format/pack.ts';
import type { CatalogWriter } from './catalog.ts';
import type { ChunkTable } from './chunk-table.ts';
import type { PackWriter } from './pack-writer.ts';

/**
 * Where directories' records go: the catalog gets every one, the tree packs those that are new.
 * Records gather into frames; frames are written in order, one at a time, while the walk goes on.
 */
export class TreeWriter {
  readonly #pack: Promise<PackWriter>;
  readonly #table: ChunkTable;
  readonly #catalog: CatalogWriter;
  #frame = Buffer.allocUnsafe(FRAME_BYTES_MAX);
  #fill = 0;
  #chunks: ChunkEntry[] = [];
  #writing: Promise<void> = Promise.resolve();
  #failure: unknown;

  /** @param parts the packs once their session is made */
  constructor(parts: { pack: Promise<PackWriter>; table: ChunkTable; catalog: CatalogWriter }) {
    this.#pack = parts.pack;
    this.#table = parts.table;
    this.#catalog = parts.catalog;
  }

  /** Stores a record (at most 1 MiB); returns its id. */
  readonly store = (record: Buffer): Buffer => {
    const id = sha256(record);
    this.#catalog.addRecord(id, record);
    if (this.#table.insert(id)) {
      if (this.#fill + record.length > FRAME_BYTES_MAX / 2 || this.#chunks.length === FRAME_CHUNKS_MAX) this.#flush();
      this.#frame.set(record, this.#fill);
      this.#fill += record.length;
      this.#chunks.push({ id, length: record.length });
    }
    return id;
  };

  /** Returns when all frames handed over so far are with the disk. @throws what went wrong with one */
  async settled(): Promise<void> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Writes what is left and closes the pack. */
  async end(): Promise<void> {
    this.#flush();
    await this.settled();
    await (await this.#pack).end();
  }

  #flush(): void {
    if (this.#fill === 0) return;
    const plain = Buffer.from(this.#frame.subarray(0, this.#fill));
    const chunks = this.#chunks;
    this.#fill = 0;
    this.#chunks = [];
    this.#writing = this.#writing
      .then(async () => (await this.#pack).add(plain, chunks))
      .catch((error: unknown) => {
        this.#failure ??= error;
      });
  }
}
