/**
 * The child's side: reads its order, does it, answers. It dies with its parent: the kernel kills it
 * (prctl), and where that came too late or is not to be had, the end of stdin does.
 */

import { dieWithParent } from '../store/system-calls.ts';
import type { ChildMessage, ChildOrder } from './child.ts';
import { failureMessage } from './child-failure.ts';
import type { BackupTask, ChildResult, ChildSecrets, ChildTask, Progress } from './child-tasks.ts';
import { onWaited } from './waiting.ts';

/** Often enough for a bar that moves, seldom enough to cost nothing. */
const PROGRESS_INTERVAL_MS = 250;

dieWithParent();
process.stdin.on('end', () => process.exit(1));
if (process.argv[2] === 'restore') void import('./restore-run.ts'); // its order comes later
const order = await readOrder();
if (process.ppid !== order.parentPid) process.exit(1); // it died before prctl was heard

let current: Progress = { step: 'waiting', bytesDone: 0, objectsDone: 0 };
let untold = false;
let told = 0;
onWaited((waits) => report({ ...current, waits }));
try {
  const result = await perform(order.task, order.secrets);
  if (untold) tell({ type: 'progress', progress: current });
  tell({ type: 'result', result });
} catch (error) {
  process.stderr.write(`${trail(error)}\n`);
  tell({ type: 'error', ...failureMessage(error) });
}
process.stdout.end(() => process.exit(0));

async function perform(task: ChildTask, secrets: ChildSecrets): Promise<ChildResult> {
  switch (task.kind) {
    case 'backup':
      return backUp(task, secrets);
    case 'restore':
      return (await import('./restore-run.ts')).runRestore(task, secrets, report);
    case 'erase':
      return (await import('./medium-erase.ts')).eraseDrive(task, report);
    case 'transfer':
      return (await import('./transfer.ts')).runTransfer(task, secrets, report);
  }
}

async function backUp(task: BackupTask, secrets: ChildSecrets): Promise<ChildResult> {
  const session = (await import('./session-maker.ts')).beginSession(secrets);
  session.catch(() => {}); // whoever needs it hears of it
  return (await import('./backup-run.ts')).runBackup(task, secrets, { session, report });
}

function report(progress: Progress): void {
  current = current.waits === undefined ? progress : { waits: current.waits, ...progress };
  untold = true;
  const now = performance.now();
  if (now - told < PROGRESS_INTERVAL_MS) return;
  told = now;
  untold = false;
  tell({ type: 'progress', progress: current });
}

function tell(message: ChildMessage<ChildResult>): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function readOrder(): Promise<ChildOrder> {
  return new Promise((resolve) => {
    let text = '';
    process.stdin.setEncoding('utf8');
    process.stdin.on('data', (more) => {
      text += more;
      if (text.endsWith('\n')) resolve(JSON.parse(text));
    });
  });
}

/** Where in our code it happened, without the message. */
function trail(error: unknown): string {
  const lines = error instanceof Error ? (error.stack ?? '').split('\n') : [];
  return lines.filter((line) => line.trimStart().startsWith('at ')).join('\n');
}
