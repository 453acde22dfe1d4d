/** `restore`: what is to be restored, and where. Unlocks the vault with the passphrase; owner-work.ts does the rest. */
import path from 'node:path';
import { Failure } from '../domain/failure.ts';
import type { PresentPoint } from '../domain/record.ts';
import type { Invocation } from './invocation.ts';
import { pickPoint, readPoints } from './points.ts';
import { type Door, unlockVault } from './vault-door.ts';

const CONFLICTS = ['skip', 'overwrite', 'rename'] as const;

/** `restore POINT[:PATH]… --to DIR` */
export async function restore(call: Invocation): Promise<number> {
  const to = path.resolve(call.needed('to'));
  const conflict = conflictOf(call.text('conflict') ?? 'skip');
  const load = () => import('./owner-work.ts'); // Temporal's worker and client: a third of a second
  const vault = await unlockVault(call, load);
  const points = await chosen(call, vault.door);
  const order = { vault: vault.door.credentials.vault.name, points, include: call.list('include'), to, conflict };
  const request = await vault.door.state.writeRequest(Buffer.from(JSON.stringify(order)));
  return (await load()).restoreHere(call, vault, request);
}

async function chosen(call: Invocation, door: Door): Promise<{ point: string; paths: string[] }[]> {
  const points = await readPoints(door);
  const paths = new Map<string, string[]>();
  for (const word of call.words) {
    const [label = '', ...rest] = word.split(':');
    const point = restorable(pickPoint(points, label, call.settings.machine));
    const wanted = rest.join(':');
    paths.set(point.name, [...(paths.get(point.name) ?? []), ...(wanted ? [wanted] : [])]);
  }
  return [...paths].map(([point, wanted]) => ({ point, paths: wanted }));
}

function restorable(point: PresentPoint): PresentPoint {
  if (point.restorable) return point;
  throw new Failure('PacksMissing', `point ${point.label} is not restorable yet`, {
    why: `it waits for ${point.missing} packs`,
    next: 'seedship job list',
  });
}

function conflictOf(text: string): (typeof CONFLICTS)[number] {
  const found = CONFLICTS.find((one) => one === text);
  if (found) return found;
  throw new Failure('Usage', `--conflict ${text} is not known`, { why: `it is ${CONFLICTS.join(', ')}` });
}
