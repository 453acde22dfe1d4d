/** Disks that fail as disks do: sectors that cannot be read any more, and writes that are refused. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { openCopyLog } from '../../format/copy-log.ts';
import { trustOf } from '../../format/credentials.ts';
import { runChild } from '../../pipeline/child.ts';
import type { TransferResult } from '../../pipeline/child-tasks.ts';
import type { FileSystem } from '../../store/drive-mount.ts';
import { openStore } from '../../store/object-store.ts';
import { copyLogName } from '../../store/places.ts';
import { LoopDisk, releaseDisks, run } from '../harness/loop-disk.ts';
import { mutant } from '../harness/mutant.ts';
import { badSectors, releaseServed, serveImage } from '../harness/served-disk.ts';
import { perform } from '../pipeline/fixture.ts';
import { DriveRig } from './rig.ts';

const PARTITION_AT = 1 * MIB;
const BLOCK = 4096;
/** A seal says of a segment, of 1 MiB here, that it is wrong; the first begins with its file. */
const FIRST_SEGMENT = 0;
let rig: DriveRig;

beforeAll(async () => {
  rig = await DriveRig.start('media', 40 * MIB);
}, 120_000);
afterEach(() => {
  releaseDisks();
  releaseServed();
});
afterAll(() => rig?.bench.close());

const serve = (name: string, readOnly: boolean, ...words: string[]) =>
  serveImage(rig.bench.at(name), readOnly, ...words);

