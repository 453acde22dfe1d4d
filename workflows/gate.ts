/**
 * Every step goes through the gate, and a step never fails: what retries did not cure becomes
 * attention, a person decides, and the step goes on. Several may be open at once.
 *
 *   1 the step runs, and beside it a watch over its queue: without a poller it raises `HostOffline`,
 *     which clears itself, or takes a choice that ends the step
 *   2 a failure is named by domain/failure.ts and waits for one of its choices
 *   3 a child shows its attention to its parent, which gives it an id of its own and sends the
 *     decision down; a child ended by hand is a failure like another
 *   4 a step that moves bytes can be held: it is called off, and begins again at its next object when
 *     it is resumed, under the name and the receipt it had
 *   5 the update `cancel` asks Temporal to cancel: both ways end in `guard`, which undoes what must
 *     be undone where nothing cancels it, and ends as Canceled
 */
import {
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  CancelledFailure,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  TemporalFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { Attention, Choice, Resolution } from '../domain/attention.ts';
import { Failure } from '../domain/failure.ts';
import type { ControlSteps } from '../domain/request.ts';
import { bookKeeping, queueOf, watching } from '../domain/site.ts';
import * as say from './definitions.ts';
import { Bell } from './notice.ts';
import { OpenAttention } from './open-attention.ts';
import { awayTexts, type Trouble, troubleOf } from './trouble.ts';

export interface Step {
  readonly name: string;
  /** As it is polled, `.data` included; a step in a child is watched by the child. */
  readonly queue?: string;
  readonly drive?: string;
  /** Besides `retry` and `abort`. */
  readonly choices?: readonly Choice[];
  /** What an unpolled queue means. */
  readonly offline?: 'HostOffline' | 'Locked';
  /** It moves bytes: people may pause it. */
  readonly holdable?: boolean;
}

/** What is held when the whole job is. */
export const EVERYTHING = '*';

export type Passed<T> = { readonly done: T } | { readonly chose: Choice };

const CARD_CHILD = 'Decide in the parent workflow, with its update `resolve`.';

export class Gate {
  readonly #heartbeatMs: number;
  readonly #show: () => void | Promise<void>;
  readonly #held: ReadonlySet<string>;
  readonly open = new OpenAttention(() => this.changed());
  #changed = false;
  step = '';
  state: Exclude<say.WorkStatus['state'], 'Attention'> = 'Running';

  /** @param held what people have paused: drives, or `EVERYTHING` */
  constructor(heartbeatMs: number, show: () => void | Promise<void>, held: ReadonlySet<string> = new Set()) {
    this.#heartbeatMs = heartbeatMs;
    this.#show = show;
    this.#held = held;
    setHandler(say.workStatus, () => ({
      step: this.step,
      state: this.state === 'Running' && this.open.list.length > 0 ? 'Attention' : this.state,
      attention: this.open.list,
    }));
    void CancellationScope.nonCancellable(() => this.#showChanges());
  }

  /** Something that is shown has changed; shown once an activation. */
  changed(): void {
    this.#changed = true;
  }

  /** Runs a step until it is done or a person chose another way. */
  async pass<T>(step: Step, run: () => Promise<T>): Promise<Passed<T>> {
    this.step = step.name;
    for (;;) {
      if (this.#holds(step)) await condition(() => !this.#holds(step));
      const attempt = await this.#attempt(step, run);
      if ('held' in attempt) continue;
      if (!('failed' in attempt)) return attempt;
      const choices: Choice[] = ['retry', ...(step.choices ?? []), 'abort'];
      const choice = await this.open.decide({ ...attempt.failed, ...whose(step), choices });
      if (choice !== 'retry') return { chose: choice };
    }
  }

  /** A step that has no other way. */
  async must<T>(step: Omit<Step, 'choices'>, run: () => Promise<T>): Promise<T> {
    const passed = await this.pass(step, run);
    if ('done' in passed) return passed.done;
    throw new Error(`gate: step ${step.name} offered ${passed.chose}`);
  }

  /** Runs the whole work. `undo` is run when it is cancelled, and nothing cancels it. */
  async guard<T>(work: () => Promise<T>, undo: () => Promise<void> = async () => {}): Promise<T> {
    try {
      const result = await work();
      await condition(allHandlersFinished);
      await this.#finish('Done');
      return result;
    } catch (error) {
      if (!isCancellation(error)) throw error;
      await CancellationScope.nonCancellable(async () => {
        this.state = 'Cancelling';
        this.#changed = true;
        await undo();
        await condition(allHandlersFinished);
        await this.#finish('Cancelled');
      });
      throw new CancelledFailure('cancelled by a person');
    }
  }

  async #finish(state: 'Done' | 'Cancelled'): Promise<void> {
    this.state = state;
    this.#changed = false;
    await this.#show();
  }

  #holds({ holdable = false, drive }: Step): boolean {
    return holdable && (this.#held.has(EVERYTHING) || (drive !== undefined && this.#held.has(drive)));
  }

  async #attempt<T>(
    step: Step,
    run: () => Promise<T>,
  ): Promise<Passed<T> | { readonly failed: Trouble } | { readonly held: true }> {
    const work = new CancellationScope();
    const watch = new CancellationScope();
    let chose: Choice | undefined;
    const watched = watch.run(async () => {
      chose = await this.#watch(step);
      if (chose !== undefined) work.cancel();
    });
    let held = false;
    const holding = watch.run(async () => {
      if (!step.holdable) return;
      await condition(() => this.#holds(step));
      held = true;
      work.cancel();
    });
    const quiet = Promise.all([watched, holding]).catch((error: unknown) => {
      if (!(error instanceof TemporalFailure)) throw error; // cancelled below, or control cannot tell
    });
    try {
      return { done: await work.run(run) };
    } catch (error) {
      if (chose !== undefined && isCancellation(error)) return { chose };
      if (held && isCancellation(error) && !CancellationScope.current().consideredCancelled) return { held };
      if (isCancellation(error) && CancellationScope.current().consideredCancelled) throw error;
      return { failed: troubleOf(error) };
    } finally {
      watch.cancel();
      await quiet;
    }
  }

  /** Ends with a person's choice; until then it follows the queue's pollers coming and going. */
  async #watch(step: Step): Promise<Choice | undefined> {
    const { queue, choices = [], offline = 'HostOffline' } = step;
    if (queue === undefined) return undefined;
    const { observeHost } = proxyActivities<ControlSteps>({
      ...watching({ heartbeatMs: this.#heartbeatMs }),
      summary: `watches ${queue}`,
    });
    for (;;) {
      await observeHost({ queue, until: 'absent' });
      const entry = this.open.ask({
        ...awayTexts(queue, offline),
        ...whose(step),
        code: offline,
        choices: [...choices, 'abort'],
        clearsItself: true,
      });
      try {
        const back = new CancellationScope();
        const present = back.run(() => observeHost({ queue, until: 'present' }));
        await Promise.race([present, condition(() => entry.resolution !== undefined)]);
        if (entry.resolution === undefined) continue;
        back.cancel();
        await present.catch(() => undefined); // cancelled just now: the person's choice is the answer
        return entry.resolution.choice;
      } finally {
        this.open.withdraw(entry.attention.id);
      }
    }
  }

  async #showChanges(): Promise<void> {
    for (;;) {
      await condition(() => this.#changed);
      this.#changed = false;
      await this.#show();
    }
  }
}

function whose({ name, drive, queue }: Step) {
  return { step: name, ...(drive === undefined ? {} : { drive }), ...(queue === undefined ? {} : { queue }) };
}

export interface Hooks {
  readonly vault: string;
  /** What notices are about: a job, a protection. */
  readonly subject: string;
  readonly show: () => void;
  /** Where it stands, in words: people are told when it changes. */
  readonly standing?: () => string;
  /** What people have paused. */
  readonly held?: ReadonlySet<string>;
  /** Called with what was decided, before the step goes on. */
  readonly decided?: (attention: Attention, resolution: Resolution, act: say.ResolveAct) => void;
  /** @throws Failure when people have done too much already */
  readonly admit?: () => void;
  /** @throws Failure when the request that an act names is none, or was heard before */
  readonly checkRequest?: (act: say.Act) => void;
  /** @throws Failure when it is too late */
  readonly checkCancel?: () => void;
  readonly cancelling?: (act: say.CancelAct) => void;
}

/** The gate of a workflow that people talk to: with the updates `resolve` and `cancel`, and notices. */
export function openGate(heartbeatMs: number, hooks: Hooks): Gate {
  const noticed = new Set<string>();
  const bell = new Bell(hooks);
  let told: string | undefined;
  const show = async () => {
    hooks.show();
    const standing = hooks.standing?.();
    if (standing !== undefined && standing !== told) bell.ring({ kind: 'state', text: standing });
    told = standing;
    for (const attention of gate.open.list) {
      if (!noticed.has(attention.id)) bell.ring({ kind: 'attention', ...attentionNews(attention) });
      noticed.add(attention.id);
    }
    if (gate.state === 'Done' || gate.state === 'Cancelled') await bell.quiet();
  };
  const gate = new Gate(heartbeatMs, show, hooks.held);
  hearDecisions(gate, hooks);
  setHandler(say.childAttention, ({ child, open }) => gate.open.mirror(child, open));
  return gate;
}

function attentionNews({ code, message, hint }: Attention) {
  return { code, text: `${message}. ${hint}` };
}

function hearDecisions(gate: Gate, hooks: Hooks): void {
  const { requestCancel } = proxyActivities<ControlSteps>(bookKeeping(queueOf.control));
  const stop = async (act: say.CancelAct) => {
    hooks.cancelling?.(act);
    const { workflowId } = workflowInfo();
    await CancellationScope.nonCancellable(() => requestCancel({ workflowId }));
    return { workflowId };
  };
  const checkCancel = () => {
    if (gate.state !== 'Running') throw new Failure('WrongState', 'it is already ending', { why: gate.state });
    hooks.checkCancel?.();
  };
  const decide = async (act: say.ResolveAct) => {
    const attention = gate.open.find(act);
    const resolution = { id: attention.id, choice: act.choice, by: act.by };
    hooks.decided?.(attention, resolution, act);
    if (act.choice === 'abort') await stop({ by: act.by });
    else await gate.open.settle(resolution);
    return resolution;
  };
  setHandler(say.resolve, decide, {
    description: say.DESCRIPTIONS.resolve,
    validator: refusing((act: say.ResolveAct) => {
      say.checkTexts(act, ['choice', 'by']);
      hooks.checkRequest?.(act);
      gate.open.find(act);
      if (act.choice === 'abort') checkCancel();
      else hooks.admit?.();
    }),
  });
  setHandler(say.cancel, (act) => stop(act), {
    description: say.DESCRIPTIONS.cancel,
    validator: refusing((act: say.CancelAct) => {
      say.checkTexts(act, ['by']);
      hooks.checkRequest?.(act);
      checkCancel();
    }),
  });
}

/** The gate of a child: shows its attention to the parent, and hears the decisions from it. */
export function openChildGate(heartbeatMs: number): Gate {
  const { parent, workflowId } = workflowInfo();
  const gate = new Gate(heartbeatMs, async () => {
    const open = gate.open.list;
    setCurrentDetails(open.map((one) => `- **${one.code}** ${one.message}. ${CARD_CHILD}`).join('\n') || gate.step);
    if (!parent || gate.state !== 'Running') return;
    const up = getExternalWorkflowHandle(parent.workflowId).signal(say.childAttention, { child: workflowId, open });
    await up.catch(() => undefined); // the parent has ended, and will cancel this
  });
  setHandler(say.resolution, (decision) => gate.open.settle(decision));
  return gate;
}

/** A validator that refuses with the name of the failure, its reason and the next command. */
export function refusing<A>(check: (act: A) => void): (act: A) => void {
  return (act) => {
    try {
      check(act);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const { code, message, why, next } = error;
      throw ApplicationFailure.nonRetryable(why === '' ? message : `${message}: ${why}`, code, { why, next });
    }
  };
}
