/**
 * `npm run bench:limits`: what each part of a first backup takes when it is all that is done, in one thread, on files
 * that are in memory: reading, hashing, compressing, sealing, opening again, naming, writing. No code of Seedship's
 * takes part, only the libraries that it stands on. Their sum over the cores is what no backup of this kind can beat.
 *
 *   --corpus DIR   a folder of bench/make_corpus.py, whose holes are left out     --work DIR   for what is written
 *   --part N/OF    only each OF-th file: so that several processes share one folder; without it, both are done, one
 *                  process alone and one a core at once
 */
import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto';
import { closeSync, constants, fsyncSync, openSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import zstd from 'zstd-napi/binding.js';
import { KIB, MIB } from '../domain/units.ts';
import { Programs } from './programs.ts';

const STEPS = ['read', 'hash', 'compress', 'seal', 'open again', 'name', 'write'] as const;
type Step = (typeof STEPS)[number];
const LEVEL = 2;
const SLICE = 128 * KIB;
const SELF = fileURLToPath(import.meta.url);

class Limits {
  readonly seconds: Record<Step, number> = {
    ...{ read: 0, hash: 0, compress: 0, seal: 0, 'open again': 0, name: 0, write: 0 },
  };
  bytes = 0;
  stored = 0;
  readonly #compressor = new zstd.CCtx();
  readonly #inflater = new zstd.DCtx();
  readonly #frame = Buffer.allocUnsafeSlow(MIB);
  readonly #squeezed = Buffer.allocUnsafeSlow(zstd.compressBound(MIB));
  readonly #sealed = Buffer.allocUnsafeSlow(MIB + 16);
  readonly #opened = Buffer.allocUnsafeSlow(MIB + 16);
  readonly #plain = Buffer.allocUnsafeSlow(MIB);
  readonly #key = randomBytes(32);
  readonly #out: number;
  #fill = 0;
  #frames = 0;

  constructor(out: string) {
    this.#compressor.setParameter(zstd.CParameter.compressionLevel, LEVEL);
    this.#out = openSync(out, 'wx');
  }

  file(name: string): void {
    const { O_RDONLY, O_NOATIME } = constants;
    const fd = this.#timed('read', () => openSync(name, O_RDONLY | O_NOATIME));
    for (;;) {
      const start = this.#fill;
      const count = this.#timed('read', () => readSync(fd, this.#frame, start, MIB - start, null));
      if (count === 0) break;
      this.#timed('hash', () => hash('sha256', this.#frame.subarray(start, start + count), 'buffer'));
      this.bytes += count;
      this.#fill += count;
      if (this.#fill === MIB) this.#pack();
    }
    this.#timed('read', () => closeSync(fd));
  }

  end(): void {
    this.#pack();
    this.#timed('write', () => fsyncSync(this.#out));
    closeSync(this.#out);
  }

  #pack(): void {
    const plain = this.#frame.subarray(0, this.#fill);
    if (plain.length === 0) return;
    const squeezed = this.#timed('compress', () => this.#compressor.compress2(this.#squeezed, plain));
    const small = squeezed < plain.length - (plain.length >> 6);
    const payload = small ? this.#squeezed.subarray(0, squeezed) : plain;
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32LE(this.#frames++);
    const tag = this.#timed('seal', () => this.#seal(payload, nonce));
    this.#timed('open again', () => this.#open({ payload, nonce, tag, small, plain }));
    const sealed = this.#sealed.subarray(0, payload.length);
    this.#timed('name', () => hash('sha256', sealed, 'buffer'));
    this.#timed('write', () => writeSync(this.#out, sealed));
    this.stored += sealed.length;
    this.#fill = 0;
  }

  #seal(payload: Buffer, nonce: Buffer): Buffer {
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    for (let at = 0; at < payload.length; at += SLICE)
      this.#sealed.set(cipher.update(payload.subarray(at, at + SLICE)), at);
    cipher.final();
    return cipher.getAuthTag();
  }

  #open(frame: { payload: Buffer; nonce: Buffer; tag: Buffer; small: boolean; plain: Buffer }): void {
    const { payload, nonce, tag, small, plain } = frame;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce).setAuthTag(tag);
    for (let at = 0; at < payload.length; at += SLICE)
      this.#opened.set(decipher.update(this.#sealed.subarray(at, Math.min(at + SLICE, payload.length))), at);
    decipher.final();
    const opened = this.#opened.subarray(0, payload.length);
    const back = small ? this.#plain.subarray(0, this.#inflater.decompress(this.#plain, opened)) : opened;
    if (!back.equals(plain)) throw new Error('a frame opens to something else');
  }

  #timed<T>(step: Step, work: () => T): T {
    const begun = performance.now();
    const result = work();
    this.seconds[step] += (performance.now() - begun) / 1000;
    return result;
  }
}

