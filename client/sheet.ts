/** What sheets that are printed are drawn with: words, lines to write on, a square code; in millimetres. */
import encodeQr from 'qr';

export interface SheetSize {
  readonly width: number;
  readonly height: number;
}

export const MARGIN_MM = 8;
export const LINE_MM = 5.5;
/** Of a line of half a sheet, before it would leave it. */
const LINE_CHARACTERS_MAX = 48;
const BLANK_LINES = 4;

/** One sheet as SVG. @param title what a viewer shows; any text */
export function sheetSvg({ width, height }: SheetSize, title: string, drawn: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}mm" height="${height}mm" `,
    `viewBox="0 0 ${width} ${height}" font-family="sans-serif">\n`,
    `<title>${escaped(title)}</title>\n`,
    `<rect width="${width}" height="${height}" fill="#fff"/>\n`,
    ...drawn,
    '</svg>\n',
  ].join('');
}

/** The same as a page that prints on one. */
export function sheetHtml({ width, height }: SheetSize, title: string, svg: string): string {
  const style = `@page{size:${width}mm ${height}mm;margin:0}body{margin:0}svg{display:block}`;
  const head = `<meta charset="utf-8"><title>${escaped(title)}</title><style>${style}</style>`;
  return `<!doctype html>\n<html lang="en"><head>${head}</head>\n<body>${svg}</body></html>\n`;
}

/** What a scanner reads, in the upper left corner. */
export function square(said: string, size: number): string {
  const rows = encodeQr(said, 'raw', { ecc: 'medium', border: 4 });
  const dark = rows.flatMap((row, y) => row.flatMap((on, x) => (on ? [`M${x} ${y}h1v1h-1z`] : [])));
  const place = `translate(${MARGIN_MM} ${MARGIN_MM}) scale(${size / rows.length})`;
  return `<path transform="${place}" shape-rendering="crispEdges" d="${dark.join('')}"/>\n`;
}

/** An address; lines to write on where none is known. */
export function address(x: number, y: number, right: number, said: readonly string[]): string[] {
  if (said.length > 0) return said.map((line, at) => text(x, y + at * LINE_MM, line.slice(0, LINE_CHARACTERS_MAX), 4));
  return Array.from({ length: BLANK_LINES }, (_, at) => {
    const under = y + 1 + at * LINE_MM * 1.4;
    return `<path d="M${x} ${under}H${right}" stroke="#888" stroke-width=".2"/>\n`;
  });
}

export function text(x: number, y: number, said: string, size: number): string {
  return `<text x="${x}" y="${y}" font-size="${size}">${escaped(said)}</text>\n`;
}

function escaped(said: string): string {
  const names: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return said.replace(/[&<>"]/g, (character) => names[character] ?? '');
}
