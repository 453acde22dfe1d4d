/**
 * What people do with a job's drives and parcels, as updates. Each is checked by the very function
 * that carries it out (domain/custody.ts, domain/parcel-custody.ts), so what is accepted cannot fail;
 * refused acts leave no trace. What only a person can mistype is checked before, and never again.
 */
import type { UpdateDefinition } from '@temporalio/common';
import { setHandler, workflowInfo } from '@temporalio/workflow';
import { checkTracking } from '../domain/carrier.ts';
import { checkCopyHost } from '../domain/copy-hosts.ts';
import * as custody from '../domain/custody.ts';
import { countObjects } from '../domain/drive.ts';
import { Failure } from '../domain/failure.ts';
import { parseName } from '../domain/names.ts';
import * as parcels from '../domain/parcel-custody.ts';
import { type Parcel, parseCarrier, parseTracking } from '../domain/shipment.ts';
import * as say from './definitions.ts';
import { refusing } from './gate.ts';
import type { Logbook } from './logbook.ts';
import type { Travel } from './travel.ts';

const describe = say.DESCRIPTIONS;

/** Of no job of ours: whatever is printed on it. */
const EXTRA_DRIVE = /^[A-Za-z0-9][A-Za-z0-9._-]{1,63}$/;

export function hearActs(log: Logbook, travel: Travel): void {
  hearPreparing(log, travel);
  hearShipping(log, travel);
  hearAmending(log, travel);
  hearLosing(log, travel);
  hearScans(log, travel);
  hearReceiving(log, travel);
  hearReports(log, travel);
  hearAttaching(log, travel);
  hearReturning(log);
}

interface Hearing<A extends say.Act, R> {
  readonly log: Logbook;
  readonly name: keyof typeof describe;
  readonly check: (act: A) => void;
  readonly carryOut: (act: A) => R | Promise<R>;
}

/** One act: admitted and checked without a trace, then carried out. */
export function hear<A extends say.Act, R>(
  update: UpdateDefinition<R, [A]>,
  { log, name, check, carryOut }: Hearing<A, R>,
): void {
  setHandler(update, carryOut, {
    description: describe[name],
    validator: refusing((act: A) => {
      log.checkGoesOn();
      log.admit();
      say.checkTexts<'by'>(act, ['by']);
      log.checkRequest(act);
      check(act);
    }),
  });
}

function hearPreparing(log: Logbook, travel: Travel): void {
  hear(say.prepareDrive, {
    log,
    name: 'prepareDrive',
    check(act) {
      say.checkTexts(act, ['drive', 'host']);
      parseName('drive', act.drive);
      checkCopyHost(log.job, parseName('host', act.host));
      if (!Number.isSafeInteger(act.capacityBytes) || act.capacityBytes <= 0)
        throw new Failure('Usage', 'capacityBytes is no number of bytes');
      if (!log.staged && !log.isLimited) throw new Failure('WrongState', 'the initial backup is still being staged');
      custody.specify(log.custody, act);
    },
    carryOut(act) {
      const { drive, host, capacityBytes, serial, offline, by } = act;
      log.custody = custody.specify(log.custody, { drive, host, capacityBytes, serial, offline });
      log.note('prepareDrive', by, `${drive} on ${host}`, act);
      const ranges = log.custody.drives.find(({ id }) => id === drive)?.ranges ?? [];
      const { workflowId } = offline ? here() : { workflowId: travel.prepare(drive) };
      return { workflowId, ranges, objects: countObjects(ranges) };
    },
  });
  hear(say.addJournal, {
    log,
    name: 'addJournal',
    check(act) {
      say.checkTexts(act, ['drive']);
      if (act.receipt?.drive !== act.drive) throw new Failure('Usage', 'receipt is missing, or of another drive');
      custody.journaled(log.custody, act.receipt, act.serial);
    },
    carryOut(act) {
      const { drive, receipt, serial, by } = act;
      log.receipts.set(drive, receipt);
      log.custody = custody.journaled(log.custody, receipt, serial);
      log.note('addJournal', by, `${drive} on ${receipt.host}`, act);
      travel.moved();
    },
  });
}

