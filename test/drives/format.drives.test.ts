/** A real disk (a loop device) becomes a drive, and no other disk is touched. */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { claimedDrive, type Disk, refusals } from '../../domain/disk.ts';
import { GIB, MIB } from '../../domain/units.ts';
import { discoverDisks } from '../../store/block-device.ts';
import { formatDisk } from '../../store/disk-format.ts';
import { withUsage } from '../../store/disk-usage.ts';
import { diskPlaceText, type FileSystem, findDrive, mountDrive, parseDiskPlace } from '../../store/drive-mount.ts';
import { openVolume } from '../../store/drive-volume.ts';
import { hashOf, LoopDisk, releaseDisks, run } from '../harness/loop-disk.ts';

const drive = '7F3A00112233AABB';
const dist = path.resolve('dist');
const quiet = { roles: {}, onLine: () => {} };

afterEach(releaseDisks);

async function seen({ device }: LoopDisk): Promise<Disk> {
  const found = (await discoverDisks()).find((disk) => disk.device === device);
  if (!found) throw new Error(`${device} was not discovered`);
  return found;
}

describe('a disk', () => {
  test.each<[FileSystem, string]>([
    ['ext4', 'SEEDSHIP-7F3A'],
    ['xfs', 'SEEDSHIP7F3A'],
  ])('becomes an %s drive that is found again by its id and serial number', async (fileSystem, label) => {
    const loop = new LoopDisk({ bytes: 512 * MIB, serial: 'WD-CA1H7K2K' });
    const said: string[] = [];
    const disk = await seen(loop);
    expect(refusals(disk, { among: [disk] })).toEqual([]);
    const made = await formatDisk({ disk, drive, fileSystem }, { roles: {}, onLine: (line) => said.push(line) });
    expect(said.join('\n')).toMatch(fileSystem === 'ext4' ? /Writing inode tables/ : /meta-data=/);
    const after = await seen(loop);
    expect(claimedDrive(after)).toBe(drive);
    expect(after.holds.map(({ type, label: name }) => [type, name])).toEqual([
      ['gpt', undefined],
      [fileSystem, label],
    ]);
    const place = parseDiskPlace(diskPlaceText({ uuid: made.uuid, serial: 'WD-CA1H7K2K' }));
    expect(place && (await findDrive(place))).toEqual(made);
  });

  test('that is a drive is written where no path leads to, and is free as soon as it is closed', async () => {
    const loop = new LoopDisk({ bytes: 512 * MIB, serial: 'WD-CA1H7K2K' });
    const made = await formatDisk({ disk: await seen(loop), drive, fileSystem: 'ext4' }, quiet);
    const mounted = await mountDrive(made, 'write');
    const volume = await openVolume({ path: mounted.path, id: drive }, 'write');
    expect(await volume.write('objects/000/000001.1', Buffer.from('sealed'))).toBe(true);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(loop.device);
    expect((await seen(loop)).inUse).toBe(true);
    volume.close();
    mounted.close();
    expect((await seen(loop)).inUse).toBe(false);
    const again = await mountDrive(made, 'read');
    const reread = await openVolume({ path: again.path, id: drive }, 'read');
    expect((await reread.read('objects/000/000001.1', 100))?.toString()).toBe('sealed');
    reread.close();
    again.close();
  });

  test.each<FileSystem>(['ext4', 'xfs'])(
    'with a dirty %s journal and files that nobody names is read without a write',
    async (fileSystem) => {
      const loop = new LoopDisk({ bytes: 512 * MIB, serial: `DIRTY-${fileSystem}` });
      const made = await formatDisk({ disk: await seen(loop), drive, fileSystem }, quiet);
      const folder = `${loop.image}.mounted`;
      mkdirSync(folder);
      run('mount', made.device, folder);
      symlinkSync('/etc/passwd', `${folder}/link`);
      run('mknod', `${folder}/device`, 'c', '1', '5');
      run('cp', '/bin/true', `${folder}/program`);
      run('umount', folder); // what is only in the journal is not seen without it
      run('mount', made.device, folder);
      const open = openSync(`${folder}/orphan`, 'w');
      writeSync(open, Buffer.alloc(3 * MIB, 7));
      unlinkSync(`${folder}/orphan`);
      run('xfs_io', '-x', '-c', 'shutdown -f', folder);
      closeSync(open);
      run('umount', folder);
      const hash = loop.sha256();
      const mounted = await mountDrive(made, 'read');
      readdirSync(mounted.path);
      expect(() => writeFileSync(`${mounted.path}/mark`, 'x')).toThrow('EROFS');
      expect(() => readFileSync(`${mounted.path}/link`)).toThrow('ELOOP');
      expect(() => readFileSync(`${mounted.path}/device`)).toThrow('EACCES');
      const program = mounted.path.replace('self', `${process.pid}`);
      expect(() => run(`${program}/program`)).toThrow('EACCES');
      mounted.close();
      expect(loop.sha256()).toBe(hash);
      run('mount', made.device, folder); // the journal is still there to be replayed
      run('umount', folder);
      expect(loop.sha256()).not.toBe(hash);
    },
  );

  test('that was written to is told from one that was not, be it by the same bytes', async () => {
    const loop = new LoopDisk({ bytes: 256 * MIB, serial: 'WRITTEN-1' });
    const before = loop.state();
    expect(loop.state()).toEqual(before);
    const fd = openSync(loop.device, 'r+');
    writeSync(fd, Buffer.alloc(512)); // it holds zeros already
    const after = loop.state();
    closeSync(fd);
    expect(after.sha256).toBe(before.sha256);
    expect(after).not.toEqual(before);
  });

  test('that changed between confirmation and write is not written to, nor is any other', async () => {
    const meant = new LoopDisk({ bytes: 256 * MIB, serial: 'MEANT-1' });
    const other = new LoopDisk({ bytes: 256 * MIB, serial: 'OTHER-1' });
    const beside = new LoopDisk({ bytes: 256 * MIB, serial: 'BESIDE-1' });
    const disk = await seen(meant);
    const { image: own } = meant;
    const ownBefore = meant.sha256();
    const { image } = other;
    other.release();
    meant.renumber(image); // its serial stays what udev last heard: the worst case
    const before = [meant.state(), beside.state()];
    await expect(formatDisk({ disk, drive, fileSystem: 'ext4' }, quiet)).rejects.toMatchObject({
      code: 'DriveForeign',
    });
    expect([meant.state(), beside.state()]).toEqual(before);
    expect(hashOf(own)).toBe(ownBefore);
    meant.renumber(own);
  });

  test('with a mounted partition is refused, whoever has mounted it, and cannot be formatted', async () => {
    const loop = new LoopDisk({ bytes: 512 * MIB, serial: 'MOUNTED-1' });
    const made = await formatDisk({ disk: await seen(loop), drive, fileSystem: 'ext4' }, quiet);
    const confirmed = await seen(loop);
    const mounted = await mountDrive(made, 'write');
    const before = loop.state();
    expect(refusals(await seen(loop), { among: [] }).map(({ rule }) => rule)).toEqual(['in-use']);
    await expect(formatDisk({ disk: confirmed, drive, fileSystem: 'xfs' }, quiet)).rejects.toMatchObject({
      code: 'WrongState',
    });
    expect(loop.state()).toEqual(before);
    mounted.close();
  });

  test('is the only one that any program writes to', async () => {
    const meant = new LoopDisk({ bytes: 256 * MIB, serial: 'MEANT-3' });
    const decoys = ['DECOY-31', 'DECOY-32'].map((serial) => new LoopDisk({ bytes: 256 * MIB, serial }));
    const before = decoys.map((decoy) => decoy.state());
    const script = `
      const { discoverDisks } = await import('${dist}/store/block-device.js');
      const { formatDisk } = await import('${dist}/store/disk-format.js');
      const disk = (await discoverDisks()).find(({ device }) => device === '${meant.device}');
      await formatDisk({ disk, drive: '${drive}', fileSystem: 'ext4' }, { roles: {}, onLine: () => {} });`;
    const calls = 'trace=write,pwrite64,writev,pwritev,pwritev2,fallocate,copy_file_range,sendfile,splice';
    const trace = `${meant.image}.trace`;
    const node = [process.execPath, '--input-type=module', '-e', script];
    run('strace', '-f', '-qq', '-yy', '-s', '0', '-e', calls, '-e', 'signal=none', '-o', trace, ...node);
    const written = [...readFileSync(trace, 'utf8').matchAll(/<block (\d+:\d+)>/g)].map(([, number]) => number);
    const partition = readFileSync(
      `/sys/dev/block/${meant.number}/${path.basename(meant.device)}p1/dev`,
      'utf8',
    ).trim();
    expect([...new Set(written)].sort()).toEqual([meant.number, partition].sort());
    expect(decoys.map((decoy) => decoy.state())).toEqual(before);
  });

  test('that a machine runs from is known as such', async () => {
    const system = (await discoverDisks()).find(({ carries }) => carries.includes('system'));
    expect(system?.sizeBytes).toBeGreaterThan(1 * GIB);
    expect(system && refusals(system, { among: [] }).map(({ rule }) => rule)).toEqual(
      expect.arrayContaining(['system', 'mounted']),
    );
  });
});

