/** Commands of what travels and of the desk it comes to, and of a job that takes another way. */
import { COPY_HOSTS, type CommandSpec, FOLLOW, JOB, RETURN } from './command-spec.ts';

const DRIVES = ['--drive <id...>', 'each drive: its id, its serial, or its label as scanned'] as const;
const WAY = ['--choice <way>', 'replace (on another drive), send (over the line) or drop (given up)'] as const;
const HELD = ['--drive <id>', 'only this drive'] as const;

export const DESK_COMMANDS: readonly CommandSpec[] = [
  {
    path: 'job edit',
    words: '<name>',
    about: 'changes contact, return address, return carrier or copy hosts, until a parcel has left',
    flags: [
      ...RETURN,
      COPY_HOSTS,
      ['--any-copy-host', 'any host may prepare drives again'],
      ['--from <file>', 'from a TOML file; flags go before'],
    ],
    examples: [
      'seedship job edit hq-2026 --return-to "HQ, Harbour Road 1, Town"',
      'seedship job edit hq-2026 --return-carrier dhl --return-account 123456789',
      'seedship job edit hq-2026 --copy-host copy1 --copy-host copy2',
      'seedship job edit hq-2026 --return none',
    ],
    run: async () => (await import('./job-changes.ts')).editJob,
  },
  {
    path: 'job redirect',
    words: '<name>',
    about: 'sends a job to another datacenter; what `help states` says becomes of its drives',
    flags: [
      ['--datacenter <region>', 'where to'],
      ['--container <url>', 'the landing container, when the datacenter’s own is not meant'],
      ...RETURN,
      ['--from <file>', 'contact and return address from a TOML file'],
    ],
    examples: [
      'seedship job redirect hq-2026 --datacenter eu-north',
      'seedship datacenter list',
      'seedship job show hq-2026',
    ],
    run: async () => (await import('./job-changes.ts')).redirectJob,
  },
  {
    path: 'job pause',
    words: '<name>',
    about: 'stops the bytes of a job, or of one drive; nothing is lost',
    flags: [HELD],
    examples: [
      'seedship job pause hq-2026',
      'seedship job pause hq-2026 --drive 7F3A000000000001',
      'seedship job resume hq-2026',
    ],
    run: async () => (await import('./job-changes.ts')).pauseJob,
  },
  {
    path: 'job resume',
    words: '<name>',
    about: 'goes on where it was paused',
    flags: [HELD],
    examples: [
      'seedship job resume hq-2026',
      'seedship job resume hq-2026 --drive 7F3A000000000001',
      'seedship job show hq-2026',
    ],
    run: async () => (await import('./job-changes.ts')).resumeJob,
  },
  {
    path: 'job extend',
    words: '<name>',
    about: 'gives what is on its way more time: nobody is asked before',
    flags: [['--until <date>', '2027-01-31, an instant, or 10d from now']],
    examples: [
      'seedship job extend hq-2026 --until 2027-01-31',
      'seedship job extend hq-2026 --until 10d',
      'seedship job show hq-2026',
    ],
    run: async () => (await import('./job-changes.ts')).extendJob,
  },
  {
    path: 'job adopt',
    words: '<name>',
    about: 'takes up a job whose history Temporal has lost, from its record in the vault',
    examples: ['seedship job adopt hq-2026', 'seedship job show hq-2026', 'seedship vault open s3://backups/main'],
    run: async () => (await import('./adopt.ts')).adoptJob,
  },
  {
    path: 'parcel list',
    about: 'parcels on their way, with their carriers’ pages',
    flags: [JOB],
    examples: ['seedship parcel list', 'seedship parcel list --job hq-2026', 'seedship parcel list --json'],
    run: async () => (await import('./parcels.ts')).listParcels,
  },
  {
    path: 'parcel slip',
    words: '<tracking>',
    about: 'the sheet that travels with a parcel: job, drives, both addresses, and all of it for a scanner',
    flags: [
      JOB,
      ['--out <file>', 'the sheet: .html, or .svg; printed on stdout as SVG when absent'],
      ['--return-to <line...>', 'where the drives go back to, a line each; as the job was told when absent'],
    ],
    examples: [
      'seedship parcel slip 1Z999AA10123456784 --out slip.html',
      'seedship parcel slip 1Z999AA10123456784 --out slip.svg --return-to "Ann, Head Office" --return-to "Town"',
      'seedship parcel slip 1Z999AA10123456784 --json',
    ],
    run: async () => (await import('./parcel-slip.ts')).slipParcel,
  },
  {
    path: 'parcel amend',
    words: '<tracking>',
    about: 'corrects a tracking number',
    flags: [
      ['--to <number>', 'the right one'],
      ['--carrier <carrier>', 'the right carrier, when that was wrong too'],
      JOB,
      ['--unchecked', 'number and carrier are right, though they do not look so, or the datacenter does not list it'],
    ],
    examples: [
      'seedship parcel amend 1Z999AA10123456785 --to 1Z999AA10123456784',
      'seedship parcel amend 3318810025 --to 1Z999AA10123456784 --carrier ups',
      'seedship parcel list',
    ],
    run: async () => (await import('./parcels.ts')).amendParcel,
  },
  {
    path: 'parcel received',
    words: '<tracking>',
    about: 'a parcel was opened: all its drives were in it, or only those named',
    flags: [DRIVES, JOB],
    examples: [
      'seedship parcel received 1Z999AA10123456784',
      'seedship parcel received 1Z999AA10123456784 --drive 7F3A000000000001',
      'seedship parcel list',
    ],
    run: async () => (await import('./parcels.ts')).receiveParcel,
  },
  {
    path: 'parcel lost',
    words: '<tracking>',
    about: 'a parcel will not come: what its drives carry travels another way',
    flags: [WAY, JOB],
    examples: [
      'seedship parcel lost 1Z999AA10123456784 --choice replace',
      'seedship parcel lost 1Z999AA10123456784 --choice send',
      'seedship parcel list',
    ],
    run: async () => (await import('./parcels.ts')).loseParcel,
  },
  {
    path: 'parcel scan',
    words: '<tracking>',
    about: 'what its carrier says, as a feed would tell it: accepted, delivered, returned, lost, or anything',
    flags: [
      ['--event <event>', 'what happened'],
      ['--at <time>', 'when; now when absent'],
      ['--id <id>', 'of the scan: the same one told again counts once'],
      JOB,
    ],
    examples: [
      'seedship parcel scan 1Z999AA10123456784 --event accepted',
      'seedship parcel scan 1Z999AA10123456784 --event delivered --at 2026-11-24T10:00:00Z --id 4711',
      'seedship parcel list',
    ],
    run: async () => (await import('./parcels.ts')).scanParcel,
  },
  {
    path: 'drive receive',
    about: 'a parcel was opened: these drives were in it; the job is found by them',
    flags: [JOB, DRIVES, ['--unannounced', 'nobody had said that they left']],
    examples: [
      'seedship drive receive --drive SEEDSHIP-7F3A --drive WD-CA1H7K2K',
      'seedship drive receive --job hq-2026 --drive 7F3A000000000001 --drive 7F3A000000000002',
      'seedship job show hq-2026',
    ],
    run: async () => (await import('./desk.ts')).receiveDrives,
  },
  {
    path: 'drive missing',
    about: 'drives were looked for, and are not there',
    flags: [JOB, DRIVES],
    examples: [
      'seedship drive missing --job hq-2026 --drive 7F3A000000000001',
      'seedship drive receive --job hq-2026 --drive 7F3A000000000001',
      'seedship job show hq-2026',
    ],
    run: async () => (await import('./desk.ts')).reportMissing,
  },
  {
    path: 'drive damaged',
    about: 'drives arrived unfit to be read; the job asks what becomes of them',
    flags: [JOB, DRIVES],
    examples: [
      'seedship drive damaged --job hq-2026 --drive 7F3A000000000001',
      'seedship job resolve hq-2026 --choice replace',
      'seedship job show hq-2026',
    ],
    run: async () => (await import('./desk.ts')).reportDamaged,
  },
  {
    path: 'drive lost',
    about: 'drives will not come: what they carry travels another way',
    flags: [JOB, DRIVES, WAY],
    examples: [
      'seedship drive lost --job hq-2026 --drive 7F3A000000000001 --choice replace',
      'seedship drive lost --job hq-2026 --drive SEEDSHIP-7F3A --choice send',
      'seedship job show hq-2026',
    ],
    run: async () => (await import('./desk.ts')).reportLost,
  },
  {
    path: 'drive return',
    about: 'drives go back to their sender: those that were copied, and those that lie here by mistake',
    flags: [JOB, ['--carrier <carrier>', 'who brings them'], ['--tracking <number>', 'of the parcel'], DRIVES],
    examples: [
      'seedship drive return --job hq-2026 --carrier dhl --tracking 3318810025',
      'seedship drive return --job hq-2026 --carrier ups --tracking 1Z999AA10123456784 --drive 7F3A000000000001',
      'seedship job show hq-2026',
    ],
    run: async () => (await import('./desk.ts')).returnDrives,
  },
  {
    path: 'drive erase',
    words: '<device|dir>',
    about: 'deletes the keys of a drive, then overwrites its ends, or all of it; the job’s story says so',
    flags: [
      JOB,
      ['--full', 'overwrite all of it, not only its ends'],
      ['--drive <id>', 'which drive it is, when it cannot be read any more'],
      ['--confirm-serial <serial>', 'erase without asking, if this is its serial number (the id of a directory)'],
      ['--dry-run', 'say what would be deleted and overwritten'],
      ...FOLLOW,
    ],
    examples: [
      'seedship drive erase /dev/sdc --job hq-2026',
      'seedship drive erase /dev/sdc --job hq-2026 --full --confirm-serial WD-CA1H7K2K',
      'seedship drive history 7F3A000000000001',
    ],
    long: true,
    run: async () => (await import('./drive-erase.ts')).eraseDrive,
  },
];
