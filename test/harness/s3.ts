/** A real S3 server for a test file, with one identity for each party. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findWeed, serverSearch } from '../../host/server-programs.ts';
import { type S3Server, startS3 } from '../../host/servers.ts';
import type { S3Access } from '../../store/object-store.ts';

export const PARTIES = ['owner', 'machine', 'copy', 'datacenter', 'vault', 'control', 'operator'] as const;
export type Party = (typeof PARTIES)[number];

export interface TestS3 {
  readonly server: S3Server;
  access(party: Party): S3Access;
  stop(): Promise<void>;
}

export async function startTestS3(): Promise<TestS3> {
  const dir = mkdtempSync(path.join(tmpdir(), 'seedship-s3-'));
  const program = await findWeed(serverSearch(process.env));
  const identities = PARTIES.map((name) => ({
    name,
    accessKeyId: `KEY-${name}`,
    secretAccessKey: `secret-of-${name}`,
    owner: name === 'owner',
  }));
  const server = await startS3({ program, dir, identities });
  return {
    server,
    access: (party) => ({
      endpoint: server.endpoint,
      region: 'us-east-1',
      accessKeyId: `KEY-${party}`,
      secretAccessKey: `secret-of-${party}`,
    }),
    stop: async () => {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
