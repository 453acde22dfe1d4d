/** One typed command: its words, its flags, the settings it runs under, and where it prints. */
import { Failure } from '../domain/failure.ts';
import type { Settings } from '../host/settings.ts';
import type { Print } from './print.ts';

export type FlagValues = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

export type TypeCommand = (words: readonly string[]) => Promise<number>;

export class Invocation {
  readonly words: readonly string[];
  readonly settings: Settings;
  readonly print: Print;
  /** Runs another command line as a person would; its exit code. */
  readonly type: TypeCommand;
  readonly #flags: FlagValues;

  constructor(parts: {
    words: readonly string[];
    flags: FlagValues;
    settings: Settings;
    print: Print;
    type: TypeCommand;
  }) {
    this.words = parts.words;
    this.settings = parts.settings;
    this.print = parts.print;
    this.type = parts.type;
    this.#flags = parts.flags;
  }

  /** The word at `place`; commander has seen to it that a wanted one is there. */
  word(place: number): string {
    return this.words[place] ?? '';
  }

  /** A flag's text. */
  text(flag: string): string | undefined {
    const value = this.#flags[flag];
    return typeof value === 'string' ? value : undefined;
  }

  /** A flag that must be there. @throws Failure `Usage` naming it */
  needed(flag: string): string {
    const value = this.text(flag);
    if (value !== undefined) return value;
    throw new Failure('Usage', `--${flag} is missing`, { why: 'this command needs it', next: 'add it, or see --help' });
  }

  /** A flag that may come several times. */
  list(flag: string): readonly string[] {
    const value = this.#flags[flag];
    return Array.isArray(value) ? value : typeof value === 'string' ? [value] : [];
  }

  is(flag: string): boolean {
    return this.#flags[flag] === true;
  }

  /** `--no-FLAG` was given. */
  isOff(flag: string): boolean {
    return this.#flags[flag] === false;
  }
}
