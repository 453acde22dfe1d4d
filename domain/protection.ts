/**
 * When a protection runs, as people write it, and as a Temporal Schedule wants it.
 *
 *   daily 02:00            daily 02:00,14:00      up to 6 times a day
 *   weekly sat 22:00       weekly mon,thu 22:00
 *
 * Times are wall-clock times of the protection's time zone; Temporal keeps to them when clocks change.
 */
import { Failure } from './failure.ts';

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
type Day = (typeof DAYS)[number];

export const TIMES_A_DAY_MAX = 6;

export interface Schedule {
  readonly kind: 'daily' | 'weekly';
  /** Empty for daily. */
  readonly days: readonly Day[];
  readonly times: readonly { readonly hour: number; readonly minute: number }[];
}

const TEMPORAL_DAYS = {
  sun: 'SUNDAY',
  mon: 'MONDAY',
  tue: 'TUESDAY',
  wed: 'WEDNESDAY',
  thu: 'THURSDAY',
  fri: 'FRIDAY',
  sat: 'SATURDAY',
} as const satisfies Record<Day, string>;

/** A calendar of a Temporal schedule spec. */
export interface Calendar {
  readonly hour: number;
  readonly minute: number;
  readonly dayOfWeek?: (typeof TEMPORAL_DAYS)[Day][];
}

const SHAPE = /^(?:(daily)|(weekly) +([a-z, ]+?)) +(\d{1,2}:\d{2}(?: *, *\d{1,2}:\d{2})*)$/;

/** @throws Failure `Usage` saying what is not understood */
export function parseSchedule(text: string): Schedule {
  const match = SHAPE.exec(text.trim().toLowerCase());
  if (!match) throw misread(text, 'it is `daily TIME[,TIME]` or `weekly DAY[,DAY] TIME`');
  const [, daily, , dayText = '', timeText = ''] = match;
  const days = dayText === '' ? [] : dayText.split(',').map((day) => dayOf(day.trim(), text));
  const times = timeText.split(',').map((time) => timeOf(time.trim(), text));
  if (times.length > TIMES_A_DAY_MAX) throw misread(text, `${TIMES_A_DAY_MAX} times a day are the most`);
  return {
    kind: daily === undefined ? 'weekly' : 'daily',
    days: DAYS.filter((day) => days.includes(day)),
    times: sortedOnce(times),
  };
}

/** The text `parseSchedule` reads back to the same. */
export function formatSchedule({ kind, days, times }: Schedule): string {
  const clock = times.map(({ hour, minute }) => `${two(hour)}:${two(minute)}`).join(',');
  return kind === 'daily' ? `daily ${clock}` : `weekly ${days.join(',')} ${clock}`;
}

/** For `spec.calendars` of a Temporal schedule, beside `spec.timezone`. */
export function calendarsOf({ days, times }: Schedule): Calendar[] {
  const dayOfWeek = days.map((day) => TEMPORAL_DAYS[day]);
  return times.map((time) => (dayOfWeek.length === 0 ? { ...time } : { ...time, dayOfWeek }));
}

/** An IANA name, such as `Europe/Berlin` or `UTC`. @throws Failure `Usage` */
export function parseTimezone(text: string): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text.trim() }).resolvedOptions().timeZone;
  } catch (cause) {
    throw new Failure('Usage', `time zone ${JSON.stringify(text)} is not known here`, {
      why: 'a time zone is an IANA name, such as Europe/Berlin or UTC',
      next: '--timezone UTC',
      cause,
    });
  }
}

function dayOf(text: string, whole: string): Day {
  const day = DAYS.find((known) => known === text.slice(0, 3) && text.length <= 9);
  if (day === undefined) throw misread(whole, `${JSON.stringify(text)} is none of ${DAYS.join(', ')}`);
  return day;
}

function timeOf(text: string, whole: string): { hour: number; minute: number } {
  const [hour = 24, minute = 60] = text.split(':').map(Number);
  if (hour > 23 || minute > 59) throw misread(whole, `${text} is no time of a day`);
  return { hour, minute };
}

function sortedOnce<T extends { hour: number; minute: number }>(times: readonly T[]): T[] {
  const minuteOfDay = ({ hour, minute }: T) => hour * 60 + minute;
  const once = new Map(times.map((time) => [minuteOfDay(time), time]));
  return [...once.values()].sort((a, b) => minuteOfDay(a) - minuteOfDay(b));
}

function two(count: number): string {
  return String(count).padStart(2, '0');
}

function misread(text: string, why: string): Failure {
  return new Failure('Usage', `schedule ${JSON.stringify(text)} is not understood`, {
    why,
    next: '--schedule "daily 02:00"',
  });
}
