import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CorruptError } from '../../format/cursor.ts';
import { digestOf } from '../../format/digest.ts';
import { findWeed, serverSearch } from '../../host/server-programs.ts';
import { startS3 } from '../../host/servers.ts';
import { prepareBucket } from '../../store/bucket.ts';
import { type ObjectStore, openStore, type S3Access } from '../../store/object-store.ts';
import { driveKeyName, packName, pointName, receiptName, recordName } from '../../store/places.ts';
import { PARTIES, type Party, startTestS3, type TestS3 } from '../harness/s3.ts';
import { storeSuite } from './store-suite.ts';

let s3: TestS3;
const VAULT = 's3://main-vault/vault';
const LANDING = 's3://main-landing/landing';

beforeAll(async () => {
  s3 = await startTestS3();
  const identities = Object.fromEntries(PARTIES.filter((party) => party !== 'owner').map((party) => [party, [party]]));
  await prepareBucket({ kind: 'vault', url: VAULT, access: s3.access('owner'), identities });
  await prepareBucket({ kind: 'landing', url: LANDING, access: s3.access('owner'), identities });
}, 60_000);
afterAll(() => s3?.stop());

const vaultAs = (party: Party): ObjectStore => openStore(VAULT, s3.access(party));
const landingAs = (party: Party): ObjectStore => openStore(LANDING, s3.access(party));
const refused = { code: 'StorageRefused' };

storeSuite('an S3 prefix, as its worker has it', async () => openStore(`${VAULT}/suite`, s3.access('vault')));

/** Without our own rules: as someone who only has the secret would write. */
async function overwrite(party: Party, name: string, bytes: Uint8Array): Promise<void> {
  const { connect } = await import('../../store/s3-store.ts');
  const { sdk, client } = await connect(s3.access(party));
  await client.send(new sdk.PutObjectCommand({ Bucket: 'main-vault', Key: `vault/${name}`, Body: Buffer.from(bytes) }));
}

describe('versions', () => {
  const bytes = Buffer.from('the true pack');
  const name = packName(digestOf(bytes));

  test('an overwritten object is found by its digest, the newest that matches', async () => {
    const owner = vaultAs('owner');
    await vaultAs('machine').put(name, bytes, { digest: digestOf(bytes) });
    for (let time = 0; time < 3; time += 1) await overwrite('machine', name, Buffer.from(`garbage ${time}`));
    expect(await owner.get(name)).toEqual(Buffer.from('garbage 2'));
    expect(await owner.getExact(name, digestOf(bytes))).toEqual(bytes);
    await expect(owner.getExact(name, digestOf(Buffer.from('never')))).rejects.toThrow(CorruptError);
  });

  test('removing takes every version with it, for good', async () => {
    const vault = vaultAs('vault');
    await vault.remove(name);
    await expect(vault.getExact(name, digestOf(bytes))).rejects.toMatchObject({ code: 'NotFound' });
    expect(await vault.put(name, bytes)).toBe('created');
    await vault.remove(name);
  });
});

