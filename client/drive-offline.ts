/**
 * The manual way: a copy host that reaches no server fills a drive by a plan file, and a journal file tells
 * the job what was written. The end state is that of a drive prepared in the usual way.
 */
import path from 'node:path';
import {
  type DriveJournal,
  type DrivePlan,
  JOURNAL_SCHEMA,
  PLAN_SCHEMA,
  parseJournal,
  parsePlan,
} from '../domain/drive-plan.ts';
import { Failure } from '../domain/failure.ts';
import { driveLabel, parseName } from '../domain/names.ts';
import type { PreparedDrive } from '../domain/receipt.ts';
import type { DatacenterRecord } from '../domain/record.ts';
import { prepareStep } from '../domain/seeding-job.ts';
import { formatSize, parseSize } from '../domain/units.ts';
import { CorruptError } from '../format/cursor.ts';
import { digestOf } from '../format/digest.ts';
import { openSigned, type Trust } from '../format/signature.ts';
import { readGivenFile } from '../host/secrets.ts';
import { isBlockDevice } from '../store/block-device.ts';
import { replaceDurable } from '../store/durable-file.ts';
import { openState } from '../store/machine-state.ts';
import { DRIVE_KEYS, driveKeyName, receiptName } from '../store/places.ts';
import { openRevision, readRecord } from '../store/records.ts';
import { fillOffline } from '../workers/offline-drive.ts';
import * as definitions from '../workflows/definitions.ts';
import { newDriveId, readyDisk } from './disks.ts';
import { keepLabelOffline } from './drive-label.ts';
import { filledLines, readyFolder, rulesOf } from './drives.ts';
import type { Invocation } from './invocation.ts';
import { act, statusOf } from './job-acts.ts';
import { checkStaging } from './staging-check.ts';
import { enterVault, openPlace } from './vault-door.ts';

const JOURNAL_BYTES_MAX = 1 << 24;

/** `job plan NAME --copy-host HOST --drive-size SIZE --out FILE` */
export async function planDrive(call: Invocation): Promise<undefined> {
  const job = parseName('job', call.word(0));
  const host = parseName('host', call.needed('copy-host'));
  const size = call.needed('drive-size');
  const capacityBytes = parseSize(size);
  if (capacityBytes === undefined) throw new Failure('Usage', `--drive-size ${size} is no size like 8TB`);
  const out = path.resolve(call.needed('out'));
  const { credentials, store, trust } = enterVault(call);
  const before = await statusOf(call, job);
  const { region, staging } = before.request;
  const { packSet, run } = before;
  if (packSet === undefined) throw new Failure('WrongState', 'the initial backup is still being staged');
  const entry = await readRecord<DatacenterRecord>(store, { kind: 'datacenter', id: region }, trust);
  if (!entry) throw new Failure('NotFound', `the vault knows no datacenter ${region}`);
  const drive = newDriveId();
  const offer = { drive, host, capacityBytes, offline: true };
  const { result } = await act(call, job, definitions.prepareDrive, offer);
  const plan: DrivePlan = {
    ...{ schema: PLAN_SCHEMA, vault: credentials.vault.name, job, run, step: prepareStep(drive), drive, host },
    ...{ staging, packSet, ranges: result.ranges, capacityBytes, region },
    ...{ datacenter: entry.signed.toString('base64'), revision: entry.revision },
  };
  await replaceDurable(out, Buffer.from(`${JSON.stringify(plan, null, 1)}\n`));
  call.print.result('drive-order', { job, drive, host, objects: result.objects, plan: out }, () => [
    `Drive ${driveLabel(drive)} is to take ${result.objects} objects; the plan is in ${out}.`,
    `On ${host}:  seedship drive prepare DEVICE --offline ${path.basename(out)}`,
  ]);
  return undefined;
}