function hearShipping(log: Logbook, travel: Travel): void {
  const sent = ({ carrier, tracking, drives, later, by }: say.ShipAct) =>
    parcels.shipped(log.custody, { carrier, tracking, drives, later }, { at: new Date().toISOString(), by });
  hear(say.ship, {
    log,
    name: 'ship',
    check(act) {
      say.checkTexts(act, ['carrier', 'tracking']);
      if (act.drives !== undefined) say.checkDrives(act.drives);
      if (!act.unchecked) checkLabel(log, act.carrier, act.tracking);
      sent(act);
      const { returns, details, job } = log.job;
      if (returns && details && !details.returnTo)
        throw new Failure('WrongState', 'the job has no return address: its drives could not come back', {
          next: `seedship job edit ${job} --return-to ADDRESS`,
        });
    },
    carryOut(act) {
      log.custody = sent(act);
      const tracking = parseTracking(act.tracking);
      const parcel = known(log.custody.parcels.find((one) => one.tracking === tracking));
      const when = act.later ? 'ready, ' : '';
      log.note('ship', act.by, `${when}${parcel.carrier} ${parcel.tracking}: ${parcel.drives.join(' ')}`, act);
      travel.moved();
      return parcel;
    },
  });
}

function hearAmending(log: Logbook, travel: Travel): void {
  hear(say.amendParcel, {
    log,
    name: 'amendParcel',
    check(act) {
      say.checkTexts(act, ['tracking', 'to']);
      const after = parcels.amended(log.custody, act);
      const to = parseTracking(act.to);
      const carrier = after.parcels.find(({ tracking }) => tracking === to)?.carrier ?? '';
      if (!act.unchecked) checkLabel(log, carrier, to);
    },
    carryOut(act) {
      log.custody = parcels.amended(log.custody, act);
      const [from, to] = [parseTracking(act.tracking), parseTracking(act.to)];
      log.waits = log.waits.map((wait) => (wait.key === `parcel-${from}` ? { ...wait, key: `parcel-${to}` } : wait));
      log.note('amendParcel', act.by, `${from} is ${act.carrier ?? ''} ${to}`.replace('  ', ' '), act);
      travel.moved();
      return known(log.custody.parcels.find(({ tracking }) => tracking === to));
    },
  });
}

function hearLosing(log: Logbook, travel: Travel): void {
  hear(say.loseParcel, {
    log,
    name: 'loseParcel',
    check(act) {
      say.checkTexts(act, ['tracking']);
      parcels.parcelLost(log.custody, act.tracking, custody.wayOf(act.choice));
    },
    carryOut(act) {
      const { tracking, choice, by } = act;
      log.custody = parcels.parcelLost(log.custody, tracking, choice);
      log.note('loseParcel', by, `${tracking}: ${choice}`, act);
      travel.moved();
      return here();
    },
  });
}

/** Told by the child that hears the carriers: a few a parcel, since it drops what changes nothing. */
function hearScans(log: Logbook, travel: Travel): void {
  setHandler(say.parcelScan, ({ tracking, event, at }) => {
    const after = parcels.scanned(log.custody, { tracking, event, at: new Date().toISOString() });
    if (!after) return;
    log.custody = after;
    log.note('scan', 'carrier', `${tracking} ${event} at ${at}`);
    travel.moved();
  });
}

