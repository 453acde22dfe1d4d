/** What a protection names: the directories on the way to its items, and the items, which are walked whole. */
export interface ItemTree {
  readonly whole: boolean;
  /** By raw name, as latin1. */
  readonly children: ReadonlyMap<string, ItemTree>;
}

interface Growing {
  whole: boolean;
  readonly children: Map<string, Growing>;
}

/**
 * The items as one tree from `/` down, so that a point has the paths people know and an item inside
 * another is taken once.
 * @param items absolute paths; `.`, `..` and doubled slashes are not resolved here, and not allowed
 */
export function itemTree(items: readonly string[]): ItemTree {
  const root: Growing = { whole: false, children: new Map() };
  for (const item of items) {
    const names = Buffer.from(item)
      .toString('latin1')
      .split('/')
      .filter((name) => name !== '');
    let node = root;
    for (const name of names) {
      const child = node.children.get(name) ?? { whole: false, children: new Map<string, Growing>() };
      node.children.set(name, child);
      node = child;
    }
    node.whole = true;
  }
  return root;
}
