/** How a disk does while it is filled: its rates, and what it says of itself (SMART) before and after. */
import { type DiskReport, type DiskWear, worsened } from '../domain/disk.ts';
import type { Progress } from '../domain/receipt.ts';
import { SECOND } from '../domain/units.ts';
import type { DriveAt } from '../pipeline/child-tasks.ts';
import { readWear } from '../store/block-device.ts';
import type { MachineState } from '../store/machine-state.ts';

/** What a former attempt wrote is counted at once when the next begins: no rate is that of a disk so soon. */
const COUNTED_AT_ONCE_MS = 50;
const WRITING = 'prepare';
const READING = 'read back';

interface Mark {
  readonly at: number;
  readonly bytes: number;
}

export class Filling {
  readonly #device: string | undefined;
  readonly #before: DiskWear;
  readonly #now: () => number;
  #begun = Number.POSITIVE_INFINITY;
  /** When all that was there already has been counted. */
  #base: Mark | undefined;
  #written: Mark | undefined;
  #read: Mark | undefined;

  /** @param now milliseconds */
  constructor(device: string | undefined, before: DiskWear, now: () => number = () => performance.now()) {
    [this.#device, this.#before, this.#now] = [device, before, now];
  }

  /** Asks the disk, where the drive is one. */
  static async begin({ id, path, disk }: DriveAt, state: MachineState): Promise<Filling> {
    if (!disk) return new Filling(undefined, { health: 'unknown' });
    return new Filling(path, await state.firstWear(id, await readWear(path)));
  }

  heard({ step, bytesDone }: Progress): void {
    const mark = { at: this.#now(), bytes: bytesDone };
    if (step === READING) this.#read = mark;
    if (step !== WRITING) return;
    this.#begun = Math.min(this.#begun, mark.at);
    if (mark.at - this.#begun < COUNTED_AT_ONCE_MS) this.#base = mark;
    this.#written = mark;
  }

  /** Asks the disk again. */
  async end(): Promise<DiskReport> {
    const after: DiskWear = this.#device === undefined ? { health: 'unknown' } : await readWear(this.#device);
    const writing = rate(this.#base, this.#written);
    const reading = rate(this.#written && { at: this.#written.at, bytes: 0 }, this.#read);
    return {
      ...(writing === undefined ? {} : { writtenPerSecond: writing }),
      ...(reading === undefined ? {} : { readPerSecond: reading }),
      ...worsened(this.#before, after),
    };
  }
}

/** Bytes a second; undefined when nothing moved in between. */
function rate(from: Mark | undefined, to: Mark | undefined): number | undefined {
  if (!from || !to || to.at <= from.at || to.bytes <= from.bytes) return undefined;
  return Math.round(((to.bytes - from.bytes) / (to.at - from.at)) * SECOND);
}