/** `drive prepare DEVICE|DIR --offline PLAN [--out FILE]` */
export async function prepareByPlan(call: Invocation): Promise<undefined> {
  const at = path.resolve(call.word(0));
  const planFile = call.needed('offline');
  const plan = parsePlan(readGivenFile('plan', planFile).toString());
  const { drive, job, staging, packSet, region, revision, host } = plan;
  if (host !== call.settings.host)
    throw new Failure('Usage', `the plan is for the copy host ${host}`, { why: `this is ${call.settings.host}` });
  const { trust } = enterVault(call, ['site']);
  const signed = Buffer.from(plan.datacenter, 'base64');
  const entry = openRevision<DatacenterRecord>(signed, { kind: 'datacenter', id: region, revision }, trust);
  await checkStaging(call, { request: { staging, job }, packSet });
  const ready = isBlockDevice(at)
    ? await readyDisk(call, at, rulesOf(entry.body), { job, drive })
    : await readyFolder(call, at, { job, drive });
  if (!ready) return undefined;
  if (ready.drive !== drive)
    throw new Failure('DriveForeign', `this is drive ${driveLabel(ready.drive)}, not that of the plan`);
  const state = openState(call.settings.stateDirectory);
  await state.setDrive(drive, ready.place);
  const disk = await fillOffline(call.settings, plan, {
    recipient: entry.body.recipient,
    onProgress: (progress) => call.print.progress([progress]),
    log: (line) => call.print.event('child', line),
  });
  const store = openPlace(call, placeUrl(call, staging), 'copy');
  const wraps: { epoch: number; wrap: string }[] = [];
  for await (const { name } of store.list(`${DRIVE_KEYS}${drive}/`)) {
    const epoch = Number(name.slice(name.lastIndexOf('/') + 1));
    wraps.push({ epoch, wrap: (await store.get(name)).toString('base64') });
  }
  const receipt = (await store.get(receiptName(plan.run, plan.step))).toString('base64');
  const serial = ready.serial === undefined ? {} : { serial: ready.serial };
  const { run, step } = plan;
  const journal: DriveJournal = { schema: JOURNAL_SCHEMA, job, drive, host, run, step, ...serial, receipt, wraps };
  const out = path.resolve(call.text('out') ?? `${drive}.journal`);
  await replaceDurable(out, Buffer.from(`${JSON.stringify(journal)}\n`));
  const { page } = await keepLabelOffline(call, plan, entry.body);
  call.print.result('drive-journal', { job, drive, journal: out, label: page, disk }, () => [
    `Drive ${driveLabel(drive)} is written and read back; its journal is in ${out}.`,
    ...filledLines(disk),
    `Where the job is:  seedship job add-journal ${path.basename(out)}`,
  ]);
  return undefined;
}

/** `job add-journal FILE…` */
export async function addJournals(call: Invocation): Promise<undefined> {
  const added: { readonly job: string; readonly drive: string; readonly objects: number; readonly bytes: number }[] =
    [];
  for (const file of call.words) {
    const bytes = readGivenFile('journal', file);
    if (bytes.length > JOURNAL_BYTES_MAX) throw new Failure('Usage', 'this is no journal of a drive');
    added.push(await addJournal(call, parseJournal(bytes.toString())));
  }
  call.print.result('journals', added, () =>
    added.map(
      ({ job, drive, objects, bytes }) => `${job}: ${driveLabel(drive)}, ${objects} objects, ${formatSize(bytes)}`,
    ),
  );
  return undefined;
}

async function addJournal(call: Invocation, journal: DriveJournal) {
  const { job, drive, serial } = journal;
  const status = await statusOf(call, job);
  const receipt = preparedBy(journal, status.run, enterVault(call).trust);
  const { objects, bytes } = receipt;
  const known = status.drives.find(({ id }) => id === drive);
  if (known?.state !== 'Specified' && known?.manifest === receipt.manifest) return { job, drive, objects, bytes };
  const landing = openPlace(call, placeUrl(call, status.request.landing), 'operator');
  for (const { epoch, wrap } of journal.wraps) {
    const content = Buffer.from(wrap, 'base64');
    if (receipt.wraps[epoch - 1] === digestOf(content)) await landing.put(driveKeyName(drive, epoch), content);
  }
  await act(call, job, definitions.addJournal, { drive, receipt, ...(serial && { serial }) });
  return { job, drive, objects, bytes };
}

interface ReceiptBody {
  readonly objects: number;
  readonly bytes: number;
  readonly ranges?: PreparedDrive['ranges'];
  readonly epoch?: number;
  readonly manifest?: PreparedDrive['manifest'];
  readonly wraps?: readonly { readonly digest: PreparedDrive['manifest'] }[];
}

/** @throws Failure `Tampered` when the copy host of that name has not signed it, for this job's run */
function preparedBy({ run, step, drive, host, receipt }: DriveJournal, jobsRun: string, trust: Trust): PreparedDrive {
  const signed = Buffer.from(receipt, 'base64');
  try {
    const { body, signer } = openSigned(signed, { kind: 'receipt', trust, place: receiptName(run, step) });
    const { objects, bytes, ranges = [], epoch, manifest, wraps = [] }: ReceiptBody = JSON.parse(body.toString());
    const fits =
      signer.role === 'site' && signer.id === `copy.${host}` && run === jobsRun && step === prepareStep(drive);
    if (!fits || epoch === undefined || manifest === undefined) throw new CorruptError('receipt: of something else');
    const made = { epoch, manifest, wraps: wraps.map(({ digest }) => digest), ranges, objects, bytes };
    return { run, step, receipt: digestOf(signed), drive, host, ...made };
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error;
    throw new Failure('Tampered', `this is not what ${host} signed for drive ${driveLabel(drive)} of this job`, {
      next: 'bring the journal file again, as drive prepare --offline wrote it',
      cause: error,
    });
  }
}

function placeUrl(call: Invocation, name: string): string {
  const url = call.settings.places[name] ?? openState(call.settings.stateDirectory).placeUrl(name);
  if (url !== undefined) return url;
  throw new Failure('Configuration', `this host does not know where the place ${name} is`, {
    next: `set [places.${name}] url in seedship.toml`,
  });
}
