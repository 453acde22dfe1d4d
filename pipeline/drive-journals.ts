/**
 * The journals of one drive on its copy host, one an epoch: the only word on what the drive holds.
 * A journal whose head is torn recorded nothing; one that is damaged further in is not believed at
 * all, and its objects are written again.
 */
import { Failure } from '../domain/failure.ts';
import type { Digest } from '../domain/names.ts';
import { CorruptError } from '../format/cursor.ts';
import type { DriveObject } from '../format/drive-manifest.ts';
import { decodeJournal, JournalWriter } from '../format/journal.ts';
import { appendDurable, closeLog, makeDirectoryDurable, openLog } from '../store/durable-file.ts';
import { lockMedium, type MediumLock } from '../store/medium-lock.ts';
import { listScratch, ScratchFile } from '../store/scratch-file.ts';
import type { PrepareTask } from './child-tasks.ts';

const JOURNAL_NAME = /^journal\.([1-9]\d{0,5})$/;

/** One process writes a drive, or reads it: the lock lies on this host, since a drive may be read-only. */
export async function lockDrive({
  stateDirectory,
  drive,
  run,
}: {
  readonly stateDirectory: string;
  readonly drive: { readonly id: string };
  readonly run: string;
}): Promise<MediumLock> {
  await makeDirectoryDurable(`${stateDirectory}/locks`);
  return lockMedium(`${stateDirectory}/locks/drive-${drive.id}`, undefined, run);
}

interface OpenJournal {
  readonly fd: number;
  readonly writer: JournalWriter;
}

export class DriveJournals {
  /** In the order they were written. */
  readonly objects: readonly DriveObject[];
  /** 0 when the drive is new. */
  readonly lastEpoch: number;
  /** Of all journals. */
  readonly bytes: number;
  readonly #task: PrepareTask;
  readonly #directory: string;
  readonly #epochs: number[];
  #open: OpenJournal | undefined;

  private constructor(task: PrepareTask, directory: string) {
    this.#task = task;
    this.#directory = directory;
    this.#epochs = listScratch(directory)
      .map((name) => Number(JOURNAL_NAME.exec(name)?.[1] ?? 0))
      .filter((epoch) => epoch > 0)
      .sort((a, b) => a - b);
    this.lastEpoch = this.#epochs.at(-1) ?? 0;
    this.objects = this.#epochs.flatMap((epoch) => this.#recorded(epoch));
    this.bytes = this.#epochs.reduce((sum, epoch) => sum + readWhole(this.#path(epoch)).length, 0);
  }

  /** @throws Failure `WrongState` when the drive was prepared for another job */
  static async open(task: PrepareTask): Promise<DriveJournals> {
    const directory = `${task.stateDirectory}/journals/${task.drive.id}`;
    await makeDirectoryDurable(directory);
    return new DriveJournals(task, directory);
  }

  begin({ epoch, wrap }: { readonly epoch: number; readonly wrap: Digest }): void {
    const { drive, job, packSet } = this.#task;
    const writer = new JournalWriter({ drive: drive.id, epoch, job, packSet, wrap });
    const fd = openLog(this.#path(epoch));
    this.#open = { fd, writer };
    this.#epochs.push(epoch);
    appendDurable(fd, writer.head);
  }

  /** Once this returns, the object counts as being on the drive. */
  append({ number, kind, name, length, sealed }: DriveObject): void {
    if (!this.#open) throw new Error('drive-journals: no epoch has begun');
    appendDurable(this.#open.fd, this.#open.writer.append({ number, kind, name, length, sealed }));
  }

  /** Each as it is now, to be mirrored. */
  *contents(): Generator<{ readonly epoch: number; readonly bytes: Buffer }> {
    for (const epoch of this.#epochs) yield { epoch, bytes: readWhole(this.#path(epoch)) };
  }

  close(): void {
    if (this.#open) closeLog(this.#open.fd);
  }

  #path(epoch: number): string {
    return `${this.#directory}/journal.${epoch}`;
  }

  #recorded(epoch: number): DriveObject[] {
    try {
      const { drive, job, packSet } = this.#task;
      const journal = decodeJournal(readWhole(this.#path(epoch)), { drive: drive.id, epoch });
      if (journal.job !== job || journal.packSet !== packSet)
        throw new Failure('WrongState', 'this drive was prepared for another job');
      return journal.objects.map((object) => ({ ...object, epoch }));
    } catch (error) {
      if (error instanceof CorruptError) return [];
      throw error;
    }
  }
}

function readWhole(path: string): Buffer {
  const file = ScratchFile.open(path);
  try {
    return file.read(0, file.length);
  } finally {
    file.close();
  }
}
