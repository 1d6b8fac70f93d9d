/** The time series of a site's clear fraction: a chart to choose images with, and the numbers. */
import { dayTables } from "./day-tables.js";
import { dayText, percentOf } from "./days.js";
import { button, el, replaceChildren } from "./dom.js";
import { followPanel, watchWidth } from "./panel-life.js";
import { clearOf, nearestPlace, seriesPoints } from "./series-model.js";
import { drawChart, moveMark } from "./series-chart.js";
import { show } from "./state.js";
import { fill, texts } from "./texts.js";

const LEAP = 10;

/**
 * Show the time series while `state.panel` is "series".
 * @param {HTMLElement} element
 * @param {object} app
 */
export function mount(element, app) {
  followPanel(app, element, "series", open);
}

function open(element, app) {
  const view = { element, app, points: [], chart: null, width: 0, closeTables: () => {} };
  const offs = [
    app.state.on(["site"], () => render(view)),
    app.state.on(["shown"], () => draw(view)),
    app.state.on(["imageId", "secondId"], () => markCurrent(view)),
    watchWidth(element, (width) => {
      view.width = width;
      draw(view);
    }),
  ];
  render(view);
  return () => {
    view.closeTables();
    offs.forEach((off) => off());
  };
}

function render(view) {
  const { site } = view.app.state.get();
  const words = texts.panels.series;
  view.closeTables();
  view.closeTables = () => {};
  view.chart = null;
  view.points = site === null || site.partial ? [] : seriesPoints(site.images);
  if (view.points.length === 0) {
    replaceChildren(view.element, el("p", { class: "panel-empty", text: emptyText(site, words) }));
    return;
  }
  const tables = numbers(view, site);
  view.closeTables = tables.close;
  view.status = el("p", { class: "series-status", attrs: { "aria-hidden": "true" } });
  view.slider = slider(view, site);
  replaceChildren(
    view.element,
    el("p", { class: "panel-note", text: spanText(view.points, words) }),
    view.slider,
    view.status,
    legend(words),
    el("p", { class: "panel-note", text: words.hint }),
    el("h3", { text: words.table }),
    tables.element,
  );
  view.width = Math.floor(view.element.clientWidth);
  draw(view);
}

function emptyText(site, words) {
  if (site === null) return texts.panels.noSite;
  if (site.partial) return texts.panels.loading;
  return fill(site.images.length === 0 ? words.noImages : words.none, { site: site.name });
}

function spanText(points, words) {
  const from = dayText(points[0].image.date);
  if (points.length === 1) return fill(words.oneCount, { from });
  const to = dayText(points[points.length - 1].image.date);
  return fill(words.count, { count: points.length.toLocaleString(texts.panels.locale), from, to });
}

function legend(words) {
  const key = (name) => el("span", { class: `series-key series-key-${name}`, attrs: { "aria-hidden": "true" } });
  const item = (name, text) => el("li", {}, key(name), text);
  return el(
    "ul",
    { class: "series-legend list-plain" },
    item("image", words.image),
    item("hidden", words.hidden),
    item("median", words.median),
    item("current", words.current),
  );
}

/** The chart is one control whose value is the image, as a slider is for a number. */
function slider(view, site) {
  const element = el("div", {
    class: "series-slider",
    attrs: {
      role: "slider",
      tabindex: "0",
      "aria-label": fill(texts.panels.series.chart, { site: site.name }),
      "aria-valuemin": "1",
    },
  });
  element.addEventListener("keydown", (event) => keyed(view, event));
  element.addEventListener("click", (event) => {
    const index = under(view, event);
    if (index >= 0) show(view.app, view.chart.places[index].point.image.id, { second: event.shiftKey });
  });
  element.addEventListener("pointermove", (event) => say(view, under(view, event)));
  element.addEventListener("pointerleave", () => say(view, currentIndex(view)));
  return element;
}

function under(view, event) {
  if (view.chart === null) return -1;
  const box = view.chart.svg.getBoundingClientRect();
  return nearestPlace(view.chart.places, event.clientX - box.left, event.clientY - box.top);
}

