/** A year of the calendar, drawn as weeks. */
import { block } from "./calendar-model.js";
import { addDays } from "./days.js";
import { el } from "./dom.js";
import { fill, texts } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
/** Width of the gap between two days, as a share of a day's side. */
const GAP = 0.14;

/**
 * Make a year: one row of weeks, or two.
 * @param {{year: number, days: object[], counts: Record<string, number>}} year
 * @param {{span: {first: string, last: string}, wide: boolean, cell: function(object): HTMLElement}} options -
 *   `span`: first and last day of the site, between which a day without outcome had no scene
 * @returns {{element: HTMLElement, tasks: (function(): void)[]}} the tasks draw its rows, one each
 */
export function yearBlock({ year, days, counts }, { span, wide, cell }) {
  const words = texts.panels.calendar;
  const halves = wide ? [block(year, 1, 12)] : [block(year, 1, 6), block(year, 7, 6)];
  const number = counts.image === 1 ? words.yearNumber : fill(words.yearNumbers, { images: counts.image });
  const element = el(
    "section",
    { class: "calendar-year", dataset: { year } },
    el("h3", {}, el("span", { text: year }), el("span", { class: "calendar-number", text: number })),
  );
  const worked = halves.filter((half) => half.first <= span.last && half.last >= span.first);
  return { element, tasks: worked.map((half) => () => element.append(weeks(half, days, span, cell))) };
}

/**
 * The mark of a kind of day, for legends and tables.
 * @param {string} kind - one of KINDS
 * @returns {HTMLElement}
 */
export function cellMark(kind) {
  return el("span", { class: "calendar-mark", dataset: { kind }, attrs: { "aria-hidden": "true" } });
}

function weeks(half, days, span, cell) {
  const months = half.months.map(({ index, column }) => {
    const label = el("span", { text: texts.panels.calendar.shorter[index] });
    label.style.setProperty("--column", String(column));
    return label;
  });
  const cells = days
    .filter((day) => day.date >= half.first && day.date <= half.last)
    .map((day) => {
      const made = cell(day);
      const { column, row } = half.place(day.date);
      made.style.setProperty("--column", String(column));
      made.style.setProperty("--row", String(row));
      return made;
    });
  const grid = el("div", { class: "calendar-grid" }, ground(half, span), ...cells);
  const made = el(
    "div",
    { class: "calendar-weeks" },
    el("div", { class: "calendar-months", attrs: { "aria-hidden": "true" } }, ...months),
    grid,
  );
  made.style.setProperty("--columns", String(half.columns));
  return made;
}

/** The days without outcome: one path for those of the site's span, one for those outside it. */
function ground(half, span) {
  const inside = [];
  const outside = [];
  for (let date = half.first; date <= half.last; date = addDays(date, 1)) {
    const { column, row } = half.place(date);
    const path = `M${column + GAP / 2} ${row + GAP / 2}h${1 - GAP}v${1 - GAP}h${GAP - 1}z`;
    (date >= span.first && date <= span.last ? inside : outside).push(path);
  }
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "calendar-ground");
  svg.setAttribute("viewBox", `0 0 ${half.columns} 7`);
  svg.setAttribute("aria-hidden", "true");
  for (const [name, paths] of [["inside", inside], ["outside", outside]]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", `calendar-${name}`);
    path.setAttribute("d", paths.join(""));
    svg.append(path);
  }
  return svg;
}
