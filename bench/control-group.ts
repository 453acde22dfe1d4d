/** A control group of the kernel with a hard limit of memory, in version 1 or 2 of their file system. Root's. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const VERSION_1 = '/sys/fs/cgroup/memory';
const VERSION_2 = '/sys/fs/cgroup';

export class ControlGroup {
  readonly #folder: string;
  readonly #isFirst = existsSync(VERSION_1);

  /** @param limitBytes of all its processes, of page cache and of what the kernel holds for them */
  constructor(name: string, limitBytes: number) {
    this.#folder = path.join(this.#isFirst ? VERSION_1 : VERSION_2, name);
    mkdirSync(this.#folder);
    writeFileSync(this.#at(this.#isFirst ? 'memory.limit_in_bytes' : 'memory.max'), String(limitBytes));
    const swap = this.#at(this.#isFirst ? 'memory.memsw.limit_in_bytes' : 'memory.swap.max');
    if (existsSync(swap)) writeFileSync(swap, String(this.#isFirst ? limitBytes : 0));
  }

  /** The command as it lives in the group from its start. */
  confined(command: readonly string[]): string[] {
    return ['sh', '-c', 'echo $$ > "$0" && exec "$@"', this.#at('cgroup.procs'), ...command];
  }

  /** How many of its processes the kernel has ended for their memory. */
  killed(): number {
    const events = readFileSync(this.#at(this.#isFirst ? 'memory.oom_control' : 'memory.events'), 'utf8');
    return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0);
  }

  remove(): void {
    rmdirSync(this.#folder);
  }

  #at(name: string): string {
    return path.join(this.#folder, name);
  }
}
