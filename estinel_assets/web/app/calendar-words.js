/** The calendar in words: what became of a day, and the tables that say so. */
import { cellMark } from "./calendar-blocks.js";
import { dayTables } from "./day-tables.js";
import { dayText, percentOf } from "./days.js";
import { button, el } from "./dom.js";
import { fill, texts } from "./texts.js";

/**
 * What stands of a day, in words.
 * @param {import("./calendar-model.js").Day} day
 * @param {Object<string, {fault: boolean, meaning: string}>} reasons
 * @returns {string}
 */
export function outcomeText(day, reasons) {
  const words = texts.panels.calendar;
  const why = day.reason.replaceAll("_", " ");
  if (day.kind === "image") {
    const { clear } = day.image;
    const image = clear === null ? words.image : fill(words.clear, { percent: percentOf(clear) });
    const failed = reasons[day.reason]?.fault === true;
    return failed ? fill(words.kept, { image, why }) : image;
  }
  if (day.kind === "failed") return fill(words.failed, { why });
  if (day.kind === "cloudy") return words.kinds.cloudy;
  return day.reason === "none" ? words.unlisted : fill(words.other, { why });
}

/**
 * The days of each year as a table: the calendar's alternative for reading.
 * @param {{year: number, days: import("./calendar-model.js").Day[], counts: Record<string, number>}[]} years
 * @param {{site: object, imageId: string|null, reasons: object}} options - `reasons` of the catalogue
 * @returns {{element: HTMLElement, close: function(): void}} days with an image have a button with
 *   `data-date` and `data-open`
 */
export function outcomeTables(years, { site, imageId, reasons }) {
  const words = texts.panels.calendar;
  return dayTables({
    years: years
      .filter((year) => year.days.length > 0)
      .map(({ year, days, counts }) => ({
        title: fill(words.year, { year, images: counts.image, cloudy: counts.cloudy, failed: counts.failed }),
        caption: fill(words.tableCaption, { site: site.name, year }),
        rows: days.toReversed(),
      })),
    columns: [words.date, words.outcome],
    cells: (day) => [dateCell(day), outcomeCell(day, reasons)],
    mark: (day) => (day.image !== null && day.image.id === imageId ? "true" : null),
  });
}

/**
 * Mark the row of the shown image.
 * @param {HTMLElement} element - holds the tables
 * @param {Map<string, import("./calendar-model.js").Day>} days - by date
 * @param {string|null} imageId
 */
export function markCalendarRows(element, days, imageId) {
  for (const row of element.querySelectorAll("tbody tr")) {
    const date = row.querySelector("[data-date]")?.dataset.date;
    const current = date !== undefined && days.get(date)?.image?.id === imageId;
    if (current) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

function dateCell(day) {
  if (day.image === null) return el("span", { text: day.date });
  const label = fill(texts.panels.calendar.open, { date: dayText(day.date) });
  const made = button({ label, text: day.date, class: "day-open" });
  made.dataset.date = day.date;
  made.dataset.open = "";
  return made;
}

function outcomeCell(day, reasons) {
  return el(
    "span",
    { class: "calendar-outcome" },
    cellMark(day.kind),
    el("span", { text: outcomeText(day, reasons) }),
  );
}
