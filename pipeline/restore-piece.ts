/**
 * What the plan of a restore is made of: files with what is to be set on them, and pieces, each a run
 * of bytes of one chunk that goes to one place in one file. A chunk that ends in one range of data and
 * goes on behind a hole makes two pieces.
 *
 *   piece    pack (u32) ‖ frame (u32): the key it is sorted by ‖ chunk's offset in the frame (u32) ‖
 *            chunk's bytes (u32) ‖ piece's offset in the chunk (u32) ‖ piece's bytes (u32) ‖
 *            offset in the file (f64) ‖ file's position in the plan (f64) ‖ its length there (u32) ‖
 *            counter (i32): -1 when the file is this one piece ‖ chunk's id (32)
 */
import { deserialize, serialize } from 'node:v8';
import type { ScratchFile } from '../store/scratch-file.ts';
import type { Attributes } from '../store/target-attributes.ts';

export const PIECE_BYTES = 80;
export const ID_BYTES = 32;
const FIXED_BYTES = 29;

/** A file that is made under a name of its own, and named when it is whole. */
export interface PlannedFile {
  /** Below the target. */
  readonly path: Buffer;
  readonly temporary: Buffer;
  readonly size: number;
  /** Whether it takes the place of what has its name. */
  readonly replace: boolean;
  readonly attributes: Attributes;
}

/**
 * Encodes a planned file: by hand, since there is one a file and structured clones take eight times as long.
 *
 *   size (f64) ‖ mtime (i64) ‖ mode (u32) ‖ uid (u32) ‖ gid (u32) ‖ replace (u8) ‖
 *   path, temporary, then name and value of each attribute: bytes (u32) ‖ them
 */
export function encodePlannedFile({ path, temporary, size, replace, attributes }: PlannedFile): Buffer {
  const { mode, uid, gid, mtimeNs, attributes: extended } = attributes;
  let length = FIXED_BYTES + 8 + path.length + temporary.length;
  for (const { name, value } of extended) length += 8 + name.length + value.length;
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeDoubleLE(size, 0);
  bytes.writeBigInt64LE(mtimeNs, 8);
  bytes.writeUInt32LE(mode, 16);
  bytes.writeUInt32LE(uid, 20);
  bytes.writeUInt32LE(gid, 24);
  bytes[28] = replace ? 1 : 0;
  let at = putField(bytes, putField(bytes, FIXED_BYTES, path), temporary);
  for (const { name, value } of extended) at = putField(bytes, putField(bytes, at, name), value);
  return bytes;
}

/** @returns where the next one begins */
function putField(bytes: Buffer, at: number, field: Buffer): number {
  bytes.writeUInt32LE(field.length, at);
  bytes.set(field, at + 4);
  return at + 4 + field.length;
}

/** What `encodePlannedFile` made; its parts are views of `bytes`. */
export function decodePlannedFile(bytes: Buffer): PlannedFile {
  const path = fieldAt(bytes, FIXED_BYTES);
  const temporary = fieldAt(bytes, FIXED_BYTES + 4 + path.length);
  const attributes: { name: Buffer; value: Buffer }[] = [];
  for (let at = FIXED_BYTES + 8 + path.length + temporary.length; at < bytes.length; ) {
    const name = fieldAt(bytes, at);
    const value = fieldAt(bytes, at + 4 + name.length);
    attributes.push({ name, value });
    at += 8 + name.length + value.length;
  }
  const [size, mtimeNs, mode] = [bytes.readDoubleLE(0), bytes.readBigInt64LE(8), bytes.readUInt32LE(16)];
  const [uid, gid, replace] = [bytes.readUInt32LE(20), bytes.readUInt32LE(24), bytes[28] === 1];
  return { path, temporary, size, replace, attributes: { mode, uid, gid, mtimeNs, attributes } };
}

function fieldAt(bytes: Buffer, at: number): Buffer {
  return bytes.subarray(at + 4, at + 4 + bytes.readUInt32LE(at));
}

/** Where a planned file stands in the plan. */
export interface PlanSpot {
  readonly position: number;
  readonly length: number;
}

export interface Piece {
  readonly pack: number;
  readonly frame: number;
  readonly chunkStart: number;
  readonly chunkLength: number;
  readonly pieceStart: number;
  readonly pieceLength: number;
  readonly fileOffset: number;
  readonly file: PlanSpot;
  readonly counter: number;
  readonly id: Uint8Array;
}

/** Encodes one piece of a plan into `bytes`, `PIECE_BYTES` of them. */
export function encodePiece(piece: Piece, bytes: Buffer): Buffer {
  bytes.writeUInt32LE(piece.pack, 0);
  bytes.writeUInt32LE(piece.frame, 4);
  bytes.writeUInt32LE(piece.chunkStart, 8);
  bytes.writeUInt32LE(piece.chunkLength, 12);
  bytes.writeUInt32LE(piece.pieceStart, 16);
  bytes.writeUInt32LE(piece.pieceLength, 20);
  bytes.writeDoubleLE(piece.fileOffset, 24);
  bytes.writeDoubleLE(piece.file.position, 32);
  bytes.writeUInt32LE(piece.file.length, 40);
  bytes.writeInt32LE(piece.counter, 44);
  bytes.set(piece.id, 48);
  return bytes;
}

/** The id is a view of `bytes`. */
export function decodePiece(bytes: Buffer, at = 0): Piece {
  return {
    pack: bytes.readUInt32LE(at),
    frame: bytes.readUInt32LE(at + 4),
    chunkStart: bytes.readUInt32LE(at + 8),
    chunkLength: bytes.readUInt32LE(at + 12),
    pieceStart: bytes.readUInt32LE(at + 16),
    pieceLength: bytes.readUInt32LE(at + 20),
    fileOffset: bytes.readDoubleLE(at + 24),
    file: { position: bytes.readDoubleLE(at + 32), length: bytes.readUInt32LE(at + 40) },
    counter: bytes.readInt32LE(at + 44),
    id: bytes.subarray(at + 48, at + PIECE_BYTES),
  };
}

/** All pieces in `bytes`, one behind the other; their ids are views of it. */
export function decodePieces(bytes: Buffer): Piece[] {
  const pieces: Piece[] = [];
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) pieces.push(decodePiece(bytes, at));
  return pieces;
}

/** Appends anything to a scratch file, so that it can be had again by its spot: for what is not many. */
export function appendValue(file: ScratchFile, value: object): PlanSpot {
  const bytes = serialize(value);
  return { position: file.append(bytes), length: bytes.length };
}

/** What `appendValue` wrote. */
export function readValue<T>(file: ScratchFile, { position, length }: PlanSpot): T {
  return deserialize(file.read(position, length));
}

/** The same bytes, as what system calls take. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
