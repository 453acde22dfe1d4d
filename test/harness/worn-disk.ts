import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { LoopDisk, run } from './loop-disk.ts';
import { badSectors, serveImage } from './served-disk.ts';

const PARTITION_AT = 1 << 20;

/**
 * The disk behind another device, of whose sectors five in a hundred cannot be read: a band where its
 * objects lie. The disk itself is released.
 */
export async function wornDisk(
  loop: LoopDisk,
  { serial, folder }: { readonly serial: string; readonly folder: string },
): Promise<LoopDisk> {
  const partition = `${loop.device}p1`;
  const bytes = Number(run('blockdev', '--getsize64', loop.device));
  const blockSize = Number(/Block size:\s+(\d+)/.exec(run('dumpe2fs', '-h', partition))?.[1]);
  const names = run('debugfs', '-R', 'ls -p /objects/000', partition).match(/\d{6}\.\d+/g) ?? [];
  const middle = names.sort()[Math.floor(names.length / 4)];
  const block = Number(run('debugfs', '-R', `bmap /objects/000/${middle} 0`, partition));
  loop.release();
  const from = PARTITION_AT + block * blockSize;
  const map = path.join(folder, 'map');
  writeFileSync(map, badSectors([[from, from + Math.floor(bytes / 20)]], bytes));
  const filter = ['--filter=ddrescue', 'file', loop.image, `ddrescue-mapfile=${map}`];
  const image = await serveImage(path.join(folder, 'worn'), true, ...filter);
  const worn = new LoopDisk({ bytes: 0, serial, image, readOnly: true });
  run('partx', '--update', worn.device);
  return worn;
}
