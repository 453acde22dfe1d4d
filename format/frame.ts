/**
 * A frame: what is compressed and sealed in one piece. Consecutive new chunks, at most 2 MiB.
 *
 *   sealed    ciphertext (as long as the payload) ‖ tag (16)
 *   payload   one zstd frame, or the bytes as they are when zstd saves less than 1/64
 *   key       the pack's; nonce: the frame's number in its pack, 12 bytes, little-endian
 *   bound to  the pack's header ‖ the number (u32): a frame moved elsewhere does not open
 *
 * Which chunks lie in it, and whether it is compressed, stands in the pack's table: a frame
 * alone says nothing about itself, so an observer learns only its length.
 *
 * Contexts are made once a thread (making one costs more than a small frame), and both directions
 * work in memory the caller owns; the cipher is fed 96 KiB at a time (longer calls are slower).
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import zstd from 'zstd-napi/binding.js'; // CommonJS made at run time: its names cannot be imported one by one
import { CorruptError } from './cursor.ts';
import { TAG_BYTES } from './seal.ts';

const { CCtx, CParameter, compressBound, DCtx } = zstd;

/** The longest chunk is a frame of its own; shorter ones gather up to half of this. */
export const FRAME_BYTES_MAX = 2 * 1024 * 1024;
/** What a sealed frame may take at most. */
export const SEALED_BYTES_MAX = FRAME_BYTES_MAX + TAG_BYTES;
const NONCE_BYTES = 12;
/** Below what malloc maps afresh each time (128 KiB where trimming is set): mapped pages are faulted in and cleared. */
const SLICE_BYTES = 96 * 1024;

export type Packing = 'zstd' | 'raw';

/** What all frames of one pack share. A pack key seals one pack, once. */
export interface PackSeal {
  readonly key: KeyObject;
  readonly header: Uint8Array;
}

export interface SealedFrame {
  readonly packing: Packing;
  /** In the caller's memory. */
  readonly sealed: Uint8Array;
}

/** A pack's seal from its key, 32 bytes. */
export function packSeal(packKey: Uint8Array, header: Uint8Array): PackSeal {
  return { key: createSecretKey(packKey), header };
}

/** Compresses and seals, one after the other, in one thread. */
export class FrameSealer {
  readonly #compressor = new CCtx();
  readonly #squeezed = Buffer.allocUnsafeSlow(compressBound(FRAME_BYTES_MAX));

  #level = 0;

  /** @param level zstd level */
  constructor(level: number) {
    this.level = level;
  }

  /** From the next frame on. */
  set level(level: number) {
    if (level === this.#level) return;
    this.#level = level;
    this.#compressor.setParameter(CParameter.compressionLevel, level);
  }

  /**
   * Seals `plain`, 1 byte to 2 MiB, as frame `number` into `into`.
   * @param into at least `SEALED_BYTES_MAX`
   */
  seal(plain: Uint8Array, at: PackSeal, number: number, into: Uint8Array): SealedFrame {
    if (plain.length === 0 || plain.length > FRAME_BYTES_MAX)
      throw new RangeError(`frame: ${plain.length} bytes, not 1 to ${FRAME_BYTES_MAX}`);
    const squeezed = this.#compressor.compress2(this.#squeezed, plain);
    const packing = squeezed < plain.length - (plain.length >> 6) ? 'zstd' : 'raw';
    const payload = packing === 'zstd' ? this.#squeezed.subarray(0, squeezed) : plain;
    return { packing, sealed: sealPayload(payload, at, number, into) };
  }
}

/** Seals a payload that stays as it is: padding, and what zstd cannot shrink. */
export function sealPayload(payload: Uint8Array, at: PackSeal, number: number, into: Uint8Array): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', at.key, nonce(number), { authTagLength: TAG_BYTES });
  cipher.setAAD(bound(at, number));
  for (let from = 0; from < payload.length; from += SLICE_BYTES)
    into.set(cipher.update(payload.subarray(from, from + SLICE_BYTES)), from);
  cipher.final();
  into.set(cipher.getAuthTag(), payload.length);
  return into.subarray(0, payload.length + TAG_BYTES);
}

/** Opens frames, one after the other, in one thread. What it returns stands until the next call. */
export class FrameOpener {
  readonly #inflater = new DCtx();
  #payload: Buffer = Buffer.allocUnsafeSlow(64 * 1024);
  #plain: Buffer = Buffer.allocUnsafeSlow(64 * 1024);

  /**
   * Opens a frame; nothing is returned before the tag has been checked.
   * @param plainBytes the length its pack's table promises; no more is ever inflated
   * @throws CorruptError when a bit, the key, the pack or the position is not the one it was sealed with
   */
  open(sealed: Uint8Array, at: PackSeal, number: number, { packing, plainBytes }: FramePromise): Uint8Array {
    const end = sealed.length - TAG_BYTES;
    if (end <= 0 || sealed.length > SEALED_BYTES_MAX)
      throw new CorruptError(`frame ${number}: ${sealed.length} bytes are no sealed payload`);
    if (plainBytes > FRAME_BYTES_MAX) throw new CorruptError(`frame ${number}: promises ${plainBytes} bytes`);
    this.#payload = grown(this.#payload, end);
    const decipher = createDecipheriv('aes-256-gcm', at.key, nonce(number), { authTagLength: TAG_BYTES });
    decipher.setAAD(bound(at, number)).setAuthTag(sealed.subarray(end));
    for (let from = 0; from < end; from += SLICE_BYTES)
      this.#payload.set(decipher.update(sealed.subarray(from, Math.min(from + SLICE_BYTES, end))), from);
    try {
      decipher.final();
    } catch (cause) {
      throw new CorruptError(`frame ${number}: the seal is broken`, { cause });
    }
    const payload = this.#payload.subarray(0, end);
    const plain = packing === 'zstd' ? this.#inflate(payload, plainBytes) : payload;
    if (plain?.length !== plainBytes)
      throw new CorruptError(`frame ${number}: not the ${plainBytes} bytes its table says`);
    return plain;
  }

  /** Never writes more than was promised: a sealed frame may still come from a hostile machine. */
  #inflate(payload: Uint8Array, plainBytes: number): Uint8Array | undefined {
    this.#plain = grown(this.#plain, plainBytes);
    const room = this.#plain.subarray(0, plainBytes);
    try {
      return room.subarray(0, this.#inflater.decompress(room, payload));
    } catch {
      return undefined; // no zstd frame, or one that wants more room than it was promised
    }
  }
}

export interface FramePromise {
  readonly packing: Packing;
  readonly plainBytes: number;
}

function grown(buffer: Buffer, length: number): Buffer {
  return buffer.length >= length ? buffer : Buffer.allocUnsafeSlow(Math.min(length * 2, SEALED_BYTES_MAX));
}

function nonce(number: number): Uint8Array {
  const bytes = Buffer.alloc(NONCE_BYTES);
  bytes.writeUInt32LE(number);
  return bytes;
}

function bound({ header }: PackSeal, number: number): Uint8Array {
  const bytes = Buffer.alloc(header.length + 4);
  bytes.set(header);
  bytes.writeUInt32LE(number, header.length);
  return bytes;
}
