/**
 * Which steps each site does, on which queues, how many at once. A host serves the sites it is
 * registered as, and no others; `control` needs no registration, and `owner` only a person.
 *
 *   source       stage, state and send: a backup over the line stages and sends at once, hence two each
 *   copy, dock   a drive a bay; seen by what a host has, not by what a job wants
 *   vault        books on its plain queue, copies on its twin
 *   control      workflows, schedules, watching hosts
 *   datacenter   the desk: what people do there is typed or clicked, no step runs by itself yet
 */
import os from 'node:os';
import { clearing, planning, proving } from '../activities/clear-place.ts';
import { erasing, forgetting, recordingErasures } from '../activities/erase-drive.ts';
import { ingesting } from '../activities/ingest-drive.ts';
import { observing } from '../activities/observe-host.ts';
import { observingVault } from '../activities/observe-vault.ts';
import { type HostValues, registeredSites } from '../activities/open-site.ts';
import { preparing } from '../activities/prepare-drive.ts';
import { recording } from '../activities/register-import.ts';
import { restoring, type UnlockedVault } from '../activities/restore-files.ts';
import { type NoticeValues, noticing } from '../activities/send-notice.ts';
import { copying, sending } from '../activities/send-packs.ts';
import { staging } from '../activities/stage-backup.ts';
import { scheduling } from '../activities/start-schedule.ts';
import { Failure } from '../domain/failure.ts';
import { NOTICE_KINDS, type NoticeChannel } from '../domain/news.ts';
import { dataQueue, queueOf, type SiteKind, siteOf } from '../domain/site.ts';
import { readGivenFile, readSecret, storageAccess } from '../host/secrets.ts';
import { type NotifyEntry, type Settings, workflowPage } from '../host/settings.ts';
import type { QueuePlan } from './run-worker.ts';

export const SITE_KINDS: readonly SiteKind[] = ['control', 'source', 'copy', 'datacenter', 'dock', 'vault'];

const SOURCE_SLOTS = 4;
const BOOK_SLOTS = 8;
/** Watching a host takes a moment each, and every waiting step is watched. */
const CONTROL_SLOTS = 50;

/**
 * The queues this host can serve, of the kinds asked for.
 * @throws Failure `Configuration` when it is registered for none of them
 */
export function sitePlans(settings: Settings, kinds: readonly SiteKind[]): QueuePlan[] {
  const registered = registeredSites(settings.stateDirectory).map(({ queue }) => queue);
  const queues = [...new Set(kinds.includes('control') ? [queueOf.control, ...registered] : registered)];
  const values = hostValues(settings);
  const plans = queues.flatMap((queue) => {
    const kind = SITE_KINDS.find((known) => known === siteOf(queue).site);
    return kind !== undefined && kinds.includes(kind) ? plansOf(kind, queue, values, settings) : [];
  });
  if (plans.length > 0 || kinds.every((kind) => kind === 'datacenter')) return plans;
  throw new Failure('Configuration', `this host is not registered as ${kinds.join(' or ')}`, {
    next: 'seedship agent register --credentials FILE',
  });
}

/** The queue of a process that a person unlocked: its keys are in these activities, and nowhere else. */
export function ownerPlan(settings: Settings, id: string, unlocked: UnlockedVault): QueuePlan {
  const activities = restoring(hostValues(settings), unlocked);
  return { queue: dataQueue(queueOf.owner(id)), activities, slots: 1, data: true, workflows: false };
}

/** What steps need of the settings. */
export function hostValues(settings: Settings): HostValues {
  return {
    stateDirectory: settings.stateDirectory,
    host: settings.host,
    places: settings.places,
    accessTo: (url, role, endpoint) => storageAccess(settings, url, role, endpoint),
    threads: settings.threads,
    bytesPerSecondMax: settings.throttle,
    line: settings.bwlimit,
    packBytesMax: settings.packBytes,
    spoolBytesMax: settings.spoolBytes,
    stallMs: settings.stallMs,
    idle: settings.io === 'idle',
    extraCa: settings.environment.NODE_EXTRA_CA_CERTS,
  };
}

function channelOf(name: string, entry: NotifyEntry): NoticeChannel {
  const { webhook, smtp = '', user, from = '', to = [], on, 'ca-file': caFile } = entry;
  const base = { name, kinds: on ?? NOTICE_KINDS };
  if (webhook !== undefined) return { ...base, webhook };
  const authorities = caFile && readGivenFile('file of certificates', caFile).toString();
  return { ...base, smtp, from, to, ...(user && { user }), ...(authorities && { authorities }) };
}

/** Whom the control worker tells, and how: its settings' `[notify.NAME]`. */
export function noticeValues(settings: Settings): NoticeValues {
  const { notify } = settings;
  return {
    channels: Object.entries(notify).map(([name, entry]) => channelOf(name, entry)),
    secretOf: (name) => readSecret({ what: `secret of the channel ${name}`, file: notify[name]?.['secret-file'] }),
    pageOf: (workflowId) => workflowPage(settings, workflowId),
  };
}

function plansOf(kind: SiteKind, queue: string, values: HostValues, settings: Settings): QueuePlan[] {
  const { bays, heartbeatMs } = settings;
  const books = (activities: object, slots: number): QueuePlan => ({
    ...{ queue, activities, slots },
    data: false,
    workflows: queue === queueOf.control,
  });
  const data = (activities: object, slots: number): QueuePlan => ({
    ...{ queue: dataQueue(queue), activities, slots },
    data: true,
    workflows: false,
  });
  switch (kind) {
    case 'control':
      return [
        books({ ...observing({ heartbeatMs }), ...scheduling(), ...noticing(noticeValues(settings)) }, CONTROL_SLOTS),
      ];
    case 'source':
      return [
        data({ ...staging(values), ...sending(values), ...clearing(values), ...forgetting(values) }, SOURCE_SLOTS),
      ];
    case 'copy':
      return [data({ ...preparing(values), ...erasing(values) }, bays)];
    case 'dock':
      return [data({ ...ingesting(values), ...erasing(values) }, bays)];
    case 'vault':
      return [
        books({ ...recording(values), ...planning(values), ...recordingErasures(values) }, BOOK_SLOTS),
        data(
          { ...copying(values), ...observingVault(values), ...proving(values) },
          Math.max(2, os.availableParallelism()),
        ),
      ];
    case 'datacenter':
      return []; // a worker without a step cannot poll
    case 'owner':
      return [];
  }
}
