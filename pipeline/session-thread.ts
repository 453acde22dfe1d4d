/** One session, made and handed over: the thread of session-maker.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { newSession } from '../format/session.ts';
import type { MadeSession } from './session-maker.ts';

const recipients: readonly string[] = workerData;
const made: MadeSession = await newSession(recipients);
parentPort?.postMessage(made);
