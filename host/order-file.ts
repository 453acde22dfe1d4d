/** A file of answers in TOML, as `job start --from` reads it. Its keys are the flags' names. */
import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { errnoOf, Failure } from '../domain/failure.ts';

/**
 * Texts by key; a list of texts counts as one of lines.
 * @throws Failure `NotFound`, or `Usage` naming what is not understood
 */
export function readOrderFile(file: string, keys: readonly string[]): Readonly<Record<string, string>> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new Failure(errnoOf(cause) === 'ENOENT' ? 'NotFound' : 'Usage', `${file} cannot be read`, {
      why: errnoOf(cause),
      next: 'name another file',
      cause,
    });
  }
  let values: Record<string, unknown>;
  try {
    values = parse(text);
  } catch (cause) {
    throw new Failure('Usage', `${file} cannot be read as TOML`, { next: `correct ${file}`, cause });
  }
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      if (!keys.includes(key))
        throw new Failure('Usage', `${key} in ${file} is no key of an order`, { why: `keys are ${keys.join(', ')}` });
      return [key, textOf(value, key, file)];
    }),
  );
}

function textOf(value: unknown, key: string, file: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value) && value.every((line) => typeof line === 'string')) return value.join('\n');
  throw new Failure('Usage', `${key} in ${file} is no text`, { next: `correct ${file}` });
}
