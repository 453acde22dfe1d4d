/** Memory for reads and writes past the page cache (open(2), O_DIRECT). */
import { addressOf } from './system-calls.ts';

/** Memory that direct reads and writes accept: its address is a multiple of `alignment`. */
export function alignedBuffer(bytes: number, alignment: number): Buffer {
  const room = Buffer.allocUnsafeSlow(bytes + alignment);
  const over = Number(addressOf(room) % BigInt(alignment));
  return room.subarray(alignment - over, alignment - over + bytes);
}
