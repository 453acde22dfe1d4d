/** Commands of what happened: to a job, to a drive, and of whom it is told. */
import { type CommandSpec, FOLLOW } from './command-spec.ts';

export const STORY_COMMANDS: readonly CommandSpec[] = [
  {
    path: 'job events',
    words: '<name>',
    about: 'the story of a job: who did what, where and when, from its signed record',
    flags: [['--drive <id>', 'only what is about this drive']],
    examples: [
      'seedship job events hq-2026',
      'seedship job events hq-2026 --drive 7F3A000000000001',
      'seedship job events hq-2026 --json',
    ],
    run: async () => (await import('./stories.ts')).jobEvents,
  },
  {
    path: 'job report',
    words: '<name>',
    about: 'the whole story in one file that can be checked: timeline, drives and parcels with their codes',
    flags: [
      ['--out <file>', 'where to: `.html` is a page for people, anything else JSON'],
      ['--verify <file>', 'checks a report: each line, signature and the end; exit 7 when it does not hold'],
    ],
    examples: [
      'seedship job report hq-2026 --out hq-2026.html',
      'seedship job report hq-2026 --out hq-2026.json',
      'seedship job report hq-2026 --verify hq-2026.html',
    ],
    run: async () => (await import('./stories.ts')).jobReport,
  },
  {
    path: 'job cleanup',
    words: '<name>',
    about: 'reads the seed back from the vault, and only then empties landing and staging of it',
    flags: [['--dry-run', 'read back and say so, remove nothing'], ...FOLLOW],
    examples: ['seedship job cleanup hq-2026', 'seedship job cleanup hq-2026 --dry-run', 'seedship job events hq-2026'],
    long: true,
    run: async () => (await import('./cleanups.ts')).cleanUpJob,
  },
  {
    path: 'drive history',
    words: '<id>',
    about: 'what became of a drive in every job, and its copy log',
    flags: [
      ['--job <name>', 'only in this job'],
      ['--copy-log', 'the copy log as JSON lines: what was refused, and why'],
      ['--verbose', 'with --copy-log: what was taken too'],
    ],
    examples: [
      'seedship drive history 7F3A000000000001',
      'seedship drive history 7F3A000000000001 --job hq-2026 --copy-log',
      'seedship drive history 7F3A000000000001 --copy-log --verbose',
    ],
    run: async () => (await import('./stories.ts')).driveHistory,
  },
  {
    path: 'notify test',
    words: '[channel]',
    about: 'sends a notice to every channel of the control worker’s settings, or to one',
    flags: FOLLOW,
    examples: ['seedship notify test', 'seedship notify test oncall', 'seedship notify list'],
    long: true,
    run: async () => (await import('./notices.ts')).testNotify,
  },
  {
    path: 'notify list',
    about: 'notices that are not delivered yet, or never were',
    examples: ['seedship notify list', 'seedship notify list --json', 'seedship notify test'],
    run: async () => (await import('./notices.ts')).listNotices,
  },
];
