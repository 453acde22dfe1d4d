/** Ship or upload: measured before a job is begun, on the machine whose files it is about. */
import { Failure } from '../domain/failure.ts';
import { parseName } from '../domain/names.ts';
import { planSeed } from '../domain/seed-plan.ts';
import { formatDriveSize, formatDuration, formatSize, parseBitRate, parseSize } from '../domain/units.ts';
import { openItems } from '../format/protection-items.ts';
import { measureTrees } from '../store/tree-measure.ts';
import type { Invocation } from './invocation.ts';
import { pairs } from './print.ts';
import { readProtection } from './protections.ts';
import { enterVault } from './vault-door.ts';

/** `job plan PROTECTION --drive-size SIZE [--uplink RATE]` */
export async function planJourney(call: Invocation): Promise<undefined> {
  const name = parseName('protection', call.word(0));
  const size = call.needed('drive-size');
  const driveBytes = parseSize(size);
  if (!driveBytes) throw new Failure('Usage', `--drive-size ${size} is no size like 8TB`);
  const uplink = call.text('uplink');
  const uplinkBits = uplink === undefined ? undefined : parseBitRate(uplink);
  if (uplink !== undefined && uplinkBits === undefined)
    throw new Failure('Usage', `--uplink ${uplink} is no rate like 50Mbit`);
  const door = enterVault(call, ['machine']);
  const body = await readProtection(door, name);
  const { putKey } = door.credentials;
  if (putKey?.domain !== body.domain)
    throw new Failure('NotAllowed', `protection ${name} is of another machine`, { next: 'plan it there' });
  const { items } = openItems(Buffer.from(body.sealed, 'base64'), { indexKey: putKey.indexKey, protection: name });
  const measured = await measureTrees(items, ({ bytes, entries }) =>
    call.print.talk(`Measuring: ${formatSize(bytes)} in ${entries.toLocaleString('en')} files and folders so far`),
  );
  const plan = planSeed(measured, driveBytes, uplinkBits);
  const data = { protection: name, ...measured, ...plan, driveBytes };
  call.print.result('seed-plan', data, () => [
    `${name}: ${formatSize(measured.bytes)} in ${measured.entries.toLocaleString('en')} files and folders`,
    ...pairs([
      [
        'staging',
        `up to ${formatSize(plan.stagedBytes)}, were nothing to compress; --staging-limit makes do with less`,
      ],
      [
        'by drive',
        `${plan.drives} of ${formatDriveSize(driveBytes)}; some ${formatDuration(plan.copyingMs)} of copying`,
      ],
      ...(plan.lineMs === undefined ? [] : [['over the line', `${formatDuration(plan.lineMs)} at best`] as const]),
    ]),
    ...(plan.lineMs === undefined ? [] : [verdict(plan.travelMs)]),
  ]);
  return undefined;
}

function verdict(travelMs: number | undefined): string {
  if (travelMs === undefined) return 'Upload: the line is faster than drives (protection create --initial network).';
  const parcel = `the parcel may travel for ${formatDuration(travelMs)} and be there first`;
  return `Ship: ${parcel}. Later backups go over the line.`;
}