function hearReceiving(log: Logbook, travel: Travel): void {
  hear(say.receive, {
    log,
    name: 'receive',
    check(act) {
      say.checkDrives(act.drives);
      for (const { drive } of act.extra ?? [])
        if (typeof drive !== 'string' || !EXTRA_DRIVE.test(drive))
          throw new Failure('Usage', `${JSON.stringify(drive)} is no serial or id of a drive`);
      parcels.received(log.custody, act);
    },
    carryOut(act) {
      const { drives, extra = [], unannounced, by } = act;
      log.custody = parcels.received(log.custody, { drives, extra, unannounced });
      const others = extra.map(({ drive, ofJob }) => `${drive} (${ofJob ? `of job ${ofJob}` : 'of no job'})`);
      log.note('receive', by, [...drives, ...others].join(' '), act);
      for (const drive of drives) travel.settled(drive); // one that was called damaged is not asked about any more
      travel.moved();
      return here();
    },
  });
}

function hearReports(log: Logbook, travel: Travel): void {
  const reported = ({ drives, found, choice }: say.ReportDrivesAct) => {
    if (found === 'missing') return parcels.missing(log.custody, drives);
    if (found === 'damaged') return parcels.damaged(log.custody, drives);
    return custody.lost(log.custody, drives, custody.wayOf(choice));
  };
  hear(say.reportDrives, {
    log,
    name: 'reportDrives',
    check(act) {
      say.checkDrives(act.drives);
      if (!['missing', 'damaged', 'lost'].includes(act.found))
        throw new Failure('Usage', 'found is missing, damaged or lost');
      if (act.drives.length === 0) throw new Failure('WrongState', 'no drive was named');
      if (act.found !== 'missing') travel.checkIdle(act.drives);
      reported(act);
    },
    carryOut(act) {
      log.custody = reported(act);
      const way = act.found === 'lost' ? `: ${act.choice}` : '';
      log.note('reportDrives', act.by, `${act.drives.join(' ')} ${act.found}${way}`, act);
      for (const drive of act.drives) {
        travel.settled(drive);
        if (act.found === 'damaged') travel.judge(drive);
      }
      travel.moved();
      return here();
    },
  });
}

function hearAttaching(log: Logbook, travel: Travel): void {
  hear(say.attach, {
    log,
    name: 'attach',
    check(act) {
      say.checkTexts(act, ['drive', 'region', 'host']);
      parseName('host', act.host);
      const { region = log.job.region } = log.custody.drives.find(({ id }) => id === act.drive) ?? {};
      if (act.region !== region) throw new Failure('WrongState', `the drive goes to ${region}, not to ${act.region}`);
      custody.attached(log.custody, act.drive, act.host, travel.asking());
    },
    carryOut(act) {
      const { drive, host, serial, by } = act;
      const { serial: sent } = custody.driveOf(log.custody, drive);
      log.custody = custody.attached(log.custody, drive, host, travel.asking());
      const other = serial && sent && serial !== sent ? `: the disk says it is ${serial}, sent was ${sent}` : '';
      log.note('attach', by, `${drive} at ${host}${other}`, act);
      return { workflowId: travel.take(drive) };
    },
  });
}

function hearReturning(log: Logbook): void {
  const back = ({ drives, carrier, tracking, by }: say.ReturnDrivesAct) =>
    parcels.shippedBack(log.custody, drives, { carrier, tracking, by, at: new Date().toISOString() });
  hear(say.returnDrives, {
    log,
    name: 'returnDrives',
    check(act) {
      say.checkTexts(act, ['carrier', 'tracking']);
      say.checkDrives(act.drives);
      back(act);
    },
    carryOut(act) {
      const { drives, carrier, tracking, by } = act;
      log.custody = back(act);
      log.note('returnDrives', by, `${drives.join(' ')} by ${carrier} ${tracking}`, act);
      return here();
    },
  });
}

/** A parcel of a carrier that the datacenter does not let in stands at its gate, whatever its number. */
function checkLabel({ job: { details } }: Logbook, carrier: string, tracking: string): void {
  checkTracking(parseCarrier(carrier, details?.carriers), parseTracking(tracking));
}

function here() {
  return { workflowId: workflowInfo().workflowId };
}

/** An accepted act has made it. */
function known(parcel: Parcel | undefined): Parcel {
  if (!parcel) throw new Error('acts: the parcel is not there');
  return parcel;
}
