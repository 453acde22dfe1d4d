/** `parcel slip`: the sheet that travels with a parcel. */
import path from 'node:path';
import { shippingLabel } from '../domain/datacenter.ts';
import { Failure } from '../domain/failure.ts';
import type { JobRecord } from '../domain/record.ts';
import { replaceDurable } from '../store/durable-file.ts';
import { readDatacenter, readRecord } from '../store/records.ts';
import type { Invocation } from './invocation.ts';
import { statusOf } from './job-acts.ts';
import { readParticulars } from './job-order.ts';
import { parcelMeant } from './parcels.ts';
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
  const { state, store, trust } = enterVault(call);
  const drives = all.filter(({ id }) => ids.includes(id)).map(({ id, serial }) => ({ id, ...(serial && { serial }) }));
  const region = all.find(({ id, region: at }) => ids.includes(id) && at !== undefined)?.region ?? request.region;
  const datacenter = shippingLabel(await readDatacenter(store, region, trust), job);
  const typed = call.list('return-to');
  const record = await readRecord<JobRecord>(store, { kind: 'job', id: job }, trust);
  const known = await readParticulars(state, { sealed: record?.body.sealed, details: request.details, region });
  const sender = typed.length > 0 ? typed : addressLines(known?.returnTo);
  const about = { vault: request.vault, job, region, carrier, tracking, drives };
  return { ...about, ...(back ? { to: sender, returnTo: datacenter } : { to: datacenter, returnTo: sender }) };
}

/** It was typed in lines, or in one with commas. */
function addressLines(typed = ''): string[] {
  return typed
    .split(typed.includes('\n') ? '\n' : ',')
    .map((line) => line.trim())
    .filter(Boolean);
}

function pageFor(file: string, slip: Slip): string {
  if (/\.html?$/i.test(file)) return slipHtml(slip);
  if (/\.svg$/i.test(file)) return slipSvg(slip);
  throw new Failure('Usage', `--out ${file} is neither .html nor .svg`);
}
