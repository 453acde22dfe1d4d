/**
 * `seedship up` in a state directory of its own, and its command line, as a person would use both.
 * Everything under one folder in the system's temporary directory; nothing is left after `close`.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SCHEMAS } from '../../client/output-schemas.ts';

const MAIN = fileURLToPath(new URL('../../dist/client/main.js', import.meta.url));
const TOOLS = fileURLToPath(new URL('.', import.meta.url));
const READY_MS = 60_000;
const COMMAND_MS = 240_000;

export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Typed extends Ended {
  /** `data` of the last JSON line that has one. */
  readonly data: unknown;
  /** All JSON lines. */
  readonly lines: readonly { readonly type?: string; readonly schema?: string; readonly data?: unknown }[];
}

export class Embedded {
  readonly root: string;
  readonly state: string;
  readonly #environment: Record<string, string>;
  readonly #commandMs: number;
  #up: ChildProcess | undefined;
  /** Commands that stay: workers that a person started beside the supervised ones. */
  readonly #staying = new Set<ChildProcess>();
  /** A program and its words before each command, `up` too, as `strace -D …`: it must leave the command its process id. */
  through: readonly string[] = [];

  constructor(name: string, environment: Record<string, string> = {}, commandMs = COMMAND_MS) {
    this.#commandMs = commandMs;
    this.root = mkdtempSync(path.join(os.tmpdir(), `seedship-${name}-`));
    this.state = path.join(this.root, 'state');
    this.#environment = { SEEDSHIP_HEARTBEAT_SECONDS: '5', ...environment };
  }

