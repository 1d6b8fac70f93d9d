/** Tables of days, one a year, made when they are opened: the same facts as a drawing, for reading. */
import { el } from "./dom.js";
import { inSlices } from "./panel-life.js";

/**
 * Make a list of years, each with its table.
 * @param {{years: {title: string, caption: string, rows: object[]}[], columns: string[],
 *   cells: function(object): (Node|string)[], mark?: function(object): (string|null)}} options - `cells` gives one
 *   cell a column, the first heads the row; `mark` gives a row's aria-current
 * @returns {{element: HTMLElement, close: function(): void}}
 */
export function dayTables({ years, columns, cells, mark = () => null }) {
  const stops = new Set();
  const element = el("div", { class: "day-tables" });
  years.forEach(({ title, caption, rows }, index) => {
    const body = el("div", { class: "day-table-body" });
    const details = el("details", {}, el("summary", { text: title }), body);
    details.addEventListener("toggle", () => {
      if (!details.open || body.firstChild) return;
      stops.add(fillTable(body, { caption, rows, columns, cells, mark }));
    });
    details.open = index === 0;
    element.append(details);
  });
  return { element, close: () => stops.forEach((stop) => stop()) };
}

function fillTable(place, { caption, rows, columns, cells, mark }) {
  const body = el("tbody");
  const head = columns.map((text) => el("th", { text, attrs: { scope: "col" } }));
  place.append(
    el(
      "table",
      { class: "day-table" },
      el("caption", { class: "visually-hidden", text: caption }),
      el("thead", {}, el("tr", {}, ...head)),
      body,
    ),
  );
  return inSlices(rowTasks(body, rows, cells, mark));
}

function* rowTasks(body, rows, cells, mark) {
  for (const row of rows) {
    yield () => {
      const [first, ...rest] = cells(row);
      const current = mark(row);
      body.append(
        el(
          "tr",
          { attrs: { "aria-current": current } },
          el("th", { attrs: { scope: "row" } }, first),
          ...rest.map((cell) => el("td", {}, cell)),
        ),
      );
    };
  }
}
