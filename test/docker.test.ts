/**
 * There is no container engine where the tests run, so the compose file is held against the code:
 * its queues, variables, ports and search attributes must be ones the code knows.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { SEARCH_ATTRIBUTES } from '../host/servers.ts';
import { loadSettings } from '../host/settings.ts';

interface Service {
  readonly image?: string;
  readonly command?: string[];
  readonly environment?: Record<string, string>;
  readonly depends_on?: Record<string, unknown>;
  readonly volumes?: string[];
  readonly ports?: string[];
}

const compose: { services: Record<string, Service>; volumes: Record<string, unknown> } = parse(
  readFileSync('docker/compose.yaml', 'utf8'),
  { merge: true },
);
const dockerfile = readFileSync('docker/Dockerfile', 'utf8');
const services = Object.entries(compose.services);
const workers = services.filter(([, { image }]) => image?.startsWith('seedship:'));
const SITES = ['control', 'source', 'copy', 'datacenter', 'dock', 'vault'];

describe('compose file', () => {
  test('has one service a site, each running that site of the command line', () => {
    expect(workers.map(([name]) => name).sort()).toEqual([...SITES].sort());
    for (const [name, { command }] of workers) expect(command).toEqual(['worker', 'run', name]);
  });

  test.each(workers)('%s is told only what settings know', (_, { environment = {} }) => {
    const ours = Object.entries(environment).filter(([key]) => key.startsWith('SEEDSHIP_'));
    const values = Object.fromEntries(ours.map(([key, value]) => [key, value.replace(/\$\{\w+:-([^}]*)\}/, '$1')]));
    const settings = loadSettings({
      environment: { ...environment, ...values, HOME: os.tmpdir() },
      directory: os.tmpdir(),
    });
    for (const [key, value] of Object.entries(values)) {
      const flag = key.replace('SEEDSHIP_', '').toLowerCase().replaceAll('_', '-');
      expect(settings.rows).toContainEqual({ key: flag, value, origin: key });
    }
    expect(settings.temporal).toMatchObject({ address: 'temporal:7233', namespace: 'seedship' });
  });

  test('what a service waits for, mounts and talks to is there', () => {
    for (const [, { depends_on = {}, volumes = [], environment = {} }] of services) {
      for (const other of Object.keys(depends_on)) expect(Object.keys(compose.services)).toContain(other);
      for (const volume of volumes.filter((entry) => /^[a-z]/.test(entry)))
        expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0]);
      for (const value of Object.values(environment)) {
        const [, host, port] = /^(?:http:\/\/)?([a-z0-9]+):(\d+)$/.exec(String(value)) ?? [];
        if (!host) continue;
        expect(Object.keys(compose.services)).toContain(host);
        expect(JSON.stringify(compose.services[host])).toContain(port);
      }
    }
  });

  test('every site reads the sample settings, whose places are mounted where they are needed', () => {
    const settings = loadSettings({
      environment: { HOME: os.tmpdir() },
      directory: os.tmpdir(),
      systemFile: 'docker/seedship.toml',
    });
    expect(settings.uiUrl).toMatch(/^http/);
    expect(Object.keys(settings.places)).toEqual(['staging']);
    for (const [name, { volumes = [] }] of workers) {
      expect([name, volumes]).toEqual([
        name,
        expect.arrayContaining(['./seedship.toml:/etc/seedship/seedship.toml:ro']),
      ]);
      const { pathname } = new URL(settings.places.staging ?? '');
      expect([name, volumes.some((entry) => entry.endsWith(`:${pathname}`))]).toEqual([
        name,
        name === 'source' || name === 'copy',
      ]);
    }
    expect(settings.rows.filter(({ origin }) => origin.endsWith('docker/seedship.toml'))).toHaveLength(2);
  });

  test('the namespace gets every search attribute the workflows set, with its type', () => {
    const command = compose.services.namespace?.command?.join('') ?? '';
    const made = [...command.matchAll(/--name (\w+) --type (\w+)/g)].map(([, name, type]) => `${name}=${type}`);
    expect(made.sort()).toEqual(
      Object.entries(SEARCH_ATTRIBUTES)
        .map(([name, type]) => `${name}=${type}`)
        .sort(),
    );
  });

  test('nothing listens beyond loopback, and no secret has a default', () => {
    for (const [, { ports = [] }] of services) for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
    expect(readFileSync('docker/compose.yaml', 'utf8')).not.toMatch(/(PASSWORD|SECRET)\w*:-/);
  });
});

describe('image', () => {
  test('copies what package.json runs, builds for no musl, and is not root unless it touches disks', () => {
    const { bin, engines }: { bin: Record<string, string>; engines: { node: string } } = JSON.parse(
      readFileSync('package.json', 'utf8'),
    );
    expect(dockerfile).toContain(`/opt/seedship/${bin.seedship} /usr/local/bin/seedship`);
    expect(engines.node).toBe('>=20.19');
    expect(dockerfile).not.toMatch(/alpine|musl:/i);
    expect(dockerfile).toMatch(/^USER 1000:1000$/m);
    const roots = services.filter(([, service]) => 'user' in service).map(([name]) => name);
    expect(roots.sort()).toEqual(['dock', 'source']);
  });

  let hadolint = '';
  beforeAll(() => {
    hadolint = linter();
  }, 120_000);

  test('hadolint finds nothing', () => {
    if (!hadolint) return missing('hadolint');
    const { status, stdout } = spawnSync(hadolint, ['docker/Dockerfile'], { encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, '']);
  });
});

function linter(): string {
  const onPath = spawnSync('sh', ['-c', 'command -v hadolint'], { encoding: 'utf8' }).stdout.trim();
  if (onPath) return onPath;
  const folder = path.join(os.tmpdir(), `seedship-hadolint-2.15.1-${os.userInfo().uid}`);
  const program = path.join(folder, 'bin', 'hadolint');
  if (!existsSync(program)) {
    const words = '-m pip install -q --no-deps --require-hashes --target'.split(' ');
    spawnSync('python3', [...words, folder, '-r', 'test/harness/tools-requirements.txt'], { stdio: 'ignore' });
  }
  return existsSync(program) ? program : '';
}

function missing(part: string): void {
  if (process.env.SEEDSHIP_CI) throw new Error(`${part} is missing`);
  process.stderr.write(`SKIPPED: ${part} is missing on this machine\n`);
}
