/**
 * A screenshot as a small picture: sixteen greys, four bits each. PNG (ISO 15948): chunks of length, type, data,
 * CRC-32; the data of IDAT is zlib's, a filter byte before each line.
 */
import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');

/** @param png 8 bits a channel, RGB or RGBA, not interlaced: as browsers write them */
export function greyPicture(png: Buffer): Buffer {
  const chunks = chunksOf(png);
  const head = chunks.find(({ type }) => type === 'IHDR')?.data;
  if (!head) throw new Error('no PNG');
  const [width, height] = [head.readUInt32BE(0), head.readUInt32BE(4)];
  const channels = head.readUInt8(9) === 6 ? 4 : 3;
  const packed = inflateSync(Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data)));
  const pixels = unfiltered(packed, width * channels, { height, channels });
  const line = Math.ceil(width / 2);
  const grey = Buffer.alloc((line + 1) * height);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) {
      const at = (y * width + x) * channels;
      const [red = 0, green = 0, blue = 0] = pixels.subarray(at, at + 3);
      const level = Math.round((red * 0.299 + green * 0.587 + blue * 0.114) / 17);
      const to = y * (line + 1) + 1 + (x >> 1);
      grey.writeUInt8(grey.readUInt8(to) | (x % 2 === 0 ? level << 4 : level), to);
    }
  const newHead = Buffer.from(head);
  newHead.set([4, 0], 8); // four bits, grey
  const parts = [
    chunk('IHDR', newHead),
    chunk('IDAT', deflateSync(grey, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ];
  return Buffer.concat([SIGNATURE, ...parts]);
}

function chunksOf(png: Buffer): { type: string; data: Buffer }[] {
  const chunks = [];
  for (let at = SIGNATURE.length; at < png.length; ) {
    const length = png.readUInt32BE(at);
    chunks.push({ type: png.toString('latin1', at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) });
    at += length + 12;
  }
  return chunks;
}

function unfiltered(packed: Buffer, line: number, { height, channels }: { height: number; channels: number }): Buffer {
  const out = Buffer.alloc(line * height);
  const at = (x: number, y: number) => (x < 0 || y < 0 ? 0 : (out[y * line + x] ?? 0));
  for (let y = 0; y < height; y += 1) {
    const filter = packed[y * (line + 1)] ?? 0;
    for (let x = 0; x < line; x += 1) {
      const [left, up, corner] = [at(x - channels, y), at(x, y - 1), x < channels ? 0 : at(x - channels, y - 1)];
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter] ?? 0;
      out[y * line + x] = ((packed[y * (line + 1) + 1 + x] ?? 0) + guess) & 255;
    }
  }
  return out;
}

function paeth(left: number, up: number, corner: number): number {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}
