/**
 * The drives of one job on their way, a child for each leg. Legs of different drives overlap: one is
 * copied while another still travels; one that is lost costs its own objects only, which go back to
 * the pool, or over the line.
 *
 *   drivePreparation   staging → drive, on a copy host
 *   shipping           waits, reminds and asks, while anything is with people and carriers
 *   driveIngest        drive → landing, at a dock; attached again, the leg before is called off
 *
 * A leg that is held ends, and begins again with the same request: its receipt or its journal is found.
 */
import {
  CancellationScope,
  condition,
  executeChild,
  isCancellation,
  patched,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { Attention, Choice, Resolution } from '../domain/attention.ts';
import * as custody from '../domain/custody.ts';
import { countObjects, type DriveState } from '../domain/drive.ts';
import { Failure } from '../domain/failure.ts';
import { driveLabel } from '../domain/names.ts';
import { triedAgain } from '../domain/parcel-custody.ts';
import type { IngestedDrive, PreparedDrive, SeededVault } from '../domain/receipt.ts';
import { childId, type DriveStatus, prepareStep, STAGE_STEP } from '../domain/seeding-job.ts';
import { aboutLeg } from '../domain/status-card.ts';
import { SEARCH, type ShippingNews, shippingNews } from './definitions.ts';
import { driveIngest } from './drive-ingest.ts';
import { drivePreparation } from './drive-preparation.ts';
import type { Passed } from './gate.ts';
import type { Logbook } from './logbook.ts';
import type { Question } from './open-attention.ts';
import { shipping } from './shipping.ts';

const SHIPPING = 'shipping';
/** Legs of a drive that end when it is said what became of it. */
const ASKING = ['ingest', 'damaged', 'unread'] as const;

interface Leg {
  readonly name: string;
  readonly workflowId: string;
  readonly drive?: string;
  readonly choices: readonly Choice[];
}

export class Travel {
  readonly #log: Logbook;
  readonly #id = workflowInfo().workflowId;
  readonly #legs = new Map<string, CancellationScope>();
  #tell: ((news: ShippingNews) => Promise<void>) | undefined;
  /** How often something moved; of what was told of it the highest count holds. */
  #moves = 0;

  constructor(log: Logbook) {
    this.#log = log;
  }

  /** Until every object is on a written drive: the drives that are not registered yet. */
  async prepared(): Promise<readonly PreparedDrive[]> {
    await condition(() => custody.allPrepared(this.#log.custody));
    return this.#unregistered();
  }

  /** Their manifests stand in the import job: they may be shipped. */
  register(drives: readonly PreparedDrive[]): void {
    const ids = drives.map(({ drive }) => drive);
    this.#log.custody = custody.registered(this.#log.custody, ids);
    this.moved();
  }

  /** Until no drive is still to be shipped or to arrive, or one was prepared in place of a lost one. */
  async arrived(): Promise<void> {
    const here = () => custody.allArrived(this.#log.custody);
    const more = () => custody.allPrepared(this.#log.custody) && this.#unregistered().length > 0;
    while (!here() && !more()) {
      if (!this.#legs.has(SHIPPING)) this.#inBackground(() => this.#ship());
      await condition(() => here() || more() || !this.#legs.has(SHIPPING)); // one that ends may have missed the news
    }
  }

  /** Until every drive was copied (true), or more must travel first. */
  async taken(): Promise<boolean> {
    const over = () => custody.allTaken(this.#log.custody) && !this.#legs.has(SHIPPING);
    await condition(() => over() || !custody.allArrived(this.#log.custody));
    return over();
  }

  /** Until copied drives are on their way back, where they are returned. */
  async returned(): Promise<void> {
    const here = () => custody.inState(this.#log.custody, 'Completed', 'CompletedMoreInfo', 'Faulted');
    if (this.#log.job.returns) await condition(() => here().length === 0);
  }

  count(): Pick<SeededVault, 'drives' | 'lostDrives' | 'droppedObjects'> {
    const { drives, dropped } = this.#log.custody;
    const given = dropped.length === 0 ? {} : { droppedObjects: countObjects(dropped) };
    return { drives: drives.length, ...given, lostDrives: custody.inState(this.#log.custody, 'Lost').length };
  }

  /** Until no child is left: they are cancelled with the parent. */
  async ended(): Promise<void> {
    await condition(() => this.#legs.size === 0);
  }

  /** Drives that are being read or written are no one's to give up. @throws Failure `WrongState` */
  checkIdle(drives: readonly string[]): void {
    const busy = drives.find((drive) => this.#legs.has(`ingest-${drive}`) && !this.asking().has(drive));
    if (busy === undefined) return;
    throw new Failure('WrongState', `drive ${busy} is being copied`, {
      why: 'it is asked about when it cannot be read',
      next: `seedship job pause ${this.#log.job.job} --drive ${busy}`,
    });
  }

  /** It was said what became of a drive: what was asked about it, or done with it, is over. */
  settled(drive: string): void {
    const { open } = this.#log.gate;
    const child = childId.ingest(this.#id, drive);
    for (const leg of ASKING) this.#legs.get(`${leg}-${drive}`)?.cancel();
    if (open.asks(child) && patched('answered-at-once')) open.answered(child);
  }

  /** Drives whose copying waits for a person. */
  asking(): ReadonlySet<string> {
    return new Set(this.#log.gate.open.list.flatMap(({ drive }) => drive ?? []));
  }

  /** What a person decided about drives on their way; decisions about a leg are the leg's. */
  decided({ step }: Attention, { choice }: Resolution): void {
    const wait = this.#log.waits.find(({ key }) => key === step);
    if (!wait) return;
    if (isWay(choice)) this.#log.custody = custody.lost(this.#log.custody, wait.drives, choice);
    this.moved(choice === 'wait' ? wait.key : undefined);
  }

  /** Drives or parcels have moved: what is waited for is counted anew, and the child is told. */
  moved(restarted?: string): void {
    const now = new Date().toISOString();
    this.#log.waits = custody.travelWaits(this.#log.custody, this.#log.waits, now, restarted);
    this.#moves += 1;
    const tell = this.#tell;
    if (tell) void tell(this.#news()).catch(() => undefined); // it has just ended: nothing was waited for
  }

  /** Writes a drive that custody has given its ranges. */
  prepare(drive: string): string {
    const workflowId = childId.prepare(this.#id, drive);
    const step = this.#step(prepareStep(drive));
    this.#inBackground(() => this.#prepare(drive, workflowId, step));
    return workflowId;
  }

  /** Copies a drive that custody says is at a dock. */
  take(drive: string): string {
    const workflowId = childId.ingest(this.#id, drive);
    this.#inBackground(() => this.#take(drive, workflowId));
    return workflowId;
  }

  /** A drive is not fit to be read: a person decides what becomes of it. */
  judge(drive: string): void {
    this.#inBackground(() => this.#judge(drive));
  }

  /** Drives of a job that is taken up again are where they were: what was done with them goes on. */
  takeUp(): void {
    for (const { id, state, offline } of this.#log.custody.drives) {
      if (state === 'Specified' && offline) continue; // its journal is brought
      if (state === 'Specified') {
        const step = this.#sameStep(prepareStep(id));
        this.#inBackground(() => this.#prepare(id, childId.prepare(this.#id, id), step));
      } else if (state === 'Transferring') this.#inBackground(() => this.#take(id, childId.ingest(this.#id, id), true));
      else if (state === 'Faulted') this.judge(id);
    }
  }

  /** Drives are given up while they are written. */
  callOff(drives: readonly string[]): void {
    for (const drive of drives) this.#legs.get(`prepare-${drive}`)?.cancel();
  }

  async #ship(): Promise<void> {
    const { vault, job, heartbeatMs } = this.#log.job;
    const workflowId = childId.shipping(this.#id);
    const options = this.#options(workflowId, `drives of ${job} on their way`, aboutLeg('shipping', job));
    await this.#leg({ name: SHIPPING, workflowId, choices: [] }, async () => {
      this.moved();
      const { timers } = this.#log.job;
      const state = { vault, job, heartbeatMs, news: this.#news(), ...(timers && { timers }) };
      const child = await startChild(shipping, { ...options, args: [state] });
      this.#tell = (news) => child.signal(shippingNews, news);
      if (this.#moves > state.news.count && patched('told-once-started')) this.moved();
      return child.result().finally(() => {
        this.#tell = undefined;
      });
    });
  }

  async #prepare(drive: string, workflowId: string, step: string): Promise<void> {
    const name = `prepare-${drive}`;
    const { heartbeatMs, vault, job, staging, landing, region } = this.#log.job;
    const { host, ranges, capacityBytes } = this.#drive(drive);
    const from = this.#log.isLimited ? { stageStep: STAGE_STEP } : { packSet: this.#staged().packSet };
    const at = { vault, run: this.#log.run, step, ...from };
    const request = { ...at, job, drive, host, staging, landing, region, ranges, capacityBytes };
    const about = aboutLeg('prepare', job, { drive, host });
    const options = this.#options(workflowId, `${driveLabel(drive)} on ${host}`, about, drive);
    const passed = await this.#leg({ name, workflowId, drive, choices: ['replace'] }, () =>
      executeChild(drivePreparation, { ...options, args: [{ request, heartbeatMs }] }),
    );
    if (!this.#isIn(drive, 'Specified')) return; // called off as it ended
    const written = 'done' in passed && passed.done.outcome === 'prepared' ? passed.done.drive : undefined;
    if (written === undefined || written.ranges.length === 0)
      this.#log.custody = custody.leaveOut(this.#log.custody, drive);
    else {
      this.#log.receipts.set(drive, written);
      this.#log.custody = custody.prepared(this.#log.custody, written);
    }
  }

  async #take(drive: string, workflowId: string, again = false): Promise<void> {
    const name = `ingest-${drive}`;
    this.settled(drive);
    await condition(() => !this.#legs.has(name));
    const { heartbeatMs, vault, job } = this.#log.job;
    const { host, ranges, region = this.#log.job.region, landing = this.#log.job.landing } = this.#drive(drive);
    const { manifest, epoch } = this.#receipt(drive);
    const step = again ? this.#sameStep(name) : this.#step(name);
    const at = { vault, run: this.#log.run, step, packSet: this.#staged().packSet };
    const request = { ...at, job, drive, host, landing, region, ranges, manifest, epoch };
    const about = aboutLeg('ingest', job, { drive, host });
    const options = this.#options(workflowId, `${driveLabel(drive)} at ${host}`, about, drive);
    const passed = await this.#leg({ name, workflowId, drive, choices: custody.WAYS }, () =>
      executeChild(driveIngest, { ...options, args: [{ request, heartbeatMs }] }),
    );
    if (!this.#isIn(drive, 'Transferring')) return; // it was said what became of it
    if ('done' in passed && passed.done.outcome === 'ingested') await this.#settle(passed.done.drive);
    else {
      const way = custody.wayOf('done' in passed ? passed.done.outcome : passed.chose);
      this.#log.custody = custody.lost(this.#log.custody, [drive], way);
    }
  }

  /** What a drive could not give costs a decision; all it gave is landed already. */
  async #settle(taken: IngestedDrive): Promise<void> {
    const { drive, missingRanges = [] } = taken;
    if (missingRanges.length === 0) {
      this.#log.custody = custody.ingested(this.#log.custody, taken);
      return;
    }
    const of = countObjects(this.#drive(drive).ranges);
    const choice = await this.#decide(`unread-${drive}`, {
      ...{ code: 'DriveFailed', drive },
      message: `${countObjects(missingRanges)} of its ${of} objects could not be taken from it`,
      hint: `seedship drive history ${drive} --copy-log names each; only these are sent again`,
      choices: ['replace', 'send', 'drop', 'retry', 'abort'],
    });
    if (!this.#isIn(drive, 'Transferring')) return;
    if (choice === 'retry') this.take(drive);
    else this.#log.custody = custody.ingested(this.#log.custody, taken, custody.wayOf(choice));
  }

  async #judge(drive: string): Promise<void> {
    const choice = await this.#decide(`damaged-${drive}`, {
      ...{ code: 'DriveFailed', drive },
      message: 'a drive arrived damaged',
      hint: 'retry takes it to a dock all the same; what it carried can be sent again',
      choices: ['retry', ...custody.WAYS, 'abort'],
    });
    if (!this.#isIn(drive, 'Faulted')) return;
    if (choice === 'retry') this.#log.custody = triedAgain(this.#log.custody, drive);
    if (isWay(choice)) this.#log.custody = custody.lost(this.#log.custody, [drive], choice);
  }

  /** Asks about a drive, as a leg of it that is called off when something else is done with it. */
  async #decide(step: string, question: Omit<Question, 'step'>): Promise<Choice> {
    const scope = new CancellationScope();
    this.#legs.set(step, scope);
    try {
      return await scope.run(() => this.#log.gate.open.decide({ ...question, step }));
    } finally {
      this.#legs.delete(step);
    }
  }

  async #leg<T>({ name, workflowId, ...step }: Leg, run: () => Promise<T>): Promise<Passed<T>> {
    const scope = new CancellationScope();
    this.#legs.set(name, scope);
    const holdable = name !== SHIPPING;
    const once = () =>
      run().catch((error: unknown) => {
        if (isCancellation(error)) this.#log.gate.open.forget(workflowId); // held: what it asked is asked again
        throw error;
      });
    try {
      return await scope.run(() => this.#log.gate.pass({ name, ...step, holdable }, once));
    } finally {
      this.#legs.delete(name);
      this.#log.gate.open.forget(workflowId);
    }
  }

  /** A leg that is cancelled was called off, or ends with the job: nobody waits for its result. */
  #inBackground(leg: () => Promise<void>): void {
    const quiet = (error: unknown) => {
      if (!isCancellation(error)) throw error;
    };
    void leg().then(() => this.moved(), quiet);
  }

  #unregistered(): readonly PreparedDrive[] {
    const waiting = custody.inState(this.#log.custody, 'Prepared').filter((drive) => !drive.registered);
    return waiting.map(({ id }) => this.#receipt(id));
  }

  #news() {
    return { waits: this.#log.waits, complete: custody.allPrepared(this.#log.custody), count: this.#moves };
  }

  #options(workflowId: string, staticSummary: string, staticDetails: string, drive?: string) {
    const { vault, machine, region } = this.#log.job;
    return {
      workflowId,
      staticSummary,
      staticDetails,
      parentClosePolicy: 'REQUEST_CANCEL' as const,
      typedSearchAttributes: [
        { key: SEARCH.vault, value: vault },
        { key: SEARCH.machine, value: machine },
        { key: SEARCH.region, value: region },
        ...(drive === undefined ? [] : [{ key: SEARCH.drives, value: [drive] }]),
      ],
    };
  }

  /** Names the receipt: a drive that is offered again never finds that of the first time. */
  #step(name: string): string {
    this.#log.tries.set(name, (this.#log.tries.get(name) ?? 0) + 1);
    return this.#sameStep(name);
  }

  #sameStep(name: string): string {
    const tries = this.#log.tries.get(name) ?? 1;
    return tries === 1 ? name : `${name}-${tries}`;
  }

  #isIn(drive: string, state: DriveState): boolean {
    return custody.inState(this.#log.custody, state).some(({ id }) => id === drive);
  }

  #drive(drive: string): DriveStatus {
    return known(this.#log.custody.drives.find(({ id }) => id === drive));
  }

  #receipt(drive: string): PreparedDrive {
    return known(this.#log.receipts.get(drive));
  }

  #staged() {
    return known(this.#log.staged);
  }
}

function isWay(choice: Choice): choice is custody.Way {
  return custody.WAYS.some((way) => way === choice);
}

/** Updates are refused before what they need is there; so this is our own mistake. */
function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('travel: a leg began before its drive was known');
  return value;
}