function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const at = path.join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'sparse') yield* filesBelow(at);
    else if (entry.isFile()) yield at;
  }
}

interface Told {
  readonly seconds: Record<Step, number>;
  readonly bytes: number;
  readonly stored: number;
}

function measurePart(corpus: string, work: string, [part, of]: readonly [number, number]): Told {
  const out = path.join(work, `limits-${process.pid}`);
  const limits = new Limits(out);
  let number = 0;
  try {
    for (const file of filesBelow(corpus)) if (number++ % of === part) limits.file(file);
    limits.end();
  } finally {
    rmSync(out, { force: true });
  }
  const { seconds, bytes, stored } = limits;
  return { seconds, bytes, stored };
}

/** So many processes at once, each with its share; their seconds added up. */
async function together(corpus: string, work: string, count: number): Promise<Told> {
  const programs = new Programs();
  const parts = await Promise.all(
    Array.from({ length: count }, (_, at) =>
      programs.must([process.execPath, SELF, '--corpus', corpus, '--work', work, '--part', `${at}/${count}`]),
    ),
  );
  const told: Told[] = parts.map(({ stdout }) => JSON.parse(stdout));
  const sum = (of: (one: Told) => number): number => told.reduce((total, one) => total + of(one), 0);
  const seconds = Object.fromEntries(STEPS.map((step) => [step, sum((one) => one.seconds[step])]));
  return { seconds: seconds as Record<Step, number>, bytes: sum((one) => one.bytes), stored: sum((one) => one.stored) };
}

async function main(): Promise<number> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { corpus: text, work: text, part: text } });
  const { corpus, work, part } = values;
  if (corpus === undefined || work === undefined) {
    process.stderr.write('npm run bench:limits -- --corpus DIR --work DIR\n');
    return 2;
  }
  if (part !== undefined) {
    const [at = 0, of = 1] = part.split('/').map(Number);
    process.stdout.write(`${JSON.stringify(measurePart(corpus, work, [at, of]))}\n`);
    return 0;
  }
  await together(corpus, work, 1); // brings the files into memory
  const cores = os.availableParallelism();
  const [alone, shared] = [await together(corpus, work, 1), await together(corpus, work, cores)];
  const total = ({ seconds }: Told): number => STEPS.reduce((sum, step) => sum + seconds[step], 0);
  const rows = [...STEPS.map((step) => [step, alone.seconds[step], shared.seconds[step]] as const)];
  const lines = [...rows, ['sum', total(alone), total(shared)] as const].map(
    ([name, one, all]) => `| ${name} | ${one.toFixed(2)} | ${all.toFixed(2)} |`,
  );
  const sizes = `${(alone.bytes / MIB).toFixed(0)} MiB read, ${(alone.stored / MIB).toFixed(0)} MiB stored`;
  process.stdout.write(`${sizes}\n\n| part | s, one process | s, ${cores} at once, added up |\n|---|---|---|\n`);
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

process.exitCode = await main();
