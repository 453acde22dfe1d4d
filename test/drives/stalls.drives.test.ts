/** What a copy host meets besides kills: a child that hangs, drives whose cache forgets, staging on a share. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { MIB } from '../../domain/units.ts';
import { decodeJournal } from '../../format/journal.ts';
import { LoopDisk, releaseDisks, run } from '../harness/loop-disk.ts';
import { cutServed, releaseServed, serveImage } from '../harness/served-disk.ts';
import { SHARES } from '../harness/shares.ts';
import { perform } from '../pipeline/fixture.ts';
import { DriveRig } from './rig.ts';

const CUTS = Number(process.env.SEEDSHIP_CACHE_CUTS ?? 4);
const SFTP = '/usr/lib/openssh/sftp-server';
let rig: DriveRig;
let share: ChildProcess | undefined;

beforeAll(async () => {
  rig = await DriveRig.start('stalls', 8 * MIB);
}, 120_000);
afterEach(() => {
  releaseDisks();
  releaseServed();
});
afterAll(() => {
  if (share) run('umount', rig.bench.at('share'));
  rig?.bench.close();
});

describe('a preparing child', () => {
  test('that hangs past its heartbeat is replaced by another, and changes nothing when it wakes', async () => {
    const disk = await rig.newDisk('ext4');
    const landing = await rig.landingOf(disk.at);
    const task = rig.prepareTask(disk.at, landing);
    let hung = 0;
    let seen = 0;
    const first = perform(task, rig.copySite, {
      onStart: (pid) => {
        hung = pid;
      },
      onProgress: ({ objectsDone }) => {
        seen = objectsDone ?? 0;
        if (seen >= 3) process.kill(hung, 'SIGSTOP');
      },
    }).catch((error: unknown) => error);
    for (let tries = 0; tries < 100 && seen < 3; tries += 1) await sleep(100);
    await sleep(200);
    expect(run('ps', '-o', 'stat=', '-p', `${hung}`)).toMatch(/^T/);
    const second = await perform(task, rig.copySite);
    expect(second).toMatchObject({ objects: rig.staged.objects, missing: 0, damaged: 0 });
    try {
      process.kill(hung, 'SIGCONT');
    } catch {} // it was ended by the one that took its place
    expect(await first).toBeInstanceOf(Error);
    await sleep(500);
    const taken = await perform(rig.ingestTask(disk.at, landing, second), rig.dockSite);
    expect(taken).toMatchObject({ objects: rig.staged.objects, missing: 0, damaged: 0 });
    rig.expectLanded(landing);
  }, 60_000);
});

describe('a disk that loses what its cache held', () => {
  /** nbdkit's `writeback` hands on what is flushed; `unsafe` says that it has and never does. */
  test.each(['writeback', 'unsafe'])(
    `at ${CUTS} power cuts, cache=%s, is filled whole in the end`,
    async (cache) => {
      const serial = `CACHE-${cache}`;
      const blank = new LoopDisk({ bytes: 400 * MIB, serial });
      const image = rig.bench.at(`${cache}.img`);
      const made = await rig.format(blank, 'ext4');
      blank.release();
      run('cp', '--sparse=always', blank.image, image);
      const landing = await rig.landingOf(made);
      let hits = 0;
      for (let round = 0; ; round += 1) {
        const words = ['--filter=cache', 'file', image, `cache=${cache}`];
        const served = await serveImage(rig.bench.at(`${cache}-${round}`), false, ...words);
        const loop = new LoopDisk({ bytes: 0, serial, image: served });
        run('partx', '--update', loop.device);
        const at = { ...made, path: `${loop.device}p1` };
        let child = 0;
        let timer: NodeJS.Timeout | undefined;
        const strike = (): void => {
          hits += 1;
          process.kill(child, 'SIGKILL');
        };
        const result = await perform(rig.prepareTask(at, landing), rig.copySite, {
          onStart: (pid) => {
            child = pid;
          },
          onProgress: () => {
            if (hits < CUTS) timer ??= setTimeout(strike, 300);
          },
        }).catch((error: unknown) => error);
        clearTimeout(timer);
        if (!(result instanceof Error)) {
          const prepared = Object(result);
          expect([prepared.objects, hits]).toEqual([rig.staged.objects, CUTS]);
          const taken = await perform(rig.ingestTask(at, landing, prepared), rig.dockSite);
          expect(taken).toMatchObject({ objects: rig.staged.objects, missing: 0, damaged: 0 });
          break;
        }
        expect(hits).toBe(round + 1);
        cutServed(served);
        loop.release();
      }
      rig.expectLanded(landing);
    },
    200_000,
  );
});

