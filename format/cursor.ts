/**
 * Reading and writing bytes from left to right. All offset arithmetic of the formats is here.
 *
 *   u8 u16 u32 u64   unsigned, little-endian; a u64 that is no safe integer is refused
 *   i64big           signed, 64 bits, little-endian: times in nanoseconds, before 1970 too
 *   u64big           unsigned, all 64 bits: inodes, device numbers
 *   text             UTF-8, strict: a byte sequence that is not UTF-8 is refused
 *   text8 … bytes32  the length as u8, u16 or u32, then so many bytes
 *   prelude          magic (4 ASCII bytes) ‖ format version (u8, now 0) ‖ suite (u8, now 1)
 *
 * Suite 1 is SHA-256, HKDF-SHA-256, AES-256-GCM, Ed25519 and age's hybrid ML-KEM-768 + X25519.
 * Format version 0 is a draft. A reader refuses every value it does not know: it cannot guess.
 */

export const FORMAT_VERSION = 0;
export const SUITE = 1;
export const PRELUDE_BYTES = 6;

/** Bytes that are not what was written: truncated, altered, foreign, or of an unknown version. */
export class CorruptError extends Error {
  override readonly name: string = 'CorruptError';
}

const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads `bytes` once, forward; what it returns are views, not copies. Every error names `unit`. */
export class Reader {
  readonly #bytes: Buffer;
  readonly #unit: string;
  #at = 0;

  constructor(bytes: Uint8Array, unit: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#unit = unit;
  }

  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#step(1));
  }

  u16(): number {
    return this.#bytes.readUInt16LE(this.#step(2));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#step(4));
  }

  u64(): number {
    const low = this.u32();
    const value = this.u32() * 2 ** 32 + low;
    if (!Number.isSafeInteger(value)) throw this.corrupt('a number is larger than 2^53');
    return value;
  }

  i64big(): bigint {
    return this.#bytes.readBigInt64LE(this.#step(8));
  }

  u64big(): bigint {
    return this.#bytes.readBigUInt64LE(this.#step(8));
  }

  bytes(length: number): Buffer {
    const start = this.#step(length);
    return this.#bytes.subarray(start, start + length);
  }

  bytes8(): Buffer {
    return this.bytes(this.u8());
  }

  bytes16(): Buffer {
    return this.bytes(this.u16());
  }

  bytes32(): Buffer {
    return this.bytes(this.u32());
  }

  text(length: number): string {
    const bytes = this.bytes(length);
    try {
      return strictText.decode(bytes);
    } catch (cause) {
      throw new CorruptError(`${this.#unit}: text that is not UTF-8`, { cause });
    }
  }

  text8(): string {
    return this.text(this.u8());
  }

  text16(): string {
    return this.text(this.u16());
  }

  rest(): Buffer {
    return this.bytes(this.remaining);
  }

  /** Checks magic, format version and suite. */
  prelude(magic: string): void {
    if (this.bytes(magic.length).toString('latin1') !== magic) throw this.corrupt(`does not begin with ${magic}`);
    const version = this.u8();
    if (version !== FORMAT_VERSION) throw this.corrupt(`unknown format version ${version}`);
    const suite = this.u8();
    if (suite !== SUITE) throw this.corrupt(`unknown suite ${suite}`);
  }

  /** @throws CorruptError when bytes are left */
  done(): void {
    if (this.remaining > 0) throw this.corrupt(`${this.remaining} bytes too many`);
  }

  /** An error of this unit, for what only the caller can judge. */
  corrupt(what: string): CorruptError {
    return new CorruptError(`${this.#unit}: ${what}`);
  }

  #step(length: number): number {
    if (length > this.remaining) throw this.corrupt('ends too early');
    const start = this.#at;
    this.#at += length;
    return start;
  }
}

/** Grows as it is written to. A number that does not fit its field is our bug: RangeError. */
export class Writer {
  #bytes: Buffer;
  #length = 0;

  constructor(expectedBytes = 256) {
    this.#bytes = Buffer.allocUnsafe(Math.max(expectedBytes, 16));
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.#room(1);
    this.#bytes.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    const at = this.#room(2);
    this.#bytes.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#room(4);
    this.#bytes.writeUInt32LE(value, at);
    return this;
  }

  u64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`cursor: ${value} is no u64`);
    return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
  }

  i64big(value: bigint): this {
    const at = this.#room(8);
    this.#bytes.writeBigInt64LE(value, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#room(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  bytes8(value: Uint8Array): this {
    return this.u8(value.length).bytes(value);
  }

  bytes16(value: Uint8Array): this {
    return this.u16(value.length).bytes(value);
  }

  bytes32(value: Uint8Array): this {
    return this.u32(value.length).bytes(value);
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value));
  }

  text8(value: string): this {
    return this.bytes8(Buffer.from(value));
  }

  text16(value: string): this {
    return this.bytes16(Buffer.from(value));
  }

  /** Magic, format version and suite, as `Reader.prelude` checks them. */
  prelude(magic: string): this {
    return this.text(magic).u8(FORMAT_VERSION).u8(SUITE);
  }

  /** What was written; the writer is spent. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(length: number): number {
    const start = this.#length;
    if (start + length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, start + length));
      larger.set(this.#bytes.subarray(0, start));
      this.#bytes = larger;
    }
    this.#length += length;
    return start;
  }
}
