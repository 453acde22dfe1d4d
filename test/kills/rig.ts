/**
 * A journey that is hit: typed at the command line of an embedded system, with processes of it killed
 * or frozen while the heartbeats of a stage show the planned part of its bytes. What must stay as it
 * was is written down at each kill and looked at again when the stage is over.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { appendFileSync, closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { defaultPayloadConverter } from '@temporalio/common';
import type { Progress } from '../../domain/receipt.ts';
import type { JobStatus } from '../../domain/seeding-job.ts';
import { connectClient, type TemporalClient } from '../../host/connections.ts';
import { loadSettings } from '../../host/settings.ts';
import { descendants, Embedded } from '../harness/embedded.ts';
import { type BucketLooker, lookAtBuckets, type Versions } from './buckets.ts';
import type { Kill, Stage, Victim } from './plan.ts';

const MAIN = fileURLToPath(new URL('../../dist/client/main.js', import.meta.url));
const STEPS: Record<Stage, { readonly kind: string; readonly steps: readonly string[] }> = {
  staging: { kind: 'source', steps: ['stageBackup'] },
  preparing: { kind: 'copy', steps: ['prepareDrive'] },
  incremental: { kind: 'source', steps: ['stageBackup'] },
  ingest: { kind: 'dock', steps: ['ingestDrive'] },
  copy: { kind: 'vault', steps: ['sendPacks'] },
  restore: { kind: 'owner', steps: ['restoreFiles'] },
};
const SERVERS: readonly Victim[] = ['temporal', 's3', 'control']; // a child outlives these
const LATEST = 0.9;
const STAGE_MS = 240_000;
const LOOK_MS = 100;

export interface Pending {
  readonly step: string;
  readonly attempt: number;
  readonly progress: Progress | undefined;
}

/** What the heartbeats showed when it was hit; `undefined` when the stage was over before. */
export type Hit = number | undefined;

export class KillRig {
  readonly system: Embedded;
  #temporal: TemporalClient | undefined;
  #buckets: BucketLooker | undefined;
  /** Workers that a person started beside a frozen one. */
  #others: ChildProcess[] = [];
  /** The commands that restore: each is the worker of its own step. */
  #restores: ChildProcess[] = [];
  #restoreAnswers: Promise<number | null>[] = [];
  #restoreWords: readonly string[] = [];
  /** Why the last query was not answered. */
  #refused = '';
  /** Children that were at work when something was hit: a second hit waits for the next one. */
  readonly #struck = new Set<number>();

  constructor(environment: Record<string, string>) {
    this.system = new Embedded('kills', environment);
  }

  async start(source: string): Promise<void> {
    await this.system.start();
    await this.system.setUp(source);
    const settings = loadSettings({
      flags: { 'state-dir': this.system.state },
      environment: { HOME: this.system.root },
      directory: this.system.root,
    });
    this.#temporal = await connectClient(settings);
    this.#buckets = await lookAtBuckets(settings, ['seedship-main', 'seedship-landing-home']);
  }

  async close(): Promise<void> {
    await this.endOthers();
    this.#buckets?.close();
    await this.#temporal?.close();
    await this.system.close();
  }

