/**
 * Kills and power cuts over preparation and ingest, on file systems of real disks. A power cut here is the
 * file system's own shutdown, without a flush of its journal: what was not forced to the disk is gone. It takes
 * the drive and the disk of the host, where staging, landing, journals and receipts lie, in either order.
 *
 * What must hold after any number of them: every object is on the drive, and was written to it once, since what
 * the journal records is on the medium; and every object lands once.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { decodeJournal } from '../../format/journal.ts';
import { runChild } from '../../pipeline/child.ts';
import type { IngestTask, PrepareTask, TransferResult } from '../../pipeline/child-tasks.ts';
import { HostDisk } from '../harness/host-disk.ts';
import { releaseDisks } from '../harness/loop-disk.ts';
import { mutant } from '../harness/mutant.ts';
import { Workbench } from '../pipeline/fixture.ts';
import { DriveRig, type RigDisk } from './rig.ts';

const WHOLE = process.env.SEEDSHIP_CI !== undefined;
const KILLS = Number(process.env.SEEDSHIP_DRIVE_KILLS ?? (WHOLE ? 100 : 12));
const CUTS = Number(process.env.SEEDSHIP_DRIVE_CUTS ?? (WHOLE ? 60 : 8));
const FAULTS_A_DRIVE = 10;
const BYTES_A_SECOND = 12 * MIB;
const DELAY_MS_MAX = 700;

let rig: DriveRig;
let host: HostDisk;
const builds = new Workbench('seedship-builds');
let chance = 20_261_123; // a seed: a round that fails can be run again

beforeAll(async () => {
  host = new HostDisk();
  rig = await DriveRig.start('faults', BYTES_A_SECOND, (folder) => host.mount(folder));
}, 120_000);
afterEach(releaseDisks);
afterAll(() => {
  host?.close();
  rig?.bench.close();
  builds.close();
});

/** @returns whether it hit: a drive that is just being let go has no file system to shut down */
type Fault = (pid: number, drive: RigDisk) => boolean;
type Run = typeof runChild;

const kill: Fault = (pid) => process.kill(pid, 'SIGKILL');

const cut: Fault = (pid, { at }) => {
  const drive = openedOn(statSync(at.path).rdev, pid);
  if (drive === undefined) return false;
  const offHost = (): boolean => host.cut();
  const offDrive = (): boolean => shutDown(drive);
  const hits = random() < 0.5 ? [offHost(), offDrive()] : [offDrive(), offHost()];
  process.kill(pid, 'SIGKILL');
  return hits.includes(true);
};

/** The root of a device's file system, as the process has it open: no path leads there. */
function openedOn(rdev: number, pid: number): string | undefined {
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const file = `/proc/${pid}/fd/${fd}`;
    try {
      if (readlinkSync(file) === '/' && statSync(file).dev === rdev) return file;
    } catch {} // that descriptor has just gone
  }
  return undefined;
}

/** False when the drive, or the process, has just gone. */
function shutDown(root: string): boolean {
  try {
    execFileSync('xfs_io', ['-x', '-c', 'shutdown', root], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

function random(): number {
  chance = (chance * 48_271) % 2_147_483_647; // Lehmer's, the minimal standard one
  return chance / 2_147_483_647;
}

interface Hit {
  readonly result?: TransferResult;
  readonly hit: boolean;
}

/** One attempt; the fault comes some time after its first progress, or never. */
async function attempt(
  task: PrepareTask | IngestTask,
  disk: RigDisk,
  fault: Fault | undefined,
  run: Run,
): Promise<Hit> {
  const secrets = task.mode === 'prepare' ? rig.copySite : rig.dockSite;
  let pid = 0;
  let hit = false;
  let timer: NodeJS.Timeout | undefined;
  try {
    const result = await run(task, {
      secrets,
      signal: new AbortController().signal,
      log: () => {},
      onStart: (started) => {
        pid = started;
      },
      onProgress: () => {
        if (!fault || timer) return;
        const strike = (): void => {
          hit = fault(pid, disk);
        };
        timer = setTimeout(strike, random() * DELAY_MS_MAX);
      },
    });
    return { result, hit: false };
  } catch (error) {
    if (!hit) throw error;
    await host.comeBack();
    return { hit };
  } finally {
    clearTimeout(timer);
  }
}

async function through(task: PrepareTask | IngestTask, disk: RigDisk, fault: Fault, most: number, run: Run) {
  let hits = 0;
  for (;;) {
    const { result, hit } = await attempt(task, disk, hits < most ? fault : undefined, run);
    if (hit) hits += 1;
    if (result) return { result, hits };
  }
}

/** Objects that journals say were written, over all epochs: more than there are when one was written twice. */
function recorded({ at }: RigDisk): number {
  const folder = `${rig.bench.at('copy-state')}/journals/${at.id}`;
  return readdirSync(folder).reduce((sum, name) => {
    const epoch = Number(name.split('.')[1]);
    const bytes = readFileSync(`${folder}/${name}`);
    return sum + (bytes.length === 0 ? 0 : decodeJournal(bytes, { drive: at.id, epoch }).objects.length);
  }, 0);
}

async function suite(name: string, fault: Fault, most: number, run: Run = runChild): Promise<number> {
  let total = 0;
  for (let round = 0; total < most; round++) {
    const disk = await rig.newDisk(round % 2 === 0 ? 'ext4' : 'xfs');
    const landing = await rig.landingOf(disk.at);
    const left = (): number => Math.min(FAULTS_A_DRIVE, most - total);
    const prepared = await through(rig.prepareTask(disk.at, landing), disk, fault, left(), run);
    total += prepared.hits;
    expect(prepared.result).toMatchObject({ objects: rig.staged.objects, missing: 0, damaged: 0 });
    expect([name, round, recorded(disk)]).toEqual([name, round, rig.staged.objects]);
    const ingested = await through(
      rig.ingestTask(disk.at, landing, prepared.result),
      disk,
      fault,
      Math.min(4, left()),
      run,
    );
    total += ingested.hits;
    const { objects, present, missing, damaged } = ingested.result;
    expect([objects + present, missing, damaged]).toEqual([rig.staged.objects, 0, 0]);
    rig.expectLanded(landing);
    disk.loop.release();
  }
  return total;
}

describe('preparation and ingest of a disk', () => {
  test(`survive ${KILLS} kills: nothing is lost, or written twice`, async () => {
    expect(await suite('kill', kill, KILLS)).toBe(KILLS);
  }, 600_000);

  test(`survive ${CUTS} power cuts: nothing is lost, or written twice`, async () => {
    expect(await suite('cut', cut, CUTS)).toBe(CUTS);
  }, 600_000);

  test('do not survive power cuts in a build that does not force its writes to the drive', async () => {
    const forced = /await sync\(fd\);\s+await sync\(directory\);/;
    const run = await mutant(builds.at('drive'), ['store/drive-writing.js', forced, '']);
    const found = /toEqual[\s\S]*cut without fsync|do not read back as they were written/; // by us, or by itself
    await expect(suite('cut without fsync', cut, 10, run)).rejects.toThrow(found);
  }, 200_000);

  test('do not survive power cuts in a build that does not force its writes to the disk of the host', async () => {
    const forced = /(?<=await handle\.writeFile\(bytes\);\s+)await handle\.sync\(\);/;
    const label = "if (file.endsWith('.json')) await handle.sync();"; // the drive's own
    const run = await mutant(builds.at('host'), ['store/durable-file.js', forced, label]);
    await expect(suite('cut without fsync', cut, 10, run)).rejects.toThrow(/not the bytes|wrap: 0 bytes|expect\(/);
  }, 200_000);
});
