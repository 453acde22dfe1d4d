/**
 * One job from a folder to an exact restore, with the planned kills on its way. What it proves, besides
 * the restore: the job goes on without a person, nothing that was finished is made or sent again, and
 * packs are sealed at most once more for each thread that a kill caught.
 */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { preparePlace } from '../../store/directory-store.ts';
import { compareTrees, makeTree } from '../harness/embedded.ts';
import { newTestVault, packsIn, perform, stagingTask, Workbench } from '../pipeline/fixture.ts';
import type { Versions } from './buckets.ts';
import type { Kill, Stage } from './plan.ts';
import { finishedOn, freshFolder, type KillRig, logsOf } from './rig.ts';

export const THREADS = 2;
export const PACK_BYTES = 2 << 20;
/** Objects that a mover has under way at once (pipeline/store-mover.ts). */
const IN_FLIGHT = 2;
const KINDS = 2; // data and trees
/** Of the stage's bytes, when what was owed is hit. */
const AT_OWED = 0.1;

export const KILL_SETTINGS = {
  SEEDSHIP_THREADS: String(THREADS),
  SEEDSHIP_PACK_SIZE: String(PACK_BYTES),
  SEEDSHIP_STALL_SECONDS: '6',
};

export interface RoundPlan {
  readonly number: number;
  readonly kills: readonly Kill[];
  /** Of the tree, and of what is added to it while the seed travels. */
  readonly bytes: number;
  readonly addedBytes: number;
  /** Restores at the most, made until every planned kill has hit something; one when absent. */
  readonly restoresMax?: number;
}

export interface HitKill extends Kill {
  readonly round: number;
  /** Part of the bytes that heartbeats showed; `undefined` when the stage was over before. */
  readonly shown: number | undefined;
  readonly seconds: number;
}

/** Undisturbed: what the same bytes come to when nobody is killed. */
interface Undisturbed {
  readonly packs: number;
  /** As progress counts them: data, not holes. */
  readonly bytes: number;
}

export class Round {
  readonly hits: HitKill[] = [];
  readonly #rig: KillRig;
  readonly #plan: RoundPlan;
  readonly #bench = new Workbench('seedship-undisturbed');
  readonly #snapshots: Versions[] = [];
  /** Kills that came too late for their stage: the next one has them, once. */
  #owed: Kill[] = [];
  /** Those that came too late there as well: further restores have them. */
  #left: Kill[] = [];

  constructor(rig: KillRig, plan: RoundPlan) {
    this.#rig = rig;
    this.#plan = plan;
  }

  get source(): string {
    return this.#rig.system.at('source');
  }

  /** A tree of this round's own: nothing in it is in the vault yet. */
  async makeSource(): Promise<void> {
    const { number, bytes } = this.#plan;
    await makeTree(freshFolder(this.source), '--seed', String(number), '--files', '150', '--bytes', String(bytes));
  }

  async run(protection: string): Promise<void> {
    try {
      await this.#run(protection);
    } finally {
      this.#bench.close();
    }
  }

  async #run(protection: string): Promise<void> {
    const { number } = this.#plan;
    const { system } = this.#rig;
    const job = `j${number}`;
    const staging = system.at(`staging-${number}`);
    const drive = freshFolder(system.at(`drive-${number}`));
    const workflowId = `seed/main/${job}`;

