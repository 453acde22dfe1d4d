/**
 * What becomes of an entry whose name is taken.
 *
 *   skip        what is there stays
 *   overwrite   it is replaced by what is restored; a directory with something in it is not
 *   rename      what is restored gets another name: NAME.restored, NAME.restored-2, …
 *
 * What is there already as it should be is kept, in each case. A directory among directories is no
 * conflict: they are merged.
 */
import type { EntryStatus } from '../store/source-tree.ts';
import type { TargetTree } from '../store/target-tree.ts';

export type ConflictRule = 'skip' | 'overwrite' | 'rename';

export type Verdict =
  | { readonly kind: 'make'; readonly path: Buffer; readonly replace: boolean }
  | { readonly kind: 'kept'; readonly path: Buffer }
  | { readonly kind: 'conflict' };

/** Names tried before a file counts as one that cannot be named. */
const NAMES_MAX = 1000;

/**
 * Decides where an entry goes.
 * @param isSame whether what stands at a path is what would be restored there
 */
export async function judge(
  tree: TargetTree,
  path: Buffer,
  rule: ConflictRule,
  isSame: (path: Buffer, status: EntryStatus) => boolean | Promise<boolean>,
): Promise<Verdict> {
  const status = tree.status(path);
  if (!status) return { kind: 'make', path, replace: false };
  if (await isSame(path, status)) return { kind: 'kept', path };
  if (rule === 'skip') return { kind: 'conflict' };
  if (rule === 'overwrite') return { kind: 'make', path, replace: true };
  for (let number = 1; number <= NAMES_MAX; number++) {
    const other = Buffer.concat([path, Buffer.from(number === 1 ? '.restored' : `.restored-${number}`)]);
    const taken = tree.status(other);
    if (!taken) return { kind: 'make', path: other, replace: false };
    if (await isSame(other, taken)) return { kind: 'kept', path: other };
  }
  return { kind: 'conflict' };
}
