/** `parcel slip`: the sheet that travels with a parcel. */
import path from 'node:path';
import { shippingLabel } from '../domain/datacenter.ts';
import { Failure } from '../domain/failure.ts';
import { replaceDurable } from '../store/durable-file.ts';
import { readDatacenter } from '../store/records.ts';
import type { Invocation } from './invocation.ts';
import { statusOf } from './job-acts.ts';
import { parcelMeant } from './parcels.ts';
import { senderLines } from './sender-address.ts';
import { type Slip, slipCode, slipHtml, slipSvg } from './slip-page.ts';
import { enterVault } from './vault-door.ts';

/** `parcel slip TRACKING [--job J] [--out FILE] [--return-to LINE…]` */
export async function slipParcel(call: Invocation): Promise<undefined> {
  const slip = await slipOf(call);
  const out = call.text('out');
  if (out !== undefined) await replaceDurable(path.resolve(out), Buffer.from(pageFor(out, slip)));
  const { job, tracking, drives } = slip;
  const page = out === undefined ? {} : { page: path.resolve(out) };
  const ids = drives.map(({ id }) => id);
  call.print.result('parcel-slip', { job, tracking, drives: ids, ...page, code: slipCode(slip) }, () => [
    out === undefined ? slipSvg(slip) : `Print ${out}, and put it into the parcel, or on it.`,
  ]);
  return undefined;
}

/** Drives on their way back go to whom the others came from. */
async function slipOf(call: Invocation): Promise<Slip> {
  const { job, carrier, tracking, drives: ids, back } = await parcelMeant(call);
  const { request, drives: all } = await statusOf(call, job);
  const { store, trust } = enterVault(call);
  const drives = all.filter(({ id }) => ids.includes(id)).map(({ id, serial }) => ({ id, ...(serial && { serial }) }));
  const region = all.find(({ id, region: at }) => ids.includes(id) && at !== undefined)?.region ?? request.region;
  const datacenter = shippingLabel(await readDatacenter(store, region, trust), job);
  const sender = await senderLines(call, { job, region, details: request.details });
  const about = { vault: request.vault, job, region, carrier, tracking, drives };
  return { ...about, ...(back ? { to: sender, returnTo: datacenter } : { to: datacenter, returnTo: sender }) };
}

function pageFor(file: string, slip: Slip): string {
  if (/\.html?$/i.test(file)) return slipHtml(slip);
  if (/\.svg$/i.test(file)) return slipSvg(slip);
  throw new Failure('Usage', `--out ${file} is neither .html nor .svg`);
}
