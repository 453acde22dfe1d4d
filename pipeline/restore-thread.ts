/**
 * One thread of a restore. It is handed a run of one pack's sealed bytes and what is wanted of it, and
 * does the rest: opens frames, verifies every chunk by its id, writes, sets attributes, names.
 *
 * Nothing is written before its chunk was verified. A frame that does not verify is reported and the
 * run goes on: the main thread fetches another version of the pack.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { errnoOf } from '../domain/failure.ts';
import { KIB } from '../domain/units.ts';
import { CorruptError } from '../format/cursor.ts';
import { sha256 } from '../format/digest.ts';
import { FrameOpener, type PackSeal, packSeal } from '../format/frame.ts';
import { ScratchFile } from '../store/scratch-file.ts';
import { TargetFile, TargetRoom } from '../store/target-file.ts';
import { closeTarget, TargetTree } from '../store/target-tree.ts';
import { failureMessage } from './child-failure.ts';
import { beginFile, endsRestore, joinFile, placeFile } from './restore-file.ts';
import {
  asBuffer,
  decodePieces,
  decodePlannedFile,
  type Piece,
  type PlannedFile,
  type PlanSpot,
} from './restore-piece.ts';
import type { FrameOrder, RunAnswer, RunOrder, ThreadSetting, WriterMessage } from './restore-pool.ts';
import { YoungGarbage } from './young-garbage.ts';

const WINDOW_BYTES = 64 * KIB;

interface OpenPart {
  readonly position: number;
  readonly file: TargetFile;
}

interface Written {
  readonly fd: number;
  /** Of the file, where it is known. */
  readonly length?: number;
}

class Writer {
  readonly #tree: TargetTree;
  readonly #files: ScratchFile;
  readonly #opener = new FrameOpener();
  readonly #room = new TargetRoom();
  #remaining: Int32Array = new Int32Array(0);
  #again = false;
  #file: { readonly position: number; readonly planned: PlannedFile } | undefined;
  #part: OpenPart | undefined;
  /** Of the plan's files. */
  #window = { start: 0, bytes: Buffer.alloc(0) };

  constructor({ root, files }: ThreadSetting) {
    this.#tree = new TargetTree(Buffer.from(root));
    this.#files = ScratchFile.open(files);
  }

  run({ key, headerBytes, bytes, start, frames, remaining, again }: RunOrder): RunAnswer {
    [this.#remaining, this.#again] = [new Int32Array(remaining), again];
    const answer: RunAnswer = { bytes: 0, files: 0, broken: [], losses: [] };
    const seal = packSeal(key, headerBytes);
    const sealed = asBuffer(bytes);
    for (const frame of frames) this.#frame(frame, seal, sealed.subarray(frame.offset - start), answer);
    this.#closePart();
    return answer;
  }

  #frame(frame: FrameOrder, seal: PackSeal, sealed: Buffer, answer: RunAnswer): void {
    const verified = new Set<number>();
    const pieces = decodePieces(asBuffer(frame.pieces));
    let plain: Uint8Array;
    try {
      plain = this.#opener.open(sealed.subarray(0, frame.sealedBytes), seal, frame.number, frame);
      for (const piece of pieces) verify(plain, piece, verified);
    } catch (error) {
      if (!(error instanceof CorruptError)) throw error;
      answer.broken.push(frame.number);
      return;
    }
    for (const piece of pieces) this.#piece(piece, dataOf(plain, piece), answer);
  }