describe('roles', () => {
  const bytes = Buffer.from('sealed');
  const pack = packName(digestOf(bytes));
  const point = pointName('hq', 1, digestOf(bytes));
  const wrap = driveKeyName('00112233AABBCCDD', 1);

  async function may(work: Promise<unknown> | AsyncIterable<unknown>): Promise<boolean> {
    try {
      if (Symbol.asyncIterator in work) for await (const _ of work);
      else await work;
      return true;
    } catch (error) {
      expect(error).toMatchObject(refused);
      return false;
    }
  }

  beforeAll(async () => {
    for (const name of [pack, point, recordName('job', 'hq-2026', 1)]) await vaultAs('owner').put(name, bytes);
    for (const name of [pack, wrap]) await landingAs('owner').put(name, bytes);
  });

  test('a machine adds packs and points, and can neither read, list nor remove the vault’s packs', async () => {
    const machine = vaultAs('machine');
    expect(await machine.put(packName(digestOf(Buffer.from('new'))), Buffer.from('new'))).toBe('created');
    expect(await machine.put(pack, bytes)).toBe('exists');
    expect(await may(machine.get(pack))).toBe(false);
    expect(await may(machine.head(pack))).toBe(false);
    expect(await may(machine.list('packs/'))).toBe(false);
    expect(await may(machine.list(''))).toBe(false);
    expect(await may(machine.remove(pack))).toBe(false);
    expect(await may(machine.put('keys/slots/mine', bytes))).toBe(false);
    expect(await may(machine.put(recordName('datacenter', 'eu-west', 1), bytes))).toBe(false);
    expect(await machine.get(point)).toEqual(bytes);
    await overwrite('machine', point, Buffer.from('by a thief'));
    expect(await machine.getExact(point, digestOf(bytes))).toEqual(bytes);
    expect(await may(machine.remove(point))).toBe(false);
    expect(await vaultAs('owner').get(pack)).toEqual(bytes);
  });

  test.each<[Party, boolean, boolean]>([
    ['machine', false, false],
    ['copy', false, false],
    ['datacenter', false, true],
    ['vault', true, true],
    ['control', false, false],
    ['operator', false, false],
  ])('%s reads packs of the vault: %j, of the landing container: %j', async (party, ofVault, ofLanding) => {
    expect(await may(vaultAs(party).get(pack))).toBe(ofVault);
    expect(await may(vaultAs(party).list('packs/'))).toBe(ofVault);
    expect(await may(landingAs(party).get(pack))).toBe(ofLanding);
    expect(await may(landingAs(party).list('packs/'))).toBe(ofLanding);
    expect(await may(landingAs(party).get(wrap))).toBe(ofLanding);
    if (party !== 'vault') {
      expect(await may(vaultAs(party).remove(pack))).toBe(false);
      expect(await may(landingAs(party).remove(pack))).toBe(false);
    }
  });

  test('a copy host adds the wraps of drive keys and cannot read them', async () => {
    expect(await landingAs('copy').put(driveKeyName('00112233AABBCCDD', 2), bytes)).toBe('created');
    expect(await may(landingAs('copy').get(wrap))).toBe(false);
    expect(await may(landingAs('copy').put(pack, bytes))).toBe(false);
  });

  test('operator and control list records, and nothing else', async () => {
    for (const party of ['operator', 'control'] as const) {
      expect(await may(vaultAs(party).list('records/'))).toBe(true);
      expect(await may(vaultAs(party).list('records/job/hq-2026/'))).toBe(true);
      expect(await may(vaultAs(party).list(''))).toBe(false);
      expect(await may(vaultAs(party).list('trees/'))).toBe(false);
    }
  });

  test('an identity that is added later gets its part without a restart', async () => {
    const late: S3Access = { ...s3.access('owner'), accessKeyId: 'KEY-late', secretAccessKey: 'secret-late' };
    const store = openStore(VAULT, late);
    expect(await may(store.put(receiptName('late', 'a'), bytes))).toBe(false);
    const all = PARTIES.map((name) => ({
      name,
      accessKeyId: `KEY-${name}`,
      secretAccessKey: `secret-of-${name}`,
      owner: name === 'owner',
    }));
    await s3.server.setIdentities([...all, { name: 'late', ...late }]);
    const identities = { machine: ['machine', 'late'], vault: ['vault'], operator: ['operator'], control: ['control'] };
    await prepareBucket({ kind: 'vault', url: VAULT, access: s3.access('owner'), identities });
    let added = false;
    for (let tries = 0; tries < 50 && !added; tries += 1) {
      added = await may(store.put(receiptName('late', `b${tries}`), bytes));
      if (!added) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(added).toBe(true);
    expect(await may(store.get(pack))).toBe(false);
  });
});

describe('a server that was killed', () => {
  test('serves what it acknowledged, at the same address or, that being taken, at another', async () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'seedship-killed-'));
    const program = await findWeed(serverSearch(process.env));
    const identities = [{ name: 'owner', accessKeyId: 'KEY-owner', secretAccessKey: 'secret-of-owner', owner: true }];
    const url = 's3://kept-vault/vault';
    const bytes = Buffer.alloc(1 << 20, 'kept');
    const endpoints: string[] = [];
    for (let start = 1; start <= 3; start += 1) {
      if (start === 3) rmSync(path.join(dir, 'ports.json'));
      const server = await startS3({ program, dir, identities });
      const access = { ...s3.access('owner'), endpoint: server.endpoint };
      if (start === 1) await prepareBucket({ kind: 'vault', url, access, identities: { vault: ['vault'] } });
      const store = openStore(url, access);
      for (let before = 1; before < start; before += 1) expect(await store.get(`packs/${before}`)).toEqual(bytes);
      expect(await store.put(`packs/${start}`, bytes)).toBe('created');
      endpoints.push(server.endpoint);
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
      await server.stop();
    }
    expect(endpoints[1]).toBe(endpoints[0]);
    expect(endpoints[2]).not.toBe(endpoints[0]);
    rmSync(dir, { recursive: true, force: true });
  });
});

