/** Memory for reads and writes past the page cache (open(2), O_DIRECT). */
import { addressOf } from './system-calls.ts';

/** What the strictest disks ask of direct reads and writes: of their place, their length and their memory. */
export const SECTOR = 4096;

/** As many bytes as whole sectors hold that hold so many. */
export function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / SECTOR) * SECTOR;
}

/** Memory that direct reads and writes accept: its address is a multiple of `alignment`. */
export function alignedBuffer(bytes: number, alignment: number): Buffer {
  const room = Buffer.allocUnsafeSlow(bytes + alignment);
  const over = Number(addressOf(room) % BigInt(alignment));
  return room.subarray(alignment - over, alignment - over + bytes);
}
