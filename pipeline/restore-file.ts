/**
 * Making one file of a restore: written under a temporary name, given its attributes, and named only
 * when it is whole. A temporary name depends on the restore and the path, so the same restore, begun
 * again, finds what it had begun.
 */
import { errnoOf } from '../domain/failure.ts';
import { finishFile, type Loss } from '../store/target-attributes.ts';
import { closeTarget, setLength, type TargetTree } from '../store/target-tree.ts';
import type { PlannedFile } from './restore-piece.ts';

/** Placed; or left alone, since something took the name meanwhile. */
export interface Placing {
  readonly placed: boolean;
  /** What could not be set on it: without root's rights an owner, some attributes. */
  readonly losses: readonly Loss[];
}

/** Errors that end the whole restore: every file would meet them. */
export function endsRestore(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'ENFILE', ''].includes(errnoOf(error));
}

/** Makes the file anew; what an interrupted attempt left of it is dropped. */
export function beginFile(tree: TargetTree, { temporary }: PlannedFile): number {
  try {
    return tree.createFile(temporary);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    tree.remove(temporary);
    return tree.createFile(temporary);
  }
}

/** Opens a file that other pieces may have begun, or makes it. */
export function joinFile(tree: TargetTree, { temporary }: PlannedFile): number {
  for (;;) {
    try {
      return tree.openFile(temporary, 'write');
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
    try {
      return tree.createFile(temporary);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error; // else another thread was quicker
    }
  }
}

/**
 * Sets length and attributes of a file whose bytes are all written, closes it, and names it.
 * @param length what it is known to have; unknown when absent
 */
export function placeFile(tree: TargetTree, fd: number, file: PlannedFile, length?: number): Placing {
  let losses: readonly Loss[];
  try {
    if (length !== file.size) setLength(fd, file.size);
    losses = finishFile(fd, file.attributes);
  } finally {
    closeTarget(fd);
  }
  if (file.replace) {
    tree.replace(file.temporary, file.path);
    return { placed: true, losses };
  }
  try {
    tree.place(file.temporary, file.path);
    return { placed: true, losses };
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    tree.remove(file.temporary);
    return { placed: false, losses: [] };
  }
}