/** Numbers and lengths of a drive's objects, in order: trees and indexes are short, and digests say where they come. */
function objectsOn(partition: string): { number: number; bytes: number }[] {
  const rows = run('debugfs', '-R', 'ls -p /objects/000', partition).matchAll(/\/(\d{6})\.1\/(\d+)\//g);
  return [...rows].map(([, name, bytes]) => ({ number: Number(name), bytes: Number(bytes) })).sort(byNumber);
}

/**
 * Writes noise into a sector of some of the longer objects, past the file system.
 * @returns their numbers, in order
 */
function spoilSectors(partition: string, which: readonly number[]): number[] {
  const folder = rig.bench.at('spoiled');
  mkdirSync(folder, { recursive: true });
  run('mount', '-o', 'ro', partition, folder);
  const objects = `${folder}/objects/000`;
  const long = readdirSync(objects).filter((name) => statSync(`${objects}/${name}`).size > 100 * BLOCK);
  const bad = which.flatMap((at) => long.sort()[at] ?? []);
  const sectors = bad.map((name) => {
    const [, first = ''] =
      /^ +0: +0\.\. +\d+: +(\d+)\.\./m.exec(run('filefrag', '-v', '-b512', `${objects}/${name}`)) ?? [];
    return Number(first) + 17 + Number(name.slice(0, 6)); // somewhere in its first extent
  });
  run('umount', folder);
  const device = openSync(partition, 'r+');
  for (const sector of sectors) writeSync(device, randomBytes(512), 0, 512, sector * 512);
  fsyncSync(device);
  closeSync(device);
  expect(sectors.filter((sector) => sector > 100)).toHaveLength(which.length);
  return bad.map((name) => Number(name.slice(0, 6)));
}

/** What the signed copy log says of each object that was not taken. */
async function refusedBy(landing: string, drive: string, { copyLog = rig.staged.packSet }: TransferResult) {
  const log = await openStore(`file://${landing}`).get(copyLogName(copyLog));
  const trust = trustOf(rig.vault.credentials);
  const { objects } = openCopyLog(log, { trust, name: copyLog, drive, job: 'hq-2026' }).log;
  return objects.flatMap(({ number, outcome, offset }) => (outcome === 'taken' ? [] : [[number, outcome, offset]]));
}

/** A server of an image that confirms all writes, and forgets those that begin behind its real end. */
function forgetting(image: string, real: number): string[] {
  const bytes = 'iflag=count_bytes,skip_bytes,fullblock oflag=seek_bytes status=none';
  return [
    `get_size=stat --format %s ${image}`,
    `pread=dd if=${image} bs=64K count=$3 skip=$4 ${bytes}`,
    `pwrite=if [ "$4" -ge ${real} ]; then cat >/dev/null; else dd of=${image} bs=64K seek=$4 conv=notrunc ${bytes}; fi`,
    'can_write=exit 0',
    'can_flush=exit 0',
    'flush=exit 0',
  ];
}

function byNumber(a: { readonly number: number }, b: { readonly number: number }): number {
  return a.number - b.number;
}

describe('a disk', () => {
  test('with sectors that cannot be read costs the objects in them, each named, and no other', async () => {
    const loop = new LoopDisk({ bytes: 600 * MIB, serial: 'WORN-0' }); // from 512 MiB on ext4 has blocks of 4 KiB
    const at = await rig.format(loop, 'ext4');
    const landing = await rig.landingOf(at);
    const prepared = await perform(rig.prepareTask(at, landing), rig.copySite);
    const long = objectsOn(at.path).filter(({ bytes }) => bytes > 100 * BLOCK);
    const bad = [1, 3, 4].flatMap((which) => long[which]?.number ?? []);
    expect(bad).toHaveLength(3);
    const places = bad.map((number) => `/objects/000/${String(number).padStart(6, '0')}.1`);
    const inFile = bad.map((_, index) => 30 + 25 * index);
    const blocks = places.map((place, index) =>
      Number(run('debugfs', '-R', `bmap ${place} ${inFile[index]}`, at.path)),
    );
    loop.release();
    const image = rig.bench.at('worn.img');
    run('cp', '--sparse=always', loop.image, image);
    const blockSize = Number(/Block size:\s+(\d+)/.exec(run('dumpe2fs', '-h', `${image}?offset=${PARTITION_AT}`))?.[1]);
    const offsets = blocks.map((block) => PARTITION_AT + block * blockSize);
    writeFileSync(
      rig.bench.at('map'),
      badSectors(
        offsets.sort((a, b) => a - b).map((at) => [at, at + BLOCK]),
        600 * MIB,
      ),
    );
    const filter = ['--filter=ddrescue', 'file', image, `ddrescue-mapfile=${rig.bench.at('map')}`];
    const worn = new LoopDisk({
      bytes: 0,
      serial: 'WORN-1',
      image: await serve('worn', true, ...filter),
      readOnly: true,
    });
    const drive = { ...at, path: `${worn.device}p1` };
    run('partx', '--update', worn.device);
    const taken = await perform(rig.ingestTask(drive, landing, prepared), rig.dockSite);
    expect(taken).toMatchObject({ objects: prepared.objects - bad.length, damaged: bad.length, missing: 0 });
    expect(await refusedBy(landing, at.id, taken)).toEqual(
      bad.map((number, index) => [number, 'unreadable', (inFile[index] ?? 0) * blockSize]),
    );
  }, 120_000);

  test.each<FileSystem>(['ext4', 'xfs'])(
    'of which a sector holds something else, on %s, costs the object it is part of, named with the place',
    async (fileSystem) => {
      const { at } = await rig.newDisk(fileSystem);
      const landing = await rig.landingOf(at);
      const prepared = await perform(rig.prepareTask(at, landing), rig.copySite);
      const bad = spoilSectors(at.path, [1, 4, 7]);
      const taken = await perform(rig.ingestTask(at, landing, prepared), rig.dockSite);
      expect(taken).toMatchObject({ objects: prepared.objects - bad.length, damaged: bad.length, missing: 0 });
      expect(await refusedBy(landing, at.id, taken)).toEqual(bad.map((number) => [number, 'altered', FIRST_SEGMENT]));
      rig.expectLanded(landing, bad.length);
    },
    120_000,
  );

  test('of a smaller capacity than it says is found out when it is read back, though it confirmed each write', async () => {
    const loop = new LoopDisk({ bytes: 400 * MIB, serial: 'FAKE-1' });
    const at = await rig.format(loop, 'ext4');
    const blank = rig.bench.at('blank.img');
    run('cp', '--sparse=always', loop.image, blank);
    await perform(rig.prepareTask(at, await rig.landingOf(at)), rig.copySite);
    const objects = objectsOn(at.path);
    const blockSize = Number(/Block size:\s+(\d+)/.exec(run('dumpe2fs', '-h', at.path))?.[1]);
    const placeOf = ({ number }: { number: number }) => `/objects/000/${String(number).padStart(6, '0')}.1`;
    const begins = objects.map((one) => Number(run('debugfs', '-R', `bmap ${placeOf(one)} 0`, at.path)) * blockSize);
    loop.release();
    const real = PARTITION_AT + (begins[objects.length >> 1] ?? 0);
    const fillFake = async (name: string, fill: typeof runChild): Promise<TransferResult> => {
      rmSync(rig.bench.at('copy-state'), { recursive: true }); // another copy host, where this drive is new
      rmSync(rig.bench.at(`staging/receipts/seed-run/prepare-${at.id}`), { force: true });
      run('cp', '--sparse=always', blank, rig.bench.at(`${name}.img`));
      const image = await serve(name, false, 'eval', ...forgetting(rig.bench.at(`${name}.img`), real));
      const disk = new LoopDisk({ bytes: 0, serial: name, image, direct: true });
      run('partx', '--update', disk.device);
      const task = rig.prepareTask({ ...at, path: `${disk.device}p1` }, await rig.landingOf(at));
      const signal = new AbortController().signal;
      return fill(task, { secrets: rig.copySite, signal, onProgress: () => {}, log: () => {} });
    };
    const trusting = await mutant(rig.bench.at('mutant'), ['store/drive-file.js', 'flags | O_DIRECT', 'flags']);
    expect((await fillFake('FAKE-2', trusting)).objects).toBe(objects.length); // it reads what memory still has
    await expect(fillFake('FAKE-3', runChild)).rejects.toMatchObject({
      code: 'DriveFailed',
      message: expect.stringMatching(new RegExp(`^\\d+ of ${objects.length} objects do not read back`)),
    });
    expect(existsSync(rig.bench.at(`staging/receipts/seed-run/prepare-${at.id}`))).toBe(false);
  }, 120_000);

  test('that refuses writes is left out by name, and the one beside it is filled', async () => {
    const image = rig.bench.at('refusing.img');
    run('truncate', '-s', '400M', image);
    const trigger = rig.bench.at('refuse');
    const errors = ['error-pwrite=EIO', 'error-pwrite-rate=100%', `error-pwrite-file=${trigger}`];
    const file = await serve('refusing', false, '--filter=error', 'file', image, ...errors);
    const failing = new LoopDisk({ bytes: 0, serial: 'REFUSING-1', image: file });
    const at = await rig.format(failing, 'ext4');
    const other = await rig.newDisk('xfs');
    const onProgress = (): void => writeFileSync(trigger, '');
    const outcomes = await Promise.allSettled([
      perform(rig.prepareTask(at, await rig.landingOf(at)), rig.copySite, { onProgress }),
      perform(rig.prepareTask(other.at, await rig.landingOf(other.at)), rig.copySite),
    ]);
    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'DriveFailed' } },
      { status: 'fulfilled', value: { objects: rig.staged.objects } },
    ]);
    expect(existsSync(rig.bench.at(`staging/receipts/seed-run/prepare-${at.id}`))).toBe(false);
    run('rm', trigger);
  }, 120_000);
});
