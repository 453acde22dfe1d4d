/** The one mover: every way that objects travel, each a step that commits by its receipt, loaded when it is gone. */
import type { ChildSecrets, Progress, TransferResult, TransferTask } from './child-tasks.ts';

/** @throws Failure, with the code that says what helps */
export async function runTransfer(
  task: TransferTask,
  secrets: ChildSecrets,
  report: (progress: Progress) => void,
): Promise<TransferResult> {
  switch (task.mode) {
    case 'prepare':
      return (await import('./drive-fill.ts')).fillDrive(task, secrets, report);
    case 'ingest':
      return (await import('./drive-intake.ts')).takeDrive(task, secrets, report);
    case 'drain':
      return (await import('./spool-drain.ts')).drainSpool(task, secrets, report);
    case 'prove':
      return (await import('./vault-proof.ts')).proveObjects(task, secrets, report);
    case 'copy':
    case 'send':
      return (await import('./store-mover.ts')).sendObjects(task, secrets, report);
  }
}