    const [undisturbed, task] = await this.#undisturbed();
    await system.must('job', 'start', job, '--protection', protection, '--staging', staging, '--no-wait');
    const at = { workflowId, total: undisturbed.bytes };
    const left = (stage: string) => async () => (await this.#rig.jobStatus(job))?.stage !== stage;
    const sealed = await this.#stage('staging', { ...at, over: left('Staging') }, () => packsIn(staging));
    const staged = await this.#rig.until(job, ({ stage }) => stage === 'Preparing');
    expect(staged.staged?.skippedFiles).toBe(0);
    this.#expectKept(sealed, packsIn(staging));
    this.#expectSealed('staging', packsIn(staging).size, undisturbed.packs);

    await system.must('drive', 'prepare', drive, '--job', job, '--no-wait');
    const filled = await this.#stage('preparing', { ...at, over: left('Preparing') }, () => finishedOn(drive));
    const { drives } = await this.#rig.until(job, ({ stage }) => stage === 'Shipping');
    this.#expectKept(filled, finishedOn(drive));
    await system.must('job', 'ship', job, '--carrier', 'dhl', '--tracking', `JD01460000${100 + number}`);

    await this.#incremental(protection, task);

    await system.must('drive', 'receive', '--job', job, '--drive', drives[0]?.id ?? '');
    await system.must('drive', 'attach', drive, '--job', job, '--no-wait');
    await this.#stage('ingest', { ...at, over: left('Ingesting') });
    await this.#rig.until(job, ({ stage }) => stage === 'Copying' || stage === 'Protected');
    await this.#expectSentOnce('ingest');
    await this.#stage('copy', { ...at, over: left('Copying') });
    await this.#rig.until(job, ({ stage }) => stage === 'Protected');
    await this.#expectSentOnce('copy');
    await this.#restore(this.#planned('restore'));
    const { restoresMax = 1 } = this.#plan;
    for (let restores = 1; restores < restoresMax && this.#owed.length + this.#left.length > 0; restores += 1)
      await this.#restore([]);
    rmSync(staging, { recursive: true });
    rmSync(drive, { recursive: true });
  }

  /** Added files come first in the walk, so that its progress is theirs. */
  async #incremental(protection: string, undisturbedTask: () => Promise<Undisturbed>): Promise<void> {
    const { addedBytes } = this.#plan;
    const added = `${this.source}/0-added`;
    mkdirSync(added);
    for (let n = 0; n < 10; n += 1) writeFileSync(`${added}/${n}`, randomFillSync(Buffer.alloc(addedBytes / 10)));
    const undisturbed = await undisturbedTask();
    const before = (await this.#rig.versions()).size;
    const { lines } = await this.#rig.system.must('backup', 'now', protection, '--no-wait');
    const workflowId =
      lines
        .map((line) => JSON.stringify(line))
        .join()
        .match(/"workflowId":"([^"]+)"/)?.[1] ?? '';
    const over = async () => !(await this.#rig.isRunning(workflowId));
    await this.#stage('incremental', { workflowId, total: addedBytes, over });
    await this.#rig.ended(workflowId);
    await this.#expectSentOnce('incremental');
    const sent = [...(await this.#rig.versions()).keys()].filter((name) => /\/(packs|trees)\//.test(name)).length;
    this.#expectSealed('incremental', sent - before, undisturbed.packs);
  }

  async #restore(planned: readonly Kill[]): Promise<void> {
    const { system } = this.#rig;
    await this.#restorable();
    const to = system.at('back');
    const left = this.#left.map(({ victim }) => ({ stage: 'restore', victim, at: AT_OWED }) as const);
    this.#left = [];
    const workflowId = await this.#rig.startRestore('latest', '--to', to, ...system.passphrase);
    const over = async () => !(await this.#rig.isRunning(workflowId));
    const where = { workflowId, total: Number.POSITIVE_INFINITY, over };
    await this.#stage('restore', where, undefined, [...left, ...planned]);
    await this.#rig.ended(workflowId);
    const codes = await this.#rig.restored();
    expect(codes.filter((code) => code !== null && code !== 0)).toEqual([]);
    expect(await compareTrees(this.source, `${to}${this.source}`)).toBe('');
    execFileSync('rm', ['-rf', to]); // Node cannot remove paths longer than PATH_MAX
  }

  async #restorable(): Promise<void> {
    for (let tries = 0; tries < 60; tries += 1) {
      const { data, status } = await this.#rig.system.type('point', 'list');
      const points = Array.isArray(data) ? data : [];
      if (status === 0 && points.length > 0 && points.every(({ restorable }) => restorable)) return;
      await sleep(500);
    }
    throw new Error('its points do not become restorable');
  }

  #planned(stage: Stage): Kill[] {
    return this.#plan.kills.filter((one) => one.stage === stage);
  }

  /** Hits what is planned for a stage; what was finished at each hit is returned, by its identity. */
  async #stage(
    stage: Stage,
    where: Parameters<KillRig['hit']>[1],
    finished: () => Map<string, string> = () => new Map(),
    planned = this.#planned(stage),
  ): Promise<Map<string, string>[]> {
    const before: Map<string, string>[] = [];
    const late = this.#owed.map(({ victim }) => ({ stage, victim, at: AT_OWED }));
    this.#owed = [];
    for (const kill of [...late, ...planned]) {
      const begun = performance.now();
      const shown = await this.#rig.hit(kill, where, async () => {
        before.push(finished());
        this.#snapshots.push(await this.#rig.versions());
      });
      const seconds = Math.round((performance.now() - begun) / 100) / 10;
      this.hits.push({ ...kill, round: this.#plan.number, shown, seconds });
      if (shown === undefined) (planned.includes(kill) ? this.#owed : this.#left).push(kill);
      if (process.env.SEEDSHIP_TEST_TALK) console.error(JSON.stringify(this.hits.at(-1)));
    }
    return before;
  }

  #expectKept(before: readonly Map<string, string>[], after: Map<string, string>): void {
    for (const found of before)
      expect([...found].filter(([name, identity]) => after.get(name) !== identity)).toEqual([]);
  }

