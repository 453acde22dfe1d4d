/**
 * Whether a staging location is the one of a job, before a drive is touched: the job's pack set lies in it,
 * under its digest and the machine's signature. A foreign, an older or an unfinished one has it not. While a
 * limited one is filled, the job's first object stands in its order instead.
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Failure } from '../domain/failure.ts';
import type { JobStatus } from '../domain/seeding-job.ts';
import { CorruptError } from '../format/cursor.ts';
import { openPackSet } from '../format/pack-set.ts';
import { openState } from '../store/machine-state.ts';
import { orderName, packSetName } from '../store/places.ts';
import type { Invocation } from './invocation.ts';
import { enterVault, openPlace } from './vault-door.ts';

const NOT_ITS_SET =
  'the set of objects that the job seeds is not in it: it is another one, an older one, or not mounted';
const NOTHING_YET =
  'nothing that the job made is in it: it is another one, not mounted, or the backup has made no pack yet';

/** Of a job. */
interface StagingOf {
  readonly request: Pick<JobStatus['request'], 'staging' | 'job'>;
  readonly packSet?: JobStatus['packSet'];
  /** Of a job whose staging is limited, while it is filled. */
  readonly run?: JobStatus['run'];
}

/** Finds the staging location here, by `--staging` where it is given, and remembers that. @throws Failure */
export async function checkStaging(call: Invocation, { request, packSet, run }: StagingOf): Promise<void> {
  const name = request.staging;
  const state = openState(call.settings.stateDirectory);
  const set = call.settings.places[name];
  const given = call.text('staging');
  const asked = given === undefined ? undefined : pathToFileURL(path.resolve(given)).href;
  if (asked !== undefined && set !== undefined && set !== asked)
    throw new Failure('Usage', `the settings of this host say that ${name} is elsewhere`, {
      why: `[places.${name}] url = "${set}"`,
      next: 'leave --staging out, or change the settings',
    });
  const url = asked ?? set ?? state.placeUrl(name);
  if (url === undefined)
    throw new Failure('Configuration', `this host does not know where the place ${name} is`, {
      next: 'add --staging DIR, where it is mounted here',
    });
  const staging = openPlace(call, url, 'copy');
  try {
    if (packSet !== undefined) {
      const bytes = await staging.getExact(packSetName(packSet), packSet);
      openPackSet(bytes, { trust: enterVault(call).trust, name: packSet });
    } else if (run !== undefined) await staging.get(orderName(run, 0));
    else throw new Failure('WrongState', 'the initial backup is still being staged');
  } catch (error) {
    const isElsewhere = error instanceof Failure && ['NotFound', 'Unreachable'].includes(error.code);
    if (!isElsewhere && !(error instanceof CorruptError)) throw error;
    throw new Failure('WrongState', 'this is not the staging location of the job', {
      why: packSet === undefined ? NOTHING_YET : NOT_ITS_SET,
      next: `seedship job show ${request.job}`,
      cause: error,
    });
  }
  if (asked !== undefined) await state.setPlace(name, asked);
}
