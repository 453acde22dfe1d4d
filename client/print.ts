/**
 * The rules of stdout and stderr, and the one place that obeys them.
 *
 *   stdout is data, stderr is talk: a pipe gets what was asked for and nothing else
 *   --json     one object {"schema":"seedship.<kind>/v1","data":…}; a long command prints JSON lines
 *              {"type":"progress"|"event"|"result"|"error", …}
 *   an error   three lines: what happened, why, and the exact command that helps
 *   a terminal gets bars, drawn over themselves; a pipe a line every ten seconds
 */
import { styleText } from 'node:util';
import { EXIT, FAILURES, Failure, type FailureCode } from '../domain/failure.ts';
import type { Progress } from '../domain/receipt.ts';
import { formatDuration, formatSize, SECOND } from '../domain/units.ts';

const PIPE_LINE_MS = 10 * SECOND;
const BAR_WIDTH = 24;

export interface ErrorContext {
  readonly workflowId?: string;
  readonly uiUrl?: string;
}

export class Print {
  readonly json: boolean;
  #long = false;
  #lastLine = 0;
  #drawn = 0;
  readonly #since = new Map<string, { at: number; bytes: number }>();

  constructor(json: boolean) {
    this.json = json;
  }

  /** From now on JSON comes in lines: the command takes a while. */
  follow(): void {
    this.#long = true;
  }

  /** What was asked for. `lines` is how a person reads it. */
  result(kind: string, data: unknown, lines: () => readonly string[]): void {
    this.#clear();
    const schema = `seedship.${kind}/v1`;
    if (!this.json) for (const line of lines()) process.stdout.write(`${line}\n`);
    else process.stdout.write(`${JSON.stringify(this.#long ? { type: 'result', schema, data } : { schema, data })}\n`);
  }

  /** For whoever watches; no part of the data. */
  talk(line: string): void {
    if (this.json) return;
    this.#clear();
    process.stderr.write(`${line}\n`);
  }

  /** Something that happened on the way. */
  event(event: string, text: string, data: object = {}): void {
    if (this.json) process.stdout.write(`${JSON.stringify({ type: 'event', event, text, ...data })}\n`);
    else this.talk(text);
  }

  /** Where the steps under way stand; draws at most as often as a reader wants. */
  progress(steps: readonly Progress[]): void {
    if (steps.length === 0) return;
    const terminal = process.stderr.isTTY && !this.json;
    if (!terminal && Date.now() - this.#lastLine < (this.json ? SECOND : PIPE_LINE_MS)) return;
    this.#lastLine = Date.now();
    if (this.json) {
      for (const step of steps) process.stdout.write(`${JSON.stringify({ type: 'progress', ...step })}\n`);
      return;
    }
    this.#clear();
    for (const step of steps) process.stderr.write(`${this.#bar(step)}\n`);
    this.#drawn = terminal ? steps.length : 0;
  }

  /** Three lines on stderr, or one JSON object on stdout; returns the exit code. */
  error(error: unknown, { workflowId, uiUrl }: ErrorContext = {}): number {
    this.#clear();
    const failure = asFailure(error);
    const exit = FAILURES[failure.code].exit;
    const { code, message, why, next } = failure;
    if (this.json) {
      const said = { type: 'error', code, exit, message, hint: next, ...(why && { why }), workflowId, uiUrl };
      process.stdout.write(`${JSON.stringify(said)}\n`);
    } else {
      process.stderr.write(`${paint('red', `error[${code}]`)}: ${message}\n`);
      process.stderr.write(`why: ${[why || 'see the message above', uiUrl ?? []].flat().join(' · ')}\n`);
      process.stderr.write(`next: ${next}\n`);
    }
    return exit;
  }

  #clear(): void {
    if (this.#drawn > 0) process.stderr.write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }

  #bar({ step, bytesDone, bytesTotal, objectsDone, objectsTotal, filesDone, note }: Progress): string {
    const began = this.#since.get(step) ?? { at: Date.now(), bytes: bytesDone };
    this.#since.set(step, began);
    const rate = ((bytesDone - began.bytes) / Math.max(1, Date.now() - began.at)) * SECOND;
    const share = bytesTotal ? Math.min(1, bytesDone / bytesTotal) : undefined;
    const filled = Math.round((share ?? 0) * BAR_WIDTH);
    const left = rate > 0 && bytesTotal ? formatDuration(((bytesTotal - bytesDone) / rate) * SECOND) : '';
    return [
      step.padEnd(24),
      share === undefined ? '' : `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}]`,
      share === undefined ? '' : `${Math.floor(share * 100)}%`.padStart(4),
      formatSize(bytesDone),
      objectsTotal ? `${objectsDone}/${objectsTotal} objects` : '',
      filesDone ? `${filesDone.toLocaleString('en')} files` : '',
      rate > 0 ? `${formatSize(Math.round(rate))}/s` : '',
      left && `ETA ${left}`,
      note ?? '',
    ]
      .filter(Boolean)
      .join('  ');
  }
}

/** Columns without borders, so that awk can read them; the last one is never cut. */
export function columns(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => (row[at] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, at) => (at === cells.length - 1 ? cell : cell.padEnd(widths[at] ?? 0))).join('  ');
  return rows.length === 0 ? [] : [line(head), ...rows.map(line)];
}

/** `key   value` lines. */
export function pairs(entries: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...entries.map(([key]) => key.length));
  return entries.map(([key, value]) => `${key.padEnd(width)}  ${value}`);
}

/**
 * A name that a file has, as a line of a terminal can show it: Linux takes any bytes, a command to the
 * terminal or a new line among them. What is no text, and what controls, is written as `\xNN`.
 */
export function nameText(name: Uint8Array): string {
  const escaped = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`;
  const text = Buffer.from(name).toString();
  if (!Buffer.from(text).equals(name))
    return [...name].map((byte) => (byte < 0x20 || byte > 0x7e ? escaped(byte) : String.fromCharCode(byte))).join('');
  return text.replaceAll(/\p{Cc}/gu, (mark) => [...Buffer.from(mark)].map(escaped).join(''));
}

/** Local time, to the minute. */
export function localTime(iso: string): string {
  const at = new Date(iso);
  const two = (count: number): string => String(count).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** Whatever was thrown, as a failure with a code of the table. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const { name, message, type, details, cause }: ThrownShape = Object(error);
  const hint: { why?: string; next?: string } = Object(details?.[0]);
  if (type !== undefined && Object.hasOwn(FAILURES, type))
    return new Failure(type as FailureCode, message ?? type, { ...hint, cause: error });
  if (name === 'TamperedError') return new Failure('Tampered', message ?? name, { cause: error });
  if (name === 'CorruptError') return new Failure('Corrupt', message ?? name, { cause: error });
  if (cause !== undefined && cause !== error) return asFailure(cause);
  return new Failure('Unexpected', message ?? String(error), {
    why: 'Seedship did not expect this',
    next: 'seedship --help, and report it with the text above',
    cause: error,
  });
}

interface ThrownShape {
  readonly name?: string;
  readonly message?: string;
  readonly type?: string;
  readonly details?: readonly unknown[];
  readonly cause?: unknown;
}

export const OK = EXIT.ok;

function paint(colour: 'red', text: string): string {
  return process.stderr.isTTY ? styleText(colour, text) : text;
}
