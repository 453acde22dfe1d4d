/**
 * The parent's side of a child process, in which every byte of a step moves. One JSON line goes in
 * over stdin: the task and its secrets. JSON lines come out: progress, then one result or error.
 * A child that is killed is the fence: nothing of its step runs on after the promise has settled.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Failure } from '../domain/failure.ts';
import { MIB } from '../domain/units.ts';
import { type FailureMessage, failureFrom } from './child-failure.ts';
import type { ChildSecrets, ChildTask, Progress, RestoreTask, ResultOf } from './child-tasks.ts';

/** What a child prints, a JSON line each. */
export type ChildMessage<R> =
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'result'; readonly result: R }
  | ({ readonly type: 'error' } & FailureMessage);

/** What a child reads: one JSON line, the whole of its stdin until the parent ends. */
export interface ChildOrder {
  readonly task: ChildTask;
  readonly secrets: ChildSecrets;
  readonly parentPid: number;
}

export interface ChildOptions {
  readonly secrets: ChildSecrets;
  readonly onProgress: (progress: Progress) => void;
  /** Aborting kills the child; the promise rejects with the signal's reason once it is gone. */
  readonly signal: AbortSignal;
  /** Lines of the child's stderr. */
  readonly log: (line: string) => void;
  readonly onStart?: (pid: number) => void;
  /** A file of certificates to trust besides the usual ones, for storage behind an authority of one's own. */
  readonly extraCa?: string | undefined;
  /** Takes what others leave of disk and processor. */
  readonly idle?: boolean | undefined;
  /** One of `startChild`, that has no order yet; where it has ended meanwhile, another is started. */
  readonly started?: StartedChild | undefined;
}

/** What is to be known of a task before it is known. */
export type TaskToCome = ChildTask | Pick<RestoreTask, 'kind'>;
export type StartedChild = ChildProcessWithoutNullStreams;

/** A line longer than this is no progress: results are small, lists are files. */
const LINE_BYTES_MAX = 1 * MIB;

/** The main thread's heap, MiB. */
const OLD_SPACE = 160;
/**
 * A semi-space of the young, MiB: small, since the garbage of packs is cipher slices outside the heap. A backup that
 * compares with the last one makes garbage of its walk, and little else: with 8 it takes a fifth less time.
 */
const SEMI_SPACE = 2;
const SEMI_SPACE_OF_WALKS = 8;
/** Each becomes the next, so the process that is started is the child. */
const IDLY = ['ionice', '--class', 'idle', 'nice', '-n', '19'];
/**
 * Two arenas keep malloc from hoarding. A home that holds nothing: the S3 client asks for one, and a container's user
 * is in no list that could tell.
 */
const ENVIRONMENT = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072', HOME: '/nonexistent' };

/** Starts a child, which loads what it needs, a quarter of a second, and waits for an order. It dies with us. */
export function startChild(task: TaskToCome, { extraCa, idle }: Pick<ChildOptions, 'extraCa' | 'idle'>): StartedChild {
  const env = { ...ENVIRONMENT, ...(extraCa && { NODE_EXTRA_CA_CERTS: extraCa }) };
  const [program, ...words] = [...(idle ? IDLY : []), process.execPath, ...nodeFlags(task), entryPath(), task.kind];
  const child = spawn(program ?? '', words, { env, stdio: 'pipe' });
  child.on('error', () => {}); // whoever gives it an order hears of it
  holding(child, 'unref');
  return child;
}

/**
 * Runs one task in a process of its own and returns what it answers.
 * @throws Failure with the child's code; `ChildDied` when it ended without an answer; the signal's reason on abort
 */
export async function runChild<T extends ChildTask>(task: T, options: ChildOptions): Promise<ResultOf<T>> {
  options.signal.throwIfAborted();
  const child = options.started && isWaiting(options.started) ? options.started : startChild(task, options);
  holding(child, 'ref');
  const kill = (): void => void child.kill('SIGKILL');
  options.signal.addEventListener('abort', kill);
  let answer: ChildMessage<ResultOf<T>> | undefined;
  eachLine(child.stdout, (line) => {
    const message: ChildMessage<ResultOf<T>> = JSON.parse(line);
    if (message.type === 'progress') options.onProgress(message.progress);
    else answer = message;
  });
  eachLine(child.stderr, options.log);
  child.stdin.on('error', () => {}); // a child that died before it read says so by its exit
  const order: ChildOrder = { task, secrets: options.secrets, parentPid: process.pid };
  child.stdin.write(`${JSON.stringify(order)}\n`);
  if (child.pid !== undefined) options.onStart?.(child.pid);
  try {
    const ended = await new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(signal ?? `exit ${code}`));
    });
    options.signal.throwIfAborted();
    return conclude(answer, ended);
  } finally {
    options.signal.removeEventListener('abort', kill);
    child.stdin.destroy();
  }
}

function isWaiting({ pid, exitCode, signalCode }: StartedChild): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}

/** One that nobody needed ends with this process, and does not keep it. */
function holding(child: StartedChild, way: 'ref' | 'unref'): void {
  child[way]();
  for (const pipe of child.stdio) if (pipe instanceof Socket) pipe[way]();
}

function nodeFlags(task: TaskToCome): string[] {
  const isWalk = task.kind === 'backup' && task.to.kind === 'spool';
  return [`--max-semi-space-size=${isWalk ? SEMI_SPACE_OF_WALKS : SEMI_SPACE}`, `--max-old-space-size=${OLD_SPACE}`];
}

function conclude<R>(answer: ChildMessage<R> | undefined, ended: string): R {
  if (answer?.type === 'result') return answer.result;
  if (answer?.type === 'error') throw failureFrom(answer);
  throw new Failure('ChildDied', `the data process ended without an answer (${ended})`);
}

/** Compiled files lie beside this one, or, when this runs from source under a test, in dist/. */
function entryPath(): string {
  const here = import.meta.url;
  return fileURLToPath(new URL(here.endsWith('.ts') ? '../dist/pipeline/child-entry.js' : './child-entry.js', here));
}

function eachLine(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, LINE_BYTES_MAX);
    for (const line of lines) if (line !== '') onLine(line);
  });
}
