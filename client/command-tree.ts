/**
 * The whole tree of commands: words, flags, three examples each, and the function that does it,
 * loaded only when it runs. A noun of the contract that comes later says so.
 */
import { type CommandSpec, OWNER } from './command-spec.ts';
import { DESK_COMMANDS } from './desk-commands.ts';
import { JOURNEY_COMMANDS } from './journey-commands.ts';
import { STORY_COMMANDS } from './story-commands.ts';
import { VAULT_COMMANDS } from './vault-commands.ts';

/** What an entry says; each may be said again later. */
const DATACENTER = [
  ['--name <text>', 'whom the label names'],
  ['--address <line...>', 'where parcels go, a line each'],
  ['--instruction <line...>', 'what must be written on a parcel, or come with it'],
  ['--hours <text>', 'when parcels are taken in'],
  ['--carrier <carrier...>', 'accepted carriers; all when absent'],
  ['--drive-max <size>', 'the largest drive it takes'],
  ['--interface <kind...>', 'sata, sas, nvme, usb; all when absent'],
  ['--location <degrees>', 'where it is, north and east, like 52.37,4.89'],
  ['--asks-contact', 'a job must name a contact'],
  ['--asks-return', 'a job must say where drives go back to'],
] as const;

export const COMMANDS: readonly CommandSpec[] = [
  {
    path: 'demo',
    about: 'the whole journey on this machine, on real files, with every stage shown',
    flags: [
      ['--source <dir>', 'protect a copy of this folder instead of the default one'],
      ['--keep', 'leave everything running and on disk afterwards'],
    ],
    examples: ['seedship demo', 'seedship demo --source ~/Documents', 'seedship demo --keep'],
    long: true,
    run: async () => (await import('./demo.ts')).demo,
  },
  {
    path: 'up',
    about: 'embedded: Temporal, an S3 server and all sites of this machine, until Ctrl-C',
    examples: ['seedship up', 'seedship up --state-dir /srv/seedship', 'seedship up --json'],
    long: true,
    run: async () => (await import('./up.ts')).up,
  },
  ...VAULT_COMMANDS,
  ...JOURNEY_COMMANDS,
  ...DESK_COMMANDS,
  ...STORY_COMMANDS,
  {
    path: 'datacenter create',
    words: '<region>',
    about: 'makes a datacenter’s keys on this host and pins them in the vault',
    flags: [
      ...DATACENTER,
      ['--landing <url>', 'its landing container'],
      ['--endpoint <url>', 'of the landing container’s S3 server'],
      ['--identity <role=name...>', 'S3 users that play copy, datacenter, vault, control, operator there'],
      ...OWNER,
    ],
    examples: [
      'seedship datacenter create eu-west --address "Dock 4" --address "Harbour Road 1" --landing s3://landing-eu',
      'seedship datacenter list',
      'seedship datacenter show eu-west',
    ],
    run: async () => (await import('./datacenters.ts')).createDatacenter,
  },
  {
    path: 'datacenter edit',
    words: '<region>',
    about: 'changes a datacenter’s entry; its keys and its container stay',
    flags: [
      ...DATACENTER,
      ['--instead <region>', 'it is closed: parcels go to this one'],
      ['--open', 'it is open again'],
      ...OWNER,
    ],
    examples: [
      'seedship datacenter edit eu-west --hours "mon-fri 8-17" --instruction "write the inbound id on the parcel"',
      'seedship datacenter edit eu-west --instead eu-north',
      'seedship datacenter edit eu-west --open',
    ],
    run: async () => (await import('./datacenters.ts')).editDatacenter,
  },
  {
    path: 'datacenter list',
    about: 'the datacenters of a vault',
    examples: ['seedship datacenter list', 'seedship datacenter list --json', 'seedship datacenter show eu-west'],
    run: async () => (await import('./datacenters.ts')).listDatacenters,
  },
  {
    path: 'datacenter show',
    words: '<region>',
    about: 'address, carriers, accepted drives, public keys',
    examples: [
      'seedship datacenter show eu-west',
      'seedship datacenter show eu-west --json',
      'seedship datacenter list',
    ],
    run: async () => (await import('./datacenters.ts')).showDatacenter,
  },
  {
    path: 'worker run',
    words: '<sites...>',
    about: 'serves the queues of this host: control, source, copy, datacenter, dock, vault or all',
    examples: ['seedship worker run source', 'seedship worker run copy dock', 'seedship worker run all'],
    long: true,
    run: async () => (await import('./worker-sites.ts')).runWorkerSites,
  },
  {
    path: 'config show',
    about: 'the settings as they are heard here',
    flags: [['--origin', 'who said so']],
    examples: ['seedship config show', 'seedship config show --origin', 'seedship config show --json'],
    run: async () => (await import('./guidance.ts')).showConfig,
  },
  {
    path: 'schema',
    words: '<kind>',
    about: 'the JSON Schema of a kind of output',
    examples: ['seedship schema job', 'seedship schema point-list', 'seedship schema vault'],
    run: async () => (await import('./guidance.ts')).showSchema,
  },
  {
    path: 'version',
    about: 'the version of Seedship and its format',
    examples: ['seedship version', 'seedship version --json', 'seedship --version'],
    run: async () => (await import('./guidance.ts')).showVersion,
  },
  {
    path: 'help',
    words: '[topic]',
    about: 'states, exit-codes, environment, config',
    examples: ['seedship help states', 'seedship help exit-codes', 'seedship help environment'],
    run: async () => {
      const { showHelp } = await import('./guidance.ts');
      return (call) => showHelp(call, COMMANDS);
    },
  },
];
/** Nouns and verbs of the contract that this release does not have yet. */
export const LATER: readonly string[] = [
  'init',
  'doctor',
  'vault edit|probe|lock|usage|check',
  'key kit|change-passphrase|slot',
  'agent rename|unregister',
  'protection edit|remove|undelete',
  'point diff|verify|delete|undelete',
  'upkeep run|plan',
  'config path|validate',
  'completion',
  'support-bundle',
  'console',
];
/** Flags of the contract that this release does not have yet, of commands that it has. */
export const LATER_FLAGS: readonly string[] = [
  'vault create --replica',
  'vault open --kit',
  'agent register --proxy|--replace',
  'agent list --outdated',
  'protection create --group-member',
];