  /** Of commands and workers alike. */
  get environment(): Record<string, string | undefined> {
    return { ...process.env, SEEDSHIP_STATE_DIR: this.state, SEEDSHIP_HOST: 'test-host', ...this.#environment };
  }

  get pid(): number {
    return this.#up?.pid ?? 0;
  }

  at(...names: string[]): string {
    return path.join(this.root, ...names);
  }

  /** Resolves when commands can be typed. */
  async start(): Promise<void> {
    mkdirSync(this.root, { recursive: true });
    const [program, before] = this.#typed();
    const up = spawn(program, [...before, MAIN, 'up', '--json'], {
      cwd: this.root,
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#up = up;
    let told = '';
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`up is not ready: ${told}`)), READY_MS);
      const hear = (chunk: Buffer): void => {
        told += chunk.toString();
        if (!told.includes('"event":"ready"')) return;
        clearTimeout(timer);
        resolve();
      };
      up.stdout.on('data', hear);
      up.stderr.on('data', hear);
      up.once('exit', (code) => reject(new Error(`up ended with ${code}: ${told}`)));
    });
  }

  /** Types a command; a wrong exit code is the caller's to judge. */
  run(...words: string[]): Promise<Ended> {
    return this.#run(words, () => {});
  }

  /** Types a command, and acts when it has said its first word. */
  once(act: (child: ChildProcess) => void, ...words: string[]): Promise<Ended> {
    return this.#run(words, (child) => child.stdout?.once('data', () => act(child)));
  }

  /** Types a command and, when it has said its first word, Ctrl-C. */
  interrupt(...words: string[]): Promise<Ended> {
    return this.once((child) => child.kill('SIGINT'), ...words);
  }

  #typed(): [program: string, before: readonly string[]] {
    const [first, ...more] = this.through;
    return first === undefined ? [process.execPath, []] : [first, [...more, process.execPath]];
  }

  #run(words: readonly string[], begun: (child: ChildProcess) => void): Promise<Ended> {
    return new Promise((resolve) => {
      const [program, before] = this.#typed();
      const child = execFile(
        program,
        [...before, MAIN, ...words],
        { cwd: this.root, env: this.environment, timeout: this.#commandMs, maxBuffer: 64 << 20 },
        (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
          if (process.env.SEEDSHIP_TEST_TALK) process.stderr.write(`[${status}] seedship ${words.join(' ')}\n`);
          resolve({ status, stdout, stderr });
        },
      );
      begun(child);
    });
  }

  /** Types a command that stays until it is told to end, or until the system is closed. */
  stay(...words: string[]): () => Promise<void> {
    const [program, before] = this.#typed();
    const child = spawn(program, [...before, MAIN, ...words], {
      cwd: this.root,
      env: this.environment,
      stdio: 'ignore',
    });
    this.#staying.add(child);
    return async () => {
      this.#staying.delete(child);
      await ended(child);
    };
  }

  /** The supervised worker of one kind of site; 0 while there is none. */
  workerPid(kind: string): number {
    const ending = `worker run ${kind}`;
    return descendants(this.pid).find(({ command }) => command.endsWith(ending))?.pid ?? 0;
  }

  /** Types a command with --json and reads its answer; what it prints must be what its schema says. */
  async type(...words: string[]): Promise<Typed> {
    const ended = await this.run(...words, '--json');
    const lines = ended.stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
    for (const line of lines) if (line.schema !== undefined) holdAgainstSchema(words, line);
    const data: unknown = lines.filter((line) => 'data' in line).at(-1)?.data;
    return { ...ended, lines, data };
  }

  /** Types a command that must end with 0. */
  async must(...words: string[]): Promise<Typed> {
    const typed = await this.type(...words);
    if (typed.status !== 0)
      throw new Error(`seedship ${words.join(' ')} ended with ${typed.status}:\n${typed.stdout}\n${typed.stderr}`);
    return typed;
  }

  /** Vault `main`, machine `hq`, protection `docs` of `source`. */
  async setUp(source: string, schedule = 'daily 02:00', ...ofVault: string[]): Promise<void> {
    writeFileSync(this.at('passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
    const keys = [...this.passphrase, '--words-out', this.at('words')];
    await this.must('vault', 'create', 'main', '--region', 'home', ...keys, ...ofVault);
    await this.must('key', 'verify-words', '--words-file', this.at('words'));
    await this.must(
      'vault',
      'credentials',
      '--machine',
      'hq',
      '--out',
      this.at('hq.cred'),
      '--code-out',
      this.at('code'),
      ...this.passphrase,
    );
    await this.must('agent', 'register', '--credentials', this.at('hq.cred'), '--code-file', this.at('code'));
    await this.must(
      'protection',
      'create',
      'docs',
      '--item',
      source,
      '--schedule',
      schedule,
      '--timezone',
      'UTC',
      '--initial',
      'offline',
    );
  }

  get passphrase(): [string, string] {
    return ['--passphrase-file', this.at('passphrase')];
  }

  /** Ends the tree by SIGTERM, and waits until all of it is gone. */
  async stop(): Promise<void> {
    const up = this.#up;
    this.#up = undefined;
    await Promise.all([...this.#staying].map(ended));
    this.#staying.clear();
    if (up) await ended(up);
  }

  async close(): Promise<void> {
    await this.stop();
    execFileSync('rm', ['-rf', this.root]); // it may hold paths longer than PATH_MAX, which Node cannot remove
  }
}

/** Others script against these lines, whichever test it is that meets one of another shape. */
function holdAgainstSchema(words: readonly string[], { schema = '', data }: Typed['lines'][number]): void {
  const shape = SCHEMAS[schema.replace(/^seedship\.(.*)\/v1$/, '$1')];
  const issues = shape ? (shape.safeParse(data).error?.issues ?? []) : ['there is no such schema'];
  if (issues.length === 0) return;
  throw new Error(`seedship ${words.join(' ')} printed no ${schema}: ${JSON.stringify(issues)}`);
}

/** Told to end by SIGTERM, and gone. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await gone;
}

/** A tree of everything Linux file systems hold, the same for the same seed. */
export async function makeTree(folder: string, ...options: string[]): Promise<void> {
  const { status, stderr } = await python('make_tree.py', folder, ...options);
  if (status !== 0) throw new Error(`make_tree: ${stderr}`);
}

/** Differences, as the judge that is not ours tells them; empty when there are none. */
export async function compareTrees(left: string, right: string): Promise<string> {
  const { status, stdout, stderr } = await python('compare_trees.py', left, right);
  return status === 0 ? '' : `${stdout}${stderr}`.slice(0, 4000);
}

function python(script: string, ...words: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile('python3', [path.join(TOOLS, script), ...words], { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
    });
  });
}

/** A process's children and theirs, with their command lines. */
export function descendants(pid: number): { pid: number; command: string }[] {
  let children: number[] = [];
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // it is gone
  }
  return children.flatMap((child) => [{ pid: child, command: commandOf(child) }, ...descendants(child)]);
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}
