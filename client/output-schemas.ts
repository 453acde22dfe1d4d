/**
 * The shape of every `data` that `--json` prints, by kind. `seedship schema KIND` prints them, and a
 * test holds what commands print against them. Fields are only ever added.
 */
import { z } from 'zod';
import { Failure } from '../domain/failure.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const time = z.iso.datetime();
const range = z.object({ from: z.int(), to: z.int() });
const point = z.object({
  label: z.string(),
  machine: z.string(),
  protection: z.string(),
  sequence: z.int(),
  digest,
  kind: z.enum(['initial', 'incremental']),
});
const drive = z.looseObject({
  id: z.string(),
  state: z.string(),
  host: z.string(),
  capacityBytes: z.number(),
  ranges: z.array(range),
  objects: z.int(),
  bytes: z.number(),
});
const attention = z.looseObject({
  id: z.string(),
  code: z.string(),
  step: z.string(),
  message: z.string(),
  hint: z.string(),
  choices: z.array(z.string()),
  since: time,
});
const parcel = z.looseObject({
  carrier: z.string(),
  tracking: z.string(),
  state: z.string(),
  drives: z.array(z.string()),
});
const failing = z.object({
  workflowId: z.string(),
  step: z.string(),
  attempt: z.int(),
  code: z.string(),
  message: z.string(),
});
const waitsFor = z.looseObject({ what: z.string(), who: z.string(), command: z.string() });
const job = z.looseObject({
  workflowId: z.string(),
  run: z.string(),
  request: z.looseObject({
    vault: z.string(),
    machine: z.string(),
    protection: z.string(),
    job: z.string(),
    region: z.string(),
    copyHosts: z.array(z.string()).optional(),
  }),
  stage: z.string(),
  state: z.string(),
  importJob: z.string(),
  reached: z.array(z.object({ stage: z.string(), at: time })),
  point: point.optional(),
  packSet: digest.optional(),
  staged: z
    .looseObject({
      objects: z.int(),
      sealedBytes: z.number(),
      readBytes: z.number(),
      files: z.int(),
      skippedFiles: z.int(),
    })
    .optional(),
  free: z.array(range),
  drives: z.array(drive),
  parcels: z.array(parcel),
  attention: z.array(attention),
  waitsFor,
  failing: z.array(failing).optional(),
});
const vault = z.looseObject({
  name: z.string(),
  id: z.string(),
  region: z.string(),
  redundancy: z.string(),
  url: z.string(),
});
const protection = z.looseObject({
  name: z.string(),
  machines: z.array(z.string()),
  schedule: z.string(),
  timezone: z.string(),
  initial: z.enum(['offline', 'network']),
  state: z.string(),
});
const presentPoint = z.looseObject({
  name: z.string(),
  label: z.string(),
  machine: z.string(),
  protection: z.string(),
  sequence: z.int(),
  kind: z.string(),
  time,
  restorable: z.boolean(),
  missing: z.int(),
  waitsFor: z.object({ job: z.string(), drives: z.array(z.string()) }).optional(),
});
const datacenter = z.looseObject({
  region: z.string(),
  address: z.array(z.string()),
  recipient: z.string(),
  driveBytesMax: z.number(),
});
const backup = z.looseObject({ workflowId: z.string(), failing: z.array(failing).optional() });

const storyLine = z.looseObject({
  at: time,
  who: z.string(),
  where: z.string(),
  what: z.string(),
  revision: z.int(),
  drive: z.string().optional(),
  parcel: z.string().optional(),
  code: z.string().optional(),
});
const codes = z.record(z.string(), z.int());
const waitingNotice = z.object({ channel: z.string(), attempts: z.int(), why: z.string() });

