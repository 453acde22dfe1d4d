/** A line to a real server that is thin, cut, or speaks TLS under an authority of our own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createServer as createTlsServer } from 'node:tls';

export interface Line {
  readonly endpoint: string;
  /** The certificate to trust, where it speaks TLS. */
  readonly certificate: string;
  stop(): Promise<void>;
}

export interface LineOptions {
  /** From the client to the server. No bound when absent; with 0 nothing gets through. */
  readonly bytesPerSecond?: number;
  readonly tls?: boolean;
}

/** How often a thin line lets something through: 16 KiB at most, what a socket hands over at once. */
const TICK_MS = 10;

/** Stands before the server at `endpoint`, on loopback and a port of its own. */
export async function startLine(endpoint: string, { bytesPerSecond, tls = false }: LineOptions): Promise<Line> {
  const directory = mkdtempSync(path.join(tmpdir(), 'seedship-line-'));
  const certificate = path.join(directory, 'certificate.pem');
  const open = new Set<Socket>();
  const carry = (client: Socket): void => {
    const { hostname, port } = new URL(endpoint);
    const server = connect(Number(port), hostname);
    for (const [one, other] of [[client, server] as const, [server, client] as const]) {
      open.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
    server.pipe(client);
    if (bytesPerSecond === undefined) client.pipe(server);
    else trickle(client, server, bytesPerSecond);
  };
  const listener: Server = tls ? createTlsServer(keyPair(directory, certificate), carry) : createServer(carry);
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    endpoint: `http${tls ? 's' : ''}://127.0.0.1:${address.port}`,
    certificate,
    stop: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function trickle(from: Socket, to: Socket, bytesPerSecond: number): void {
  const most = Math.floor((bytesPerSecond * TICK_MS) / 1000);
  from.pause();
  const ticks = setInterval(() => {
    const piece = most === 0 ? null : (from.read(Math.min(most, from.readableLength)) as Buffer | null);
    if (piece) to.write(piece);
  }, TICK_MS);
  from.on('readable', () => {});
  from.on('close', () => clearInterval(ticks));
}

function keyPair(directory: string, certificate: string): { key: Buffer; cert: Buffer } {
  const key = path.join(directory, 'key.pem');
  const words = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1'];
  const more = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate];
  execFileSync('openssl', [...words, ...more], { stdio: 'ignore' });
  return { key: readFileSync(key), cert: readFileSync(certificate) };
}
