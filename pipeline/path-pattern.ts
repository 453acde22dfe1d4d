/**
 * Globs over raw paths: excludes of a backup, includes of a restore.
 *
 *   *      any run of bytes but `/`          **   any run of bytes, `/` too
 *   ?      one character (one UTF-8 sequence, or one stray byte)
 *   [a-z]  one ASCII character of a set, [!a-z] one not of it
 *   \      takes the next character as it is
 *
 * A pattern that starts with `/` is the whole path; one with a slash further in may start at any
 * directory; one without matches a name anywhere. One that ends in `/` matches directories only.
 * Whoever matches a directory means all that lies in it.
 */
import { Failure } from '../domain/failure.ts';

/** One character as it looks in latin1, which is how raw bytes are matched. */
const CHARACTER = '(?:[\\xc2-\\xf4][\\x80-\\xbf]{1,3}|[^/])';

export interface PathPattern {
  /** No path matches. */
  readonly isEmpty: boolean;
  matches(path: Uint8Array, isDirectory: boolean): boolean;
}

/** @throws Failure `Usage` for an unclosed set */
export function compilePatterns(globs: readonly string[]): PathPattern {
  const files = globs.filter((glob) => !glob.endsWith('/')).map(expression);
  const directories = globs.filter((glob) => glob.endsWith('/')).map((glob) => expression(glob.slice(0, -1)));
  const ofFiles = anyOf(files);
  const ofDirectories = anyOf([...files, ...directories]);
  return {
    isEmpty: globs.length === 0,
    matches(path, isDirectory) {
      const pattern = isDirectory ? ofDirectories : ofFiles;
      return pattern?.test(Buffer.from(path.buffer, path.byteOffset, path.length).toString('latin1')) ?? false;
    },
  };
}

function anyOf(expressions: readonly string[]): RegExp | undefined {
  return expressions.length === 0 ? undefined : new RegExp(`^(?:${expressions.join('|')})$`, 's');
}

function expression(glob: string): string {
  const bytes = Buffer.from(glob, 'utf8').toString('latin1');
  const body = translate(bytes);
  return bytes.startsWith('/') ? body : `(?:.*/)?${body}`;
}

function translate(glob: string): string {
  let out = '';
  for (let at = 0; at < glob.length; at++) {
    const character = glob.charAt(at);
    if (character === '*') {
      const deep = glob.charAt(at + 1) === '*';
      const wholeNames = deep && glob.charAt(at + 2) === '/';
      out += wholeNames ? '(?:.*/)?' : deep ? '.*' : '[^/]*';
      at += wholeNames ? 2 : deep ? 1 : 0;
    } else if (character === '?') {
      out += CHARACTER;
    } else if (character === '[') {
      const end = glob.indexOf(']', at + 2);
      if (end < 0) throw new Failure('Usage', 'a pattern has a [ without its ]', { next: 'write \\[ for a bracket' });
      out += set(glob.slice(at + 1, end));
      at = end;
    } else {
      if (character === '\\') at += 1;
      out += literal(glob.charAt(at));
    }
  }
  return out;
}

function set(text: string): string {
  const negated = text.startsWith('!') || text.startsWith('^');
  const members = (negated ? text.slice(1) : text).replace(/[\\\]^]/g, '\\$&');
  return negated ? `(?!/)[^${members}]` : `[${members}]`;
}

function literal(character: string): string {
  return /[\w/]/.test(character) ? character : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
