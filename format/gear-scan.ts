/**
 * The chunker's inner loop as a WebAssembly module: gear-scan.wat, compiled. In JavaScript its 64-bit numbers
 * took three limbs and four times as long.
 */

const MODULE =
  'AGFzbQEAAAABCAFgA39/fwF/Ag8BA2N1dAZtZW1vcnkCAAEDAgEABwgBBHNjYW4AAArLAQHIAQICfwR+QgEgAq2GIQUgAEHAAGsh' +
  'AwNAIAZCAYYgAy0AAEEDdCkDAHwhBiADQQFqIQMgAyAASQ0ACyABQQFrIQQCQANAIAMgBE8NASADLQAAQQN0KQMAIQggBkIBhiAI' +
  'fCEHIAZCAoYgCEIBhiADLQABQQN0KQMAfHwhBiAHIAVUBEAgA0EBag8LIANBAmohAyAGIAVaDQAgAw8LCyADIAFJBEAgBkIBhiAD' +
  'LQAAQQN0KQMAfCEHIAcgBVQEQCADQQFqDwsLQQAL';

/** Where in the memory the bytes begin; the table is at 0. */
export const SCANNED_AT = 4096;
const PAGE_BYTES = 65_536;

/** Of the language's own WebAssembly, which Node's types leave to those of a browser. */
interface Engine {
  readonly Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: { readonly scan: Scan } };
}

/**
 * Addresses in the memory: behind the first byte in [from, to) whose hash is below 2^bits, or 0 for none. The
 * hash is warmed with the 64 bytes before `from`.
 */
export type Scan = (from: number, to: number, bits: number) => number;

/** A memory for a table and `bytes` more, and what scans it. The memory never moves. */
export function gearScan(bytes: number): { readonly memory: ArrayBuffer; readonly scan: Scan } {
  const { Memory, Module, Instance } = Object(globalThis).WebAssembly as Engine;
  const pages = Math.ceil((SCANNED_AT + bytes) / PAGE_BYTES);
  const memory = new Memory({ initial: pages, maximum: pages });
  const instance = new Instance(new Module(gearScanModule()), { cut: { memory } });
  return { memory: memory.buffer, scan: instance.exports.scan };
}

/** The module's bytes. */
export function gearScanModule(): Buffer {
  return Buffer.from(MODULE, 'base64');
}
