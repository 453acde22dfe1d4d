/**
 * Drives are with people and carriers: nothing to do but wait, remind, and ask.
 *
 *   ship      prepared drives wait to be shipped     reminders at 3, 7 and 13 days, attention at 14
 *   arrive    a parcel is on its way                 the same, from the day it left
 *   missing   a parcel was opened without a drive    attention at once
 *   gone      its carrier gave a parcel up           attention at once
 *
 * The parent owns the drives; it tells what is waited for since when, and this ends when nothing is.
 * A choice of `wait` comes back as a later `since`. Carriers' scans may be many: this is the one
 * workflow that continues as new.
 */
import { condition, continueAsNew, getExternalWorkflowHandle, setHandler, workflowInfo } from '@temporalio/workflow';
import { nextDue, SCAN_EVENTS, TIMERS, type Timers, type TravelWait, waitId } from '../domain/shipment.ts';
import { DAY } from '../domain/units.ts';
import { type CarrierScan, carrierScan, parcelScan, type ShippingNews, shippingNews } from './definitions.ts';
import { type Gate, openChildGate } from './gate.ts';
import { Bell } from './notice.ts';
import type { Question } from './open-attention.ts';

/** Ids of scans kept to tell repeated ones; carriers repeat within days, not within hundreds. */
const SCANS_MAX = 200;

export interface ShippingState {
  readonly vault: string;
  readonly job: string;
  readonly heartbeatMs: number;
  readonly news: ShippingNews;
  /** The usual days when absent. */
  readonly timers?: Timers;
  /** Reminders sent, and whether it was asked, by `<key> <since>`. */
  readonly told?: Readonly<Record<string, number>>;
  readonly scans?: readonly string[];
}

export interface ShippingOutcome {
  readonly outcome: 'arrived';
}

const QUESTIONS: Readonly<Record<TravelWait['kind'], Pick<Question, 'code' | 'message' | 'hint' | 'choices'>>> = {
  ship: {
    code: 'ShipmentLate',
    message: 'prepared drives were not shipped within 14 days',
    hint: 'ship them, then: seedship job ship',
    choices: ['wait', 'abort'],
  },
  arrive: {
    code: 'DriveMissing',
    message: 'a parcel did not arrive within 14 days',
    hint: 'ask the carrier; what it carried can be sent again',
    choices: ['wait', 'replace', 'send', 'drop', 'abort'],
  },
  gone: {
    code: 'DriveMissing',
    message: 'its carrier says that a parcel is lost',
    hint: 'what it carried can be sent again',
    choices: ['wait', 'replace', 'send', 'drop', 'abort'],
  },
  missing: {
    code: 'DriveMissing',
    message: 'a drive was not in its parcel',
    hint: 'look for it; what it carried can be sent again',
    choices: ['wait', 'replace', 'send', 'drop', 'abort'],
  },
};

export async function shipping(state: ShippingState): Promise<ShippingOutcome> {
  const { vault, job, heartbeatMs, timers = TIMERS } = state;
  const told: Record<string, number> = { ...state.told };
  const asked = new Map<string, string>();
  const scans = [...(state.scans ?? [])];
  const delivered: CarrierScan[] = [];
  let news = state.news;
  let stirred = false;
  setHandler(shippingNews, (latest) => {
    if ((latest.count ?? 0) < (news.count ?? 0)) return; // overtaken on its way
    news = latest;
    stirred = true;
  });
  setHandler(carrierScan, (scan) => {
    if (scans.includes(scan.scanId)) return;
    scans.push(scan.scanId);
    if (scans.length > SCANS_MAX) scans.shift();
    if (scan.event === 'delivered') delivered.push(scan);
    tellParent(scan);
    stirred = true;
  });
  const gate = openChildGate(heartbeatMs);
  gate.step = 'shipping';
  const bell = new Bell({ vault, subject: job });
  const remind = (text: string) => bell.ring({ kind: 'reminder', text });

  while (news.waits.length > 0 || !news.complete) {
    stirred = false;
    for (const scan of delivered.splice(0))
      remind(`parcel ${scan.tracking} was delivered: seedship drive receive --job ${job}`);
    await bell.quiet();
    if (workflowInfo().continueAsNewSuggested && asked.size === 0 && delivered.length === 0)
      await continueAsNew<typeof shipping>({
        ...{ vault, job, heartbeatMs, news, told, scans },
        ...(state.timers && { timers }),
      });
    drop(gate, asked, news.waits);
    let wake = Number.POSITIVE_INFINITY;
    for (const wait of news.waits) {
      const key = waitId(wait);
      if (asked.has(key)) continue;
      const due = nextDue(wait, told[key] ?? 0, timers);
      if (due.at > Date.now()) wake = Math.min(wake, due.at);
      else if (due.kind === 'decision') asked.set(key, gate.open.ask(question(wait, job, timers)).attention.id);
      else {
        told[key] = (told[key] ?? 0) + 1;
        remind(`${said(wait)}: reminder ${told[key]} of ${timers.remindMs.length}`);
        stirred = true;
      }
    }
    await stirring(() => stirred, wake);
  }
  await bell.quiet();
  return { outcome: 'arrived' };
}

/** Withdraws what is no longer waited for, or waited for anew. */
function drop(gate: Gate, asked: Map<string, string>, waits: readonly TravelWait[]): void {
  const now = new Set(waits.map(waitId));
  for (const [key, id] of asked) {
    if (now.has(key)) continue;
    asked.delete(key);
    gate.open.withdraw(id);
  }
}

async function stirring(stirred: () => boolean, wake: number): Promise<void> {
  if (wake === Number.POSITIVE_INFINITY) await condition(stirred);
  else await condition(stirred, Math.max(1, wake - Date.now()), { summary: 'until the next reminder or decision' });
}

/** What moves a parcel is the parent's to write down; who has no parent, as in tests, tells nobody. */
function tellParent({ tracking, event, at }: CarrierScan): void {
  const { parent } = workflowInfo();
  const known = SCAN_EVENTS.find((one) => one === event);
  if (!parent || !known) return;
  const up = getExternalWorkflowHandle(parent.workflowId).signal(parcelScan, { tracking, event: known, at });
  void up.catch(() => undefined); // the parent has ended, and will cancel this
}

function question(wait: TravelWait, job: string, { decideMs }: Timers): Question {
  const [drive, ...more] = wait.drives;
  const asked = QUESTIONS[wait.kind];
  const found =
    wait.kind === 'ship'
      ? ''
      : `; if it turns up: seedship drive receive --job ${job} --drive ${wait.drives.join(' ')}`;
  const days = `${decideMs / DAY} days`;
  return {
    ...asked,
    message: asked.message.replace('14 days', wait.until === undefined ? days : `the time given, until ${wait.until}`),
    hint: `${asked.hint}${found}`,
    step: wait.key,
    ...(wait.tracking === undefined ? {} : { parcel: wait.tracking }),
    ...(wait.kind !== 'ship' && drive !== undefined && more.length === 0 ? { drive } : {}),
  };
}

function said({ kind, drives, tracking }: TravelWait): string {
  if (kind === 'ship') return `${drives.length} prepared drives wait to be shipped`;
  return tracking === undefined ? `drive ${drives.join(' ')} is missing` : `parcel ${tracking} is on its way`;
}
