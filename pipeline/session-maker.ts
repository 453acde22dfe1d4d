/**
 * Makes a backup's session beside its start: age's hybrid wrap is 80 ms of computing and 110 ms of loading, on a
 * thread of its own while the last backup and the source are opened.
 */
import { Worker } from 'node:worker_threads';
import { decodeCredentials } from '../format/credentials.ts';
import type { Session } from '../format/session.ts';
import type { ChildSecrets } from './child-tasks.ts';

/** What the thread answers. */
export interface MadeSession {
  readonly key: Uint8Array;
  readonly wrap: Uint8Array;
}

/**
 * A fresh session for the restore recipient of whoever backs up.
 * @throws what `newSession` throws, to whoever awaits it
 */
export async function beginSession({ credentials = '' }: ChildSecrets): Promise<Session> {
  const { restoreRecipient } = decodeCredentials(Buffer.from(credentials, 'base64'));
  const worker = new Worker(threadUrl(), { workerData: [restoreRecipient] });
  const { key, wrap } = await new Promise<MadeSession>((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
  return { key, wrap: Buffer.from(wrap) };
}

function threadUrl(): URL {
  const here = import.meta.url;
  return new URL(here.endsWith('.ts') ? '../dist/pipeline/session-thread.js' : './session-thread.js', here);
}
