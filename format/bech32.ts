/**
 * Bech32 (BIP 173), the spelling of age's identities: `<prefix>1<data><checksum>`, five bits a
 * character, 30 bits of BCH checksum. Only what is needed to write one: no decoding, no 90
 * character limit (age has none).
 */

const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const;
const CHECKSUM_WORDS = 6;

/**
 * Writes `bytes` in lower case.
 * @param prefix lower case; letters, digits and hyphens
 */
export function bech32(prefix: string, bytes: Uint8Array): string {
  const words = fiveBitWords(bytes);
  const expanded = [...prefix].flatMap((letter) => [letter.charCodeAt(0) >> 5]);
  const low = [...prefix].map((letter) => letter.charCodeAt(0) & 31);
  const rest = checksum([...expanded, 0, ...low, ...words, ...new Array<number>(CHECKSUM_WORDS).fill(0)]) ^ 1;
  const check = Array.from({ length: CHECKSUM_WORDS }, (_, at) => (rest >>> (5 * (CHECKSUM_WORDS - 1 - at))) & 31);
  return `${prefix}1${[...words, ...check].map((word) => ALPHABET.charAt(word)).join('')}`;
}

function fiveBitWords(bytes: Uint8Array): number[] {
  const words: number[] = [];
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      words.push((held >> bits) & 31);
    }
  }
  if (bits > 0) words.push((held << (5 - bits)) & 31);
  return words;
}

function checksum(words: readonly number[]): number {
  let sum = 1;
  for (const word of words) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ word;
    GENERATOR.forEach((generator, bit) => {
      if ((top >> bit) & 1) sum ^= generator;
    });
  }
  return sum >>> 0;
}
