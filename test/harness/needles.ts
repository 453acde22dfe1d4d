/** Looks for bytes that must not be somewhere, in every form in which they could have got there. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Needle {
  /** For the report: a failed search must not print the secret. */
  readonly what: string;
  readonly bytes: Uint8Array;
}

/** Fewer may be anywhere by chance, in base64 above all. */
const BYTES_MIN = 8;

/** A text, and how a JSON string and a URL would write it. */
export function textNeedles(what: string, text: string): Needle[] {
  const written = new Set([text, JSON.stringify(text).slice(1, -1), encodeURI(text)]);
  return [...written].map((one) => ({ what, bytes: Buffer.from(one) }));
}

/** Raw, hex in both cases, and base64 (both alphabets) at each of the three places it can begin at. */
export function formsOf({ what, bytes }: Needle): Map<string, Buffer> {
  if (bytes.length < BYTES_MIN) throw new RangeError(`${what} is too short to be looked for`);
  const hex = Buffer.from(bytes).toString('hex');
  const forms = new Map([
    ['raw', Buffer.from(bytes)],
    ['hex', Buffer.from(hex)],
    ['HEX', Buffer.from(hex.toUpperCase())],
  ]);
  for (const shift of [0, 1, 2])
    for (const alphabet of ['base64', 'base64url'] as const) {
      const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString(alphabet);
      // the first and last letters hold bits of the neighbours, too
      const own = text.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + bytes.length) * 8) / 6));
      forms.set(`${alphabet} at ${shift}`, Buffer.from(own));
    }
  return forms;
}

/** What is found, a line each: what, in which form, and where. */
export function findAll(needles: readonly Needle[], places: ReadonlyMap<string, Buffer>): string[] {
  const found = new Set<string>();
  for (const needle of needles)
    for (const [form, bytes] of formsOf(needle))
      for (const [place, content] of places)
        if (content.includes(bytes)) found.add(`${needle.what}, ${form}, in ${place}`);
  return [...found].sort();
}

/** Every plain file below a folder, under its name relative to `root`; names are looked through as well. */
export function contentsOf(root: string, folder = root): Map<string, Buffer> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      const name = path.relative(root, file);
      return [name, Buffer.concat([Buffer.from(`${name}\n`), readFileSync(file)])];
    }),
  );
}
