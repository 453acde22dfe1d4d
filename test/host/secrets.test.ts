import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readPassphrase, readSecret, storageAccess } from '../../host/secrets.ts';
import { type Environment, loadSettings } from '../../host/settings.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), 'seedship-secrets-'));
});
afterEach(() => rmSync(home, { recursive: true }));

function settings(toml = '', environment: Environment = {}, flags = {}) {
  writeFileSync(path.join(home, 'seedship.toml'), toml);
  return loadSettings({
    environment: { HOME: home, TEMPORAL_CONFIG_FILE: '/none', ...environment },
    directory: home,
    systemFile: '/none',
    flags,
  });
}

describe('a secret', () => {
  test('is read from a file, without its line end', async () => {
    writeFileSync(path.join(home, 'pass'), 'correct horse\n');
    await expect(readPassphrase(settings('', {}, { 'passphrase-file': path.join(home, 'pass') }))).resolves.toBe(
      'correct horse',
    );
  });

  test('is read from an open descriptor before anything else', async () => {
    writeFileSync(path.join(home, 'pass'), 'by descriptor');
    const fd = openSync(path.join(home, 'pass'), 'r');
    await expect(readSecret({ what: 'passphrase', fd, file: '/none' })).resolves.toBe('by descriptor');
  });

  test('is read from the command the environment names', async () => {
    const from = settings('', { SEEDSHIP_PASSPHRASE_COMMAND: 'printf "two words\\n"' });
    await expect(readPassphrase(from)).resolves.toBe('two words');
  });

  test('is asked for when nothing else gives it', async () => {
    await expect(readPassphrase(settings(), async () => 'typed')).resolves.toBe('typed');
  });

  test('that nobody gives is a wrong use', async () => {
    await expect(readPassphrase(settings())).rejects.toMatchObject({ code: 'Usage' });
  });

  test.each([
    ['a missing file', { file: '/none/secret-name' }],
    ['an empty file', { file: '/dev/null' }],
    ['a failing command', { command: 'echo hush; exit 3' }],
    ['a command that says nothing', { command: 'true' }],
  ])('from %s is a wrong configuration, and the text tells nothing', async (_, sources) => {
    const failure: unknown = await readSecret({ what: 'passphrase', ...sources }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'Configuration' });
    expect(String(failure)).not.toMatch(/secret-name|hush/);
  });
});

describe('access to storage', () => {
  const FAR = '[destinations.far]\nurl = "s3://far"\nendpoint = "http://far:1"\n';
  const FAR_KEYS = `${FAR}access-key-id = "far-id"\nsecret-access-key = "far-secret"\n`;

  test('a directory needs none', () => {
    expect(storageAccess(settings(), 'file:///x', 'machine')).toBeUndefined();
  });

  test('each role has its own keys, and the destination whose address is longest wins', () => {
    const own = '[destinations.far.roles.machine]\naccess-key-id = "m"\nsecret-access-key = "ms"\n';
    const inner = '[destinations.inner]\nurl = "s3://far/in"\naccess-key-id = "in"\nsecret-access-key = "in-secret"\n';
    const from = settings(`${FAR_KEYS}${own}${inner}`);
    const ids = (url: string) =>
      (['machine', 'vault'] as const).map((role) => storageAccess(from, url, role)?.accessKeyId);
    expect(ids('s3://far/out')).toEqual(['m', 'far-id']);
    expect(ids('s3://far/in/deep')).toEqual(['in', 'in']);
    expect(storageAccess(from, 's3://far/out', 'machine')?.endpoint).toBe('http://far:1');
  });

  test('without a destination the environment speaks', () => {
    const from = settings('', { AWS_ACCESS_KEY_ID: 'e', AWS_SECRET_ACCESS_KEY: 'es', AWS_REGION: 'eu-west-1' });
    expect(storageAccess(from, 's3://b', 'owner')).toEqual({
      endpoint: 'https://s3.eu-west-1.amazonaws.com',
      region: 'eu-west-1',
      accessKeyId: 'e',
      secretAccessKey: 'es',
    });
  });

  test('a profile is read from both of its files, and goes before the environment where one is named', () => {
    mkdirSync(path.join(home, '.aws'));
    writeFileSync(path.join(home, '.aws/config'), '[profile deep]\nregion = us-west-2\n');
    writeFileSync(
      path.join(home, '.aws/credentials'),
      '[other]\naws_access_key_id = no\n[deep]\naws_access_key_id = p\naws_secret_access_key = a+b/c=\n',
    );
    const from = settings(`${FAR}profile = "deep"\n`, { AWS_ACCESS_KEY_ID: 'e', AWS_SECRET_ACCESS_KEY: 'es' });
    expect(storageAccess(from, 's3://far/x', 'vault')).toEqual({
      endpoint: 'http://far:1',
      region: 'us-west-2',
      accessKeyId: 'p',
      secretAccessKey: 'a+b/c=',
    });
  });

  test('that nobody gives is a wrong configuration, naming the role', () => {
    expect(() => storageAccess(settings(FAR), 's3://far/x', 'datacenter')).toThrow('the role datacenter');
  });
});
