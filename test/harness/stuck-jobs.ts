/**
 * Jobs that are stuck on purpose, by the commands a person types, on one machine's system. What a job waits
 * for, and what to type, must be the same on its three screens: `job list`, `job show`, and its page.
 */

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import type { Attention } from '../../domain/attention.ts';
import type { FailureCode } from '../../domain/failure.ts';
import type { JobStatus } from '../../domain/seeding-job.ts';
import { readEmbedded } from '../../host/settings.ts';
import type { Embedded, Typed } from './embedded.ts';
import { picture, pictureFaults, saidIn } from './screens.ts';
import type { WebUi } from './web-ui.ts';

const STEP_MS = 60_000;
const COMMANDS_MAX = 20;

export interface Drive {
  readonly id: string;
  readonly folder: string;
}

export class StuckJobs {
  readonly system: Embedded;
  #ui: WebUi | undefined;
  #parcels = 0;

  constructor(system: Embedded) {
    this.system = system;
  }

  /** Once a browser is there. */
  watch(ui: WebUi): void {
    this.#ui = ui;
  }

  get ui(): WebUi {
    if (!this.#ui) throw new Error('stuck jobs: no browser looks on');
    return this.#ui;
  }

  /** Staged, so that drives can be prepared: three packs of data, and what goes with them. */
  async staged(job: string, bytes = 2_500_000, ...more: string[]): Promise<void> {
    await this.protectedBy(job, bytes);
    const place = this.system.at(`staging-${job}`);
    await this.system.must('job', 'start', job, '--protection', job, '--staging', place, ...more);
  }

  async protectedBy(job: string, bytes: number): Promise<void> {
    const item = this.system.at('source', job);
    mkdirSync(item, { recursive: true });
    writeFileSync(`${item}/noise`, randomBytes(bytes));
    await this.system.must('protection', 'create', job, '--item', item, '--initial', 'offline');
  }

  async prepared(job: string, name: string, ...more: string[]): Promise<Drive> {
    const folder = this.system.at('drives', name);
    mkdirSync(folder, { recursive: true });
    return driveIn(await this.system.must('drive', 'prepare', folder, '--job', job, ...more), folder);
  }

  /** Shipped and received, but for what is left out. */
  async received(job: string, ...drives: Drive[]): Promise<void> {
    await this.system.must('job', 'ship', job, '--carrier', 'dhl', '--tracking', this.tracking());
    const named = drives.flatMap(({ id }) => ['--drive', id]);
    const { status, stderr } = await this.system.type('drive', 'receive', '--job', job, ...named);
    expect([[0, 3], stderr]).toEqual([expect.arrayContaining([status]), stderr]); // 3: not all have come
  }

  tracking(): string {
    this.#parcels += 1;
    return `JD01460000${100 + this.#parcels}`;
  }

  async statusOf(job: string): Promise<JobStatus> {
    return (await this.system.must('job', 'show', job)).data as JobStatus;
  }

  /** Until it asks for this reason, and for no other: a worker that has just come back may be missed for a moment. */
  async asks(job: string, code: FailureCode): Promise<Attention> {
    const { attention } = await this.until(job, (now) => now.attention.length === 1 && now.attention[0]?.code === code);
    const [asked] = attention;
    if (!asked) throw new Error('until: it does not ask');
    return asked;
  }

  async until(job: string, holds: (status: JobStatus) => boolean): Promise<JobStatus> {
    const deadline = Date.now() + STEP_MS;
    for (;;) {
      const status = await this.statusOf(job);
      if (holds(status)) return status;
      if (Date.now() > deadline) throw new Error(`it never came to that: ${JSON.stringify(status, null, 1)}`);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  /** The three screens must say the same: what it waits for, and the one command. Returns the command. */
  async told(job: string, what: string | RegExp, command: string, section?: number): Promise<string> {
    const list = await this.system.run('job', 'list');
    const show = await this.system.run('job', 'show', job);
    const address = /^web +(http\S+)/m.exec(show.stdout)?.[1] ?? '';
    const row = list.stdout.split('\n').find((line) => line.startsWith(`${job} `)) ?? '';
    const screens = { list: row, show: show.stdout, page: await this.ui.metadata(address) };
    if (process.env.SEEDSHIP_TEST_TALK)
      process.stderr.write(`${JSON.stringify(screens, null, 1).replaceAll('\\n', '\n')}\n`);
    if (section !== undefined) await this.shown(section, screens.page);
    for (const [screen, text] of Object.entries(screens)) {
      expect([screen, text]).toEqual([screen, expect.stringMatching(what)]);
      expect([screen, text]).toEqual([screen, expect.stringContaining(command)]);
    }
    expect(show.stdout).toContain(`Next: ${command}\n`);
    return command;
  }

  /** What a section of the document says is on the page, which is drawn now, and in its picture. */
  async shown(section: number, page: string): Promise<void> {
    await picture(this.ui, section);
    expect([section, page]).toEqual([section, expect.stringMatching(saidIn(section))]);
    expect(pictureFaults(section)).toEqual([]);
  }

  /** Types what is shown, with nothing but its blanks filled in. */
  typeShown(command: string, blanks: Record<string, string> = {}): Promise<Typed> {
    const [program, ...words] = command.split(' ').map((word) => blanks[word] ?? word);
    expect(program).toBe('seedship');
    return this.system.type(...words);
  }

  /** Does whatever `job show` says next, and nothing else, until the point is protected. */
  async followed(job: string, drives: readonly Drive[]): Promise<string[]> {
    const known = [...drives];
    const typed: string[] = [];
    while (typed.length < COMMANDS_MAX) {
      const { waitsFor, drives: now } = await this.until(
        job,
        // a worker that was started again may be missed for a moment: that goes by itself
        ({ stage, waitsFor: { command, who } }) =>
          stage === 'Protected' || (command !== '' && who !== 'the host named'),
      );
      if (waitsFor.command === '') return typed;
      const [, act = '', verb = ''] = waitsFor.command.split(' ');
      typed.push(`${act} ${verb}`);
      const folder = this.system.at('drives', `${job}-${typed.length}`);
      if (verb === 'prepare') mkdirSync(folder);
      const here = known.find(({ id }) => now.some((one) => one.id === id && one.state === 'Received'));
      const medium = verb === 'prepare' ? folder : (here?.folder ?? '');
      const answer = await this.typeShown(waitsFor.command, {
        'DEVICE|DIR': medium,
        CARRIER: 'dhl',
        NUMBER: this.tracking(),
      });
      expect([waitsFor.command, answer.status, answer.stderr]).toEqual([waitsFor.command, 0, '']);
      if (verb === 'prepare') known.push(driveIn(answer, folder));
    }
    throw new Error(`still not protected after: ${typed.join(', ')}`);
  }

  async freeze(kind: string): Promise<() => void> {
    const pid = await this.#worker(kind);
    process.kill(pid, 'SIGSTOP');
    return () => process.kill(pid, 'SIGCONT');
  }

  /** One that is being started anew has no number yet, and 0 would be all of us. */
  async #worker(kind: string): Promise<number> {
    await eventually(() => this.system.workerPid(kind) !== 0, `the ${kind} worker does not run`);
    return this.system.workerPid(kind);
  }

  /** As `systemctl restart` would: the supervisor starts it again, and it reads its settings anew. */
  async restart(kind: string): Promise<void> {
    const before = await this.#worker(kind);
    process.kill(before, 'SIGTERM');
    await eventually(
      () => ![0, before].includes(this.system.workerPid(kind)),
      `the ${kind} worker was not started again`,
    );
  }
}

export function driveIn(answer: Typed, folder: string): Drive {
  return { id: String(Object(answer.data).id), folder };
}

export async function eventually(holds: () => boolean, otherwise: string): Promise<void> {
  for (const deadline = Date.now() + STEP_MS; !holds(); ) {
    if (Date.now() > deadline) throw new Error(otherwise);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** How the landing bucket is reached, for all roles, one of them with a secret that is not its own. */
export function landingSettings(system: Embedded, { wrong }: { readonly wrong: string }): string {
  const { endpoint = '', roles = {} } = Object.values(readEmbedded(system.state)?.destinations ?? {})[0] ?? {};
  return [
    '[destinations.landing]',
    'url = "s3://seedship-landing-home"',
    `endpoint = "${endpoint}"`,
    ...Object.entries(roles).flatMap(([role, keys]) => [
      `[destinations.landing.roles.${role}]`,
      `access-key-id = "${keys['access-key-id']}"`,
      `secret-access-key = "${role === wrong ? 'mistyped' : keys['secret-access-key']}"`,
    ]),
    '',
  ].join('\n');
}
