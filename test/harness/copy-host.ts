import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Embedded } from './embedded.ts';

/**
 * Makes `host` a copy host of the vault of `system`, with credentials of its own, and starts its worker.
 * @returns what ends the worker
 */
export async function joinAsCopyHost(host: Embedded, system: Embedded): Promise<() => Promise<void>> {
  const [credentials, code] = [system.at('attic.cred'), system.at('attic.code')];
  const out = ['--out', credentials, '--code-out', code];
  await system.must('vault', 'credentials', '--site', 'copy.attic', ...out, ...system.passphrase);
  mkdirSync(host.state, { recursive: true });
  copyFileSync(path.join(system.state, 'embedded.json'), path.join(host.state, 'embedded.json'));
  await host.must('agent', 'register', '--credentials', credentials, '--code-file', code);
  const { landing } = Object((await system.must('datacenter', 'show', 'home')).data);
  writeFileSync(host.at('seedship.toml'), `[places.landing-home]\nurl = "${landing}"\n`);
  return host.stay('worker', 'run', 'copy');
}
