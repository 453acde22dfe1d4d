/** What Seedship says of itself: help topics, settings with their origin, schemas, its version. */
import { CHOICES } from '../domain/attention.ts';
import { DRIVE_ACTORS, DRIVE_STATES, followers } from '../domain/drive.ts';
import { EXIT, FAILURES, Failure } from '../domain/failure.ts';
import { IMPORT_JOB_TABLE } from '../domain/import-job.ts';
import { CANCEL_TABLE, JOB_ACTS, JOURNEY_STAGES } from '../domain/seeding-job.ts';
import { PARCEL_ACTORS, PARCEL_STATES, parcelFollowers } from '../domain/shipment.ts';
import { VERSION } from '../domain/version.ts';
import { FORMAT_VERSION } from '../format/cursor.ts';
import { settingFiles } from '../host/settings.ts';
import type { CommandSpec } from './command-spec.ts';
import type { Invocation } from './invocation.ts';
import { columns } from './print.ts';

/** `config show [--origin]` */
export async function showConfig(call: Invocation): Promise<undefined> {
  const { rows } = call.settings;
  const origin = call.is('origin');
  call.print.result('config', rows, () =>
    columns(
      origin ? ['KEY', 'ORIGIN', 'VALUE'] : ['KEY', 'VALUE'],
      rows.map(({ key, value, origin: from }) => (origin ? [key, from, value] : [key, value])),
    ),
  );
  return undefined;
}

/** `schema KIND` */
export async function showSchema(call: Invocation): Promise<undefined> {
  const { schemaOf } = await import('./output-schemas.ts');
  process.stdout.write(`${JSON.stringify(schemaOf(call.word(0)), undefined, 2)}\n`);
  return undefined;
}

/** `version` */
export async function showVersion(call: Invocation): Promise<undefined> {
  const data = { version: VERSION, format: FORMAT_VERSION, node: process.versions.node };
  call.print.result('version', data, () => [
    `seedship ${VERSION}, format ${FORMAT_VERSION} (draft), Node ${data.node}`,
  ]);
  return undefined;
}

/** `help [TOPIC]` */
export async function showHelp(call: Invocation, commands: readonly CommandSpec[]): Promise<undefined> {
  const topic = call.word(0) || 'commands';
  const lines = topic === 'commands' ? overview(commands) : topicOf(call, topic);
  if (!lines)
    throw new Failure('NotFound', `there is no help topic ${topic}`, {
      why: 'topics are commands, states, exit-codes, environment, config',
      next: 'seedship help states',
    });
  call.print.result('help', { topic, lines }, () => lines);
  return undefined;
}

function topicOf(call: Invocation, topic: string): string[] | undefined {
  switch (topic) {
    case 'states':
      return states();
    case 'exit-codes':
      return exitCodes();
    case 'environment':
      return [
        'Every setting is heard from its flag, then from SEEDSHIP_<FLAG> in capitals with underscores:',
        ...call.settings.rows
          .filter(({ key }) => !key.includes('.'))
          .map(({ key }) => `  SEEDSHIP_${key.replaceAll('-', '_').toUpperCase()}`),
        'Secrets: --passphrase-file, SEEDSHIP_PASSPHRASE_COMMAND, SEEDSHIP_PASSPHRASE_FD, or a prompt;',
        '  never a flag’s value, since others can read command lines.',
        'S3 keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or [destinations.NAME] in seedship.toml.',
        'Temporal: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_*, or its own temporal.toml.',
      ];
    case 'config':
      return [
        'Settings come from, the first that speaks: flag, SEEDSHIP_<FLAG>, these files, `seedship up`, defaults.',
        ...settingFiles(call.settings.environment).map((file) => `  ${file}`),
        '[places.NAME] url = "file:///…" or "s3://…" says where a place is on this host.',
        '[destinations.NAME] url, endpoint, region, access-key-id, secret-access-key or profile:',
        '  how an S3 address that begins with url is reached.',
        '[notify.NAME] webhook and secret-file (whsec_ and base64), or smtp, from, to, user, secret-file, ca-file;',
        '  on = ["state", "attention", "reminder"]: whom the control worker tells. Try it: seedship notify test',
        '`seedship config show --origin` says who set what.',
      ];
    default:
      return undefined;
  }
}

function overview(commands: readonly CommandSpec[]): string[] {
  const rows = commands.map(({ path, words = '', about }) => [`${path} ${words}`.trim(), about]);
  return columns(['COMMAND', 'WHAT IT DOES'], rows);
}

function states(): string[] {
  return [
    'Journey of a job, and what cancelling does there:',
    ...JOURNEY_STAGES.map((stage) => {
      const row = CANCEL_TABLE[stage];
      const does = row && `undone: ${row.undone}; kept: ${row.kept}; drives: ${row.drives}`;
      return `  ${stage.padEnd(10)} ${does ?? 'cannot be cancelled any more'}`;
    }),
    '',
    'What else may be done with a job, and when:',
    ...Object.entries(JOB_ACTS).map(
      ([name, { stages, does }]) => `  ${name.padEnd(10)} in ${stages.join(', ')}: ${does}`,
    ),
    '',
    'Import job, derived from parcels and drives, never moving back; what may follow, and who acts:',
    ...Object.entries(IMPORT_JOB_TABLE).map(
      ([state, { follows, who }]) => `  ${state.padEnd(18)} ${follows.padEnd(42)} ${who}`,
    ),
    '',
    'Parcel, what may follow, and who acts:',
    ...PARCEL_STATES.map(
      (state) =>
        `  ${state.padEnd(18)} ${(parcelFollowers(state).join(', ') || '-').padEnd(42)} ${PARCEL_ACTORS[state]}`,
    ),
    '',
    'Drive, what may follow, and who acts:',
    ...DRIVE_STATES.map(
      (state) => `  ${state.padEnd(18)} ${(followers(state).join(', ') || '-').padEnd(60)} ${DRIVE_ACTORS[state]}`,
    ),
    '',
    'Choices when a job asks:',
    ...Object.entries(CHOICES).map(([choice, about]) => `  ${choice.padEnd(8)} ${about}`),
  ];
}

function exitCodes(): string[] {
  const of = (exit: number): string =>
    Object.entries(FAILURES)
      .flatMap(([code, row]) => (row.exit === exit ? [code] : []))
      .join(', ');
  return Object.entries(EXIT).map(([name, exit]) => `${String(exit).padStart(3)}  ${name.padEnd(14)} ${of(exit)}`);
}
