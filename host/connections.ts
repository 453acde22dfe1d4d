/**
 * The two ways to Temporal: one for commands, one for workers. Neither waits for ever: a server that
 * does not answer is `Unreachable`, with what to do about it.
 */
import { Client, Connection, isGrpcDeadlineError, isGrpcServiceError } from '@temporalio/client';
import { toClientOptions } from '@temporalio/envconfig';
import type { NativeConnection } from '@temporalio/worker';
import { Failure } from '../domain/failure.ts';
import { SECOND } from '../domain/units.ts';
import type { Settings } from './settings.ts';

const CONNECT_MS = 5 * SECOND;
/** A query waits for a worker, an update for its validator: long enough for a busy one, no longer. */
const CALL_MS = 10 * SECOND;

/** gRPC's numbers; the enum of @grpc/grpc-js is no dependency of ours. */
const GRPC_NOT_FOUND = 5;
const GRPC_FAILED_PRECONDITION = 9;
const GRPC_UNAUTHENTICATED = 16;
const GRPC_PERMISSION_DENIED = 7;
/** Cancelled (a query whose worker is killed), exhausted, aborted, internal, unavailable: another try may do. */
const GRPC_FOR_NOW: ReadonlySet<number> = new Set([1, 8, 10, 13, 14]);

/** What the server says to a query when it has seen no worker for a while: service/history/api/queryworkflow. */
const WORKER_AWAY = /poller|worker may be down|task is not completed|failed state/i;

export interface TemporalClient {
  readonly client: Client;
  /** Runs calls that give up after ten seconds, or `forMs`. What the server says no to is a Failure. */
  call<T>(calls: () => Promise<T>, forMs?: number): Promise<T>;
  close(): Promise<void>;
}

/** @throws Failure `Unreachable` */
export async function connectClient({ temporal }: Settings): Promise<TemporalClient> {
  const connection = await Connection.connect({ ...optionsOf(temporal), connectTimeout: CONNECT_MS }).catch(
    (cause: unknown) => {
      throw unreachable(cause);
    },
  );
  return {
    client: new Client({ connection, namespace: temporal.namespace }),
    async call(calls, forMs = CALL_MS) {
      try {
        return await connection.withDeadline(Date.now() + forMs, calls);
      } catch (error) {
        throw serverFailure(error) ?? error;
      }
    },
    close: () => connection.close(),
  };
}

/** One a process: its workers share it. @throws Failure `Unreachable` */
export async function connectWorker({ temporal }: Settings): Promise<NativeConnection> {
  const sdk = await import('@temporalio/worker'); // a third of what a command would load at its start
  const connecting = sdk.NativeConnection.connect(optionsOf(temporal));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unreachable()), CONNECT_MS);
  });
  try {
    return await Promise.race([connecting, late]);
  } catch (cause) {
    connecting.then((connection) => connection.close()).catch(() => {}); // one that comes too late is let go
    throw cause instanceof Failure ? cause : unreachable(cause);
  } finally {
    clearTimeout(timer);
  }
}

/** What a call's error means to a person; `undefined` when it is no answer of the server. */
export function serverFailure(error: unknown): Failure | undefined {
  const { code: grpc, details = '' } = grpcError(error) ?? {};
  if (isGrpcDeadlineError(error) || (grpc !== undefined && GRPC_FOR_NOW.has(grpc))) return unreachable(error);
  if (grpc === GRPC_FAILED_PRECONDITION && WORKER_AWAY.test(details))
    return new Failure('Unreachable', 'no worker answers for this workflow', {
      why: 'nobody works for the queue control, or its worker has just begun anew',
      next: 'seedship worker run control',
      cause: error,
    });
  if (grpc === GRPC_NOT_FOUND) return new Failure('NotFound', 'Temporal knows no such work', { cause: error });
  if (grpc === GRPC_UNAUTHENTICATED || grpc === GRPC_PERMISSION_DENIED)
    return new Failure('NotAllowed', 'Temporal does not take this identity', { cause: error });
  return undefined;
}

function grpcError(error: unknown): { readonly code: number; readonly details: string } | undefined {
  if (isGrpcServiceError(error)) return error;
  return error instanceof Error && error.cause !== undefined ? grpcError(error.cause) : undefined;
}

function unreachable(cause?: unknown): Failure {
  return new Failure('Unreachable', 'Temporal does not answer', {
    why: 'nothing at its address takes a connection; `seedship config show --origin` says who set it',
    next: 'seedship up, or seedship --temporal-address HOST:PORT …',
    cause,
  });
}

/** Absent options are left out: both connections tell them from undefined ones. */
function optionsOf(temporal: Settings['temporal']) {
  const { apiKey, tls, metadata } = toClientOptions(temporal).connectionOptions;
  return {
    address: temporal.address,
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(tls === undefined ? {} : { tls }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}