function keyed(view, event) {
  if (view.chart === null || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const last = view.chart.places.length - 1;
  const index = currentIndex(view);
  const targets = {
    ArrowLeft: index - 1,
    ArrowDown: index - 1,
    ArrowRight: index + 1,
    ArrowUp: index + 1,
    PageDown: index - LEAP,
    PageUp: index + LEAP,
    Home: 0,
    End: last,
  };
  if (!Object.hasOwn(targets, event.key) || last < 0) return;
  event.preventDefault();
  event.stopPropagation();
  const target = Math.max(0, Math.min(last, targets[event.key]));
  show(view.app, view.chart.places[target].point.image.id);
}

function draw(view) {
  if (view.points.length === 0 || view.width === 0 || !view.slider?.isConnected) return;
  const shown = new Set(view.app.state.get().shown.map((image) => image.id));
  view.chart = drawChart(view.points, shown, view.width);
  replaceChildren(view.slider, view.chart.svg);
  markCurrent(view);
}

function currentIndex(view) {
  const { imageId } = view.app.state.get();
  return view.chart === null ? -1 : view.chart.places.findIndex((place) => place.point.image.id === imageId);
}

function markCurrent(view) {
  if (view.chart === null) return;
  const state = view.app.state.get();
  const index = currentIndex(view);
  const second = view.chart.places.findIndex((place) => place.point.image.id === state.secondId);
  moveMark(view.chart, index, state.mode === "single" ? -1 : second);
  view.slider.setAttribute("aria-valuemax", String(Math.max(1, view.chart.places.length)));
  view.slider.setAttribute("aria-valuenow", String(Math.max(1, index + 1)));
  view.slider.setAttribute("aria-valuetext", placeText(view, index));
  say(view, index);
  for (const row of view.element.querySelectorAll("tr[aria-current]")) row.removeAttribute("aria-current");
  const date = view.chart.places[index]?.point.image.date;
  if (date === undefined) return;
  for (const made of view.element.querySelectorAll(".day-open")) {
    if (made.dataset.date === date) made.closest("tr").setAttribute("aria-current", "true");
  }
}

function say(view, index) {
  const text = placeText(view, index);
  if (view.status.textContent !== text) view.status.textContent = text;
}

function placeText(view, index) {
  const point = view.chart?.places[index]?.point;
  if (point === undefined) {
    const { imageId, site } = view.app.state.get();
    const image = site?.images.find((one) => one.id === imageId);
    return image === undefined ? texts.panels.series.hint : fill(texts.panels.series.unclear, { date: dayText(image.date) });
  }
  return fill(texts.panels.series.valueText, { date: dayText(point.image.date), percent: percentOf(point.clear) });
}

function numbers(view, site) {
  const words = texts.panels.series;
  const years = new Map();
  for (const image of site.images.toReversed()) {
    const year = image.date.slice(0, 4);
    if (!years.has(year)) years.set(year, []);
    years.get(year).push(image);
  }
  return dayTables({
    years: [...years].map(([year, rows]) => ({
      title: fill(words.yearOf, { year, count: rows.length }),
      caption: fill(words.tableCaption, { site: site.name, year }),
      rows,
    })),
    columns: [words.date, words.clear, words.cloud, words.valid],
    cells: (image) => [dateCell(view, image), share(clearOf(image)), share(image.cloud), share(image.valid)],
    mark: (image) => (image.id === view.app.state.get().imageId ? "true" : null),
  });
}

function dateCell(view, image) {
  const made = button({
    label: fill(texts.panels.series.open, { date: dayText(image.date) }),
    text: image.date,
    class: "day-open",
    on: (event) => show(view.app, image.id, { second: event.shiftKey }),
  });
  made.dataset.date = image.date;
  return made;
}

function share(fraction) {
  return fraction === null ? "–" : fill(texts.panels.percent, { percent: percentOf(fraction) });
}
