/**
 * Where a host keeps what it knows of a backup. One state directory may serve several vaults, and
 * machines of the same name in them: what one vault has says nothing about another, even of one
 * name made anew.
 */
import path from 'node:path';

/** What `catalog/`, `scratch/` and the journals are divided by. */
export interface BackupOf {
  readonly stateDirectory: string;
  readonly vaultId: string;
  readonly machine: string;
  readonly protection: string;
}

type OwnState = 'catalog' | 'scratch' | 'spool-journal' | 'order-journal';

/** `<kind>/<vault id>/<machine>`: holds one entry a protection. */
export function machineStatePath(kind: OwnState, { stateDirectory, vaultId, machine }: Omit<BackupOf, 'protection'>) {
  return path.join(stateDirectory, kind, vaultId, machine);
}

/** `<kind>/<vault id>/<machine>/<protection>`. */
export function backupStatePath(kind: OwnState, of: BackupOf): string {
  return path.join(machineStatePath(kind, of), of.protection);
}
