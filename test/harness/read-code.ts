/** Reads the square code of a sheet as a scanner would: from its dots alone. */
import decodeQr from 'qr/decode.js';

const SCALE = 4;

export function readCode(svg: string): string {
  const modules = [...svg.matchAll(/M(\d+) (\d+)h1v1h-1z/g)].map(([, x, y]) => [Number(x), Number(y)] as const);
  const side = 1 + Math.max(...modules.flat()) + 4;
  const width = side * SCALE;
  const data = new Uint8Array(width * width * 4).fill(255);
  for (const [x, y] of modules)
    for (let at = 0; at < SCALE * SCALE; at++) {
      const row = y * SCALE + Math.floor(at / SCALE);
      const dot = (row * width + x * SCALE + (at % SCALE)) * 4;
      data.fill(0, dot, dot + 3);
    }
  return decodeQr({ width, height: width, data });
}
