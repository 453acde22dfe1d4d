/** Hours of a week in which a rule holds, on the clock of the host: `mon-fri 08:00-18:00`, or `22:00-06:00`. */
import { Failure } from './failure.ts';

export interface Hours {
  /** 0 is Sunday. Of a span past midnight, the day it begins on. */
  readonly days: readonly number[];
  /** Minutes of the day; the end is later than the beginning, or on the next day. */
  readonly from: number;
  readonly to: number;
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const FORM = /^(?:([a-z]{3})(?:-([a-z]{3}))? )?(\d\d):([0-5]\d)-(\d\d):([0-5]\d)$/;
const DAY_MINUTES = 24 * 60;

/** @throws Failure `Usage` */
export function parseHours(text: string): Hours {
  const hours = read(text);
  if (hours) return hours;
  throw new Failure('Usage', `${JSON.stringify(text)} are no hours`, {
    why: 'hours are 08:00-18:00, or mon-fri 08:00-18:00',
  });
}

/** Whether a text can be read as hours. */
export function areHours(text: string): boolean {
  return read(text) !== undefined;
}

/** Whether a moment lies in the hours. @param at on the clock of this host */
export function isWithin({ days, from, to }: Hours, at: Date): boolean {
  const minute = at.getHours() * 60 + at.getMinutes();
  const day = at.getDay();
  if (from < to) return days.includes(day) && minute >= from && minute < to;
  return (days.includes(day) && minute >= from) || (days.includes((day + 6) % 7) && minute < to);
}

function read(text: string): Hours | undefined {
  const [, first, last = first, ...clock] = FORM.exec(text.trim().toLowerCase()) ?? [];
  const [fromHour = -1, fromMinute = 0, toHour = -1, toMinute = 0] = clock.map(Number);
  const [from, to] = [fromHour * 60 + fromMinute, toHour * 60 + toMinute];
  const days = first === undefined ? [0, 1, 2, 3, 4, 5, 6] : daysFrom(DAYS.indexOf(first), DAYS.indexOf(last ?? ''));
  const isSpan = from >= 0 && from < DAY_MINUTES && to >= 0 && to <= DAY_MINUTES && from !== to;
  return days.length > 0 && isSpan ? { days, from, to } : undefined;
}

function daysFrom(first: number, last: number): number[] {
  if (first < 0 || last < 0) return [];
  const length = ((last - first + 7) % 7) + 1;
  return Array.from({ length }, (_, at) => (first + at) % 7);
}
