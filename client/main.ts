#!/usr/bin/env node
/**
 * `seedship <noun> <verb>`: finds the command in the tree, reads the settings, runs it, and ends with
 * the exit code of the contract. What a command needs is loaded when it runs: `--help` loads nothing.
 */
import { Command, CommanderError, Option } from 'commander';
import { EXIT, Failure } from '../domain/failure.ts';
import { VERSION } from '../domain/version.ts';
import type { CommandSpec } from './command-spec.ts';
import { COMMANDS, LATER, LATER_FLAGS } from './command-tree.ts';
import { type FlagValues, Invocation } from './invocation.ts';
import { Print } from './print.ts';

/** Settings that every command takes as flags. */
const COMMON = [
  ['--json', 'JSON on stdout'],
  ['--vault <name>', 'which vault, when there are several'],
  ['--machine <name>', 'which machine, when there are several'],
  ['--state-dir <dir>', 'where this host keeps what it must remember'],
  ['--host <name>', 'the name of this host'],
  ['--temporal-address <host:port>', 'where Temporal answers'],
  ['--temporal-namespace <name>', 'its namespace'],
  ['--heartbeat-seconds <n>', 'silence after which a step is tried again'],
] as const;
const SETTING_FLAGS = ['vault', 'machine', 'state-dir', 'host', 'temporal-address', 'temporal-namespace'];
const MORE_SETTINGS = ['heartbeat-seconds', 'passphrase-file', 'code-file', 'throttle', 'bwlimit', 'io', 'threads'];

/** Runs one command line; returns the exit code. */
export async function run(words: readonly string[]): Promise<number> {
  let exit: number = EXIT.ok;
  const program = build(async (spec, args, flags) => {
    exit = await perform(spec, args, flags);
  });
  try {
    await program.parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : refuse(words, error);
    return new Print(words.includes('--json')).error(error);
  }
  return exit;
}

type Perform = (spec: CommandSpec, words: readonly string[], flags: FlagValues) => Promise<void>;

function build(perform: Perform): Command {
  const program = quiet(new Command('seedship'))
    .description('Offline backup seeding: the first full backup travels by drive, everything after it over the line.')
    .version(VERSION)
    .helpCommand(false)
    .showSuggestionAfterError(true);
  const nouns = new Map<string, Command>();
  for (const spec of COMMANDS) {
    const [noun = '', verb] = spec.path.split(' ');
    let parent: Command = program;
    if (verb !== undefined) {
      parent = nouns.get(noun) ?? nounOf(program, noun);
      nouns.set(noun, parent);
    }
    declare(parent, spec, verb ?? noun, perform);
  }
  program.addHelpText('before', examples(['seedship demo', 'seedship up', 'seedship vault create main --region home']));
  const later = [...LATER, ...LATER_FLAGS].join(', ');
  program.addHelpText('after', `\nNot in this release: ${later}.`);
  return program;
}

function nounOf(program: Command, noun: string): Command {
  const mine = COMMANDS.filter(({ path }) => path.startsWith(`${noun} `));
  const verbs = mine.map(({ path }) => path.slice(noun.length + 1));
  const shown = [
    ...new Set([...mine.map(({ examples }) => examples[0] ?? ''), ...mine.flatMap((one) => one.examples)]),
  ];
  const command = quiet(program.command(noun).description(verbs.join(', ')));
  return command.addHelpText('before', examples(shown.slice(0, 3)));
}

function declare(parent: Command, spec: CommandSpec, name: string, perform: Perform): void {
  const command = quiet(parent.command(spec.words ? `${name} ${spec.words}` : name)).description(spec.about);
  const seen = new Set<string>();
  for (const [flag, about] of [...(spec.flags ?? []), ...COMMON]) {
    const option = new Option(flag, about);
    const name = option.long ?? flag;
    if (seen.has(name)) continue; // `--machine` of a command goes before the common one
    seen.add(name);
    command.addOption(option);
  }
  command.addHelpText('before', examples(spec.examples.slice(0, 3)));
  command.action(async (...given: unknown[]) => {
    const words = given
      .slice(0, -2)
      .flat()
      .filter((word): word is string => typeof word === 'string');
    const flags = Object.entries(command.opts()).map(([key, value]) => [kebab(key), value]);
    await perform(spec, words, Object.fromEntries(flags));
  });
}

async function perform(spec: CommandSpec, words: readonly string[], flags: FlagValues): Promise<number> {
  const print = new Print(flags.json === true);
  if (spec.long) print.follow();
  try {
    const { loadSettings } = await import('../host/settings.ts');
    const settings = loadSettings({ flags: settingFlags(flags) });
    const command = await spec.run();
    return (await command(new Invocation({ words, flags, settings, print, type: run }))) ?? EXIT.ok;
  } catch (error) {
    return print.error(error, errorContext(error));
  }
}

function errorContext(error: unknown): { workflowId?: string; uiUrl?: string } {
  const { workflowId, uiUrl }: { workflowId?: string; uiUrl?: string } = Object(error);
  return { ...(workflowId && { workflowId }), ...(uiUrl && { uiUrl }) };
}

function settingFlags(flags: FlagValues): Record<string, string | undefined> {
  const named = [...SETTING_FLAGS, ...MORE_SETTINGS].map((key) => [key, flags[key]]);
  return Object.fromEntries(named.filter(([, value]) => typeof value === 'string'));
}

/** Commander's own complaints, as an error of ours with exit 2. */
function refuse(words: readonly string[], { message }: CommanderError): number {
  const what = message.replace(/^error: /, '').split('\n');
  const noun = words.find((word) => !word.startsWith('-')) ?? '';
  const flag = /unknown option '(--[a-z-]+)/.exec(message)?.[1];
  const later = LATER.some((entry) => entry.split(' ')[0] === noun) || (flag !== undefined && isLater(words, flag));
  const failure = new Failure('Usage', what[0] || 'this command is incomplete', {
    why: what[1] || (later ? 'some of it comes with a later release: seedship --help lists that' : 'see the help'),
    next: `seedship ${COMMANDS.some(({ path }) => path.split(' ')[0] === noun) ? `${noun} ` : ''}--help`,
  });
  return new Print(words.includes('--json')).error(failure);
}

/** Whether the contract has this flag of this command, and this release has not. */
function isLater(words: readonly string[], flag: string): boolean {
  const command = words.slice(0, 2).join(' ');
  return LATER_FLAGS.some(
    (entry) =>
      entry.startsWith(`${command} --`) &&
      entry
        .slice(command.length + 1)
        .split('|')
        .includes(flag),
  );
}

/** Throws instead of exiting, and leaves printing of errors to us. */
function quiet(command: Command): Command {
  return command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: (text) => process.stdout.write(text) });
}

function examples(lines: readonly string[]): string {
  return `Examples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
}

function kebab(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

if (import.meta.filename === process.argv[1] || process.argv[1]?.endsWith('/seedship')) {
  // whoever reads our output may stop early: `seedship point ls … | head`
  process.stdout.on('error', (error) =>
    process.exit('code' in error && error.code === 'EPIPE' ? EXIT.ok : EXIT.failed),
  );
  process.exitCode = await run(process.argv.slice(2));
}
