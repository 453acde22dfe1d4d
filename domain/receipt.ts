/**
 * What a step leaves behind: a signed file at its destination, `receipts/<run>/<step>`, and the
 * value below, which travels through workflow histories. Digests, counts and names only: never a
 * path, a list or a key. Receipts only ever gain optional fields (doc/design.md, "Versioning").
 */
import type { DiskReport } from './disk.ts';
import type { Digest } from './names.ts';

/** Objects of a pack set's sorted list, `from` included, `to` not. */
export interface ObjectRange {
  readonly from: number;
  readonly to: number;
}

interface Receipt {
  readonly run: string;
  readonly step: string;
  /** SHA-256 of the signed receipt as it lies at the destination. */
  readonly receipt: Digest;
}

export interface PointRef {
  /** `hq-0001-77ab`: what an operator reads and types. */
  readonly label: string;
  readonly machine: string;
  readonly protection: string;
  readonly sequence: number;
  readonly digest: Digest;
  readonly kind: 'initial' | 'incremental';
}

/** A point with all its packs, trees and index in the staging location or the spool. */
export interface StagedBackup extends Receipt {
  readonly point: PointRef;
  readonly packSet: Digest;
  /** Entries of the pack set's own sorted list: what drives carry (a delta's `added`, else all). */
  readonly objects: number;
  readonly sealedBytes: number;
  readonly readBytes: number;
  readonly files: number;
  /** Could not be read; reasons stand in the sealed point, and the run ends with exit 3. */
  readonly skippedFiles: number;
  /** Where lost objects were made good: the signed repair, and the chunks that were not found again. */
  readonly repair?: Digest;
  readonly goneChunks?: number;
}

/** The point is in the vault; its packs may still travel. */
export interface StatedPoint extends Receipt {
  readonly point: PointRef;
}

export interface PreparedDrive extends Receipt {
  readonly drive: string;
  readonly host: string;
  readonly epoch: number;
  readonly manifest: Digest;
  /** Of the drive key's wraps, one an epoch, oldest first. */
  readonly wraps: readonly Digest[];
  /** What it carries; less than was asked for when the drive filled. */
  readonly ranges: readonly ObjectRange[];
  readonly objects: number;
  readonly bytes: number;
  /** Of the attempt that wrote it; absent in older receipts. */
  readonly disk?: DiskReport;
  /** Of a limited staging: what had left it already, on a drive that was given up. */
  readonly missingRanges?: readonly ObjectRange[];
}

export interface RegisteredImport {
  readonly job: string;
  readonly region: string;
  readonly record: Digest;
}

export interface IngestedDrive extends Receipt {
  readonly drive: string;
  readonly copyLog: Digest;
  readonly taken: number;
  /** Unreadable, altered or not of this job; each with its reason in the copy log. */
  readonly refused: number;
  readonly bytes: number;
  /** What of its ranges it could not give; absent in older receipts. */
  readonly missingRanges?: readonly ObjectRange[];
}

/** Objects of a set that others stand for, or that are given up, as a signed repair in the vault says. */
export interface PublishedRepair {
  readonly repair: Digest;
  readonly objects: number;
}

/** Objects moved towards the vault, from a spool, a staging location or the landing container. */
export interface SentPacks extends Receipt {
  readonly objects: number;
  readonly bytes: number;
  /** Objects of the set that neither the source of this step nor the vault holds. */
  readonly missing: number;
  /** Where they stand in the pack set; neighbours merged until there are at most 256 ranges. */
  readonly missingRanges: readonly ObjectRange[];
  /** The backup's point was stated with them; a host of an older release does not, and says nothing. */
  readonly stated?: boolean;
}

/** A set read back from the vault, byte by byte; the receipt is signed by the vault worker. */
export interface ProvedVault extends Receipt {
  readonly objects: number;
  readonly bytes: number;
  readonly missing: number;
  readonly damaged: number;
}

/** What the vault holds, as its worker saw and signed it. */
export interface VaultPresence {
  readonly receipt: Digest;
  readonly points: number;
  readonly restorable: number;
  readonly objects: number;
}

export interface RestoredFiles extends Receipt {
  readonly files: number;
  readonly bytes: number;
  readonly skippedFiles: number;
}

/** A drive's medium, overwritten. */
export interface ErasedDrive {
  readonly bytes: number;
  /** Bytes that the medium refused to take. */
  readonly unwritable: number;
}

/** Does anyone poll this queue? */
export interface HostSeen {
  readonly queue: string;
  readonly present: boolean;
}

/** The end of a journey. */
export interface SeededVault {
  readonly point: PointRef;
  readonly objects: number;
  readonly bytes: number;
  readonly drives: number;
  readonly lostDrives: number;
  /** What a person gave up; the point's files that need it cannot be restored whole. */
  readonly droppedObjects?: number;
}

/** The end of a backup run over the line. */
export interface SentBackup {
  readonly point: PointRef;
  readonly staged: StagedBackup;
  readonly objects: number;
  readonly bytes: number;
}

/** Heartbeat details of every activity that moves bytes. A hint: resuming never depends on it. */
export interface Progress {
  readonly step: string;
  readonly bytesDone: number;
  readonly bytesTotal?: number;
  readonly objectsDone: number;
  readonly objectsTotal?: number;
  readonly filesDone?: number;
  readonly note?: string;
  /** Looks at a rate, a full spool or another step that it waits for: it grows while nothing moves on purpose. */
  readonly waits?: number;
}
