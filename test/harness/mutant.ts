/** Our own build with a fault put into it, for tests that ask whether anything would notice. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { runChild } from '../../pipeline/child.ts';

/** In one file of the build, below `dist/`: what stands in it once, and what stands there instead. */
export type Fault = readonly [file: string, what: string | RegExp, instead: string];

/** @param folder a new one @returns what runs a task in a child of that build */
export async function mutant(folder: string, ...faults: readonly Fault[]): Promise<typeof runChild> {
  cpSync('dist', path.join(folder, 'dist'), { recursive: true });
  cpSync('package.json', path.join(folder, 'package.json'));
  symlinkSync(path.resolve('node_modules'), path.join(folder, 'node_modules'));
  for (const [name, what, instead] of faults) {
    const file = path.join(folder, 'dist', name);
    const parts = readFileSync(file, 'utf8').split(what);
    if (parts.length !== 2) throw new Error(`${name} does not hold this once: ${what}`);
    writeFileSync(file, parts.join(instead));
  }
  const { runChild: run }: { runChild: typeof runChild } = await import(path.join(folder, 'dist/pipeline/child.js'));
  return run;
}
