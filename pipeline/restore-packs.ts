/**
 * Fetches what the plan needs, pack by pack, and hands it to the threads. Neighbouring frames are
 * fetched in one read, small gaps along with them, so many bytes at once and no more; the next read is
 * under way while a thread works on the last. A pack stays with its thread, and so do directories,
 * until a thread has no pack left: it helps with the others'.
 *
 * A frame that does not verify is taken from the newest whole version of its pack that has its name.
 * When there is none, or the pack is missing, the files it is part of are lost, and named.
 */
import { KIB } from '../domain/units.ts';
import type { FrameRow } from '../format/pack.ts';
import type { Progress } from './child-tasks.ts';
import type { ChunkLookup } from './chunk-lookup.ts';
import { eachInFlight } from './in-flight.ts';
import type { RestoreLosses } from './restore-losses.ts';
import { decodePiece, type PlanSpot } from './restore-piece.ts';
import type { Batch, RestorePlan } from './restore-plan.ts';
import { type BatchShare, type FrameOrder, type RestorePool, RUN_BYTES, type RunAnswer } from './restore-pool.ts';
import { isLost } from './restore-walk.ts';
import type { PackReader, StoredPack } from './stored-pack.ts';
import type { Throttle } from './throttle.ts';

/** At once, of one thread too: the next one is opened while the last of another is written. */
const PACKS_LEAST = 2;
/** Reading so much for nothing costs less than another request. */
const GAP_BYTES = 256 * KIB;
/** A chunk of very many files: its pack is then read more than once. */
const GROUP_PIECES_MAX = 64 * 1024;

export interface RestorePacksParts {
  readonly plan: RestorePlan;
  readonly lookup: ChunkLookup;
  readonly reader: PackReader;
  readonly pool: RestorePool;
  readonly losses: RestoreLosses;
  readonly throttle: Throttle;
  readonly report: (progress: Progress) => void;
}

/** Who writes a pack's files, and what all writers of a batch share. */
interface Hand {
  readonly thread: number;
  readonly share: BatchShare;
}

/** Has a thread work on a pack that another began, until none of it is left. */
type Help = (thread: number) => Promise<void>;

/** What is wanted of one pack, by frame. */
interface Group {
  readonly pack: number;
  readonly frames: Map<number, Buffer[]>;
}

export class RestorePacks {
  readonly #parts: RestorePacksParts;
  /** Of packs that are being read. */
  readonly #helps = new Set<Help>();
  #bytesDone = 0;
  #packsDone = 0;

  constructor(parts: RestorePacksParts) {
    this.#parts = parts;
  }

  /** Writes a batch. @throws Failure of the vault that passes by itself, or of the target that every file would meet */
  async run({ pieces, remaining, again }: Batch): Promise<void> {
    const { size } = this.#parts.pool;
    const share = { remaining, again };
    const packs = groups(pieces.sorted());
    const hands = Array.from({ length: Math.max(PACKS_LEAST, size) }, (_, at) => ({ thread: at % size, share }));
    let failed = false;
    await eachInFlight(hands, hands.length, async (hand) => {
      try {
        for (let next = packs.next(); !next.done && !failed; next = packs.next()) await this.#group(next.value, hand);
        for (const help of this.#helps) if (!failed) await help(hand.thread);
      } catch (error) {
        failed = true; // the others end with what they are at
        throw error;
      }
    });
    pieces.close();
  }

  async #group(group: Group, to: Hand): Promise<void> {
    const { lookup, reader } = this.#parts;
    const object = lookup.packs[group.pack];
    const opening = object ? reader.open(object).catch(onlyLost) : Promise.resolve(undefined);
    try {
      const broken = await this.#frames(opening, to, group.frames);
      const pack = await opening;
      if (!pack) {
        for (const pieces of group.frames.values()) this.#lose(pieces, 'a pack is missing or damaged');
        return;
      }
      if (broken.size > 0) await this.#retry(pack, to, broken);
      pack.release();
    } finally {
      this.#packsDone += 1;
      this.#report();
    }
  }

