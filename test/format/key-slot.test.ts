import { scryptSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { Writer } from '../../format/cursor.ts';
import { sha256 } from '../../format/digest.ts';
import { checkWords, newWords, openSlot, sealSlot, slotKind } from '../../format/key-slot.ts';
import { lateSurvivors, vector } from './fault.ts';

const golden = vector('key-slot');
const master = golden.bytes('master');
const words = newWords();

describe('key slot', () => {
  test('slots made by other code open with passphrase and with words', async () => {
    const passphrase = golden.text('passphrase');
    expect(await openSlot(golden.bytes('passphraseSlot'), { kind: 'passphrase', passphrase })).toEqual(master);
    expect(await openSlot(golden.bytes('wordsSlot'), { kind: 'words', words: golden.text('words') })).toEqual(master);
  });

  test('what was sealed opens, however the letters are composed', async () => {
    const slot = sealSlot({ kind: 'passphrase', passphrase: 'Schlüssel unter der Matte' }, master);
    const decomposed = 'Schlüssel unter der Matte'.normalize('NFD');
    expect(await openSlot(slot, { kind: 'passphrase', passphrase: decomposed })).toEqual(master);
    expect(slotKind(slot)).toBe('passphrase');
    await expect(openSlot(slot, { kind: 'passphrase', passphrase: 'Schlüssel unter der matte' })).rejects.toThrow(
      expect.objectContaining({ code: 'WrongKey' }),
    );
  });

  test('words open theirs in any case and spacing, other words do not', async () => {
    const slot = sealSlot({ kind: 'words', words }, master);
    const typed = `  ${words.toUpperCase().replaceAll(' ', '\n')} `;
    expect(await openSlot(slot, { kind: 'words', words: typed })).toEqual(master);
    await expect(openSlot(slot, { kind: 'words', words: newWords() })).rejects.toThrow(
      expect.objectContaining({ code: 'WrongKey' }),
    );
    await expect(openSlot(slot, { kind: 'passphrase', passphrase: words })).rejects.toThrow(
      'this is not the passphrase',
    );
  });

  test('two slots of one secret share no byte of salt or key', () => {
    const [a, b] = [sealSlot({ kind: 'words', words }, master), sealSlot({ kind: 'words', words }, master)];
    expect(a.subarray(10, 42)).not.toEqual(b.subarray(10, 42));
    expect(a.subarray(42, 74)).not.toEqual(b.subarray(42, 74));
  });

  test('every truncation and every flipped byte is refused before anything is stretched', async () => {
    const started = performance.now();
    const slot = golden.bytes('passphraseSlot');
    const secret = { kind: 'passphrase', passphrase: golden.text('passphrase') } as const;
    expect(await lateSurvivors(slot, (bytes) => openSlot(bytes, secret), ['CorruptError'])).toEqual([]);
    expect(performance.now() - started).toBeLessThan(2000); // one scrypt is half a second, and there are 700 faults
  });

  test('even with its checksum made anew, every flipped byte is refused', async () => {
    const slot = sealSlot({ kind: 'words', words }, master);
    const renewed = (bytes: Buffer) => Buffer.concat([bytes, sha256(bytes)]);
    const open = (bytes: Buffer) => openSlot(renewed(bytes), { kind: 'words', words });
    expect(await open(slot.subarray(0, -32))).toEqual(master);
    expect(await lateSurvivors(slot.subarray(0, -32), open, ['CorruptError', 'WrongKey'])).toEqual([]);
  });

  test.each([
    [14, 8, 1],
    [21, 8, 1],
    [255, 8, 1],
    [17, 9, 1],
    [17, 8, 2],
  ])('scrypt 2^%i, %i, %i is refused: a slot may not ask for any memory', async (log2N, r, p) => {
    const slot = golden.bytes('passphraseSlot').subarray(0, -32);
    const altered = Buffer.concat([
      slot.subarray(0, 7),
      new Writer().u8(log2N).u8(r).u8(p).finish(),
      slot.subarray(10),
    ]);
    const bytes = Buffer.concat([altered, sha256(altered)]);
    await expect(openSlot(bytes, { kind: 'passphrase', passphrase: golden.text('passphrase') })).rejects.toThrow(
      'key slot: scrypt parameters out of bounds',
    );
  });

  test('a short passphrase is refused, and its error does not repeat it', () => {
    expect(() => sealSlot({ kind: 'passphrase', passphrase: 'fifteen letters' }, master)).toThrow(
      expect.objectContaining({ code: 'Usage', message: expect.not.stringContaining('fifteen letters') }),
    );
  });

  test('scrypt is the one of RFC 7914', () => {
    // RFC 7914, section 12, third vector.
    const out = scryptSync('pleaseletmein', 'SodiumChloride', 64, { N: 16384, r: 8, p: 1 });
    expect(out.toString('hex').slice(0, 32)).toBe('7023bdcb3afd7348461c06cd81fd38eb');
  });
});

describe('recovery words', () => {
  // BIP 39's own vectors (trezor/python-mnemonic, vectors.json), 256 bits, English.
  test.each([
    ['00'.repeat(32), `${'abandon '.repeat(23)}art`],
    ['ff'.repeat(32), `${'zoo '.repeat(23)}vote`],
    [
      '68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c',
      'hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay length',
    ],
  ])('spell %s as BIP 39 does', (entropy, text) => {
    expect(checkWords(text).toString('hex')).toBe(entropy);
  });

  test('are 24, and different every time', () => {
    expect(newWords().split(' ')).toHaveLength(24);
    expect(newWords()).not.toBe(newWords());
  });

  test.each([
    ['23 words', words.split(' ').slice(1).join(' '), 'there are 23 words, not 24'],
    ['a word that is none', words.replace(/^\S+/, 'seedship'), 'word 1 is not one of the 2048'],
    ['two words swapped', `art ${'abandon '.repeat(23)}`, 'their checksum does not hold'],
  ])('%s are refused, naming the place and not the word', (_, text, why) => {
    expect(() => checkWords(text)).toThrow(expect.objectContaining({ code: 'WrongKey' }));
    try {
      checkWords(text);
    } catch (error) {
      expect(error).toMatchObject({ why: expect.stringContaining(why) });
      expect(JSON.stringify(error)).not.toContain('seedship');
    }
  });
});
