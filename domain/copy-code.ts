/**
 * What became of a drive and of each object on it, in the field's own codes, so that a log of ours
 * reads like any other import log. doc/coverage.md says of each code how it is raised here, or why
 * it cannot be.
 *
 *   object   what the signed copy log says of it (format/copy-log.ts)
 *   drive    of a drive that was taken in: by its objects; of one that was refused: by its failure
 */
export const OBJECT_CODES = {
  taken: { code: 'Completed', disposition: 'Created' },
  present: { code: 'Completed', disposition: 'Skipped' },
  absent: { code: 'FileNotFound' },
  unreadable: { code: 'IOFailed' },
  altered: { code: 'Corrupted' },
  broken: { code: 'Corrupted' },
  foreign: { code: 'NotInJob' }, // ours: the field has nothing to compare a drive's list with
  occupied: { code: 'BlobUnexpectedChange' },
  short: { code: 'FileUnexpectedEnd' },
} as const satisfies Record<string, { readonly code: string; readonly disposition?: string }>;
export type CopyOutcome = keyof typeof OBJECT_CODES;

/** Why a drive was refused, as the field has it; carried by failures and attention as `detail`. */
export const DRIVE_REFUSALS = [
  'DiskNotFound',
  'DiskOperationFailed',
  'BitLockerProtectorNotFound',
  'BitLockerKeyInvalid',
  'ManifestNotFound',
  'ReadManifestFailed',
  'ManifestCorrupted',
  'ManifestFormatInvalid',
  'ManifestDriveIdMismatch',
  'BlobListFormatInvalid',
] as const;
export type DriveRefusal = (typeof DRIVE_REFUSALS)[number];

export type DriveCode = 'Completed' | 'CompletedWithWarnings' | 'CompletedWithErrors' | DriveRefusal;

/** Of a drive that was taken in. An object of no job here is a warning: nothing is missing by it. */
export function driveCode(outcomes: Iterable<CopyOutcome>): DriveCode {
  let code: DriveCode = 'Completed';
  for (const outcome of outcomes) {
    if (outcome === 'taken' || outcome === 'present') continue;
    if (outcome !== 'foreign') return 'CompletedWithErrors';
    code = 'CompletedWithWarnings';
  }
  return code;
}

/** How many of each code. */
export function countCodes(outcomes: Iterable<CopyOutcome>): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) {
    const { code } = OBJECT_CODES[outcome];
    counts[code] = (counts[code] ?? 0) + 1;
  }
  return counts;
}

/** Whether a text is one of the codes drives are refused with. */
export function isDriveRefusal(text: string): text is DriveRefusal {
  return DRIVE_REFUSALS.some((one) => one === text);
}