  #piece(piece: Piece, data: Uint8Array, answer: RunAnswer): void {
    try {
      const file = this.#planned(piece.file);
      if (piece.counter < 0) this.#whole(file, piece, data, answer);
      else this.#partial(file, piece, data, answer);
      answer.bytes += data.length;
    } catch (error) {
      if (endsRestore(error)) throw error;
      answer.losses.push({ file: piece.file, reason: errnoOf(error) });
    }
  }

  #whole(file: PlannedFile, piece: Piece, data: Uint8Array, answer: RunAnswer): void {
    const target = this.#target(beginFile(this.#tree, file), file);
    try {
      target.write(data, piece.fileOffset);
    } catch (error) {
      closeWhole(target);
      throw error;
    }
    target.endDirect();
    this.#place(file, piece.file, { fd: target.fd, length: piece.fileOffset + data.length }, answer);
  }

  /** Whoever writes the last piece, of all threads, finishes the file. */
  #partial(file: PlannedFile, { file: spot, fileOffset, counter }: Piece, data: Uint8Array, answer: RunAnswer): void {
    if (this.#part?.position !== spot.position) {
      this.#closePart();
      this.#part = { position: spot.position, file: this.#target(joinFile(this.#tree, file), file) };
    }
    const { file: target } = this.#part;
    target.write(data, fileOffset);
    if (Atomics.sub(this.#remaining, counter, 1) !== 1) return;
    this.#part = undefined;
    target.endDirect();
    this.#place(file, spot, { fd: target.fd }, answer);
  }

  #target(fd: number, { size }: PlannedFile): TargetFile {
    return new TargetFile(fd, size, this.#again ? undefined : this.#room);
  }

  #place(file: PlannedFile, spot: PlanSpot, { fd, length }: Written, answer: RunAnswer): void {
    const { placed, losses } = placeFile(this.#tree, fd, file, length);
    if (placed) answer.files += 1;
    else answer.losses.push({ file: spot, reason: 'something took its name meanwhile' });
    for (const { what, reason } of losses) answer.losses.push({ file: spot, reason: `${what}: ${reason}`, kept: true });
  }

  #planned(spot: PlanSpot): PlannedFile {
    if (this.#file?.position !== spot.position)
      this.#file = {
        position: spot.position,
        planned: decodePlannedFile(this.#planAt(spot)),
      };
    return this.#file.planned;
  }

  /** Files are mostly wanted in the order in which they were planned: a read takes along what follows. */
  #planAt({ position, length }: PlanSpot): Buffer {
    const { start, bytes } = this.#window;
    const at = position - start;
    if (at >= 0 && at + length <= bytes.length) return bytes.subarray(at, at + length);
    if (length > WINDOW_BYTES) return this.#files.read(position, length);
    const fresh = Buffer.allocUnsafe(WINDOW_BYTES); // views of the last one may still be held
    this.#window = { start: position, bytes: fresh.subarray(0, this.#files.readInto(fresh, position)) };
    if (this.#window.bytes.length < length) throw new Error('a plan ends too early');
    return this.#window.bytes.subarray(0, length);
  }

  #closePart(): void {
    if (this.#part) closeWhole(this.#part.file);
    this.#part = undefined;
  }
}

function closeWhole(target: TargetFile): void {
  target.endDirect();
  closeTarget(target.fd);
}

/** @throws CorruptError when the bytes are not those of the chunk's id */
function verify(plain: Uint8Array, { chunkStart, chunkLength, id }: Piece, verified: Set<number>): void {
  if (verified.has(chunkStart)) return;
  const chunk = plain.subarray(chunkStart, chunkStart + chunkLength);
  if (chunk.length !== chunkLength || !sha256(chunk).equals(id))
    throw new CorruptError('chunk: not the bytes of its id');
  verified.add(chunkStart);
}

function dataOf(plain: Uint8Array, { chunkStart, pieceStart, pieceLength }: Piece): Uint8Array {
  return plain.subarray(chunkStart + pieceStart, chunkStart + pieceStart + pieceLength);
}

function tell(message: WriterMessage, moved: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, moved);
}

const setting: ThreadSetting = workerData;
const writer = new Writer(setting);
const garbage = new YoungGarbage();
parentPort?.on('message', (order: RunOrder | 'end') => {
  if (order === 'end') {
    parentPort?.close();
    return;
  }
  try {
    const answer = writer.run(order);
    const room = order.bytes.buffer;
    garbage.add(order.bytes.length);
    tell({ type: 'answer', order: order.order, answer, room }, [room]);
  } catch (error) {
    tell({ type: 'failed', failure: failureMessage(error) });
  }
});
