import { chmodSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { DRIVE_LABEL_FILE, measureVolume, openVolume, readDriveLabel } from '../../store/drive-volume.ts';

const root = mkdtempSync(path.join(tmpdir(), 'R-drive-volume-'));
const id = '7F3A00112233AABB';
let drive = '';
let drives = 0;

beforeEach(() => {
  drive = path.join(root, `drive-${drives++}`);
  mkdirSync(drive);
});
afterAll(() => rmSync(root, { recursive: true }));

describe('drive volume', () => {
  test('an empty drive is labelled, and nothing on it says whose it is', async () => {
    (await openVolume({ path: drive, id }, 'write')).close();
    expect(readFileSync(path.join(drive, DRIVE_LABEL_FILE), 'utf8')).toBe(`{"format":0,"drive":"${id}"}\n`);
    expect(await readDriveLabel(drive)).toBe(id);
  });

  test.each([
    ['an empty folder to read from', 'read', (): void => {}],
    ['a folder that holds something else', 'write', (): void => writeFileSync(path.join(drive, 'thesis.doc'), 'x')],
    ['another drive', 'write', (): void => label('{"format":0,"drive":"AAAAAAAAAAAAAAAA"}')],
    ['a label of a later format', 'read', (): void => label(`{"format":9,"drive":"${id}"}`)],
    ['a label that is no JSON', 'read', (): void => label('{')],
    ['a label without end', 'read', (): void => label(`{"format":0,"drive":"${id}"}${' '.repeat(5000)}`)],
  ] as const)('%s is refused', async (_, mode, make) => {
    make();
    await expect(openVolume({ path: drive, id }, mode)).rejects.toMatchObject({
      name: expect.stringMatching(/DriveForeign|CorruptError/),
    });
  });

  test('a drive that is not attached is missing', async () => {
    await expect(openVolume({ path: path.join(root, 'nowhere'), id }, 'write')).rejects.toMatchObject({
      code: 'DriveMissing',
    });
  });

  test('a file is heard in order, all of it, while it is read', async () => {
    const volume = await openVolume({ path: drive, id }, 'write');
    const place = 'objects/009/009999.1';
    const bytes = Buffer.alloc((9 << 20) + 5, 'in order ');
    await volume.write(place, bytes);
    const heard: Buffer[] = [];
    const read = await volume.read(place, bytes.length, (piece) => heard.push(Buffer.from(piece)));
    expect([Buffer.concat(heard).equals(bytes), read?.equals(bytes)]).toEqual([true, true]);
    volume.remove(place);
    volume.close();
  });

  test('what is written is read back, listed, and removed', async () => {
    const volume = await openVolume({ path: drive, id }, 'write');
    const bytes = Buffer.alloc(100_000, 7);
    expect(await volume.write('objects/001/001234.2', bytes)).toBe(true);
    expect(await volume.read('objects/001/001234.2', 100_000)).toEqual(bytes);
    expect(volume.list()).toEqual([{ place: 'objects/001/001234.2', number: 1234, epoch: 2, length: 100_000 }]);
    await expect(volume.write('objects/001/001234.2', bytes)).rejects.toMatchObject({ code: 'DriveFailed' });
    volume.remove('objects/001/001234.2');
    volume.remove('objects/001/001234.2');
    expect(await volume.read('objects/001/001234.2', 100_000)).toBeUndefined();
    volume.close();
  });

  test('a drive that would be filled past its capacity says how much is left', async () => {
    const volume = await openVolume({ path: drive, id, capacityBytes: 250_000 }, 'write');
    await volume.write('objects/000/000000.1', Buffer.alloc(100_000));
    expect(volume.freeBytes()).toBe(150_000);
    volume.remove('objects/000/000000.1');
    expect(volume.freeBytes()).toBe(250_000);
    volume.close();
  });

  test('a folder of names that count for nothing is empty, but not when they never end', async () => {
    fill(drive, '.note-', 4096);
    expect(await measureVolume(drive)).toMatchObject({ drive: undefined });
    fill(drive, '.more-', 1);
    const foreign = { code: 'DriveForeign', message: 'this is no Seedship drive' };
    await expect(measureVolume(drive)).rejects.toMatchObject(foreign);
    await expect(openVolume({ path: drive, id }, 'write')).rejects.toMatchObject(foreign);
  });

  test.each([
    ['objects', 'objects'],
    ['objects/007', 'objects/007'],
    ['the root', ''],
  ])('more names in %s than anybody writes are refused, not read', async (said, at) => {
    const volume = await openVolume({ path: drive, id }, 'write');
    await volume.write('objects/007/007000.1', Buffer.alloc(1));
    const names = { list: volume.list().length, closing: volume.listClosing().length };
    fill(path.join(drive, at), 'x', 4094);
    expect({ list: volume.list().length, closing: volume.listClosing().length }).toEqual(names);
    fill(path.join(drive, at), 'y', 2);
    expect(() => (at === '' ? volume.listClosing() : volume.list())).toThrow(
      `${said} of the drive has more than 4096 names`,
    );
    volume.close();
  });

  test.each([
    '../thesis',
    'objects/000/../../x',
    'objects/001/000001.1',
    'objects/000/000001.0',
    'objects/000/1.1',
    '/etc/passwd',
    'manifest/x',
  ])('%s is no place on a drive', async (place) => {
    const volume = await openVolume({ path: drive, id }, 'write');
    await expect(volume.read(place, 10)).rejects.toThrow(RangeError);
    await expect(volume.write(place, Buffer.alloc(1))).rejects.toThrow(RangeError);
    volume.close();
  });

  test('links, folders and giants in the place of an object are refused', async () => {
    const volume = await openVolume({ path: drive, id }, 'write');
    mkdirSync(path.join(drive, 'objects/000/000002.1'), { recursive: true });
    mkdirSync(path.join(root, 'elsewhere'), { recursive: true });
    writeFileSync(path.join(root, 'elsewhere/001000.1'), 'secret');
    writeFileSync(path.join(drive, 'objects/000/000003.1'), Buffer.alloc(11));
    symlinkSync(path.join(root, 'elsewhere/001000.1'), path.join(drive, 'objects/000/000001.1'));
    symlinkSync(path.join(root, 'elsewhere'), path.join(drive, 'objects/001'));
    await expect(volume.read('objects/000/000001.1', 10)).rejects.toThrow('not a plain file');
    await expect(volume.read('objects/000/000002.1', 10)).rejects.toThrow('not a plain file');
    await expect(volume.read('objects/000/000003.1', 10)).rejects.toThrow('larger than any that was written');
    await expect(volume.read('objects/001/001000.1', 10)).rejects.toThrow('not in a plain folder');
    await expect(volume.write('objects/001/001001.1', Buffer.alloc(1))).rejects.toThrow('not in a plain folder');
    volume.close();
  });
});

/** Links: files of their own would take longer to make. */
function fill(folder: string, name: string, names: number): void {
  const file = path.join(root, 'one');
  writeFileSync(file, '');
  for (let number = 0; number < names; number++) linkSync(file, path.join(folder, `${name}${number}`));
}

function label(text: string): void {
  writeFileSync(path.join(drive, DRIVE_LABEL_FILE), text);
  chmodSync(path.join(drive, DRIVE_LABEL_FILE), 0o600);
}
