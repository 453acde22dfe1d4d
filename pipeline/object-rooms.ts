import { DRIVE_FILE_BYTES_MAX } from '../format/drive-seal.ts';

/**
 * Memory of whole objects, one room for each in flight: used again, since what would be garbage is 64 MiB each. Of a
 * room for a small object little is touched.
 */
export class ObjectRooms {
  readonly #free: Buffer[] = [];

  /** Lends a room, which holds any object, for as long as `work` takes. */
  async lend<T>(work: (room: Buffer) => Promise<T>): Promise<T> {
    const room = this.#free.pop() ?? Buffer.allocUnsafeSlow(DRIVE_FILE_BYTES_MAX);
    try {
      return await work(room);
    } finally {
      this.#free.push(room);
    }
  }
}
