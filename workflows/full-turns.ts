/**
 * No turn of a workflow goes by without a mark in its history.
 *
 * The server schedules a task for an update without an event. When the task before left none either, the two
 * follow one another like heartbeats of one task, and a worker without the workflow in its cache hands both to
 * it at once, the update first, as if what had happened before it had not. A replay tells them apart and
 * orders them rightly: it asks for other commands, and the workflow is stuck for ever (SDK 1.24, core's
 * `find_end_index_of_next_wft_seq`). So a turn that took something in and asks for nothing writes a memo.
 *
 *   1 whatever happened counts, but for questions, and for updates, which leave their own mark when accepted
 *   2 answers to updates do not count as a mark: a refused one leaves none
 */
import type {
  ActivateInput,
  ConcludeActivationInput,
  ConcludeActivationOutput,
  Next,
  WorkflowInternalsInterceptor,
} from '@temporalio/workflow';
import { defaultPayloadConverter } from '@temporalio/workflow';

const SILENT: readonly (string | undefined)[] = ['doUpdate', 'queryWorkflow', 'updateRandomSeed', 'notifyHasPatch'];

class FullTurns implements WorkflowInternalsInterceptor {
  #tookIn = false;
  #marks = 0;

  activate(input: ActivateInput, next: Next<WorkflowInternalsInterceptor, 'activate'>): void {
    for (const job of input.activation.jobs ?? [])
      if (Object.keys(job).some((kind) => !SILENT.includes(kind))) this.#tookIn = true;
    next(input);
  }

  concludeActivation(
    input: ConcludeActivationInput,
    next: Next<WorkflowInternalsInterceptor, 'concludeActivation'>,
  ): ConcludeActivationOutput {
    const { commands } = next(input);
    const leavesMark = commands.some(({ updateResponse, respondToQuery }) => !updateResponse && !respondToQuery);
    const owed = this.#tookIn && !leavesMark;
    this.#tookIn = false;
    if (!owed) return { commands };
    this.#marks += 1;
    const fields = { turns: defaultPayloadConverter.toPayload(this.#marks) };
    return { commands: [...commands, { modifyWorkflowProperties: { upsertedMemo: { fields } } }] };
  }
}

export function interceptors() {
  return { internals: [new FullTurns()] };
}
