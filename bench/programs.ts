/** The programs that the bench has running, so that Ctrl-C ends them all and waits until they are gone. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Ended {
  /** `null` when a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Programs {
  readonly #running = new Map<ChildProcess, Promise<number | null>>();
  #stopped = false;

  /**
   * Starts a program in a session of its own: what a terminal sends to the bench reaches it only through `stop`.
   * @throws Error when the bench is being ended
   */
  start(command: readonly string[], environment: Environment, stdio: StdioOptions): ChildProcess {
    if (this.#stopped) throw new Error('the bench is being ended');
    const [program = '', ...words] = command;
    const child = spawn(program, words, { env: { ...environment }, stdio, detached: true });
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    const forget = (): void => void this.#running.delete(child);
    this.#running.set(child, ended);
    ended.then(forget, forget);
    return child;
  }

  /** Its exit code, `null` when a signal ended it. @throws Error when it could not be started */
  ended(child: ChildProcess): Promise<number | null> {
    return this.#running.get(child) ?? Promise.resolve(child.exitCode);
  }

  /** Runs a program to its end. @throws Error when it could not be started */
  async run(command: readonly string[], environment: Environment = process.env): Promise<Ended> {
    const child = this.start(command, environment, ['ignore', 'pipe', 'pipe']);
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream]?.setEncoding('utf8').on('data', (text) => {
        said[stream] += text;
      });
    return { status: await this.ended(child), ...said };
  }

  /** Runs a program that must end with 0. @throws Error with what it said */
  async must(command: readonly string[], environment: Environment = process.env): Promise<Ended> {
    const ended = await this.run(command, environment);
    if (ended.status !== 0) throw new Error(`${command.join(' ')} ended with ${ended.status}:\n${told(ended)}`);
    return ended;
  }

  /** Ends everything, resolves when all is gone, and lets nothing begin. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const ends = [...this.#running].map(([child, ended]) => {
      child.kill('SIGTERM');
      return ended;
    });
    await Promise.allSettled(ends);
  }
}

/** The last of what a program said. */
export function told({ stdout, stderr }: Ended): string {
  return `${stdout}${stderr}`.trim().slice(-2000);
}
