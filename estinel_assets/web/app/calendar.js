/** The calendar of a site: what became of each day, by mark and by word. */
import { KINDS, byYear, failures, siteDays } from "./calendar-model.js";
import { cellMark, yearBlock } from "./calendar-blocks.js";
import { markCalendarRows, outcomeText, outcomeTables } from "./calendar-words.js";
import { dayText } from "./days.js";
import { button, el, replaceChildren } from "./dom.js";
import { followPanel, inSlices, watchWidth } from "./panel-life.js";
import { show } from "./state.js";
import { fill, texts } from "./texts.js";

/** From this width in CSS pixels a year is one row of weeks, else two. */
const WIDE = 720;
/** Weeks in the longest row, of a year and of half a year. */
const COLUMNS = { wide: 54, narrow: 28 };
/** Greatest side of a day with its gap, in CSS pixels. */
const MOST_PITCH = 18;
/** Where a day is looked for beside a click that hit none, in CSS pixels. */
const REACH = [[0, -9], [9, 0], [0, 9], [-9, 0], [7, -7], [7, 7], [-7, 7], [-7, -7]];

/**
 * Show the calendar while `state.panel` is "calendar".
 * @param {HTMLElement} element
 * @param {object} app
 */
export function mount(element, app) {
  followPanel(app, element, "calendar", open);
}

function open(element, app) {
  const view = { element, app, days: new Map(), cells: new Map(), table: false, wide: false, stop: () => {} };
  fitWidth(view, element.clientWidth);
  const offs = [
    app.state.on(["site"], () => render(view)),
    app.state.on(["imageId", "secondId"], () => markCurrent(view)),
    app.state.on(["shown"], () => markHidden(view)),
    watchWidth(element, (width) => {
      if (fitWidth(view, width)) render(view);
    }),
  ];
  render(view);
  return () => {
    view.stop();
    offs.forEach((off) => off());
  };
}

/** Set the side of a day. Returns whether years must be built anew. */
function fitWidth(view, width) {
  if (width === 0) return false;
  const wide = width >= WIDE;
  const pitch = Math.min(MOST_PITCH, Math.floor((width / (wide ? COLUMNS.wide : COLUMNS.narrow)) * 10) / 10);
  view.element.style.setProperty("--pitch", `${pitch}px`);
  const turned = wide !== view.wide;
  view.wide = wide;
  return turned;
}

function render(view) {
  const { site } = view.app.state.get();
  const words = texts.panels.calendar;
  view.stop();
  view.cells.clear();
  view.days.clear();
  if (site === null || site.partial) {
    const text = site === null ? texts.panels.noSite : texts.panels.loading;
    replaceChildren(view.element, el("p", { class: "panel-empty", text }));
    return;
  }
  const days = siteDays(site, reasonsOf(view));
  if (days.length === 0) {
    replaceChildren(view.element, el("p", { class: "panel-empty", text: fill(words.none, { site: site.name }) }));
    return;
  }
  for (const day of days) view.days.set(day.date, day);
  const years = byYear(days);
  view.status = el("p", { class: "calendar-status", text: words.hint });
  const place = el("div", { class: "calendar-place" });
  replaceChildren(
    view.element,
    formSwitch(view),
    site.days.size === 0 && el("p", { class: "panel-note", text: words.imagesOnly }),
    legend(years, site.days.size === 0),
    !view.table && view.status,
    place,
    whyFailed(view, days),
  );
  place.addEventListener("click", (event) => choose(view, cellNear(event), event.shiftKey));
  view.stop = view.table ? renderTables(view, place, years) : renderBlocks(view, place, years);
}

function reasonsOf(view) {
  return view.app.catalog?.reasons ?? {};
}