describe('what is used of a disk', () => {
  test.each(['ext2', 'ext4', 'xfs'])(
    'of %s is told without a write to it, and not when it may be wrong',
    async (type) => {
      const loop = new LoopDisk({ bytes: 512 * MIB, serial: 'WD-CA1H7K2K' });
      run(`mkfs.${type}`, '-q', '-L', 'family', loop.device);
      const folder = mkdtempSync(path.join(tmpdir(), 'seedship-used-'));
      const used = async () => (await withUsage(await seen(loop))).holds[0]?.usedBytes;
      run('mount', loop.device, folder);
      writeFileSync(path.join(folder, 'photos'), Buffer.alloc(50 * MIB, 1));
      run('sync', '--file-system', folder);
      expect(await used()).toBeUndefined();
      run('umount', folder);
      const before = loop.state();
      expect(((await used()) ?? 0) / MIB).toBeCloseTo(51, -1);
      expect(loop.state()).toEqual(before);
      const [found] = (await seen(loop)).holds;
      run('mount', loop.device, folder);
      writeFileSync(path.join(folder, 'more'), Buffer.alloc(50 * MIB, 1));
      run('sync', '--file-system', folder);
      const pulled = new LoopDisk({ bytes: 0, image: copied(loop), serial: 'PULLED-17' });
      run('umount', folder);
      rmSync(folder, { recursive: true });
      const [holds] = (await withUsage(await seen(pulled))).holds;
      expect([holds?.uuid, holds?.usedBytes]).toEqual([found?.uuid, undefined]);
    },
  );

  test('is not that of another disk which came meanwhile', async () => {
    const loop = new LoopDisk({ bytes: 512 * MIB, serial: 'WD-CA1H7K2K' });
    run('mkfs.ext4', '-q', loop.device);
    const disk = await seen(loop);
    expect((await withUsage(disk)).holds[0]?.usedBytes).toBeDefined();
    run('mkfs.ext4', '-q', '-F', loop.device);
    expect((await withUsage(disk)).holds[0]?.usedBytes).toBeUndefined();
  });
});

