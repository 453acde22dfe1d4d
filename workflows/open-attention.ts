/**
 * What waits for a person in one workflow. Its own entries are made by the gate; those of children
 * are mirrored: the parent gives each an id of its own, and sends the decision down.
 *
 *   ids      a1, a2, … never used twice in a workflow
 *   mirror   a child tells its whole list every time, so nothing is lost or doubled; what was
 *            decided here is not taken back by a list that was already on its way
 */
import { condition, getExternalWorkflowHandle } from '@temporalio/workflow';
import type { Attention, Choice, Resolution } from '../domain/attention.ts';
import { Failure } from '../domain/failure.ts';
import { type ResolveAct, resolution as resolutionSignal } from './definitions.ts';

export type Question = Omit<Attention, 'id' | 'since'>;

interface Entry {
  readonly attention: Attention;
  readonly child?: { readonly workflowId: string; readonly id: string };
  resolution?: Resolution;
}

export class OpenAttention {
  readonly #changed: () => void;
  readonly #decided = new Set<string>();
  #entries: Entry[] = [];
  #count = 0;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get list(): readonly Attention[] {
    return this.#entries.map(({ attention }) => attention);
  }

  /** Opens attention that the caller withdraws. */
  ask(question: Question): Entry {
    const entry: Entry = { attention: { ...question, id: this.#nextId(), since: new Date().toISOString() } };
    this.#entries.push(entry);
    this.#changed();
    return entry;
  }

  withdraw(id: string): void {
    this.#entries = this.#entries.filter(({ attention }) => attention.id !== id);
    this.#changed();
  }

  /** Waits for a person, as long as it takes. */
  async decide(question: Question): Promise<Choice> {
    const entry = this.ask(question);
    try {
      await condition(() => entry.resolution !== undefined);
    } finally {
      this.withdraw(entry.attention.id);
    }
    return entry.resolution?.choice ?? 'abort';
  }

  /** The attention that is meant. @throws Failure `WrongState` naming the legal choices */
  find({ attention: id, choice }: ResolveAct): Attention {
    const open = this.list;
    const [first, second] = open;
    if (!first) throw new Failure('WrongState', 'nothing waits for a decision');
    const found = open.find((one) => (id === undefined ? second === undefined : one.id === id));
    if (!found)
      throw new Failure('WrongState', 'which attention is meant', {
        why: open.map((one) => `${one.id} ${one.code}: ${one.choices.join('|')}`).join(', '),
        next: `--attention ${first.id} --choice ${first.choices.join('|')}`,
      });
    if (!found.choices.includes(choice))
      throw new Failure('WrongState', `${found.id} ${found.code} does not take ${JSON.stringify(choice)}`, {
        why: `its choices: ${found.choices.join(', ')}`,
        next: `--attention ${found.id} --choice ${found.choices.join('|')}`,
      });
    return found;
  }

  async settle(resolution: Resolution): Promise<void> {
    const entry = this.#entries.find(({ attention }) => attention.id === resolution.id);
    if (!entry) return;
    entry.resolution = resolution;
    const { child } = entry;
    if (!child) return;
    this.#decided.add(`${child.workflowId} ${child.id}`);
    this.withdraw(resolution.id);
    const down = getExternalWorkflowHandle(child.workflowId).signal(resolutionSignal, { ...resolution, id: child.id });
    await down.catch(() => undefined); // the child has just ended, and its question with it
  }

  mirror(workflowId: string, open: readonly Attention[]): void {
    const theirs = new Set(open.map(({ id }) => id));
    this.#entries = this.#entries.filter(({ child }) => child?.workflowId !== workflowId || theirs.has(child.id));
    const known = new Set(this.#entries.flatMap(({ child }) => (child?.workflowId === workflowId ? [child.id] : [])));
    for (const attention of open) {
      const { id } = attention;
      if (known.has(id) || this.#decided.has(`${workflowId} ${id}`)) continue;
      this.#entries.push({ attention: { ...attention, id: this.#nextId() }, child: { workflowId, id } });
    }
    this.#changed();
  }

  asks(workflowId: string): boolean {
    return this.#entries.some(({ child }) => child?.workflowId === workflowId);
  }

  /** An act has answered what a child asks: it ends, which takes a while, and its questions are over at once. */
  answered(workflowId: string): void {
    for (const { child } of this.#entries)
      if (child?.workflowId === workflowId) this.#decided.add(`${workflowId} ${child.id}`);
    this.mirror(workflowId, []);
  }

  /** A child has ended; started again, it counts from one. */
  forget(workflowId: string): void {
    this.mirror(workflowId, []);
    for (const key of this.#decided) if (key.startsWith(`${workflowId} `)) this.#decided.delete(key);
  }

  #nextId(): string {
    this.#count += 1;
    return `a${this.#count}`;
  }
}
