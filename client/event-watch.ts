/**
 * Hears of a workflow's next event: the server holds the question until there is one. A follower looks then, and not
 * only when its pause is over; where nothing can be heard, it looks by the clock alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MINUTE } from '../domain/units.ts';
import type { TemporalClient } from '../host/connections.ts';

/** The server answers after twenty seconds without an event; a proxy between may be slower. */
const HELD_MS = 2 * MINUTE;
/** Events come in groups: a step's end, the workflow's task. */
const SETTLE_MS = 20;

export class EventWatch {
  readonly #temporal: TemporalClient;
  readonly #workflowId: string;
  #asked = new AbortController();
  #isOver = false;
  #token: Uint8Array | null | undefined;
  #next: Promise<void> | undefined;

  constructor(temporal: TemporalClient, workflowId: string) {
    [this.#temporal, this.#workflowId] = [temporal, workflowId];
  }

  /** Resolves when something has happened, or after `ms`; at once when the signal is aborted. */
  async pause(ms: number, signal: AbortSignal): Promise<void> {
    this.#next ??= this.#heard();
    const heard = new AbortController();
    const over = sleep(ms, undefined, { signal: AbortSignal.any([signal, heard.signal]) }).catch(() => {});
    const happened = this.#next.then(() => {
      this.#next = undefined;
      return sleep(SETTLE_MS);
    });
    await Promise.race([over, happened]);
    heard.abort();
  }

  /** Takes the question back: without that it would hold the process for as long as the server holds it. */
  close(): void {
    this.#isOver = true;
    this.#asked.abort();
  }

  /** Never resolves where there is nothing more to hear. */
  async #heard(): Promise<void> {
    try {
      while (!this.#isOver) {
        const { history, nextPageToken } = await this.#ask();
        this.#token = nextPageToken;
        this.#isOver ||= !nextPageToken?.length; // it is closed: this was its last event
        if (history?.events?.length) return;
      }
    } catch {
      // the look that follows says what is wrong
    }
    await new Promise(() => {});
  }

  #ask() {
    const { client } = this.#temporal;
    const request = {
      namespace: client.options.namespace,
      execution: { workflowId: this.#workflowId },
      waitNewEvent: true,
      ...(this.#token && { nextPageToken: this.#token }),
    };
    const ask = () => client.workflowService.getWorkflowExecutionHistory(request);
    this.#asked = new AbortController(); // of its own: the connection never lets go of a signal that it was given
    return client.connection.withAbortSignal(this.#asked.signal, () => this.#temporal.call(ask, HELD_MS));
  }
}
