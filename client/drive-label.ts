/** `drive label`: what a drive is called, and the page that is printed and travels with it. */
import path from 'node:path';
import { shippingLabel } from '../domain/datacenter.ts';
import { Failure } from '../domain/failure.ts';
import { driveLabel, parseName } from '../domain/names.ts';
import { formatDriveSize } from '../domain/units.ts';
import { isBlockDevice } from '../store/block-device.ts';
import { measureVolume } from '../store/drive-volume.ts';
import { makeDirectoryDurable, replaceDurable } from '../store/durable-file.ts';
import { readDatacenter } from '../store/records.ts';
import { mountedDisk } from './disks.ts';
import type { Invocation } from './invocation.ts';
import { statusOf } from './job-acts.ts';
import { type Label, labelCode, labelHtml, labelSvg } from './label-page.ts';
import { enterVault } from './vault-door.ts';

interface Travelling {
  readonly drive: string;
  readonly vault: string;
  readonly job: string;
  readonly region: string;
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
export async function keepLabel(call: Invocation, travelling: Travelling): Promise<void> {
  const folder = path.join(call.settings.stateDirectory, 'labels');
  const file = path.join(folder, `${travelling.drive}.html`);
  await makeDirectoryDurable(folder);
  await replaceDurable(file, Buffer.from(labelHtml(await labelOf(call, travelling))));
  call.print.event('label', `Print its label: ${file}`, { page: file });
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

async function labelOf(call: Invocation, { drive, vault, job, region }: Travelling): Promise<Label> {
  const { store, trust } = enterVault(call);
  const to = shippingLabel(await readDatacenter(store, region, trust), job);
  return { drive, vault, job, region, name: driveLabel(drive), to, returnTo: call.list('return-to') };
}

function pageFor(file: string, label: Label): string {
  if (/\.html?$/i.test(file)) return labelHtml(label);
  if (/\.svg$/i.test(file)) return labelSvg(label);
  throw new Failure('Usage', `--out ${file} is neither .html nor .svg`);
}
