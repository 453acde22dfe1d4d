/** Whoever is told: a real SMTP server with TLS and an account, and an HTTP receiver, both on free ports. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly text: string;
  /** The account that was logged in. */
  readonly user: string;
  readonly encrypted: boolean;
}

export interface MailSink {
  readonly url: string;
  /** Who vouches for it, in PEM. */
  readonly authorities: Buffer;
  readonly mails: Mail[];
  stop(): Promise<void>;
}

/** @param account what it asks for; anybody may send when absent */
export async function startMailSink(account?: { readonly user: string; readonly password: string }): Promise<MailSink> {
  const mails: Mail[] = [];
  const { key, cert } = selfSigned();
  const options: SMTPServerOptions = {
    ...{ key, cert },
    authOptional: account === undefined,
    disabledCommands: account === undefined ? ['STARTTLS', 'AUTH'] : [],
    onAuth({ username, password }, _session, done) {
      if (username === account?.user && password === account?.password) done(null, { user: username });
      else done(new Error('who are you?'));
    },
    onData(stream, session, done) {
      const pieces: Buffer[] = [];
      stream.on('data', (piece: Buffer) => pieces.push(piece));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          text: Buffer.concat(pieces).toString(),
          user: String(session.user ?? ''),
          encrypted: session.secure,
        });
        done();
      });
    },
  };
  const server = new SMTPServer(options);
  server.on('error', () => {}); // a client that turns away from the certificate
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  return {
    url: `smtp://127.0.0.1:${port}`,
    authorities: cert,
    mails,
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
}

function selfSigned(): { readonly key: Buffer; readonly cert: Buffer } {
  const folder = mkdtempSync(path.join(tmpdir(), 'seedship-mail-'));
  try {
    const [key, cert] = [path.join(folder, 'key'), path.join(folder, 'cert')];
    const words = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=127.0.0.1'];
    words.push('-addext', 'subjectAltName=IP:127.0.0.1');
    execFileSync('openssl', [...words, '-keyout', key, '-out', cert, '-days', '1'], { stdio: 'ignore' });
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface Hook {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface WebSink {
  readonly url: string;
  readonly hooks: Hook[];
  /** Statuses to answer with, the first one first; 204 when there are none left. */
  readonly answers: number[];
  stop(): Promise<void>;
}

export async function startWebSink(): Promise<WebSink> {
  const hooks: Hook[] = [];
  const answers: number[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      hooks.push({ headers: request.headers, body: Buffer.concat(pieces).toString() });
      response.writeHead(answers.shift() ?? 204, { location: '/elsewhere' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    hooks,
    answers,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