  /** What was there at a kill is not sent again; of what was under way, at most that. */
  async #expectSentOnce(stage: Stage): Promise<void> {
    const after = await this.#rig.versions();
    for (const before of this.#snapshots)
      for (const [name, versions] of before) {
        const now = after.get(name);
        if (now !== undefined || name.startsWith('seedship-main/')) expect([name, now]).toEqual([name, versions]);
      }
    const again = [...after.values()].reduce((sum, versions) => sum + versions.length - 1, 0);
    const kills = this.hits.filter(({ shown }) => shown !== undefined).length;
    expect([stage, again <= IN_FLIGHT * kills, again]).toEqual([stage, true, again]);
  }

  #expectSealed(stage: Stage, packs: number, undisturbed: number): void {
    const kills = this.hits.filter((hit) => hit.stage === stage && hit.shown !== undefined).length;
    const most = undisturbed + KINDS * THREADS * kills;
    expect([stage, packs <= most, packs, most]).toEqual([stage, true, packs, most]);
  }

  /** Stages the same tree with nobody looking; the second time, what has changed. */
  async #undisturbed(): Promise<[Undisturbed, () => Promise<Undisturbed>]> {
    const vault = await newTestVault();
    await preparePlace(this.#bench.at('staging'));
    const stage = async (): Promise<Undisturbed> => {
      const before = packsIn(this.#bench.at('staging')).size;
      const options = { packBytesMax: PACK_BYTES, threads: THREADS };
      let bytes = 0;
      await perform(stagingTask(vault, this.#bench, this.source, options), vault.secrets, {
        onProgress: ({ bytesDone }) => {
          bytes = Math.max(bytes, bytesDone);
        },
      });
      return { packs: packsIn(this.#bench.at('staging')).size - before, bytes };
    };
    return [await stage(), stage];
  }
}

interface RunPlan {
  readonly seed: number;
  readonly rounds: readonly RoundPlan[];
  /** In Unix ms; no round is begun after it. */
  readonly until: number;
  /** Kills that hit, after which no round is begun. */
  readonly enough: number;
}

/** Rounds until enough is hit or the time is over; a failure says how to have it again. */
export async function runRounds(rig: KillRig, { seed, rounds, until, enough }: RunPlan): Promise<HitKill[]> {
  const hits: HitKill[] = [];
  for (const [done, plan] of rounds.entries()) {
    if (hits.filter(({ shown }) => shown !== undefined).length >= enough) break;
    if (Date.now() > until) {
      process.stderr.write(`kills: time is over after ${done} of ${rounds.length} rounds\n`);
      break;
    }
    const round = new Round(rig, plan);
    try {
      await round.makeSource();
      await round.run('docs');
    } catch (error) {
      process.stderr.write(logsOf(rig.system.state));
      const told = JSON.stringify([...hits, ...round.hits].slice(-8), null, 1);
      throw new Error(`seed ${seed}, round ${plan.number}, after ${told}`, { cause: error });
    } finally {
      await rig.endOthers();
    }
    hits.push(...round.hits);
  }
  return hits;
}
