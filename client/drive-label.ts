/** `drive label`: what a drive is called, and the page that is printed and travels with it. */
import path from 'node:path';
import { shippingLabel } from '../domain/datacenter.ts';
import { Failure } from '../domain/failure.ts';
import { driveLabel, parseName } from '../domain/names.ts';
import type { DatacenterRecord } from '../domain/record.ts';
import type { JobDetails } from '../domain/seeding-job.ts';
import { formatDriveSize } from '../domain/units.ts';
import { isBlockDevice } from '../store/block-device.ts';
import { measureVolume } from '../store/drive-volume.ts';
import { makeDirectoryDurable, replaceDurable } from '../store/durable-file.ts';
import { readDatacenter } from '../store/records.ts';
import { mountedDisk } from './disks.ts';
import type { Invocation } from './invocation.ts';
import { statusOf } from './job-acts.ts';
import { type Label, labelCode, labelHtml, labelSvg } from './label-page.ts';
import { senderLines } from './sender-address.ts';
import { enterVault } from './vault-door.ts';

interface Travelling {
  readonly drive: string;
  readonly vault: string;
  readonly job: string;
  readonly region: string;
  readonly details?: JobDetails | undefined;
}

/** The page of a drive, and where it goes. */
export interface KeptLabel {
  readonly page: string;
  readonly to: readonly string[];
}

/** `drive label DEVICE|DIR [--job J] [--out FILE]` */
export async function labelDrive(call: Invocation): Promise<undefined> {
  const { drive, freeBytes } = await measure(call, path.resolve(call.word(0)));
  if (drive === undefined)
    throw new Failure('NotFound', 'this is no Seedship drive', { next: 'seedship drive prepare DEVICE --job NAME' });
  const data = { drive, label: driveLabel(drive), freeBytes };
  const job = call.text('job');
  if (job === undefined) {
    call.print.result('drive-label', data, () => [`${data.label}  ${drive}  ${formatDriveSize(freeBytes)} free`]);
    return undefined;
  }
  const { request } = await statusOf(call, parseName('job', job));
  const label = await labelOf(call, { drive, ...request });
  const out = call.text('out');
  if (out !== undefined) await replaceDurable(path.resolve(out), Buffer.from(pageFor(out, label)));
  const page = out === undefined ? {} : { page: path.resolve(out) };
  call.print.result('drive-label', { ...data, ...page, code: labelCode(label) }, () => [
    out === undefined ? labelSvg(label) : `Print ${out}, and put it on the drive.`,
  ]);
  return undefined;
}

/** The page of a drive that is ready to travel, kept for whoever prints it. */
export async function keepLabel(call: Invocation, travelling: Travelling): Promise<KeptLabel> {
  return keepPage(call, await labelOf(call, travelling));
}

/** The same where no server is reached: whom the drive goes back to is written by hand. */
export async function keepLabelOffline(
  call: Invocation,
  travelling: Travelling,
  datacenter: DatacenterRecord,
): Promise<KeptLabel> {
  return keepPage(call, labelFrom(travelling, datacenter, call.list('return-to')));
}

async function keepPage(call: Invocation, label: Label): Promise<KeptLabel> {
  const folder = path.join(call.settings.stateDirectory, 'labels');
  const page = path.join(folder, `${label.drive}.html`);
  await makeDirectoryDurable(folder);
  await replaceDurable(page, Buffer.from(labelHtml(label)));
  call.print.event('label', `Print its label: ${page}`, { page });
  return { page, to: label.to };
}

async function measure(call: Invocation, at: string) {
  if (!isBlockDevice(at)) return measureVolume(at);
  const mounted = await mountedDisk(call, at);
  try {
    return await measureVolume(mounted.path);
  } finally {
    mounted.close();
  }
}

async function labelOf(call: Invocation, travelling: Travelling): Promise<Label> {
  const { store, trust } = enterVault(call);
  const datacenter = await readDatacenter(store, travelling.region, trust);
  return labelFrom(travelling, datacenter, await senderLines(call, travelling));
}

function labelFrom(
  { drive, vault, job, region }: Travelling,
  datacenter: DatacenterRecord,
  returnTo: readonly string[],
): Label {
  return { drive, vault, job, region, name: driveLabel(drive), to: shippingLabel(datacenter, job), returnTo };
}

function pageFor(file: string, label: Label): string {
  if (/\.html?$/i.test(file)) return labelHtml(label);
  if (/\.svg$/i.test(file)) return labelSvg(label);
  throw new Failure('Usage', `--out ${file} is neither .html nor .svg`);
}