  get temporal(): TemporalClient {
    if (!this.#temporal) throw new Error('the rig is not started');
    return this.#temporal;
  }

  async versions(): Promise<Versions> {
    if (!this.#buckets) throw new Error('the rig is not started');
    return this.#buckets.versions();
  }

  /** Steps under way of a workflow and its children; none while the server is away. */
  async pending(workflowId: string): Promise<Pending[]> {
    try {
      const { raw } = await this.temporal.call(() => this.temporal.client.workflow.getHandle(workflowId).describe());
      const own = (raw.pendingActivities ?? []).map(({ activityType, attempt, heartbeatDetails }) => {
        const [payload] = heartbeatDetails?.payloads ?? [];
        const progress = payload ? defaultPayloadConverter.fromPayload<Progress>(payload) : undefined;
        return { step: activityType?.name ?? '', attempt: Number(attempt), progress };
      });
      const below = (raw.pendingChildren ?? []).flatMap(({ workflowId: id }) => id ?? []);
      return [...own, ...(await Promise.all(below.map((id) => this.pending(id)))).flat()];
    } catch {
      return [];
    }
  }

  async jobStatus(job: string): Promise<JobStatus | undefined> {
    const handle = this.temporal.client.workflow.getHandle(`seed/main/${job}`);
    return this.temporal
      .call(() => handle.query<JobStatus>('status'))
      .catch((error) => {
        this.#refused = String(error);
        return undefined;
      });
  }

  /** Waits without touching anything: a job must get there by itself. */
  async until(job: string, holds: (status: JobStatus) => boolean): Promise<JobStatus> {
    const deadline = Date.now() + STAGE_MS;
    for (let last: JobStatus | undefined; ; await sleep(200)) {
      last = (await this.jobStatus(job)) ?? last;
      if (last && holds(last)) return last;
      if (Date.now() > deadline) throw new Error(`the job stands still: ${JSON.stringify(last)}, ${this.#refused}`);
    }
  }

  /** While the server is away, too. */
  async isRunning(workflowId: string): Promise<boolean> {
    const handle = this.temporal.client.workflow.getHandle(workflowId);
    const now = await this.temporal.call(() => handle.describe()).catch(() => undefined);
    return now === undefined || now.status.name === 'RUNNING';
  }

  /** Waits until a workflow has ended well. */
  async ended(workflowId: string): Promise<void> {
    const deadline = Date.now() + STAGE_MS;
    for (let last = ''; ; await sleep(200)) {
      const handle = this.temporal.client.workflow.getHandle(workflowId);
      last = (await this.temporal.call(() => handle.describe()).catch(() => undefined))?.status.name ?? last;
      if (last === 'COMPLETED') return;
      if (last !== 'RUNNING' && last !== '') throw new Error(`${workflowId} ended as ${last}`);
      if (Date.now() > deadline)
        throw new Error(`${workflowId} stands still: ${JSON.stringify(await this.pending(workflowId))}`);
    }
  }

  /**
   * Waits until heartbeats of the stage show `at` of `total` bytes, then runs `before` and hits a child
   * that was not hit before.
   */
  async hit(
    plan: { readonly stage: Stage; readonly victim: Victim; readonly at: number },
    where: { readonly workflowId: string; readonly total: number; readonly over: () => Promise<boolean> },
    before: () => Promise<void>,
  ): Promise<Hit> {
    const { steps } = STEPS[plan.stage];
    const deadline = Date.now() + STAGE_MS;
    while (Date.now() < deadline) {
      const found = (await this.pending(where.workflowId)).find(({ step }) => steps.includes(step));
      const { bytesDone = 0, bytesTotal = where.total, step = '' } = found?.progress ?? {};
      const shown = step === 'read back' ? LATEST : bytesDone / bytesTotal;
      const [, child] = this.#atWork(plan.stage);
      const targets = this.#targets(plan.stage, plan.victim);
      if (found && shown >= plan.at && child !== undefined && !this.#struck.has(child) && targets.length > 0) {
        if (shown > LATEST || step === 'read back') return undefined;
        await before();
        if (!SERVERS.includes(plan.victim)) this.#struck.add(child);
        await this.#strike(plan, targets, where.workflowId);
        return shown;
      }
      if (!found && (await where.over())) return undefined;
      await sleep(LOOK_MS);
    }
    throw new Error(`${plan.stage} never came to ${plan.at}: ${JSON.stringify(await this.pending(where.workflowId))}`);
  }

  /** What a kill is aimed at; nothing while it is on its way back from the last one. */
  #targets(stage: Stage, victim: Victim): number[] {
    const [worker, child] = this.#atWork(stage);
    const server = (mark: RegExp) => descendants(this.system.pid).find(({ command }) => mark.test(command))?.pid;
    const targets: Record<Victim, readonly (number | undefined)[]> = {
      ...{ worker: [worker], child: [child], temporal: [server(/start-dev/)], s3: [server(/\/weed /)] },
      ...{ control: [server(/worker run control/)], 'frozen worker': [worker], 'frozen child': [child] },
      'frozen host': [worker, child],
    };
    return targets[victim].every((pid) => pid !== undefined) ? targets[victim].flatMap((pid) => pid ?? []) : [];
  }

  async #strike(
    { stage, victim }: Pick<Kill, 'stage' | 'victim'>,
    targets: number[],
    workflowId: string,
  ): Promise<void> {
    if (victim === 'frozen worker' || victim === 'frozen host') await this.#freeze(stage, targets, workflowId);
    else for (const pid of targets) kill(pid, victim === 'frozen child' ? 'SIGSTOP' : 'SIGKILL');
    if (victim === 'worker' && stage === 'restore') this.startRestore(...this.#restoreWords); // a person's part
  }

  /** Stands still past its heartbeat; a second attempt begins elsewhere; then it goes on, too late. */
  async #freeze(stage: Stage, pids: readonly number[], workflowId: string): Promise<void> {
    const { kind, steps } = STEPS[stage];
    const attemptOf = async () => (await this.pending(workflowId)).find(({ step }) => steps.includes(step))?.attempt;
    const first = (await attemptOf()) ?? 1;
    for (const pid of pids) kill(pid, 'SIGSTOP');
    if (stage === 'restore') this.startRestore(...this.#restoreWords);
    else this.#others.push(this.#spawn('worker', 'run', kind));
    const deadline = Date.now() + STAGE_MS;
    for (;;) {
      const now = await attemptOf();
      const [, child] = this.#atWork(stage, pids);
      if (now === undefined || (now > first && child !== undefined) || Date.now() > deadline) break;
      await sleep(LOOK_MS);
    }
    for (const pid of pids) kill(pid, 'SIGCONT');
  }

  /** The worker of a stage that has a child, and the child. */
  #atWork(stage: Stage, not: readonly number[] = []): [number | undefined, number | undefined] {
    const { kind } = STEPS[stage];
    const own = descendants(this.system.pid).filter(({ command }) => command.includes(`worker run ${kind}`));
    const all = stage === 'restore' ? this.#restores : this.#others;
    const pids = [...own.map(({ pid }) => pid), ...all.flatMap(({ pid }) => pid ?? [])];
    for (const pid of pids) {
      if (not.includes(pid)) continue;
      const child = descendants(pid).find(({ command }) => command.includes('child-entry'));
      if (child) return [pid, child.pid];
    }
    return [pids.find((pid) => !not.includes(pid)), undefined];
  }

