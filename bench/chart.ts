/** Lines over few measured places, as SVG that needs nothing to be seen; and the straight line that fits them best. */

export interface Place {
  readonly x: number;
  readonly y: number;
}

export interface Drawn {
  readonly name: string;
  readonly places: readonly Place[];
}

export interface Panel {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly Drawn[];
}

export interface Fit {
  /** Of y for each of x. */
  readonly slope: number;
  readonly start: number;
  /** 1 when all places lie on the line. */
  readonly r2: number;
}

const [WIDTH, HEIGHT] = [460, 320];
const EDGE = { left: 62, right: 16, top: 34, bottom: 52 };
const COLOURS = ['#1f6feb', '#d1561c', '#2f7d32', '#8a3ffc'];
const TICKS = 4;

/** Least squares; of one place a level line. */
export function fitted(places: readonly Place[]): Fit {
  const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
  const [x, y] = [mean(places.map((one) => one.x)), mean(places.map((one) => one.y))];
  const sum = (term: (one: Place) => number): number => places.reduce((total, one) => total + term(one), 0);
  const spread = sum((one) => (one.x - x) ** 2);
  const slope = spread === 0 ? 0 : sum((one) => (one.x - x) * (one.y - y)) / spread;
  const start = y - slope * x;
  const all = sum((one) => (one.y - y) ** 2);
  const left = sum((one) => (one.y - start - slope * one.x) ** 2);
  return { slope, start, r2: all === 0 ? 1 : 1 - left / all };
}

/** Panels side by side. */
export function svg(panels: readonly Panel[]): string {
  const drawn = panels.map((panel, at) => `<g transform="translate(${at * WIDTH} 0)">${panelOf(panel)}</g>`);
  const [width, font] = [panels.length * WIDTH, 'font-family="sans-serif" font-size="12"'];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" ${font}>`,
    `<rect width="${width}" height="${HEIGHT}" fill="#ffffff"/>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
}

function panelOf({ title, xLabel, yLabel, lines }: Panel): string {
  const all = lines.flatMap(({ places }) => places);
  const most = { x: niceAbove(Math.max(...all.map(({ x }) => x))), y: niceAbove(Math.max(...all.map(({ y }) => y))) };
  const right = WIDTH - EDGE.right;
  const floor = HEIGHT - EDGE.bottom;
  const atX = (x: number): number => EDGE.left + (x / most.x) * (right - EDGE.left);
  const atY = (y: number): number => floor - (y / most.y) * (floor - EDGE.top);
  const ticks = Array.from({ length: TICKS + 1 }, (_, at) => at / TICKS);
  return [
    `<text x="${EDGE.left}" y="18" font-weight="bold">${title}</text>`,
    ...ticks.map((part) => {
      const [x, y] = [atX(part * most.x), atY(part * most.y)];
      return (
        `<path d="M${EDGE.left} ${y}H${right}" stroke="#dddddd"/>` +
        `<text x="${EDGE.left - 6}" y="${y + 4}" text-anchor="end">${short(part * most.y)}</text>` +
        `<text x="${x}" y="${floor + 16}" text-anchor="middle">${short(part * most.x)}</text>`
      );
    }),
    ...lines.map((line, at) => lineOf(line, COLOURS[at % COLOURS.length] ?? '#000000', { atX, atY, at })),
    `<text x="${(EDGE.left + right) / 2}" y="${floor + 34}" text-anchor="middle">${xLabel}</text>`,
    `<text transform="translate(14 ${(EDGE.top + floor) / 2}) rotate(-90)" text-anchor="middle">${yLabel}</text>`,
  ].join('\n');
}

interface Scale {
  atX(x: number): number;
  atY(y: number): number;
  readonly at: number;
}

function lineOf({ name, places }: Drawn, colour: string, { atX, atY, at }: Scale): string {
  const points = places.map(({ x, y }) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`);
  const dots = points.map((point) => {
    const [x, y] = point.split(',');
    return `<circle cx="${x}" cy="${y}" r="3" fill="${colour}"/>`;
  });
  const key = `<text x="${EDGE.left + 8}" y="${EDGE.top + 12 + at * 15}" fill="${colour}">${name}</text>`;
  const line = `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`;
  return `${line}${dots.join('')}${key}`;
}

/** The next of 1, 2, 4, 5 and 8 times a power of ten. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return ([1, 2, 4, 5, 8, 10].find((step) => step * power >= value * 1.001) ?? 10) * power;
}

function short(value: number): string {
  if (value >= 10_000) return `${Number((value / 1000).toFixed(0))}k`;
  return String(Number(value.toFixed(value < 10 ? 1 : 0)));
}