/** The image as a disk has it that is pulled now. */
function copied({ image }: LoopDisk): string {
  run('cp', '--sparse=always', image, `${image}.pulled`);
  return `${image}.pulled`;
}

describe('a drive from the street', () => {
  test.each([
    ['names that count for nothing', '.'],
    ['other names', 'x'],
  ])('of twenty thousand %s is refused after the first few thousand', async (_, first) => {
    const loop = new LoopDisk({ bytes: 512 * MIB, serial: 'WD-CA1H7K2K' });
    const made = await formatDisk({ disk: await seen(loop), drive, fileSystem: 'ext4' }, quiet);
    const folder = mkdtempSync(path.join(tmpdir(), 'seedship-street-'));
    run('mount', made.device, folder);
    run('sh', '-c', `cd "$1" && seq -f '${first}%0100.0f' 20000 | xargs touch`, '-', folder);
    run('umount', folder);
    const look = `
      const { mountDrive } = await import('${dist}/store/drive-mount.js');
      const { measureVolume } = await import('${dist}/store/drive-volume.js');
      const mounted = await mountDrive(${JSON.stringify(made)}, 'read');
      await measureVolume(mounted.path).catch(({ code, why }) => console.log(code, why));`;
    const trace = path.join(folder, 'trace');
    const node = [process.execPath, '--input-type=module', '--eval', look];
    expect(run('strace', '-f', '-e', 'trace=getdents64', '-o', trace, ...node)).toBe(
      'DriveForeign it holds something else\n',
    );
    const reads = readFileSync(trace, 'utf8').split('getdents64(').length - 1; // each gives 250 of these names
    rmSync(folder, { recursive: true });
    expect(reads).toBeGreaterThan(0);
    expect(reads).toBeLessThan(30);
  });
});
