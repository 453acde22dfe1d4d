/**
 * The series: in each round all tools back the folder up, back it up again, once more after a hundredth of it
 * was changed, and restore it; who begins changes from round to round. Between the steps, untimed, the seed
 * travels into the vault. Every restore is compared; the first of Seedship's is done once more by the
 * stand-alone reader, and compared again.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { bytesBelow, differencesOf, type Measured, measure, type Operation, OURS } from './measure.ts';
import { PEERS, PeerSide } from './peers.ts';
import { type Programs, told } from './programs.ts';
import type { Reading, Report } from './report.ts';
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
  #reading: Reading | undefined;

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

  async run(): Promise<Pick<Report, 'runs' | 'commands' | 'reading'>> {
    rmSync(this.#order.folder, { recursive: true, force: true });
    mkdirSync(this.#order.folder, { recursive: true });
    await this.#seedship.start();
    try {
      for (let round = 1; round <= this.#order.rounds; round += 1) await this.#round(round);
    } finally {
      await this.#seedship.stop();
    }
    const commands = Object.fromEntries(this.#commands);
    return { runs: this.#runs, commands, ...(this.#reading ? { reading: this.#reading } : {}) };
  }

  #at(...names: string[]): string {
    return path.join(this.#order.folder, ...names);
  }

  /**
   * What was restored stays until the round ends: for minutes after a tree was deleted, ext4 is slow to make files
   * (`recently_deleted`), which would be the next one's loss.
   */
  async #round(round: number): Promise<void> {
    for (const side of this.#sides) await side.begin(round);
    await this.#each(round, 'first backup', (side) => ({
      command: side.firstBackup(round),
      after: async () => ({ storedBytes: bytesBelow(side.stored(round)) }),
    }));
    await this.#seedship.carry(round);
    await this.#each(round, 'no-change backup', (side) => ({ command: side.again(round) }));
    await this.#order.change(round);
    await this.#each(round, '1 % changed', (side) => ({ command: side.again(round) }));
    const label = (await this.#seedship.restorable(round, 3)).toSorted().at(-1) ?? '';
    await this.#each(round, 'restore', (side) => {
      const to = this.#at(`back-${side.tool}`);
      return { command: side.restore(round, to), after: () => this.#compared(to) };
    });
    if (round === 1) this.#reading = await this.#read(label);
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
      const measured = await measure({ tool, operation, round, command, environment, servers, log, cold }, programs);
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

  /** The same point, read from the vault by a program that shares nothing with ours. */
  async #read(label: string): Promise<Reading> {
    const to = this.#at('back-reader');
    const words = [this.#seedship.at('vault'), ...this.#seedship.passphrase, 'restore', label, to];
    const begun = performance.now();
    const ended = await this.#order.programs.run([process.execPath, this.#order.reader, ...words]);
    const seconds = (performance.now() - begun) / 1000;
    const { differences } = await this.#compared(to);
    const failed = ended.status === 0 ? '' : `the reader ended with ${ended.status}: ${told(ended)}\n`;
    this.#order.say(`the stand-alone reader restored ${label} in ${seconds.toFixed(1)} s`);
    return { label, seconds, differences: `${failed}${differences}` };
  }
}
