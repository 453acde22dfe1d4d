/**
 * What a machine has sent and the vault has taken. A machine may add to its vault but not look, so a
 * second attempt could not know; this log, 32 bytes an object, spares the line. It is a hint: what it
 * does not say is sent again, and found to be there.
 */
import type { Digest } from '../domain/names.ts';
import { DIGEST_BYTES, digestBytes, digestOf, toDigest } from '../format/digest.ts';
import { appendDurable, closeLog, makeDirectoryDurable, openLog } from '../store/durable-file.ts';
import { removeScratch, ScratchFile } from '../store/scratch-file.ts';
import type { StepName } from './step-receipt.ts';

export class SentLog {
  readonly #path: string;
  readonly #fd: number;
  readonly #sent = new Set<Digest>();

  private constructor(path: string) {
    this.#path = path;
    let fd = openLog(path);
    const file = ScratchFile.open(path);
    const bytes = file.read(0, file.length);
    file.close();
    if (bytes.length % DIGEST_BYTES !== 0) {
      closeLog(fd); // torn by a power cut: what follows would not be aligned
      removeScratch(path);
      fd = openLog(path);
    }
    this.#fd = fd;
    for (let at = 0; at + DIGEST_BYTES <= bytes.length; at += DIGEST_BYTES)
      this.#sent.add(toDigest(bytes.subarray(at, at + DIGEST_BYTES)));
  }

  /** One a step, in the machine's state. */
  static async open(stateDirectory: string, { run, step }: StepName): Promise<SentLog> {
    await makeDirectoryDurable(`${stateDirectory}/sent`);
    return new SentLog(`${stateDirectory}/sent/${digestOf(Buffer.from(`${run}\0${step}`))}`);
  }

  has(name: Digest): boolean {
    return this.#sent.has(name);
  }

  add(name: Digest): void {
    appendDurable(this.#fd, digestBytes(name));
    this.#sent.add(name);
  }

  close(): void {
    closeLog(this.#fd);
  }

  /** Once the step's receipt stands. */
  remove(): void {
    removeScratch(this.#path);
  }
}
