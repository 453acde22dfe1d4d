/**
 * The only magic multipliers. Sizes are bytes in binary units, since packs and memory are; a
 * drive's label counts in decimal ones, so drives print both. Times are milliseconds.
 */
export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const TIB = 1024 * GIB;

/** Of a medium's rate, which is told in decimal units. */
export const MB = 1e6;

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const IEC = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const SI = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

const SIZE = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?$/i;

/**
 * `64MiB`, `8TB`, `500000`: a whole number of bytes; `undefined` when it is no size.
 * `KiB…PiB` count in 1024s, `kB…PB` and the bare letters in 1000s (IEC 80000-13).
 */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text.trim());
  if (!match) return undefined;
  const [, digits = '', letter = '', binary = ''] = match;
  if (binary !== '' && letter === '') return undefined;
  const power = ['', 'k', 'm', 'g', 't', 'p'].indexOf(letter.toLowerCase());
  const bytes = Math.round(Number(digits) * (binary ? 1024 : 1000) ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

const BIT_RATE = /^(\d+(?:\.\d+)?)\s*([kmg]?)bit(?:\/s)?$/i;

/** `50Mbit`, `1 Gbit/s`: bits a second; `undefined` when it is no rate, or none at all. */
export function parseBitRate(text: string): number | undefined {
  const [, digits, letter = ''] = BIT_RATE.exec(text.trim()) ?? [];
  const bits = Number(digits) * 1000 ** ['', 'k', 'm', 'g'].indexOf(letter.toLowerCase());
  return bits > 0 ? bits : undefined;
}

/** `1.5 TiB`. */
export function formatSize(bytes: number): string {
  return scaled(bytes, 1024, IEC);
}

/** `8.0 TB / 7.28 TiB`: what the label says, and what fits. */
export function formatDriveSize(bytes: number): string {
  return `${scaled(bytes, 1000, SI)} / ${scaled(bytes, 1024, IEC, 2)}`;
}

/** `3.1 TB`, as makers of drives count. */
export function formatDecimalSize(bytes: number): string {
  return scaled(bytes, 1000, SI);
}

/** `142.0 MB/s`, as makers of drives count. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatDecimalSize(bytesPerSecond)}/s`;
}

/** `2d 4h`, `5h 26m`, `12s`: the two largest units. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / SECOND));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  return parts
    .slice(first, first + 2)
    .filter(([count], index) => index === 0 || count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}

function scaled(bytes: number, base: number, units: readonly string[], digits = 1): string {
  let value = bytes;
  let unit = 0;
  while (value >= base && unit < units.length - 1) {
    value /= base;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(digits)} ${units[unit]}`;
}
