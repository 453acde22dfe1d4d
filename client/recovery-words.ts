/** Recovery words: shown once, asked back, and the proof written down. */
import { Failure } from '../domain/failure.ts';
import type { VaultRecord } from '../domain/record.ts';
import { writeDurable } from '../store/durable-file.ts';
import { appendRecord, type Hand, readRecord } from '../store/records.ts';
import type { Invocation } from './invocation.ts';
import { type Door, prompt } from './vault-door.ts';

const ASKED_BACK = 3;

/** Writes down that the words were given back right. */
export async function recordProof({
  name,
  store,
  hand,
}: {
  name: string;
  store: Parameters<typeof appendRecord>[0];
  hand: Hand;
}) {
  const wordsProvedAt = new Date().toISOString();
  await appendRecord<VaultRecord>(
    store,
    { kind: 'vault', id: name },
    (before) => {
      if (!before) throw new Failure('Corrupt', 'the vault has no record of itself');
      return before.wordsProvedAt === undefined
        ? { ...before, wordsProvedAt, at: wordsProvedAt, by: 'owner' }
        : undefined;
    },
    hand,
  );
}

/** New words are not proved yet. */
export async function forgetProof({ name, store, hand }: Parameters<typeof recordProof>[0]): Promise<void> {
  const at = new Date().toISOString();
  await appendRecord<VaultRecord>(
    store,
    { kind: 'vault', id: name },
    (before) => {
      if (!before) throw new Failure('Corrupt', 'the vault has no record of itself');
      const { wordsProvedAt, ...rest } = before;
      return wordsProvedAt === undefined ? undefined : { ...rest, at, by: 'owner' };
    },
    hand,
  );
}

/** @throws Failure `WrongState` while nobody has shown that the recovery words were kept */
export async function needProvedWords({ store, trust, credentials }: Door): Promise<void> {
  const { name } = credentials.vault;
  const record = await readRecord<VaultRecord>(store, { kind: 'vault', id: name }, trust);
  if (!record)
    throw new Failure('WrongState', `there is no vault ${name} where this machine was told`, {
      next: `seedship vault create ${name}`,
    });
  if (record.body.wordsProvedAt !== undefined) return;
  throw new Failure('WrongState', `the recovery words of the vault ${name} have not been proved`, {
    why: 'a backup that nobody can open is none',
    next: 'seedship key verify-words',
  });
}

/** A file that must not be there yet: nothing a person keeps is overwritten. @throws Failure `WrongState` */
export async function writeFresh(file: string, bytes: Uint8Array): Promise<void> {
  if ((await writeDurable(file, bytes)) === 'created') return;
  throw new Failure('WrongState', `${file} is there already`, { next: 'name another file' });
}

/** Shows the words, or writes them to `--words-out`; there is no second time. */
export async function showWords(call: Invocation, words: string): Promise<void> {
  const file = call.text('words-out');
  if (file !== undefined) return writeFresh(file, Buffer.from(`${words}\n`));
  if (!process.stderr.isTTY)
    throw new Failure('Usage', 'there is no terminal to show the recovery words at', {
      next: 'add --words-out FILE',
    });
  const list = words.split(' ');
  process.stderr.write('\nThe 24 recovery words. Write them down now: they are shown once.\n\n');
  for (let row = 0; row < list.length; row += 6)
    process.stderr.write(
      `  ${list
        .slice(row, row + 6)
        .map((word, at) => `${String(row + at + 1).padStart(2)} ${word}`.padEnd(12))
        .join(' ')}\n`,
    );
  process.stderr.write('\n');
}

/** Asks three of the words back; false where there is nobody to ask. */
export async function askWords(words: string): Promise<boolean> {
  const list = words.split(' ');
  const places = [...list.keys()].sort(() => Math.random() - 0.5).slice(0, ASKED_BACK);
  for (const place of places.sort((a, b) => a - b)) {
    const ask = prompt(`Word ${place + 1}`);
    if (!ask) return false;
    for (let answer = await ask(); answer.trim().toLowerCase() !== list[place]; answer = await ask())
      process.stderr.write('That is not the word; look at what you wrote down.\n');
  }
  return true;
}
