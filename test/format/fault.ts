/**
 * The fault model of every format: a byte is flipped, or the bytes end early or late. For small artefacts,
 * where each fault can be tried.
 */
import { readFileSync } from 'node:fs';

/** Every truncation, a byte more, and every byte with its lowest bit, highest bit and all bits flipped. */
export function* everyFault(bytes: Uint8Array): Generator<[string, Buffer]> {
  for (let length = 0; length < bytes.length; length++)
    yield [`cut to ${length}`, Buffer.from(bytes.subarray(0, length))];
  yield ['a byte more', Buffer.concat([bytes, Buffer.alloc(1)])];
  for (let at = 0; at < bytes.length; at++)
    for (const mask of [0x01, 0x80, 0xff]) {
      const altered = Buffer.from(bytes);
      altered.writeUInt8(altered.readUInt8(at) ^ mask, at);
      yield [`byte ${at} ^ ${mask}`, altered];
    }
}

/** The faults that `open` lets pass, and what it threw instead of an error of `names`. */
export function survivors(bytes: Uint8Array, open: (bytes: Buffer) => unknown, names: readonly string[]): string[] {
  const passed: string[] = [];
  for (const [fault, altered] of everyFault(bytes)) {
    try {
      open(altered);
      passed.push(`${fault}: opened`);
    } catch (error) {
      if (!names.includes(nameOf(error))) passed.push(`${fault}: ${nameOf(error)}`);
    }
  }
  return passed;
}

/** The same of what opens later. */
export async function lateSurvivors(
  bytes: Uint8Array,
  open: (bytes: Buffer) => Promise<unknown>,
  names: readonly string[],
): Promise<string[]> {
  const passed: string[] = [];
  for (const [fault, altered] of everyFault(bytes)) {
    const outcome = await open(altered).then(() => 'opened', nameOf);
    if (!names.includes(outcome)) passed.push(`${fault}: ${outcome}`);
  }
  return passed;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : String(error);
}

/** A golden vector: its fields, hex read as bytes by `bytes`. */
export function vector(name: string): { text: (field: string) => string; bytes: (field: string) => Buffer } {
  const fields: Record<string, unknown> = JSON.parse(readFileSync(`test/vectors/${name}.json`, 'utf8'));
  const text = (field: string): string => {
    const value = field.split('/').reduce<unknown>((at, key) => Object(at)[key], fields);
    if (typeof value !== 'string' && typeof value !== 'number') throw new Error(`vector ${name} has no ${field}`);
    return String(value);
  };
  return { text, bytes: (field) => Buffer.from(text(field), 'hex') };
}
