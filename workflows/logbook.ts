/**
 * Where a job stands, and the three ways it is told:
 *
 *   query `status`      everything, while a worker lives
 *   search attributes   what must be seen in lists, and without a worker; one event when they change
 *   the job's record    signed revisions in the vault: Temporal can be lost. Written when the stage
 *                       moves and when custody does, with all acts since the revision before
 */
import type { SearchAttributeUpdatePair } from '@temporalio/common';
import {
  CancellationScope,
  condition,
  patched,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import { type Attention, attentionTag, type Resolution } from '../domain/attention.ts';
import { type Custody, closeCustody, openCustody, openLimitedCustody } from '../domain/custody.ts';
import { DRIVES_MAX } from '../domain/drive.ts';
import { Failure } from '../domain/failure.ts';
import { type ImportJobState, importJobState } from '../domain/import-job.ts';
import { type Digest, isDigest } from '../domain/names.ts';
import type { PreparedDrive, StagedBackup } from '../domain/receipt.ts';
import type { Act, Checkpoint, JobState, Ledger } from '../domain/record.ts';
import type { RecordSteps } from '../domain/request.ts';
import {
  CANCEL_TABLE,
  JOURNEY_STAGES,
  type JobStatus,
  type JourneyStage,
  runName,
  type SeedingRequest,
  type WorkState,
} from '../domain/seeding-job.ts';
import { deadlineOf, TIMERS, type Timers, type TravelWait } from '../domain/shipment.ts';
import { bookKeeping, queueOf } from '../domain/site.ts';
import { statusCard, waitsFor } from '../domain/status-card.ts';
import { DESCRIPTIONS, type Act as Said, SEARCH, status } from './definitions.ts';
import { EVERYTHING, type Gate, openGate } from './gate.ts';

/** Prepared, attached, shipped, received, returned and decided, for each of 64 drives. */
const ACTS_MAX = 6 * DRIVES_MAX;

const NOTHING: ReadonlySet<string> = new Set(['[]', 'null']);

export class Logbook {
  /** Asked once, at the beginning: a job that began before parcels were listed never lists them. */
  readonly #listsParcels = patched('parcels-in-lists');
  #job: SeedingRequest;
  readonly run: string;
  readonly began: string;
  waits: readonly TravelWait[];
  /** Of drives that were written. */
  readonly receipts: Map<string, PreparedDrive>;
  /** How often each step was begun anew on purpose: names its receipt. */
  readonly tries: Map<string, number>;
  /** Counts registrations and copies: names their receipts. */
  round: number;
  /** `*` for the whole job, else drives: their steps wait to be resumed. */
  readonly held: Set<string>;
  readonly #adoptedBy: string | undefined;
  #staged: StagedBackup | undefined;
  #cancelledBy: string | undefined;
  #gate: Gate | undefined;
  #custody: Custody;
  #importJob: ImportJobState;
  readonly #reached: { stage: JourneyStage; at: string }[];
  #acts: Act[] = [];
  /** Heard in this run. */
  readonly #requests = new Set<Digest>();
  #sequence: number;
  #admitted = 0;
  #due = false;
  #writing = false;
  /** Attention that stands in the record, or is about to. */
  readonly #asked = new Set<string>();
  readonly #shown = new Map<string, string>();

  /** @param before where it stood when Temporal's history was lost */
  constructor(job: SeedingRequest, before?: Checkpoint) {
    const { state, ledger } = before ?? {};
    this.#job = ledger?.job ?? job;
    this.began = ledger?.began ?? new Date().toISOString();
    this.run = state?.run ?? runName(`seed-${job.job}`, this.began, uuid4());
    this.waits = ledger?.waits ?? [];
    this.receipts = new Map(ledger?.receipts.map((receipt) => [receipt.drive, receipt]));
    this.tries = new Map(Object.entries(ledger?.tries ?? {}));
    this.round = ledger?.round ?? 0;
    this.held = new Set(ledger?.held);
    this.#staged = ledger?.staged;
    this.#importJob = state?.importJob ?? 'Creating';
    this.#reached = [...(ledger?.reached ?? [])];
    this.#sequence = state?.sequence ?? 0;
    this.#adoptedBy = before?.by;
    const empty = this.#emptyCustody();
    const { drives = [], parcels = [] } = state ?? {};
    this.#custody = ledger ? { ...empty, ...poolsOf(ledger), drives, parcels } : empty;
    setHandler(status, () => this.status(), { description: DESCRIPTIONS.status });
  }

  /** The order as it stands. */
  get job(): SeedingRequest {
    return this.#job;
  }

  /** A person changed it. */
  set job(job: SeedingRequest) {
    this.#job = job;
    this.#gate?.changed();
  }

  /** Whether staging is smaller than the seed. */
  get isLimited(): boolean {
    return this.#job.stagedBytesMax !== undefined;
  }

  get timers(): Timers {
    return this.job.timers ?? TIMERS;
  }

  /** The job's gate; from here on the logbook shows and writes. */
  openGate(decided: (attention: Attention, resolution: Resolution) => void): Gate {
    const gate = openGate(this.job.heartbeatMs, {
      vault: this.job.vault,
      subject: this.job.job,
      show: () => this.#show(),
      standing: () => `stage ${this.stage}, import job ${this.#importJob}`,
      held: this.held,
      decided: (attention, resolution, act) => {
        this.note('resolve', resolution.by, `${attention.step}: ${resolution.choice}`, act);
        decided(attention, resolution);
      },
      admit: () => this.admit(),
      checkRequest: (act) => this.checkRequest(act),
      checkCancel: () => {
        if (!CANCEL_TABLE[this.stage])
          throw new Failure('WrongState', `the job is ${this.stage}`, { why: 'its point is complete' });
      },
      cancelling: (act) => {
        this.#cancelledBy = act.by;
        this.note('cancel', act.by, `in ${this.stage}`, act);
      },
    });
    this.#gate = gate;
    if (this.#adoptedBy === undefined) this.note('start', this.job.startedBy, this.job.job);
    else this.note('adopt', this.#adoptedBy, `in ${this.stage}`);
    if (this.#reached.length > 0) gate.changed();
    void CancellationScope.nonCancellable(() => this.#write());
    return gate;
  }

  /** The job's gate, once it is open. */
  get gate(): Gate {
    if (!this.#gate) throw new Error('logbook: the gate is not open yet');
    return this.#gate;
  }

  get stage(): JourneyStage {
    return this.#reached.at(-1)?.stage ?? 'Staging';
  }

  get staged(): StagedBackup | undefined {
    return this.#staged;
  }

  get custody(): Custody {
    return this.#custody;
  }

  set custody(custody: Custody) {
    this.#custody = custody;
    this.#importJob = importJobState(this.#importJob, {
      parcels: custody.parcels.map(({ state }) => state),
      drives: custody.drives.map(({ state }) => state),
      returned: this.job.returns,
      awaited: custody.free.length > 0,
      refused: custody.drives.some(({ refused = 0 }) => refused > 0),
    });
    this.#gate?.changed();
  }

  #emptyCustody(): Custody {
    if (!this.isLimited) return openCustody(this.#staged?.objects ?? 0, this.#staged?.sealedBytes ?? 0);
    const open = openLimitedCustody();
    return this.#staged ? closeCustody(open, this.#staged.objects, this.#staged.sealedBytes) : open;
  }

  /** Stages never move back: what a lost drive carried travels again within the stage. */
  enter(stage: JourneyStage, staged?: StagedBackup): void {
    if (staged && !this.#staged) {
      this.#staged = staged;
      const { objects, sealedBytes } = staged;
      this.#custody = this.isLimited
        ? closeCustody(this.#custody, objects, sealedBytes)
        : openCustody(objects, sealedBytes);
    }
    if (this.#reached.length > 0 && JOURNEY_STAGES.indexOf(stage) <= JOURNEY_STAGES.indexOf(this.stage)) return;
    if (stage === 'Cancelled') this.#importJob = 'Cancelled';
    this.#reached.push({ stage, at: new Date().toISOString() });
    this.#due = true;
    this.#gate?.changed();
  }

  /** An accepted act. Those that come once a drive wait for the next revision: 64 drives are many. */
  note(act: Act['act'], by: string, says: string, said?: Said): void {
    const at = new Date().toISOString();
    const { request, ...asked } = said ?? { by };
    if (request !== undefined) this.#requests.add(request);
    this.#acts.push({ at, by, act, says, ...(request === undefined ? {} : { request, asked }) });
    this.#admitted += 1;
    if (act !== 'prepareDrive' && act !== 'attach' && act !== 'scan') this.#due = true;
  }

  /** A signed request is one word: said again by whoever found it, it is not heard. @throws Failure */
  checkRequest({ request }: Said): void {
    if (request === undefined) return;
    if (!isDigest(request)) throw new Failure('Usage', 'request is no digest of a signed request');
    if (this.#requests.has(request)) throw new Failure('WrongState', 'this request was carried out already');
  }

  /**
   * What is being undone takes nothing new: a drive offered now would keep the keys that are being deleted. What
   * the undoing itself asks is still decided. @throws Failure `WrongState`
   */
  checkGoesOn(): void {
    const { state } = this.gate;
    if (state === 'Running' && this.#cancelledBy === undefined) return;
    throw new Failure('WrongState', 'the job is ending: nothing more is done with it', {
      why: this.#cancelledBy === undefined ? state : `cancelled by ${this.#cancelledBy}`,
      next: `seedship job show ${this.job.job}`,
    });
  }

  /** @throws Failure `WrongState` when people have done more than a history should hold */
  admit(): void {
    if (this.#admitted >= ACTS_MAX)
      throw new Failure('WrongState', `a job takes at most ${ACTS_MAX} acts`, { why: 'only `cancel` is left' });
  }

  status(): JobStatus {
    const staged = this.#staged;
    const cancelledBy = this.#cancelledBy;
    const { free, parcels, dropped } = this.#custody;
    const attention = this.#gate?.open.list ?? [];
    const faulted = new Set(attention.flatMap(({ drive, clearsItself }) => (clearsItself ? [] : (drive ?? []))));
    const drives = this.#custody.drives.map((drive) =>
      drive.state === 'Transferring' && faulted.has(drive.id) ? ({ ...drive, state: 'Faulted' } as const) : drive,
    );
    const deadline = deadlineOf(this.waits, this.timers);
    const before = {
      workflowId: workflowInfo().workflowId,
      run: this.run,
      request: this.job,
      stage: this.stage,
      state: this.#state(),
      importJob: this.#importJob,
      reached: this.#reached,
      ...(staged ? { point: staged.point, packSet: staged.packSet, staged } : {}),
      free: staged || !this.isLimited ? free : [], // nobody knows yet how many there will be
      ...(dropped.length === 0 ? {} : { dropped }),
      drives,
      parcels,
      attention,
      ...(deadline === undefined ? {} : { deadline }),
      ...(this.held.size === 0 ? {} : { held: [...this.held] }),
      ...(cancelledBy === undefined ? {} : { cancelledBy }),
    };
    const wait = waitsFor(before);
    const idle = wait.command === '' ? before.state : 'Waiting';
    return { ...before, state: before.state === 'Running' ? idle : before.state, waitsFor: wait };
  }

  /** Called by the gate, once an activation. */
  #show(): void {
    const now = this.status();
    setCurrentDetails(statusCard(now));
    for (const { id, clearsItself } of now.attention) {
      if (clearsItself || this.#asked.has(id)) continue;
      this.#asked.add(id);
      this.#due = true; // what was decided later makes no story without it
    }
    const { vault, machine, region } = this.job;
    const wanted: SearchAttributeUpdatePair[] = [
      { key: SEARCH.vault, value: vault },
      { key: SEARCH.machine, value: machine },
      { key: SEARCH.region, value: region },
      { key: SEARCH.stage, value: now.stage },
      { key: SEARCH.state, value: now.state },
      { key: SEARCH.drives, value: now.drives.map(({ id }) => id) },
      { key: SEARCH.attention, value: now.attention.map(attentionTag) },
      ...(this.#listsParcels ? [{ key: SEARCH.parcels, value: now.parcels.map(({ tracking }) => tracking) }] : []),
      { key: SEARCH.deadline, value: now.deadline === undefined ? null : new Date(now.deadline) },
    ];
    const news = wanted.filter(({ key, value }) => {
      const text = JSON.stringify(value);
      if (text === (this.#shown.get(key.name) ?? (NOTHING.has(text) ? text : ''))) return false;
      this.#shown.set(key.name, text);
      return true;
    });
    if (news.length > 0) upsertSearchAttributes(news);
  }

  /** Until all that happened stands in the vault. */
  async written(): Promise<void> {
    await condition(() => !this.#due && !this.#writing);
  }

  #state(): WorkState {
    const gate = this.#gate;
    if (gate && gate.state !== 'Running') return gate.state;
    if (gate && gate.open.list.length > 0) return 'Attention';
    return this.held.has(EVERYTHING) ? 'Paused' : 'Running';
  }

  async #write(): Promise<void> {
    const { keepRecord } = proxyActivities<RecordSteps>({
      ...bookKeeping(queueOf.vault(this.job.vault)),
      summary: `record of job ${this.job.job}`,
    });
    for (;;) {
      await condition(() => this.#due);
      this.#due = false;
      this.#writing = true;
      const { vault, job } = this.job;
      this.#sequence += 1;
      const state = this.#body();
      const request = { vault, kind: 'job', id: job, sequence: this.#sequence, state } as const;
      await this.#gate?.must({ name: 'record' }, () => keepRecord(request));
      this.#writing = false;
    }
  }

  #body(): JobState {
    const { run, stage, importJob, point, packSet, attention } = this.status();
    const { drives, parcels } = this.#custody;
    const acts = this.#acts;
    this.#acts = [];
    const seed = point && packSet ? { point, packSet } : {};
    const staged = this.#staged && { staged: this.#staged };
    const ledger: Ledger = {
      ...{ job: this.job, began: this.began, reached: this.#reached, ...staged, waits: this.waits },
      ...poolsOf(this.#custody),
      ...{ receipts: [...this.receipts.values()], tries: Object.fromEntries(this.tries), round: this.round },
      held: [...this.held],
    };
    return { sequence: this.#sequence, run, stage, importJob, ...seed, drives, parcels, attention, acts, ledger };
  }
}

/** Objects that are on no drive, by what becomes of them. */
function poolsOf({
  free,
  online,
  dropped = [],
  repaired = [],
}: Pick<Ledger, 'free' | 'online' | 'dropped' | 'repaired'>) {
  return { free, online, dropped, repaired };
}
