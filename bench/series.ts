/**
 * The series: in each round all tools back the folder up, back it up again, once more after a hundredth of it
 * was changed, and restore it; who begins changes from round to round. Between the steps, untimed, the seed
 * travels into the vault. Every restore is compared; every backup of Seedship's is restored by the stand-alone
 * reader besides, and that is compared too.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import {
  bytesBelow,
  differencesOf,
  diskSettled,
  type Measured,
  measure,
  OPERATIONS,
  type Operation,
  OURS,
} from './measure.ts';
import { PEERS, PeerSide } from './peers.ts';
import { type Programs, told } from './programs.ts';
import type { Report } from './report.ts';
import { SeedshipSide } from './seedship-side.ts';

export interface SeriesOrder {
  readonly folder: string;
  readonly corpus: string;
  readonly rounds: number;
  readonly cold: boolean;
  /** Those that are here. */
  readonly peers: readonly string[];
  readonly programs: Programs;
  /** The stand-alone reader. */
  readonly reader: string;
  /** Makes about one per cent of the folder different, the same for the same round. */
  change(round: number): Promise<void>;
  say(line: string): void;
}

type Side = SeedshipSide | PeerSide;

interface Plan {
  readonly command: readonly string[];
  after?(): Promise<Partial<Measured>>;
}

export class Series {
  readonly #order: SeriesOrder;
  readonly #seedship: SeedshipSide;
  readonly #sides: readonly Side[];
  readonly #runs: Measured[] = [];
  readonly #commands = new Map<string, string>();

  constructor(order: SeriesOrder) {
    this.#order = order;
    const { corpus, programs, peers } = order;
    this.#seedship = new SeedshipSide(this.#at(OURS), corpus, programs);
    const there = PEERS.filter(({ name }) => peers.includes(name));
    this.#sides = [
      this.#seedship,
      ...there.map((peer) => new PeerSide(peer, this.#at(peer.name), { corpus, programs })),
    ];
  }

  async run(): Promise<Pick<Report, 'runs' | 'commands'>> {
    rmSync(this.#order.folder, { recursive: true, force: true });
    mkdirSync(this.#order.folder, { recursive: true });
    await this.#seedship.start();
    try {
      for (let round = 1; round <= this.#order.rounds; round += 1) await this.#round(round);
    } finally {
      await this.#seedship.stop();
    }
    return { runs: this.#runs, commands: Object.fromEntries(this.#commands) };
  }

  #at(...names: string[]): string {
    return path.join(this.#order.folder, ...names);
  }

  /**
   * What was restored stays until the round ends: for minutes after a tree was deleted, ext4 is slow to make files
   * (`recently_deleted`), which would be the next one's loss.
   */
  async #round(round: number): Promise<void> {
    await diskSettled(this.#order.programs); // after the folder was made, or the last round's were deleted
    for (const side of this.#sides) await side.begin(round);
    await this.#each(round, 'first backup', (side) => ({
      command: side.firstBackup(round),
      after: async () => ({ storedBytes: bytesBelow(side.stored(round)) }),
    }));
    await this.#seedship.carry(round);
    await this.#each(round, 'no-change backup', (side) => ({ command: side.again(round) }));
    await this.#read(round, ['first backup', 'no-change backup']);
    await this.#order.change(round);
    await this.#each(round, '1 % changed', (side) => ({ command: side.again(round) }));
    await this.#read(round, ['1 % changed']);
    await this.#each(round, 'restore', (side) => {
      const to = this.#at(`back-${side.tool}`);
      return { command: side.restore(round, to), after: () => this.#compared(to) };
    });
    for (const side of this.#sides) side.forget(round);
    for (const name of readdirSync(this.#at()).filter((one) => one.startsWith('back-')))
      rmSync(this.#at(name), { recursive: true, force: true });
  }

  /** One after the other; who begins changes from round to round. */
  async #each(round: number, operation: Operation, plan: (side: Side) => Plan): Promise<void> {
    const { programs, say, cold } = this.#order;
    const first = (round - 1) % this.#sides.length;
    for (const side of [...this.#sides.slice(first), ...this.#sides.slice(0, first)]) {
      const { tool, environment, pids: servers } = side;
      const { command, after } = plan(side);
      if (round === 1) this.#commands.set(`${tool}, ${operation}`, this.#shown(command));
      const log = this.#at(`${tool}.log`);
      const warm = [operation === 'restore' ? side.kept(round) : this.#order.corpus];
      const run = { tool, operation, round, command, environment, servers, log, cold, warm };
      const measured = await measure(run, programs);
      this.#runs.push({ ...measured, ...(await after?.()) });
      const seconds = measured.wallSeconds.toFixed(1).padStart(7);
      say(`round ${round}  ${operation.padEnd(18)}${tool.padEnd(10)}${seconds} s${measured.noisy ? '  noisy' : ''}`);
    }
  }

  /** As a person would type it, with the bench's folder called WORK. */
  #shown(command: readonly string[]): string {
    const words = command[0] === process.execPath ? ['seedship', ...command.slice(2)] : command;
    return words.join(' ').replaceAll(path.dirname(this.#order.folder), 'WORK');
  }

  async #compared(to: string): Promise<{ differences: string }> {
    const { corpus, programs } = this.#order;
    const below = path.join(to, corpus);
    const differences = await differencesOf(corpus, existsSync(below) ? below : to, programs);
    return { differences };
  }

  /** The newest points, of these backups, read from the vault by a program that shares nothing with ours. */
  async #read(round: number, backups: readonly Operation[]): Promise<void> {
    const { programs, reader, say } = this.#order;
    const count = OPERATIONS.indexOf(backups.at(-1) ?? 'first backup') + 1;
    const labels = (await this.#seedship.restorable(round, count)).toSorted().slice(-backups.length);
    for (const [at, operation] of backups.entries()) {
      const [label = '', to] = [labels[at], this.#at(`back-reader-${OPERATIONS.indexOf(operation)}`)];
      const words = [this.#seedship.at('vault'), ...this.#seedship.passphrase, 'restore', label, to];
      const ended = await programs.run([process.execPath, reader, ...words]);
      const failed = ended.status === 0 ? '' : `the reader ended with ${ended.status}: ${told(ended)}\n`;
      const differences = `${failed}${(await this.#compared(to)).differences}`;
      say(
        `round ${round}  ${operation}: ${label} by the stand-alone reader: ${differences === '' ? 'exact' : 'DIFFERS'}`,
      );
      const timed = this.#runs.findIndex((run) => isOurs(run) && run.round === round && run.operation === operation);
      const [run] = this.#runs.slice(timed);
      if (run) this.#runs[timed] = { ...run, differences };
    }
  }
}

function isOurs({ tool }: Measured): boolean {
  return tool === OURS;
}