function formSwitch(view) {
  const words = texts.panels.calendar;
  const form = (table, text) =>
    button({
      label: text,
      text,
      pressed: view.table === table,
      on: () => {
        if (view.table === table) return;
        view.table = table;
        render(view);
        view.element.querySelector(".panel-forms [aria-pressed=true]")?.focus();
      },
    });
  return el(
    "div",
    { class: "segmented panel-forms", attrs: { role: "group", "aria-label": words.forms } },
    form(false, words.asCalendar),
    form(true, words.asTable),
  );
}

/** The kinds with their numbers; a catalogue of images alone says of other days nothing at all. */
function legend(years, imagesOnly) {
  const words = texts.panels.calendar;
  const kinds = imagesOnly ? ["image", "empty"] : KINDS;
  const items = kinds.map((kind) => {
    const count = years.reduce((total, year) => total + year.counts[kind], 0);
    const text = imagesOnly && kind === "empty" ? words.noImage : words.kinds[kind];
    return el("li", {}, cellMark(kind), el("span", { text }), el("b", { text: count.toLocaleString(texts.panels.locale) }));
  });
  const hidden = el(
    "li",
    { class: "calendar-hidden-key", attrs: { hidden: true } },
    cellMark("hidden"),
    el("span", { text: words.hiddenKey }),
    el("b"),
  );
  return el("ul", { class: "calendar-legend list-plain", attrs: { "aria-label": words.legend } }, ...items, hidden);
}

function whyFailed(view, days) {
  const words = texts.panels.calendar;
  const reasons = reasonsOf(view);
  const rows = failures(days, reasons);
  if (rows.length === 0) return null;
  return el(
    "section",
    { class: "calendar-why" },
    el("h3", { text: words.why }),
    el(
      "dl",
      {},
      ...rows.flatMap(({ reason, count }) => [
        el("dt", { text: fill(words.whyRow, { count, reason: reason.replaceAll("_", " ") }) }),
        el("dd", { text: reasons[reason].meaning }),
      ]),
    ),
  );
}

function renderBlocks(view, place, years) {
  const { site } = view.app.state.get();
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", fill(texts.panels.calendar.label, { site: site.name }));
  place.addEventListener("keydown", (event) => move(view, event));
  for (const type of ["pointerover", "focusin"]) {
    place.addEventListener(type, (event) => describe(view, event.target));
  }
  place.addEventListener("pointerleave", () => describe(view, document.activeElement));
  const span = { first: [...view.days.keys()][0], last: [...view.days.keys()].pop() };
  return inSlices(blockTasks(view, place, years, span), () => {
    markCurrent(view);
    markHidden(view);
  });
}

function renderTables(view, place, years) {
  const { site, imageId } = view.app.state.get();
  const tables = outcomeTables(years, { site, imageId, reasons: reasonsOf(view) });
  place.append(tables.element);
  return tables.close;
}

function* blockTasks(view, place, years, span) {
  for (const year of years) {
    const { element, tasks } = yearBlock(year, { span, wide: view.wide, cell: (day) => dayCell(view, day) });
    yield () => place.append(element);
    yield* tasks;
    // The shown image is most often among the newest: mark it before the older years stand.
    if (year === years[0]) yield () => markCurrent(view);
  }
}

function dayCell(view, day) {
  const text = fill(texts.panels.calendar.day, { date: dayText(day.date), what: outcomeText(day, reasonsOf(view)) });
  const cell = el("button", {
    class: "calendar-day",
    attrs: { type: "button", tabindex: "-1", "aria-label": text },
    dataset: { date: day.date, kind: day.kind },
  });
  if (day.image !== null && day.image.clear !== null) cell.style.setProperty("--clear", day.image.clear.toFixed(2));
  view.cells.set(day.date, cell);
  return cell;
}

/** The day that was hit, or one beside it: days are smaller than a finger. */
function cellNear(event) {
  const hit = event.target.closest(".calendar-day");
  if (hit !== null || event.target.closest(".calendar-grid") === null) return event.target;
  for (const [dx, dy] of REACH) {
    const near = document.elementFromPoint(event.clientX + dx, event.clientY + dy)?.closest(".calendar-day");
    if (near) return near;
  }
  return event.target;
}