describe('a disk that is pulled while it is filled', () => {
  test('is told, and goes on at the next object when it is back', async () => {
    const blank = new LoopDisk({ bytes: 400 * MIB, serial: 'PULLED' });
    const made = await rig.format(blank, 'ext4');
    blank.release();
    const image = rig.bench.at('pulled.img');
    run('cp', '--sparse=always', blank.image, image);
    const landing = await rig.landingOf(made);
    const plugIn = async (name: string) => {
      const served = await serveImage(rig.bench.at(name), false, 'file', image);
      const loop = new LoopDisk({ bytes: 0, serial: 'PULLED', image: served });
      run('partx', '--update', loop.device);
      return { served, loop, task: rig.prepareTask({ ...made, path: `${loop.device}p1` }, landing) };
    };
    const first = await plugIn('plugged');
    let seen = 0;
    const pulled = perform(first.task, rig.copySite, {
      onProgress: ({ objectsDone = 0 }) => {
        if (seen < 5 && objectsDone >= 5) cutServed(first.served);
        seen = objectsDone;
      },
    });
    await expect(pulled).rejects.toMatchObject({ code: expect.stringMatching(/^Drive(?:Failed|Missing)$/) });
    first.loop.release();
    const again = await plugIn('plugged-again');
    const prepared = await perform(again.task, rig.copySite);
    expect(prepared).toMatchObject({ objects: rig.staged.objects, missing: 0, damaged: 0 });
    expect(journaled(made.id)).toBe(rig.staged.objects); // none was written twice
    const taken = await perform(rig.ingestTask(again.task.drive, landing, prepared), rig.dockSite);
    expect(taken).toMatchObject({ objects: rig.staged.objects, missing: 0, damaged: 0 });
    rig.expectLanded(landing);
  }, 60_000);
});

/** Objects that all journals of a drive record. */
function journaled(drive: string): number {
  const folder = rig.bench.at('copy-state/journals', drive);
  return readdirSync(folder).reduce((sum, name) => {
    const epoch = Number(name.split('.')[1]);
    return sum + decodeJournal(readFileSync(`${folder}/${name}`), { drive, epoch }).objects.length;
  }, 0);
}

describe('a staging location on a share', () => {
  test('that FUSE mounts fills a drive, and keeps its receipt', async () => {
    const folder = rig.bench.at('share');
    mkdirSync(folder);
    run('mkfifo', rig.bench.at('pipe'));
    const script = `sshfs -f -o passive :"$1" "$2" <"$3" | ${SFTP} -e >"$3"`;
    const words = ['-c', script, 'sh', rig.bench.at('staging'), folder, rig.bench.at('pipe')];
    share = spawn('sh', words, { stdio: 'ignore' });
    for (let tries = 0; tries < 50 && !run('cat', '/proc/self/mountinfo').includes(folder); tries += 1)
      await sleep(100);
    await fillFrom(folder);
    writeFileSync(`${folder}/still-there`, '');
  }, 60_000);

  for (const { kind, missing, mount } of SHARES) {
    const says = `that ${kind} mounts fills a drive, and keeps its receipt`;
    if (missing !== undefined) {
      process.stderr.write(`NOT TRIED: a staging location ${says}: ${missing}\n`);
      test.skip(`${says} (not tried: ${missing})`, () => {});
      continue;
    }
    test(says, async () => {
      const folder = rig.bench.at(`share-${kind}`);
      const release = await mount(rig.bench.at('staging'), folder);
      try {
        await fillFrom(folder);
      } finally {
        release();
      }
    }, 120_000);
  }
});

/** A drive takes all from a staging location that is mounted at `folder`, and its receipt lies there then. */
async function fillFrom(folder: string): Promise<void> {
  const disk = await rig.newDisk('xfs');
  const landing = await rig.landingOf(disk.at);
  const task = { ...rig.prepareTask(disk.at, landing), from: { url: `file://${folder}` } };
  const prepared = await perform(task, rig.copySite);
  expect(prepared).toMatchObject({ objects: rig.staged.objects, missing: 0, damaged: 0 });
  expect(await perform(task, rig.copySite)).toEqual(prepared); // by the receipt that it left there
  const taken = await perform(rig.ingestTask(disk.at, landing, prepared), rig.dockSite);
  expect(taken).toMatchObject({ objects: rig.staged.objects, missing: 0 });
  rig.expectLanded(landing);
}
