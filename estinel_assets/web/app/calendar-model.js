/** What each day of a site is in the calendar. Pure. */
import { addDays, daysBetween, weekday } from "./days.js";

export const KINDS = ["image", "cloudy", "failed", "other", "empty"];

/**
 * @typedef {{date: string, kind: "image"|"cloudy"|"failed"|"other", reason: string, image: object|null}} Day
 * `reason` is "none" where the images stand as they should; an image whose day failed again keeps its reason
 */

/**
 * The days of a site that have an outcome or an image.
 * @param {{images: object[], days: Map<string, string>}} site
 * @param {Object<string, {fault: boolean, meaning: string}>} reasons - of the catalogue
 * @returns {Day[]} oldest first
 */
export function siteDays(site, reasons) {
  const byDate = new Map();
  for (const [date, reason] of site.days) {
    byDate.set(date, { date, kind: kindOf(reason, reasons), reason, image: null });
  }
  for (const image of site.images) {
    const reason = byDate.get(image.date)?.reason ?? "none";
    byDate.set(image.date, { date: image.date, kind: "image", reason, image });
  }
  return [...byDate.values()].sort((a, b) => (a.date < b.date ? -1 : 1));
}

/** Of a catalogue with odd dates, years without days are left out beyond this span. */
const MOST_YEARS = 60;

/**
 * Years from the newest to the oldest, those between without days among them.
 * @param {Day[]} days - oldest first
 * @returns {{year: number, days: Day[], counts: Record<string, number>}[]} counts by kind; empty days are those
 *   between the first and the last of all
 */
export function byYear(days) {
  if (days.length === 0) return [];
  const first = days[0].date;
  const last = days[days.length - 1].date;
  const years = new Map();
  const sparse = yearOf(last) - yearOf(first) > MOST_YEARS;
  if (!sparse) for (let year = yearOf(first); year <= yearOf(last); year += 1) years.set(year, []);
  for (const day of days) {
    const year = yearOf(day.date);
    if (!years.has(year)) years.set(year, []);
    years.get(year).push(day);
  }
  return [...years].reverse().map(([year, ofYear]) => ({
    year,
    days: ofYear,
    counts: countKinds(ofYear, later(first, `${pad(year)}-01-01`), earlier(last, `${pad(year)}-12-31`)),
  }));
}

/**
 * Where the days of a half or a whole year stand: a column a week, a row a day from Monday.
 * @param {number} year
 * @param {number} month - first month, 1 or 7
 * @param {number} months - 6 or 12
 * @returns {{first: string, last: string, columns: number, months: {index: number, column: number}[],
 *   place: function(string): {column: number, row: number}}} `months[].column` is that of the month's first day
 */
export function block(year, month, months) {
  const first = monthStart(year, month);
  const last = addDays(month + months > 12 ? monthStart(year + 1, 1) : monthStart(year, month + months), -1);
  const offset = weekday(first);
  const place = (date) => {
    const index = daysBetween(first, date) + offset;
    return { column: Math.floor(index / 7), row: index % 7 };
  };
  const labels = [];
  for (let index = month; index < month + months; index += 1) {
    labels.push({ index: index - 1, column: place(monthStart(year, index)).column });
  }
  return { first, last, columns: place(last).column + 1, months: labels, place };
}

/**
 * Failed days by reason, the most frequent first.
 * @param {Day[]} days
 * @returns {{reason: string, count: number}[]} days whose former image still stands are counted, too
 */
export function failures(days, reasons) {
  const counts = new Map();
  for (const { reason } of days) {
    if (kindOf(reason, reasons) === "failed") counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts]
    .map(([reason, count]) => ({ reason, count }))
    .sort((a, b) => b.count - a.count || (a.reason < b.reason ? -1 : 1));
}

/**
 * What a reason alone makes of a day.
 * @param {string} reason
 * @param {Object<string, {fault: boolean, meaning: string}>} reasons
 * @returns {"cloudy"|"failed"|"other"}
 */
export function kindOf(reason, reasons) {
  if (reason === "too_cloudy") return "cloudy";
  return Object.hasOwn(reasons, reason) && reasons[reason].fault ? "failed" : "other";
}

function countKinds(days, from, to) {
  const counts = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
  for (const day of days) counts[day.kind] += 1;
  counts.empty = Math.max(0, daysBetween(from, to) + 1 - days.length);
  return counts;
}

function yearOf(date) {
  return Number(date.slice(0, 4));
}

function monthStart(year, month) {
  return `${pad(year)}-${String(month).padStart(2, "0")}-01`;
}

function pad(year) {
  return String(year).padStart(4, "0");
}

function later(a, b) {
  return a > b ? a : b;
}

function earlier(a, b) {
  return a < b ? a : b;
}
