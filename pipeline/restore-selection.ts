/** Which entries of a point are wanted: paths and all below them, of these what the globs match. */
import { type ItemTree, itemTree } from './item-tree.ts';
import { compilePatterns, type PathPattern } from './path-pattern.ts';

const SLASH = Buffer.from('/');

/** What is wanted in one directory. */
export interface Wanted {
  /** Only these names; all when absent. */
  readonly only: ItemTree | undefined;
  /** Whether a glob matched this directory or one above it, or there are none. */
  readonly included: boolean;
}

export class Selection {
  readonly #patterns: PathPattern | undefined;
  readonly root: Wanted;
  /** Paths asked for, as they were asked for. */
  readonly paths: readonly string[];

  /** @throws Failure `Usage` for a glob that is none */
  constructor(paths: readonly string[], include: readonly string[]) {
    const items = itemTree(paths.length === 0 ? ['/'] : paths);
    this.paths = paths;
    this.#patterns = include.length === 0 ? undefined : compilePatterns(include);
    this.root = { only: items.whole ? undefined : items, included: this.#patterns === undefined };
  }

  /**
   * Whether to look at an entry, and what is wanted below it.
   * @param path below the root, without a slash in front
   */
  enter({ only, included }: Wanted, name: Uint8Array, path: Buffer, isDirectory: boolean): Wanted | undefined {
    const child = only?.children.get(Buffer.from(name).toString('latin1'));
    if (only && !child) return undefined;
    const below = child && !child.whole ? child : undefined;
    if (below && !isDirectory) return undefined;
    const matched = included || (this.#patterns?.matches(Buffer.concat([SLASH, path]), isDirectory) ?? true);
    return { only: below, included: matched };
  }
}
