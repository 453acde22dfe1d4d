/** The one mover: every way that objects travel, each a step that commits by its receipt. */
import type { ChildSecrets, Progress, TransferResult, TransferTask } from './child-tasks.ts';
import { fillDrive } from './drive-fill.ts';
import { takeDrive } from './drive-intake.ts';
import { drainSpool } from './spool-drain.ts';
import { sendObjects } from './store-mover.ts';
import { proveObjects } from './vault-proof.ts';

/** @throws Failure, with the code that says what helps */
export function runTransfer(
  task: TransferTask,
  secrets: ChildSecrets,
  report: (progress: Progress) => void,
): Promise<TransferResult> {
  switch (task.mode) {
    case 'prepare':
      return fillDrive(task, secrets, report);
    case 'ingest':
      return takeDrive(task, secrets, report);
    case 'drain':
      return drainSpool(task, secrets, report);
    case 'prove':
      return proveObjects(task, secrets, report);
    case 'copy':
    case 'send':
      return sendObjects(task, secrets, report);
  }
}