export const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  vault,
  'vault-list': z.array(z.object({ name: z.string(), id: z.string(), url: z.string(), as: z.array(z.string()) })),
  words: z.looseObject({ vault: z.string(), proved: z.boolean() }),
  credentials: z.looseObject({
    role: z.string(),
    id: z.string(),
    file: z.string(),
    validUntil: time,
    next: z.string(),
  }),
  agent: z.looseObject({ role: z.string(), id: z.string(), vault: z.string(), next: z.string() }),
  'agent-list': z.array(z.looseObject({ role: z.string(), id: z.string(), vault: z.string() })),
  'machine-list': z.array(
    z.object({ name: z.string(), state: z.string(), domain: z.string(), version: z.string(), at: time }),
  ),
  protection: z.union([protection, z.looseObject({ name: z.string(), paused: z.boolean() })]), // paused or let go
  'protection-list': z.array(protection),
  backup,
  'backup-list': z.array(z.looseObject({ run: z.string(), state: z.string(), started: time })),
  job,
  'job-list': z.array(job),
  parcel,
  resolution: z.looseObject({ id: z.string(), choice: z.string(), by: z.string() }),
  work: z.looseObject({ workflowId: z.string() }),
  cancel: z.looseObject({ stage: z.string(), undone: z.string(), kept: z.string(), drives: z.string() }),
  'cancel-plan': z.looseObject({ stage: z.string(), undone: z.string(), kept: z.string(), drives: z.string() }),
  drive: z.looseObject({
    id: z.string().optional(),
    state: z.string().optional(),
    label: z.string().optional(),
    shipTo: z.array(z.string()).optional(),
    uiUrl: z.string().optional(),
    waitsFor,
    attention: z.array(attention),
  }),
  'drive-list': z.array(
    z.object({
      drive: z.string(),
      label: z.string(),
      folder: z.string(),
      there: z.boolean(),
      disk: z
        .looseObject({
          model: z.string(),
          serial: z.string(),
          sizeBytes: z.number(),
          health: z.string(),
          holds: z.string(),
          refused: z.array(z.object({ rule: z.string(), says: z.string() })),
        })
        .optional(),
    }),
  ),
  'drive-verdict': z.looseObject({
    drive: z.string(),
    files: z.int(),
    bytes: z.number(),
    bytesPerSecond: z.number(),
    bad: z.int(),
    named: z.array(z.object({ place: z.string(), fault: z.enum(['missing', 'altered', 'unreadable']) })),
  }),
  'drive-plan': z.looseObject({ device: z.string(), drive: z.string(), commands: z.array(z.string()) }),
  'seed-plan': z.looseObject({
    protection: z.string(),
    bytes: z.number(),
    entries: z.int(),
    stagedBytes: z.number(),
    drives: z.int(),
    driveBytes: z.number(),
    copyingMs: z.number(),
    lineMs: z.number().optional(),
    travelMs: z.number().optional(),
  }),
  'drive-order': z.looseObject({
    job: z.string(),
    drive: z.string(),
    host: z.string(),
    objects: z.int(),
    plan: z.string(),
  }),
  'drive-journal': z.looseObject({ job: z.string(), drive: z.string(), journal: z.string() }),
  journals: z.array(z.looseObject({ job: z.string(), drive: z.string(), objects: z.int(), bytes: z.number() })),
  'drive-label': z.object({
    drive: z.string(),
    label: z.string(),
    freeBytes: z.number(),
    page: z.string().optional(),
    code: z.string().optional(),
  }),
  'parcel-slip': z.object({
    job: z.string(),
    tracking: z.string(),
    drives: z.array(z.string()),
    page: z.string().optional(),
    code: z.string(),
  }),
  received: z.looseObject({ job: z.string(), drives: z.array(z.string()), missing: z.array(z.string()) }),
  'drive-report': z.looseObject({ job: z.string(), found: z.string(), drives: z.array(drive) }),
  returned: z.looseObject({ job: z.string(), drives: z.array(z.string()), carrier: z.string(), tracking: z.string() }),
  'erasure-plan': z.object({ drive: z.string(), label: z.string(), at: z.string(), steps: z.array(z.string()) }),
  erased: z.looseObject({
    drive: z.string(),
    at: time,
    by: z.string(),
    host: z.string(),
    full: z.boolean(),
    bytes: z.number(),
    unwritable: z.number(),
    stagedKeysGone: z.boolean(),
  }),
  'parcel-list': z.array(parcel),
  scan: z.looseObject({ job: z.string(), tracking: z.string(), event: z.string(), at: time }),
  'job-change': z.looseObject({ job: z.string(), act: z.string() }),
  adopted: z.looseObject({ job: z.string(), workflowId: z.string(), stage: z.string() }),
  'job-events': z.array(storyLine),
  'job-report': z.looseObject({
    job: z.string(),
    made: time,
    by: z.string(),
    stage: z.string(),
    lines: z.array(storyLine),
    drives: z.array(z.looseObject({ drive: z.string(), state: z.string(), code: z.string(), codes })),
    parcels: z.array(parcel),
    revisions: z.array(z.object({ revision: z.int(), signed: z.base64() })),
    copyLogs: z.array(z.object({ drive: z.string(), name: digest, signed: z.base64() })),
    requests: z.array(z.object({ name: digest, signed: z.base64() })),
    seal: z.base64(),
  }),
  'report-check': z.looseObject({
    holds: z.boolean(),
    found: z.array(z.string()),
    revisions: z.int(),
    made: time,
    by: z.string(),
    later: z.int(),
  }),
  'drive-history': z.looseObject({
    drive: z.string(),
    jobs: z.array(z.looseObject({ job: z.string(), code: z.string(), codes, lines: z.array(storyLine) })),
  }),
  cleanup: z.looseObject({
    proof: z.looseObject({ objects: z.int(), bytes: z.number(), receipt: digest }).optional(),
    removed: z.object({ landing: z.int(), staging: z.int() }).optional(),
  }),
  notice: z.object({ delivered: z.array(z.string()), waiting: z.array(waitingNotice) }),
  'notice-list': z.array(z.object({ id: z.string(), since: time, state: z.string(), waiting: z.array(waitingNotice) })),
  point: presentPoint,
  'point-list': z.array(presentPoint),
  'entry-list': z.array(
    z.looseObject({ name: z.string(), type: z.string(), mode: z.string(), size: z.number(), modified: time }),
  ),
  restore: z.looseObject({ files: z.int(), bytes: z.number(), skippedFiles: z.int() }),
  datacenter,
  'datacenter-list': z.array(datacenter),
  demo: z.looseObject({
    exact: z.boolean(),
    stages: z.array(z.looseObject({ stage: z.string(), seconds: z.number() })),
  }),
  config: z.array(z.object({ key: z.string(), value: z.string(), origin: z.string() })),
  version: z.object({ version: z.string(), format: z.int(), node: z.string() }),
  help: z.looseObject({ topic: z.string(), lines: z.array(z.string()) }),
  error: z.looseObject({
    type: z.literal('error'),
    code: z.string(),
    exit: z.int(),
    message: z.string(),
    hint: z.string(),
  }),
};

/** The JSON Schema of a kind. @throws Failure `NotFound` */
export function schemaOf(kind: string): object {
  const schema = SCHEMAS[kind];
  if (schema) return z.toJSONSchema(schema);
  throw new Failure('NotFound', `there is no kind ${kind}`, {
    why: `kinds are ${Object.keys(SCHEMAS).sort().join(', ')}`,
    next: 'seedship schema job',
  });
}