  #spawn(...words: string[]): ChildProcess {
    const { root: cwd, environment: env } = this.system;
    const log = openSync(path.join(this.system.state, 'logs', `typed-${words.slice(0, 2).join('-')}.log`), 'a');
    try {
      return spawn(process.execPath, [MAIN, ...words], { cwd, env, stdio: ['ignore', 'pipe', log] });
    } finally {
      closeSync(log);
    }
  }

  /** Workers started beside frozen ones hand their work back. */
  async endOthers(): Promise<void> {
    const ends = this.#others.map(
      (one) => one.exitCode ?? one.signalCode ?? new Promise((end) => one.once('exit', end)),
    );
    for (const one of this.#others) one.kill('SIGTERM');
    await Promise.all(ends);
    this.#others = [];
  }

  /** Types `restore`; returns the workflow's id once it is told. */
  async startRestore(...words: string[]): Promise<string> {
    this.#restoreWords = words;
    const typed = this.#spawn('restore', ...words, '--json');
    this.#restores.push(typed);
    this.#restoreAnswers.push(new Promise((end) => typed.once('exit', end)));
    return new Promise((tell, fail) => {
      let told = '';
      typed.stdout?.on('data', (chunk) => {
        told += String(chunk);
        appendFileSync(path.join(this.system.state, 'logs', 'typed-restore-answers.log'), String(chunk));
        const id = /"workflowId":"([^"]+)"/.exec(told)?.[1];
        if (id !== undefined) tell(id);
      });
      typed.once('exit', (code) => fail(new Error(`restore ended with ${code}: ${told}`)));
    });
  }

  /** Exit codes of the restoring commands; `null` of those that were killed. */
  async restored(): Promise<(number | null)[]> {
    const codes = await Promise.all(this.#restoreAnswers);
    this.#restores = [];
    this.#restoreAnswers = [];
    return codes;
  }
}

/** What ended by itself meanwhile is as dead as what is killed. */
function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (Object(error).code !== 'ESRCH') throw error;
  }
}

/** Sealed objects on a drive: name → inode and mtime. The newest may be under way: it is left out. */
export function finishedOn(drive: string): Map<string, string> {
  const folder = path.join(drive, 'objects');
  const found = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(path.join(folder, name)).isFile())
    .sort()
    .slice(0, -1)
    .map((name): [string, string] => {
      const { ino, mtimeNs } = statSync(path.join(folder, name), { bigint: true });
      return [name, `${ino} ${mtimeNs}`];
    });
  return new Map(found);
}

export function freshFolder(folder: string): string {
  execFileSync('rm', ['-rf', folder]); // Node cannot remove paths longer than PATH_MAX
  mkdirSync(folder);
  return folder;
}

/** What `up` and its workers wrote down, but for those who only look: for a person who looks at a failed round. */
export function logsOf(state: string): string {
  const folder = path.join(state, 'logs');
  const told = (name: string): string =>
    readFileSync(path.join(folder, name), 'utf8')
      .split('\n')
      .filter((line) => !line.includes('observeHost') && !line.includes('"child"'))
      .slice(-30)
      .join('\n');
  return readdirSync(folder)
    .map((name) => `--- ${name}\n${told(name)}`)
    .join('\n');
}