describe('a server that does not serve', () => {
  const bytes = Buffer.from('bytes');

  function everything(store: ObjectStore): (() => Promise<unknown>)[] {
    return [
      () => store.put('packs/x', bytes),
      () => store.get('packs/x'),
      () => store.getExact('packs/x', digestOf(bytes)),
      () => store.head('packs/x'),
      () => store.list('packs/')[Symbol.asyncIterator]().next(),
      () => store.remove('packs/x'),
    ];
  }

  test('away, it is Unreachable', async () => {
    const away = openStore(VAULT, { ...s3.access('owner'), endpoint: 'http://127.0.0.1:1' });
    for (const work of everything(away)) await expect(work()).rejects.toMatchObject({ code: 'Unreachable' });
  });

  test('with a wrong secret or key it refuses', async () => {
    for (const wrong of [{ secretAccessKey: 'wrong' }, { accessKeyId: 'nobody' }])
      for (const work of everything(openStore(VAULT, { ...s3.access('owner'), ...wrong })))
        await expect(work()).rejects.toMatchObject(refused);
  });

  test('a bucket that is not there is no empty place', async () => {
    const none = openStore('s3://no-such-bucket/x', s3.access('owner'));
    await expect(none.put('packs/x', bytes)).rejects.toMatchObject(refused);
    await expect(none.get('packs/x')).rejects.toMatchObject(refused);
    await expect(none.list('')[Symbol.asyncIterator]().next()).rejects.toMatchObject(refused);
  });

  /** What no server here can be brought to say: answers written out, byte by byte. */
  describe('answering', () => {
    let server: Server;
    let answer: { status: number; body: string; length?: number; unsaid?: boolean };
    beforeAll(async () => {
      server = createServer((request, response) => {
        request.resume().on('end', () => {
          if (answer.unsaid) {
            response.socket?.end(`HTTP/1.1 ${answer.status} OK\r\nConnection: close\r\n\r\n${answer.body}`);
            return;
          }
          response.writeHead(answer.status, { 'content-length': answer.length ?? answer.body.length });
          response.write(answer.body);
          if (answer.length === undefined) response.end();
          else response.socket?.destroy();
        });
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    });
    afterAll(() => {
      server.close();
    });
    const store = (): ObjectStore => {
      const address = server.address();
      const port = address !== null && typeof address === 'object' ? address.port : 0;
      return openStore(VAULT, { ...s3.access('owner'), endpoint: `http://127.0.0.1:${port}` });
    };
    const says = (status: number, code: string) => ({ status, body: `<Error><Code>${code}</Code></Error>` });

    test.each([
      [507, 'InsufficientStorage', 'SpaceExhausted'],
      [403, 'QuotaExceeded', 'SpaceExhausted'],
      [503, 'SlowDown', 'Unreachable'],
      [500, 'InternalError', 'Unreachable'],
      [403, 'RequestTimeTooSkewed', 'StorageRefused'],
      [400, 'ExpiredToken', 'StorageRefused'],
    ])('%i %s is %s', async (status, code, failure) => {
      answer = says(status, code);
      await expect(store().put('packs/x', bytes)).rejects.toMatchObject({ code: failure });
    });

    test('a body cut short is no shorter object', async () => {
      answer = { status: 200, body: 'half', length: 8 };
      await expect(store().get('packs/x')).rejects.toMatchObject({ code: 'Unreachable' });
    });

    test('a body whose end is only the end of the connection is no object: it may have been cut', async () => {
      answer = { status: 200, body: 'whole or not', unsaid: true };
      await expect(store().get('packs/x')).rejects.toMatchObject({ code: 'Unreachable' });
    });

    test('no failure names a bucket, a key or a host', async () => {
      answer = says(403, 'AccessDenied');
      const error = await store()
        .get('packs/x')
        .catch((failure: unknown) => failure);
      expect(JSON.stringify([String(error), error])).not.toMatch(/main-vault|packs|127\.0\.0\.1|secret-of/);
    });
  });
});
