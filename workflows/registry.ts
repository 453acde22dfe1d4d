/**
 * The bundler's door: every workflow a worker runs, by the name that histories carry. A name here is
 * never changed or reused while a history that holds it may be replayed.
 */
export { backup } from './backup.ts';
export { cleanup } from './cleanup.ts';
export { driveIngest } from './drive-ingest.ts';
export { drivePreparation } from './drive-preparation.ts';
export { erasure } from './erasure.ts';
export { notice } from './notice.ts';
export { restoration } from './restoration.ts';
export { seeding } from './seeding.ts';
export { shipping } from './shipping.ts';
export { upkeep } from './upkeep.ts';
