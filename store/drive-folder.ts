/**
 * The names in a folder of a drive, which may come from the street: read piece by piece, and no further than
 * Seedship ever fills a folder, so that a million of them costs a dock no more than a few thousand.
 */
import path from 'node:path';
import { errnoOf, Failure } from '../domain/failure.ts';
import { eachName } from './source-tree.ts';

/** Four times what Seedship writes into one. */
const NAMES_MAX = 4096;
/** What a file system keeps for itself, or an operator's desktop leaves, on a drive that counts as empty. */
const IGNORED = /^(?:lost\+found|\..*)$/;

/**
 * Sorted; none when there is no such folder.
 * @param place of the folder, from the root of the drive
 * @throws Failure `DriveForeign` when there are more than Seedship writes; an errno error
 */
export function namesIn(root: string, place: string): string[] {
  const names: string[] = [];
  for (const name of namesOf(path.join(root, place))) {
    if (names.length === NAMES_MAX)
      throw new Failure('DriveForeign', `${place || 'the root'} of the drive has more than ${NAMES_MAX} names`, {
        why: 'Seedship writes a thousand into a folder at most: something else filled it',
        next: 'remove what is not of Seedship, or have what the drive carries sent again',
      });
    names.push(name);
  }
  return names.sort();
}

/** Whether nothing is there that counts; of names that do not, too many to look at are something. */
export function isEmpty(folder: string): boolean {
  let seen = 0;
  for (const name of namesOf(folder)) if (!IGNORED.test(name) || ++seen > NAMES_MAX) return false;
  return true;
}

/** One by one, whatever the folder says of its size: whoever has seen enough ends it. */
function* namesOf(folder: string): Generator<string> {
  try {
    yield* eachName(Buffer.from(folder), Number.POSITIVE_INFINITY);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
