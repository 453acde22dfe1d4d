/**
 * The steps of a journey that are no drive's: what each is asked, where it runs, and that it goes
 * through the gate. A step that is done again on purpose has a new name, and so a receipt of its own.
 */
import { proxyActivities } from '@temporalio/workflow';
import * as custody from '../domain/custody.ts';
import { countObjects, overlap, subtractRanges } from '../domain/drive.ts';
import type { ObjectRange, PreparedDrive, RegisteredImport, SentPacks, StagedBackup } from '../domain/receipt.ts';
import type {
  ControlSteps,
  LostSelection,
  RecordSteps,
  SourceSteps,
  VaultSteps,
  Waypoint,
  WithdrawRequest,
} from '../domain/request.ts';
import { CANCEL_TABLE, STAGE_STEP } from '../domain/seeding-job.ts';
import { bookKeeping, dataMoving, queueOf, removing } from '../domain/site.ts';
import type { Logbook } from './logbook.ts';
import { askForUpkeep } from './upkeep.ts';

export class JobSteps {
  readonly #log: Logbook;
  readonly #staging: Waypoint;

  constructor(log: Logbook) {
    this.#log = log;
    this.#staging = { kind: 'staging', place: log.job.staging };
  }

  stage(): Promise<StagedBackup> {
    const { machine, protection, stagedBytesMax } = this.#log.job;
    const limit = stagedBytesMax === undefined ? {} : { stagedBytesMax };
    const time = this.#log.began;
    const request = { ...this.#of(STAGE_STEP), machine, protection, time, to: this.#staging, ...limit };
    return this.#atSource('stage', (source) => source.stageBackup(request));
  }

  /** The point is stated in the vault; its packs follow. */
  async state({ point, packSet }: StagedBackup): Promise<void> {
    const { vault, machine, heartbeatMs } = this.#log.job;
    const request = { ...this.#of('state'), machine, from: this.#staging, point, packSet };
    await this.#atSource('state', (source) => source.statePoint(request));
    await askForUpkeep(vault, heartbeatMs); // so that lists show the point, and what it waits for
  }

  schedule({ paused }: { readonly paused: boolean }): Promise<void> {
    const { vault, machine, protection, schedule, timezone, heartbeatMs } = this.#log.job;
    const control = proxyActivities<ControlSteps>({ ...bookKeeping(queueOf.control), summary: protection });
    const request = { vault, machine, protection, schedule, timezone, heartbeatMs, paused };
    return this.#log.gate.must({ name: 'schedule' }, () => control.startSchedule(request));
  }

  register({ packSet }: StagedBackup, drives: readonly PreparedDrive[]): Promise<RegisteredImport> {
    this.#log.round += 1;
    const { job, region, landing } = this.#log.job;
    const request = { ...this.#of(`register-${this.#log.round}`), job, region, landing, packSet, drives };
    return this.#inRecords('register', (records) => records.registerImport(request));
  }

  /** Landing to vault, until nothing is missing, or a person ends it. */
  async copy(staged: StagedBackup): Promise<SentPacks> {
    const { vault, heartbeatMs } = this.#log.job;
    for (;;) {
      this.#log.round += 1;
      await this.#send(staged);
      await this.#sendTrees(staged);
      for (const place of this.#otherContainers())
        await this.#copyFrom(place, `copy-${this.#log.round}-${place}`, staged);
      const sent = await this.#copyFrom(this.#log.job.landing, `copy-${this.#log.round}`, staged);
      const missing = this.#unanswered(sent);
      if (missing.length === 0) {
        await this.#giveUp(staged, sent);
        await askForUpkeep(vault, heartbeatMs);
        return sent;
      }
      const choice = await this.#ask(countObjects(missing));
      if (choice === 'send') this.#log.custody = { ...this.#log.custody, online: missing };
      if (choice === 'drop') this.#log.custody = custody.givenUp(this.#log.custody, missing);
    }
  }

  /** What is neither in the vault, nor made good, nor given up. */
  #unanswered({ missingRanges }: SentPacks): ObjectRange[] {
    const { dropped, repaired } = this.#log.custody;
    return subtractRanges(missingRanges, [...dropped, ...repaired]);
  }

  /** The vault is told what it need not wait for. */
  async #giveUp({ packSet }: StagedBackup, { missingRanges }: SentPacks): Promise<void> {
    const ranges = overlap(missingRanges, this.#log.custody.dropped);
    if (ranges.length === 0) return;
    const request = { ...this.#of(`give-up-${this.#log.round}`), packSet, ranges };
    await this.#inRecords('give-up', (records) => records.giveUp(request));
  }

  #copyFrom(place: string, step: string, { packSet }: StagedBackup): Promise<SentPacks> {
    const { vault, machine } = this.#log.job;
    const options = dataMoving(queueOf.vault(vault), this.#log.job);
    const data = proxyActivities<VaultSteps>({ ...options, summary: `landing to ${vault}` });
    const request = { ...this.#of(step), machine, from: { kind: 'landing', place } as const, packSet };
    return this.#log.gate.must({ name: 'copy', queue: options.taskQueue, holdable: true }, () =>
      data.sendPacks(request),
    );
  }

  /** Where drives went before the job was redirected. */
  #otherContainers(): ReadonlySet<string> {
    const { landing } = this.#log.job;
    const places = new Set(this.#log.custody.drives.flatMap((drive) => drive.landing ?? []));
    places.delete(landing);
    return places;
  }

  /** What the cancel table says for the stage that was reached. */
  async withdraw(): Promise<void> {
    const asked = CANCEL_TABLE[this.#log.stage]?.undo ?? [];
    const filling = this.#log.stage === 'Staging' && this.#log.custody.drives.length > 0;
    const undo = filling ? [...asked, 'drive-keys' as const] : asked;
    if (undo.includes('schedule')) await this.schedule({ paused: true });
    const rest = undo.flatMap((what) => (what === 'schedule' ? [] : [what]));
    if (rest.length === 0) return;
    const drives = this.#log.custody.drives.filter((drive) => !custody.isForeign(drive));
    const { landing: own, region: here } = this.#log.job;
    const places = new Map([
      [own, here],
      ...drives.map(({ landing = own, region = here }) => [landing, region] as const),
    ]);
    for (const [landing, region] of places) {
      const ids = drives.filter((drive) => (drive.landing ?? own) === landing).map(({ id }) => id);
      const step = landing === own ? 'withdraw' : `withdraw-${landing}`;
      await this.#undo({ step, region, landing, drives: ids, undo: rest });
    }
  }

  /** Drives that never left are given up: without their keys they hold noise. */
  release({ region, landing, drives }: Pick<WithdrawRequest, 'region' | 'landing' | 'drives'>): Promise<void> {
    return this.#undo({ step: `release-${this.#log.round}`, region, landing, drives, undo: ['drive-keys'] });
  }

  #undo({ step, ...more }: Omit<WithdrawRequest, 'vault' | 'run' | 'job' | 'staging'>): Promise<void> {
    const { vault, job, staging } = this.#log.job;
    const request = { ...this.#of(step), job, staging, ...more };
    const options = removing(queueOf.vault(vault), this.#log.job);
    const records = proxyActivities<RecordSteps>({ ...options, summary: `import job ${job}` });
    return this.#log.gate.must({ name: 'withdraw', queue: options.taskQueue }, () => records.withdrawImport(request));
  }

  /** Until all that happened stands in the vault. */
  record(): Promise<void> {
    return this.#inRecords('record', () => this.#log.written());
  }

  /** Staging to vault, only what a person decided to send over the line; what is not there is made good. */
  async #send({ packSet }: StagedBackup): Promise<void> {
    const { machine } = this.#log.job;
    const ranges = this.#log.custody.online;
    if (ranges.length === 0) return;
    const request = { ...this.#of(`send-${this.#log.round}`), machine, from: this.#staging, packSet, ranges };
    const options = dataMoving(queueOf.source(machine), this.#log.job);
    const source = proxyActivities<SourceSteps>({ ...options, summary: `seed of ${machine}` });
    const step = { name: 'send', queue: options.taskQueue, holdable: true, choices: ['send', 'drop'] } as const;
    const passed = await this.#log.gate.pass(step, () => source.sendPacks(request));
    const gone = 'done' in passed ? passed.done.missingRanges : ranges;
    this.#log.custody = { ...this.#log.custody, online: [] };
    if ('chose' in passed && passed.chose === 'drop') this.#log.custody = custody.givenUp(this.#log.custody, gone);
    else if (gone.length > 0) {
      await this.#mend(`mend-${this.#log.round}`, { packSet, ranges: gone });
      this.#log.custody = custody.madeGood(this.#log.custody, gone);
    }
  }

  /** Without directories' records nothing below them is found, and they are small: what is given up is files' data. */
  async #sendTrees({ packSet }: StagedBackup): Promise<void> {
    const { machine } = this.#log.job;
    const ranges = this.#log.custody.dropped;
    if (ranges.length === 0) return;
    const from = this.#staging;
    const request = { ...this.#of(`trees-${this.#log.round}`), machine, from, packSet, ranges, treesOnly: true };
    const options = dataMoving(queueOf.source(machine), this.#log.job);
    const source = proxyActivities<SourceSteps>({ ...options, summary: `directories of ${machine}` });
    const step = { name: 'send', queue: options.taskQueue, holdable: true, choices: ['send', 'drop'] } as const;
    const passed = await this.#log.gate.pass(step, () => source.sendPacks(request));
    if ('chose' in passed && passed.chose === 'drop') return;
    const gone = 'done' in passed ? passed.done.missingRanges : ranges;
    if (gone.length === 0) return;
    await this.#mend(`mend-trees-${this.#log.round}`, { packSet, ranges: gone, treesOnly: true });
  }

  /**
   * What no one has any more: a backup over the line reads its files again and seals what was in them,
   * and a signed repair says what stands for what.
   */
  async #mend(step: string, lost: LostSelection): Promise<void> {
    const { machine, protection } = this.#log.job;
    const from: Waypoint = { kind: 'spool', protection, stageStep: step };
    const time = new Date().toISOString();
    const stage = { ...this.#of(step), machine, protection, time, to: from, lost };
    const [staged] = await Promise.all([
      this.#atSource(step, (source) => source.stageBackup(stage)),
      this.#atSource(`${step}-send`, (source) => source.sendPacks({ ...this.#of(`${step}-send`), machine, from })),
    ]);
    const { point, packSet: set, repair } = staged;
    const state = { ...this.#of(`${step}-state`), machine, from, point, packSet: set, ...(repair && { repair }) };
    await this.#atSource(`${step}-state`, (source) => source.statePoint(state));
  }

  #ask(missing: number) {
    return this.#log.gate.open.decide({
      code: 'PacksMissing',
      step: 'copy',
      message: `${missing} of the seed's objects are neither in landing nor in the vault`,
      hint: `seedship job resolve ${this.#log.job.job} --choice send`,
      choices: ['send', 'drop', 'retry', 'abort'],
    });
  }

  #atSource<T>(name: string, run: (source: SourceSteps) => Promise<T>): Promise<T> {
    const { machine } = this.#log.job;
    const options = dataMoving(queueOf.source(machine), this.#log.job);
    const source = proxyActivities<SourceSteps>({ ...options, summary: `seed of ${machine}` });
    return this.#log.gate.must({ name, queue: options.taskQueue, holdable: true }, () => run(source));
  }

  #inRecords<T>(name: string, run: (records: RecordSteps) => Promise<T>): Promise<T> {
    const { vault, job } = this.#log.job;
    const options = bookKeeping(queueOf.vault(vault));
    const records = proxyActivities<RecordSteps>({ ...options, summary: `import job ${job}` });
    return this.#log.gate.must({ name, queue: options.taskQueue }, () => run(records));
  }

  #of(step: string) {
    return { vault: this.#log.job.vault, run: this.#log.run, step };
  }
}
