/** The disk that a host keeps its own files on, for a test that cuts its power: ext4 on a loop device. */
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '../../domain/units.ts';
import { LoopDisk, run } from './loop-disk.ts';

const TRIES = 50;

export class HostDisk {
  readonly #disk = new LoopDisk({ bytes: 3072 * MIB, serial: 'HOST-17', kept: true });
  #folder: string | undefined;
  #isCut = false;

  /** From now on `folder` is on it. */
  mount(folder: string): void {
    run('mkfs.ext4', '-q', this.#disk.device);
    run('mount', this.#disk.device, folder);
    this.#folder = folder;
  }

  /** What was not forced to it is gone, once it comes back. */
  cut(): boolean {
    run('xfs_io', '-x', '-c', 'shutdown', this.#mounted());
    this.#isCut = true;
    return true;
  }

  /** As after a reboot: the journal is replayed. Nothing happens when its power was not cut. */
  async comeBack(): Promise<void> {
    if (!this.#isCut) return;
    const folder = this.#mounted();
    await unmounted(folder);
    run('mount', this.#disk.device, folder);
    this.#isCut = false;
  }

  close(): void {
    if (this.#folder !== undefined) run('umount', '--lazy', this.#folder);
    this.#disk.release();
  }

  #mounted(): string {
    if (this.#folder === undefined) throw new Error('the disk of the host is not mounted');
    return this.#folder;
  }
}

/** A process that was just killed still has files of it open. */
async function unmounted(folder: string): Promise<void> {
  for (let tries = 1; ; tries += 1)
    try {
      run('umount', folder);
      return;
    } catch (error) {
      if (tries === TRIES) throw error;
      await sleep(100);
    }
}
