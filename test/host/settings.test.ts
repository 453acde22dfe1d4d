import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Failure } from '../../domain/failure.ts';
import { embeddedFile, loadSettings, type SettingSources } from '../../host/settings.ts';

let home: string;
let sources: SettingSources;

beforeEach(async () => {
  home = mkdtempSync(path.join(os.tmpdir(), 'seedship-settings-'));
  await mkdir(path.join(home, 'here'));
  await mkdir(path.join(home, '.config', 'seedship'), { recursive: true });
  await mkdir(path.join(home, '.local/state/seedship'), { recursive: true });
  const environment = { HOME: home, TEMPORAL_CONFIG_FILE: path.join(home, 'temporal.toml') };
  sources = { environment, directory: path.join(home, 'here'), systemFile: path.join(home, 'system.toml') };
});
afterEach(() => rmSync(home, { recursive: true }));

const near = (text: string) => writeFileSync(path.join(home, 'here/seedship.toml'), text);
const user = (text: string) => writeFileSync(path.join(home, '.config/seedship/seedship.toml'), text);
const system = (text: string) => writeFileSync(path.join(home, 'system.toml'), text);
const embed = (text: string) => writeFileSync(embeddedFile(path.join(home, '.local/state/seedship')), text);

const EMBEDDED = JSON.stringify({
  pid: 1,
  'temporal-address': '127.0.0.1:7001',
  'temporal-namespace': 'seedship',
  'ui-url': 'http://127.0.0.1:7002',
  destinations: { embedded: { url: 's3://', endpoint: 'http://127.0.0.1:7003' } },
});

function originOf(key: string, more: SettingSources = {}): string | undefined {
  return loadSettings({ ...sources, ...more }).rows.find((row) => row.key === key)?.origin;
}

function failureOf(more: SettingSources = {}): Failure {
  try {
    loadSettings({ ...sources, ...more });
  } catch (error) {
    if (error instanceof Failure) return error;
  }
  throw new Error('the settings were taken');
}

describe('settings', () => {
  test('the first that speaks is heard, and is named as the origin', () => {
    const key = 'temporal-address';
    const speak = { environment: { ...sources.environment, SEEDSHIP_TEMPORAL_ADDRESS: 'b:1' } };
    const heard: [string | undefined, string | undefined][] = [];
    const hear = (more?: SettingSources) =>
      heard.push([loadSettings({ ...sources, ...more }).temporal.address, originOf(key, more)]);
    hear();
    embed(EMBEDDED);
    hear();
    writeFileSync(path.join(home, 'temporal.toml'), '[profile.default]\naddress = "f:1"\n');
    hear();
    system('temporal-address = "e:1"');
    hear();
    user('temporal-address = "d:1"');
    hear();
    near('temporal-address = "c:1"');
    hear();
    hear({ environment: { ...sources.environment, TEMPORAL_ADDRESS: 't:1' } });
    hear(speak);
    hear({ ...speak, flags: { 'temporal-address': 'a:1' } });
    expect(heard).toEqual([
      ['localhost:7233', 'default'],
      ['127.0.0.1:7001', 'embedded'],
      ['f:1', 'temporal.toml'],
      ['e:1', path.join(home, 'system.toml')],
      ['d:1', path.join(home, '.config/seedship/seedship.toml')],
      ['c:1', path.join(home, 'here/seedship.toml')],
      ['t:1', 'TEMPORAL_ADDRESS'],
      ['b:1', 'SEEDSHIP_TEMPORAL_ADDRESS'],
      ['a:1', '--temporal-address'],
    ]);
  });

  test('directories follow XDG and the flag', () => {
    const xdg = { environment: { ...sources.environment, XDG_STATE_HOME: '/x/state' } };
    expect(loadSettings(sources).stateDirectory).toBe(path.join(home, '.local/state/seedship'));
    expect(loadSettings({ ...sources, ...xdg }).stateDirectory).toBe('/x/state/seedship');
    expect(loadSettings({ ...sources, ...xdg, flags: { 'state-dir': '/y' } }).stateDirectory).toBe('/y');
  });

  test('what has ended is listed for ninety days, or as long as was said', () => {
    expect(loadSettings(sources).keepFinishedDays).toBeUndefined();
    near('keep-finished-days = 365\n');
    expect(loadSettings(sources).keepFinishedDays).toBe(365);
    near('keep-finished-days = 0\n');
    expect(() => loadSettings(sources)).toThrow('keep-finished-days');
  });

  test('sizes and seconds are read as people write them', () => {
    near('throttle = "10MiB"\nbwlimit = "mon-08:00,1MiB fri-18:00,off"\nheartbeat-seconds = 5\n');
    const { throttle, bwlimit, heartbeatMs } = loadSettings(sources);
    expect([throttle, heartbeatMs]).toEqual([10 * 1024 * 1024, 5000]);
    expect(bwlimit).toEqual([{ minute: 1920, bytesPerSecond: 1_048_576 }, { minute: 8280 }]);
    near('bwlimit = "by day"\n');
    expect(() => loadSettings(sources)).toThrow('bwlimit');
  });

  test.each([
    ['1MiB', 1 << 20],
    ['64MiB', 64 << 20],
  ])('packs may be told to close at %s', (text, bytes) => {
    expect(
      loadSettings({ ...sources, environment: { ...sources.environment, SEEDSHIP_PACK_SIZE: text } }),
    ).toMatchObject({
      packBytes: bytes,
    });
  });

  test.each(['1023KiB', '65MiB'])('packs of %s are no packs', (text) => {
    expect(() =>
      loadSettings({ ...sources, environment: { ...sources.environment, SEEDSHIP_PACK_SIZE: text } }),
    ).toThrow('pack-size');
  });

  test('a place is taken whole from the nearest file that names it', () => {
    near('[places.bay]\nurl = "file:///near"\n');
    user('[places.bay]\nurl = "file:///far"\n[places.other]\nurl = "s3://b/p"\n');
    expect(loadSettings(sources).places).toEqual({ bay: 'file:///near', other: 's3://b/p' });
  });

  test('no row shows a secret', () => {
    const keys = 'access-key-id = "id"\nsecret-access-key = "hush"\n';
    near(`[destinations.far]\nurl = "s3://b"\n${keys}[destinations.far.roles.machine]\n${keys}`);
    const settings = loadSettings(sources);
    expect(settings.destinations.far?.roles?.machine?.['secret-access-key']).toBe('hush');
    expect(JSON.stringify(settings.rows)).not.toContain('hush');
  });

  test.each([
    ['an unknown key', 'colour = "red"\n', 'colour: no such key'],
    ['a wrong value', 'bays = 0\n', ''],
    ['a name with a slash', 'host = "a/b"\n', 'lower-case'],
    ['what is no TOML', '= =', ''],
  ])('%s is refused, naming the file', (_, text, why) => {
    near(text);
    const failure = failureOf();
    expect([failure.code, failure.message]).toEqual(['Configuration', expect.stringContaining('here/seedship.toml')]);
    expect(failure.why).toContain(why);
  });

  test('a wrong flag is refused, naming the flag', () => {
    expect(failureOf({ flags: { bays: 'many' } }).message).toBe('bays in --bays cannot be used');
  });

  test('a torn embedded file counts as absent', () => {
    embed('{"pid": 1');
    expect(loadSettings(sources).embedded).toBeUndefined();
  });
});