function choose(view, target, second) {
  const day = view.days.get(target.closest?.(".calendar-day, [data-open]")?.dataset.date);
  if (day === undefined) return;
  const { app } = view;
  const words = texts.panels.calendar;
  const date = dayText(day.date);
  if (day.image === null) {
    app.announce(fill(words.saidNoImage, { date, what: outcomeText(day, reasonsOf(view)) }));
  } else if (app.state.get().shown.some((image) => image.id === day.image.id)) {
    show(app, day.image.id, { second });
  } else {
    app.announce(fill(words.saidHidden, { date }));
    if (view.status) view.status.textContent = fill(words.saidHidden, { date });
  }
}

/** Left and right to the day before and after, up and down to the same day of the next years. */
function move(view, event) {
  const cell = event.target.closest(".calendar-day");
  if (cell === null || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const dates = [...view.cells.keys()].sort();
  const index = dates.indexOf(cell.dataset.date);
  const targets = {
    ArrowLeft: () => dates[index - 1],
    ArrowRight: () => dates[index + 1],
    ArrowUp: () => nearestInYear(dates, cell.dataset.date, 1),
    ArrowDown: () => nearestInYear(dates, cell.dataset.date, -1),
    Home: () => dates[0],
    End: () => dates[dates.length - 1],
  };
  if (!Object.hasOwn(targets, event.key)) return;
  event.preventDefault();
  event.stopPropagation();
  const date = targets[event.key]();
  if (date !== undefined) focusCell(view, date);
}

function nearestInYear(dates, date, years) {
  const year = String(Number(date.slice(0, 4)) + years).padStart(4, "0");
  const wanted = year + date.slice(4);
  const inYear = dates.filter((other) => other.startsWith(year));
  return inYear.find((other) => other >= wanted) ?? inYear.at(-1);
}

function focusCell(view, date) {
  makeTabStop(view, date);
  view.cells.get(date).focus({ preventScroll: false });
}

function makeTabStop(view, date) {
  view.cells.get(view.tabStop)?.setAttribute("tabindex", "-1");
  view.cells.get(date)?.setAttribute("tabindex", "0");
  view.tabStop = date;
}

function describe(view, target) {
  const words = texts.panels.calendar;
  const cell = target?.closest?.(".calendar-day") ?? null;
  const text = cell === null ? words.hint : cell.getAttribute("aria-label");
  if (view.status.textContent !== text) view.status.textContent = text;
}

function markCurrent(view) {
  const state = view.app.state.get();
  if (view.table) {
    markCalendarRows(view.element, view.days, state.imageId);
    return;
  }
  if (view.cells.size === 0) return;
  view.element.querySelectorAll(".calendar-day[aria-current]").forEach((cell) => cell.removeAttribute("aria-current"));
  let stop = null;
  for (const [id, pane] of [[state.secondId, "second"], [state.imageId, "first"]]) {
    const image = id === null ? undefined : state.site?.images.find((one) => one.id === id);
    const cell = view.cells.get(image?.date);
    if (cell === undefined) continue;
    cell.setAttribute("aria-current", "date");
    cell.dataset.pane = pane;
    stop = image.date;
  }
  const focused = document.activeElement?.closest?.(".calendar-day");
  if (focused) return;
  makeTabStop(view, stop ?? [...view.days.keys()].pop());
}

function markHidden(view) {
  const shown = new Set(view.app.state.get().shown.map((image) => image.id));
  let count = 0;
  for (const [date, { image }] of view.days) {
    const hidden = image !== null && !shown.has(image.id);
    if (hidden) count += 1;
    if (image !== null) view.cells.get(date)?.classList.toggle("calendar-hidden", hidden);
  }
  const key = view.element.querySelector(".calendar-hidden-key");
  if (key === null) return;
  key.hidden = count === 0;
  key.querySelector("b").textContent = count.toLocaleString(texts.panels.locale);
}
