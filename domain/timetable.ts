/**
 * How many bytes a second may cross a line, by the clock of the host: `10MiB` at any time, or changes of a day or
 * a week, `08:00,512KiB 18:00,off` and `mon-08:00,1MiB fri-18:00,off`, as rclone's --bwlimit has them. Between two
 * changes the earlier holds; before the first of a week, the last.
 */
import { parseSize } from './units.ts';

export interface RateChange {
  /** Minutes since Sunday 00:00. */
  readonly minute: number;
  /** Absent: no bound. */
  readonly bytesPerSecond?: number;
}

/** By minute; at least one. */
export type Timetable = readonly RateChange[];

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const CHANGE = /^(?:([a-z]{3})-)?(\d\d):([0-5]\d),(\S+)$/;
const DAY_MINUTES = 24 * 60;

/** Reads a timetable; `undefined` when the text is none. */
export function parseTimetable(text: string): Timetable | undefined {
  const words = text.trim().toLowerCase().split(/\s+/);
  const [always] = words.length === 1 ? [boundOf(words[0] ?? '')] : [];
  if (always) return [{ minute: 0, ...always }];
  const changes = words.map(changesOf);
  const sorted = changes.flat().sort((a, b) => a.minute - b.minute);
  const isClear = sorted.every(({ minute }, at) => minute !== sorted[at - 1]?.minute);
  return changes.every(({ length }) => length > 0) && isClear ? sorted : undefined;
}

/** The bound at a moment, on the clock of this host; `undefined` for none. */
export function rateAt(timetable: Timetable, moment: Date): number | undefined {
  const minute = moment.getDay() * DAY_MINUTES + moment.getHours() * 60 + moment.getMinutes();
  return (timetable.findLast((change) => change.minute <= minute) ?? timetable.at(-1))?.bytesPerSecond;
}

/** One change, or the same on each day; none when the word is not one. */
function changesOf(word: string): RateChange[] {
  const [, day, hour, minutes, rate = ''] = CHANGE.exec(word) ?? [];
  const bound = boundOf(rate);
  if (!bound || Number(hour) > 23 || (day !== undefined && !DAYS.includes(day))) return [];
  const days = day === undefined ? DAYS.keys() : [DAYS.indexOf(day)];
  return [...days].map((at) => ({ minute: at * DAY_MINUTES + Number(hour) * 60 + Number(minutes), ...bound }));
}

/** `off` and 0 are no bound; `undefined` for what is no rate. */
function boundOf(text: string): Pick<RateChange, 'bytesPerSecond'> | undefined {
  if (text === 'off') return {};
  const bytesPerSecond = parseSize(text);
  if (bytesPerSecond === undefined) return undefined;
  return bytesPerSecond === 0 ? {} : { bytesPerSecond };
}
