/** Days of the calendar as texts, YYYY-MM-DD, without time zones. Pure. */
import { texts } from "./texts.js";

const DAY_MS = 86400000;
let formats = null;

/**
 * Milliseconds since 1970 of a day's start in UTC.
 * @param {string} date - YYYY-MM-DD
 * @returns {number} NaN where it is no date
 */
export function dayMs(date) {
  return Date.parse(`${date}T00:00:00Z`);
}

/**
 * The day that many days later.
 * @param {string} date - YYYY-MM-DD
 * @param {number} days - may be negative
 * @returns {string} YYYY-MM-DD
 */
export function addDays(date, days) {
  return new Date(dayMs(date) + days * DAY_MS).toISOString().slice(0, 10);
}

/**
 * Days from one date to another.
 * @param {string} from - YYYY-MM-DD
 * @param {string} to - YYYY-MM-DD
 * @returns {number} whole days, negative where `to` is earlier
 */
export function daysBetween(from, to) {
  return Math.round((dayMs(to) - dayMs(from)) / DAY_MS);
}

/**
 * Day of the week.
 * @param {string} date - YYYY-MM-DD
 * @returns {number} 0 Monday to 6 Sunday
 */
export function weekday(date) {
  return (new Date(dayMs(date)).getUTCDay() + 6) % 7;
}

/**
 * A day in words, such as "4 December 2024".
 * @param {string} date - YYYY-MM-DD
 * @param {"long"|"short"} [form]
 * @returns {string} the text itself where it is no date
 */
export function dayText(date, form = "long") {
  const ms = dayMs(date);
  if (Number.isNaN(ms)) return date;
  // Making a format takes a millisecond, using one a microsecond.
  formats ??= {
    long: makeFormat("long"),
    short: makeFormat("short"),
  };
  return formats[form].format(ms);
}

/**
 * A share in whole percent; 100 and 0 stand for themselves only.
 * @param {number} fraction - 0 to 1
 * @returns {number}
 */
export function percentOf(fraction) {
  const percent = Math.round(fraction * 100);
  if (percent === 100 && fraction < 1) return 99;
  return percent === 0 && fraction > 0 ? 1 : percent;
}

function makeFormat(month) {
  return new Intl.DateTimeFormat(texts.panels.locale, {
    day: "numeric",
    month,
    year: "numeric",
    timeZone: "UTC",
  });
}
