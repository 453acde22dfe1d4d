/**
 * The names of one directory, in the order of their bytes, however many there are: pieces that fit in
 * memory are sorted and spilled, then merged. Names are latin1 text, which sorts as bytes do.
 *
 *   piece   names, sorted, each with a NUL behind it, which no name holds
 */
import { removeScratch, ScratchFile } from '../store/scratch-file.ts';

/** About 15 MiB of names. */
const PIECE_NAMES = 256 * 1024;
const BLOCK_BYTES = 64 * 1024;

/** @param newPath gives a fresh path for each piece that is spilled */
export function* sortedNames(
  names: Iterable<string>,
  newPath: () => string,
  pieceNames = PIECE_NAMES,
): Generator<string> {
  const pieces: string[] = [];
  let gathered: string[] = [];
  for (const name of names) {
    if (gathered.length === pieceNames) {
      pieces.push(spill(gathered.sort(), newPath()));
      gathered = [];
    }
    gathered.push(name);
  }
  gathered.sort();
  if (pieces.length === 0) yield* gathered;
  else yield* merge([...pieces.map(readPiece), gathered.values()]);
}

function spill(names: readonly string[], path: string): string {
  const file = ScratchFile.create(path);
  for (const name of names) file.append(Buffer.from(`${name}\0`, 'latin1'));
  file.close();
  return path;
}

function* readPiece(path: string): Generator<string> {
  const file = ScratchFile.open(path);
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  let rest = '';
  for (let at = 0; at < file.length; at += BLOCK_BYTES) {
    const names = (rest + block.toString('latin1', 0, file.readInto(block, at))).split('\0');
    rest = names.pop() ?? '';
    yield* names;
  }
  file.close();
  removeScratch(path);
}

function* merge(streams: readonly Iterator<string>[]): Generator<string> {
  let heads = streams.flatMap((stream) => {
    const first = stream.next();
    return first.done ? [] : [{ stream, name: first.value }];
  });
  while (heads.length > 0) {
    const least = heads.reduce((a, b) => (b.name < a.name ? b : a));
    yield least.name;
    const next = least.stream.next();
    if (next.done) heads = heads.filter((head) => head !== least);
    else least.name = next.value;
  }
}