  async #retry(pack: StoredPack, to: Hand, frames: ReadonlyMap<number, Buffer[]>): Promise<void> {
    const tried = pack.rescued;
    await pack.rescue().catch(onlyLost);
    const broken = pack.rescued && !tried ? await this.#frames(Promise.resolve(pack), to, frames) : frames;
    for (const pieces of broken.values()) this.#lose(pieces, 'a pack is damaged');
  }

  /** @returns frames that did not verify */
  async #frames(
    opening: Promise<StoredPack | undefined>,
    { thread, share }: Hand,
    wanted: ReadonlyMap<number, Buffer[]>,
  ): Promise<Map<number, Buffer[]>> {
    const broken = new Map<number, Buffer[]>();
    const begun = opening.then((pack) => pack && { pack, runs: runsOf(pack.opened.frames, wanted, broken).values() });
    const underWay: Promise<void>[] = [];
    const help: Help = (helper) => {
      const work = begun.then((one) => one && this.#runs(one, { thread: helper, share }, { wanted, broken }));
      underWay.push(work);
      return work;
    };
    this.#helps.add(help);
    try {
      await help(thread);
    } finally {
      this.#helps.delete(help);
    }
    await Promise.all(underWay);
    return broken;
  }

  /** Takes runs of a pack while there are any: the next is read while a thread works on the last. */
  async #runs({ pack, runs }: Begun, { thread, share }: Hand, { wanted, broken }: Frames): Promise<void> {
    const { key, headerBytes, frames } = pack.opened;
    let run = runs.next().value;
    let ahead = run && this.#fetch(pack, run);
    while (run) {
      const bytes = await ahead;
      const next = runs.next().value;
      ahead = next && this.#fetch(pack, next);
      const orders = run.frames
        .map((number) => this.#order(number, frames, wanted))
        .filter((order) => order !== undefined);
      const answer =
        bytes && (await this.#send(thread, { ...share, key, headerBytes, bytes, start: run.start, frames: orders }));
      for (const number of answer ? answer.broken : run.frames) broken.set(number, wanted.get(number) ?? []);
      run = next;
    }
  }

  /** `undefined` when the pack has no such bytes any more. Rejections wait for whoever takes the bytes. */
  #fetch(pack: StoredPack, run: Run): Promise<Buffer<ArrayBuffer> | undefined> {
    const fetched = this.#read(pack, run).catch(onlyLost);
    fetched.catch(() => {});
    return fetched;
  }

  async #read(pack: StoredPack, { start, end }: Run): Promise<Buffer<ArrayBuffer>> {
    await this.#parts.throttle.take(end - start);
    const room = this.#parts.pool.room(end - start);
    const bytes = await pack.range(start, end - start, room);
    if (bytes.buffer !== room.buffer) room.set(bytes);
    return room.subarray(0, bytes.length);
  }

  /** Pieces of files that are lost already are left out. */
  #order(number: number, rows: readonly FrameRow[], wanted: ReadonlyMap<number, Buffer[]>): FrameOrder | undefined {
    const row = rows[number];
    if (!row) return undefined;
    const { offset, sealedBytes, plainBytes, packing } = row;
    const live = (wanted.get(number) ?? []).filter(
      (piece) => !this.#parts.losses.isLost(decodePiece(piece).file.position),
    );
    return { number, offset, sealedBytes, plainBytes, packing, pieces: Buffer.concat(live) };
  }

  async #send(thread: number, run: Parameters<RestorePool['send']>[1]): Promise<RunAnswer> {
    const { pool, plan } = this.#parts;
    const answer = await pool.send(thread, run);
    this.#bytesDone += answer.bytes;
    plan.counts.files += answer.files;
    for (const { file, reason, kept } of answer.losses) this.#loseFile(file, reason, kept ?? false);
    this.#report();
    return answer;
  }

  #lose(pieces: readonly Buffer[], reason: string): void {
    for (const piece of pieces) this.#loseFile(decodePiece(piece).file, reason, false);
  }

  #loseFile(spot: PlanSpot, reason: string, kept: boolean): void {
    const { losses, plan } = this.#parts;
    if (kept || losses.addFile(spot, reason)) losses.add(plan.readFile(spot).path, reason);
  }

  #report(): void {
    const { plan, report } = this.#parts;
    report({
      step: 'restore',
      bytesDone: this.#bytesDone,
      ...(plan.isWhole && { bytesTotal: plan.counts.bytes }),
      objectsDone: this.#packsDone,
      filesDone: plan.counts.files,
    });
  }
}

/** What is left of a pack. */
interface Begun {
  readonly pack: StoredPack;
  readonly runs: Iterator<Run, undefined>;
}

interface Frames {
  readonly wanted: ReadonlyMap<number, Buffer[]>;
  readonly broken: Map<number, Buffer[]>;
}

interface Run {
  readonly start: number;
  readonly end: number;
  readonly frames: readonly number[];
}

/** Wanted frames, neighbours joined; those that the pack does not have are broken. */
function runsOf(
  rows: readonly FrameRow[],
  wanted: ReadonlyMap<number, Buffer[]>,
  broken: Map<number, Buffer[]>,
): Run[] {
  const runs: { start: number; end: number; frames: number[] }[] = [];
  for (const number of [...wanted.keys()].sort((a, b) => a - b)) {
    const row = rows[number];
    if (!row) {
      broken.set(number, wanted.get(number) ?? []);
      continue;
    }
    const end = row.offset + row.sealedBytes;
    const last = runs.at(-1);
    if (last && row.offset - last.end <= GAP_BYTES && end - last.start <= RUN_BYTES) {
      last.end = end;
      last.frames.push(number);
    } else runs.push({ start: row.offset, end, frames: [number] });
  }
  return runs;
}

/** Sorted pieces, pack by pack. */
function* groups(sorted: Iterable<Buffer>): Generator<Group> {
  let group: Group | undefined;
  let pieces = 0;
  for (const bytes of sorted) {
    const [pack, frame] = [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
    if (group && (group.pack !== pack || pieces >= GROUP_PIECES_MAX)) {
      yield group;
      group = undefined;
    }
    if (!group) [group, pieces] = [{ pack, frames: new Map() }, 0];
    const held = group.frames.get(frame) ?? [];
    held.push(Buffer.from(bytes));
    group.frames.set(frame, held);
    pieces += 1;
  }
  if (group) yield group;
}

/** Takes a loss as nothing there; anything else is thrown on. */
function onlyLost(error: unknown): undefined {
  if (isLost(error)) return undefined;
  throw error;
}
