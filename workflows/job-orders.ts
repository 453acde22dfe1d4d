/**
 * What people do with a job as a whole, as updates: changed, sent elsewhere, paused, given more time.
 * Until when each may be done, and what it does, stands in JOB_ACTS of domain/seeding-job.ts.
 *
 *   redirect   1 drives that have not left are called off, and leave the job
 *              2 their keys are deleted: only the old datacenter could open them
 *              3 their objects wait for drives again, which are registered with the new one
 */
import { workflowInfo } from '@temporalio/workflow';
import { parseCopyHosts, withCopyHosts } from '../domain/copy-hosts.ts';
import { redirected } from '../domain/custody.ts';
import { Failure } from '../domain/failure.ts';
import { isDigest, parseName } from '../domain/names.ts';
import { checkStage, type JobDetails, type JourneyStage } from '../domain/seeding-job.ts';
import { DAY } from '../domain/units.ts';
import { hear } from './acts.ts';
import * as say from './definitions.ts';
import { EVERYTHING } from './gate.ts';
import type { JobSteps } from './job-steps.ts';
import type { Logbook } from './logbook.ts';
import type { Travel } from './travel.ts';

const EXTEND_MAX_MS = 366 * DAY;

export function hearOrders(log: Logbook, travel: Travel, steps: JobSteps): void {
  hearEditing(log);
  hearRedirecting(log, travel, steps);
  hearHolding(log);
  hearExtending(log, travel);
}

function hearEditing(log: Logbook): void {
  hear(say.edit, {
    log,
    name: 'edit',
    check({ details, copyHosts }) {
      if (details !== undefined || !waitsForAnother(log)) {
        checkStage('edit', log.stage);
        if (hasLeft(log))
          throw new Failure('WrongState', 'a parcel has left: what it says cannot be changed any more', {
            next: `seedship parcel list --job ${log.job.job}`,
          });
      }
      if (details !== undefined || copyHosts === undefined) checkDetails(details);
      if (copyHosts !== undefined) checkCopyHosts(copyHosts);
    },
    carryOut(act) {
      const { details, copyHosts, by } = act;
      const changed = details ? { ...log.job, details, returns: details.returnCarrier !== 'none' } : log.job;
      const hosts = copyHosts && parseCopyHosts(copyHosts);
      log.job = hosts ? withCopyHosts(changed, hosts) : changed;
      const texts = [
        ...(details ? ['contact, return address or carrier'] : []),
        ...(hosts ? [`copy hosts: ${hosts.join(' ') || 'any'}`] : []),
      ];
      log.note('edit', by, texts.join('; '), act);
      return here();
    },
  });
}

/** Whether a parcel is with its carrier, or was. */
function hasLeft({ custody }: Logbook): boolean {
  return custody.parcels.some(({ state, back }) => state !== 'Preparing' && !back);
}

/** After a parcel has left: in place of a drive that is lost, say, and the host that wrote it may be gone too. */
function waitsForAnother(log: Logbook): boolean {
  return hasLeft(log) && ['Shipping', 'Ingesting'].includes(log.stage) && log.custody.free.length > 0;
}

function hearRedirecting(log: Logbook, travel: Travel, steps: JobSteps): void {
  hear(say.redirect, {
    log,
    name: 'redirect',
    check(act) {
      checkStage('redirect', log.stage);
      say.checkTexts(act, ['region', 'landing']);
      parseName('region', act.region);
      parseName('place', act.landing);
      if (act.details !== undefined) checkDetails(act.details);
      if (act.region === log.job.region && act.landing === log.job.landing)
        throw new Failure('WrongState', `the job goes to ${act.region} already`);
    },
    async carryOut(act) {
      const { region, landing, details, by } = act;
      const from = { region: log.job.region, landing: log.job.landing };
      const { custody, left } = redirected(log.custody, from);
      travel.callOff(left);
      log.job = {
        ...{ ...log.job, region, landing },
        ...(details && { details, returns: details.returnCarrier !== 'none' }),
      };
      log.custody = custody;
      log.note('redirect', by, `from ${from.region} to ${region}; prepared anew: ${left.join(' ') || 'none'}`, act);
      travel.moved();
      if (left.length > 0) await steps.release({ ...from, drives: left });
      return { ...here(), left };
    },
  });
}

function hearHolding(log: Logbook): void {
  const subject = ({ drive }: say.HoldAct) => drive ?? EVERYTHING;
  const checkDrive = ({ drive }: say.HoldAct) => {
    if (drive !== undefined && !log.custody.drives.some(({ id }) => id === drive))
      throw new Failure('WrongState', `drive ${drive} is not of this job`);
  };
  const says = ({ drive }: say.HoldAct) => (drive === undefined ? 'the job' : `drive ${drive}`);
  hear(say.pause, {
    log,
    name: 'pause',
    check(act) {
      checkStage('pause', log.stage);
      checkDrive(act);
      if (log.held.has(subject(act))) throw new Failure('WrongState', `${says(act)} is paused already`);
    },
    carryOut(act) {
      log.held.add(subject(act));
      log.note('pause', act.by, says(act), act);
      log.gate.changed();
      return here();
    },
  });
  hear(say.resume, {
    log,
    name: 'resume',
    check(act) {
      checkStage('resume', log.stage);
      checkDrive(act);
      if (!log.held.has(subject(act))) throw new Failure('WrongState', `${says(act)} is not paused`);
    },
    carryOut(act) {
      log.held.delete(subject(act));
      log.note('resume', act.by, says(act), act);
      log.gate.changed();
      return here();
    },
  });
}

function hearExtending(log: Logbook, travel: Travel): void {
  hear(say.extend, {
    log,
    name: 'extend',
    check(act) {
      checkStage('extend', log.stage);
      say.checkTexts(act, ['until']);
      const ahead = Date.parse(act.until) - Date.now();
      if (!(ahead > 0 && ahead <= EXTEND_MAX_MS))
        throw new Failure('Usage', `${JSON.stringify(act.until)} is no instant of the year to come`);
      if (log.waits.length === 0) throw new Failure('WrongState', 'nothing is on its way that could take longer');
    },
    carryOut(act) {
      const { until, by } = act;
      const at = new Date(Date.parse(until)).toISOString();
      log.waits = log.waits.map((wait) => ({ ...wait, until: at }));
      log.note('extend', by, `until ${at}`, act);
      travel.moved();
      return here();
    },
  });
}

function checkDetails(details: Partial<JobDetails> | undefined): void {
  const { sealed, contact, returnTo, returnCarrier, carriers = [] } = details ?? {};
  const shaped = typeof contact === 'boolean' && typeof returnTo === 'boolean' && typeof returnCarrier === 'string';
  const listed = Array.isArray(carriers) && carriers.every((carrier) => typeof carrier === 'string');
  if (!shaped || !listed || (sealed !== undefined && !isDigest(sealed)))
    throw new Failure('Usage', 'these are no details of a job', { next: 'seedship job edit NAME --return-to ADDRESS' });
}

function checkCopyHosts(hosts: unknown): void {
  if (!Array.isArray(hosts) || !hosts.every((host) => typeof host === 'string'))
    throw new Failure('Usage', 'copyHosts is no list of hosts');
  parseCopyHosts(hosts);
}

function here(): { readonly workflowId: string; readonly stage?: JourneyStage } {
  return { workflowId: workflowInfo().workflowId };
}
